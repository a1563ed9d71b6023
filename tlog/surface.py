"""The public log surface as bytes: tiles, entry bundles and heads of https://c2sp.org/tlog-tiles, for every stream.

Nothing leaves unchecked. A full tile is hashed and shown to be part of the stream's newest head, that head to be the one
that the root log holds, and every entry to be the leaf that its tile says. What was checked is kept in memory, so that what
many ask for is checked once, and rot on the disk afterwards changes nothing that is served.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from tlog.cache import Cache
from tlog.core.hashes import HASH_SIZE, leaf_hash
from tlog.core.ids import NAME_PATTERN
from tlog.core.merkle import root_of
from tlog.core.proofs import inclusion_proof, verify_inclusion
from tlog.core.tiles import (
    STORED_TILE_BYTES,
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    bundle_encode,
)
from tlog.errors import CorruptStore, Refused, VerificationError
from tlog.reader import Reader
from tlog.sequencer.streams import StreamView
from tlog.store import layout

SHELF_BYTES = 64 << 20
_VIEWS = 4096  # streams of which a head is known to be in the root log

LABEL_PATTERN = rf"[a-z2-7]{{52}}|{NAME_PATTERN}(?:/{NAME_PATTERN}){{2}}"
"""A private label, or a public one: no other text names a stream in a path."""


class Shelf:
    """Bytes that never change again, at most `limit` of them in all; what was not asked for longest goes first."""

    def __init__(self, limit: int = SHELF_BYTES) -> None:
        self._limit = limit
        self._held: OrderedDict[Any, bytes] = OrderedDict()
        self._bytes = 0

    def get(self, key: Any) -> bytes | None:
        """The bytes, if they are still here."""
        value = self._held.get(key)
        if value is not None:
            self._held.move_to_end(key)
        return value

    def put(self, key: Any, value: bytes) -> None:
        """Keep `value` unless it would take more than a sixteenth of the room."""
        if key in self._held or len(value) > self._limit // 16:
            return
        self._held[key] = value
        self._bytes += len(value)
        while self._bytes > self._limit:
            self._bytes -= len(self._held.popitem(last=False)[1])


class Labels:
    """Which stream a label names. Numbers are 0, 1, 2 … without a gap and never used again, so each row is read once."""

    def __init__(self, reader: Reader) -> None:
        self._source = reader.source
        self._seen = 0
        self._numbers: dict[str, int] = {}
        self._learn()

    def _learn(self) -> None:
        while (row := self._source.rows.get(self._seen)) is not None:
            if self._seen != layout.ROOT_LOG:
                self._numbers[row.label] = self._seen
            self._seen += 1

    def number(self, label: str) -> int | None:
        """The number of a stream, None if there is none. One that is being opened has a number before it has a head."""
        self._learn()
        return self._numbers.get(label)


class Surface:
    """Serves checked bytes of one log, to the thread whose `reader` it was given."""

    def __init__(self, reader: Reader, shelf_bytes: int = SHELF_BYTES) -> None:
        self._reader = reader
        self._source = reader.source
        self.labels = Labels(reader)
        self.shelf = Shelf(shelf_bytes)
        self._views: Cache[int, StreamView] = Cache(_VIEWS)

    def tile(self, number: int, level: int, index: int, width: int = TILE_WIDTH) -> bytes:
        """The first `width` hashes of tile (level, index): 32 bytes each, 1 <= width <= 256.

        Every width is served that the tree has reached, so the tiles of every size ever signed. Raises: Refused
        (not-found) for what the tree does not have, CorruptStore.
        """
        return self._tile(number, level, index, width, None)

    def bundle(self, number: int, index: int, width: int = TILE_WIDTH) -> bytes:
        """The bundle of the first `width` entries beside tile (0, index). Raises: as `tile`."""
        key = (number, None, index, width)
        bundle = self.shelf.get(key)
        if bundle is None:
            view = self._reaching(number, 0, index, width)
            hashes = self._tile(number, 0, index, width, view)
            start = index * TILE_WIDTH
            found = self._reader.entries(number, start, start + width, view)
            entries = [located.record.entry for located in found]
            if b"".join(map(leaf_hash, entries)) != hashes:
                raise CorruptStore(f"entries {start} … of stream {number} are not its leaves")
            bundle = bundle_encode(entries)
            self.shelf.put(key, bundle)
        return bundle

    def _tile(
        self, number: int, level: int, index: int, width: int, view: StreamView | None
    ) -> bytes:
        key = (number, level, index)
        tile = self.shelf.get(key)
        if tile is None:
            view = view or self._reaching(number, level, index, width)
            if _held(view, level, index) < TILE_WIDTH:
                return self._partial_tile(number, level, index, width, view)
            tile = self._full_tile(number, level, index, view)
            self.shelf.put(key, tile)
        return tile[: width * HASH_SIZE]

    def _reaching(self, number: int, level: int, index: int, width: int) -> StreamView:
        """A checked picture of a stream whose tree has that tile: an old one too, as trees only grow.

        The newest picture of a stream that rests is made of its stored tail each time: ten times the work of all the rest.
        Raises: Refused (not-found), CorruptStore.
        """
        view = self._views.find(number)
        if view is None or _held(view, level, index) < width:
            view = self._view(number)
            if _held(view, level, index) < width:
                raise Refused("not-found", "the tree has no such tile")
        return view

    def _view(self, number: int) -> StreamView:
        """The newest picture of a stream, its root known to be signed, or in what is signed. Raises: CorruptStore."""
        view, known = self._source.view(number), self._views.find(number)
        if number == layout.ROOT_LOG:
            head = self._source.head().root
            # A view that is newer than the head comes from the writer itself.
            if view.size == head.size and view.root != head.root:
                raise CorruptStore("the root log's tree does not have the root that was signed")
        elif view.size and (known is None or (known.size, known.root) != (view.size, view.root)):
            self._reader.stream_head(number, view)
        self._views.put(number, view)
        return view

    def _partial_tile(
        self, number: int, level: int, index: int, width: int, view: StreamView
    ) -> bytes:
        with self._source.store.read() as txn:
            edge = self._reader.trees.edge(txn, number, view)
        if edge.size > view.size and (newest := self._view(number)).size > view.size:
            # Others had it catch up with the stream; the tile may be full by now.
            return self._tile(number, level, index, width, newest)
        # Every hash of an edge is below its root: one comparison checks them all.
        if (edge.size, edge.root()) != (view.size, view.root):
            raise CorruptStore(f"the newest leaves of stream {number} do not give its root")
        first = index * TILE_WIDTH
        row = [(TILE_HEIGHT * level, first + i) for i in range(width)]
        return b"".join(edge.read_nodes(row))

    def _full_tile(self, number: int, level: int, index: int, view: StreamView) -> bytes:
        name = f"tile {level}/{index} of stream {number}"
        height = TILE_HEIGHT * (level + 1)
        with self._source.store.read() as txn:
            stored = txn.get(
                layout.tile_key(number, level, index), db=self._source.store.db["tiles"]
            )
            if stored is None or len(stored) != STORED_TILE_BYTES:
                raise CorruptStore(f"{name} is missing or has another length")
            tile, own_root = bytes(stored[:TILE_BYTES]), bytes(stored[-HASH_SIZE:])
            nodes = self._reader.trees.nodes(txn, number, view)
            # The path of the tile's first leaf, without the siblings that are inside the tile.
            path = inclusion_proof(index << height, view.size, nodes)[height:]
        hashes = [tile[at : at + HASH_SIZE] for at in range(0, TILE_BYTES, HASH_SIZE)]
        root = root_of(hashes)
        if root != own_root:
            raise CorruptStore(f"{name} does not hash to its own root")
        try:
            # Above the tile the tree is that of a log whose leaves are the tile's neighbours and it.
            verify_inclusion(root, index, -(-view.size >> height), path, view.root)
        except VerificationError as error:
            raise CorruptStore(f"{name} does not lead to the stream's root") from error
        return tile


def _held(view: StreamView, level: int, index: int) -> int:
    """How many hashes tile (level, index) has so far, above 256 too; not positive: there is none."""
    # SPEC (tlog-tiles): a hash of level L+1 is that of a *full* tile of level L.
    return (view.size >> TILE_HEIGHT * level) - index * TILE_WIDTH
