"""Inclusion proofs of neighbours: the same as one by one, in every tree and at every leaf."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest

from tests.reference import Reference
from tlog.core.merkle import Edge, Node
from tlog.core.paths import Paths, lower_path, subtree_count, upper_path
from tlog.core.proofs import inclusion_proof, verify_inclusion
from tlog.errors import InvalidInput

LEAVES = [hashlib.sha256(b"%d" % number).digest() for number in range(300)]


class Counted:
    """Counts the nodes that are read."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self.nodes = 0

    def read_nodes(self, nodes: Sequence[Node]) -> list[bytes]:
        self.nodes += len(nodes)
        return self._edge.read_nodes(nodes)


def tree(size: int) -> Edge:
    edge = Edge()
    edge.append(LEAVES[:size])
    return edge


def test_a_path_in_two_parts() -> None:
    """PATH is the part within a complete subtree and the part above it, and each verifies by itself."""
    trees = Reference(70)
    for size in range(1, 70):
        for level in range(size.bit_length()):
            for place in range(size >> level):
                upper = upper_path(level, place, size, trees)
                subtree = trees.node(level, place)
                count = subtree_count(level, size)
                verify_inclusion(subtree, place, count, upper, trees.root(size))
                for index in range(place << level, place + 1 << level):
                    lower = lower_path(index, level, trees)
                    assert lower + upper == trees.PATH(index, 0, size)
                    leaf = trees.leaves[index]
                    verify_inclusion(leaf, index % (1 << level), 1 << level, lower, subtree)
    with pytest.raises(InvalidInput):
        upper_path(1, 35, 70, trees)


@pytest.mark.parametrize("size", [*range(1, 70), 255, 256, 257, 300])
def test_the_same_as_one_by_one(size: int) -> None:
    edge = tree(size)
    paths = Paths(size, edge)
    for index in [*range(size), *range(size)[::-1]]:
        assert paths.of(index) == inclusion_proof(index, size, edge)


def test_what_is_shared_is_read_once() -> None:
    reader = Counted(tree(256))
    paths = Paths(256, reader)
    for index in range(256):
        paths.of(index)
    assert reader.nodes == 256 * 3 + 32 * 8


@pytest.mark.parametrize("index", [-1, -8, 20, 24, 100])
def test_no_such_leaf(index: int) -> None:
    with pytest.raises(InvalidInput, match="no such leaf"):
        Paths(20, tree(20)).of(index)
