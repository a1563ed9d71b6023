"""Identifiers locate what they name, and have one spelling each."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlog.core.ids import (
    EventId,
    StreamId,
    check_name,
    crockford,
    event_id,
    event_ids,
    parse_crockford,
    parse_event_id,
    parse_stream_id,
    pseudonym,
    public_label,
    stream_label,
    stream_origin,
)
from tlog.errors import InvalidInput

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ms48 = st.integers(0, 2**48 - 1)
number32 = st.integers(0, 2**32 - 1)
index48 = st.integers(0, 2**48 - 1)


def by_the_book(number: int) -> str:
    """128 bits, two zero bits in front, 26 groups of five."""
    bits = f"00{number:0128b}"
    return "".join(ALPHABET[int(bits[i : i + 5], 2)] for i in range(0, 130, 5))


@given(ms48, number32, index48)
def test_event_ids(ms: int, number: int, index: int) -> None:
    text = event_id(ms, number, index)
    assert text == "evt_" + by_the_book(ms << 80 | number << 48 | index)
    assert parse_event_id(text) == EventId(ms, number, index)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ((0, 0, 0), "evt_" + "0" * 26),
        ((2**48 - 1, 2**32 - 1, 2**48 - 1), "evt_7" + "Z" * 25),
        ((0, 0, 1), "evt_" + "0" * 25 + "1"),
        ((0, 1, 0), "evt_" + "0" * 16 + "8" + "0" * 9),
        ((1, 0, 0), "evt_" + "0" * 9 + "1" + "0" * 16),
    ],
)
def test_event_ids_at_the_bounds(parts: tuple[int, int, int], text: str) -> None:
    assert event_id(*parts) == text
    assert parse_event_id(text) == parts


def test_event_ids_sort_as_time_stream_and_leaf() -> None:
    parts = [
        (m, n, i) for m in (1, 2, 1 << 47) for n in (0, 3, 4, 1 << 31) for i in (0, 31, 32, 1 << 47)
    ]
    assert sorted(parts) == [parse_event_id(text) for text in sorted(event_id(*p) for p in parts)]


@pytest.mark.parametrize(
    "parts",
    [(-1, 0, 0), (2**48, 0, 0), (0, -1, 0), (0, 2**32, 0), (0, 0, -1), (0, 0, 2**48)],
)
def test_parts_that_do_not_fit(parts: tuple[int, int, int]) -> None:
    with pytest.raises(AssertionError, match="tlog"):
        event_id(*parts)


GOOD = event_id(1_770_000_000_123, 77, 4821)


@pytest.mark.parametrize(
    "text",
    [
        *["", "evt_", GOOD[4:], GOOD[:-1], GOOD + "0", GOOD + "\n", " " + GOOD, GOOD.lower()],
        *["EVT_" + GOOD[4:], "evt-" + GOOD[4:], "usr_" + GOOD[4:], GOOD[:4] + GOOD[4:].lower()],
        *[GOOD[:-1] + letter for letter in "ILOUilou-_٣"],
        *[f"evt_{letter}" + "0" * 25 for letter in "89ABZ"],
        *[
            "evt_" + "0" * 25 + "é",
            "evt_+" + "0" * 25,
            "evt_ " + "0" * 25,
            "evt_" + "0" * 12 + "_" + "0" * 13,
        ],
    ],
)
def test_no_other_spelling_of_an_event_id(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_event_id(text)
    assert caught.value.kind == "malformed"


@given(st.binary(min_size=16, max_size=16))
def test_crockford(data: bytes) -> None:
    assert crockford(data) == by_the_book(int.from_bytes(data, "big"))
    assert parse_crockford(crockford(data)) == data
    for kind in ("usr", "sub"):
        assert pseudonym(kind, data) == f"{kind}_{crockford(data)}"


@pytest.mark.parametrize(
    "text", ["", "0" * 25, "0" * 27, "8" + "0" * 25, "0" * 25 + "I", "0" * 25 + "a"]
)
def test_crockford_refuses(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_crockford(text)
    assert caught.value.kind == "malformed"


@pytest.mark.parametrize("size", [0, 15, 17])
def test_crockford_is_of_16_bytes(size: int) -> None:
    with pytest.raises(AssertionError, match="16 bytes"):
        crockford(bytes(size))


@pytest.mark.parametrize(
    "text",
    [
        "a:b:c",
        "acme:prod-us-east-1:credit.decisions_2",
        "0:0:0",
        "a" * 63 + ":b:" + "c" * 63,
        "tlog:log:operations",
    ],
)
def test_stream_ids(text: str) -> None:
    parsed = parse_stream_id(text)
    assert parsed == tuple(text.split(":")) == StreamId(*text.split(":"))
    assert str(parsed) == text


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            "a",
            "a:b",
            "a:b:c:d",
            ":b:c",
            "a::c",
            "a:b:",
            "A:b:c",
            "a:B:c",
            "a:b:C",
            "a:b:c\n",
            " a:b:c",
        ],
        *[
            "a" * 64 + ":b:c",
            "a:" + "b" * 64 + ":c",
            "a:b:" + "c" * 64,
            "-a:b:c",
            ".a:b:c",
            "a:_b:c",
            "a:b:..",
        ],
        *[
            "a/b:c:d",
            "a:b:c/d",
            "ä:b:c",
            "a:b:ß",
            "٣:b:c",
            "a b:c:d",
            "a:b:c+",
            "a:b:c\x00",
            "a:b:K",
        ],
    ],
)
def test_no_stream_id(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_stream_id(text)
    assert caught.value.kind == "malformed"


def test_names() -> None:
    """One part of a stream id, and what it is called when it is none."""
    check_name("a", "tenant")
    check_name("0" + "._-z" * 15 + "ab", "tenant")
    for text in ("", "A", "-a", "a:b", "a\n", "0" * 64, "é"):
        with pytest.raises(InvalidInput, match=r"^environment: ") as caught:
            check_name(text, "environment")
        assert caught.value.kind == "invalid-name"


def test_labels_and_origins() -> None:
    nonce = bytes(range(32))
    label = stream_label("acme:prod:credit", nonce)
    digest = hashlib.sha256(b"tlog/stream-label/v1\0acme:prod:credit\0" + nonce).digest()
    assert label == base64.b32encode(digest).decode().lower().replace("=", "")
    assert len(label) == 52
    assert set(label) <= set("abcdefghijklmnopqrstuvwxyz234567")
    assert stream_label("acme:prod:credit", bytes(32)) != label
    assert stream_label("acme:prod:debit", nonce) != label
    assert public_label("acme:prod:credit") == "acme/prod/credit"
    assert stream_origin("log.example.com", label) == f"log.example.com/streams/{label}"
    for size in (0, 31, 33):
        with pytest.raises(AssertionError, match="32 bytes"):
            stream_label("a:b:c", bytes(size))


@pytest.mark.parametrize("start", [0, 5, 1_000, 1_023, 2**48 - 3])
def test_ids_of_neighbours_are_those_of_each(start: int) -> None:
    """Many ids at once are the ids one by one, at whatever times; no more than have a prefix in common."""
    count = min(1_024 - (start & 1_023), 30)
    times = [0, 1_023, 1_024, 1_795_000_000_000, *range(1_795_000_000_001, 1_795_000_030_000, 997)]
    times = [*times, 2**48 - 1][:count]
    for number in (0, 1, 3, 2**32 - 1):
        expected = [event_id(ms, number, start + n) for n, ms in enumerate(times)]
        assert event_ids(times, number, start) == expected
        assert event_ids([7] * count, number, start) == [
            event_id(7, number, start + n) for n in range(count)
        ]
    assert event_ids([], 1, start) == []
    for wrong in ([*times, *([0] * 1_024)], [-1], [2**48]):
        with pytest.raises(AssertionError):
            event_ids(wrong, 1, start)
