"""SIGKILL at random moments under load: nothing acknowledged is lost, nothing is doubled, every head is extended.

`make faults` kills 200 times; `make test` runs a short version. KILLS sets the number.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from tests.faults.audit import audit
from tests.faults.process import Promise, Server, Submitter, free_port, prepared_log

KILLS = int(os.environ.get("KILLS", "20"))
PRODUCERS = 8


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("workers", [None, 2])
async def test_kills_under_load(tmp_path: Path, workers: int | None) -> None:
    """Kill, restart, retry, `KILLS` times; then compare the store with every receipt that was given.

    With several processes a start takes several times as long, so that there are fewer kills: of the supervisor, of the process
    that commits, and of a front end, in turn.
    """
    key = prepared_log(tmp_path / "log")
    promises: list[Promise] = []
    with Server(tmp_path / "log", free_port(), workers, publish_interval=0.2) as server:
        submitters = [Submitter(server.url, key, f"p{n}", promises) for n in range(PRODUCERS)]
        kills = KILLS if workers is None else max(3, KILLS // 5)
        slowest = await _hammer(server, submitters, promises, kills, alone=workers is None)

    size = audit(tmp_path / "log", promises)
    repeated = sum(one.repeated for one in submitters)
    # Each producer stopped only once its last sequence was acknowledged.
    assert size == 1 + len(promises)
    assert repeated > 0
    print(
        f"\n{kills} kills: {len(promises)} acknowledged, {repeated} requests repeated, "
        f"0 lost, 0 doubled, slowest start {slowest:.1f} s"
    )


async def _hammer(
    server: Server,
    submitters: list[Submitter],
    promises: list[Promise],
    kills: int,
    *,
    alone: bool,
) -> float:
    """Kill and restart so many times under load, then stop cleanly; seconds of the slowest start."""
    stop = asyncio.Event()
    chance = random.Random(20261122)
    slowest = server.start()
    tasks = [asyncio.create_task(one.run(stop)) for one in submitters]
    for kill in range(kills):
        # Long enough after the start for traffic, at no particular point of a commit.
        acknowledged = len(promises)
        while len(promises) == acknowledged:
            await asyncio.sleep(0.01)
            _raise_failed(tasks)
            assert server.running, server.log()[-2000:]
        await asyncio.sleep(chance.uniform(0.0, 0.5))
        if alone or kill % 3 == 0:
            assert server.stop(signal.SIGKILL) == -signal.SIGKILL
            slowest = max(slowest, await asyncio.to_thread(server.start))
        elif members := server.members("sequencer" if kill % 3 == 1 else "front"):
            os.kill(members[0], signal.SIGKILL)
    stop.set()
    await asyncio.gather(*tasks)
    assert server.stop() == 0
    return slowest


def _raise_failed(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done():
            task.result()
            raise AssertionError("a submitter ended early")
