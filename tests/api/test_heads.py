"""Heads for the lean protocol: which it takes, what they mean, which it remembers."""

from __future__ import annotations

import asyncio

import pytest

from tests.api.wire import BODY, EVENTS, post
from tlog.api.app import HOT
from tlog.api.events import post_batch, post_event
from tlog.api.heads import MAX_BODY, MAX_HEAD, Heads


def head(*lines: str, path: str = EVENTS) -> bytes:
    return post("token", BODY, *lines, path=path).removesuffix(BODY)


@pytest.fixture
async def heads() -> Heads:
    return Heads(HOT, asyncio.get_running_loop())


async def test_plain_heads(heads: Heads) -> None:
    one = heads.read(head("X: a", "x:  b "))
    assert one is not None
    assert (one.handler, one.length, str(one.url)) == (post_event, len(BODY), EVENTS)
    assert one.headers.getall("X") == ["a", "b"]
    assert one.headers["authorization"] == "Bearer token"
    other = heads.read(head(path=EVENTS + "/batch"))
    assert other is not None
    assert other.handler is post_batch


REFUSED = [
    *("Transfer-Encoding: chunked", "Expect: 100-continue", "Upgrade: x", "Trailer: x", "TE: x"),
    *("Connection: close", "Connection: keep-alive", "connection: x"),
    *("Content-Length: 5", f"Content-Length: {len(BODY)}", "X : a", "X: a\r\n b", "X: \x00", "X"),
    "Host: y",
]


@pytest.mark.parametrize("line", REFUSED)
async def test_other_heads(heads: Heads, line: str) -> None:
    assert heads.read(head(line)) is None


async def test_lengths(heads: Heads) -> None:
    plain, length = head(), b"Content-Length: %d" % len(BODY)
    for text, meant in (
        (b"0", 0),
        (b"%d" % MAX_BODY, MAX_BODY),
        (b"%d" % (MAX_BODY + 1), None),
        (b"0000000", None),
        (b"9" * 30, None),
        (b"+1", None),
        (b"1 1", None),
        (b"\xb2", None),
        (b"", None),
    ):
        one = heads.read(plain.replace(length, b"Content-Length: " + text))
        assert (None if one is None else one.length) == meant, text
    assert heads.read(plain.replace(length, b"X: y")) is None


async def test_a_head_is_what_ends_with_its_first_empty_line(heads: Heads) -> None:
    plain = head()
    for raw in (
        plain[:-1],
        plain[:-2],
        plain + b"x",
        plain + plain,
        plain.replace(b"\r\n", b"\n"),
        b"\r\n" + plain,
        plain.replace(b"POST", b"post", 1),
        plain.replace(b" HTTP/1.1", b"?x HTTP/1.1", 1),
        plain.replace(b" HTTP/1.1", b" HTTP/1.0", 1),
        b"",
    ):
        assert heads.read(raw) is None, raw
    assert heads.read(plain) is not None


async def test_long_heads(heads: Heads) -> None:
    room = MAX_HEAD - len(head("X: "))
    assert heads.read(head("X: " + "x" * room)) is not None
    assert heads.read(head("X: " + "x" * (room + 1))) is None


async def test_beginnings(heads: Heads) -> None:
    line = b"POST /api/v1/events HTTP/1.1\r\n"
    for end in range(1, len(line) + 1):
        assert heads.may_begin(line[:end])
    assert heads.may_begin(line + b"anything")
    assert heads.may_begin(b"POST /api/v1/events/batch HTTP/1.1\r\nX")
    for other in (b"G", b"POST /api/v1/eventz", b"POST /api/v1/events HTTP/1.0", b"\r\n"):
        assert not heads.may_begin(other)


async def test_what_is_remembered(heads: Heads) -> None:
    raw, keyed = head(), head("Idempotency-Key: k")
    for one in (raw, keyed):
        first = heads.read(one)
        assert first is not None
        assert heads.read(one) is not first  # not before it succeeded
        heads.remember(one, first)
        heads.remember(one, first)
        assert (heads.read(one) is first) == (one is raw)
    for number in range(5000):
        other = heads.read(head(f"X: {number}"))
        assert other is not None
        heads.remember(head(f"X: {number}"), other)
    assert len(heads._known) <= 2048
