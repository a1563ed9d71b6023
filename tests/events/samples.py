"""Events that are right in every member, to be broken in one place, and strategies that draw such events."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

SALT = base64.b64encode(bytes(range(32))).decode()

SYEN: dict[str, Any] = {
    "event_class": "EXECUTION",
    "event_type": "credit.decision.made",
    "payload": {"applicant_id": "app-991", "decision": "APPROVED", "a/b": [1], "m~n": None},
    "decision_surface": {
        "explainability_artifact_hash": "sha256-of-artifact-shown",
        "human_decision": "APPROVE",
        "presentation_timestamp": "2026-03-20T14:00:00Z",
        "signoff_timestamp": "2026-03-20T14:00:03Z",
        "decision_complexity_tier": 2,
    },
    "context": {
        "trace_id": "abc-123",
        "model_version": "risk-engine-v2.1.0",
        "compliance_gate_result": "APPROVED",
        "pii_detected": False,
        "cloud_provider": "aws",
        "cloud_region": "us-east-1",
        "region/zone": {"deep": [True]},
    },
    "stream_id": "acme:prod-us-east-1:credit-decisions",
    "model_id": "mdl_abc123",
    "severity": "WARNING",
    "actor": {"type": "USER", "id": "jane.doe@example.com", "ipAddress": "10.0.1.45"},
    "subject_id": "person 7 / Zoë",
    "tags": ["credit-risk", "high-value"],
    "occurred_at": "2026-03-20T15:00:03.1239+01:00",
    "producer": {"id": "credit-agent", "sequence": 77},
    "salt": SALT,
}

_CAMEL = {
    "event_class": "eventClass",
    "event_type": "eventType",
    "decision_surface": "decisionSurface",
    "stream_id": "streamId",
    "model_id": "modelId",
    "subject_id": "subjectId",
    "occurred_at": "occurredAt",
}


def camel(pointer_or_member: str) -> str:
    """The Audital spelling of a SYEN member, or of the first member of a pointer."""
    slash, rest = (
        ("/", pointer_or_member[1:]) if pointer_or_member[:1] == "/" else ("", pointer_or_member)
    )
    first, *others = rest.split("/")
    return slash + "/".join([_CAMEL.get(first, first), *others])


def audital(event: dict[str, Any]) -> dict[str, Any]:
    """The same event in the other flavour."""
    return {camel(member): value for member, value in event.items()}


AUDITAL = audital(SYEN)

_printable = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=128
)
_name = st.text("ABCXYZabcxyz0189._:/+-", min_size=1, max_size=128)
_person = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256)
_number = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(
    -1e15, 1e15, allow_nan=False, allow_infinity=False
)
_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | _number | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=5,
)
_time = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9998, 1, 1)).map(
    lambda moment: moment.isoformat() + "Z"
)

_actor = st.fixed_dictionaries(
    {"type": st.just("USER"), "id": _person}, optional={"ipAddress": st.just("2001:db8::1")}
) | st.fixed_dictionaries(
    {"type": st.sampled_from(["SERVICE", "AGENT", "SYSTEM"]), "id": _printable}
)

syen_events = st.fixed_dictionaries(
    {
        "event_class": st.sampled_from(["EXECUTION", "OUTCOME", "RECOVERY"]),
        "event_type": _printable.filter(lambda text: not text.startswith("tlog.")),
        "payload": st.dictionaries(_text, json_values, max_size=6),
    },
    optional={
        "decision_surface": st.fixed_dictionaries(
            {},
            optional={
                "explainability_artifact_hash": _person,
                "human_decision": _printable,
                "presentation_timestamp": _time,
                "signoff_timestamp": _time,
                "decision_complexity_tier": st.sampled_from([1, 2, 3]),
            },
        ),
        "context": st.builds(
            lambda free, plain: {**free, **plain},
            st.dictionaries(_text, json_values, max_size=3),
            st.fixed_dictionaries(
                {},
                optional={
                    "model_version": _printable,
                    "compliance_gate_result": _printable,
                    "pii_detected": st.booleans(),
                    "cloud_provider": _printable,
                    "cloud_region": _printable,
                },
            ),
        ),
        "stream_id": st.just("acme:prod:credit"),
        "model_id": _name,
        "severity": st.sampled_from(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
        "actor": _actor,
        "subject_id": _person,
        "tags": st.lists(_name.map(lambda text: text[:64]), max_size=32, unique=True),
        "occurred_at": _time,
        "producer": st.fixed_dictionaries({"id": _name, "sequence": st.integers(1, 2**53 - 1)}),
        "salt": st.binary(min_size=32, max_size=32).map(
            lambda salt: base64.b64encode(salt).decode()
        ),
    },
)
events = syen_events | syen_events.map(audital)
