"""Proofs that share the checked upper part of their paths: the same proofs, and no wrong hash gets by."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.reference import Reference
from tlog.core.merkle import Node
from tlog.core.proofs import inclusion_proof
from tlog.errors import VerificationError
from tlog.inclusions import Inclusions

SIZE, LEVEL = 53, 3
TREES = Reference(SIZE)
ROOT = TREES.root(SIZE)


class Stored:
    """Nodes, with what was read, and with those in `wrong` changed."""

    def __init__(self) -> None:
        self.read: list[Node] = []
        self.wrong: set[Node] = set()

    def read_nodes(self, nodes: Sequence[Node]) -> list[bytes]:
        self.read += nodes
        return [
            bytes(32) if n in self.wrong else h
            for n, h in zip(nodes, TREES.read_nodes(list(nodes)), strict=True)
        ]


def prove(proofs: Inclusions, stored: Stored, index: int, size: int = SIZE) -> list[bytes]:
    root, hashes = proofs.prove(
        7, index, size, TREES.leaves[index], stored, lambda: TREES.root(size)
    )
    assert root == TREES.root(size)
    assert hashes == inclusion_proof(index, size, TREES)
    return hashes


def test_the_upper_part_is_read_once_for_a_subtree_and_size() -> None:
    proofs, stored = Inclusions(LEVEL), Stored()
    prove(proofs, stored, 17)
    assert any(level >= LEVEL for level, _ in stored.read)
    for index in range(16, 24):
        stored.read.clear()
        prove(proofs, stored, index)
        assert {level for level, _ in stored.read} == set(range(LEVEL))
    for index, size in ((17, SIZE - 1), (24, SIZE), (17, 24)):
        stored.read.clear()
        prove(proofs, stored, index, size)
        assert (LEVEL, index >> LEVEL) in stored.read
    stored.read.clear()
    prove(proofs, stored, SIZE - 1)  # in no complete subtree
    assert stored.read


def test_a_wrong_hash_below_is_found_every_time() -> None:
    proofs, stored = Inclusions(LEVEL), Stored()
    prove(proofs, stored, 16)
    stored.wrong = {(1, 9)}
    for index in (16, 17):
        with pytest.raises(VerificationError):
            prove(proofs, stored, index)
    prove(proofs, stored, 20)  # its path is right: the wrong hash is below a node of it
    with pytest.raises(VerificationError):
        proofs.prove(7, 21, SIZE, TREES.leaves[20], stored, lambda: ROOT)


@pytest.mark.parametrize("wrong", [(LEVEL, 2), (LEVEL, 3), (LEVEL + 1, 0), (LEVEL + 2, 1)])
def test_a_wrong_hash_above_is_found_before_it_is_kept(wrong: Node) -> None:
    proofs, stored = Inclusions(LEVEL), Stored()
    stored.wrong = {wrong} if wrong != (LEVEL + 2, 1) else set(stored_right_edge())
    for _ in range(2):
        with pytest.raises(VerificationError):
            prove(proofs, stored, 17)
    stored.wrong = set()
    prove(proofs, stored, 17)
    # What gave the root once is not read again.
    stored.wrong = {wrong}
    prove(proofs, stored, 17)


def stored_right_edge() -> list[Node]:
    """The maximal subtrees that make the ragged sibling of the left half."""
    return [(4, 2), (2, 12), (0, 52)]


def test_another_root_is_refused() -> None:
    proofs, stored = Inclusions(LEVEL), Stored()
    for index in (17, SIZE - 1):
        with pytest.raises(VerificationError):
            proofs.prove(7, index, SIZE, TREES.leaves[index], stored, lambda: bytes(32))
    prove(proofs, stored, 17)


def test_trees_are_told_apart() -> None:
    proofs, stored = Inclusions(LEVEL), Stored()
    prove(proofs, stored, 17)
    with pytest.raises(VerificationError):
        proofs.prove(8, 17, SIZE, TREES.leaves[17], stored, lambda: bytes(32))
