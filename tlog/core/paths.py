"""Inclusion proofs of many leaves of one tree, of which neighbours share nearly everything.

In scope: the same bytes as `proofs.inclusion_proof` for each leaf, sooner. Out of scope: all else.
"""

from __future__ import annotations

from tlog.core.hashes import Hash
from tlog.core.merkle import NodeReader
from tlog.core.proofs import inclusion_proof

# Leaves 8k to 8k + 7 have the same path from level 3 on.
_LEVELS = 3


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
            first = inclusion_proof(block << _LEVELS, self._size, self._reader)
            above = self._above[block] = first[_LEVELS:]
        below = self._reader.read_nodes([(0, index ^ 1), (1, index >> 1 ^ 1), (2, index >> 2 ^ 1)])
        return below + above
