"""Processes that die, by accident and in order: nothing acknowledged is lost, nothing is doubled, nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.faults.audit import audit
from tests.faults.process import Promise, Submitter
from tests.workers.site import Keys, Run, alive, eventually, serve
from tlog.store.environment import LogStore

pytestmark = pytest.mark.e2e

PRODUCERS = 6


async def under_load(
    run: Run, keys: Keys, act: Callable[[list[Promise]], Awaitable[None]]
) -> tuple[list[Promise], int]:
    """What was acknowledged while `act` ran, and how many requests had to be repeated."""
    promises: list[Promise] = []
    stop = asyncio.Event()
    submitters = [Submitter(run.url, keys.key, f"p{n}", promises) for n in range(PRODUCERS)]
    tasks = [asyncio.create_task(one.run(stop)) for one in submitters]
    acting = asyncio.create_task(act(promises))
    await asyncio.wait((acting, *tasks), return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await asyncio.gather(acting, *tasks)
    return promises, sum(one.repeated for one in submitters)


async def more(promises: list[Promise], count: int = 30) -> None:
    """Wait until more is acknowledged."""
    wanted = len(promises) + count
    await asyncio.to_thread(eventually, lambda: len(promises) >= wanted, "nothing is acknowledged")


@pytest.mark.slow
async def test_a_killed_front_end_comes_back(directory: Path, keys: Keys) -> None:
    """The other one goes on meanwhile, and every promise is kept."""
    with serve(directory) as run:

        async def kill(promises: list[Promise]) -> None:
            await more(promises)
            victim = run.processes("front")[0]
            os.kill(victim, signal.SIGKILL)
            await asyncio.to_thread(eventually, lambda: not alive(victim), "it lives")
            await more(promises)
            await asyncio.to_thread(
                eventually, lambda: len(run.processes("front")) == 2, "no second front end"
            )
            await more(promises)

        promises, _ = await under_load(run, keys, kill)
        eventually(
            lambda: run.call("GET", "/api/v1/health").json()["workers_alive"] == 2,
            "the new front end is not counted",
        )
        assert run.stop() == 0
    assert audit(directory, promises) == 1 + len(promises)


@pytest.mark.slow
async def test_a_killed_sequencer_comes_back(directory: Path, keys: Keys) -> None:
    """With new front ends; what has no known outcome is repeated and stands there once."""
    with serve(directory) as run:

        async def kill(promises: list[Promise]) -> None:
            chance = random.Random(5)
            for _ in range(2):
                await more(promises)
                old = {*run.processes("front"), *run.processes("sequencer")}
                await asyncio.sleep(chance.uniform(0, 0.1))
                os.kill(run.processes("sequencer")[0], signal.SIGKILL)
                await more(promises)
                assert not any(map(alive, old)), "a process of before takes part"

        promises, repeated = await under_load(run, keys, kill)
        assert repeated
        assert run.stop() == 0
    assert audit(directory, promises) == 1 + len(promises)


async def test_all_end_on_sigterm(directory: Path, keys: Keys) -> None:
    """In order, with exit code 0; what was acknowledged until then is there."""
    with serve(directory) as run:
        members = [run.process.pid, *run.processes("front"), *run.processes("sequencer")]
        assert len(members) == 4

        async def stop(promises: list[Promise]) -> None:
            await more(promises)
            run.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(run.process.wait, 30) == 0

        promises: list[Promise] = []
        submitter = Submitter(run.url, keys.key, "p", promises)
        task = asyncio.create_task(submitter.run(asyncio.Event()))
        await stop(promises)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not any(map(alive, members))
    assert "Traceback" not in run.said()
    assert audit(directory, promises) >= 1 + len(promises)


def test_none_outlives_the_supervisor(directory: Path, keys: Keys) -> None:
    """Killed, it takes all with it, and the log can be served again at once."""
    with serve(directory) as run:
        members = [*run.processes("front"), *run.processes("sequencer")]
        token = run.attest(keys.key)
        size = run.post(token).json()["sequence_counter"]
        meeting = _meeting_place(run)
        assert meeting.is_dir()
        run.process.kill()
        run.process.wait()
        eventually(lambda: not any(map(alive, members)), "a process is left behind")
        eventually(lambda: not meeting.exists(), "the run's directory is left behind")
        with serve(directory, 1) as again:
            assert again.post(token).json()["sequence_counter"] == size + 1
            assert again.stop() == 0


def test_a_group_that_is_told_to_stop_at_once(directory: Path, keys: Keys) -> None:
    """SIGTERM to every process, as service managers send it: the same orderly end."""
    with serve(directory) as run:
        run.post(run.attest(keys.key))
        for pid in [*run.processes("sequencer"), *run.processes("front"), run.process.pid]:
            os.kill(pid, signal.SIGTERM)
        assert run.process.wait(30) == 0
        assert "Traceback" not in run.said()


def test_what_refuses_to_start_ends_the_run(directory: Path) -> None:
    """Exit codes are those of one process, and nothing is tried twice."""
    store = LogStore.open(directory / "log")
    try:
        run = Run(directory)
        assert run.process.wait(60) == 3
        assert "another process is writing" in run.said()
    finally:
        store.close()
    (directory / "guard").rename(directory / "guard.away")
    run = Run(directory)
    assert run.process.wait(60) == 1
    assert "guard" in run.said() and run.said().count("is missing") == 1
    (directory / "guard.away").rename(directory / "guard")
    with (directory / "tlog.toml").open("a") as settings:
        settings.write("unheard_of = 1\n")
    run = Run(directory)
    assert run.process.wait(60) == 2


def test_an_address_that_is_taken(directory: Path, keys: Keys) -> None:
    """Two logs never share a port: half of the clients would write to the wrong one."""
    from tlog.addresses import reserve

    with serve(directory, 1) as run:
        host, _, port = run.netloc.partition(":")
        with pytest.raises(OSError, match="in use"):
            reserve(host, int(port))
        began = time.monotonic()
        assert run.stop() == 0
        assert time.monotonic() - began < 30


def _meeting_place(run: Run) -> Path:
    words = Path(f"/proc/{run.processes('sequencer')[0]}/cmdline").read_bytes().split(b"\0")
    return Path(os.fsdecode(words[words.index(b"sequencer") + 2]))
