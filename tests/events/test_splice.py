"""The spliced bytes are the entry: equal to the slow, exact encoder, accepted by the strict parser, bound to the fields.

The RECORD that they are compared with is written out here from design §2.3, member by member, not
taken from the code under test.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.events.samples import AUDITAL, SYEN, events
from tlog.core.canonical import canonical
from tlog.core.commitment import commit, verify_commitment
from tlog.core.entry import MAX_ENTRY, entry_bytes, parse_entry
from tlog.core.ids import event_id, pseudonym, public_label, stream_label
from tlog.core.strict_json import loads
from tlog.core.times import format_ms, parse_rfc3339
from tlog.errors import InvalidInput, VerificationError
from tlog.events.splice import (
    Segments,
    expected_members,
    genesis_segments,
    segments,
    splice,
    system_segments,
)
from tlog.events.submission import Submission, parse_event

STREAM = "acme:prod-us-east-1:credit-decisions"
AGENT = canonical(
    {
        "id": "credit-agent",
        "codeHash": "sha256:" + "ab" * 32,
        "session": "ses_1",
        "assurance": "self",
    }
)
USER = pseudonym("usr", bytes(16))
SUBJECT = pseudonym("sub", bytes(range(16)))
MASTER_SALT = bytes(range(32))


def segments_of(sub: Submission, *, agent: bytes | None = AGENT) -> tuple[Segments, Any]:
    commitment = commit(sub.fields, MASTER_SALT)
    parts = segments(
        sub,
        stream_id=STREAM,
        tenant="acme",
        agent=agent,
        actor_pseudonym=USER if sub.actor_type == "USER" else None,
        subject_pseudonym=None if sub.subject_id is None else SUBJECT,
        fields=commitment.fields,
        root=commitment.root,
    )
    return parts, commitment


def record_of(
    event: dict[str, Any], commitment: Any, *, position: int, skew: bool, identity: str, agent: bool
) -> dict[str, Any]:
    """RECORD of a SYEN or Audital event, by the table of design §2.3."""

    def given(snake: str, camel: str) -> Any:
        return event.get(snake, event.get(camel))

    record: dict[str, Any] = {
        "v": 1,
        "id": identity,
        "streamId": STREAM,
        "chainPosition": position,
        "organisationId": "acme",
        "eventClass": given("event_class", "eventClass"),
        "eventType": given("event_type", "eventType"),
        "severity": event.get("severity", "INFO"),
        "modelId": given("model_id", "modelId"),
        "tags": event.get("tags") or None,
        "clockSkew": skew or None,
        "producer": event.get("producer"),
        "subject": SUBJECT if given("subject_id", "subjectId") else None,
        "agent": loads(AGENT) if agent else None,
        "commitment": {"fields": commitment.fields, "root": "sha256:" + commitment.root.hex()},
    }
    if time := given("occurred_at", "occurredAt"):
        record["occurredAt"] = format_ms(parse_rfc3339(time))
    if actor := event.get("actor"):
        person = actor["type"] == "USER"
        record["actor"] = {"type": actor["type"], "id": USER if person else actor["id"]}
    plain = {
        "model_version",
        "compliance_gate_result",
        "pii_detected",
        "cloud_provider",
        "cloud_region",
    }
    record["context"] = {k: v for k, v in event.get("context", {}).items() if k in plain} or None
    surface = given("decision_surface", "decisionSurface")
    if surface is not None:
        surface = {"decision_complexity_tier": 2, **surface}
        surface.pop("explainability_artifact_hash", None)
        times = [
            parse_rfc3339(surface[name]) if name in surface else None
            for name in ("presentation_timestamp", "signoff_timestamp")
        ]
        for name, ms in zip(("presentation_timestamp", "signoff_timestamp"), times, strict=True):
            if ms is not None:
                surface[name] = format_ms(ms)
        if None not in times:
            surface["dwell_ms"] = times[1] - times[0]  # type: ignore[operator]
            limit = {1: 500, 2: 2000, 3: 10000}[surface["decision_complexity_tier"]]
            surface["velocity_flag"] = surface["dwell_ms"] < limit
        record["decisionSurface"] = surface
    return {name: value for name, value in record.items() if value is not None}


@given(
    events,
    st.integers(1, 2**48 - 1),
    st.booleans(),
    st.integers(0, 2**41) | st.sampled_from([-300_001, -300_000, 0, 300_000, 300_001]),
    st.binary(min_size=32, max_size=32),
)
def test_spliced_bytes_are_the_entry(
    event: dict[str, Any], position: int, agent: bool, ms: int, previous: bytes
) -> None:
    sub = parse_event(event)
    if sub.occurred_ms is None:
        ms = abs(ms)
    elif abs(ms) <= 300_001:  # as far as that from the client's time
        ms = max(0, sub.occurred_ms + ms)
    skew = sub.occurred_ms is not None and abs(sub.occurred_ms - ms) > 300_000
    parts, commitment = segments_of(sub, agent=AGENT if agent else None)
    identity = event_id(ms, 7, position)
    previous_hash = "sha256:" + previous.hex()
    raw = splice(
        parts,
        position=position,
        clock_skew=skew,
        event_id=identity,
        previous_hash=previous_hash,
        timestamp=format_ms(ms),
    )
    record = record_of(
        event, commitment, position=position, skew=skew, identity=identity, agent=agent
    )
    assert raw == entry_bytes(record, previous_hash, format_ms(ms))
    entry = parse_entry(raw)
    assert (entry.record, entry.previous_hash, entry.raw) == (record, previous_hash, raw)
    assert entry.timestamp == format_ms(ms)


@given(events)
def test_the_fields_of_a_submission_give_the_root_in_its_entry(event: dict[str, Any]) -> None:
    sub = parse_event(event)
    parts, _ = segments_of(sub)
    record = parse_entry(complete(parts, sub)).record
    root = bytes.fromhex(record["commitment"]["root"].removeprefix("sha256:"))
    count = record["commitment"]["fields"]
    assert count == len(sub.fields) + 1
    verify_commitment(sub.fields, MASTER_SALT, count, root)
    with pytest.raises(VerificationError):
        verify_commitment([*sub.fields, ("/payload/~0~0", 1)], MASTER_SALT, count, root)


def complete(parts: Segments, sub: Submission) -> bytes:
    ms = sub.occurred_ms or 0
    return splice(
        parts,
        position=1,
        clock_skew=False,
        event_id=event_id(ms, 1, 1),
        previous_hash="sha256:" + "0" * 64,
        timestamp=format_ms(ms),
    )


@given(events)
def test_a_client_finds_what_it_set_and_nothing_else(event: dict[str, Any]) -> None:
    sub = parse_event(event)
    record = parse_entry(complete(segments_of(sub)[0], sub)).record
    expected = expected_members(sub)
    if sub.stream_id is not None:
        assert expected.pop("streamId") == sub.stream_id
    if sub.actor_type == "USER":
        assert record["actor"].pop("id") == USER
    logs_own = {"v", "id", "streamId", "chainPosition", "organisationId", "agent", "commitment"}
    assert expected == {
        name: value for name, value in record.items() if name not in logs_own | {"subject"}
    }


@pytest.mark.parametrize("event", [SYEN, AUDITAL])
def test_no_person_and_no_private_value_is_in_the_entry(event: dict[str, Any]) -> None:
    sub = parse_event(event)
    raw = complete(segments_of(sub)[0], sub)
    for private in (
        b"jane.doe",
        b"10.0.1.45",
        "Zoë".encode(),
        b"person 7",
        b"abc-123",
        b"trace_id",
        b"zone",
        b"sha256-of-artifact-shown",
        b"app-991",
        b"APPROVED",
        b"applicant_id",
    ):
        # The gate's result has the same words as the decision and is plain.
        assert private not in raw.replace(b'"compliance_gate_result":"APPROVED"', b"")


def test_a_whole_entry_byte_for_byte() -> None:
    sub = parse_event(
        {"eventType": 'A"\\B', "eventClass": "DATA", "payload": {"n": 1}, "tags": ["t"]}
    )
    parts = segments(
        sub,
        stream_id="acme:prod:s",
        tenant="acme",
        agent=None,
        actor_pseudonym=None,
        subject_pseudonym=None,
        fields=2,
        root=hashlib.sha256(b"").digest(),
    )
    raw = splice(
        parts,
        position=12,
        clock_skew=True,
        event_id="evt_0",
        previous_hash="sha256:00",
        timestamp="2026-03-20T14:00:00.000Z",
    )
    assert raw == (
        rb'{"payload":{"chainPosition":12,"clockSkew":true,"commitment":{"fields":2,"root":"sha256:'
        rb'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},"eventClass":"DATA",'
        rb'"eventType":"A\"\\B","id":"evt_0","organisationId":"acme","severity":"INFO","streamId":'
        rb'"acme:prod:s","tags":["t"],"v":1},"previousHash":"sha256:00",'
        rb'"timestamp":"2026-03-20T14:00:00.000Z"}'
    )


def longest_agent(sub: Submission, size: int) -> bytes:
    return b'{"assurance":"' + b"x" * size + b'"}'


def test_an_entry_that_could_reach_64_kib_is_refused_before_it_has_a_position() -> None:
    sub = parse_event(SYEN)
    fits = MAX_ENTRY - 256 - sum(map(len, _parts(segments_of(sub, agent=b'{"assurance":""}')[0])))
    parts, _ = segments_of(sub, agent=longest_agent(sub, fits))
    raw = splice(
        parts,
        position=2**48 - 1,
        clock_skew=True,
        event_id=event_id(2**48 - 1, 2**32 - 1, 2**48 - 1),
        previous_hash="sha256:" + "f" * 64,
        timestamp="9999-12-31T23:59:59.999Z",
    )
    assert MAX_ENTRY - 100 < len(raw) <= MAX_ENTRY
    with pytest.raises(InvalidInput) as caught:
        segments_of(sub, agent=longest_agent(sub, fits + 1))
    assert caught.value.kind == "entry-too-large"


def _parts(parts: Segments) -> tuple[bytes, bytes, bytes]:
    return parts.head, parts.middle, parts.tail


@pytest.mark.parametrize(
    ("event", "actor", "subject"),
    [
        ({"actor": {"type": "USER", "id": "j"}}, None, None),
        ({"actor": {"type": "SERVICE", "id": "j"}}, USER, None),
        ({}, USER, None),
        ({"subject_id": "s"}, None, None),
        ({}, None, SUBJECT),
    ],
)
def test_a_pseudonym_too_few_or_too_many_is_our_fault(
    event: dict[str, Any], actor: str | None, subject: str | None
) -> None:
    sub = parse_event({"event_class": "DATA", "event_type": "x", "payload": {}, **event})
    with pytest.raises(AssertionError, match="a pseudonym stands for"):
        segments(
            sub,
            stream_id=STREAM,
            tenant="acme",
            agent=None,
            actor_pseudonym=actor,
            subject_pseudonym=subject,
            fields=1,
            root=bytes(32),
        )


def test_the_genesis_entry() -> None:
    previous = "sha256:" + "0" * 64
    nonce = bytes(range(32))
    for public in (True, False):
        label = public_label(STREAM) if public else stream_label(STREAM, nonce)
        commitment = commit([], MASTER_SALT)
        parts = genesis_segments(
            origin="log.example.com",
            vkey="log.example.com+00000000+AAAA",
            stream_id=STREAM,
            stream_number=3,
            label=label,
            nonce=nonce,
            public=public,
            root_size=9,
            root_hash=bytes(32),
            fields=commitment.fields,
            root=commitment.root,
        )
        identity = event_id(5, 3, 0)
        raw = splice(
            parts,
            position=0,
            clock_skew=False,
            event_id=identity,
            previous_hash=previous,
            timestamp=format_ms(5),
        )
        record = {
            "v": 1,
            "id": identity,
            "streamId": STREAM,
            "chainPosition": 0,
            "organisationId": "acme",
            "eventClass": "INTENT",
            "eventType": "tlog.stream.opened",
            "severity": "INFO",
            "system": {
                "origin": "log.example.com",
                "streamId": STREAM,
                "streamNumber": 3,
                "label": label,
                "nonce": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
                "visibility": "public" if public else "private",
                "schema": 1,
                "keys": ["log.example.com+00000000+AAAA"],
                "root": {"size": 9, "hash": "A" * 43 + "="},
            },
            "commitment": {"fields": 1, "root": "sha256:" + commitment.root.hex()},
        }
        assert raw == entry_bytes(record, previous, format_ms(5))
        assert parse_entry(raw).record == record


def test_an_entry_of_the_logs_own_has_a_type_of_its_own() -> None:
    with pytest.raises(AssertionError, match="a type of the log's own"):
        system_segments(
            stream_id=STREAM,
            event_class="DATA",
            event_type="erased",
            system={},
            fields=1,
            root=bytes(32),
        )
