"""Every rule of the input has an event in which only that rule is broken, and the error names kind and member.

Each case runs in both flavours and at the top of a request as well as inside a batch; the pointer
must be in the spelling of the submitter. The last tests hold together the three places that know
the rules: the Structs, the cheap checks of `submission`, and `diagnose`.
"""

from __future__ import annotations

import copy
from typing import Annotated, Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.events.samples import AUDITAL, SYEN, audital, camel, events, json_values
from tlog.core import record
from tlog.core.canonical import canonical
from tlog.errors import InvalidInput
from tlog.events import diagnose
from tlog.events import input as schema
from tlog.events.submission import parse_event

GONE = object()

FAULTS: list[tuple[str, Any, str, str]] = [
    # where, what stands there, kind, pointer if it is not where
    ("/event_type", GONE, "missing-member", ""),
    ("/payload", GONE, "missing-member", ""),
    ("/actor/type", GONE, "missing-member", ""),
    ("/actor/id", GONE, "missing-member", ""),
    ("/producer/id", GONE, "missing-member", ""),
    ("/producer/sequence", GONE, "missing-member", ""),
    ("/event_class", GONE, "missing-member", ""),
    ("/verified", True, "unknown-member", ""),
    ("/a~1b~0c", True, "unknown-member", ""),
    ("/actor/name", "x", "unknown-member", ""),
    ("/producer/previous", "x", "unknown-member", ""),
    ("/producer/signature", "x", "unknown-member", ""),
    ("/decision_surface/dwell_ms", 5, "unknown-member", ""),
    ("/decision_surface/velocity_flag", False, "unknown-member", ""),
    ("/decision_surface/challenge", "x", "unknown-member", ""),
    ("/event_class", "execution", "unknown-event-class", ""),
    ("/event_class", "", "unknown-event-class", ""),
    ("/event_class", 1, "wrong-type", ""),
    ("/event_type", "", "invalid-value", ""),
    ("/event_type", "x" * 129, "invalid-value", ""),
    ("/event_type", "prêt", "invalid-value", ""),
    ("/event_type", "final newline\n", "invalid-value", ""),
    ("/event_type", "del\x7f", "invalid-value", ""),
    ("/event_type", 7, "wrong-type", ""),
    ("/event_type", "tlog.stream.opened", "reserved-event-type", ""),
    ("/event_type", "tlog.", "reserved-event-type", ""),
    ("/payload", [], "wrong-type", ""),
    ("/payload", "{}", "wrong-type", ""),
    ("/severity", "info", "invalid-value", ""),
    ("/severity", 3, "wrong-type", ""),
    ("/stream_id", "acme:prod", "invalid-value", ""),
    ("/stream_id", "acme:prod:a:b", "invalid-value", ""),
    ("/stream_id", "Acme:prod:a", "invalid-value", ""),
    ("/stream_id", "acme:prod:-a", "invalid-value", ""),
    ("/stream_id", "acme:prod:a\n", "invalid-value", ""),
    ("/stream_id", "acme:prod:" + "a" * 64, "invalid-value", ""),
    ("/stream_id", "", "invalid-value", ""),
    ("/stream_id", 1, "wrong-type", ""),
    ("/model_id", "", "invalid-value", ""),
    ("/model_id", "a b", "invalid-value", ""),
    ("/model_id", "a\n", "invalid-value", ""),
    ("/model_id", "m" * 129, "invalid-value", ""),
    ("/model_id", 1, "wrong-type", ""),
    ("/tags", "credit", "wrong-type", ""),
    ("/tags", {}, "wrong-type", ""),
    ("/tags", [f"t{n}" for n in range(33)], "invalid-value", ""),
    ("/tags", ["a", "b", "c", 5], "wrong-type", "/tags/3"),
    ("/tags", ["a", ""], "invalid-value", "/tags/1"),
    ("/tags", ["a", "b c"], "invalid-value", "/tags/1"),
    ("/tags", ["a\n"], "invalid-value", "/tags/0"),
    ("/tags", ["a", "b", "t" * 65], "invalid-value", "/tags/2"),
    ("/tags", ["a", "b", "c", "b", "a"], "invalid-value", "/tags/3"),
    ("/tags", ["a", None], "wrong-type", "/tags/1"),
    ("/occurred_at", "yesterday", "invalid-time", ""),
    ("/occurred_at", "", "invalid-time", ""),
    ("/occurred_at", "2026-03-20T14:00:00", "invalid-time", ""),
    ("/occurred_at", "2026-02-30T14:00:00Z", "invalid-time", ""),
    ("/occurred_at", 1774015200, "wrong-type", ""),
    ("/actor", "jane", "wrong-type", ""),
    ("/actor/type", "HUMAN", "invalid-value", ""),
    ("/actor/type", 1, "wrong-type", ""),
    ("/actor/id", "", "invalid-value", ""),
    ("/actor/id", "i" * 257, "invalid-value", ""),
    ("/actor/id", 1, "wrong-type", ""),
    ("/actor/ipAddress", "", "invalid-value", ""),
    ("/actor/ipAddress", "1" * 65, "invalid-value", ""),
    ("/actor/ipAddress", 1, "wrong-type", ""),
    ("/actor", {"type": "SERVICE", "id": "s" * 129}, "invalid-value", "/actor/id"),
    ("/actor", {"type": "AGENT", "id": "Zoë"}, "invalid-value", "/actor/id"),
    ("/actor", {"type": "SYSTEM", "id": "a\n"}, "invalid-value", "/actor/id"),
    ("/subject_id", "", "invalid-value", ""),
    ("/subject_id", "s" * 257, "invalid-value", ""),
    ("/subject_id", 1, "wrong-type", ""),
    ("/context", [], "wrong-type", ""),
    ("/context/pii_detected", "no", "wrong-type", ""),
    ("/context/pii_detected", 0, "wrong-type", ""),
    *[
        (f"/context/{member}", value, kind, "")
        for member in (
            "model_version",
            "compliance_gate_result",
            "cloud_provider",
            "cloud_region",
        )
        for value, kind in [
            ("", "invalid-value"),
            ("x" * 129, "invalid-value"),
            ("Zürich", "invalid-value"),
            ("a\n", "invalid-value"),
            (True, "wrong-type"),
            (None, "wrong-type"),
        ]
    ],
    ("/decision_surface", [], "wrong-type", ""),
    ("/decision_surface/human_decision", "", "invalid-value", ""),
    ("/decision_surface/human_decision", "x" * 129, "invalid-value", ""),
    ("/decision_surface/human_decision", "a\n", "invalid-value", ""),
    ("/decision_surface/human_decision", 1, "wrong-type", ""),
    ("/decision_surface/presentation_timestamp", "14:00", "invalid-time", ""),
    ("/decision_surface/presentation_timestamp", 14, "wrong-type", ""),
    ("/decision_surface/signoff_timestamp", "", "invalid-time", ""),
    ("/decision_surface/signoff_timestamp", 14, "wrong-type", ""),
    ("/decision_surface/decision_complexity_tier", 0, "invalid-value", ""),
    ("/decision_surface/decision_complexity_tier", 4, "invalid-value", ""),
    ("/decision_surface/decision_complexity_tier", 2.0, "wrong-type", ""),
    ("/decision_surface/decision_complexity_tier", "2", "wrong-type", ""),
    ("/decision_surface/decision_complexity_tier", True, "wrong-type", ""),
    ("/decision_surface/explainability_artifact_hash", "", "invalid-value", ""),
    ("/decision_surface/explainability_artifact_hash", "h" * 257, "invalid-value", ""),
    ("/decision_surface/explainability_artifact_hash", 1, "wrong-type", ""),
    ("/producer", "p", "wrong-type", ""),
    ("/producer/id", "", "invalid-value", ""),
    ("/producer/id", "a b", "invalid-value", ""),
    ("/producer/id", "a\n", "invalid-value", ""),
    ("/producer/id", "p" * 129, "invalid-value", ""),
    ("/producer/id", 1, "wrong-type", ""),
    ("/producer/sequence", 0, "invalid-value", ""),
    ("/producer/sequence", 2**53, "invalid-value", ""),
    ("/producer/sequence", "1", "wrong-type", ""),
    ("/producer/sequence", 1.5, "wrong-type", ""),
    ("/producer/sequence", True, "wrong-type", ""),
    ("/salt", "", "invalid-salt", ""),
    ("/salt", "A" * 40, "invalid-salt", ""),
    ("/salt", "A" * 43, "invalid-salt", ""),
    ("/salt", "A" * 42 + "B=", "invalid-salt", ""),
    ("/salt", "-" * 43 + "=", "invalid-salt", ""),
    ("/salt", 1, "wrong-type", ""),
    *[
        (pointer, None, "wrong-type", "")
        for pointer in (
            "/event_class",
            "/event_type",
            "/payload",
            "/decision_surface",
            "/decision_surface/decision_complexity_tier",
            "/decision_surface/human_decision",
            "/decision_surface/signoff_timestamp",
            "/context",
            "/context/pii_detected",
            "/stream_id",
            "/model_id",
            "/severity",
            "/actor",
            "/actor/ipAddress",
            "/subject_id",
            "/tags",
            "/occurred_at",
            "/producer",
            "/producer/sequence",
            "/salt",
        )
    ],
]


def broken(event: dict[str, Any], pointer: str, value: Any) -> dict[str, Any]:
    event = copy.deepcopy(event)
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    target = event
    for parent in parents:
        target = target[parent]
    if value is GONE:
        del target[last]
    else:
        target[last] = value
    return event


def fault(value: Any, pointer: str = "") -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse_event(value, pointer)
    return caught.value


@pytest.mark.parametrize("flavour", ["syen", "audital"])
@pytest.mark.parametrize(("where", "value", "kind", "pointer"), FAULTS)
def test_one_broken_rule_is_named(
    where: str, value: Any, kind: str, pointer: str, flavour: str
) -> None:
    pointer = pointer or where
    if flavour == "syen":
        event = broken(SYEN, where, value)
    else:
        event, pointer = broken(AUDITAL, camel(where), value), camel(pointer)
    error = fault(event)
    assert (error.kind, error.pointer) == (kind, pointer)
    error = fault(event, "/17")
    assert (error.kind, error.pointer) == (kind, "/17" + pointer)


def test_the_unbroken_events_are_accepted() -> None:
    parse_event(SYEN)
    parse_event(AUDITAL)


@pytest.mark.parametrize("value", [None, [], "event", 1, 1.5, True])
def test_an_event_is_an_object(value: Any) -> None:
    error = fault(value, "/3")
    assert (error.kind, error.pointer) == ("wrong-type", "/3")


def test_null_is_told_apart_from_another_type() -> None:
    assert "leave an optional member out" in fault({**SYEN, "tags": None}).detail
    assert fault({**SYEN, "tags": True}).detail == "a boolean instead of an array"


def test_ip_address_is_syens_spelling_and_one_member() -> None:
    error = fault({**AUDITAL, "actor": {"type": "USER", "id": "j", "ip_address": "::1"}})
    assert (error.kind, error.pointer) == ("unknown-member", "/actor/ip_address")
    actor = {"type": "USER", "id": "j", "ip_address": "::1", "ipAddress": "::1"}
    error = fault({**SYEN, "actor": actor})
    assert (error.kind, error.pointer) == ("invalid-value", "/actor/ipAddress")
    error = fault({**SYEN, "actor": {"type": "USER", "id": "j", "ip_address": ""}})
    assert (error.kind, error.pointer) == ("invalid-value", "/actor/ip_address")


@pytest.mark.parametrize(
    ("event", "kind", "pointer"),
    [
        ({}, "missing-member", "/event_type"),
        ({"modelId": "m"}, "missing-member", "/eventType"),
        ({"event_type": "x", "eventType": "x", "payload": {}}, "unknown-member", "/eventType"),
        ({"event_type": "x", "payload": {}, "modelId": "m"}, "unknown-member", "/modelId"),
        ({"eventType": "x", "payload": {}, "model_id": "m"}, "unknown-member", "/model_id"),
        ({"event_type": "x", "payload": {}}, "missing-member", "/event_class"),
        ({"eventType": "x", "payload": {}}, "missing-member", "/eventClass"),
    ],
)
def test_a_fault_is_told_in_the_spelling_that_was_meant(
    event: dict[str, Any], kind: str, pointer: str
) -> None:
    error = fault(event)
    assert (error.kind, error.pointer) == (kind, pointer)


@pytest.mark.parametrize(
    ("filler", "numbers"),
    [("x" * (2**20 - 8), []), ("é" * (2**19 - 4), []), ("", [1e-6] * 116507 + [11111])],
)
def test_a_payload_of_one_mebibyte_passes_and_one_byte_more_does_not(
    filler: str, numbers: list[float]
) -> None:
    payload: dict[str, Any] = {"a": numbers} if numbers else {"a": filler}
    parse_event({**SYEN, "payload": payload})
    payload = {"a": [*numbers[:-1], 111111]} if numbers else {"b": filler + "x"}
    error = fault({**SYEN, "payload": payload}, "/2")
    assert (error.kind, error.pointer) == ("payload-too-large", "/2/payload")


@given(json_values)
def test_the_cheap_bound_on_the_canonical_size_holds(value: Any) -> None:
    assert len(canonical(value)) <= 8 * len(msgspec.json.encode(value))


def test_the_enumerations_are_those_of_record() -> None:
    assert set(get_args(schema.EventClass)) == set(record.EVENT_CLASSES)
    assert set(get_args(schema.Severity)) == set(record.SEVERITIES)
    assert set(get_args(schema.ActorType)) == set(record.ACTOR_TYPES)
    assert set(get_args(schema.Tier)) == set(record.LEAST_DWELL_MS)
    assert schema.DecisionSurface().decision_complexity_tier == record.DEFAULT_TIER


@st.composite
def _damaged(draw: st.DrawFn) -> Any:
    event: dict[str, Any] = draw(events)
    target: dict[str, Any] = event
    name = draw(st.sampled_from(sorted(event)))
    while isinstance(target[name], dict) and target[name] and draw(st.booleans()):
        target = target[name]
        name = draw(st.sampled_from(sorted(target)))
    target[name] = draw(json_values | st.text(max_size=300))
    return event


@given(_damaged())
def test_whatever_stands_anywhere_is_accepted_or_named(event: Any) -> None:
    # The fast refusals and the slow diagnosis must agree: a refusal without a fault is an
    # AssertionError.
    pointer: str | None = ""
    try:
        parse_event(event, "/0")
    except InvalidInput as error:
        pointer = error.pointer
    if pointer != "":
        assert pointer is not None
        assert pointer.startswith("/0/")
        return
    for flavour in (schema.SyenEvent, schema.AuditalEvent):
        if ("event_type" in event) == (flavour is schema.SyenEvent):
            with pytest.raises(AssertionError, match="has no fault"):
                diagnose.raise_fault(event, flavour, "")


class _Request(msgspec.Struct):
    part: Annotated[str, msgspec.Meta(pattern="^[a-z]+$")]
    note: Any = None
    count: Annotated[int, msgspec.Meta(ge=1)] | msgspec.UnsetType = msgspec.UNSET


@pytest.mark.parametrize(
    ("value", "kind", "pointer"),
    [
        ({"part": "A"}, "invalid-value", "/part"),
        ({"part": 1}, "wrong-type", "/part"),
        ({}, "missing-member", "/part"),
        ({"part": "a", "note": [], "count": 0}, "invalid-value", "/count"),
    ],
)
def test_any_request_that_is_a_struct_can_be_diagnosed(
    value: dict[str, Any], kind: str, pointer: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        diagnose.raise_fault(value, _Request, "")
    assert (caught.value.kind, caught.value.pointer) == (kind, pointer)


def test_audital_sample_is_the_same_event() -> None:
    assert audital(SYEN).keys() == AUDITAL.keys() != SYEN.keys()
