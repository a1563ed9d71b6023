"""Processes that die, by accident and in order: nothing acknowledged is lost, nothing is doubled, nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.audit import audit
from tests.faults.process import Promise, Submitter
from tests.workers.site import Keys, Run, alive, eventually, serve
from tlog.addresses import reserve
from tlog.store.environment import LogStore

pytestmark = pytest.mark.e2e

PRODUCERS = 6


class Load:
    """Producers that send until they are told to stop, and what they were promised."""

    def __init__(self, run: Run, keys: Keys) -> None:
        self.promises: list[Promise] = []
        self._stop = asyncio.Event()
        self._submitters = [
            Submitter(run.url, keys.key, f"p{n}", self.promises) for n in range(PRODUCERS)
        ]
        self._tasks = [asyncio.create_task(one.run(self._stop)) for one in self._submitters]

    async def more(self, count: int = 30) -> None:
        """Wait until more is acknowledged."""
        wanted = len(self.promises) + count
        await until(lambda: self._failed() or len(self.promises) >= wanted, "nothing is promised")
        assert not self._failed(), [task for task in self._tasks if task.done()]

    def _failed(self) -> bool:
        return any(task.done() for task in self._tasks)

    async def end(self) -> int:
        """Stop once everything sent is acknowledged; how many requests had to be repeated."""
        self._stop.set()
        await asyncio.gather(*self._tasks)
        return sum(one.repeated for one in self._submitters)

    async def abandon(self) -> None:
        """Stop at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def until(check: Callable[[], bool], why: str) -> None:
    """`eventually`, beside the producers."""
    await asyncio.to_thread(eventually, check, why)


@pytest.mark.slow
async def test_what_dies_comes_back(directory: Path, keys: Keys) -> None:
    """A front end: the other one goes on. The process that commits: all are replaced. SIGTERM: all end in order."""
    with serve(directory) as run:
        load = Load(run, keys)
        await load.more()
        victim, other = run.processes("front")
        sequencer = run.processes("sequencer")
        os.kill(victim, signal.SIGKILL)
        await until(lambda: not alive(victim), "it lives")
        await load.more()
        await until(lambda: len(run.processes("front")) == 2, "there is no second front end")
        await load.more()
        assert other in run.processes("front") and run.processes("sequencer") == sequencer
        await until(lambda: _alive(run) == 2, "the new front end is not counted")
        old = {*run.processes("front"), *sequencer}
        os.kill(sequencer[0], signal.SIGKILL)
        await load.more()
        assert not any(map(alive, old)), "a process of before takes part"
        assert await load.end(), "no request had to be repeated"
        first = len(load.promises)
        assert audit(directory, load.promises) == 1 + first
        load = Load(run, keys)
        await until(lambda: _alive(run) == 2, "the new front ends are not counted")
        members = [run.process.pid, *run.processes("front"), *run.processes("sequencer")]
        assert len(members) == 4
        run.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(run.process.wait, 30) == 0
        await load.abandon()
        assert not any(map(alive, members))
        assert "Traceback" not in run.said()
    assert audit(directory, load.promises) > first


def _alive(run: Run) -> int:
    """How many front ends the log counts; 0 if it says nothing."""
    try:
        return int(run.call("GET", "/api/v1/health").json().get("workers_alive", 0))
    except OSError:
        return 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_all_told_at_once(directory: Path, keys: Keys, number: signal.Signals) -> None:
    """As service managers do it, or a terminal: all end in order, and nothing is left behind."""
    with serve(directory, 1) as run:
        assert run.post(run.attest(keys.key)).status == 201
        meeting = _meeting_place(run)
        for pid in [*run.processes("sequencer"), *run.processes("front"), run.process.pid]:
            os.kill(pid, number)
        assert run.process.wait(30) == 0
        assert "Traceback" not in run.said()
        assert not meeting.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_what_a_terminal_says_is_for_the_supervisor(
    directory: Path, keys: Keys, number: signal.Signals
) -> None:
    """It reaches all; a front end that obeyed at once would drop what it is to answer."""
    with serve(directory, 1) as run:
        token, front = run.attest(keys.key), run.processes("front")
        os.kill(front[0], number)
        assert run.post(token).status == 201
        assert run.processes("front") == front


def test_none_outlives_the_supervisor(directory: Path, keys: Keys) -> None:
    """Killed, it takes all with it, and the log can be served again at once."""
    with serve(directory) as run:
        members = [*run.processes("front"), *run.processes("sequencer")]
        host, _, port = run.netloc.partition(":")
        with pytest.raises(OSError, match="in use"):
            reserve(host, int(port))
        token = run.attest(keys.key)
        size = run.post(token).json()["sequence_counter"]
        meeting = _meeting_place(run)
        assert meeting.is_dir() and meeting.stat().st_mode & 0o777 == 0o700
        run.process.kill()
        run.process.wait()
        eventually(lambda: not any(map(alive, members)), "a process is left behind")
        eventually(lambda: not meeting.exists(), "the run's directory is left behind")
    with serve(directory, 1) as run:
        assert run.post(token).json()["sequence_counter"] == size + 1


def test_killed_while_it_starts_it_is_started_again(directory: Path) -> None:
    """Nobody has been served yet; that a process was killed says nothing against the log."""
    run = Run(directory, 1)
    try:
        eventually(lambda: bool(run.processes("sequencer")), "it is not started")
        os.kill(run.processes("sequencer")[0], signal.SIGKILL)
        run.wait_until_ready()
        assert run.said().count("all are started again") == 1
    finally:
        assert run.stop() == 0


def test_what_refuses_to_start_ends_the_run(directory: Path) -> None:
    """Exit codes are those of one process, and nothing is tried twice."""
    store = LogStore.open(directory / "log")
    try:
        run = Run(directory, 1)
        assert run.process.wait(60) == 3
        assert run.said().count("another process is writing") == 1
    finally:
        store.close()
    (directory / "guard").unlink()
    run = Run(directory, 1)
    assert run.process.wait(60) == 1
    assert run.said().count("is missing") == 1


def _meeting_place(run: Run) -> Path:
    words = Path(f"/proc/{run.processes('sequencer')[0]}/cmdline").read_bytes().split(b"\0")
    return Path(os.fsdecode(words[words.index(b"sequencer") + 2]))
