"""Merkle trees of RFC 6962 section 2.1 (RFC 9162 section 2.1), as nodes, as a frontier and as an edge.

In scope: which complete subtrees cover a range of leaves, how they combine into a root, and the two
growing trees. Out of scope: proofs (`proofs`), where a stored node lies (`tiles`).

A tree hash MTH(D[a:b]) of the RFC exists for any range; a *node* here is one that never changes again,
because its subtree is complete. Ranges of leaves are half-open and start at zero; sizes are counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Protocol, TypeAlias

from tlog.core.hashes import EMPTY_ROOT, Hash

Node: TypeAlias = tuple[int, int]
"""(level, index): the complete subtree over the leaves [index << level, (index + 1) << level)."""


class NodeReader(Protocol):
    """All that the mathematics sees of storage."""

    def read_nodes(self, nodes: Sequence[Node]) -> list[Hash]:
        """The hashes of `nodes` in the same order and number; raises when it cannot give one."""
        ...


def subtree_nodes(lo: int, hi: int) -> list[Node]:
    """The maximal complete subtrees that together cover [lo, hi), left to right; 0 <= lo <= hi."""
    if not 0 <= lo <= hi:
        raise AssertionError("tlog: bad math in subtree_nodes")
    nodes = []
    while lo < hi:
        level = (hi - lo).bit_length() - 1
        if lo:
            level = min(level, (lo & -lo).bit_length() - 1)
        nodes.append((level, lo >> level))
        lo += 1 << level
    return nodes


def fold(hashes: Sequence[Hash]) -> Hash:
    """MTH of a range from the maximal subtrees that cover it, when these shrink to the right.

    They do in [0, n), and in every right subtree D[k:n] that the RFC's recursion meets: then each
    split takes the first subtree off the rest. Of none it is the root of the empty tree.
    """
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in hashes[-2::-1]:
        root = sha256(b"\x01" + left + root).digest()
    return root


def root_hash(size: int, reader: NodeReader) -> Hash:
    """MTH(D[n]) of the tree of `size` leaves: one read."""
    return fold(reader.read_nodes(subtree_nodes(0, size)))


def root_of(leaf_hashes: Sequence[Hash]) -> Hash:
    """MTH(D[n]) from all leaf hashes. HOT: once per event, over a handful of fields."""
    if not leaf_hashes:
        return EMPTY_ROOT
    row = leaf_hashes
    while len(row) > 1:
        above = _parents(row)
        # A last node without sibling stands for itself one level up: MTH of one leaf is that leaf.
        if len(row) & 1:
            above.append(row[-1])
        row = above
    return row[0]


def _parents(row: Iterable[Hash]) -> list[Hash]:
    """Hash neighbours in pairs; an odd one at the end is left out. HOT: `node_hash` inlined."""
    nodes = iter(row)
    return [
        sha256(b"\x01" + left + right).digest() for left, right in zip(nodes, nodes, strict=False)
    ]


class Frontier:
    """A tree of which only the maximal subtrees of [0, size) are kept: all that growing needs.

    `hashes` holds them largest first, one per bit set in `size`. This is the verifiers' tree: a
    range proof, a fork proof and an audit are hashes appended to a frontier and its root compared.
    """

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[Hash] = ()) -> None:
        self.size = size
        self.hashes = list(hashes)
        if size < 0 or len(self.hashes) != size.bit_count():
            raise AssertionError("tlog: bad math in Frontier")

    def append(self, subtree: Hash, level: int = 0) -> None:
        """Add a leaf hash, or the hash of a complete subtree that starts at leaf `size`."""
        position, rest = divmod(self.size, 1 << level)
        if rest:
            raise AssertionError("tlog: bad math in Frontier.append")
        # As in adding one to a binary number: every bit that carries is two subtrees made one.
        while position & 1:
            subtree = sha256(b"\x01" + self.hashes.pop() + subtree).digest()
            position >>= 1
        self.hashes.append(subtree)
        self.size += 1 << level

    def root(self) -> Hash:
        """MTH(D[size])."""
        return fold(self.hashes)


class Edge:
    """The growing tree of the sequencer: the nodes of the tiles at its right edge. HOT.

    Row h holds consecutive nodes of level h, beginning with `_first[h]`, the first one of a tile
    (see `tiles`). That index is even: a node and its sibling are held together and dropped together.
    A maximal subtree of [0, size) still waits for its sibling, so the edge always holds it.

    Not safe for use by several threads; whoever appends owns it.
    """

    __slots__ = ("_first", "_root", "_rows", "size")

    def __init__(self) -> None:
        self.size = 0
        self._rows: list[list[Hash]] = []
        self._first: list[int] = []
        self._root: Hash | None = None

    @classmethod
    def load(cls, size: int, read: Callable[[int, int, int], list[Hash]]) -> Edge:
        """Rebuild the edge of a tree of `size` leaves.

        `read(tile_level, tile_index, width)` gives the first `width` hashes of the lowest row of a
        tile, 1 <= width <= 255. It is asked only for the partial tiles at the right edge.
        """
        edge = cls()
        edge.size = size
        edge._first = [_first_of_edge_tile(size, level) for level in range(size.bit_length())]
        edge._rows = [[] for _ in edge._first]
        for level in range(0, size.bit_length(), 8):
            width = size >> level & 255
            if width:
                row = read(level // 8, size >> level + 8, width)
                if len(row) != width:
                    raise AssertionError("tlog: bad math in Edge.load: a tile of another width")
                edge._extend(level, row)
        return edge

    def append(self, leaf_hashes: list[Hash]) -> None:
        """Add leaves at the right; at each level, hash all pairs that this completes at once."""
        self._extend(0, leaf_hashes)
        self.size += len(leaf_hashes)
        self._root = None

    def _extend(self, level: int, nodes: list[Hash]) -> None:
        while nodes:
            if level == len(self._rows):
                self._rows.append([])
                self._first.append(0)
            row = self._rows[level]
            paired = len(row) & -2
            row += nodes
            nodes = _parents(row[paired:])
            level += 1

    def root(self) -> Hash:
        """MTH(D[size]); kept until the next append."""
        if self._root is None:
            # Bit h of size is set iff row h ends in a node without sibling: a maximal subtree.
            last = [row[-1] for level, row in enumerate(self._rows) if self.size >> level & 1]
            self._root = fold(last[::-1])
        return self._root

    def read_nodes(self, nodes: Sequence[Node]) -> list[Hash]:
        """The hashes of `nodes`. Raises: LookupError for a node dropped or not complete yet."""
        node = self.node
        return [node(level, index) for level, index in nodes]

    def node(self, level: int, index: int) -> Hash:
        """The hash of one node. Raises: LookupError, as `read_nodes`. HOT."""
        at = index - self._first[level]
        if at < 0:
            raise LookupError(f"node {index} of level {level} is no longer at the edge")
        return self._rows[level][at]

    def full_tiles(self) -> list[tuple[int, int, bytes]]:
        """The tiles completed since the last `drop`, as (tile level, tile index, hashes), lowest first.

        The hashes are those of `tiles`: 511 of 32 bytes, the 256 lowest first, the tile's root last.
        """
        tiles = []
        for level in range(0, len(self._rows), 8):
            for index in range(self._first[level] >> 8, self.size >> level + 8):
                hashes: list[Hash] = []
                for row in range(9):
                    start = (index << 8 - row) - self._first[level + row]
                    hashes += self._rows[level + row][start : start + (256 >> row)]
                tiles.append((level // 8, index, b"".join(hashes)))
        return tiles

    def drop(self) -> None:
        """Forget the nodes of full tiles, which the caller has stored; the right edge stays."""
        for level, row in enumerate(self._rows):
            first = _first_of_edge_tile(self.size, level)
            # Tiles fill from below: where the lowest did not, no other did.
            if first == self._first[level]:
                break
            del row[: first - self._first[level]]
            self._first[level] = first


def _first_of_edge_tile(size: int, level: int) -> int:
    """The index of the first node of `level` in the tile at the right edge of [0, size)."""
    tile_level, row = divmod(level, 8)
    return size >> 8 * (tile_level + 1) << 8 - row
