"""Every rule of schema 1, each broken alone: the fault is found, and its pointer is the member's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.records import DELETE, MS, NUMBER, STREAM, changed, full, genesis, minimal
from tlog.core.ids import event_id, stream_label
from tlog.core.record import (
    ACTOR_TYPES,
    AUDITAL_TYPES,
    EVENT_CLASSES,
    SEVERITIES,
    check_record,
    validate_record,
    velocity_flag,
)
from tlog.errors import InvalidInput

Json = dict[str, Any]

LONG = "x" * 129
NOT_PLAIN: list[Any] = ["", " ", "a b", "é", "a\n", LONG, None, 1, True, ["a"], {}, b"a"]
NOT_PRINTABLE: list[Any] = [
    "",
    "é",
    "a\n",
    "\x7f",
    "\x1f",
    "\u00a0",
    LONG,
    None,
    1,
    True,
    ["a"],
    {"a": "b"},
]
NOT_INTEGER: list[Any] = [None, True, False, 1.0, 1.5, "1", [1], {}, 2**53, float("nan")]
NOT_BOOLEAN: list[Any] = [None, 0, 1, "true", [], 1.0]
NOT_TIME: list[Any] = [
    *["2026-03-20T14:00:00Z", "2026-03-20T15:00:00.000+01:00", "2026-02-30T00:00:00.000Z", ""],
    *[
        None,
        0,
        1774015203250,
        True,
        [],
        {},
        "2026-03-20T14:00:00.000Z\n",
        b"2026-03-20T14:00:00.000Z",
    ],
]
NOT_HASH: list[Any] = [
    None,
    1,
    "",
    "ab" * 32,
    "sha256:" + "AB" * 32,
    "sha256:" + "a" * 63,
    "sha1:" + "a" * 64,
]
CROCKFORD = "0" * 26
NOT_CROCKFORD: list[Any] = [
    "0" * 25,
    "0" * 27,
    "8" + "0" * 25,
    "0" * 25 + "I",
    "0" * 25 + "a",
    "0" * 26 + "\n",
]
NOT_STREAM: list[Any] = [
    None,
    "",
    "acme",
    "acme:prod",
    "Acme:prod:x",
    "acme:prod:x:y",
    "acme:prod:",
    STREAM + "\n",
]


def pseudonyms(wrong: str, right: str) -> list[Any]:
    return [
        None,
        "",
        right,
        wrong + CROCKFORD,
        CROCKFORD,
        *(right + text for text in NOT_CROCKFORD),
    ]


# Pointer -> values that must not stand there, in the record with all members.
FORMS: dict[str, list[Any]] = {
    "/v": [None, True, "1", 1.0, [1], DELETE],
    "/id": [*pseudonyms("usr_", "evt_"), 1, DELETE],
    "/streamId": [*NOT_STREAM, 7, ["acme:prod:x"], DELETE],
    "/chainPosition": [*NOT_INTEGER, -1, 2**48, DELETE],
    "/organisationId": [None, "", "Acme", "a:b", "a" * 64, 1, {}, DELETE],
    "/eventClass": [None, "", "execution", "GUESSWORK", 1, ["DATA"], {"a": 1}, "DATA ", DELETE],
    "/eventType": [*NOT_PRINTABLE, DELETE],
    "/severity": [None, "", "info", "FATAL", 1, ["INFO"], DELETE],
    "/commitment": [None, {}, [], "x", 1, DELETE],
    "/commitment/fields": [*NOT_INTEGER, 0, -1, DELETE],
    "/commitment/root": [*NOT_HASH, DELETE],
    "/commitment/salt": ["x"],
    "/modelId": NOT_PLAIN,
    "/tags": [
        None,
        [],
        "a",
        {},
        {"a": 1},
        ["a", 1],
        [[]],
        [None],
        ["a b"],
        [""],
        ["x" * 65],
        ["t"] * 33,
    ],
    "/occurredAt": NOT_TIME,
    "/clockSkew": [None, False, 1, 1.0, "true", []],
    "/actor": [None, {}, [], "SERVICE", 1],
    "/actor/type": [None, "user", "ROBOT", 1, ["USER"], DELETE],
    "/actor/id": [*NOT_PRINTABLE, "jane", *pseudonyms("sub_", "usr_"), DELETE],
    "/actor/ipAddress": ["10.0.1.45"],
    "/subject": [*pseudonyms("usr_", "sub_"), {"id": "sub_" + CROCKFORD}, 1],
    "/agent": [None, {}, [], "x"],
    "/agent/id": [*NOT_PRINTABLE, DELETE],
    "/agent/codeHash": [*NOT_PRINTABLE, DELETE],
    "/agent/session": [*NOT_PRINTABLE, DELETE],
    "/agent/assurance": [None, "", "tee", "SELF", 1, ["self"], DELETE],
    "/agent/name": ["x"],
    "/context": [None, {}, [], "x"],
    "/context/model_version": NOT_PRINTABLE,
    "/context/compliance_gate_result": NOT_PRINTABLE,
    "/context/pii_detected": NOT_BOOLEAN,
    "/context/cloud_provider": NOT_PRINTABLE,
    "/context/cloud_region": NOT_PRINTABLE,
    "/context/trace_id": ["abc-123"],
    "/decisionSurface": [None, {}, [], "x"],
    "/decisionSurface/human_decision": NOT_PRINTABLE,
    "/decisionSurface/presentation_timestamp": NOT_TIME,
    "/decisionSurface/signoff_timestamp": NOT_TIME,
    "/decisionSurface/decision_complexity_tier": [*NOT_INTEGER, 0, 4, -1],
    "/decisionSurface/dwell_ms": [*NOT_INTEGER, 1499, 1501, -1500, DELETE],
    "/decisionSurface/velocity_flag": [*NOT_BOOLEAN, False, DELETE],
    "/decisionSurface/explainability_artifact_hash": ["sha256:x"],
    "/decisionSurface/challenge": ["x"],
    "/producer": [None, {}, [], "x"],
    "/producer/id": [*NOT_PLAIN, DELETE],
    "/producer/sequence": [*NOT_INTEGER, 0, -1, DELETE],
    "/producer/previous": ["x"],
    "/producer/key": ["x"],
    "/producer/signature": ["x"],
    "/system": [None, {}, [], "x", {"a": 1}],
    "/payload": [{}],
    "/colour": ["red", None],
    "/a~1b~0c": [1],
    "/": [1],
}

GENESIS_FORMS: dict[str, list[Any]] = {
    "/eventClass": ["EXECUTION"],
    "/system": [None, {}, [], "x", DELETE],
    "/system/origin": [
        None,
        "",
        "Log.example.com",
        "https://",
        "a b",
        "a+b",
        "a" * 56,
        "é",
        "a\n",
        DELETE,
    ],
    "/system/streamId": [*NOT_STREAM, "acme:prod:other", DELETE],
    "/system/streamNumber": [None, True, 7.5, "7", -1, 2**32, 8, DELETE],
    "/system/label": [
        *[
            None,
            "",
            "x",
            "A" * 52,
            "a" * 51,
            "a" * 53,
            "a" * 52,
            STREAM,
            STREAM.replace(":", "/"),
            DELETE,
        ],
        *[stream_label(STREAM, bytes(32)), stream_label("acme:prod:other", bytes(range(32)))],
    ],
    "/system/nonce": [None, "", "AAAA", "A" * 43, "A" * 43 + "!", "é", 1, [], DELETE],
    "/system/visibility": [None, "", "secret", 1, [], DELETE],
    "/system/schema": [None, 0, 2, True, 1.0, "1", DELETE],
    "/system/keys": [
        None,
        [],
        "log+33d7b496+AeHT",
        {},
        [1],
        [""],
        ["log+33d7b496"],
        ["log+33D7B496+AA"],
        DELETE,
    ],
    "/system/root": [None, {}, [], "x", DELETE],
    "/system/root/size": [None, -1, True, 1.5, "9", DELETE],
    "/system/root/hash": [None, "", "ab" * 32, "A" * 44, 1, DELETE],
    "/system/root/origin": ["x"],
    "/system/colour": ["red"],
}


def cases(forms: dict[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(pointer, value, id=f"{pointer}-{number}")
        for pointer, values in forms.items()
        for number, value in enumerate(values)
    ]


def refuse(record: Json, pointer: str, kind: str = "invalid-record") -> None:
    with pytest.raises(InvalidInput) as caught:
        validate_record(record)
    assert (caught.value.kind, caught.value.pointer) == (kind, pointer), caught.value.detail


@pytest.mark.parametrize("record", [minimal(), full(), genesis(), genesis(public=True)])
def test_the_records_that_are_broken_below_are_valid(record: Json) -> None:
    validate_record(record)
    assert check_record(record) == (MS, NUMBER, record["chainPosition"])


@pytest.mark.parametrize(("pointer", "value"), cases(FORMS))
def test_every_form(pointer: str, value: Any) -> None:
    refuse(changed(full(), pointer, value), pointer)


@pytest.mark.parametrize(("pointer", "value"), cases(GENESIS_FORMS))
def test_every_form_of_a_genesis(pointer: str, value: Any) -> None:
    refuse(changed(genesis(), pointer, value), pointer)


@pytest.mark.parametrize("pointer", sorted(full().keys() - minimal().keys()))
def test_every_other_member_may_be_absent(pointer: str) -> None:
    record = full()
    del record[pointer]
    if pointer == "occurredAt":
        refuse(record, "/clockSkew")
        del record["clockSkew"]
    validate_record(record)


@pytest.mark.parametrize("section", ["context", "decisionSurface"])
def test_plain_members_may_stand_alone(section: str) -> None:
    for name, value in full()[section].items():
        if name not in ("dwell_ms", "velocity_flag"):
            validate_record(minimal() | {section: {name: value}})


@pytest.mark.parametrize(
    ("pointer", "values"),
    [
        ("/eventClass", EVENT_CLASSES),
        ("/severity", SEVERITIES),
        ("/eventType", [*AUDITAL_TYPES, "x", " ", "~" * 128, "tlog", "tlog.x"]),
        ("/modelId", ["m", "A-Za-z0-9._:/+-", "x" * 128]),
        ("/tags", [["t"], ["x" * 64] * 32]),
        ("/commitment/fields", [1, 2**53 - 1]),
        ("/producer/sequence", [1, 2**53 - 1]),
        ("/subject", ["sub_7" + "Z" * 25]),
        ("/context/pii_detected", [True, False]),
    ],
)
def test_every_value_at_its_bound(pointer: str, values: list[Any]) -> None:
    for value in values:
        validate_record(changed(full(), pointer, value))


def test_only_a_user_has_a_pseudonym() -> None:
    for kind in ACTOR_TYPES:
        record = changed(full(), "/actor", {"type": kind, "id": "svc scorer!"})
        if kind == "USER":
            refuse(record, "/actor/id")
        else:
            validate_record(record)


def test_unknown_schemas_are_not_invalid() -> None:
    for version in (0, 2, -1, 2**53):
        refuse(changed(full(), "/v", version), "/v", "unknown-schema")
        refuse({"v": version, "anything": None}, "/v", "unknown-schema")
    refuse({}, "")


def test_the_place_is_said_twice() -> None:
    refuse(minimal() | {"id": event_id(0, 0, 6)}, "/chainPosition")
    refuse(minimal() | {"chainPosition": 6}, "/chainPosition")
    refuse(minimal() | {"organisationId": "other"}, "/organisationId")
    refuse(minimal() | {"streamId": "other:prod:x"}, "/organisationId")


def test_leaf_0_and_no_other_opens_the_stream() -> None:
    refuse(minimal(0), "/eventType")
    refuse(genesis() | {"chainPosition": 5, "id": minimal(5)["id"]}, "/eventType")
    refuse(changed(genesis(), "/eventType", "tlog.stream.closed"), "/eventType")


def test_a_genesis_says_what_it_opens() -> None:
    refuse(changed(genesis(), "/system/visibility", "public"), "/system/label")
    refuse(changed(genesis(public=True), "/system/visibility", "private"), "/system/label")
    refuse(changed(genesis(public=True), "/system/label", "acme/prod/other"), "/system/label")
    other = changed(genesis(), "/id", event_id(1, 8, 0))
    refuse(other, "/system/streamNumber")
    # A stream that was opened before the root log's first leaf but one, and a key of a later type.
    validate_record(changed(genesis(), "/system/root/size", 0))
    validate_record(
        changed(genesis(), "/system/keys", ["log.example.com+00c0ffee+Bg==", "x+00000000+AAAA"])
    )


def test_system_is_for_the_logs_own_entries() -> None:
    own = minimal() | {"eventType": "tlog.payload.erased"}
    validate_record(own)
    for system in ({"a": [1, True, "é", {"b": {}}, []], "": -(2**53) + 1}, {"eventId": "evt_0"}):
        validate_record(own | {"system": system})
        refuse(minimal() | {"system": system}, "/system")
        refuse(minimal() | {"system": system, "eventType": "tlogx"}, "/system")
    for value in (None, 0.5, 1.0, 2**53, -(2**53), b"x"):
        refuse(own | {"system": {"a": value}}, "/system/a")
        refuse(own | {"system": {"b": [1, {"c/d": value}]}}, "/system/b/1/c~1d")


def surface(**members: Any) -> Json:
    return minimal() | {"decisionSurface": members}


SHOWN = "2026-03-20T14:00:00.000Z"


@pytest.mark.parametrize(
    ("tier", "signed", "dwell_ms", "flag"),
    [
        (1, "2026-03-20T14:00:00.499Z", 499, True),
        (1, "2026-03-20T14:00:00.500Z", 500, False),
        (2, "2026-03-20T14:00:01.999Z", 1999, True),
        (2, "2026-03-20T14:00:02.000Z", 2000, False),
        (None, "2026-03-20T14:00:01.999Z", 1999, True),
        (None, "2026-03-20T14:00:02.000Z", 2000, False),
        (3, "2026-03-20T14:00:09.999Z", 9999, True),
        (3, "2026-03-20T14:00:10.000Z", 10000, False),
        (1, "2026-03-20T13:59:59.999Z", -1, True),
        (3, "2026-03-19T14:00:00.000Z", -86_400_000, True),
        (1, SHOWN, 0, True),
    ],
)
def test_velocity(tier: int | None, signed: str, dwell_ms: int, flag: bool) -> None:
    assert velocity_flag(tier or 2, dwell_ms) is flag
    members: Json = {"presentation_timestamp": SHOWN, "signoff_timestamp": signed}
    if tier is not None:
        members["decision_complexity_tier"] = tier
    validate_record(surface(**members, dwell_ms=dwell_ms, velocity_flag=flag))
    refuse(
        surface(**members, dwell_ms=dwell_ms, velocity_flag=not flag),
        "/decisionSurface/velocity_flag",
    )
    refuse(
        surface(**members, dwell_ms=dwell_ms + 1, velocity_flag=flag), "/decisionSurface/dwell_ms"
    )
    refuse(surface(**members, velocity_flag=flag), "/decisionSurface/dwell_ms")
    refuse(surface(**members, dwell_ms=dwell_ms), "/decisionSurface/velocity_flag")


@pytest.mark.parametrize("one", ["presentation_timestamp", "signoff_timestamp"])
def test_one_time_alone_computes_nothing(one: str) -> None:
    validate_record(surface(**{one: SHOWN}))
    refuse(surface(**{one: SHOWN}, dwell_ms=0), "/decisionSurface/dwell_ms")
    refuse(surface(**{one: SHOWN}, velocity_flag=True), "/decisionSurface/velocity_flag")
    refuse(surface(**{one: SHOWN}, velocity_flag=False), "/decisionSurface/velocity_flag")


def test_the_enums_of_the_design() -> None:
    assert len(EVENT_CLASSES) == 11
    assert len(AUDITAL_TYPES) == 10
    assert set(AUDITAL_TYPES.values()) == {"EXECUTION", "INTENT", "DATA", "DETECTION"}
    assert [name for name, kind in AUDITAL_TYPES.items() if kind == "EXECUTION"] == [
        *["INFERENCE", "HUMAN_REVIEW", "TRAINING_STARTED", "TRAINING_COMPLETED", "DEPLOYMENT"]
    ]
    assert AUDITAL_TYPES["MODEL_REGISTERED"] == AUDITAL_TYPES["CONFIG_CHANGE"] == "INTENT"
    assert AUDITAL_TYPES["DATA_ACCESS"] == "DATA"
    assert AUDITAL_TYPES["ALERT"] == AUDITAL_TYPES["SHADOW_AI_DETECTED"] == "DETECTION"
    assert SEVERITIES == ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    assert set(ACTOR_TYPES) == {"USER", "SERVICE", "AGENT", "SYSTEM"}
