"""RECORD, schema 1: what an entry says in plain sight. Ours, design §2.3.

In scope: every member, its form, and all that a record can be held to by itself: its id, its tenant,
the two computed members of a decision surface, the genesis. Out of scope: what needs the entry around
it, time and previous hash (`entry`); what needs other entries (`chain`, `binding`).

An absent member is absent: neither null nor an empty object or array. Reserved members are not in
schema 1 yet, so they are refused like any unknown one. Plain text for which the design gives no
alphabet is 1 to 128 characters of printable ASCII.
"""

from __future__ import annotations

from typing import Any

from tlog.core.canonical import MAX_INTEGER
from tlog.core.forms import (
    Object,
    boolean,
    bytes_32,
    fault,
    integer,
    list_of,
    one_of,
    plain_object,
    text,
    time,
)
from tlog.core.ids import (
    MAX_LEAF_INDEX,
    MAX_STREAM_NUMBER,
    NAME_PATTERN,
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
        raise fault("", "empty")
    identity = parse_event_id(record["id"])
    _check_place(record, identity)
    _check_kind(record)
    actor = record.get("actor")
    if actor is not None and actor["type"] == "USER" and not _user(actor["id"]):
        raise fault("/actor/id", "not the pseudonym of a person")
    if "clockSkew" in record and "occurredAt" not in record:
        raise fault("/clockSkew", "without occurredAt there is nothing to compare")
    if "decisionSurface" in record:
        _check_surface(record["decisionSurface"])
    if record["eventType"] == GENESIS_TYPE:
        _check_genesis(record, identity)
    return identity


def _check_place(record: dict[str, Any], identity: EventId) -> None:
    if identity.leaf_index != record["chainPosition"]:
        raise fault("/chainPosition", "not the leaf index in the event id")
    if record["organisationId"] != record["streamId"].partition(":")[0]:
        raise fault("/organisationId", "not the tenant in the stream id")


def _check_kind(record: dict[str, Any]) -> None:
    event_type = record["eventType"]
    if "system" in record and not event_type.startswith(RESERVED_PREFIX):
        raise fault("/system", "only entries of the log's own have it")
    if (event_type == GENESIS_TYPE) != (record["chainPosition"] == 0):
        raise fault("/eventType", "leaf 0, and no other, opens the stream")


def _check_surface(surface: dict[str, Any]) -> None:
    computed = {}
    if "presentation_timestamp" in surface and "signoff_timestamp" in surface:
        signed, shown = surface["signoff_timestamp"], surface["presentation_timestamp"]
        dwell_ms = parse_time(signed) - parse_time(shown)
        tier = surface.get("decision_complexity_tier", DEFAULT_TIER)
        computed = {"dwell_ms": dwell_ms, "velocity_flag": velocity_flag(tier, dwell_ms)}
    for name in ("dwell_ms", "velocity_flag"):
        if surface.get(name) != computed.get(name):
            raise fault(f"/decisionSurface/{name}", "does not follow from the two times")


def _check_genesis(record: dict[str, Any], identity: EventId) -> None:
    if record["eventClass"] != "INTENT":
        raise fault("/eventClass", "a genesis is of class INTENT")
    stream_id: str = record["streamId"]
    system: Any = record.get("system")
    if not _genesis(system):
        raise fault("/system", "a genesis has it")
    if system["streamId"] != stream_id:
        raise fault("/system/streamId", "not the stream of this record")
    if system["streamNumber"] != identity.stream_number:
        raise fault("/system/streamNumber", "not the stream number in the event id")
    if system["visibility"] == "public":
        label = public_label(stream_id)
    else:
        label = stream_label(stream_id, b64decode(system["nonce"]))
    if system["label"] != label:
        raise fault("/system/label", "not the label of this stream")


_CROCKFORD = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
_any_integer = integer(-MAX_INTEGER)
_printable = text("[ -~]{1,128}")
_name = text("[A-Za-z0-9._:/+-]{1,128}")
_hash = text("sha256:[0-9a-f]{64}")
_part = text(NAME_PATTERN)
_stream_id = text(f"{NAME_PATTERN}:{NAME_PATTERN}:{NAME_PATTERN}")
_user = text("usr_" + _CROCKFORD)

_record = Object(
    "",
    {
        "v": integer(SCHEMA, SCHEMA),
        "id": text("evt_" + _CROCKFORD),
        "streamId": _stream_id,
        "chainPosition": integer(0, MAX_LEAF_INDEX),
        "organisationId": _part,
        "eventClass": one_of(*EVENT_CLASSES),
        "eventType": _printable,
        "severity": one_of(*SEVERITIES),
        "commitment": Object("/commitment", {"fields": integer(1), "root": _hash}, {}),
    },
    {
        "modelId": _name,
        "tags": list_of(text("[A-Za-z0-9._:/+-]{1,64}"), 32),
        "occurredAt": time,
        "clockSkew": lambda value: value is True,
        "actor": Object("/actor", {"type": one_of(*ACTOR_TYPES), "id": _printable}, {}),
        "subject": text("sub_" + _CROCKFORD),
        "agent": Object(
            "/agent",
            {
                "id": _printable,
                "codeHash": _printable,
                "session": _printable,
                "assurance": one_of("self"),
            },
            {},
        ),
        "context": Object(
            "/context",
            {},
            {
                "model_version": _printable,
                "compliance_gate_result": _printable,
                "pii_detected": boolean,
                "cloud_provider": _printable,
                "cloud_region": _printable,
            },
        ),
        "decisionSurface": Object(
            "/decisionSurface",
            {},
            {
                "human_decision": _printable,
                "presentation_timestamp": time,
                "signoff_timestamp": time,
                "decision_complexity_tier": integer(1, 3),
                "dwell_ms": _any_integer,
                "velocity_flag": boolean,
            },
        ),
        "producer": Object("/producer", {"id": _name, "sequence": integer(1)}, {}),
        "system": plain_object("/system"),
    },
)

_genesis = Object(
    "/system",
    {
        # The first character of a root-log leaf: the origin begins each (design §2.2).
        "origin": text("(?!.*://)[a-z0-9][!-*,-~]{0,54}"),
        "streamId": _stream_id,
        "streamNumber": integer(0, MAX_STREAM_NUMBER),
        "label": text(f"[a-z2-7]{{52}}|{NAME_PATTERN}/{NAME_PATTERN}/{NAME_PATTERN}"),
        "nonce": bytes_32,
        "visibility": one_of("public", "private"),
        "schema": integer(SCHEMA, SCHEMA),
        # The form of a vkey alone: a key of a type that came later is no lie.
        "keys": list_of(text(r"[!-*,-~]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+={0,2}"), 64),
        "root": Object("/system/root", {"size": integer(0), "hash": bytes_32}, {}),
    },
    {},
)
