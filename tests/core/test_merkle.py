"""Roots are those of RFC 6962, of pymerkle and of a log of other people, however they are computed."""

from __future__ import annotations

from pathlib import Path

import pymerkle
import pytest

from tests.paths import VECTORS
from tests.reference import trees
from tlog.core.hashes import EMPTY_ROOT, leaf_hash
from tlog.core.merkle import Edge, Frontier, fold, root_hash, root_of, subtree_nodes
from tlog.core.tiles import bundle_decode, entries_path, tile_path
from tlog.core.wire import b64decode

REFERENCE = trees()


def test_roots_of_all_sizes() -> None:
    """Five ways to a root: all leaves, one read, a frontier, an edge, the folded subtrees."""
    frontier, edge = Frontier(), Edge()
    for size in range(len(REFERENCE.leaves) + 1):
        root = REFERENCE.root(size)
        assert root_of(REFERENCE.leaves[:size]) == root
        assert root_hash(size, REFERENCE) == root
        assert frontier.root() == root
        assert edge.root() == root
        assert frontier.size == edge.size == size
        assert fold(REFERENCE.read_nodes(subtree_nodes(0, size))) == root
        if size < len(REFERENCE.leaves):
            frontier.append(REFERENCE.leaves[size])
            edge.append([REFERENCE.leaves[size]])


def test_root_of_leaves_its_argument_alone() -> None:
    leaves = REFERENCE.leaves[:7]
    root_of(leaves)
    assert leaves == REFERENCE.leaves[:7]


def test_roots_equal_those_of_pymerkle() -> None:
    """An implementation that we did not write."""
    theirs = pymerkle.InmemoryTree(algorithm="sha256")
    if not hasattr(theirs, "get_root"):
        pytest.skip("pymerkle before 7, which Python 3.10 gets, has another interface")
    ours = Frontier()
    for number in range(300):
        theirs.append_entry(b"%d" % number)
        ours.append(leaf_hash(b"%d" % number))
        assert theirs.get_root() == ours.root()


@pytest.mark.parametrize("size", range(16))
def test_tessera_log(size: int) -> None:
    """Bundles, tiles and checkpoints of tessera's test log agree under our hashes."""
    log = VECTORS / "tessera-log"
    if not log.is_dir():
        pytest.skip(f"no vectors at {log}: set TLOG_VECTORS")
    _, size_line, root_line, *_ = (log / f"checkpoint.{size}").read_bytes().split(b"\n")
    assert size_line == b"%d" % size
    leaves = _tessera_leaves(log, size)
    assert root_of(leaves) == b64decode(root_line, 32)


def _tessera_leaves(log: Path, size: int) -> list[bytes]:
    if size == 0:
        return []
    entries = bundle_decode((log / entries_path(0, size)).read_bytes(), size)
    leaves = [leaf_hash(entry) for entry in entries]
    assert b"".join(leaves) == (log / tile_path(0, 0, size)).read_bytes()
    return leaves


def test_subtree_nodes_cover_the_range_and_are_maximal() -> None:
    for hi in range(70):
        for lo in range(hi + 1):
            position = lo
            for level, index in subtree_nodes(lo, hi):
                assert index << level == position
                position = (index + 1) << level
                parent = index >> 1
                inside = lo <= parent << level + 1 and (parent + 1) << level + 1 <= hi
                assert not inside, "the parent is in the range too, so this node is not maximal"
            assert position == hi


def test_subtree_nodes_of_huge_trees() -> None:
    assert subtree_nodes(0, 2**63) == [(63, 0)]
    assert len(subtree_nodes(1, 2**63 - 1)) == 2 * 62
    assert subtree_nodes(5, 2**40)[:3] == [(0, 5), (1, 3), (3, 1)]


@pytest.mark.parametrize(("lo", "hi"), [(1, 0), (-1, 0), (-2, -1), (5, 4)])
def test_subtree_nodes_refuses_what_is_no_range(lo: int, hi: int) -> None:
    with pytest.raises(AssertionError, match="bad math"):
        subtree_nodes(lo, hi)


def test_fold_of_nothing_is_the_empty_root() -> None:
    assert fold([]) == root_of([]) == Frontier().root() == Edge().root() == EMPTY_ROOT


def test_frontier_resumes_at_any_size_and_takes_subtrees() -> None:
    """From the maximal subtrees of [0, lo), those of [lo, hi) lead to the root of hi."""
    for hi in range(70):
        for lo in range(hi + 1):
            frontier = Frontier(lo, REFERENCE.read_nodes(subtree_nodes(0, lo)))
            assert frontier.root() == REFERENCE.root(lo)
            for level, index in subtree_nodes(lo, hi):
                frontier.append(REFERENCE.node(level, index), level)
            assert frontier.size == hi
            assert frontier.root() == REFERENCE.root(hi)
            assert frontier.hashes == REFERENCE.read_nodes(subtree_nodes(0, hi))


def test_frontier_copies_its_hashes() -> None:
    hashes = [REFERENCE.leaves[0]]
    Frontier(1, hashes).append(REFERENCE.leaves[1])
    assert hashes == [REFERENCE.leaves[0]]


@pytest.mark.parametrize(("size", "count"), [(0, 1), (1, 0), (3, 1), (3, 3), (4, 2), (-1, 1)])
def test_frontier_refuses_hashes_that_do_not_fit_its_size(size: int, count: int) -> None:
    with pytest.raises(AssertionError, match="bad math"):
        Frontier(size, REFERENCE.leaves[:count])


@pytest.mark.parametrize(("size", "level"), [(1, 1), (2, 2), (3, 1), (6, 2), (6, 3)])
def test_frontier_refuses_a_subtree_that_cannot_start_there(size: int, level: int) -> None:
    frontier = Frontier(size, REFERENCE.leaves[: size.bit_count()])
    with pytest.raises(AssertionError, match="bad math"):
        frontier.append(REFERENCE.leaves[0], level)
    assert frontier.size == size
