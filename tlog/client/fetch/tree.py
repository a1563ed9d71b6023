"""A tree that is read from tiles and believed only as far as one verified head bears it out.

Source: https://c2sp.org/tlog-tiles; golang.org/x/mod/sumdb/tlog TileHashReader has the same discipline.
In scope: every hash and entry of the tree, each checked before it is given; proofs made of them.
Out of scope: whether the head is the log's: `size` and `root` come from a checkpoint that the caller has verified.

How a tile is checked:
1. The partial tiles at the right edge, of all levels together, give the root: every hash in them is under it.
2. A full tile gives the hash that stands for it in the tile above, which was checked first.
So whoever walks over all leaves has recomputed every tile of every level. An entry is checked against its leaf hash.

What is wrong is told as `RuleBroken`: `tile`, `entry`, `malformed`, or `withheld` for a tile or bundle that is not
there, though the log signed a head that implies it. That nothing answers is Unavailable, as in `http`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple
from weakref import WeakValueDictionary

from tlog.client.fetch.http import Fetcher
from tlog.core.hashes import HASH_SIZE, Hash, leaf_hash
from tlog.core.merkle import Frontier, Node, fold, root_of, subtree_nodes
from tlog.core.proofs import (
    consistency_nodes,
    consistency_proof,
    inclusion_nodes,
    inclusion_proof,
    prefix_proof,
)
from tlog.core.root_log import RuleBroken
from tlog.core.tiles import TILE_HEIGHT, TILE_WIDTH, TileRef, partial_width
from tlog.errors import InvalidInput, Refused, TlogError

CACHED_TILES = 1024
"""Verified tiles kept, of 8 KiB each."""
AHEAD = 8
"""Tiles, and bundles as far as `http.BUNDLES` allows, that a walk reads ahead."""


class Chunk(NamedTuple):
    """Consecutive leaves from number `first`, none beyond one tile; `entries` if they were asked for."""

    first: int
    leaf_hashes: list[Hash]
    entries: list[bytes] | None


class RemoteTree:
    """The tree of `size` leaves and root `root`, read through `fetcher`. `origin` names it in findings.

    Every method may also raise RuleBroken, Unavailable, and InvalidInput (bad-answer) or Refused (forbidden).
    """

    def __init__(
        self, fetcher: Fetcher, size: int, root: Hash, *, origin: str | None = None
    ) -> None:
        self.size = size
        self.root = root
        self.origin = fetcher.prefix if origin is None else origin
        self.tiles_read = 0
        self._fetcher = fetcher
        self._edge: dict[int, bytes] | None = None
        self._tiles: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._locks: WeakValueDictionary[tuple[int, int], asyncio.Lock] = WeakValueDictionary()

    async def check(self) -> None:
        """Check that the tiles at the right edge give the root. Everything else here does it first."""
        await self._right_edge()

    async def tile(self, level: int, index: int) -> bytes:
        """The hashes of a tile as far as this tree has them: 32 bytes for each of at most 256."""
        if not 0 <= index << TILE_HEIGHT < self.size >> TILE_HEIGHT * level:
            raise InvalidInput("out-of-range", "the tree has no such tile")
        if index == self.size >> TILE_HEIGHT * (level + 1):
            return (await self._right_edge())[level]
        place = (level, index)
        # Many want the tile above theirs at once: one fetches it, the others wait.
        async with self._locks.setdefault(place, asyncio.Lock()):
            known = self._tiles.get(place)
            if known is not None:
                self._tiles.move_to_end(place)
                return known
            data = await self._full_tile(level, index)
            self._tiles[place] = data
            if len(self._tiles) > CACHED_TILES:
                self._tiles.popitem(last=False)
            return data

    async def leaf_hashes(self, lo: int, hi: int) -> list[Hash]:
        """The leaf hashes of [lo, hi)."""
        found: list[Hash] = []
        async for chunk in self.walk(lo, hi):
            found += chunk.leaf_hashes
        return found

    async def entries(self, lo: int, hi: int) -> list[bytes]:
        """The entries of [lo, hi). Bundles that this fetcher may not read are withheld, or Refused (forbidden)."""
        found: list[bytes] = []
        async for chunk in self.walk(lo, hi, entries=True):
            found += chunk.entries or []
        return found

    async def walk(self, lo: int, hi: int, *, entries: bool = False) -> AsyncGenerator[Chunk, None]:
        """Yield the leaves [lo, hi) in order, reading ahead. Wrap in `aclosing` to stop before the end."""
        if not 0 <= lo <= hi <= self.size:
            raise InvalidInput("out-of-range", "the tree has no such leaves")
        await self.check()
        ahead: deque[asyncio.Task[Chunk]] = deque()
        slots, held = self._fetcher.slots, 0
        try:
            while lo < hi or ahead:
                while lo < hi and len(ahead) < AHEAD:
                    # Only the next chunk may wait for a slot: those who hold all of them each have their next one.
                    if entries:
                        if ahead and slots.locked():
                            break
                        await slots.acquire()
                        held += 1
                    end = min(hi, (lo // TILE_WIDTH + 1) * TILE_WIDTH)
                    ahead.append(asyncio.create_task(self._chunk(lo, end, entries)))
                    lo = end
                yield await ahead.popleft()
                if entries:
                    slots.release()
                    held -= 1
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)
            for _ in range(held):
                slots.release()

    async def nodes(self, nodes: Sequence[Node]) -> list[Hash]:
        """The hashes of complete subtrees, in the order of `nodes`."""
        if any((index + 1) << level > self.size for level, index in nodes):
            raise InvalidInput("out-of-range", "the tree has no such complete subtree")
        await self.check()
        return list(await asyncio.gather(*[self._node(*node) for node in nodes]))

    async def root_at(self, size: int) -> Hash:
        """The root of the first `size` leaves."""
        if not 0 <= size <= self.size:
            raise InvalidInput("out-of-range", "the tree is not that large")
        return fold(await self.nodes(subtree_nodes(0, size)))

    async def inclusion(self, index: int) -> list[Hash]:
        """PATH(index, D[size]), RFC 6962 section 2.1.1."""
        have = await self._have(inclusion_nodes(index, self.size).nodes)
        return inclusion_proof(index, self.size, have)

    async def consistency(self, old: int) -> list[Hash]:
        """PROOF(old, D[size]), RFC 6962 section 2.1.2."""
        have = await self._have(consistency_nodes(old, self.size).nodes)
        return consistency_proof(old, self.size, have)

    async def prefix(self, old: int) -> list[Hash]:
        """The maximal subtrees of [0, old), then of [old, size): see `proofs.prefix_roots`."""
        if not 0 <= old <= self.size:
            raise InvalidInput("out-of-range", "the tree is not that large")
        have = await self._have(subtree_nodes(0, old) + subtree_nodes(old, self.size))
        return prefix_proof(old, self.size, have)

    async def _have(self, nodes: list[Node]) -> _Have:
        return _Have(dict(zip(nodes, await self.nodes(nodes), strict=True)))

    async def _node(self, level: int, index: int) -> Hash:
        tile_level, row = divmod(level, TILE_HEIGHT)
        tile_index, place = divmod(index << row, TILE_WIDTH)
        data = await self.tile(tile_level, tile_index)
        return root_of(_split(data)[place : place + (1 << row)])

    async def _chunk(self, lo: int, hi: int, entries: bool) -> Chunk:
        index, start = divmod(lo, TILE_WIDTH)
        hashes = _split(await self.tile(0, index))[start : start + hi - lo]
        if not entries:
            return Chunk(lo, hashes, None)
        width = min(TILE_WIDTH, self.size - index * TILE_WIDTH)
        ref = TileRef(None, index, width)
        try:
            bundle = await self._fetcher.entries(index, width)
        except (InvalidInput, Refused) as error:
            raise self._unread(ref, error) from None
        bundle = bundle[start : start + hi - lo]
        for number, (entry, digest) in enumerate(zip(bundle, hashes, strict=True), lo):
            if leaf_hash(entry) != digest:
                detail = f"the entry does not have the hash in {TileRef(0, index, width).path}"
                raise self._broken("entry", detail, ref, number)
        return Chunk(lo, hashes, bundle)

    async def _full_tile(self, level: int, index: int) -> bytes:
        above = await self.tile(level + 1, index >> TILE_HEIGHT)
        place = index & TILE_WIDTH - 1
        ref = TileRef(level, index)
        data = await self._read(ref)
        if root_of(_split(data)) != _split(above)[place]:
            parent = self._ref(level + 1, index >> TILE_HEIGHT)
            raise self._broken("tile", f"it does not give hash {place} of {parent.path}", ref)
        return data

    async def _right_edge(self) -> dict[int, bytes]:
        async with self._locks.setdefault((-1, 0), asyncio.Lock()):
            if self._edge is None:
                levels = [
                    level
                    for level in range(self.size.bit_length() // TILE_HEIGHT + 1)
                    if partial_width(level, self.size)
                ]
                refs = [self._edge_ref(level) for level in levels]
                tiles = await asyncio.gather(*map(self._read, refs))
                edge = dict(zip(levels, tiles, strict=True))
                if _edge_root(edge) != self.root:
                    raise await self._blame(edge)
                self._edge = edge
            return self._edge

    async def _blame(self, edge: dict[int, bytes]) -> RuleBroken:
        """Which tile at the right edge is false, as far as the tiles and entries below it show."""
        for level, data in sorted(edge.items()):
            ref = self._edge_ref(level)
            for place, digest in enumerate(_split(data)):
                below = TileRef(level - 1, (ref.index << TILE_HEIGHT) + place)
                if level and root_of(_split(await self._read(below))) != digest:
                    return self._broken("tile", f"hash {place} is not that of {below.path}", ref)
            if not level:
                try:
                    entries = await self._fetcher.entries(ref.index, ref.width)
                except (Refused, InvalidInput):
                    continue
                for place, (entry, digest) in enumerate(zip(entries, _split(data), strict=True)):
                    if leaf_hash(entry) != digest:
                        number = ref.index * TILE_WIDTH + place
                        detail = f"hash {place} is not that of the entry"
                        return self._broken("tile", detail, ref, number)
        paths = [self._edge_ref(level).path for level in edge]
        names = ", ".join(paths) or "none"
        detail = f"the tiles at the right edge ({names}) do not give the root of {self.size} leaves"
        only = paths[0] if len(paths) == 1 else None
        return RuleBroken("tile", detail, origin=self.origin, resource=only)

    async def _read(self, ref: TileRef) -> bytes:
        """The unverified hashes of a tile that must be there."""
        level = ref.level
        if level is None:
            raise AssertionError("tlog: a bundle is no tile")
        self.tiles_read += 1
        try:
            return await self._fetcher.tile(level, ref.index, ref.width)
        except (InvalidInput, Refused) as error:
            raise self._unread(ref, error) from None

    def _unread(self, ref: TileRef, error: InvalidInput | Refused) -> TlogError:
        if error.kind == "not-found":
            detail = f"not served, although a head of {self.size} leaves is signed"
            return self._broken("withheld", detail, ref)
        if error.kind == "malformed":
            return self._broken("malformed", error.detail, ref)
        return error

    def _broken(self, rule: str, detail: str, ref: TileRef, index: int | None = None) -> RuleBroken:
        return RuleBroken(rule, detail, origin=self.origin, index=index, resource=ref.path)

    def _edge_ref(self, level: int) -> TileRef:
        return self._ref(level, self.size >> TILE_HEIGHT * (level + 1))

    def _ref(self, level: int, index: int) -> TileRef:
        width = (self.size >> TILE_HEIGHT * level) - (index << TILE_HEIGHT)
        return TileRef(level, index, min(TILE_WIDTH, width))


class _Have:
    """`NodeReader` of nodes that were read before."""

    def __init__(self, known: dict[Node, Hash]) -> None:
        self._known = known

    def read_nodes(self, nodes: Sequence[Node]) -> list[Hash]:
        return [self._known[node] for node in nodes]


def _split(data: bytes) -> list[Hash]:
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]


def _edge_root(edge: dict[int, bytes]) -> Hash:
    """The root that partial tiles by level give: each hash in them is a complete subtree of [0, size)."""
    tree = Frontier()
    for level, data in sorted(edge.items(), reverse=True):
        for digest in _split(data):
            tree.append(digest, TILE_HEIGHT * level)
    return tree.root()
