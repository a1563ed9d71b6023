"""A verified receipt is for this client's event: every member it set, none that it did not, its own values.

Honest entries are made by the log's own writer (`events.splice`); each test then lies in one place, as an
operator could who signs whatever it likes.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

import pytest

from tests.events.samples import SYEN
from tlog.client.receipts import LOG_MEMBERS, check_submission
from tlog.core.canonical import canonical
from tlog.core.commitment import commit
from tlog.core.entry import parse_entry
from tlog.core.ids import event_id, pseudonym
from tlog.core.times import format_ms, parse_time
from tlog.core.wire import hash_text
from tlog.errors import VerificationError
from tlog.events.splice import segments, splice
from tlog.events.submission import Submission, parse_event

MS = parse_time("2026-03-20T14:00:03.250Z")
USER, SUBJECT = pseudonym("usr", bytes(16)), pseudonym("sub", bytes(range(16)))
AGENT = b'{"assurance":"self","codeHash":"sha256:ab","id":"credit-agent","session":"ses_1"}'
STREAM = "acme:prod-us-east-1:credit-decisions"
OTHER_SALT = bytes(range(1, 33))

PLAIN: dict[str, Any] = {"event_type": "INFERENCE", "payload": {"n": 1}}
SERVICE = PLAIN | {"actor": {"type": "SERVICE", "id": "svc_scorer_api"}}


def receipt_of(
    event: dict[str, Any], salt: bytes | None = None
) -> tuple[dict[str, Any], Submission]:
    """The honest receipt of an event, as far as a submission is compared with it."""
    sub = parse_event(event)
    master = sub.salt or salt or bytes(32)
    made = commit(sub.fields, master)
    seg = segments(
        sub,
        stream_id=sub.stream_id or STREAM,
        tenant="acme",
        agent=AGENT,
        actor_pseudonym=USER if sub.actor_type == "USER" else None,
        subject_pseudonym=SUBJECT if sub.subject_id is not None else None,
        fields=made.fields,
        root=made.root,
    )
    occurred = sub.occurred_ms
    entry = splice(
        seg,
        position=5,
        clock_skew=occurred is not None and abs(occurred - MS) > 300_000,
        event_id=event_id(MS, 7, 5),
        previous_hash=hash_text(bytes(31) + b"\1"),
        timestamp=format_ms(MS),
    )
    parse_entry(entry)
    return {"entry": b64encode(entry).decode(), "salt": b64encode(master).decode()}, sub


def lie(event: dict[str, Any], change: dict[str, Any]) -> tuple[dict[str, Any], Submission]:
    """A receipt whose record has other members; None takes one away."""
    receipt, sub = receipt_of(event)
    entry = parse_entry(b64decode(receipt["entry"]))
    record = {name: value for name, value in (entry.record | change).items() if value is not None}
    raw = canonical(
        {"payload": record, "previousHash": entry.previous_hash, "timestamp": entry.timestamp}
    )
    return {**receipt, "entry": b64encode(raw).decode()}, sub


@pytest.mark.parametrize("event", [SYEN, PLAIN, SERVICE], ids=["full", "plain", "service"])
def test_honest_receipt(event: dict[str, Any]) -> None:
    receipt, sub = receipt_of(event)
    check_submission(receipt, sub)
    check_submission(receipt, sub, stream_id=STREAM)


def test_entry_that_was_parsed_already_is_not_parsed_again() -> None:
    receipt, sub = receipt_of(PLAIN)
    entry = parse_entry(b64decode(receipt["entry"]))
    check_submission({"salt": receipt["salt"]}, sub, entry=entry)


LIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "class": (SYEN, {"eventClass": "OUTCOME"}),
    "type": (SYEN, {"eventType": "credit.decision.unmade"}),
    "severity": (SYEN, {"severity": "INFO"}),
    "severity-default": (PLAIN, {"severity": "ERROR"}),
    "model": (SYEN, {"modelId": "mdl_other"}),
    "model-left-out": (SYEN, {"modelId": None}),
    "model-added": (PLAIN, {"modelId": "mdl_other"}),
    "tags": (SYEN, {"tags": ["credit-risk"]}),
    "tags-added": (PLAIN, {"tags": ["credit-risk"]}),
    "occurred": (SYEN, {"occurredAt": "2026-03-20T14:00:03.124Z"}),
    "occurred-left-out": (SYEN, {"occurredAt": None}),
    "stream": (SYEN, {"streamId": "acme:prod-us-east-1:other"}),
    "context": (SYEN, {"context": {"pii_detected": True}}),
    "context-added": (PLAIN, {"context": {"pii_detected": True}}),
    "surface-left-out": (SYEN, {"decisionSurface": None}),
    "surface-added": (PLAIN, {"decisionSurface": {"human_decision": "APPROVE"}}),
    "producer": (SYEN, {"producer": {"id": "credit-agent", "sequence": 78}}),
    "producer-added": (PLAIN, {"producer": {"id": "credit-agent", "sequence": 1}}),
    "actor-left-out": (SYEN, {"actor": None}),
    "actor-added": (PLAIN, {"actor": {"type": "SYSTEM", "id": "x"}}),
    "actor-type": (SYEN, {"actor": {"type": "SERVICE", "id": USER}}),
    "actor-of-a-service": (SERVICE, {"actor": {"type": "SERVICE", "id": "svc_other"}}),
    "subject-left-out": (SYEN, {"subject": None}),
    "subject-added": (PLAIN, {"subject": SUBJECT}),
    "commitment": (PLAIN, {"commitment": {"fields": 2, "root": hash_text(bytes(32))}}),
}


@pytest.mark.parametrize("name", LIES)
def test_each_lie_is_found(name: str) -> None:
    receipt, sub = lie(*LIES[name])
    with pytest.raises(VerificationError):
        check_submission(receipt, sub)


def test_stream_of_the_session() -> None:
    receipt, sub = receipt_of(PLAIN)
    with pytest.raises(VerificationError):
        check_submission(receipt, sub, stream_id="acme:prod-us-east-1:other")


def test_salt_must_be_there_and_the_clients_own() -> None:
    receipt, sub = receipt_of(PLAIN, OTHER_SALT)
    check_submission(receipt, sub)
    for other in ({}, {"salt": b64encode(bytes(32)).decode()}, {"salt": "AAAA"}, {"salt": None}):
        with pytest.raises(VerificationError):
            check_submission({"entry": receipt["entry"], **other}, sub)
    # The log commits to the right values, but under a salt of its own choice.
    without = {name: value for name, value in SYEN.items() if name != "salt"}
    chosen, _ = receipt_of(without, OTHER_SALT)
    with pytest.raises(VerificationError):
        check_submission(chosen, parse_event(SYEN))


@pytest.mark.parametrize("member", ["applicant_id", "decision", "a/b", "m~n"])
def test_every_value_is_committed(member: str) -> None:
    receipt, _ = receipt_of(SYEN)
    altered = json.loads(json.dumps(SYEN))
    altered["payload"][member] = "another"
    with pytest.raises(VerificationError):
        check_submission(receipt, parse_event(altered))
    del altered["payload"][member]
    with pytest.raises(VerificationError):
        check_submission(receipt, parse_event(altered))


def test_people_are_committed_too() -> None:
    receipt, _ = receipt_of(SYEN)
    for change in (
        {"subject_id": "person 8"},
        {"actor": SYEN["actor"] | {"id": "john@example.com"}},
        {"actor": SYEN["actor"] | {"ipAddress": "10.0.1.46"}},
    ):
        with pytest.raises(VerificationError):
            check_submission(receipt, parse_event(SYEN | change))


def test_members_of_the_log_are_all_that_may_be_more() -> None:
    receipt, sub = receipt_of(PLAIN)
    entry = parse_entry(b64decode(receipt["entry"]))
    shown = entry.record.keys()
    assert shown - LOG_MEMBERS == {"eventClass", "eventType", "severity"}
    assert sub.stream_id is None


@pytest.mark.parametrize("entry", [None, "", "AAAA", 7, "e30="])
def test_receipt_without_entry(entry: Any) -> None:
    receipt, sub = receipt_of(PLAIN)
    with pytest.raises(VerificationError):
        check_submission({**receipt, "entry": entry}, sub)
