"""Proves that an entry which the client writes itself is just what the parsers accept, and that it is what the real log writes.

Every member that an event can have, recorded by the real log: the client's own bytes are the log's. Whatever differs in a
receipt, rebuilding says nothing (None), and so cannot let it pass. That parsing agrees on every change is in `test_lies.py`.
"""

from __future__ import annotations

import asyncio
import copy
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.client.server import LogProcess
from tests.client.test_end_to_end import FULL, lean
from tests.client.test_lies import changes
from tlog.client.outgoing import Outgoing, encode_event
from tlog.client.rebuild import Persons, Place, Rebuilder, _persons, _place
from tlog.client.session import Session
from tlog.client.transport import Answer
from tlog.core.chain import GENESIS_PREVIOUS, block_hash
from tlog.core.entry import parse_entry
from tlog.core.hashes import leaf_hash
from tlog.core.ids import event_id, parse_event_id
from tlog.core.wire import b64decode, b64encode
from tlog.errors import InvalidInput
from tlog.events.splice import expected_members
from tlog.events.submission import Submission

EVENTS: dict[str, dict[str, Any]] = {
    "lean": lean(),
    "full": FULL,
    "empty payload": {**lean(), "payload": {}},
    "implied class": {"event_type": "INFERENCE", "payload": {"x": 1.5}},
    "service": {
        **lean(),
        "actor": {"type": "SERVICE", "id": 'batch "7" \\ x', "ip_address": "::1"},
    },
    "user alone": {**lean(), "actor": {"type": "USER", "id": "jäne"}},
    "subject alone": {**lean(), "subject_id": "jöhn"},
    "skewed": {**lean(), "occurred_at": "2001-01-01T00:00:00.123456Z"},
    "just now": {**lean(), "occurred_at": datetime.now(timezone.utc)},
    "flagged": {**lean(), "decision_surface": {"decision_complexity_tier": 1}},
    "type of marks": {**lean(), "event_type": 'a "quoted" \\ type'},
    "context of marks": {**lean(), "context": {"cloud_region": '"\\"', "other": [None]}},
    "deep": {
        **lean(),
        "payload": {"a": {"b": [{"c": "\u2028\U0001f600\x00"}]}, "~/": 1e-7, "big": 2**53 - 1},
    },
    "tags": {**lean(), "tags": ["b", "a"], "model_id": "m/1:2", "severity": "CRITICAL"},
}


class Sent:
    """The events of one batch with their session and the receipts that the real log gave."""

    rebuilder: Rebuilder
    events: list[Outgoing]
    receipts: list[dict[str, Any]]


async def send(log: LogProcess, directory: Path) -> Sent:
    sent = Sent()
    async with log.client(directory, agent_id="rebuilt") as client:
        session = await client.attest()
        sent.rebuilder = Rebuilder(client._link._identity, session)
        true_settle = client._link.settle

        async def settle(used: Session, events: list[Outgoing], answer: Answer) -> None:
            sent.events, sent.receipts = events, orjson.loads(answer.body)["receipts"]
            await true_settle(used, events, answer)

        client._link.settle = settle  # type: ignore[method-assign, assignment]
        await client.ingest_many(list(EVENTS.values()))
    assert len(sent.events) == len(EVENTS)
    return sent


async def test_the_entries_are_those_of_the_log(log: LogProcess, tmp_path: Path) -> None:
    sent = await send(log, tmp_path)
    for name, event, receipt in zip(EVENTS, sent.events, sent.receipts, strict=True):
        entry = sent.rebuilder.entry(event, receipt)
        assert entry is not None, name
        assert entry.raw == b64decode(receipt["entry"])
        assert entry == parse_entry(entry.raw)
        assert (
            expected_members(event.submission).items()
            <= {
                **entry.record,
                "actor": {
                    key: value
                    for key, value in entry.record.get("actor", {}).items()
                    if key == "type" or value[:4] != "usr_"
                },
            }.items()
        )


async def test_nothing_else_is_rebuilt(log: LogProcess, tmp_path: Path) -> None:
    sent = await send(log, tmp_path)
    tried = 0
    for event, receipt in zip(sent.events, sent.receipts, strict=True):
        for where, change in changes(receipt):
            if where.startswith("/replayed") or where == " null":
                continue  # not of the entry
            assert sent.rebuilder.entry(event, change(receipt)) is None, where
            tried += 1
        for other in sent.receipts:
            if other is not receipt:
                assert sent.rebuilder.entry(event, other) is None
    assert tried > 300


def forged(
    sent: Sent, name: str, persons: Persons | None = None, stream_id: str = "", **place: Any
) -> Any:
    """What rebuilding says to a log that writes another place, or other persons, into entry and receipt alike."""
    number = list(EVENTS).index(name)
    event, receipt = sent.events[number], dict(sent.receipts[number])
    sub = event.submission
    if stream_id:
        sub.stream_id = receipt["stream_id"] = stream_id
    true_place, true_persons = _place(receipt), _persons(sub, receipt)
    assert true_place is not None
    made = true_place._replace(**place)
    raw = _write(sent.rebuilder, sub, persons or true_persons, made)
    receipt["entry"] = b64encode(raw)
    receipt["sequence_counter"] = made.position
    receipt["event_id"] = made.event_id
    receipt["timestamp"] = made.timestamp
    receipt["previous_hash"] = made.previous_hash
    receipt["block_hash"] = block_hash(raw)
    receipt["leaf_hash"] = b64encode(leaf_hash(raw))
    return sent.rebuilder.entry(event, receipt)


def _write(rebuilder: Rebuilder, sub: Submission, persons: Persons | None, place: Place) -> bytes:
    other = copy.copy(rebuilder)
    if sub.stream_id is not None:
        other._tenant = sub.stream_id.partition(":")[0]
    raw = other._write(sub, persons, place)
    assert raw is not None
    return raw.replace(b'"organisationId":"other"', b'"organisationId":"acme"')


async def test_no_place_that_an_entry_cannot_have(log: LogProcess, tmp_path: Path) -> None:
    sent = await send(log, tmp_path)
    assert forged(sent, "lean") is not None
    true = _place(sent.receipts[0])
    assert true is not None
    number = parse_event_id(true.event_id).stream_number

    def at(ms: int, index: int) -> str:
        return event_id(ms, number, index)

    assert forged(sent, "lean", position=7, event_id=at(true.ms, 7)) is not None
    assert forged(sent, "lean", previous_hash="sha256:" + "a" * 64) is not None
    wrong: list[dict[str, Any]] = [
        {"event_id": at(true.ms + 1, true.position)},
        {"event_id": at(true.ms, true.position + 1)},
        {"event_id": true.event_id.lower()},
        {"position": true.position + 1},
        {"position": True, "event_id": at(true.ms, 1)},
        {"position": 0, "event_id": at(true.ms, 0)},
        {"timestamp": true.timestamp[:-1]},
        {"timestamp": true.timestamp.replace("Z", "+00:00")},
        {"previous_hash": "sha256:" + "A" * 64},
        {"previous_hash": "a" * 64},
        {"previous_hash": "sha256:" + "a" * 64 + "\n"},
        {"previous_hash": GENESIS_PREVIOUS},
    ]
    for place in wrong:
        assert forged(sent, "lean", **place) is None, place


async def test_nobody_under_a_name_that_is_no_pseudonym(log: LogProcess, tmp_path: Path) -> None:
    sent = await send(log, tmp_path)
    good = "_" + "0" * 26
    assert forged(sent, "full", ("usr" + good, "sub" + good)) is not None
    for actor, subject in [
        ("jane@example.com", "sub" + good),
        ("usr" + good, "john@example.com"),
        ("sub" + good, "sub" + good),
        ("usr" + good, "usr" + good),
        ("usr_" + "8" + "0" * 25, "sub" + good),
        ("usr" + good + "\n", "sub" + good),
    ]:
        assert forged(sent, "full", (actor, subject)) is None, (actor, subject)


async def test_no_stream_of_another_tenant(log: LogProcess, tmp_path: Path) -> None:
    sent = await send(log, tmp_path)
    assert forged(sent, "lean", stream_id="acme:prod:elsewhere") is not None
    assert forged(sent, "lean", stream_id="other:prod:elsewhere") is None


@pytest.mark.parametrize("member", ["tenant_id", "agent_id", "code_hash", "session_id"])
async def test_of_nobody_else(log: LogProcess, tmp_path: Path, member: str) -> None:
    sent = await send(log, tmp_path)
    rebuilder = copy.copy(sent.rebuilder)
    if member == "tenant_id":
        rebuilder._tenant = "other"
    else:
        name = {"agent_id": b'"id":"', "code_hash": b'"codeHash":"', "session_id": b'"session":"'}[
            member
        ]
        rebuilder._agent = rebuilder._agent.replace(name, name + b"x")
    pairs = zip(sent.events, sent.receipts, strict=True)
    assert not any(rebuilder.entry(event, receipt) for event, receipt in pairs)


async def test_rebuilding_is_what_batches_do(
    log: LogProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr("tlog.client.answers.is_own", never)
    async with log.client(tmp_path, agent_id="rebuilt") as client:
        await client.attest()
        receipts = await asyncio.gather(*[client.ingest(**event) for event in EVENTS.values()])
    assert len({receipt.event_id for receipt in receipts}) == len(EVENTS)


@pytest.mark.parametrize(
    ("payload", "strict"),
    [
        ({"x": 2.0**53}, True),
        ({"x": 1e20}, True),
        ({"x": 1e300}, True),
        ({"x": 2**53}, True),
        ({"x": float("nan")}, True),
        ({"x": "\ud800"}, True),
        ({"x": 2.0**52}, False),
        ({"x": -(2.0**53) + 1}, False),
        ({"x": "1234567890123456789e+30"}, False),
        ({"x": 1e-300}, False),
    ],
)
def test_what_the_log_would_refuse_is_refused_here(payload: dict[str, Any], strict: bool) -> None:
    def call() -> Any:
        return encode_event(event_type="t", event_class="DATA", payload=payload)

    if strict:
        with pytest.raises(Exception, match=r"number|integer|surrogate"):
            call()
    else:
        assert call()[1].source["payload"] == payload


def test_depth() -> None:
    payload: dict[str, Any] = {}
    for _ in range(30):
        payload = {"x": payload}
    encode_event(event_type="t", event_class="DATA", payload=payload)
    with pytest.raises(Exception, match="nested"):
        encode_event(event_type="t", event_class="DATA", payload={"x": payload})


@pytest.mark.parametrize(
    ("member", "value"), [("tags", "abc"), ("tags", b"abc"), ("tags", 5), ("event_class", 5)]
)
def test_arguments_of_another_type(member: str, value: Any) -> None:
    """A tag alone is not recorded letter by letter; what does not fit names its member."""
    event: dict[str, Any] = {"event_type": "t", "event_class": "DATA", "payload": {}}
    with pytest.raises(InvalidInput) as caught:
        encode_event(**{**event, member: value})
    assert caught.value.pointer == f"/{member}"
