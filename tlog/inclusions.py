"""Checked inclusion proofs of stored trees. What many leaves share, the upper part of their paths, is checked once.

All leaves of a complete subtree of 2^16 have one path above it. When the first of them is asked for, that path is shown
to lead from the subtree to the root; later ones are read and checked up to the subtree, so that a proof among 10^7
leaves costs little more than one among 10^5. Relied on is what gave the root once, never what is stored above it now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tlog.cache import Cache
from tlog.core.hashes import Hash
from tlog.core.merkle import NodeReader
from tlog.core.paths import lower_path, subtree_count, upper_path
from tlog.core.proofs import inclusion_proof, verify_inclusion

LEVEL = 16
_KEPT = 4096  # upper parts, of about 2 KiB


class _Upper(NamedTuple):
    """A complete subtree, and its checked path to `root`."""

    subtree: Hash
    path: list[Hash]
    root: Hash


class Inclusions:
    """Proves leaves of a log's trees; `level`: of the subtrees whose paths are kept. One thread."""

    def __init__(self, level: int = LEVEL) -> None:
        self._level = level
        self._uppers: Cache[tuple[int, int, int], _Upper] = Cache(_KEPT)

    def prove(
        self,
        number: int,
        index: int,
        size: int,
        leaf: Hash,
        nodes: NodeReader,
        root_of: Callable[[], Hash],
    ) -> tuple[Hash, list[Hash]]:
        """The root of the first `size` leaves of tree `number`, and the path of `leaf`, number `index`, to it. HOT.

        `root_of` gives that root, shown to be one of the log's. Raises: VerificationError when leaf and stored hashes
        do not lead there.
        """
        level = self._level
        if index >> level >= size >> level:
            root, hashes = root_of(), inclusion_proof(index, size, nodes)
            verify_inclusion(leaf, index, size, hashes, root)
            return root, hashes
        key = (number, size, index >> level)
        upper = self._uppers.find(key)
        if upper is None:
            upper = self._upper(index >> level, size, nodes, root_of())
            self._uppers.put(key, upper)
        lower = lower_path(index, level, nodes)
        verify_inclusion(leaf, index % (1 << level), 1 << level, lower, upper.subtree)
        return upper.root, lower + upper.path

    def _upper(self, place: int, size: int, nodes: NodeReader, root: Hash) -> _Upper:
        subtree = nodes.read_nodes([(self._level, place)])[0]
        path = upper_path(self._level, place, size, nodes)
        verify_inclusion(subtree, place, subtree_count(self._level, size), path, root)
        return _Upper(subtree, path, root)
