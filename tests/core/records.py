"""A RECORD with every member and a genesis, both valid, to be broken in one place; and entries of them."""

from __future__ import annotations

import copy
from base64 import b64encode
from typing import Any

from tlog.core.entry import GENESIS_PREVIOUS, entry_bytes
from tlog.core.ids import event_id, pseudonym, stream_label
from tlog.core.times import format_ms

MS = 1_774_015_203_250
TIME = "2026-03-20T14:00:03.250Z"
NUMBER = 7
STREAM = "acme:prod:credit-decisions"
PREVIOUS = "sha256:" + "ab" * 32
NONCE = bytes(range(32))
DELETE: Any = object()


def minimal(position: int = 5, ms: int = MS) -> dict[str, Any]:
    """The members that no record may lack."""
    return {
        "v": 1,
        "id": event_id(ms, NUMBER, position),
        "streamId": STREAM,
        "chainPosition": position,
        "organisationId": "acme",
        "eventClass": "EXECUTION",
        "eventType": "INFERENCE",
        "severity": "INFO",
        "commitment": {"fields": 1, "root": "sha256:" + "cd" * 32},
    }


def full() -> dict[str, Any]:
    """Every member that schema 1 has, but for `system`."""
    return minimal() | {
        "modelId": "mdl_abc123",
        "tags": ["credit-risk", "high-value"],
        "occurredAt": "2026-03-20T13:00:00.000Z",
        "clockSkew": True,
        "actor": {"type": "USER", "id": pseudonym("usr", bytes(16))},
        "subject": pseudonym("sub", bytes(16)),
        "agent": {
            "id": "scorer",
            "codeHash": "sha256:" + "ef" * 32,
            "session": "ses_1",
            "assurance": "self",
        },
        "context": {
            "model_version": "risk-engine-v2.1.0",
            "compliance_gate_result": "APPROVED",
            "pii_detected": False,
            "cloud_provider": "aws",
            "cloud_region": "us-east-1",
        },
        "decisionSurface": {
            "human_decision": "APPROVE",
            "presentation_timestamp": "2026-03-20T14:00:00.000Z",
            "signoff_timestamp": "2026-03-20T14:00:01.500Z",
            "decision_complexity_tier": 2,
            "dwell_ms": 1500,
            "velocity_flag": True,
        },
        "producer": {"id": "scorer/0", "sequence": 77},
    }


def genesis(*, public: bool = False) -> dict[str, Any]:
    """Leaf 0."""
    return minimal(0) | {
        "eventClass": "INTENT",
        "eventType": "tlog.stream.opened",
        "system": {
            "origin": "log.example.com",
            "streamId": STREAM,
            "streamNumber": NUMBER,
            "label": STREAM.replace(":", "/") if public else stream_label(STREAM, NONCE),
            "nonce": b64encode(NONCE).decode(),
            "visibility": "public" if public else "private",
            "schema": 1,
            "keys": ["log.example.com+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"],
            "root": {"size": 9, "hash": b64encode(bytes(32)).decode()},
        },
    }


def changed(record: dict[str, Any], pointer: str, value: Any) -> dict[str, Any]:
    """A copy with the member at `pointer` set, or taken away by DELETE."""
    record = copy.deepcopy(record)
    *path, name = [token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/")]
    container = record
    for step in path:
        container = container[step]
    if value is DELETE:
        del container[name]
    else:
        container[name] = value
    return record


def entry_of(record: dict[str, Any], previous: str = PREVIOUS, ms: int = MS) -> bytes:
    """The bytes of an entry; a genesis has no previous one."""
    first = record["chainPosition"] == 0
    return entry_bytes(record, GENESIS_PREVIOUS if first else previous, format_ms(ms))
