"""Proves that the SDK does what its guide says against the real server process, and what goes wrong says so."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import hashlib
import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.client.server import LogProcess
from tests.client.trees import RootLog
from tlog.client import (
    BadAnswer,
    EventClass,
    InvalidInput,
    LogKeyChanged,
    NetworkFailure,
    Receipt,
    Refused,
    UnpinnedKeyWarning,
)
from tlog.client.outgoing import Outgoing, encode_event
from tlog.client.pins import Pins, head_file
from tlog.core.note import parse_vkey
from tlog.core.receipt import verify_receipt
from tlog.core.wire import b64decode

FULL: dict[str, Any] = {
    "event_class": EventClass.EXECUTION,
    "event_type": "credit.decision.made",
    "payload": {
        "applicant_id": "app-991",
        "decision": "APPROVED",
        "score": 740,
        "a/b~c": [1.5, None],
    },
    "decision_surface": {
        "explainability_artifact_hash": "sha256-of-artifact-shown",
        "human_decision": "APPROVE",
        "presentation_timestamp": "2026-03-20T14:00:00Z",
        "signoff_timestamp": "2026-03-20T14:00:01.5Z",
        "decision_complexity_tier": 2,
    },
    "context": {
        "trace_id": "abc-123",
        "model_version": "v2.1.0",
        "pii_detected": False,
        "cloud_region": "eu",
    },
    "model_id": "mdl_1",
    "severity": "WARNING",
    "actor": {"type": "USER", "id": "jane@example.com", "ip_address": "10.0.1.45"},
    "subject_id": "john@example.com",
    "tags": ["credit-risk", "high-value"],
    "occurred_at": "2026-03-20T15:00:00+01:00",
}


def lean(number: int = 0, **members: Any) -> dict[str, Any]:
    return {"event_class": "DATA", "event_type": "row.read", "payload": {"n": number}, **members}


async def test_one_event_in_all_its_members(log: LogProcess, tmp_path: Path) -> None:
    async with log.client(tmp_path, agent_id="full") as client:
        session = await client.attest()
        assert session.stream_id == "acme:prod:full"
        first = await client.ingest(**FULL)
        second = await client.ingest(**lean())
    assert first.velocity_flag_triggered
    assert not second.velocity_flag_triggered
    assert (first.sequence_counter, second.sequence_counter) == (1, 2)
    assert second.previous_hash == first.block_hash
    assert first.stream_id == "acme:prod:full"
    assert first.log_key_pinned
    assert not first.replayed
    entry = b64decode(first.raw["entry"])
    assert first.block_hash == "sha256:" + hashlib.sha256(entry).hexdigest()
    assert b64decode(first.leaf_hash) == hashlib.sha256(b"\0" + entry).digest()
    record = json.loads(entry)["payload"]
    assert record["agent"]["id"] == "full"
    assert record["producer"] == {"id": "full", "sequence": 1}
    for secret in (b"jane", b"john", b"app-991", b"abc-123", b"10.0.1.45"):
        assert secret not in entry


async def test_every_receipt_stands_alone(log: LogProcess, tmp_path: Path) -> None:
    async with log.client(tmp_path, agent_id="alone", max_batch=37) as client:
        receipts = await asyncio.gather(*[client.ingest(**lean(number)) for number in range(150)])
    assert [receipt.sequence_counter for receipt in receipts] == list(range(1, 151))
    receipts[77].save(tmp_path / "receipt.json")
    assert json.loads((tmp_path / "receipt.json").read_text()) == receipts[77].raw
    for receipt in receipts:
        verified = verify_receipt(receipt.raw, parse_vkey(log.vkey))
        assert verified.leaf_index == receipt.sequence_counter
        assert receipt.inclusion["leaf_index"] == receipt.sequence_counter
        assert receipt.root["tree_size"] == verified.root.size


async def test_events_of_several_streams_do_not_wait_for_each_other(
    log: LogProcess, tmp_path: Path
) -> None:
    for name in ("several-a", "several-b"):  # opened by a session of their own
        async with log.client(tmp_path, agent_id=name) as opener:
            await opener.attest()
    async with log.client(tmp_path, agent_id="several") as client:
        streams = [None, "acme:prod:several-a", "acme:prod:several-b"]
        events = [lean(number, stream_id=streams[number % 3]) for number in range(90)]
        receipts = await client.ingest_many(events)
        for number, receipt in enumerate(receipts):
            assert isinstance(receipt, Receipt)
            assert receipt.stream_id == (streams[number % 3] or "acme:prod:several")
            assert receipt.sequence_counter == number // 3 + 1


async def test_reading(log: LogProcess, tmp_path: Path) -> None:
    async with log.client(tmp_path, agent_id="reader") as client:
        receipt = await client.ingest(**FULL)
        others = await client.ingest_many([lean(number) for number in range(25)])
        result = await client.verify()
        assert result.verified
        assert (result.checked_count, result.tree_size) == (27, 27)
        assert result.first_failure_sequence is None
        part = await client.verify("acme:prod:reader", from_sequence=3, to_sequence=5)
        assert (part.verified, part.checked_count) == (True, 3)

        event = await client.get_event(receipt.event_id)
        assert event["payload"] == FULL["payload"]
        assert event["verified"] is True
        assert event["subjectId"] == "john@example.com"

        listed = [event async for event in client.events("acme:prod:reader", page=4)]
        # The genesis of the stream is not an event.
        assert [event["chainPosition"] for event in listed][-26:] == list(range(1, 27))
        flagged = [
            event["id"]
            async for event in client.events(
                "acme:prod:reader",
                event_class=EventClass.EXECUTION,
                severity="WARNING",
                tag="high-value",
            )
        ]
        assert flagged == [receipt.event_id]
        last = others[-1]
        assert isinstance(last, Receipt)
        soon = datetime.now(timezone.utc) + timedelta(hours=1)
        later = [
            event["id"]
            async for event in client.events("acme:prod:reader", from_=last.timestamp, to=soon)
        ]
        assert later[-1] == last.event_id


async def test_proof(log: LogProcess, tmp_path: Path) -> None:
    async with log.client(tmp_path, agent_id="prover") as client:
        receipt = await client.ingest(**FULL)
        proof = await client.get_proof(receipt.event_id, wait="published")
        assert proof["event_id"] == receipt.event_id
        assert proof["block_hash"] == receipt.block_hash
        assert proof["decision_surface"]["velocity_flag"] is True
        assert b"app-991" not in json.dumps(proof.raw).encode()
        verdicts = proof.verify()
        assert verdicts.verified
        assert len(verdicts.lines()) == 4
        proof.save(tmp_path / "proof.json")
        assert json.loads((tmp_path / "proof.json").read_text()) == proof.raw


async def test_absent_and_malformed_ids(log: LogProcess, tmp_path: Path) -> None:
    async with log.client(tmp_path) as client:
        absent = "evt_" + "0" * 26
        for read in (client.get_event, client.get_proof):
            with pytest.raises(Refused) as refused:
                await read(absent)
            assert refused.value.kind == "not-found"
            for wrong in ("", "../attest", "evt_x", absent + "/..", absent.lower()[:-1]):
                with pytest.raises(InvalidInput):
                    await read(wrong)
        with pytest.raises(Refused):
            await client.verify("acme:prod:never-opened")
        with pytest.raises(InvalidInput, match="2026-03-20"):
            await client.get_anchor("yesterday")


async def test_faults_are_found_before_anything_is_sent(log: LogProcess, tmp_path: Path) -> None:
    async with log.client(tmp_path, base_url="http://127.0.0.1:1") as client:
        cases: dict[str, dict[str, Any]] = {
            "/event_class": {"event_class": "EXECUTE"},
            "/event_type": {"event_type": ""},
            "/payload": {"payload": [1]},
            "/payload/x": {"payload": {"x": float("nan")}},
            "/tags/1": {"tags": ["a", "a"]},
            "/occurred_at": {"occurred_at": datetime(2026, 3, 20)},
            "/decision_surface/decision_complexity_tier": {
                "decision_surface": {"decision_complexity_tier": 4}
            },
            "/actor/type": {"actor": {"type": "ROBOT", "id": "x"}},
        }
        for pointer, members in cases.items():
            with pytest.raises(InvalidInput) as wrong:
                await client.ingest(**{**lean(), **members})
            assert wrong.value.pointer == pointer


def endless() -> list[Any]:
    """A list that holds itself."""
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"payload": {"x": [1, {"at": datetime(2026, 3, 20)}]}}, "/payload/x/1/at"),
        ({"payload": {"a/b": (0, float("nan"))}}, "/payload/a~1b/1"),
        ({"payload": {"x": {1: 2}}}, "/payload/x"),
        ({"payload": {"x": endless()}}, "/payload"),
        ({"context": {"x": 2**53}}, "/context/x"),
        ({"event_type": "\ud800"}, "/event_type"),
        ({"decision_surface": {"decision": "APPROVE"}}, "/decision_surface/decision"),
    ],
)
def test_a_fault_names_its_member(changed: dict[str, Any], pointer: str) -> None:
    """In the text too, which is all that a traceback shows."""
    with pytest.raises(InvalidInput) as caught:
        encode_event(**{**lean(), **changed})
    assert caught.value.pointer == pointer
    assert str(caught.value) == f"{caught.value.detail} (at {pointer})"


async def test_a_payload_is_taken_as_it_was_at_the_call(log: LogProcess, tmp_path: Path) -> None:
    async with log.client(tmp_path, agent_id="taken") as client:
        payload = {"list": [1, 2], "n": 1}
        call = asyncio.ensure_future(client.ingest(**{**lean(), "payload": payload}))
        await asyncio.sleep(0)
        payload["list"].append(3)  # type: ignore[attr-defined]
        payload["n"] = 2
        receipt = await call
        assert (await client.get_event(receipt.event_id))["payload"] == {"list": [1, 2], "n": 1}


async def test_two_clients_with_one_producer(log: LogProcess, tmp_path: Path) -> None:
    mine, other = (log.client(tmp_path, agent_id="shared", max_batch=20) for _ in range(2))
    async with mine, other:
        for rounds in range(5):
            calls = [
                client.ingest(**lean(number)) for number in range(60) for client in (mine, other)
            ]
            receipts = await asyncio.gather(*calls)
            assert len({receipt.event_id for receipt in receipts}) == 120, rounds
        result = await mine.verify()
        assert result.verified
        assert result.tree_size == 601


async def test_instances_count_for_themselves(log: LogProcess, tmp_path: Path) -> None:
    one = log.client(tmp_path, agent_id="replicas", instance="one")
    two = log.client(tmp_path, agent_id="replicas", instance="two")
    async with one, two:
        receipts = await asyncio.gather(
            *[client.ingest(**lean(number)) for number in range(50) for client in (one, two)]
        )
    producers = sorted(
        (producer["id"], producer["sequence"])
        for receipt in receipts
        for producer in [json.loads(b64decode(receipt.raw["entry"]))["payload"]["producer"]]
    )
    names = ("replicas/one", "replicas/two")
    assert producers == [(name, number) for name in names for number in range(1, 51)]


async def test_a_fault_that_only_the_log_finds_fails_one_event(
    log: LogProcess, tmp_path: Path
) -> None:
    async with log.client(tmp_path, agent_id="neighbours") as client:
        loop = asyncio.get_running_loop()
        events = []
        for number in range(20):
            raw, sub = encode_event(**lean(number))
            if number in (0, 7, 19):
                raw = raw.replace(b'"row.read"', b'"row\\u0000read"')
            events.append(Outgoing(raw, sub, loop.create_future(), loop.time()))
        for event in events:
            await client._writers.put(event, None)
        results = await asyncio.gather(*[event.future for event in events], return_exceptions=True)
        for number, result in enumerate(results):
            if number in (0, 7, 19):
                assert isinstance(result, InvalidInput)
                assert result.pointer == "/event_type"
            else:
                assert isinstance(result, Receipt)
        assert (await client.verify()).tree_size == 18


async def test_a_cancelled_call_takes_nothing_with_it(log: LogProcess, tmp_path: Path) -> None:
    async with log.client(tmp_path, agent_id="cancelled") as client:
        calls = [asyncio.ensure_future(client.ingest(**lean(number))) for number in range(40)]
        await asyncio.sleep(0.002)
        for call in calls[::3]:
            call.cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        for number, result in enumerate(results):
            if number % 3:
                assert isinstance(result, Receipt)
            else:
                assert isinstance(result, asyncio.CancelledError | Receipt)
        assert (await client.verify()).verified


async def test_closing_flushes(log: LogProcess, tmp_path: Path) -> None:
    client = log.client(tmp_path, agent_id="flushed")
    calls = [asyncio.ensure_future(client.ingest(**lean(number))) for number in range(30)]
    await asyncio.sleep(0)
    await client.aclose()
    receipts = await asyncio.gather(*calls)
    assert receipts[-1].sequence_counter == 30
    with pytest.raises(RuntimeError, match="closed"):
        await client.attest()


async def test_a_closed_client_takes_no_event(
    log: LogProcess, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = log.client(tmp_path, agent_id="closed")
    last = asyncio.ensure_future(client.ingest(**lean()))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(client.aclose())
    await asyncio.sleep(0)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="closed"):
            await client.ingest(**lean())
        with pytest.raises(RuntimeError, match="closed"):
            await client.ingest_many([lean()])
        await closing
    assert (await last).sequence_counter == 1
    gc.collect()
    assert not caplog.records


async def test_a_refused_token_is_replaced(log: LogProcess, tmp_path: Path) -> None:
    async with log.client(tmp_path, agent_id="renewed") as client:
        session = await client.attest()
        client._link._session = dataclasses.replace(session, token="tok_revoked")
        receipts = await asyncio.gather(*[client.ingest(**lean(number)) for number in range(5)])
        assert [receipt.sequence_counter for receipt in receipts] == [1, 2, 3, 4, 5]
        client._link._session = dataclasses.replace(session, token="tok_revoked")
        assert (await client.verify()).verified


async def test_the_key_is_believed_at_first_use_and_never_another(
    log: LogProcess, tmp_path: Path
) -> None:
    client = log.client(tmp_path, vkey=None, agent_id="trusting")
    with pytest.warns(UnpinnedKeyWarning, match="first use"):
        receipt = await client.ingest(**lean())
    await client.aclose()
    assert receipt.log_key_pinned is False
    assert Pins(tmp_path).vkey() == log.vkey
    # Now the pin holds, without a warning; a pin or a configuration of another key does not.
    async with log.client(tmp_path, vkey=None, agent_id="trusting") as again:
        assert (await again.ingest(**lean())).log_key_pinned is False
    (tmp_path / "vkey").write_text(RootLog().vkey + "\n")
    for vkey in (None, RootLog(seed=9).vkey):
        async with log.client(tmp_path, vkey=vkey, agent_id="trusting") as fooled:
            with pytest.raises(LogKeyChanged):
                await fooled.attest()
            with pytest.raises(LogKeyChanged):
                await fooled.ingest(**lean())


async def test_the_newest_head_is_kept(log: LogProcess, tmp_path: Path) -> None:
    key = parse_vkey(log.vkey)
    async with log.client(tmp_path, agent_id="keeper") as client:
        await client.attest()
        before = Pins(tmp_path).head(key)
        receipt = await client.ingest(**lean())
        assert Pins(tmp_path).head(key) == before
    after = Pins(tmp_path).head(key)
    assert before is not None
    assert after is not None
    assert before.size < receipt.root["tree_size"] <= after.size
    assert sorted(os.listdir(tmp_path)) == ["lock", head_file(key)]


async def test_attest_explains(log: LogProcess, tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"api_key": None}, "TLOG_API_KEY"),
        ({"api_key": "ak_live_nonsense"}, "does not accept this API key"),
        ({"api_key": log.api_key[:-1] + "~"}, "does not accept this API key"),
        ({"tenant_id": "other"}, "does not belong to the tenant 'other'"),
        ({"agent_id": "Not A Name"}, "agent_id 'Not A Name' is refused"),
        ({"stream_id": "acme:prod:No"}, "stream_id 'acme:prod:No' is refused"),
        ({"base_url": "http://127.0.0.1:1"}, "Is the log running"),
        ({"base_url": log.url + "/elsewhere"}, "base_url"),
    ]
    for options, words in cases:
        async with log.client(tmp_path, **options) as client:
            with pytest.raises((Refused, InvalidInput, NetworkFailure, BadAnswer), match=words):
                await client.attest()


async def test_some_of_many_may_fail(log: LogProcess, tmp_path: Path) -> None:
    async with log.client(tmp_path, agent_id="many") as client:
        events = [lean(number) for number in range(1200)]
        events[3]["severity"] = "LOUD"
        events[700]["payload"] = {"n": float("inf")}
        results = await client.ingest_many(events, return_exceptions=True)
        wrong = [number for number, one in enumerate(results) if isinstance(one, InvalidInput)]
        assert wrong == [3, 700]
        with pytest.raises(InvalidInput):
            await client.ingest_many(events[:5])
        # The others of both calls are recorded.
        assert (await client.verify()).tree_size == 1 + 1198 + 4
