"""Merkle proofs: RFC 6962 sections 2.1.1 and 2.1.2, RFC 9162 section 2.1.3 and 2.1.4.

In scope: inclusion of a leaf (PATH), consistency of two trees (PROOF), the same for subtrees, and two
forms made of maximal subtrees only: a range of leaves, and a prefix. Out of scope: signatures.

A prover lists the nodes that it needs, reads them once, and combines; a verifier checks every length
before it hashes anything. Proofs run from the lowest level to the highest. Whatever is wrong with a
proof, the verifier raises the same VerificationError. Whoever asks a prover for what no tree has gets
InvalidInput("out-of-range").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from tlog.core.hashes import EMPTY_ROOT, HASH_SIZE, Hash, node_hash
from tlog.core.merkle import Frontier, Node, NodeReader, fold, subtree_nodes
from tlog.errors import InvalidInput, VerificationError


class ProofNodes(NamedTuple):
    """The nodes that make a proof, in order. `nodes[begin:end]` fold into one hash of it.

    They are the ragged right edge of the tree, which is no complete subtree; a proof holds it at
    most once. Every other node is a hash of the proof itself.
    """

    nodes: list[Node]
    begin: int
    end: int


def path_levels(index: int, size: int) -> list[int]:
    """The levels at which leaf `index` has a sibling among `size` leaves, lowest first.

    This is the shape of PATH(index, D[size]): one hash per level. Up to the level where the path
    meets that of the last leaf there is always a sibling; above it, on the right edge, the sibling
    can only be to the left: where the index has a bit set.
    """
    meet = (index ^ (size - 1)).bit_length()
    above = [level for level in range(meet, index.bit_length()) if index >> level & 1]
    return [*range(meet), *above]


def _path_nodes(level: int, index: int, size: int) -> ProofNodes:
    """The siblings on the way from node (level, index) to the root of `size` leaves."""
    last = (size - 1) >> level
    nodes = [(level + up, (index >> up) ^ 1) for up in path_levels(index, last + 1)]
    meet = (index ^ last).bit_length()
    if not meet:
        return ProofNodes(nodes, 0, 0)
    # The sibling where the two paths meet contains the last leaf: MTH(D[k:n]) of the RFC.
    top, sibling = nodes[meet - 1]
    ragged = subtree_nodes(sibling << top, size)
    nodes[meet - 1 : meet] = ragged
    return ProofNodes(nodes, meet - 1, meet - 1 + len(ragged))


def inclusion_nodes(index: int, size: int) -> ProofNodes:
    """What PATH(index, D[size]) is made of; 0 <= index < size."""
    if not 0 <= index < size:
        raise InvalidInput("out-of-range", "the tree has no such leaf")
    return _path_nodes(0, index, size)


def consistency_nodes(old: int, new: int) -> ProofNodes:
    """What PROOF(old, D[new]) is made of; 0 <= old <= new.

    SUBPROOF ends at the last maximal subtree of [0, old): the proof is its path, with its own hash
    in front unless it is the whole old tree, whose root the verifier knows. Nothing is needed from
    an empty tree, nor to the same tree.
    """
    if not 0 <= old <= new:
        raise InvalidInput("out-of-range", "no tree of the first size is part of the second")
    if old in (0, new):
        return ProofNodes([], 0, 0)
    level = _trailing_zeros(old)
    index = (old - 1) >> level
    path = _path_nodes(level, index, new)
    if not index:
        return path
    return ProofNodes([(level, index), *path.nodes], path.begin + 1, path.end + 1)


def _trailing_zeros(number: int) -> int:
    """How often 2 divides `number`, which is not 0."""
    return (number & -number).bit_length() - 1


def _read(needed: ProofNodes, reader: NodeReader) -> list[Hash]:
    nodes, begin, end = needed
    hashes = reader.read_nodes(nodes)
    if len(hashes) != len(nodes):
        raise AssertionError("tlog: bad math in a NodeReader")
    if end - begin < 2:
        return hashes
    return [*hashes[:begin], fold(hashes[begin:end]), *hashes[end:]]


def inclusion_proof(index: int, size: int, reader: NodeReader) -> list[Hash]:
    """PATH(index, D[size]), RFC 6962 section 2.1.1: one read. Raises: InvalidInput."""
    return _read(inclusion_nodes(index, size), reader)


def consistency_proof(old: int, new: int, reader: NodeReader) -> list[Hash]:
    """PROOF(old, D[new]), RFC 6962 section 2.1.2: one read. Empty for old == 0 and old == new.

    Raises: InvalidInput.
    """
    return _read(consistency_nodes(old, new), reader)


def inclusion_root(leaf: Hash, index: int, size: int, proof: Sequence[Hash]) -> Hash:
    """The root of the tree of `size` leaves that `proof` puts leaf hash `leaf` at `index` of. HOT.

    1. The index is in the tree, 2. the path has the length that (index, size) demands, 3. from
    leaf to root each hash joins on the side where the sibling lies (RFC 9162 section 2.1.3.2).

    Raises: VerificationError.
    """
    if not 0 <= index < size:  # 1
        raise VerificationError
    levels = path_levels(index, size)
    _demand(len(proof) == len(levels), leaf, *proof)  # 2
    root = leaf
    for level, sibling in zip(levels, proof, strict=True):  # 3
        pair = sibling + root if index >> level & 1 else root + sibling
        root = sha256(b"\x01" + pair).digest()
    return root


def verify_inclusion(leaf: Hash, index: int, size: int, proof: Sequence[Hash], root: Hash) -> None:
    """Check that `leaf` is leaf hash number `index` of the tree (size, root).

    Raises: VerificationError.
    """
    if inclusion_root(leaf, index, size, proof) != root:
        raise VerificationError


def verify_subtree_inclusion(
    leaf: Hash, index: int, start: int, end: int, proof: Sequence[Hash], subtree: Hash
) -> None:
    """Check that leaf number `index` of a log is in the subtree of leaves [start, end).

    A subtree is a tree: this is plain inclusion, counted from `start` (C2SP tlog-witness).
    Raises: VerificationError.
    """
    _demand(_is_subtree(start, end))
    verify_inclusion(leaf, index - start, end - start, proof, subtree)


def verify_consistency(
    old: int, new: int, proof: Sequence[Hash], old_root: Hash, new_root: Hash
) -> None:
    """Check that the tree (new, new_root) begins with the `old` leaves of (old, old_root).

    From an empty tree anything extends: the proof must be empty and `old_root` the empty root.
    RFC 9162 section 2.1.4.2. Raises: VerificationError.
    """
    if new == 0:
        _demand(new_root == EMPTY_ROOT)
    verify_subtree_consistency(0, old, new, proof, old_root, new_root)


def consistency_root(old: int, new: int, proof: Sequence[Hash], old_root: Hash) -> Hash:
    """The root of `new` leaves to which `proof` extends the tree (old, old_root); 0 < old < new.

    For those who hold only a signature over it (RFC 9942). Raises: VerificationError.
    """
    _demand(0 < old < new)
    within, above = _climb(0, old, new, proof, old_root)
    _demand(within == old_root)
    return above


def verify_subtree_consistency(
    start: int, end: int, size: int, proof: Sequence[Hash], subtree: Hash, root: Hash
) -> None:
    """Check that `subtree` is the hash of the leaves [start, end) of the tree (size, root).

    An empty subtree proves nothing and needs nothing. Raises: VerificationError.
    """
    _demand(_is_subtree(start, end) and end <= size, subtree, root)
    if start == end:
        _demand(not proof and subtree == EMPTY_ROOT)
    else:
        _demand(_climb(start, end, size, proof, subtree) == (subtree, root))


def _climb(start: int, end: int, size: int, proof: Sequence[Hash], part: Hash) -> tuple[Hash, Hash]:
    """The hash of [start, end), a subtree, and the root of `size` leaves that a proof gives.

    1. It begins at the largest complete subtree that ends [start, end): `part`, or the first hash of
    the proof; on the right edge `part`, complete or not.  2. The path from there has the length that
    (end, size) demands.  3. `above` becomes the root; `within` takes only hashes of [start, end).
    """
    first, last = start, end - 1
    level = (first ^ last).bit_length()  # 1
    if end < size:
        level = min(level, _trailing_zeros(end))
    first, last, tree_last = first >> level, last >> level, (size - 1) >> level
    seeds = 0 if first == last else 1
    levels = path_levels(last, tree_last + 1)
    _demand(len(proof) == seeds + len(levels), part, *proof)  # 2
    within = above = proof[0] if seeds else part
    for up, sibling in zip(levels, proof[seeds:], strict=True):  # 3
        if last >> up & 1:
            if first >> up < last >> up:
                within = node_hash(sibling, within)
            above = node_hash(sibling, above)
        else:
            above = node_hash(above, sibling)
    return within, above


def _is_subtree(start: int, end: int) -> bool:
    """Whether [start, end) can be cut from a log: `start` is a multiple of bit_ceil(end - start)."""
    if start >= end:
        return 0 <= start == end
    return start >= 0 and start % (1 << (end - start - 1).bit_length()) == 0


def range_proof(
    first: int, end: int, size: int, reader: NodeReader
) -> tuple[list[Hash], list[Hash]]:
    """Prove the leaves [first, end), at least one, of `size`: with one read, what is beside them.

    Returns the hashes of the maximal subtrees of [0, first) and of [end, size), left to right.
    Raises: InvalidInput.
    """
    if not 0 <= first < end <= size:
        raise InvalidInput("out-of-range", "the tree has no such range of leaves")
    left = subtree_nodes(0, first)
    hashes = _read(ProofNodes(left + subtree_nodes(end, size), 0, 0), reader)
    return hashes[: len(left)], hashes[len(left) :]


def verify_range(
    leaf_hashes: Sequence[Hash],
    first: int,
    size: int,
    left: Sequence[Hash],
    right: Sequence[Hash],
    root: Hash,
) -> None:
    """Check that `leaf_hashes`, at least one, are the leaves from number `first` of (size, root).

    Raises: VerificationError.
    """
    end = first + len(leaf_hashes)
    if not 0 <= first < end <= size:
        raise VerificationError
    after = subtree_nodes(end, size)
    lengths_fit = len(left) == first.bit_count() and len(right) == len(after)
    _demand(lengths_fit, *left, *leaf_hashes, *right)
    tree = Frontier(first, left)
    for leaf in leaf_hashes:
        tree.append(leaf)
    _append_subtrees(tree, after, right)
    _demand(tree.root() == root)


def prefix_proof(old: int, new: int, reader: NodeReader) -> list[Hash]:
    """The maximal subtrees of [0, old), then of [old, new): both trees in one list, with one read.

    Unlike PROOF it gives both roots, so it shows a fork as well as its absence. 0 <= old <= new.
    Raises: InvalidInput.
    """
    if not 0 <= old <= new:
        raise InvalidInput("out-of-range", "no tree of the first size is part of the second")
    return _read(ProofNodes(subtree_nodes(0, old) + subtree_nodes(old, new), 0, 0), reader)


def prefix_roots(old: int, new: int, hashes: Sequence[Hash]) -> tuple[Hash, Hash]:
    """The roots of sizes `old` and `new` of the one tree that a prefix proof describes.

    Raises: VerificationError.
    """
    if not 0 <= old <= new:
        raise VerificationError
    after = subtree_nodes(old, new)
    _demand(len(hashes) == old.bit_count() + len(after), *hashes)
    tree = Frontier(old, hashes[: old.bit_count()])
    old_root = tree.root()
    _append_subtrees(tree, after, hashes[old.bit_count() :])
    return old_root, tree.root()


def _append_subtrees(tree: Frontier, nodes: Iterable[Node], hashes: Iterable[Hash]) -> None:
    for (level, _), subtree in zip(nodes, hashes, strict=True):
        tree.append(subtree, level)


def _demand(condition: bool, *hashes: Hash) -> None:
    """Raise VerificationError unless `condition` holds and every hash is 32 bytes long."""
    if not condition or (hashes and {HASH_SIZE} != set(map(len, hashes))):
        raise VerificationError
