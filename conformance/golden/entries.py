"""Entries that are wrong: no entry at all, or a valid one that its place contradicts."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from conformance.golden.honest import (
    HONEST,
    MS,
    NUMBER,
    PREVIOUS,
    PUBLIC,
    STREAM,
    TARGET,
    Json,
    base_record,
    entry_of,
    full_record,
    seed,
)
from tlog.core.canonical import canonical
from tlog.core.ids import event_id, stream_label
from tlog.core.times import format_ms


def entry_with(**members: Any) -> bytes:
    """The full event with other members; None takes one away."""
    record = {name: value for name, value in (full_record() | members).items() if value is not None}
    return entry_of(record, PREVIOUS)


def system_entry(system: Json) -> bytes:
    """An entry of the log's own."""
    return entry_with(eventType="tlog.note", system=system)


def entry_of_size(size: int) -> bytes:
    """An entry of the log's own, of so many bytes."""
    return system_entry({"padding": "x" * (size - len(system_entry({"padding": ""})))})


def surface_with(**members: Any) -> bytes:
    """The full event with another decision surface."""
    return entry_with(decisionSurface=full_record()["decisionSurface"] | members)


def invalid_entries() -> dict[str, bytes]:
    """Each breaks the validity rule of an entry in one way."""
    return {**invalid_frames(), **invalid_records()}


def invalid_frames() -> dict[str, bytes]:
    """Bytes that are no entry whatever the record says."""
    good = HONEST[TARGET]
    members = json.loads(good)
    spaced = good.replace(b'"payload":', b'"payload": ', 1)
    unsorted_members = {name: members[name] for name in ("timestamp", "previousHash", "payload")}
    return {
        "not-json": good[:-1],
        "not-utf8": good.replace(b"acme", b"acm\xff", 1),
        "byte-order-mark": b"\xef\xbb\xbf" + good,
        "trailing-newline": good + b"\n",
        "white-space": spaced,
        "unsorted": json.dumps(unsorted_members, separators=(",", ":")).encode(),
        "escaped-character": good.replace(b"acme", b"\\u0061cme", 1),
        "duplicate-member": good.replace(b'{"payload"', b'{"payload":{},"payload"', 1),
        "duplicate-member-inside": good.replace(b'"v":1}', b'"v":1,"v":1}'),
        "number-as-fraction": good.replace(b'"v":1', b'"v":1.0'),
        "integer-beyond-2-53": good.replace(b'"sequence":77', b'"sequence":9007199254740992'),
        "fourth-member": canonical({**members, "extra": 1}),
        "no-timestamp": canonical({name: members[name] for name in ("payload", "previousHash")}),
        "array": canonical([members]),
        "payload-no-object": canonical({**members, "payload": "x"}),
        "previous-hash-bare-hex": canonical({**members, "previousHash": PREVIOUS[7:]}),
        "timestamp-without-milliseconds": canonical(
            {**members, "timestamp": "2026-03-20T14:00:03Z"}
        ),
        "timestamp-no-such-day": canonical({**members, "timestamp": "2026-02-30T14:00:03.250Z"}),
        "timestamp-with-microseconds": canonical(
            {**members, "timestamp": "2026-03-20T14:00:03.250000Z"}
        ),
        "65536-bytes": entry_of_size(65_536),
    }


def invalid_records() -> dict[str, bytes]:
    """Entries in canonical form whose record is not one of schema 1."""
    members = json.loads(HONEST[TARGET])
    return {
        "unknown-member": entry_with(colour="red"),
        "unknown-member-in-actor": entry_with(actor={**full_record()["actor"], "name": "Jane"}),
        "unknown-member-in-context": entry_with(context={"trace_id": "abc-123"}),
        "null-member": canonical({**members, "payload": {**full_record(), "modelId": None}}),
        "no-commitment": entry_with(commitment=None),
        "no-severity": entry_with(severity=None),
        "no-v": entry_with(v=None),
        "v-is-true": entry_with(v=True),
        "v-negative": entry_with(v=-1),
        "unknown-class": entry_with(eventClass="GUESSWORK"),
        "unknown-severity": entry_with(severity="FATAL"),
        "event-type-empty": entry_with(eventType=""),
        "event-type-not-ascii": entry_with(eventType="\u00e9v\u00e9nement"),
        "stream-id-upper-case": entry_with(streamId="Acme:prod:credit-decisions"),
        "event-id-lower-case": entry_with(id=full_record()["id"].lower()),
        "actor-type-unknown": entry_with(actor={**full_record()["actor"], "type": "ROBOT"}),
        "actor-user-in-clear": entry_with(actor={"type": "USER", "id": "jane.doe@example.com"}),
        "subject-in-clear": entry_with(subject="person 7"),
        "tags-with-space": entry_with(tags=["high value"]),
        "tags-33": entry_with(tags=[f"t{number}" for number in range(33)]),
        "clock-skew-false": entry_with(clockSkew=False),
        "clock-skew-left-out": entry_with(clockSkew=None),
        "clock-skew-without-reason": entry_with(occurredAt="2026-03-20T13:55:03.250Z"),
        "clock-skew-without-occurred-at": entry_with(occurredAt=None),
        "context-empty": entry_with(context={}),
        "null-in-system": system_entry({"list": [None]}),
        "fraction-in-system": system_entry({"list": [0.5]}),
        "system-in-an-event": entry_with(system={"note": "x"}),
        "fields-zero": entry_with(commitment={**full_record()["commitment"], "fields": 0}),
        "commitment-bare-hex": entry_with(commitment={"fields": 9, "root": "ab" * 32}),
        "producer-sequence-zero": entry_with(producer={"id": "credit-agent", "sequence": 0}),
        "dwell-of-another-time": surface_with(dwell_ms=2500, velocity_flag=False),
        "velocity-flag-taken-back": surface_with(velocity_flag=False),
        "tier-4": surface_with(decision_complexity_tier=4),
    }


def unbound_entries(schema: int) -> dict[str, tuple[bytes, int]]:
    """Entries, each with one thing that its place contradicts; the leaf at which it stands.

    Of schema 1 some of them are no valid entry either; of another schema nothing else is looked at.
    """
    zeros = "sha256:" + "0" * 64
    full, first = full_record() | {"v": schema}, base_record(0) | {"v": schema}
    opened = first | {"id": full["id"], "chainPosition": TARGET}
    plain = {name: value for name, value in first.items() if name != "system"}

    def with_members(**members: Any) -> bytes:
        return entry_of(full | members, PREVIOUS)

    later = event_id(MS + 1, NUMBER, TARGET)
    return {
        "id-of-another-millisecond": (with_members(id=later), TARGET),
        "id-of-another-leaf": (with_members(id=event_id(MS, NUMBER, TARGET + 1)), TARGET),
        "timestamp-of-another-millisecond": (entry_of(full, PREVIOUS, format_ms(MS + 1)), TARGET),
        "chain-position-of-another-leaf": (with_members(chainPosition=TARGET + 1), TARGET),
        "entry-at-another-leaf": (entry_of(full, PREVIOUS), TARGET - 1),
        "id-with-the-letter-u": (with_members(id=full["id"][:-1] + "U"), TARGET),
        "stream-id-in-upper-case": (with_members(streamId=STREAM.upper()), TARGET),
        "organisation-of-another-tenant": (with_members(organisationId="other"), TARGET),
        "genesis-at-leaf-5": (entry_of(opened, PREVIOUS), TARGET),
        "previous-hash-zero-at-leaf-5": (entry_of(full, zeros), TARGET),
        "no-genesis-at-leaf-0": (entry_of(plain | {"eventType": "INFERENCE"}, zeros), 0),
        "previous-hash-at-leaf-0": (entry_of(first, PREVIOUS), 0),
    }


def unbound_genesis(schema: int) -> dict[str, bytes]:
    """Genesis entries whose `system` does not fit the tree in which they stand."""
    system, label = base_record(0)["system"], stream_label(STREAM, seed("another nonce"))
    faults: dict[str, Json] = {
        "genesis-with-another-nonce": {"nonce": b64encode(seed("another nonce")).decode()},
        "genesis-with-another-label": {"label": label},
        "genesis-of-another-stream": {"streamId": PUBLIC},
        "genesis-of-another-log": {"origin": "log.example.org"},
        "genesis-with-another-stream-number": {"streamNumber": NUMBER + 1},
    }
    if schema == 1:
        faults["genesis-with-another-visibility"] = {"visibility": "public"}
    return {
        name: entry_of(
            base_record(0) | {"v": schema, "system": system | fault}, "sha256:" + "0" * 64
        )
        for name, fault in faults.items()
    }
