"""Bytes are an entry by a rule of many clauses: each is broken alone, and only it makes them invalid."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.core.records import MS, PREVIOUS, TIME, changed, entry_of, full, genesis, minimal
from tlog.core.canonical import canonical
from tlog.core.entry import (
    GENESIS_PREVIOUS,
    MAX_ENTRY,
    entry_bytes,
    parse_entry,
    parse_frame,
    validate_entry,
)
from tlog.core.ids import event_id
from tlog.core.times import format_ms
from tlog.errors import InvalidInput

GOOD = entry_of(full())


def refuse(raw: bytes, kind: str, pointer: str | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_entry(raw)
    assert (caught.value.kind, caught.value.pointer) == (kind, pointer), caught.value.detail


@pytest.mark.parametrize("record", [minimal(), full(), genesis(), genesis(public=True)])
def test_valid_entries(record: dict[str, Any]) -> None:
    raw = entry_of(record)
    entry = parse_entry(raw)
    previous = PREVIOUS if record["chainPosition"] else GENESIS_PREVIOUS
    assert entry == (record, previous, TIME, raw)
    assert parse_frame(raw) == entry
    assert entry_bytes(*entry[:3]) == raw
    assert (
        raw
        == json.dumps(
            {"timestamp": TIME, "previousHash": previous, "payload": record},
            sort_keys=True,
            separators=(",", ":"),
        ).encode()
    )


def test_the_first_previous_hash() -> None:
    assert GENESIS_PREVIOUS == "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("raw", "kind", "pointer"),
    [
        (b"", "invalid-json", ""),
        (GOOD[:-1], "invalid-json", ""),
        (GOOD + b"\n", "invalid-entry", ""),
        (b" " + GOOD, "invalid-entry", ""),
        (GOOD + GOOD, "invalid-json", ""),
        (b"\xef\xbb\xbf" + GOOD, "byte-order-mark", ""),
        (GOOD.replace(b"acme", b"acm\xff", 1), "not-utf8", ""),
        (GOOD.replace(b'"v":1', b'"v":1,"v":1'), "duplicate-member", "/payload/v"),
        (GOOD[:-1] + b',"timestamp":"x"}', "duplicate-member", "/timestamp"),
        (GOOD.replace(b'"v":1', b'"v":1.0'), "invalid-entry", "/payload"),
        (GOOD.replace(b'"v":1', b'"v":1e0'), "invalid-entry", "/payload"),
        (
            GOOD.replace(b'"sequence":77', b'"sequence":1e99'),
            "number-out-of-range",
            "/payload/producer/sequence",
        ),
        (GOOD.replace(b'"payload":', b'"payload": ', 1), "invalid-entry", ""),
        (GOOD.replace(b"acme", b"\\u0061cme", 1), "invalid-entry", ""),
        (json.dumps(json.loads(GOOD), sort_keys=True).encode(), "invalid-entry", ""),
        (
            json.dumps(dict(reversed(json.loads(GOOD).items())), separators=(",", ":")).encode(),
            "invalid-entry",
            "",
        ),
        (b"[" + GOOD + b"]", "invalid-entry", ""),
        (b"null", "invalid-entry", ""),
        (b'"' + b"x" * 10 + b'"', "invalid-entry", ""),
        (b"{}", "invalid-entry", ""),
    ],
)
def test_bytes_that_are_no_frame(raw: bytes, kind: str, pointer: str) -> None:
    refuse(raw, kind, pointer)


def frame(**members: Any) -> bytes:
    whole = json.loads(GOOD) | members
    return canonical({name: value for name, value in whole.items() if value is not ...})


NO_OBJECT: list[Any] = [None, [], "x", 1]
NO_HASH: list[Any] = [
    *[None, 1, [], "", PREVIOUS[7:], PREVIOUS.upper(), PREVIOUS + "\n", PREVIOUS[:-1]],
    "sha512:" + PREVIOUS[7:],
]
NO_TIME: list[Any] = [
    *[None, 1, [], "", "2026-03-20T14:00:03Z", "2026-02-30T14:00:03.250Z", TIME + "\n"],
]


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        *[({name: ...}, "") for name in ("payload", "previousHash", "timestamp")],
        ({"extra": 1}, ""),
        ({"payload": ..., "record": {}}, ""),
        *[({"payload": value}, "/payload") for value in NO_OBJECT],
        *[({"previousHash": value}, "/previousHash") for value in NO_HASH],
        *[({"timestamp": value}, "/timestamp") for value in NO_TIME],
    ],
)
def test_members_of_the_frame(members: dict[str, Any], pointer: str) -> None:
    refuse(frame(**members), "invalid-entry", pointer)


def test_numbers_in_a_record_are_integers_whatever_the_schema() -> None:
    values: list[Any] = [0.5, [0.5], {"a": [{"b": 1.5}]}, 5e-7]
    for value in values:
        for version in (1, 2):
            refuse(frame(payload={"v": version, "a": value}), "invalid-entry", "/payload")
    # What looks like a float in the packed form, and is none.
    parse_frame(frame(payload={"a": [0xCB, "\u02cb", {"b": True}], "\u02c4": 0xCB7FF0000000}))


def test_the_length() -> None:
    def padded(size: int) -> bytes:
        own = minimal() | {"eventType": "tlog.test", "system": {"padding": ""}}
        own["system"]["padding"] = "x" * (size - len(entry_of(own)))
        return entry_of(own)

    assert MAX_ENTRY == 65_535
    assert len(parse_entry(padded(65_535)).raw) == 65_535
    refuse(padded(65_536), "entry-too-large", None)


def test_faults_of_the_record_have_pointers_of_the_entry() -> None:
    refuse(
        entry_of(changed(full(), "/actor/type", "ROBOT")), "invalid-record", "/payload/actor/type"
    )
    refuse(entry_of(full() | {"colour": 1}), "invalid-record", "/payload/colour")
    refuse(frame(payload={}), "invalid-record", "/payload")


def test_an_unknown_schema_is_told_apart() -> None:
    raw = frame(payload={"v": 2, "anything": [None]})
    refuse(raw, "unknown-schema", "/payload/v")
    entry = parse_frame(raw)
    assert (entry.record["v"], entry.previous_hash, entry.timestamp) == (2, PREVIOUS, TIME)


def test_the_id_has_the_time_of_the_entry() -> None:
    for ms in (MS - 1, MS + 1, 0):
        refuse(entry_of(minimal(), ms=ms), "invalid-entry", "/payload/id")
        refuse(entry_of(minimal() | {"id": event_id(ms, 7, 5)}), "invalid-entry", "/payload/id")
        parse_entry(entry_of(minimal(ms=ms), ms=ms))


@pytest.mark.parametrize(
    ("offset", "skewed"),
    [
        *[(0, False), (300_000, False), (-300_000, False), (300_001, True), (-300_001, True)],
        *[(86_400_000, True), (-86_400_000, True)],
    ],
)
def test_clock_skew_is_marked_exactly_beyond_five_minutes(offset: int, skewed: bool) -> None:
    plain = minimal() | {"occurredAt": format_ms(MS + offset)}
    marked = plain | {"clockSkew": True}
    good, bad = (marked, plain) if skewed else (plain, marked)
    parse_entry(entry_of(good))
    refuse(entry_of(bad), "invalid-entry", "/payload/clockSkew")


def test_leaf_0_has_no_previous_entry() -> None:
    raw = entry_bytes(genesis(), PREVIOUS, TIME)
    refuse(raw, "invalid-entry", "/previousHash")
    with pytest.raises(InvalidInput):
        validate_entry(parse_frame(raw))


def test_one_changed_bit_is_another_entry_or_none() -> None:
    for at in range(len(GOOD)):
        for bit in (0x01, 0x20):
            raw = GOOD[:at] + bytes([GOOD[at] ^ bit]) + GOOD[at + 1 :]
            try:
                entry = parse_entry(raw)
            except InvalidInput:
                continue
            # No two texts are read alike.
            assert entry.raw == raw
            assert entry_bytes(*entry[:3]) == raw
            assert entry[:3] != parse_entry(GOOD)[:3]
