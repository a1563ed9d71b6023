"""Inclusion proofs in two parts, of which neighbouring leaves share the upper one.

All leaves of a complete subtree of 2**level leaves have one path above it: PATH(index, D[n]) of RFC 6962
section 2.1.1 is `lower_path`, which ends at the subtree's hash, and then `upper_path`.
In scope: these parts, and proofs made of them. Out of scope: checking them (`proofs`).
"""

from __future__ import annotations

from tlog.core.hashes import Hash
from tlog.core.merkle import NodeReader
from tlog.core.proofs import inclusion_proof

# Leaves 8k to 8k + 7 have the same path from level 3 on.
_LEVELS = 3


def lower_path(index: int, level: int, reader: NodeReader) -> list[Hash]:
    """The first `level` hashes of leaf `index`'s path, which must be in a complete subtree of 2**level.

    They lead to its hash, as from leaf index % 2**level of a tree of 2**level leaves.
    """
    return reader.read_nodes([(up, index >> up ^ 1) for up in range(level)])


def upper_path(level: int, place: int, size: int, reader: NodeReader) -> list[Hash]:
    """The rest of the path of every leaf of the complete subtree (level, place) among `size` leaves.

    Subtrees of 2**level leaves are the leaves of a tree with the same root, though the last one may
    be ragged: it leads there as from leaf `place` of `subtree_count(level, size)`.
    Raises: InvalidInput.
    """
    return inclusion_proof(place << level, size, reader)[level:]


def subtree_count(level: int, size: int) -> int:
    """How many subtrees of 2**level leaves make a tree of `size`, a ragged last one included."""
    return -(-size >> level)


class Paths:
    """Inclusion proofs in the tree of `size` leaves, which must not grow meanwhile. HOT."""

    __slots__ = ("_above", "_reader", "_size")

    def __init__(self, size: int, reader: NodeReader) -> None:
        self._size = size
        self._reader = reader
        self._above: dict[int, list[Hash]] = {}

    def of(self, index: int) -> list[Hash]:
        """PATH(index, D[size]), RFC 6962 section 2.1.1. Raises: InvalidInput, as `inclusion_proof`."""
        block = index >> _LEVELS
        if index < 0 or block + 1 << _LEVELS > self._size:
            return inclusion_proof(index, self._size, self._reader)
        above = self._above.get(block)
        if above is None:
            above = self._above[block] = upper_path(_LEVELS, block, self._size, self._reader)
        # `lower_path`, unrolled.
        below = self._reader.read_nodes([(0, index ^ 1), (1, index >> 1 ^ 1), (2, index >> 2 ^ 1)])
        return below + above
