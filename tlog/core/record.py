"""RECORD, schema 1: what an entry says in plain sight. Ours, design §2.3.

In scope: every member, its form, and all that a record can be held to by itself: its id, its tenant,
the two computed members of a decision surface, the genesis. Out of scope: what needs the entry around
it, time and previous hash (`entry`); what needs other entries (`chain`, `binding`).

An absent member is absent: neither null nor an empty object or array. Reserved members are not in
schema 1 yet, so they are refused like any unknown one. Plain text for which the design gives no
alphabet is 1 to 128 characters of printable ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from tlog.core.canonical import MAX_INTEGER
from tlog.core.commitment import pointer_escape
from tlog.core.ids import (
    MAX_LEAF_INDEX,
    MAX_STREAM_NUMBER,
    NAME_PATTERN,
    NONCE_SIZE,
    EventId,
    parse_event_id,
    public_label,
    stream_label,
)
from tlog.core.times import parse_time
from tlog.core.wire import b64decode
from tlog.errors import InvalidInput

SCHEMA = 1
RESERVED_PREFIX = "tlog."
"""Event types that begin so are the log's own, and only they may have `system`."""
GENESIS_TYPE = "tlog.stream.opened"

EVENT_CLASSES = (
    *("EXECUTION", "OUTCOME", "ACCESS", "DATA", "INTENT", "ANALYSIS"),
    *("DETECTION", "RESPONSE", "CONTAINMENT", "ERADICATION", "RECOVERY"),
)
SEVERITIES = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
ACTOR_TYPES = ("USER", "SERVICE", "AGENT", "SYSTEM")
AUDITAL_TYPES = {
    "INFERENCE": "EXECUTION",
    "HUMAN_REVIEW": "EXECUTION",
    "TRAINING_STARTED": "EXECUTION",
    "TRAINING_COMPLETED": "EXECUTION",
    "DEPLOYMENT": "EXECUTION",
    "MODEL_REGISTERED": "INTENT",
    "CONFIG_CHANGE": "INTENT",
    "DATA_ACCESS": "DATA",
    "ALERT": "DETECTION",
    "SHADOW_AI_DETECTED": "DETECTION",
}
"""Audital's ten event types, and the class that each implies when an event gives none."""

DEFAULT_TIER = 2
LEAST_DWELL_MS = {1: 500, 2: 2_000, 3: 10_000}
"""Decision complexity tier to the shortest time, in milliseconds, that raises no flag."""

Rule: TypeAlias = Callable[[Any], object]
"""True in the sense of Python when a JSON value has the form; TypeError also says that it has not.

That lets a compiled pattern be a rule by itself. An object raises InvalidInput for a fault inside it.
"""


def velocity_flag(tier: int, dwell_ms: int) -> bool:
    """Whether a human signed off `dwell_ms` after the presentation too fast for the tier, 1 to 3."""
    return dwell_ms < LEAST_DWELL_MS[tier]


def validate_record(record: dict[str, Any]) -> None:
    """Check that `record`, from a strict parse, is a RECORD of schema 1.

    Raises:
        InvalidInput: invalid-record, with the pointer of the first fault in RECORD; or
            unknown-schema, which says nothing about integrity: `v` is another integer than 1.
    """
    check_record(record)


def check_record(record: dict[str, Any]) -> EventId:
    """Check as `validate_record` does; return the parsed id, which the entry around must fit."""
    version = record.get("v")
    if type(version) is int and version != SCHEMA:
        raise InvalidInput("unknown-schema", f"schema {version} is not understood", "/v")
    if not _record(record):
        raise _fault("", "empty")
    identity = parse_event_id(record["id"])
    _check_place(record, identity)
    _check_kind(record)
    actor = record.get("actor")
    if actor is not None and actor["type"] == "USER" and not _user(actor["id"]):
        raise _fault("/actor/id", "not the pseudonym of a person")
    if "clockSkew" in record and "occurredAt" not in record:
        raise _fault("/clockSkew", "without occurredAt there is nothing to compare")
    if "decisionSurface" in record:
        _check_surface(record["decisionSurface"])
    if record["eventType"] == GENESIS_TYPE:
        _check_genesis(record, identity)
    return identity


def _fault(pointer: str, detail: str) -> InvalidInput:
    return InvalidInput("invalid-record", detail, pointer)


def _check_place(record: dict[str, Any], identity: EventId) -> None:
    if identity.leaf_index != record["chainPosition"]:
        raise _fault("/chainPosition", "not the leaf index in the event id")
    if record["organisationId"] != record["streamId"].partition(":")[0]:
        raise _fault("/organisationId", "not the tenant in the stream id")


def _check_kind(record: dict[str, Any]) -> None:
    event_type = record["eventType"]
    if "system" in record and not event_type.startswith(RESERVED_PREFIX):
        raise _fault("/system", "only entries of the log's own have it")
    if (event_type == GENESIS_TYPE) != (record["chainPosition"] == 0):
        raise _fault("/eventType", "leaf 0, and no other, opens the stream")


def _check_surface(surface: dict[str, Any]) -> None:
    computed = {}
    if "presentation_timestamp" in surface and "signoff_timestamp" in surface:
        signed, shown = surface["signoff_timestamp"], surface["presentation_timestamp"]
        dwell_ms = parse_time(signed) - parse_time(shown)
        tier = surface.get("decision_complexity_tier", DEFAULT_TIER)
        computed = {"dwell_ms": dwell_ms, "velocity_flag": velocity_flag(tier, dwell_ms)}
    for name in ("dwell_ms", "velocity_flag"):
        if surface.get(name) != computed.get(name):
            raise _fault(f"/decisionSurface/{name}", "does not follow from the two times")


def _check_genesis(record: dict[str, Any], identity: EventId) -> None:
    if record["eventClass"] != "INTENT":
        raise _fault("/eventClass", "a genesis is of class INTENT")
    stream_id: str = record["streamId"]
    system: Any = record.get("system")
    if not _genesis(system):
        raise _fault("/system", "a genesis has it")
    if system["streamId"] != stream_id:
        raise _fault("/system/streamId", "not the stream of this record")
    if system["streamNumber"] != identity.stream_number:
        raise _fault("/system/streamNumber", "not the stream number in the event id")
    if system["visibility"] == "public":
        label = public_label(stream_id)
    else:
        label = stream_label(stream_id, b64decode(system["nonce"]))
    if system["label"] != label:
        raise _fault("/system/label", "not the label of this stream")


# --- The forms of members ---------------------------------------------------------------------------


class _Object:
    """A rule for an object: known members only, each by its own rule, none missing, not empty."""

    def __init__(self, pointer: str, required: dict[str, Rule], optional: dict[str, Rule]) -> None:
        self._pointer = pointer
        self._required = required.keys()
        self._rules = {**required, **optional}

    def __call__(self, value: object) -> bool:
        if type(value) is not dict or not value:
            return False
        rules = self._rules
        name = ""
        try:
            for name, member in value.items():
                if not rules[name](member):
                    raise TypeError
        except KeyError:
            pointer = f"{self._pointer}/{pointer_escape(name)}"
            raise _fault(pointer, "no member of schema 1") from None
        except TypeError:
            detail = "not of the form that schema 1 gives it"
            raise _fault(f"{self._pointer}/{name}", detail) from None
        if not self._required <= value.keys():
            missing = next(name for name in self._required if name not in value)
            raise _fault(f"{self._pointer}/{missing}", "this member is required")
        return True


def _text(pattern: str) -> Rule:
    return re.compile(pattern).fullmatch


def _one_of(*values: str) -> Rule:
    return frozenset(values).__contains__


def _integer(least: int, most: int = MAX_INTEGER) -> Rule:
    # To Python, True is an int and 1.0 == 1: the type decides first.
    return lambda value: type(value) is int and least <= value <= most


def _list_of(rule: Rule, most: int) -> Rule:
    return lambda value: type(value) is list and 0 < len(value) <= most and all(map(rule, value))


def _boolean(value: Any) -> bool:
    return type(value) is bool


def _time(value: Any) -> bool:
    try:
        parse_time(value)
    except InvalidInput:
        return False
    return True


def _bytes_32(value: Any) -> bool:
    try:
        return type(value) is str and b64decode(value, NONCE_SIZE) != b""
    except InvalidInput:
        return False


def _system(value: Any) -> bool:
    return type(value) is dict and value != {} and _plain(value, "/system")


def _plain(value: Any, pointer: str) -> bool:
    """Text, booleans, integers, arrays and objects of them: raises at a null or a fraction."""
    kind = type(value)
    if kind is dict:
        return all(
            _plain(item, f"{pointer}/{pointer_escape(name)}") for name, item in value.items()
        )
    if kind is list:
        return all(_plain(item, f"{pointer}/{index}") for index, item in enumerate(value))
    if kind in (str, bool) or (kind is int and -MAX_INTEGER <= value <= MAX_INTEGER):
        return True
    raise _fault(pointer, "neither text, boolean, integer, array nor object")


_CROCKFORD = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
_any_integer = _integer(-MAX_INTEGER)
_printable = _text("[ -~]{1,128}")
_name = _text("[A-Za-z0-9._:/+-]{1,128}")
_hash = _text("sha256:[0-9a-f]{64}")
_part = _text(NAME_PATTERN)
_stream_id = _text(f"{NAME_PATTERN}:{NAME_PATTERN}:{NAME_PATTERN}")
_user = _text("usr_" + _CROCKFORD)

_record = _Object(
    "",
    {
        "v": _integer(SCHEMA, SCHEMA),
        "id": _text("evt_" + _CROCKFORD),
        "streamId": _stream_id,
        "chainPosition": _integer(0, MAX_LEAF_INDEX),
        "organisationId": _part,
        "eventClass": _one_of(*EVENT_CLASSES),
        "eventType": _printable,
        "severity": _one_of(*SEVERITIES),
        "commitment": _Object("/commitment", {"fields": _integer(1), "root": _hash}, {}),
    },
    {
        "modelId": _name,
        "tags": _list_of(_text("[A-Za-z0-9._:/+-]{1,64}"), 32),
        "occurredAt": _time,
        "clockSkew": lambda value: value is True,
        "actor": _Object("/actor", {"type": _one_of(*ACTOR_TYPES), "id": _printable}, {}),
        "subject": _text("sub_" + _CROCKFORD),
        "agent": _Object(
            "/agent",
            {
                "id": _printable,
                "codeHash": _printable,
                "session": _printable,
                "assurance": _one_of("self"),
            },
            {},
        ),
        "context": _Object(
            "/context",
            {},
            {
                "model_version": _printable,
                "compliance_gate_result": _printable,
                "pii_detected": _boolean,
                "cloud_provider": _printable,
                "cloud_region": _printable,
            },
        ),
        "decisionSurface": _Object(
            "/decisionSurface",
            {},
            {
                "human_decision": _printable,
                "presentation_timestamp": _time,
                "signoff_timestamp": _time,
                "decision_complexity_tier": _integer(1, 3),
                "dwell_ms": _any_integer,
                "velocity_flag": _boolean,
            },
        ),
        "producer": _Object("/producer", {"id": _name, "sequence": _integer(1)}, {}),
        "system": _system,
    },
)

_genesis = _Object(
    "/system",
    {
        # The first character of a root-log leaf: the origin begins each (design §2.2).
        "origin": _text("(?!.*://)[a-z0-9][!-*,-~]{0,54}"),
        "streamId": _stream_id,
        "streamNumber": _integer(0, MAX_STREAM_NUMBER),
        "label": _text(f"[a-z2-7]{{52}}|{NAME_PATTERN}/{NAME_PATTERN}/{NAME_PATTERN}"),
        "nonce": _bytes_32,
        "visibility": _one_of("public", "private"),
        "schema": _integer(SCHEMA, SCHEMA),
        # The form of a vkey alone: a key of a type that came later is no lie.
        "keys": _list_of(_text(r"[!-*,-~]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+={0,2}"), 64),
        "root": _Object("/system/root", {"size": _integer(0), "hash": _bytes_32}, {}),
    },
    {},
)
