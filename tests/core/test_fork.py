"""A fork proof holds where a log lied, and nothing that an honest log ever signed makes one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.core.histories import LABELS, ORIGIN, History, Tree, seed_of
from tlog.core.checkpoint import Checkpoint
from tlog.core.cosignature import CosignatureSigner
from tlog.core.fork import (
    GROWTH,
    HISTORY,
    MAX_DOCUMENT,
    PLACE,
    ForkProof,
    Statement,
    build,
    find_fork,
    parse,
    verify_fork,
)
from tlog.core.fork_text import describe
from tlog.core.hashes import EMPTY_ROOT
from tlog.core.note import Signer, Verifier, sign_note
from tlog.errors import InvalidInput, VerificationError

STREAM = LABELS[0]


def log() -> tuple[History, History]:
    """Two histories of one log that part at leaf 4 of the root log, leaf 5 of the stream."""
    one = History()
    for entry in (b"a", b"b", b"c"):
        one.commit(STREAM, entry)
    other = one.copy()
    one.commit(STREAM, b"d", b"e")
    other.commit(STREAM, b"d", b"E")
    for entry in (b"f", b"g", b"h"):
        one.commit(STREAM, entry)
        other.commit(STREAM, entry)
    return one, other


ONE, OTHER = log()
KEY = ONE.verifier


def refused(proof: ForkProof | bytes, key: Verifier = KEY) -> None:
    """The proof does not verify, with the one opaque error."""
    with pytest.raises(VerificationError, match=r"^verification failed$"):
        verify_fork(proof if isinstance(proof, bytes) else build(proof), key)


def by_root_notes() -> ForkProof:
    return ForkProof(HISTORY, ONE.note("", 6), OTHER.note("", 8), OTHER.root.prefix(6, 8))


def by_one_size() -> ForkProof:
    return ForkProof(HISTORY, ONE.note("", 6), OTHER.note("", 6))


def by_stream_notes() -> ForkProof:
    hashes = OTHER.tree(STREAM).prefix(5, 7)
    return ForkProof(HISTORY, ONE.note(STREAM, 5), OTHER.note(STREAM, 7), hashes)


def by_note_and_leaf() -> ForkProof:
    return ForkProof(HISTORY, ONE.note(STREAM, 5), OTHER.leaf(4))


def by_leaves_of_one_root() -> ForkProof:
    """The operator puts a head of another history into the same root log."""
    history = ONE.copy()
    later = history.write(OTHER.head(STREAM).body())
    hashes = OTHER.tree(STREAM).prefix(5, 8)
    return ForkProof(HISTORY, history.leaf(4), history.leaf(later), hashes)


def by_growth() -> ForkProof:
    """The tail of a stream was cut: its next head is smaller, and of its own history."""
    history = ONE.copy()
    later = history.write(history.head(STREAM, 3).body())
    return ForkProof(GROWTH, history.leaf(later - 1), history.leaf(later))


def by_standing_still() -> ForkProof:
    """The same head once more: every leaf of the root log stands for a commit that added something."""
    history = ONE.copy()
    later = history.write(history.head(STREAM).body())
    return ForkProof(GROWTH, history.leaf(later - 1), history.leaf(later))


def by_place() -> ForkProof:
    return ForkProof(PLACE, ONE.leaf(4, 6), OTHER.leaf(4, 8))


GOOD: dict[str, Callable[[], ForkProof]] = {
    "root notes": by_root_notes,
    "root notes of one size": by_one_size,
    "stream notes": by_stream_notes,
    "a stream note and a leaf": by_note_and_leaf,
    "leaves of one root": by_leaves_of_one_root,
    "a smaller head after a larger one": by_growth,
    "the same head twice in the root log": by_standing_still,
    "two leaves at one place": by_place,
}


@pytest.mark.parametrize("name", GOOD)
def test_a_lie_is_shown(name: str) -> None:
    proof = GOOD[name]()
    document = build(proof)
    assert parse(document) == proof
    fork = verify_fork(document, KEY)
    assert (fork.rule, fork.log_origin) == (proof.rule, ORIGIN)
    assert verify_fork(json.dumps(json.loads(document), indent=3).encode(), KEY) == fork
    # However the two are presented, the finder puts them in their order.
    for pair in ((proof.first, proof.second), (proof.second, proof.first)):
        found = find_fork(*pair, KEY, proof.hashes)
        assert found is not None
        verify_fork(found, KEY)


def test_what_it_shows() -> None:
    fork = verify_fork(build(by_stream_notes()), KEY)
    assert fork.origin == f"{ORIGIN}/streams/{STREAM}"
    assert fork.heads == (ONE.head(STREAM, 5), OTHER.head(STREAM, 7))
    assert fork.other_root == OTHER.tree(STREAM).root(5) != ONE.tree(STREAM).root(5)
    fork = verify_fork(build(by_one_size()), KEY)
    assert fork.heads == (ONE.head("", 6), OTHER.head("", 6))
    assert (fork.origin, fork.other_root) == (ORIGIN, None)
    fork = verify_fork(build(by_place()), KEY)
    assert (fork.heads, fork.first.leaf, fork.second.leaf) == (None, ONE.leaves[4], OTHER.leaves[4])
    assert (fork.first.signed, fork.second.signed) == (ONE.head("", 6), OTHER.head("", 8))


def test_it_is_told_in_plain_words() -> None:
    told, first, second = describe(verify_fork(build(by_root_notes()), KEY))
    assert told == (
        "log.example.com signed two histories of its root log: one of 6 entries, and one of 8 "
        "entries that does not begin with them."
    )
    assert first.startswith("size 6, root ") and first.endswith(": signed by itself")
    assert "; the root of its first 6 is " in second
    told, first, second = describe(verify_fork(build(by_note_and_leaf()), KEY))
    assert told.startswith("log.example.com signed two histories of the stream log.example.com/st")
    assert told.endswith(", both of 5 entries.")
    assert second.endswith(": leaf 4 of its root log, signed at size 8")
    told, *_ = describe(verify_fork(build(by_growth()), KEY))
    assert told.endswith("had 8 entries, and later that it had 3.")
    told, first, second = describe(verify_fork(build(by_place()), KEY))
    assert told == ("log.example.com signed two root logs: at place 4 they have different leaves.")
    assert first.endswith("leaf 4 of its root log, signed at size 6") and first != second


def test_the_empty_tree_has_one_root() -> None:
    wrong = ONE.sign(Checkpoint(ORIGIN, 0, OTHER.root.root(4)))
    for second, hashes in ((ONE.note("", 0), ()), (ONE.note("", 6), ONE.root.prefix(0, 6))):
        verify_fork(build(ForkProof(HISTORY, wrong, second, hashes)), KEY)
        refused(ForkProof(HISTORY, ONE.note("", 0), second, hashes))
    verify_fork(build(ForkProof(HISTORY, ONE.note("", 0), wrong)), KEY)


def test_cosignatures_are_neither_here_nor_there() -> None:
    witness = CosignatureSigner("w.example.org", seed_of("witness")).at(1_774_000_000)
    text = ONE.head("", 6).body()
    cosigned = Statement(sign_note(text, [ONE.signer, witness]))
    refused(ForkProof(HISTORY, cosigned, ONE.note("", 6)))
    assert find_fork(cosigned, ONE.note("", 6), KEY) is None
    verify_fork(build(replace(by_root_notes(), first=cosigned)), KEY)
    refused(replace(by_root_notes(), first=Statement(sign_note(text, [witness]))))


WRONG: dict[str, Callable[[], ForkProof]] = {
    "the same head twice": lambda: ForkProof(HISTORY, ONE.note("", 6), ONE.note("", 6)),
    "hashes for one size": lambda: replace(by_one_size(), hashes=ONE.root.prefix(6, 6)),
    "no hashes": lambda: replace(by_root_notes(), hashes=()),
    "the honest history": lambda: replace(
        by_root_notes(), second=ONE.note("", 8), hashes=ONE.root.prefix(6, 8)
    ),
    "hashes of the first history": lambda: replace(by_root_notes(), hashes=ONE.root.prefix(6, 8)),
    "hashes of nobody": lambda: replace(by_root_notes(), hashes=(EMPTY_ROOT,) * 3),
    "the larger first": lambda: ForkProof(
        HISTORY, OTHER.note("", 8), ONE.note("", 6), OTHER.root.prefix(6, 8)
    ),
    "two streams": lambda: ForkProof(HISTORY, ONE.note(STREAM, 5), ONE.note("", 5)),
    "leaves of an honest log": lambda: ForkProof(GROWTH, ONE.leaf(3), ONE.leaf(4)),
    "a stream that grew, backwards": lambda: ForkProof(GROWTH, ONE.leaf(4), ONE.leaf(3)),
    "the same leaf as growth": lambda: ForkProof(GROWTH, ONE.leaf(4), ONE.leaf(4, 6)),
    "growth of notes": lambda: ForkProof(GROWTH, ONE.note(STREAM, 5), ONE.note(STREAM, 3)),
    "growth, one a note": lambda: ForkProof(GROWTH, ONE.leaf(5), ONE.note(STREAM, 3)),
    "growth, the other a note": lambda: ForkProof(GROWTH, ONE.note(STREAM, 6), ONE.leaf(5)),
    "growth with hashes": lambda: replace(by_growth(), hashes=(EMPTY_ROOT,)),
    "growth the other way": lambda: ForkProof(GROWTH, by_growth().second, by_growth().first),
    "one place, one leaf": lambda: ForkProof(PLACE, ONE.leaf(4, 6), ONE.leaf(4, 8)),
    "two places": lambda: ForkProof(PLACE, ONE.leaf(4), OTHER.leaf(5)),
    "place of notes": lambda: ForkProof(PLACE, ONE.note("", 6), OTHER.note("", 6)),
    "place, one a note": lambda: ForkProof(PLACE, ONE.leaf(0), OTHER.note("", 8)),
    "place, the other a note": lambda: ForkProof(PLACE, ONE.note("", 6), OTHER.leaf(0)),
    "place with hashes": lambda: replace(by_place(), hashes=(EMPTY_ROOT,)),
    "a leaf that is no head": lambda: no_head(b"x"),
    "a leaf that is the root log's": lambda: no_head(Checkpoint(ORIGIN, 5, EMPTY_ROOT).body()),
    "a leaf of another log": lambda: no_head(
        Checkpoint("log.example.org/streams/x", 5, EMPTY_ROOT).body()
    ),
    "a leaf without a label": lambda: no_head(
        Checkpoint(f"{ORIGIN}/streams/", 5, EMPTY_ROOT).body()
    ),
}


def no_head(leaf: bytes) -> ForkProof:
    """Two leaves that would break the rule of growth, if they were heads of a stream."""
    history = ONE.copy()
    first, second = history.write(leaf), history.write(leaf)
    return ForkProof(GROWTH, history.leaf(first), history.leaf(second))


@pytest.mark.parametrize("name", WRONG)
def test_no_lie_is_shown(name: str) -> None:
    refused(WRONG[name]())


def test_leaves_that_are_no_heads_can_still_be_in_one_place() -> None:
    one, other = ONE.copy(), ONE.copy()
    proof = ForkProof(PLACE, one.leaf(one.write(b"")), other.leaf(other.write(b"\xff")))
    assert describe(verify_fork(build(proof), KEY))


def test_only_the_log_s_own_statements_count() -> None:
    """Another key, another log under the same key, a path that leads elsewhere."""
    stranger = History("another key")
    refused(build(by_root_notes()), stranger.verifier)
    for wrong in (
        Statement(sign_note(ONE.head("", 6).body(), [stranger.signer])),
        ONE.sign(Checkpoint("log.example.org", 6, EMPTY_ROOT)),
        ONE.sign(Checkpoint(f"{ORIGIN}/streams/", 6, EMPTY_ROOT)),
        ONE.sign(Checkpoint(f"{ORIGIN}/other", 6, EMPTY_ROOT)),
        Statement(sign_note(ONE.head(STREAM, 6).body(), [ONE.signer])),
        Statement(sign_note(ONE.head("", 6).body(), [ONE.signer.under(f"{ORIGIN}/streams/x")])),
        Statement(ONE.note("", 6).note.replace(b"\n6\n", b"\n7\n")),
        Statement(b""),
    ):
        refused(replace(by_one_size(), first=wrong))
        refused(replace(by_one_size(), second=wrong))
        with pytest.raises(VerificationError):
            find_fork(wrong, ONE.note("", 6), KEY)
        with pytest.raises(VerificationError):
            find_fork(ONE.note("", 6), wrong, KEY)
    good = by_place()
    for wrong in (
        replace(good.first, index=5),
        replace(good.first, path=good.first.path[:-1]),
        replace(good.first, path=good.first.path[::-1]),
        replace(good.first, leaf=b"another"),
        replace(good.first, index=8),
        replace(good.first, note=ONE.note(STREAM, 6).note),
        replace(good.first, note=ONE.note("", 7).note),
    ):
        refused(replace(good, first=wrong))


def test_a_leaf_lies_in_the_root_log_only() -> None:
    """A stream's entries may be anything: they are no root-log leaves, whatever they look like."""
    history = ONE.copy()
    for size in (9, 2):
        history.commit("x", Checkpoint(f"{ORIGIN}/streams/y", size, EMPTY_ROOT).body())
    tree = history.tree("x")
    first, second = (
        Statement(
            history.note("x").note,
            Checkpoint(f"{ORIGIN}/streams/y", size, EMPTY_ROOT).body(),
            index,
            tree.path(index, 2),
        )
        for index, size in enumerate((9, 2))
    )
    refused(ForkProof(GROWTH, first, second))


def put(path: str, value: Any) -> Callable[[Any], None]:
    """Set a member, by a path with slashes."""

    def change(document: Any) -> None:
        *parents, name = path.split("/")
        for parent in parents:
            document = document[parent]
        document[name] = value

    return change


MALFORMED: dict[str, Callable[[Any], object]] = {
    "type missing": lambda d: d.pop("type"),
    "type another": put("type", "Fork"),
    "version 2": put("version", 2),
    "version true": put("version", True),
    "version 1.0": put("version", 1.5),
    "rule another": put("rule", "histories"),
    "rule of no text": put("rule", None),
    "rule missing": lambda d: d.pop("rule"),
    "first missing": lambda d: d.pop("first"),
    "second missing": lambda d: d.pop("second"),
    "hashes missing": lambda d: d.pop("hashes"),
    "hashes null": put("hashes", None),
    "hashes an object": put("hashes", {}),
    "hashes of 31 bytes": put("hashes", ["A" * 42 + "=="]),
    "hashes not canonical": put("hashes", ["A" * 42 + "B="]),
    "hashes of numbers": put("hashes", [7]),
    "too many hashes": put("hashes", ["A" * 43 + "="] * 127),
    "unknown member": put("comment", ""),
    "unknown member in a statement": put("first/comment", ""),
    "first a text": put("first", "x"),
    "first an array": put("first", ["checkpoint"]),
    "first empty": put("first", {}),
    "checkpoint null": put("first/checkpoint", None),
    "leaf missing": lambda d: d["first"].pop("leaf"),
    "leaf null": put("first/leaf", None),
    "leaf not base64": put("first/leaf", "#"),
    "index missing": lambda d: d["first"].pop("leaf_index"),
    "index negative": put("first/leaf_index", -1),
    "index true": put("first/leaf_index", True),
    "index a text": put("first/leaf_index", "4"),
    "path missing": lambda d: d["first"].pop("path"),
    "path null": put("first/path", None),
    "path of 64 hashes": put("first/path", ["A" * 43 + "="] * 64),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_the_form_is_strict(name: str) -> None:
    document = json.loads(build(by_place()))
    MALFORMED[name](document)
    raw = json.dumps(document).encode()
    with pytest.raises(VerificationError):
        parse(raw)
    refused(raw)


def test_what_is_no_json_object_is_no_proof() -> None:
    good = build(by_place())
    twice = good.replace(b'"hashes":[]', b'"hashes":[],"hashes":[]')
    long = good[:-1] + b" " * MAX_DOCUMENT + b"}"
    for raw in (
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"\xef\xbb\xbf" + good,
        good[:-1],
        twice,
        long,
    ):
        refused(raw)


def test_what_json_cannot_say_is_not_built() -> None:
    for wrong in (Statement(b"\xff"), Statement(b"", b"", 2**53)):
        with pytest.raises(InvalidInput):
            build(replace(by_place(), first=wrong))
    with pytest.raises(VerificationError):
        find_fork(Statement(b"\xff"), ONE.note(), KEY)


def test_the_longest_proof_has_its_place() -> None:
    """Sizes near 2^63: the hashes are as many as they can be, and the form takes them."""
    old, new = 2**62 - 1, 2**63 - 1
    signer = Signer(ORIGIN, seed_of("log"))
    tree = FakeTree()
    hashes = tree.prefix(old, new)
    from tlog.core.proofs import prefix_roots

    _, root = prefix_roots(old, new, hashes)
    first = Statement(sign_note(Checkpoint(ORIGIN, old, EMPTY_ROOT).body(), [signer]))
    second = Statement(sign_note(Checkpoint(ORIGIN, new, root).body(), [signer]))
    assert len(hashes) == 125
    verify_fork(build(ForkProof(HISTORY, first, second, hashes)), KEY)


class FakeTree(Tree):
    """Complete subtrees of any height, each with a hash of its own."""

    def __init__(self) -> None:
        super().__init__([])

    def node(self, level: int, index: int) -> bytes:
        return seed_of(f"{level} {index}")
