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
async def test_kills_under_load(tmp_path: Path) -> None:
    """Kill, restart, retry, `KILLS` times; then compare the store with every receipt that was given."""
    key = prepared_log(tmp_path / "log")
    promises: list[Promise] = []
    with Server(tmp_path / "log", free_port(), publish_interval=0.2) as server:
        submitters = [Submitter(server.url, key, f"p{n}", promises) for n in range(PRODUCERS)]
        slowest = await _hammer(server, submitters, promises)

    size = audit(tmp_path / "log", promises)
    repeated = sum(one.repeated for one in submitters)
    # Each producer stopped only once its last sequence was acknowledged.
    assert size == 1 + len(promises)
    assert repeated > 0
    print(
        f"\n{KILLS} kills: {len(promises)} acknowledged, {repeated} requests repeated, "
        f"0 lost, 0 doubled, slowest start {slowest:.1f} s"
    )


async def _hammer(server: Server, submitters: list[Submitter], promises: list[Promise]) -> float:
    """Kill and restart `KILLS` times under load, then stop cleanly; seconds of the slowest start."""
    stop = asyncio.Event()
    chance = random.Random(20261122)
    slowest = server.start()
    tasks = [asyncio.create_task(one.run(stop)) for one in submitters]
    for _ in range(KILLS):
        # Long enough after the start for traffic, at no particular point of a commit.
        acknowledged = len(promises)
        while len(promises) == acknowledged:
            await asyncio.sleep(0.01)
            _raise_failed(tasks)
        await asyncio.sleep(chance.uniform(0.0, 0.5))
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        slowest = max(slowest, await asyncio.to_thread(server.start))
    stop.set()
    await asyncio.gather(*tasks)
    assert server.stop() == 0
    return slowest


def _raise_failed(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done():
            task.result()
            raise AssertionError("a submitter ended early")
