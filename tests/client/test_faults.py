"""Proves that events are recorded exactly once across kill -9 of the real server, and that a log which goes back is caught.

The log is killed in the middle of 2,000 concurrent calls; every call gets a verified receipt, and the stream holds each event
once. A log restored from a backup, or with another history, is a fork to whoever has seen more.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.server import LogProcess
from tests.client.test_end_to_end import lean
from tests.client.trees import RootLog
from tlog.client import (
    AuditClient,
    ForkDetected,
    InvalidInput,
    NetworkFailure,
    Receipt,
    Unavailable,
    UnknownOutcome,
)
from tlog.client.pins import Pins
from tlog.core.note import open_note, parse_vkey
from tlog.core.receipt import verify_receipt
from tlog.core.wire import b64decode

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

EVENTS = 2000


@pytest.fixture
def own_log(tmp_path: Path) -> Iterator[LogProcess]:
    process = LogProcess(tmp_path / "dir")
    process.start()
    yield process
    process.stop()


async def test_kill_in_the_middle(own_log: LogProcess, tmp_path: Path) -> None:
    client = own_log.client(tmp_path / "state", max_batch=25)
    async with client:
        await client.attest()
        calls = [asyncio.ensure_future(client.ingest(**lean(number))) for number in range(EVENTS)]
        for number in (100, 700, 1300):
            # Some way into the request after this one: before, in or after its commit.
            await calls[number]
            await asyncio.sleep(random.uniform(0, 0.02))
            own_log.kill()
            await asyncio.sleep(0.3)
            await asyncio.to_thread(own_log.start)
        receipts = await asyncio.gather(*calls)
        await recorded_once(client, own_log, receipts)
    replayed = sum(receipt.replayed for receipt in receipts)
    print(f"{EVENTS} events, 3 kills, {replayed} receipts of requests whose answer was lost")


async def recorded_once(client: AuditClient, log: LogProcess, receipts: list[Receipt]) -> None:
    """Each event has one valid receipt, and the stream holds these and nothing else, in the order of the calls."""
    key = parse_vkey(log.vkey)
    numbers = []
    for number, receipt in enumerate(receipts):
        verified = verify_receipt(receipt.raw, key)
        assert verified.entry.record["producer"]["sequence"] == number + 1
        numbers.append(receipt.sequence_counter)
    assert numbers == list(range(1, len(receipts) + 1))
    result = await client.verify()
    assert result.verified
    assert result.tree_size == len(receipts) + 1
    events = [event async for event in client.events(receipts[0].stream_id, page=1000)]
    assert [event["payload"]["n"] for event in events[-len(receipts) :]] == list(
        range(len(receipts))
    )


async def test_every_answer_is_lost_once(own_log: LogProcess, tmp_path: Path) -> None:
    client = own_log.client(tmp_path / "state", max_batch=10)
    async with client:
        await client.attest()
        true_request, asked = client._link.transport.request, 0

        async def request(method: str, path: str, **options: object) -> object:
            nonlocal asked
            answer = await true_request(method, path, **options)  # type: ignore[arg-type]
            asked += method == "POST"
            if method == "POST" and asked % 2:
                raise NetworkFailure("the answer was lost")
            return answer

        client._link.transport.request = request  # type: ignore[assignment, method-assign]
        receipts = await asyncio.gather(*[client.ingest(**lean(number)) for number in range(60)])
        assert all(receipt.replayed for receipt in receipts)
        await recorded_once(client, own_log, receipts)


async def test_a_log_that_stays_away_is_given_up(own_log: LogProcess, tmp_path: Path) -> None:
    async with own_log.client(tmp_path / "state", retry_for=0.5) as client:
        await client.ingest(**lean())
        own_log.kill()
        results = await client.ingest_many([lean(), lean()], return_exceptions=True)
        assert [type(result) for result in results] == [UnknownOutcome] * 2
        assert "may or may not be recorded" in str(results[0])
    async with own_log.client(tmp_path / "state", retry_for=0.2) as late:
        with pytest.raises(Unavailable, match="Is the log running"):
            await late.ingest(**lean())


async def test_many_events_are_given_up_together(own_log: LogProcess, tmp_path: Path) -> None:
    own_log.kill()
    wrong = lean() | {"event_class": "NONE"}
    async with own_log.client(tmp_path / "state", retry_for=2.0) as client:
        results = await client.ingest_many(
            [lean(), lean(), wrong, lean(), lean()], return_exceptions=True
        )
    kinds = [NetworkFailure, NetworkFailure, InvalidInput, NetworkFailure, NetworkFailure]
    assert [type(result) for result in results] == kinds
    # One waited for all of them.
    assert all(results[number] is results[0] for number in (1, 3, 4))


async def test_tokens_end_and_nobody_notices(tmp_path: Path) -> None:
    log = LogProcess(tmp_path / "dir", token_lifetime=1)
    log.start()
    try:
        async with log.client(tmp_path / "state") as client:
            sessions = set()
            for number in range(24):
                receipt = await client.ingest(**lean(number))
                entry = json.loads(b64decode(receipt.raw["entry"]))
                sessions.add(entry["payload"]["agent"]["session"])
                await asyncio.sleep(0.1)
            assert receipt.sequence_counter == 24
            assert len(sessions) > 2
    finally:
        log.stop()


async def test_a_log_restored_from_a_backup_is_a_fork(own_log: LogProcess, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    state = tmp_path / "state"
    async with own_log.client(state) as client:
        await client.ingest(**lean())
        own_log.stop()
        shutil.copytree(own_log.directory, backup)
        own_log.start()
        await client.ingest_many([lean(number) for number in range(5)])
    kept = Pins(state).head(parse_vkey(own_log.vkey))
    assert kept is not None

    # The operator puts yesterday's disk back, guard and all.
    own_log.stop()
    shutil.rmtree(own_log.directory)
    shutil.copytree(backup, own_log.directory)
    own_log.start()
    async with own_log.client(state) as client:
        with pytest.raises(ForkDetected) as shorter:
            await client.attest()
        with pytest.raises(ForkDetected):
            await client.ingest(**lean())

    # It grows past what was seen, with other events.
    async with own_log.client(tmp_path / "other state") as stranger:
        for number in range(9):
            await stranger.ingest(**lean(-number))
    async with own_log.client(state) as client:
        with pytest.raises(ForkDetected) as longer:
            await client.ingest(**lean())
    for caught in (shorter.value, longer.value):
        document = json.loads(caught.evidence.read_text())
        notes = [document["first"].encode(), document["second"].encode()]
        assert kept.note in notes
        assert notes[0] != notes[1]
        for note in notes:
            open_note(note, [parse_vkey(own_log.vkey)])
    assert Pins(state).head(parse_vkey(own_log.vkey)) == kept


async def ingest_slowly(client: AuditClient, count: int) -> None:
    for number in range(count):
        await client.ingest(**lean(number))
        await asyncio.sleep(0.02)


async def test_a_fork_while_the_client_runs(own_log: LogProcess, tmp_path: Path) -> None:
    async with own_log.client(tmp_path / "state") as client:
        await client.ingest(**lean())
        own_log.stop()
        shutil.copytree(own_log.directory, tmp_path / "backup")
        own_log.start()
        for number in range(4):
            await client.ingest(**lean(number))
        await asyncio.sleep(1.3)  # the heads of these were checked, and the newest is kept
        own_log.stop()
        shutil.rmtree(own_log.directory)
        shutil.copytree(tmp_path / "backup", own_log.directory)
        own_log.start()
        # The first events may still pass; as soon as heads are compared, nothing more does.
        with pytest.raises(ForkDetected) as caught:
            await ingest_slowly(client, 200)
        assert caught.value.evidence.exists()
    async with own_log.client(tmp_path / "state") as client:
        for call in (client.attest, lambda: client.ingest(**lean())):
            with pytest.raises(ForkDetected, match="two histories before") as again:
                await call()
            assert again.value.evidence == caught.value.evidence


async def test_a_fork_found_at_rest_is_told_at_the_end(own_log: LogProcess, tmp_path: Path) -> None:
    client = own_log.client(tmp_path / "state")
    await client.ingest(**lean())
    kept = Pins(tmp_path / "state").head(parse_vkey(own_log.vkey))
    assert kept is not None
    # A head of the kept size with another root comes in beside the receipts.
    other = RootLog(kept.size, seed=3)
    heads = client._link._heads
    assert heads is not None
    heads._seen.clear()
    heads.observe(other.head(kept.size).checkpoint, other.head(kept.size).note)
    with pytest.raises(ForkDetected, match="two roots"):
        await client.aclose()


async def test_reading_goes_on_after_a_restart(own_log: LogProcess, tmp_path: Path) -> None:
    async with own_log.client(tmp_path / "state") as client:
        receipt = await client.ingest(**lean(7))
        own_log.kill()
        own_log.start()
        # The connections of before are broken; nobody notices.
        assert (await client.get_event(receipt.event_id))["payload"] == {"n": 7}
        own_log.kill()
        own_log.start()
        await client.attest()


@pytest.mark.parametrize("then", ["ingest", "close"])
async def test_a_fork_found_in_passing_is_told_once(
    own_log: LogProcess, tmp_path: Path, then: str
) -> None:
    client = own_log.client(tmp_path / "state")
    await client.attest()
    heads = client._link._heads
    assert heads is not None
    # Beside the receipts comes a larger head, of which the log knows nothing.
    other = RootLog(40, seed=3)
    heads.observe(other.head(40).checkpoint, other.head(40).note)
    await client.ingest(**lean())
    await asyncio.sleep(1.5)
    if then == "ingest":
        with pytest.raises(ForkDetected):
            await client.ingest(**lean())
        await client.aclose()
    else:
        with pytest.raises(ForkDetected, match="sizes"):
            await client.aclose()
