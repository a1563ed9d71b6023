"""Exactly once: by Idempotency-Key for 24 hours, by producer sequence for ever, over restarts and in a race."""

from __future__ import annotations

import asyncio
import base64
import itertools
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import tlog.sequencer.state
from tests.api.deployment import EVENT, Answer, Keys, Site, serve
from tlog.core.receipt import verify_batch, verify_receipt
from tlog.errors import Refused
from tlog.events.submission import parse_event
from tlog.log import Log
from tlog.sequencer.batch import Prepared, Replayed

DAY_MS = 86_400_000
OTHER = {**EVENT, "payload": {"decision": "REJECTED"}}
SAME = {"payload": dict(reversed(list(EVENT["payload"].items()))), **EVENT}  # type: ignore[attr-defined]


class Clock:
    def __init__(self) -> None:
        self.ms = time.time_ns() // 1_000_000 + 1000

    def __call__(self) -> int:
        return self.ms


def numbered(sequence: int, event: dict[str, Any] = EVENT) -> dict[str, Any]:
    return {**event, "producer": {"id": "scorer", "sequence": sequence}}


def replayed(answer: Answer, first: Answer, site: Site) -> None:
    """The same entry and position, under a head that verifies."""
    assert answer.status == 200
    receipt, original = answer.json(), first.json()
    assert receipt["replayed"] is True
    for name in ("event_id", "sequence_counter", "timestamp", "block_hash", "entry", "salt"):
        assert receipt[name] == original[name]
    verify_receipt(receipt, site.verifier)


@pytest.mark.parametrize("by", ["key", "sequence"])
async def test_same_again(site: Site, by: str) -> None:
    async def send(event: dict[str, Any]) -> Answer:
        if by == "key":
            return await site.post(event, Idempotency_Key="k 1")
        return await site.post(numbered(1, event))

    first = await send(EVENT)
    assert first.status == 201
    await site.record()
    replayed(await send(EVENT), first, site)
    replayed(await send(SAME), first, site)  # the order of members means nothing
    before = site.root
    conflict = await send(OTHER)
    assert (conflict.status, conflict.kind) == (409, "conflict")
    assert site.root == before
    site.check()


@pytest.mark.parametrize("pending", [False, True])
async def test_what_is_the_same(site: Site, pending: bool) -> None:
    """What would be recorded decides, to the type of each value; before and after the first one is recorded."""
    salts = [base64.b64encode(bytes([n]) * 32).decode() for n in range(2)]
    first = {**EVENT, "payload": {"a": 1, "b": True}, "salt": salts[0], "tags": ["x"]}
    spelled = {"a": 1.0, "b": True}
    same = [
        first,
        {**first, "payload": spelled},
        {name: member for name, member in first.items() if name != "salt"},
        {"stream_id": "acme:prod:scorer", **first},
    ]
    other = [
        {**first, "payload": {"a": True, "b": True}},
        {**first, "payload": {"a": 1, "b": 1}},
        {**first, "payload": {"a": 1, "b": True, "c": None}},
        {**first, "salt": salts[1]},
        {**first, "tags": []},
        {**first, "severity": "ERROR"},
        {**first, "subject_id": "app-991"},
        {**first, "actor": {"type": "USER", "id": "app-991"}},
    ]
    await site.token()
    events = [first, *same, *other]
    if pending:
        answers = await asyncio.gather(*[site.post(one, Idempotency_Key="k") for one in events])
    else:
        answers = [await site.post(one, Idempotency_Key="k") for one in events]
    assert [one.status for one in answers] == [201] + [200] * len(same) + [409] * len(other)
    assert len({one.json()["event_id"] for one in answers[: 1 + len(same)]}) == 1
    site.check()


async def test_minimal_replay(site: Site) -> None:
    await site.post(numbered(1))
    answer = await site.post(numbered(1), Prefer="return=minimal")
    assert (answer.status, answer.json()["replayed"]) == (200, True)
    assert not {"entry", "salt", "inclusion", "root"} & answer.json().keys()


async def test_a_gap_names_what_is_expected(site: Site) -> None:
    before = site.root
    answer = await site.post(numbered(2))
    assert site.root[0] == before[0] + 1  # the stream's genesis, by attest
    assert (answer.status, answer.kind, answer.json()["expected"]) == (409, "producer-gap", 1)
    assert answer.json()["pointer"] == "/producer/sequence"
    for sequence in (1, 2, 3):
        assert (await site.post(numbered(sequence))).status == 201
    assert (await site.post(numbered(9))).json()["expected"] == 4
    assert (await site.attest()).json()["producer"]["next_sequence"] == 4


async def test_a_conflict_of_sequences_names_what_is_expected(site: Site) -> None:
    await site.post(numbered(1))
    answer = await site.post(numbered(1, OTHER))
    assert (answer.kind, answer.json()["pointer"]) == ("conflict", "/producer/sequence")


async def test_streams_count_for_themselves(site: Site) -> None:
    token = await site.token(site.keys.create)
    for stream in ("acme:prod:a", "acme:prod:b"):
        answer = await site.post({**numbered(1), "stream_id": stream}, token)
        assert (answer.status, answer.json()["stream_id"]) == (201, stream)


@pytest.mark.parametrize("by", ["key", "sequence"])
async def test_a_race_of_duplicates_makes_one_entry(site: Site, by: str) -> None:
    await site.token()
    headers = {"Idempotency_Key": "k"} if by == "key" else {}
    event = EVENT if by == "key" else numbered(1)
    answers = await asyncio.gather(*[site.post(event, **headers) for _ in range(40)])
    assert sorted({answer.status for answer in answers}) == [200, 201]
    assert [answer.status for answer in answers].count(201) == 1
    assert len({answer.json()["event_id"] for answer in answers}) == 1
    for answer in answers:
        verify_receipt(answer.json(), site.verifier)
    assert (await site.record())["sequence_counter"] == 2
    site.check()


async def test_a_race_of_batches_makes_one_entry_of_each_event(site: Site) -> None:
    """Those that lose fall into the same commit as the one that wins, and into those of other events."""
    await site.token()
    batch = [numbered(n) for n in range(1, 4)]
    answers = await asyncio.gather(*[site.batch(batch) for _ in range(20)])
    again = await asyncio.gather(
        *[post for _ in range(20) for post in (site.batch(batch), site.post())]
    )
    statuses = [answer.status for answer in answers]
    assert (statuses.count(201), statuses.count(200)) == (1, 19)
    assert [answer.status for answer in again] == [200, 201] * 20
    for answer in [*answers, *again[::2]]:
        verify_batch(answer.json(), site.verifier)
    site.check()


async def test_a_race_of_conflicts_makes_one_entry(site: Site) -> None:
    await site.token()
    answers = await asyncio.gather(
        *[site.post([EVENT, OTHER][n % 2], Idempotency_Key="k") for n in range(20)]
    )
    statuses = [answer.status for answer in answers]
    assert (statuses.count(201), statuses.count(200), statuses.count(409)) == (1, 9, 10)


async def test_a_batch_under_a_key(site: Site) -> None:
    first = await site.batch([EVENT, OTHER], Idempotency_Key="k")
    again = await site.batch([EVENT, OTHER], Idempotency_Key="k")
    assert (first.status, again.status) == (201, 200)
    verify_batch(again.json(), site.verifier)
    ids = [[receipt["event_id"] for receipt in one.json()["receipts"]] for one in (first, again)]
    assert ids[0] == ids[1]
    for other in ([EVENT], [OTHER, EVENT], [EVENT, OTHER, EVENT]):
        conflict = await site.batch(other, Idempotency_Key="k")
        assert (conflict.status, conflict.kind) == (409, "conflict")
    assert (await site.post(EVENT, Idempotency_Key="k")).status == 409
    answers = await asyncio.gather(
        *[site.batch([EVENT, OTHER], Idempotency_Key="race") for _ in range(10)]
    )
    assert sorted(answer.status for answer in answers) == [200] * 9 + [201]
    site.check()


async def test_keys_last_24_hours_and_sequences_for_ever(
    template: tuple[Path, Keys], directory: Path
) -> None:
    clock = Clock()
    async with serve(directory, template[1], clock_ms=clock) as site:
        first = await site.post(EVENT, Idempotency_Key="k")
        numbered_first = await site.post(numbered(1))
        clock.ms += DAY_MS - 1
        site.tokens.clear()
        replayed(await site.post(EVENT, Idempotency_Key="k"), first, site)
        clock.ms += 1
        site.tokens.clear()
        new = await site.post(EVENT, Idempotency_Key="k")
        assert (new.status, new.json()["replayed"]) == (201, False)
        replayed(await site.post(EVENT, Idempotency_Key="k"), new, site)
        clock.ms += 400 * DAY_MS
        site.tokens.clear()
        assert (await site.post(OTHER, Idempotency_Key="k")).status == 201
        replayed(await site.post(numbered(1)), numbered_first, site)


async def test_over_a_restart(template: tuple[Path, Keys], directory: Path) -> None:
    async with serve(directory, template[1]) as site:
        key = await site.post(EVENT, Idempotency_Key="k")
        sequence = await site.post(numbered(1))
    async with serve(directory, template[1]) as site:
        replayed(await site.post(EVENT, Idempotency_Key="k"), key, site)
        replayed(await site.post(numbered(1)), sequence, site)
        assert (await site.post(OTHER, Idempotency_Key="k")).status == 409
        assert (await site.attest()).json()["producer"]["next_sequence"] == 2
        site.check()


async def test_after_erasure_no_comparison_is_possible(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = {**EVENT, "subject_id": "applicant-991"}
    first = await site.post(event, Idempotency_Key="k")
    pseudonym = site.log.vault.find_pseudonym("acme", "sub", "applicant-991")
    assert pseudonym is not None
    site.log.vault.destroy_subject("acme", pseudonym)
    again = await site.post(event, Idempotency_Key="k")
    assert (again.status, again.kind) == (409, "conflict")
    shown = (await site.get(f"/events/{first.json()['event_id']}", await site.token())).json()
    assert (shown["payloadStatus"], shown["verified"]) == ("withheld", True)
    assert "payload" not in shown

    def erased(*_: object, **__: object) -> None:
        raise Refused("erased", "the person's key was destroyed")

    # Between the moment when the retry got the person's pseudonym and the comparison.
    await site.post(event, Idempotency_Key="l")
    with monkeypatch.context() as patch:
        patch.setattr(site.log.vault, "unseal", erased)
        assert (await site.post(event, Idempotency_Key="l")).kind == "conflict"
    report = (await site.get("/verify", await site.token())).json()
    assert (report["verified"], report["withheld_count"]) == (True, 1)


async def test_a_salt_destroyed_between_comparison_and_answer_is_left_out(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.post(numbered(1))

    unseal, calls = site.log.vault.unseal, itertools.count(1)

    def erased(*arguments: Any, **named: Any) -> Any:
        if next(calls) > 2:  # the comparison opens what was recorded and what came
            raise Refused("erased", "the person's key was destroyed")
        return unseal(*arguments, **named)

    monkeypatch.setattr(site.log.vault, "unseal", erased)
    answer = await site.post(numbered(1))
    assert answer.status == 200
    assert "salt" not in answer.json()
    verify_receipt(answer.json(), site.verifier)


def test_a_session_that_asks_for_its_sequence_while_it_is_used(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a reader finds may be older than what the writer counts meanwhile, and must not take its place."""
    stream = "acme:prod:scorer"
    # After every commit the producer's row is in the store, and nowhere else once the log is opened again.
    monkeypatch.setattr("tlog.sequencer.commit.SWEEP_EVERY", 1)

    def prepare(log: Log, sequence: int) -> Prepared:
        sub = parse_event(numbered(sequence))
        return log.preparer.event(sub, tenant="acme", stream_id=stream, agent=None)

    log = Log(directory)
    log.start()
    log.open_stream(stream)
    log.append_now([prepare(log, 1)])
    log.close()
    decode = tlog.sequencer.state._decode_producer
    log = Log(directory)
    log.start()
    looked = []

    def slow(data: bytes) -> object:
        row = decode(data)
        if not looked and threading.current_thread() is threading.main_thread():
            looked.append(row)
            log.append_now([prepare(log, 2)])
        return row

    monkeypatch.setattr(tlog.sequencer.state, "_decode_producer", slow)
    assert log.last_sequence(stream, "scorer") in (1, 2)
    (again,) = log.append_now([prepare(log, 2)]).events
    assert isinstance(again, Replayed)
    log.close()
    assert looked
