"""What is stored before it leaves; what happens when that fails; load, clocks, quotas."""

from __future__ import annotations

import asyncio
import json
import resource
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.witness.conftest import Serve, Served
from tests.witness.harness import NOW, ORIGIN, Server, Times, WitnessedLog, configure, opened
from tests.witness.matrix import FORK, LATEST, LOG, NEVER, ROWS
from tests.witness.zygote import Zygote
from tlog.errors import Refused, Unavailable
from witness.cosigner import Cosigned, Cosigner
from witness.guard import Guard
from witness.logbook import add_logs, entry
from witness.rows import LatestRow
from witness.service import Quota
from witness.state import CLOCK, Conflict, Refuse
from witness.witness import Witness


def test_a_batch_is_one_transaction(directory: Path) -> None:
    """Requests of one batch are judged one after the other: the second of two from one size is a conflict."""
    witness = opened(directory)
    requests = [
        LOG.request(LATEST, 7),
        LOG.request(LATEST, 9),
        NEVER.request(0, 3),
        LOG.request(7, 9),
        NEVER.request(3, 3),
    ]
    first, second, third, fourth, fifth = witness.cosigner.cosign(requests)
    assert isinstance(first, Cosigned)
    assert second == Conflict(7)
    assert isinstance(third, Cosigned)
    assert isinstance(fourth, Cosigned)
    assert isinstance(fifth, Cosigned)
    with witness.store.read() as txn:
        assert witness.store.commit(txn).number == 2
    witness.close()


def test_a_batch_that_is_cut_off_leaves_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault at the second request: the first is not stored either, and was not let out."""
    witness = opened(directory)
    sign = Cosigner._sign

    def failing(self: Cosigner, decision: Any) -> Cosigned:
        if decision.checkpoint.size == 9:
            raise OSError("torn")
        return sign(self, decision)

    monkeypatch.setattr(Cosigner, "_sign", failing)
    with pytest.raises(OSError, match="torn"):
        witness.cosigner.cosign([LOG.request(LATEST, 7), LOG.request(7, 9)])
    stored = witness.store.latest(ORIGIN)
    assert stored is not None
    assert stored.size == LATEST
    witness.close()


@pytest.mark.parametrize("where", ["transaction", "guard"])
async def test_unknown_outcome(serve: Serve, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """No signature leaves, those that wait are told to come back, and the process is told to stop."""
    served = await serve()

    def failing(*_: object, **__: object) -> None:
        raise OSError("Input/output error")

    if where == "guard":
        monkeypatch.setattr(Guard, "advance", failing)
    else:
        monkeypatch.setattr(type(served.witness.store), "write", failing)
    replies = await asyncio.gather(served.add(LOG.body(LATEST, 7)), served.add(NEVER.body(0, 7)))
    await asyncio.wait_for(served.stop.wait(), 10)
    assert [reply.status for reply in replies] == [503, 503]
    assert isinstance(served.service.writer.failed, OSError)
    health = await served.call("GET", "/health")
    assert (health.status, json.loads(health.body)["status"]) == (503, "failed")
    assert (await served.add(LOG.body(LATEST, 8))).status in {409, 503}
    monkeypatch.undo()


def test_the_process_ends_when_the_writer_fails(directory: Path, zygote: Zygote) -> None:
    """Exit code 70; the next start finds what was written. Meanwhile nobody else may sign, but commands may write."""
    configure(directory, LOG)
    with Server(directory, zygote) as server:
        with pytest.raises(Refused, match="another process"):
            Witness(directory)
        late = WitnessedLog(4, origin="late.example.com", seed=9)
        configure(directory, late)
        assert server.add(late.body(0, 1)).status == 200
        # From now on every write to a file fails, as on a disk that died.
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        reply = server.add(LOG.body(LATEST, 7))
        assert reply.status == 503
        assert server.stop(0) == 70
    with Server(directory, zygote) as server:
        assert server.add(LOG.body(LATEST, 7)).status == 200
        assert server.add(late.body(0, 2)).body == b"1\n"
        assert server.stop() == 0


async def test_overload_is_said(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the queue 503 with Retry-After; what waits is answered."""
    monkeypatch.setenv("WITNESS_MAX_WAITING", "2")
    served = await serve()
    gate = _blocked(served, monkeypatch)
    first = asyncio.create_task(served.add(LOG.body(LATEST, 6)))
    await gate.entered()
    # One is being written and two may wait: of three more, whichever comes last finds no room.
    more = {asyncio.create_task(served.add(NEVER.body(0, size))) for size in (1, 2, 3)}
    (refused,), waiting = await asyncio.wait(more, return_when=asyncio.FIRST_COMPLETED)
    gate.open()
    assert (refused.result().status, refused.result().headers["Retry-After"]) == (503, "1")
    assert (await first).status == 200
    assert sorted([(await one).status for one in waiting]) == [200, 409]


class _Gate:
    """Holds the writer inside its first batch until it is opened."""

    def __init__(self) -> None:
        self._entered = threading.Event()
        self._open = threading.Event()

    def wait(self) -> None:
        self._entered.set()
        assert self._open.wait(20)

    def open(self) -> None:
        self._open.set()

    async def entered(self) -> None:
        assert await asyncio.to_thread(self._entered.wait, 20)


def _blocked(served: Served, monkeypatch: pytest.MonkeyPatch) -> _Gate:
    gate = _Gate()
    cosign = served.witness.cosigner.cosign

    def slow(requests: Any) -> Any:
        gate.wait()
        return cosign(requests)

    monkeypatch.setattr(served.witness.cosigner, "cosign", slow)
    return gate


async def test_a_client_that_leaves(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cosigned all the same, nobody is harmed, and the next request is told the size."""
    served = await serve()
    gate = _blocked(served, monkeypatch)
    left = asyncio.create_task(served.add(LOG.body(LATEST, 7)))
    await gate.entered()
    left.cancel()
    gate.open()
    assert (await served.add(NEVER.body(0, 1))).status == 200
    assert (await served.add(LOG.body(LATEST, 8))).body == b"7\n"


async def test_stopping_answers_what_waits(serve: Serve) -> None:
    """Nothing is taken any more."""
    served = await serve()
    await asyncio.to_thread(served.service.writer.stop)
    assert (await served.add(LOG.body(LATEST, 7))).status == 503


async def test_disk_full(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the limit nothing is cosigned; what was cosigned is served."""
    monkeypatch.setenv("WITNESS_MIN_FREE_DISK", str(1 << 60))
    served = await serve()
    reply = await served.add(LOG.body(LATEST, 7))
    assert (reply.status, reply.headers["Retry-After"]) == (503, "30")
    assert (await served.published(ORIGIN)).status == 200
    assert json.loads((await served.call("GET", "/health")).body)["status"] == "disk-full"


async def test_clock_behind(serve: Serve) -> None:
    """Within the tolerance the time of a cosignature stands still; beyond it nothing is cosigned until it has caught up."""
    times = Times()
    served = await serve(times)
    await served.add(LOG.body(LATEST, 6))
    times.wall -= 30
    await served.add(LOG.body(6, 7))
    assert _stored(served).time == NOW
    times.wall -= 31
    for _ in range(2):
        reply = await served.add(LOG.body(7, 8))
        assert (reply.status, reply.headers["Retry-After"]) == (503, "30")
    # The clock is wrong for every log, cosigned before or not.
    assert (await served.add(NEVER.body(0, 8))).status == 503
    assert json.loads((await served.call("GET", "/health")).body)["status"] == "clock"
    assert _stored(served).size == 7
    times.wall += 62
    assert (await served.add(LOG.body(7, 8))).status == 200
    assert _stored(served).time == NOW + 1


def _stored(served: Served) -> LatestRow:
    row = served.witness.store.latest(ORIGIN)
    assert row is not None
    return row


def test_clock_that_jumps_ahead(directory: Path) -> None:
    """A cosignature from the future would make all later ones late: not given until the clock is back, or looked after."""
    times = Times()
    witness = opened(directory, times)
    times.pass_(86_400)
    assert isinstance(witness.cosigner.cosign([LOG.request(LATEST, 6)])[0], Cosigned)
    times.wall += 61
    (answer,) = witness.cosigner.cosign([LOG.request(6, 7)])
    assert isinstance(answer, Refuse)
    assert answer.kind == CLOCK
    assert not witness.clock_is_right()
    times.wall -= 2
    times.pass_(1)
    assert isinstance(witness.cosigner.cosign([LOG.request(6, 7)])[0], Cosigned)
    times.wall += 59  # little by little it may go where it must
    assert isinstance(witness.cosigner.cosign([LOG.request(7, 8)])[0], Cosigned)
    witness.close()
    times.wall += 1000
    again = opened(directory, times)
    assert isinstance(again.cosigner.cosign([LOG.request(8, 9)])[0], Cosigned)
    again.close()


def test_quota() -> None:
    """As many as an hour's worth at once, then at the rate of the day; per log; 0 is none."""
    now = [0.0]
    quota = Quota(lambda: now[0])
    for _ in range(100):
        quota.take("a", 2400)
    with pytest.raises(Unavailable) as caught:
        quota.take("a", 2400)
    assert caught.value.kind == "rate-limited"
    assert caught.value.retry_after == pytest.approx(36)
    quota.take("b", 2400)
    for _ in range(1000):
        quota.take("c", 0)
    now[0] += 36
    quota.take("a", 2400)
    with pytest.raises(Unavailable):
        quota.take("a", 2400)


async def test_quota_over_http(serve: Serve, directory: Path) -> None:
    """Only what would be cosigned counts, and only of that log."""
    small = WitnessedLog(16, origin="small.example.com", seed=6)
    served = await serve()
    add_logs(served.witness.store, [entry(small.vkey, qpd=24)], NOW)
    assert [(await served.add(small.body(0, 1))).status for _ in range(15)] == [200, *[409] * 14]
    assert [(await served.add(small.body(n, n + 1))).status for n in range(1, 10)] == [200] * 9
    reply = await served.add(small.body(10, 11))
    assert (reply.status, reply.headers["Retry-After"]) == (429, "3600")
    assert (await served.add(LOG.body(LATEST, 7))).status == 200


async def test_observers_are_told_what_a_log_signed(serve: Serve) -> None:
    """Of a contradiction with a valid signature, once; of noise, never."""
    served = await serve()
    told: list[str] = []
    served.service.observers.append(lambda request, refusal: told.append(refusal.kind))
    for row in ROWS:
        if row.status in {400, 403, 404, 409}:
            await served.add(row.body)
    assert told == []
    await served.add(FORK.body(LATEST, LATEST))
    await served.add(FORK.body(LATEST, 7))
    assert told == ["wrong-root", "inconsistent"]


async def test_frozen_logs_and_their_streams(serve: Serve) -> None:
    """A mark on the log stops its root and streams, at once, until it is taken away; others go on."""
    served = await serve()
    store = served.witness.store
    row = store.freeze(f"{ORIGIN}/streams/acme/prod/x", "it forked", NOW)
    assert (row.origin, store.freeze(ORIGIN, "again", NOW + 1)) == (ORIGIN, row)
    reply = await served.add(LOG.body(LATEST, 7))
    assert (reply.status, b"it forked" in reply.body) == (403, True)
    assert (await served.add(NEVER.body(0, 7))).status == 200
    assert store.unfreeze(ORIGIN) == row
    assert (await served.add(LOG.body(LATEST, 7))).status == 200
