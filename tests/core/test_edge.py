"""The growing edge is the tree: whatever the batches, it has the roots, nodes and tiles of RFC 6962.

Sizes run past 65,536, where the first tile of level 1 is full and a third tile level begins.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import Reference, trees
from tlog.core.merkle import Edge, Node, root_hash, subtree_nodes
from tlog.core.proofs import (
    consistency_proof,
    inclusion_proof,
    range_proof,
    verify_consistency,
    verify_inclusion,
    verify_range,
)
from tlog.core.tiles import STORED_TILE_BYTES, TILE_BYTES, stored_at, tile_of

MAX = 70_000
SIZES = [0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 1000, 65535, 65536, 65537, 65792, MAX]
sizes = st.one_of(st.integers(0, 1200), st.sampled_from(SIZES), st.integers(0, MAX))


def reference() -> Reference:
    return trees(MAX)


def read_tile(level: int, index: int, width: int) -> list[bytes]:
    """The lowest row of a partial tile, as a store would give it to `Edge.load`."""
    assert 1 <= width <= 255
    return reference().read_nodes([(8 * level, 256 * index + i) for i in range(width)])


def load(size: int) -> Edge:
    return Edge.load(size, read_tile)


def edge_nodes(size: int) -> list[Node]:
    """Every node in a right-edge tile of a tree of `size` leaves."""
    nodes = []
    for level in range(size.bit_length()):
        width = 256 >> level % 8
        count = size >> level
        nodes += [(level, index) for index in range(count // width * width, count)]
    return nodes


class Log:
    """An edge and the full tiles that it gave, read as a server would."""

    def __init__(self) -> None:
        self.edge = Edge()
        self.tiles: dict[tuple[int, int], bytes] = {}

    def append(self, end: int) -> None:
        self.edge.append(reference().leaves[self.edge.size : end])

    def store(self) -> None:
        for level, index, data in self.edge.full_tiles():
            assert (level, index) not in self.tiles, "a tile completes once"
            self.tiles[level, index] = data
        self.edge.drop()

    def read_nodes(self, nodes: Sequence[Node]) -> list[bytes]:
        hashes = []
        for node in nodes:
            place = stored_at(node, self.edge.size)
            if place is None:
                hashes += self.edge.read_nodes([node])
            else:
                level, index, offset = place
                hashes.append(self.tiles[level, index][offset : offset + 32])
        return hashes


def grown(ends: list[int]) -> Log:
    log = Log()
    for end in sorted(ends):
        log.append(end)
        log.store()
    return log


@given(st.lists(sizes, min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_any_batches_give_the_roots_and_tiles_of_the_tree(ends: list[int]) -> None:
    log = Log()
    for end in sorted(ends):
        log.append(end)
        assert log.edge.size == end
        assert log.edge.root() == reference().root(end)
        log.store()
        assert log.edge.root() == reference().root(end)
        assert log.edge.full_tiles() == []
    full = {(level, i) for level in range(3) for i in range(end >> 8 * level + 8)}
    assert set(log.tiles) == full


@given(st.lists(sizes, min_size=1, max_size=8))
@settings(max_examples=20, deadline=None)
def test_the_edge_holds_the_right_edge_tiles_and_nothing_else(ends: list[int]) -> None:
    edge = grown(ends).edge
    held = edge_nodes(edge.size)
    assert edge.read_nodes(held) == reference().read_nodes(held)
    for level in range(edge.size.bit_length() + 1):
        of_level = [index for lvl, index in held if lvl == level]
        count = edge.size >> level
        first = min(of_level, default=count)
        for absent in {first - 1, 0, count, count + 1, count + 256} - set(of_level):
            with pytest.raises(LookupError):
                edge.read_nodes([(level, absent)])


@given(sizes, sizes)
@settings(max_examples=60, deadline=None)
def test_a_loaded_edge_goes_on_as_if_it_had_never_stopped(size: int, more: int) -> None:
    end = min(size + more, MAX)
    loaded, never_stopped = load(size), grown([size]).edge
    assert loaded.size == size
    assert loaded.full_tiles() == []
    assert loaded.root() == reference().root(size)
    for edge in (loaded, never_stopped):
        edge.append(reference().leaves[size:end])
    assert loaded.root() == reference().root(end)
    assert loaded.full_tiles() == never_stopped.full_tiles()
    loaded.drop()
    held = edge_nodes(end)
    assert loaded.read_nodes(held) == reference().read_nodes(held)


def test_load_at_every_size_about_the_first_tiles() -> None:
    for size in [*range(600), *range(65530, 65800, 7)]:
        edge = load(size)
        assert edge.root() == reference().root(size)
        assert edge.read_nodes(edge_nodes(size)) == reference().read_nodes(edge_nodes(size))


def test_load_refuses_a_tile_of_another_width() -> None:
    for off in (-1, 1):
        with pytest.raises(AssertionError, match="bad math"):
            Edge.load(5, lambda level, index, width, off=off: [bytes(32)] * (width + off))  # type: ignore[misc]


@given(st.lists(sizes, min_size=1, max_size=6), st.data())
@settings(max_examples=60, deadline=None)
def test_proofs_read_from_edge_and_tiles(ends: list[int], data: st.DataObject) -> None:
    """At the newest size and at every older one, wherever its nodes are kept by now."""
    log = grown([1, *ends])
    size = data.draw(st.integers(1, log.edge.size))
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(0, size))
    end = data.draw(st.integers(index + 1, min(size, index + 1000)))
    root = reference().root(size)
    leaves = reference().leaves
    assert root_hash(size, log) == root
    verify_inclusion(leaves[index], index, size, inclusion_proof(index, size, log), root)
    path = consistency_proof(old, size, log)
    verify_consistency(old, size, path, reference().root(old), root)
    left, right = range_proof(index, end, size, log)
    verify_range(leaves[index:end], index, size, left, right, root)


@pytest.mark.parametrize(("start", "end"), [(0, 256), (200, 300), (250, 1100), (65000, 66000)])
def test_nodes_of_completed_tiles_stay_until_dropped(start: int, end: int) -> None:
    """The commit that completes a tile proves its leaves from the edge alone."""
    edge = load(start)
    edge.append(reference().leaves[start:end])
    for index in range(start, end):
        proof = inclusion_proof(index, end, edge)
        assert proof == reference().PATH(index, 0, end)
    tiles = edge.full_tiles()
    assert tiles
    assert edge.full_tiles() == tiles
    edge.drop()
    assert edge.full_tiles() == []
    with pytest.raises(LookupError):
        edge.read_nodes([(0, start)])


def test_a_full_tile_is_all_its_levels_lowest_first() -> None:
    log = Log()
    log.append(MAX)
    log.store()
    assert len(log.tiles) == MAX // 256 + 1
    for (level, index), data in log.tiles.items():
        rows = [
            (8 * level + row, i)
            for row in range(9)
            for i in range(index << 8 - row, index + 1 << 8 - row)
        ]
        assert data == b"".join(reference().read_nodes(rows))
        assert len(data) == STORED_TILE_BYTES == 511 * 32
        assert len(data[:TILE_BYTES]) == 256 * 32
        for node in rows[:-1]:
            home_level, home_index, offset = tile_of(node)
            assert (home_level, home_index) == (level, index)
            assert data[offset : offset + 32] == reference().node(*node)


def test_every_node_is_stored_or_at_the_edge() -> None:
    for size in (1, 255, 256, 257, 65536, 65537, 66000, MAX):
        log = grown([size])
        for level in range(size.bit_length()):
            nodes = [(level, index) for index in range(size >> level)]
            assert log.read_nodes(nodes) == reference().read_nodes(nodes)


def test_the_root_is_kept_until_the_next_append() -> None:
    edge = Edge()
    edge.append(reference().leaves[:3])
    root = edge.root()
    assert edge.root() is root
    edge.append([])
    assert edge.root() == root
    edge.append(reference().leaves[3:4])
    assert edge.root() == reference().root(4)


def test_append_neither_keeps_nor_changes_the_list_given() -> None:
    edge = Edge()
    batch = reference().leaves[:5]
    edge.append(batch)
    edge.append(reference().leaves[5:7])
    assert batch == reference().leaves[:5]
    batch[4] = bytes(32)
    assert edge.root() == reference().root(7)


def test_the_maximal_subtrees_are_always_held() -> None:
    for size in [*range(1, 600), *range(65530, 65550)]:
        edge = load(size)
        nodes = subtree_nodes(0, size)
        assert edge.read_nodes(nodes) == reference().read_nodes(nodes)
