"""Inclusion proofs of neighbours: the same as one by one, in every tree and at every leaf."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest

from tlog.core.merkle import Edge, Node
from tlog.core.paths import Paths
from tlog.core.proofs import inclusion_proof
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
