"""A retry says what its entry says; any other event does not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from tests.events.samples import SYEN, audital, syen_events
from tests.events.test_splice import AGENT, segments_of
from tlog.core.canonical import canonical
from tlog.core.commitment import commit
from tlog.core.ids import event_id
from tlog.core.times import format_ms
from tlog.events.again import said, unplaced
from tlog.events.splice import splice
from tlog.events.submission import parse_event

MS = 1_800_000_000_000
OTHER_AGENT = canonical({"id": "credit-agent", "session": "ses_2"})


def placed(event: dict[str, Any], *, agent: bytes | None = AGENT) -> bytes:
    parts, _ = segments_of(parse_event(event), agent=agent)
    return splice(
        parts,
        position=41,
        clock_skew=True,
        event_id=event_id(MS, 3, 41),
        previous_hash="sha256:" + "ab" * 32,
        timestamp=format_ms(MS),
    )


@given(syen_events)
def test_place_session_and_spelling_are_not_of_the_event(event: dict[str, Any]) -> None:
    """Wherever it stands, whoever's session sent it, in either flavour: it says the same, and commits to the same."""
    entry = said(placed(event))
    for agent in (OTHER_AGENT, None):
        for again in (event, audital(event)) if "actor" not in event else (event,):
            sub = parse_event(again)
            parts, commitment = segments_of(sub, agent=agent)
            assert said(unplaced(parts)) == entry
            assert entry.commitment == commitment == commit(sub.fields, bytes(range(32)))


CHANGES: dict[str, Any] = {
    "event_class": "OUTCOME",
    "event_type": "credit.decision.unmade",
    "payload": {**SYEN["payload"], "m~n": False},
    "decision_surface": {**SYEN["decision_surface"], "human_decision": "REJECT"},
    "context": {**SYEN["context"], "pii_detected": True},
    "model_id": "mdl_abc124",
    "severity": "ERROR",
    "actor": {**SYEN["actor"], "ipAddress": "10.0.1.46"},
    "subject_id": "person 8",
    "tags": ["high-value", "credit-risk"],
    "occurred_at": "2026-03-20T15:00:04.1239+01:00",
    "producer": {"id": "credit-agent", "sequence": 78},
}


def test_every_member_has_its_change() -> None:
    """The stream is the caller's to compare, salts too."""
    assert CHANGES.keys() == SYEN.keys() - {"stream_id", "salt"}


NEEDED = ("event_class", "event_type", "payload")


@pytest.mark.parametrize("member", CHANGES)
def test_each_member_counts(member: str) -> None:
    """Whatever is changed or left out shows, in what the entry shows or in what it commits to under one salt."""
    others = [{**SYEN, member: CHANGES[member]}]
    if member not in NEEDED:
        others.append({name: value for name, value in SYEN.items() if name != member})
    for other in others:
        parts, _ = segments_of(parse_event(other))
        assert said(unplaced(parts)) != said(placed(SYEN))
