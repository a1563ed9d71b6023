"""Proves that a log cannot get a false receipt past the client, in any member.

Three liars, all made of the real log: one that records, signs and proves another event than was sent; one that changes its
answer; one whose answer belongs to another request. Each is caught, the answer is kept as evidence, and the event next to it is
not harmed.
"""

from __future__ import annotations

import asyncio
import copy
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.client.server import LogProcess
from tests.client.test_end_to_end import FULL, lean
from tests.client.trees import RootLog
from tlog.client import AuditClient, Receipt, ReceiptRejected, VerificationError
from tlog.client.answers import open_answer
from tlog.client.outgoing import Outgoing
from tlog.client.rebuild import Rebuilder
from tlog.client.session import Session
from tlog.client.transport import Answer
from tlog.core.note import parse_vkey

Change = Callable[[dict[str, Any]], None]


def put(path: str, value: Any) -> Change:
    """Set a member of an event, `a.b`; None removes it."""
    *way, last = path.split(".")

    def change(event: dict[str, Any]) -> None:
        for name in way:
            event = event[name]
        if value is None:
            del event[last]
        else:
            event[last] = value

    return change


# What the log records instead. Each is valid, so the real log takes, signs and proves it.
OTHERS: dict[str, Change] = {
    "event class": put("event_class", "OUTCOME"),
    "event type": put("event_type", "credit.decision.undone"),
    "payload value": put("payload.score", 741),
    "payload type": put("payload.score", "740"),
    "payload member added": put("payload.more", 1),
    "payload member removed": put("payload.decision", None),
    "payload deep": put("payload.a/b~c", [1.5, False]),
    "decision": put("decision_surface.human_decision", "REJECT"),
    "presented": put("decision_surface.presentation_timestamp", "2026-03-20T14:00:00.001Z"),
    "signed off": put("decision_surface.signoff_timestamp", "2026-03-20T14:00:03Z"),
    "tier": put("decision_surface.decision_complexity_tier", 1),
    "artifact": put("decision_surface.explainability_artifact_hash", "another"),
    "artifact removed": put("decision_surface.explainability_artifact_hash", None),
    "surface removed": put("decision_surface", None),
    "context plain": put("context.model_version", "v2.1.1"),
    "context plain added": put("context.cloud_provider", "aws"),
    "context plain removed": put("context.pii_detected", None),
    "context committed": put("context.trace_id", "abc-124"),
    "context removed": put("context", None),
    "model": put("model_id", "mdl_2"),
    "model removed": put("model_id", None),
    "severity": put("severity", "INFO"),
    "severity removed": put("severity", None),
    "actor type": put("actor.type", "SERVICE"),
    "actor id": put("actor.id", "joe"),
    "actor address": put("actor.ip_address", "10.0.1.46"),
    "actor removed": put("actor", None),
    "subject": put("subject_id", "jim"),
    "subject removed": put("subject_id", None),
    "tags": put("tags", ["credit-risk"]),
    "tags order": put("tags", ["high-value", "credit-risk"]),
    "tags removed": put("tags", None),
    "occurred": put("occurred_at", "2026-03-20T14:00:00.001Z"),
    "occurred removed": put("occurred_at", None),
    "salt": put("salt", b64encode(bytes(32)).decode()),
    "salt removed": put("salt", None),
}


def records_otherwise(client: AuditClient, change: Change, index: int = 0) -> None:
    """Let the client's log record a changed event, number `index` of a request."""

    def body(event: Outgoing, stream_id: str, producer_id: str) -> bytes:
        value = orjson.loads(true_body(event, stream_id, producer_id))
        if event in chosen:
            change(value)
        return orjson.dumps(value)

    true_body, true_post = Outgoing.body, client._link.post
    chosen: list[Outgoing] = []

    async def post(session: Session, stream_id: str, events: list[Outgoing]) -> Answer:
        chosen[:] = [events[index]]
        Outgoing.body = body  # type: ignore[method-assign, assignment]
        try:
            return await true_post(session, stream_id, events)
        finally:
            Outgoing.body = true_body  # type: ignore[method-assign]

    client._link.post = post  # type: ignore[method-assign]


def check_evidence(error: ReceiptRejected, directory: Path) -> None:
    assert str(error.evidence) in str(error)
    assert error.evidence.parent == directory / "evidence"
    document = json.loads(error.evidence.read_text())
    assert document["vkey"].startswith("log.example.com+")
    assert document["status"] in (200, 201)
    assert "checkpoint" in document["answer"]
    assert all("payload" in json.loads(event) for event in document["sent"])


@pytest.mark.parametrize("name", OTHERS)
async def test_another_event_was_recorded(log: LogProcess, tmp_path: Path, name: str) -> None:
    for count in (1, 3):
        async with log.client(tmp_path, agent_id="liar") as client:
            await client.attest()
            records_otherwise(client, OTHERS[name], count // 2)
            events = [FULL if number == count // 2 else lean(number) for number in range(count)]
            results = await client.ingest_many(events, return_exceptions=True)
            lie = results.pop(count // 2)
            assert isinstance(lie, ReceiptRejected)
            check_evidence(lie, tmp_path)
            assert all(isinstance(result, Receipt) for result in results)


async def test_the_truth_passes_the_same_way(log: LogProcess, tmp_path: Path) -> None:
    async with log.client(tmp_path, agent_id="liar") as client:
        records_otherwise(client, lambda event: None)
        for count in (1, 3):
            assert all(isinstance(one, Receipt) for one in await client.ingest_many([FULL] * count))


@pytest.mark.parametrize(
    "change",
    [
        put("stream_id", "acme:prod:liar-elsewhere"),
        put("producer", None),
        put("producer", {"id": "liar/other", "sequence": 1}),
    ],
)
async def test_recorded_elsewhere(log: LogProcess, tmp_path: Path, change: Change) -> None:
    async with log.client(tmp_path, agent_id="liar-elsewhere") as elsewhere:
        await elsewhere.attest()
    async with log.client(tmp_path, agent_id="liar") as client:
        records_otherwise(client, change)
        with pytest.raises(ReceiptRejected):
            await client.ingest(**FULL)


async def test_recorded_for_another_agent(log: LogProcess, tmp_path: Path) -> None:
    for options in ({"agent_id": "liar"}, {"agent_code_hash": "6" * 64}):
        async with log.client(tmp_path, agent_id="liar-agent") as client:
            session = await client.attest()
            async with log.client(tmp_path, **{"agent_id": "liar-agent", **options}) as other:
                foreign = await other.attest()
            # The same stream, recorded in the session of another agent or other code.
            client._link._session = type(session)(
                **{**vars(session), "token": foreign.token, "producer_id": foreign.producer_id}
            )
            with pytest.raises(ReceiptRejected):
                await client.ingest(**lean())


class Recorded:
    """A real answer and what it answers."""

    def __init__(self, client: AuditClient, session: Session) -> None:
        self.events: list[Outgoing] = []
        self.answer: dict[str, Any] = {}
        self._identity = client._link._identity
        self._session = session
        self._log = client._link.log
        true_settle = client._link.settle

        async def settle(session: Session, events: list[Outgoing], answer: Answer) -> None:
            self.events, self.answer = events, orjson.loads(answer.body)
            await true_settle(session, events, answer)

        client._link.settle = settle  # type: ignore[method-assign]

    def accepted(self, answer: Any, events: list[Outgoing] | None = None) -> bool:
        """Whether every event gets a receipt from `answer`: by rebuilding entries, and by parsing them all the same."""
        fast = self._accepted(answer, events)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Rebuilder, "entry", lambda *arguments: None)
            assert self._accepted(answer, events) == fast
        return fast

    def _accepted(self, answer: Any, events: list[Outgoing] | None) -> bool:
        try:
            opened = open_answer(
                orjson.dumps(answer),
                self.events if events is None else events,
                self._log,
                self._identity,
                self._session,
                pinned=True,
            )
        except VerificationError:
            return False
        return all(opened.receipts)


async def record(log: LogProcess, directory: Path, count: int) -> Recorded:
    async with log.client(directory, agent_id="liar-answers") as client:
        recorded = Recorded(client, await client.attest())
        await client.ingest_many([FULL, *[lean(number) for number in range(count - 1)]])
    return recorded


def changes(value: Any, where: str = "") -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Every member removed, every leaf of the JSON changed, every list cut, grown and turned round."""

    def inside(key: Any, deeper: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def change(container: Any) -> Any:
            container = copy.copy(container)
            container[key] = deeper(container[key])
            return container

        return change

    if isinstance(value, dict):
        for name in value:

            def without(container: Any, name: str = name) -> Any:
                return {key: item for key, item in container.items() if key != name}

            yield f"{where}/{name} removed", without
            for at, deeper in changes(value[name], f"{where}/{name}"):
                yield at, inside(name, deeper)
    elif isinstance(value, list):
        yield f"{where} grown", lambda c: [*c, *(c[-1:] or [b64encode(bytes(32)).decode()])]
        if value:
            yield f"{where} cut", lambda c: c[:-1]
        if value[::-1] != value:
            yield f"{where} turned", lambda c: c[::-1]
        for number, item in enumerate(value):
            for at, deeper in changes(item, f"{where}/{number}"):
                yield at, inside(number, deeper)
    elif isinstance(value, bool):
        yield f"{where} negated", lambda c: not c
    elif isinstance(value, int):
        yield f"{where} + 1", lambda c: c + 1
        yield f"{where} float", lambda c: c + 0.5
    elif isinstance(value, str):
        middle = len(value) // 2
        other = "A" if value[middle : middle + 1] != "A" else "B"
        yield f"{where} changed", lambda c: c[:middle] + other + c[middle + 1 :]
        yield f"{where} longer", lambda c: c + "A"
    if value is not None:
        yield f"{where} null", lambda c: None


@pytest.mark.parametrize("count", [1, 4])
async def test_every_change_of_an_answer(log: LogProcess, tmp_path: Path, count: int) -> None:
    recorded = await record(log, tmp_path, count)
    assert recorded.accepted(recorded.answer)
    tried = 0
    for where, change in changes(recorded.answer):
        if where == "/replayed negated":
            continue  # of a receipt with its own proofs this is news, not a claim
        assert not recorded.accepted(change(recorded.answer)), where
        tried += 1
    assert tried > 80


@pytest.mark.parametrize("answer", [None, 1, "x", [], {}, {"receipts": []}, {"receipts": [{}]}])
async def test_an_answer_of_another_form(log: LogProcess, tmp_path: Path, answer: Any) -> None:
    for count in (1, 2):
        recorded = await record(log, tmp_path, count)
        assert not recorded.accepted(answer)


async def test_an_answer_to_another_request(log: LogProcess, tmp_path: Path) -> None:
    recorded = await record(log, tmp_path, 4)
    other = await record(log, tmp_path, 4)
    assert not recorded.accepted(other.answer)
    assert not recorded.accepted(recorded.answer, recorded.events[:3])
    assert not recorded.accepted(recorded.answer, recorded.events[::-1])
    assert not recorded.accepted(recorded.answer, [*recorded.events, other.events[0]])
    assert recorded.accepted(recorded.answer)


async def test_a_log_with_another_key(log: LogProcess, tmp_path: Path) -> None:
    recorded = await record(log, tmp_path, 1)
    assert recorded.accepted(recorded.answer)
    recorded._log = RootLog(seed=9).verifier
    assert not recorded.accepted(recorded.answer)
    recorded._log = parse_vkey(log.vkey)
    assert recorded.accepted(recorded.answer)


async def test_a_false_answer_through_the_client(log: LogProcess, tmp_path: Path) -> None:
    async with log.client(tmp_path, agent_id="liar") as client:
        true_post = client._link.post
        for spoil in (
            lambda body: body[:-1],
            lambda body: body.replace(b'"leaf_index":', b'"leaf_index":1'),
        ):

            async def post(
                session: Session,
                stream_id: str,
                events: list[Outgoing],
                spoil: Callable[[bytes], bytes] = spoil,
            ) -> Answer:
                answer = await true_post(session, stream_id, events)
                return answer._replace(body=spoil(answer.body))

            client._link.post = post  # type: ignore[method-assign]
            results = await client.ingest_many([FULL, lean()], return_exceptions=True)
            for result in results:
                assert isinstance(result, ReceiptRejected)
                check_evidence(result, tmp_path)
        # The log that lied is not cut off: what it proves counts.
        client._link.post = true_post  # type: ignore[method-assign]
        assert (await client.ingest(**lean())).sequence_counter > 4


async def test_a_false_proof_package(log: LogProcess, tmp_path: Path) -> None:
    async with log.client(tmp_path, agent_id="liar") as client:
        receipts = [await client.ingest(**lean(number)) for number in range(2)]
        true_get = client._link.get

        async def get(path: str, *rest: Any) -> dict[str, Any]:
            return await true_get(path.replace(receipts[0].event_id, receipts[1].event_id), *rest)

        client._link.get = get  # type: ignore[method-assign, assignment]
        with pytest.raises(ReceiptRejected) as caught:
            await client.get_proof(receipts[0].event_id)
        assert receipts[1].event_id in caught.value.evidence.read_text()


async def test_hostile_answers_leave_nobody_waiting(log: LogProcess, tmp_path: Path) -> None:
    async with log.client(tmp_path, agent_id="liar") as client:
        true_post = client._link.post
        bodies = [
            b"",
            b"null",
            b"[]",
            b'{"receipts":5}',
            b'{"receipts":[{"replayed":true}]}',
            b"[" * 5000,
        ]
        for body in bodies:

            async def post(
                session: Session, stream_id: str, events: list[Outgoing], body: bytes = body
            ) -> Answer:
                await true_post(session, stream_id, events)
                return Answer(201, None, body)

            client._link.post = post  # type: ignore[method-assign]
            calls = client.ingest_many([lean(), lean()], return_exceptions=True)
            results = await asyncio.wait_for(calls, 10)
            assert [type(result) for result in results] == [ReceiptRejected] * 2
