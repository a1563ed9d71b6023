"""The rules of the root log (design §2.5): what follows them is told what it is, each breach is named."""

from __future__ import annotations

from collections import deque

import pytest

from tests.reference import leaf, trees
from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import EMPTY_ROOT
from tlog.core.merkle import Frontier
from tlog.core.root_log import (
    Followed,
    RootLogRules,
    RuleBroken,
    StreamHead,
    extend,
    is_label,
    pack_frontier,
    public_stream,
    unpack_frontier,
)
from tlog.errors import InvalidInput, VerificationError

ORIGIN = "log.example.com/x"
LABEL = "a" * 51 + "q"
PUBLIC = "acme/prod/scores"
FIRST = Checkpoint(ORIGIN, 0, EMPTY_ROOT)


def root(number: int) -> bytes:
    return bytes([number]) * 32


def stream(label: str, size: int, number: int = 1) -> bytes:
    return Checkpoint(f"{ORIGIN}/streams/{label}", size, root(number)).body()


def rules(*leaves: bytes) -> RootLogRules:
    found = RootLogRules(ORIGIN)
    for index, body in enumerate([FIRST.body(), *leaves]):
        found.follow(index, body)
    return found


def test_what_leaves_are() -> None:
    found = RootLogRules(ORIGIN)
    one = StreamHead(1, root(1), 1, 1)
    two = StreamHead(7, root(2), 3, 1)
    reserved = Checkpoint(f"{ORIGIN}/policy", 0, root(3))

    assert found.follow(0, FIRST.body()) == Followed(
        "first", None, StreamHead(0, EMPTY_ROOT, 0, 0), None
    )
    assert found.follow(1, stream(LABEL, 1)) == Followed("head", LABEL, one, None)
    assert found.follow(2, stream(PUBLIC, 3)) == Followed(
        "head", PUBLIC, StreamHead(3, root(1), 2, 2), None
    )
    assert found.follow(3, stream(LABEL, 7, 2)) == Followed("head", LABEL, two, one)
    assert found.follow(4, reserved.body()) == Followed(
        "reserved", None, StreamHead(0, root(3), 4, 4), None
    )
    assert found.size == 5
    assert set(found.heads) == {ORIGIN, LABEL, PUBLIC, reserved.origin}


def test_going_on_from_where_it_was_left() -> None:
    before = rules(stream(LABEL, 4))
    after = RootLogRules(ORIGIN, before.size, before.heads)
    assert after.follow(2, stream(LABEL, 5)).previous == StreamHead(4, root(1), 1, 1)
    with pytest.raises(AssertionError):
        after.follow(5, stream(LABEL, 6))


BREACHES = {
    "no checkpoint": ("form", b"x"),
    "an extension line": ("form", stream(LABEL, 1) + b"x\n"),
    "a size with a leading zero": ("form", stream(LABEL, 1).replace(b"\n1\n", b"\n01\n")),
    "another log": ("origin", Checkpoint("log.example.com/y", 1, root(1)).body()),
    "a longer name": ("origin", Checkpoint(f"{ORIGIN}y/streams/{LABEL}", 1, root(1)).body()),
    "above the log": ("origin", Checkpoint("log.example.com", 1, root(1)).body()),
    "no label": ("origin", stream("", 1)),
    "a label too long": ("origin", stream("a" * 53, 1)),
    "a label with a last digit that no hash has": ("origin", stream("a" * 51 + "b", 1)),
    "a public label of two parts": ("origin", stream("acme/prod", 1)),
    "a public label in capitals": ("origin", stream("acme/prod/Scores", 1)),
    "an empty first head": ("growth", stream(PUBLIC, 0)),
    "the same size": ("growth", stream(LABEL, 4)),
    "a smaller size": ("growth", stream(LABEL, 3, 9)),
    "the empty head again": ("growth", FIRST.body()),
}


@pytest.mark.parametrize("name", BREACHES)
def test_breaches(name: str) -> None:
    rule, body = BREACHES[name]
    found = rules(stream(LABEL, 4))
    before = dict(found.heads)

    with pytest.raises(RuleBroken) as caught:
        found.follow(2, body)

    assert (caught.value.rule, caught.value.origin, caught.value.index) == (rule, ORIGIN, 2)
    assert str(caught.value).startswith(f"{ORIGIN} at leaf 2: {rule}: ")
    assert isinstance(caught.value, VerificationError)
    assert (found.heads, found.size) == (before, 2)


@pytest.mark.parametrize(
    "body",
    [
        Checkpoint(ORIGIN, 1, EMPTY_ROOT),
        Checkpoint(ORIGIN, 0, root(1)),
        Checkpoint(f"{ORIGIN}/streams/{LABEL}", 1, root(1)),
    ],
)
def test_leaf_0_is_the_empty_log(body: Checkpoint) -> None:
    with pytest.raises(RuleBroken) as caught:
        RootLogRules(ORIGIN).follow(0, body.body())
    assert caught.value.rule == "first"


def test_reserved_origins_grow_too() -> None:
    reserved = f"{ORIGIN}/policy"
    found = rules(Checkpoint(reserved, 0, root(1)).body(), Checkpoint(reserved, 1, root(1)).body())
    with pytest.raises(RuleBroken, match="growth"):
        found.follow(3, Checkpoint(reserved, 1, root(2)).body())


def heads(*sizes: int) -> deque[StreamHead]:
    tree = trees()
    return deque(StreamHead(size, tree.root(size), 10 + size, 3) for size in sizes)


@pytest.mark.parametrize("start", [0, 1, 5, 8])
def test_heads_of_one_growing_tree(start: int) -> None:
    tree = Frontier()
    wanted = heads(9, 10, 16, 40)
    extend(tree, trees().leaves[:start], wanted, "s")
    assert len(wanted) == 4
    extend(tree, trees().leaves[start:30], wanted, "s")
    assert [head.size for head in wanted] == [40]
    extend(tree, trees().leaves[30:50], wanted, "s")
    assert not wanted
    assert (tree.size, tree.root()) == (50, trees().root(50))


@pytest.mark.parametrize("wrong", range(4))
def test_a_head_that_extends_nothing(wrong: int) -> None:
    wanted = heads(9, 10, 16, 40)
    head = wanted[wrong] = wanted[wrong]._replace(root=root(1))
    with pytest.raises(RuleBroken) as caught:
        extend(Frontier(), map(leaf, range(50)), wanted, "s")
    assert (caught.value.rule, caught.value.index) == ("extension", head.size - 1)
    assert f"root-log leaf {head.leaf}" in str(caught.value)


@pytest.mark.parametrize("size", [0, 1, 2, 7, 64, 255])
def test_packed_frontiers(size: int) -> None:
    tree = Frontier()
    extend(tree, trees().leaves[:size], deque(), "s")
    packed = pack_frontier(tree)
    assert len(packed) == 32 * size.bit_count()
    assert unpack_frontier(size, packed).root() == trees().root(size)
    for wrong in ((size, packed + b"x"), (size + 1, packed + bytes(64)), (-1, b"")):
        with pytest.raises(InvalidInput):
            unpack_frontier(*wrong)


def test_labels() -> None:
    assert public_stream(PUBLIC) == "acme:prod:scores"
    assert public_stream(LABEL) is None
    assert public_stream("a" * 52 + "/b/c") == "a" * 52 + ":b:c"
    assert is_label(LABEL) and is_label(PUBLIC)
    assert not is_label("a/b") and not is_label(LABEL + "\n")
