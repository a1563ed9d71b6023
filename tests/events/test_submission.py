"""What a well-formed event becomes: the same submission from either flavour, each value where the design puts it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given

from tests.events.samples import SYEN, audital, syen_events
from tlog.core.record import AUDITAL_TYPES
from tlog.events.submission import Submission, parse_event

BARE: dict[str, Any] = {"event_class": "DATA", "event_type": "dataset.queried", "payload": {}}

IMPLIED = {
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


def members(sub: Submission) -> dict[str, Any]:
    return {name: getattr(sub, name) for name in sub.__struct_fields__ if name != "source"}


def test_every_member_stands_where_the_design_puts_it() -> None:
    sub = members(parse_event(SYEN))
    fields = sub.pop("fields")
    assert sub == {
        "event_class": "EXECUTION",
        "event_type": "credit.decision.made",
        "severity": "WARNING",
        "stream_id": "acme:prod-us-east-1:credit-decisions",
        "model_id": "mdl_abc123",
        "tags": ["credit-risk", "high-value"],
        "occurred_ms": 1774015203123,
        "occurred_at": "2026-03-20T14:00:03.123Z",
        "actor_type": "USER",
        "actor_id": "jane.doe@example.com",
        "subject_id": "person 7 / Zoë",
        "context": {
            "cloud_provider": "aws",
            "cloud_region": "us-east-1",
            "compliance_gate_result": "APPROVED",
            "model_version": "risk-engine-v2.1.0",
            "pii_detected": False,
        },
        "surface": {
            "decision_complexity_tier": 2,
            "dwell_ms": 3000,
            "human_decision": "APPROVE",
            "presentation_timestamp": "2026-03-20T14:00:00.000Z",
            "signoff_timestamp": "2026-03-20T14:00:03.000Z",
            "velocity_flag": False,
        },
        "velocity_flag": False,
        "producer_id": "credit-agent",
        "producer_sequence": 77,
        "salt": bytes(range(32)),
    }
    assert sorted(fields) == [
        ("/actor/id", "jane.doe@example.com"),
        ("/actor/ipAddress", "10.0.1.45"),
        ("/context/region~1zone", {"deep": [True]}),
        ("/context/trace_id", "abc-123"),
        ("/decisionSurface/explainability_artifact_hash", "sha256-of-artifact-shown"),
        ("/payload/applicant_id", "app-991"),
        ("/payload/a~1b", [1]),
        ("/payload/decision", "APPROVED"),
        ("/payload/m~0n", None),
        ("/subject/id", "person 7 / Zoë"),
    ]


def test_absent_members_are_absent() -> None:
    sub = members(parse_event(BARE))
    assert {name for name, value in sub.items() if value is not None} == {
        "event_class",
        "event_type",
        "severity",
        "velocity_flag",
        "fields",
    }
    assert (sub["severity"], sub["velocity_flag"], sub["fields"]) == ("INFO", False, [])


@given(syen_events)
def test_both_flavours_say_the_same(event: dict[str, Any]) -> None:
    assert members(parse_event(event)) == members(parse_event(audital(event)))


@pytest.mark.parametrize("event_type", IMPLIED)
def test_the_ten_types_imply_a_class_in_both_flavours(event_type: str) -> None:
    for name in ("event_type", "eventType"):
        sub = parse_event({name: event_type, "payload": {}})
        assert (sub.event_class, sub.event_type) == (IMPLIED[event_type], event_type)


def test_there_are_no_other_types_that_imply_a_class() -> None:
    assert dict(AUDITAL_TYPES) == IMPLIED


def test_a_given_class_is_not_overruled() -> None:
    assert parse_event(
        {"eventType": "ALERT", "eventClass": "RESPONSE", "payload": {}}
    ).event_class == ("RESPONSE")


@pytest.mark.parametrize(
    "event_type", ["tlog", "tlogger.x", "TLOG.x", "x.tlog.", " ", '"\\', "~" * 128]
)
def test_event_types_are_free(event_type: str) -> None:
    assert parse_event({**BARE, "event_type": event_type}).event_type == event_type


def test_only_a_users_id_is_committed_and_every_address() -> None:
    for actor_type in ("SERVICE", "AGENT", "SYSTEM"):
        actor = {"type": actor_type, "id": "s" * 128, "ipAddress": "1" * 64}
        sub = parse_event({**BARE, "actor": actor})
        assert (sub.actor_type, sub.actor_id) == (actor_type, "s" * 128)
        assert sub.fields == [("/actor/ipAddress", "1" * 64)]
    sub = parse_event({**BARE, "actor": {"type": "USER", "id": "i" * 256}})
    assert sub.fields == [("/actor/id", "i" * 256)]


@pytest.mark.parametrize("name", ["ip_address", "ipAddress"])
def test_the_address_has_two_spellings_for_syen(name: str) -> None:
    sub = parse_event({**BARE, "actor": {"type": "SERVICE", "id": "s", name: "::1"}})
    assert sub.fields == [("/actor/ipAddress", "::1")]


@pytest.mark.parametrize("context", [{}, {"trace_id": "t", "note": None, "n": 1}])
def test_a_context_without_a_plain_member_leaves_nothing_in_the_entry(context: Any) -> None:
    sub = parse_event({**BARE, "context": context})
    assert sub.context is None
    assert sub.fields == [("/context/" + name, value) for name, value in context.items()]


@pytest.mark.parametrize(
    "member", ["model_version", "compliance_gate_result", "cloud_provider", "cloud_region"]
)
def test_a_single_plain_member_of_the_context(member: str) -> None:
    sub = parse_event({**BARE, "context": {member: "v"}})
    assert (sub.context, sub.fields) == ({member: "v"}, [])


def test_no_tags_is_the_same_as_an_empty_list() -> None:
    assert parse_event({**BARE, "tags": []}).tags is None
    most = [f"{n:064}" for n in range(32)]
    assert parse_event({**BARE, "tags": most}).tags == most


def test_limits_are_inclusive() -> None:
    for sequence in (1, 2**53 - 1):
        sub = parse_event({**BARE, "producer": {"id": "p" * 128, "sequence": sequence}})
        assert (sub.producer_id, sub.producer_sequence) == ("p" * 128, sequence)
    assert parse_event({**BARE, "model_id": "m" * 128}).model_id == "m" * 128
    longest = ":".join(["a" * 63] * 3)
    assert parse_event({**BARE, "stream_id": longest}).stream_id == longest
    surface = {"explainability_artifact_hash": "é" * 256, "human_decision": "~" * 128}
    sub = parse_event({**BARE, "decision_surface": surface})
    assert sub.fields == [("/decisionSurface/explainability_artifact_hash", "é" * 256)]


def test_a_payload_member_may_have_any_name() -> None:
    sub = parse_event({**BARE, "payload": {"": 1, "~1": 2, "/": 3, "é": {"deep": [{}]}}})
    assert sub.fields == [
        ("/payload/", 1),
        ("/payload/~01", 2),
        ("/payload/~1", 3),
        ("/payload/é", {"deep": [{}]}),
    ]


@pytest.mark.parametrize(("name", "pointer"), [("a/b", "/payload/a~1b"), ("a~b", "/payload/a~0b")])
def test_each_of_the_two_escapes_alone(name: str, pointer: str) -> None:
    assert parse_event({**BARE, "payload": {name: 1}}).fields == [(pointer, 1)]


@given(syen_events)
def test_salt_is_given_or_left_to_the_log(event: dict[str, Any]) -> None:
    salt = event.get("salt")
    assert parse_event(event).salt == (None if salt is None else base64.b64decode(salt))
