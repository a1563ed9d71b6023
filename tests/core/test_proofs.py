"""A proof is accepted where it is true and nowhere else.

True: for all small trees, proofs equal the RFC's recursion and verify. Nowhere else: each one-step
change of a proof, an index, a size or a hash is refused; and 518 vectors of transparency-dev/merkle.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.paths import VECTORS
from tests.reference import trees
from tlog.core.hashes import EMPTY_ROOT
from tlog.core.merkle import Node, root_of, subtree_nodes
from tlog.core.proofs import (
    consistency_nodes,
    consistency_proof,
    inclusion_nodes,
    inclusion_proof,
    inclusion_root,
    path_levels,
    prefix_proof,
    prefix_roots,
    range_proof,
    verify_consistency,
    verify_inclusion,
    verify_range,
    verify_subtree_consistency,
    verify_subtree_inclusion,
)
from tlog.core.wire import b64decode
from tlog.errors import InvalidInput, VerificationError

TREES = trees()
LEAVES = TREES.leaves
ALL = 256  # every tree up to here is proved and verified
MUTATED = 40  # every proof of every tree up to here is mutated in every way
ROOT = [TREES.root(size) for size in range(ALL + 1)]

FAR_LEAF = TREES.leaves[-1]  # a hash that belongs to none of the trees up to ALL


def refused(verify: Callable[..., object], *arguments: Any) -> None:
    """The call raises the one opaque error, the same for every cause."""
    try:
        verify(*arguments)
    except VerificationError as error:
        opaque = str(error) == "verification failed"
    else:
        pytest.fail(f"{verify.__name__} accepts {arguments}")
    assert opaque


def flipped(digest: bytes, bit: int) -> bytes:
    flip = bytearray(digest)
    flip[bit // 8 % len(digest)] ^= 1 << bit % 8
    return bytes(flip)


def mutations(proof: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Every one-step change of a list of hashes, each different from the original."""
    whole = list(proof)
    yield [*whole, FAR_LEAF]
    yield [FAR_LEAF, *whole]
    yield [*whole, b""]
    for i, digest in enumerate(whole):
        before, after = whole[:i], whole[i + 1 :]
        yield before + after
        yield [*before, digest, digest, *after]
        yield [*before, flipped(digest, i * 37), *after]
        yield [*before, digest[:-1], *after]
        yield [*before, digest + b"\x00", *after]
        yield [*before, b"", *after]
        yield before
        if after:
            yield [*before, after[0], digest, *after[1:]]


def sampled_pairs(count: int) -> list[tuple[int, int]]:
    """Pairs m < n <= ALL, the awkward ones about powers of two among them."""
    choose = random.Random(6962)
    awkward = [63, 64, 65, 127, 128, 129, 191, 192, 254, 255, 256]
    pairs = [(m, n) for n in awkward for m in [0, 1, *awkward] if m < n]
    for _ in range(count):
        n = choose.randint(MUTATED + 1, ALL)
        pairs.append((choose.randrange(n), n))
    return pairs


class CountingReader:
    """A NodeReader over the reference that allows one read."""

    def __init__(self) -> None:
        self.reads = 0

    def read_nodes(self, nodes: Sequence[Node]) -> list[bytes]:
        self.reads += 1
        assert self.reads == 1, "a proof is one batched read"
        assert len(set(nodes)) == len(nodes)
        return TREES.read_nodes(list(nodes))


# Inclusion


def test_inclusion_of_every_leaf_in_every_tree() -> None:
    for n in range(1, ALL + 1):
        for i in range(n):
            proof = inclusion_proof(i, n, CountingReader())
            if n <= 100 or i % 7 == 0:
                assert proof == TREES.PATH(i, 0, n)
            assert len(proof) == len(path_levels(i, n))
            verify_inclusion(LEAVES[i], i, n, proof, ROOT[n])


def check_inclusion_mutations(i: int, n: int) -> None:
    leaf, root = LEAVES[i], ROOT[n]
    proof = inclusion_proof(i, n, TREES)
    for mutated in mutations(proof):
        refused(verify_inclusion, leaf, i, n, mutated, root)
    for wrong in (flipped(leaf, i), FAR_LEAF, b"", leaf[:31], leaf + b"\x00"):
        refused(verify_inclusion, wrong, i, n, proof, root)
    for wrong in (flipped(root, n), EMPTY_ROOT, b"", root[:31]):
        refused(verify_inclusion, leaf, i, n, proof, wrong)
    for index in (-1, n, n + 1, i - n, i + n, 2**64):
        refused(verify_inclusion, leaf, index, n, proof, root)
    for size in (0, -1, i, -n):
        refused(verify_inclusion, leaf, i, size, proof, root)


def test_inclusion_mutated_is_refused() -> None:
    for n in range(1, MUTATED + 1):
        for i in range(n):
            check_inclusion_mutations(i, n)
            for other in range(n):
                if other != i:
                    proof = inclusion_proof(i, n, TREES)
                    refused(verify_inclusion, LEAVES[i], other, n, proof, ROOT[n])


def test_inclusion_mutated_is_refused_in_larger_trees() -> None:
    for i, n in sampled_pairs(300):
        check_inclusion_mutations(i, n)


def test_inclusion_in_another_tree_is_refused() -> None:
    """The same leaf, index and proof do not fit the root of any other size."""
    for n in range(1, MUTATED):
        for i in range(n):
            proof = inclusion_proof(i, n, TREES)
            for other in range(1, MUTATED):
                if other != n:
                    refused(verify_inclusion, LEAVES[i], i, other, proof, ROOT[other])


def test_inclusion_root_is_the_root() -> None:
    assert inclusion_root(LEAVES[3], 3, 7, TREES.PATH(3, 0, 7)) == ROOT[7]
    refused(inclusion_root, LEAVES[3], 3, 7, TREES.PATH(3, 0, 7)[:-1])
    refused(inclusion_root, LEAVES[3], 7, 7, [])


# Consistency


def test_consistency_of_every_pair_of_trees() -> None:
    for n in range(1, ALL + 1):
        for m in range(1, n + 1):
            proof = consistency_proof(m, n, CountingReader())
            if n <= 100 or m % 7 == 0:
                assert proof == TREES.PROOF(m, n)
            verify_consistency(m, n, proof, ROOT[m], ROOT[n])


def check_consistency_mutations(m: int, n: int) -> None:
    old, new = ROOT[m], ROOT[n]
    proof = consistency_proof(m, n, TREES)
    for mutated in mutations(proof):
        refused(verify_consistency, m, n, mutated, old, new)
    for wrong in (flipped(old, m), FAR_LEAF, EMPTY_ROOT, b"", old[:31], old + b"\x00"):
        refused(verify_consistency, m, n, proof, wrong, new)
    for wrong in (flipped(new, n), FAR_LEAF, EMPTY_ROOT, b"", new[:31], new + b"\x00"):
        refused(verify_consistency, m, n, proof, old, wrong)
    if m != n:
        refused(verify_consistency, m, n, proof, new, old)
        refused(verify_consistency, n, m, proof, new, old)
    for size in (-1, -m, n + 1, 0, 2**64):
        refused(verify_consistency, size, n, proof, old, new)
    for size in (-1, -n, m - 1, 0):
        refused(verify_consistency, m, size, proof, old, new)


def test_consistency_mutated_is_refused() -> None:
    for n in range(1, MUTATED + 1):
        for m in range(1, n + 1):
            check_consistency_mutations(m, n)
            for other in range(n + 1):
                if other != m:
                    proof = consistency_proof(m, n, TREES)
                    refused(verify_consistency, other, n, proof, ROOT[m], ROOT[n])


def test_consistency_mutated_is_refused_in_larger_trees() -> None:
    for m, n in sampled_pairs(300):
        if m:
            check_consistency_mutations(m, n)


def test_consistency_from_the_empty_tree() -> None:
    """Every tree extends it, with nothing to show; and only it has the empty root."""
    assert consistency_proof(0, 5, TREES) == []
    verify_consistency(0, 5, [], EMPTY_ROOT, ROOT[5])
    verify_consistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    refused(verify_consistency, 0, 5, [ROOT[5]], EMPTY_ROOT, ROOT[5])
    refused(verify_consistency, 0, 5, [], ROOT[5], ROOT[5])
    refused(verify_consistency, 0, 5, [], EMPTY_ROOT, b"")
    refused(verify_consistency, 0, 0, [], EMPTY_ROOT, ROOT[5])
    refused(verify_consistency, 0, 0, [EMPTY_ROOT], EMPTY_ROOT, EMPTY_ROOT)


def test_consistency_with_itself() -> None:
    for n in range(1, ALL + 1):
        assert consistency_proof(n, n, TREES) == []
        refused(verify_consistency, n, n, [], ROOT[n], ROOT[n - 1])
        refused(verify_consistency, n, n, [ROOT[n]], ROOT[n], ROOT[n])


def test_a_fork_has_no_proof() -> None:
    """The honest proof of one history does not connect the head of another to it."""
    forked = [*LEAVES[:5], FAR_LEAF, *LEAVES[6:9]]
    head = root_of(forked)
    for m in range(1, 9):
        refused(verify_consistency, m, 9, consistency_proof(m, 9, TREES), ROOT[m], head)


# Subtrees


def subtrees(size: int) -> Iterator[tuple[int, int]]:
    """Every [start, end) within `size` whose start is a multiple of bit_ceil(end - start)."""
    for start in range(size):
        for end in range(start + 1, size + 1):
            ceiling = 1
            while ceiling < end - start:
                ceiling *= 2
            if start % ceiling == 0:
                yield start, end


def test_consistency_of_every_subtree() -> None:
    for n in range(1, MUTATED + 1):
        for start, end in subtrees(n):
            subtree = TREES.MTH(start, end)
            proof = TREES.subtree_proof(start, end, 0, n, True)
            verify_subtree_consistency(start, end, n, proof, subtree, ROOT[n])
            for mutated in mutations(proof):
                refused(verify_subtree_consistency, start, end, n, mutated, subtree, ROOT[n])
            wrong = flipped(subtree, start)
            refused(verify_subtree_consistency, start, end, n, proof, wrong, ROOT[n])
            refused(verify_subtree_consistency, start, end, n, proof, subtree, flipped(ROOT[n], n))


def test_inclusion_in_every_subtree() -> None:
    for start, end in subtrees(40):
        subtree = TREES.MTH(start, end)
        for i in range(start, end):
            proof = TREES.PATH(i, start, end)
            verify_subtree_inclusion(LEAVES[i], i, start, end, proof, subtree)
            refused(verify_subtree_inclusion, LEAVES[i], i - end, start, end, proof, subtree)
            refused(verify_subtree_inclusion, flipped(LEAVES[i], i), i, start, end, proof, subtree)


def test_ranges_that_are_no_subtrees_are_refused() -> None:
    good = set(subtrees(24))
    for start in range(-2, 24):
        for end in range(-2, 24):
            if start != end and (start, end) not in good:
                refused(verify_subtree_consistency, start, end, 24, [], FAR_LEAF, FAR_LEAF)
                refused(verify_subtree_inclusion, FAR_LEAF, start, start, end, [], FAR_LEAF)
    verify_subtree_consistency(7, 7, 24, [], EMPTY_ROOT, ROOT[24])
    refused(verify_subtree_consistency, 7, 7, 24, [], FAR_LEAF, ROOT[24])
    refused(verify_subtree_consistency, 7, 7, 24, [FAR_LEAF], EMPTY_ROOT, ROOT[24])
    refused(verify_subtree_consistency, -1, -1, 24, [], EMPTY_ROOT, ROOT[24])
    refused(verify_subtree_consistency, 25, 25, 24, [], EMPTY_ROOT, ROOT[24])


# Ranges and prefixes


def test_every_range_of_every_tree() -> None:
    for n in range(1, 65):
        for first in range(n):
            for end in range(first + 1, n + 1):
                left, right = range_proof(first, end, n, CountingReader())
                assert left == TREES.read_nodes(subtree_nodes(0, first))
                assert right == TREES.read_nodes(subtree_nodes(end, n))
                verify_range(LEAVES[first:end], first, n, left, right, ROOT[n])


def test_ranges_mutated_are_refused() -> None:
    for n in (*range(1, 13), 16, 21, 27):
        for first in range(n):
            for end in range(first + 1, n + 1):
                left, right = range_proof(first, end, n, TREES)
                leaves, root = LEAVES[first:end], ROOT[n]
                for mutated in mutations(leaves):
                    refused(verify_range, mutated, first, n, left, right, root)
                for mutated in mutations(left):
                    refused(verify_range, leaves, first, n, mutated, right, root)
                for mutated in mutations(right):
                    refused(verify_range, leaves, first, n, left, mutated, root)
                if left and right:
                    refused(verify_range, leaves, first, n, right, left, root)
                for start in (first - 1, first + 1, -first, n, -1):
                    if start != first:
                        refused(verify_range, leaves, start, n, left, right, root)
                for size in (end - 1, 0, -n):
                    refused(verify_range, leaves, first, size, left, right, root)
                refused(verify_range, leaves, first, n, left, right, flipped(root, n))
                refused(verify_range, [], first, n, left, right, root)


def test_an_empty_range_is_refused_even_with_all_its_hashes() -> None:
    left = TREES.read_nodes(subtree_nodes(0, 5))
    right = TREES.read_nodes(subtree_nodes(5, 9))
    refused(verify_range, [], 5, 9, left, right, ROOT[9])


def test_every_prefix_of_every_tree() -> None:
    for n in range(65):
        for m in range(n + 1):
            hashes = prefix_proof(m, n, CountingReader())
            assert prefix_roots(m, n, hashes) == (ROOT[m], ROOT[n])


def test_prefixes_mutated_give_other_roots_or_none() -> None:
    for n in range(1, MUTATED):
        for m in range(n + 1):
            hashes = prefix_proof(m, n, TREES)
            for mutated in mutations(hashes):
                try:
                    roots = prefix_roots(m, n, mutated)
                except VerificationError:
                    continue
                assert len(mutated) == len(hashes)
                assert roots[1] != ROOT[n]
            for old, new in ((n + 1, n), (-1, n), (m, m - 1)):
                refused(prefix_roots, old, new, hashes)


# Lengths


def shifted(left: bytes, right: bytes) -> tuple[bytes, bytes]:
    """The same 64 bytes, cut elsewhere: as the two children of a node they hash alike."""
    return left + right[:1], right[1:]


def test_a_pair_cut_elsewhere_is_refused() -> None:
    """Were a hash of 31 or 33 bytes let through, other "leaves" would have the same root."""
    a, b = shifted(LEAVES[0], LEAVES[1])
    assert root_of([a, b]) == ROOT[2]
    refused(verify_inclusion, a, 0, 2, [b], ROOT[2])
    refused(verify_range, [a, b], 0, 2, [], [], ROOT[2])
    refused(verify_range, [a], 0, 2, [], [b], ROOT[2])
    refused(verify_range, [b], 1, 2, [a], [], ROOT[2])
    c, d = shifted(ROOT[2], LEAVES[2])
    refused(prefix_roots, 3, 3, [c, d])
    refused(prefix_roots, 2, 3, [c, d])


def test_every_length_is_checked_before_anything_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    cases: list[tuple[Callable[..., object], list[Any], int]] = [
        (verify_inclusion, [LEAVES[4], 4, 7, TREES.PATH(4, 0, 7), ROOT[7]], 3),
        (verify_consistency, [5, 8, TREES.PROOF(5, 8), ROOT[5], ROOT[8]], 2),
        (prefix_roots, [5, 8, prefix_proof(5, 8, TREES)], 2),
        (verify_range, [LEAVES[3:5], 3, 8, *range_proof(3, 5, 8, TREES), ROOT[8]], 0),
        (verify_range, [LEAVES[3:5], 3, 8, *range_proof(3, 5, 8, TREES), ROOT[8]], 3),
        (verify_range, [LEAVES[3:5], 3, 8, *range_proof(3, 5, 8, TREES), ROOT[8]], 4),
    ]
    for verify, arguments, _ in cases:
        verify(*arguments)

    def hashing(*_: object) -> None:
        pytest.fail("hashed before the lengths were checked")

    monkeypatch.setattr("tlog.core.proofs.node_hash", hashing)
    monkeypatch.setattr("tlog.core.proofs.Frontier", hashing)
    for verify, arguments, at in cases:
        for i, digest in enumerate(arguments[at]):
            for wrong in (digest[:-1], digest + b"\x00", b""):
                hashes = [*arguments[at]]
                hashes[i] = wrong
                refused(verify, *arguments[:at], hashes, *arguments[at + 1 :])
        refused(verify, *arguments[:at], [*arguments[at], FAR_LEAF] * 5, *arguments[at + 1 :])


# What the provers themselves refuse


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (6, 5), (-1, 5), (-1, -1), (0, -1)])
def test_no_inclusion_proof_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        inclusion_nodes(index, size)
    assert caught.value.kind == "out-of-range"


@pytest.mark.parametrize(("old", "new"), [(6, 5), (-1, 5), (1, 0), (-2, -1)])
def test_no_consistency_proof_backwards(old: int, new: int) -> None:
    for prove in (consistency_nodes, lambda m, n: prefix_proof(m, n, TREES)):
        with pytest.raises(InvalidInput) as caught:
            prove(old, new)
        assert caught.value.kind == "out-of-range"


@pytest.mark.parametrize(("first", "end"), [(-1, 2), (3, 3), (3, 2), (0, 6), (5, 6), (0, 0)])
def test_no_range_proof_outside_the_tree(first: int, end: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        range_proof(first, end, 5, TREES)
    assert caught.value.kind == "out-of-range"


@pytest.mark.parametrize("count", [1, 3])
def test_a_reader_that_gives_another_number_of_hashes_is_a_fault(count: int) -> None:
    class Broken:
        def read_nodes(self, nodes: Sequence[Node]) -> list[bytes]:
            return [bytes(32)] * count

    with pytest.raises(AssertionError, match="bad math"):
        inclusion_proof(0, 4, Broken())


def test_proofs_of_the_largest_trees_are_short() -> None:
    """63 hashes at most, however hostile the numbers: nothing here grows with the size."""
    for size in (2**62, 2**63 - 1, 2**63):
        for index in (0, 1, size // 2, size - 2, size - 1):
            assert len(path_levels(index, size)) <= 63
            assert len(inclusion_nodes(index, size).nodes) <= 125


# Vectors of transparency-dev/merkle

VECTOR_FILES = sorted((VECTORS / "merkle").glob("*/**/*.json"))


def verify_vector(kind: str, vector: dict[str, Any]) -> None:
    proof = [b64decode(text) for text in vector["proof"] or []]
    hashes = {
        name: b64decode(vector[name] or "")
        for name in ("root", "root1", "root2", "leafHash")
        if name in vector
    }
    if kind == "inclusion":
        index, size = vector["leafIdx"], vector["treeSize"]
        verify_inclusion(hashes["leafHash"], index, size, proof, hashes["root"])
    elif kind == "consistency":
        sizes = vector["size1"], vector["size2"]
        verify_consistency(*sizes, proof, hashes["root1"], hashes["root2"])
    elif kind == "subtreeinclusion":
        place = vector["leafIdx"], vector["start"], vector["end"]
        verify_subtree_inclusion(hashes["leafHash"], *place, proof, hashes["root"])
    else:
        assert kind == "subtreeconsistency"
        place = vector["start"], vector["end"], vector["size"]
        verify_subtree_consistency(*place, proof, hashes["root1"], hashes["root2"])


# These write a short text where a root belongs, and want it compared; we demand 32 bytes. The two
# of the empty subtree leave the tree's root out.
NOT_HASHES = {
    "consistency/additional/sizes-are-equal-one-and-proof-is-empty",
    "subtreeconsistency/additional/sizes-are-equal-one-and-proof-is-empty",
    "subtreeconsistency/additional/subtree-is-empty-sizes-are-equal-one-subtree-root-valid-tree-root-random-proof-is-empty",
    "subtreeconsistency/additional/subtree-is-empty-sizes-are-equal-zero-subtree-root-valid-tree-root-random-proof-is-empty",
}


@pytest.mark.skipif(not VECTOR_FILES, reason=f"no vectors at {VECTORS}: set TLOG_VECTORS")
def test_the_vectors_are_all_there() -> None:
    assert len(VECTOR_FILES) == 518
    assert {name(path) for path in VECTOR_FILES} >= NOT_HASHES
    good = [path for path in VECTOR_FILES if not json.loads(path.read_bytes())["wantErr"]]
    assert len(good) == 32 + len(NOT_HASHES)


def name(path: Path) -> str:
    return path.relative_to(VECTORS / "merkle").with_suffix("").as_posix()


@pytest.mark.parametrize("path", VECTOR_FILES, ids=name)
def test_vectors_of_transparency_dev(path: Path) -> None:
    kind = name(path).split("/")[0]
    vector = json.loads(path.read_bytes())
    if vector["wantErr"] or name(path) in NOT_HASHES:
        refused(verify_vector, kind, vector)
    else:
        verify_vector(kind, vector)
