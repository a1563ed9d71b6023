"""The tree over a stream's leaves as verification grows it: bundle by bundle, every full tile compared with the stored one."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from tlog.core.hashes import Hash
from tlog.core.merkle import Edge, fold, subtree_nodes
from tlog.store import layout
from tlog.store.environment import LogStore

_TILE_ROW = layout.TILE_WIDTH * 32
_PAIRS = range(0, _TILE_ROW * 2 - 64, 64)


class WrongTile(NamedTuple):
    """A stored tile that is not what the leaves give. `offset`: of the leaf of the newest bundle that shows it."""

    offset: int
    detail: str


class Tree:
    """All leaves of one stream from the first on, 256 at a time; only the last bundle may have fewer."""

    def __init__(self, store: LogStore, number: int) -> None:
        self._store = store
        self._number = number
        self._upper = Edge()  # over the roots of full tiles
        self._rest = Edge()  # the leaves after them

    def grow(self, leaves: list[Hash]) -> list[WrongTile]:
        """Add a bundle; what is wrong with the tiles that this completes."""
        if len(leaves) < layout.TILE_WIDTH:
            self._rest.append(leaves)
            return []
        index = self._upper.size
        stored = stored_tile(self._store, self._number, 0, index)
        if stored is not None and tile_holds(stored, leaves):
            return self.grow_by_tile(stored[-32:])
        edge = Edge()
        edge.append(leaves)
        return [_fault(0, index, stored, leaves), *self.grow_by_tile(edge.root())]

    def grow_by_tile(self, root: Hash) -> list[WrongTile]:
        """Add a full bundle whose tile is right and has this root; what is wrong with the tiles above it."""
        self._upper.append([root])
        wrong = []
        for above, index, tile in self._upper.full_tiles():
            stored = stored_tile(self._store, self._number, above + 1, index)
            if stored != tile:
                wrong.append(_fault(above + 1, index, stored))
        self._upper.drop()
        return wrong

    def root(self) -> Hash:
        """MTH of all leaves."""
        nodes = self._upper.read_nodes(subtree_nodes(0, self._upper.size))
        return fold(nodes + self._rest.read_nodes(subtree_nodes(0, self._rest.size)))


def tile_holds(tile: bytes, leaves: Sequence[Hash]) -> bool:
    """Whether a stored tile is what 256 leaf hashes, or nodes, give at every level. HOT.

    Its rows follow one another, so that the hash of its n-th pair is the n-th hash after the lowest row.
    """
    return (
        len(tile) == layout.TILE_BYTES
        and tile[:_TILE_ROW] == b"".join(leaves)
        and tile[_TILE_ROW:]
        == b"".join([sha256(b"\x01" + tile[at : at + 64]).digest() for at in _PAIRS])
    )


def stored_tile(store: LogStore, number: int, level: int, index: int) -> bytes | None:
    """The 511 hashes of a full tile as they are stored, None where there are none."""
    with store.read() as txn:
        tile = txn.get(layout.tile_key(number, level, index), db=store.db["tiles"])
        return None if tile is None else bytes(tile)


def _fault(level: int, index: int, stored: bytes | None, leaves: Sequence[Hash] = ()) -> WrongTile:
    if stored is None:
        return WrongTile(0, f"tile {level}/{index} is missing")
    differing = (at for at, leaf in enumerate(leaves) if stored[32 * at : 32 * at + 32] != leaf)
    detail = f"tile {level}/{index} does not hold the hashes of the entries"
    return WrongTile(next(differing, 0), detail)
