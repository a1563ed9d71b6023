"""Entries: the bytes that are hashed, chained and proven. Ours, design §2.2.

    entry = JCS({"payload": RECORD, "previousHash": "sha256:<hex>", "timestamp": TIME})   RFC 8785

In scope: when bytes are an entry. Out of scope: whether it stands where it says: the link to the entry
before it (`chain`), the path to a head (`proofs`, `binding`).

Hashes are over the stored bytes. That these are also the one canonical spelling of what they say is
checked here, so that no two readers of one hash can read two things.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from tlog.core.canonical import canonical, pack
from tlog.core.ids import EventId
from tlog.core.record import check_record
from tlog.core.strict_json import is_canonical, loads
from tlog.core.times import parse_time
from tlog.core.wire import hash_text
from tlog.errors import InvalidInput

MAX_ENTRY = 65_535
"""Bytes."""

GENESIS_PREVIOUS = hash_text(bytes(32))
"""previousHash of leaf 0."""

CLOCK_SKEW_MS = 300_000
"""`occurredAt` further than this from the log's time, either way, is marked `clockSkew`."""

_MEMBERS = {"payload", "previousHash", "timestamp"}
_hash = re.compile("sha256:[0-9a-f]{64}").fullmatch


class Entry(NamedTuple):
    """A parsed entry: RECORD, `sha256:` and hex, the log's time in its strict form, the bytes."""

    record: dict[str, Any]
    previous_hash: str
    timestamp: str
    raw: bytes


def parse_entry(raw: bytes) -> Entry:
    """Parse bytes that must be a valid entry with a RECORD of schema 1.

    1. The frame (`parse_frame`).  2. The record, by itself and in its frame (`validate_entry`).

    Raises:
        InvalidInput: as these two.
    """
    entry = parse_frame(raw)
    validate_entry(entry)
    return entry


def parse_frame(raw: bytes) -> Entry:
    """Parse bytes into an entry whose RECORD may be of any schema: what integrity needs.

    1. Fewer than 65,536 bytes.  2. Strict JSON.  3. Exactly the three members, a hash text and a time
    among them.  4. RECORD is an object in which every number is an integer.  5. RFC 8785 of it all
    gives the same bytes.

    Raises:
        InvalidInput: entry-too-large, invalid-entry, or a kind of `strict_json.loads`; pointers are
            of the entry.
    """
    if len(raw) > MAX_ENTRY:
        raise InvalidInput("entry-too-large", f"an entry has at most {MAX_ENTRY} bytes")
    value = loads(raw)
    if type(value) is not dict or value.keys() != _MEMBERS:
        raise _fault("not an object of exactly payload, previousHash and timestamp", "")
    record, previous_hash, timestamp = value["payload"], value["previousHash"], value["timestamp"]
    if type(record) is not dict:
        raise _fault("not an object", "/payload")
    if type(previous_hash) is not str or _hash(previous_hash) is None:
        raise _fault("not sha256: and 64 lower-case hex digits", "/previousHash")
    if type(timestamp) is not str:
        raise _fault("not a time", "/timestamp")
    try:
        parse_time(timestamp)
    except InvalidInput as error:
        raise _fault(error.detail, "/timestamp") from None
    # Without the byte 0xCB there is no float (see `pack`); with it, there may be none either.
    if b"\xcb" in pack(record) and _has_float(record):
        raise _fault("a number that is not an integer", "/payload")
    if not is_canonical(raw, value):
        raise _fault("not in canonical form", "")
    return Entry(record, previous_hash, timestamp, raw)


def validate_entry(entry: Entry) -> EventId:
    """Check the RECORD of a frame; return its parsed id.

    1. It fits schema 1.  2. The milliseconds in its id are the entry's time.  3. `clockSkew` is there
    exactly when the client's time is more than five minutes off.  4. Leaf 0 has no previous entry.

    Raises:
        InvalidInput: unknown-schema, invalid-record or invalid-entry; pointers are of the entry.
    """
    record = entry.record
    try:
        identity = check_record(record)
    except InvalidInput as error:
        raise InvalidInput(error.kind, error.detail, f"/payload{error.pointer}") from None
    ms = parse_time(entry.timestamp)
    if identity.ms != ms:
        raise _fault("the time in the id is not the entry's", "/payload/id")
    occurred = record.get("occurredAt")
    skewed = occurred is not None and abs(parse_time(occurred) - ms) > CLOCK_SKEW_MS
    if skewed != ("clockSkew" in record):
        raise _fault("not what the two times say", "/payload/clockSkew")
    if record["chainPosition"] == 0 and entry.previous_hash != GENESIS_PREVIOUS:
        raise _fault("leaf 0 has no previous entry", "/previousHash")
    return identity


def entry_bytes(record: dict[str, Any], previous_hash: str, timestamp: str) -> bytes:
    """Write an entry, exact and slow; nothing is checked. Raises: InvalidInput, as `canonical`."""
    return canonical({"payload": record, "previousHash": previous_hash, "timestamp": timestamp})


def _fault(detail: str, pointer: str) -> InvalidInput:
    return InvalidInput("invalid-entry", detail, pointer)


def _has_float(value: object) -> bool:
    if type(value) is dict:
        return any(map(_has_float, value.values()))
    if type(value) is list:
        return any(map(_has_float, value))
    return type(value) is float
