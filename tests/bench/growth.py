"""Growth: one stream filled by batches to 10^6 entries, or to what `--leaves` says; what an append, a proof and a start cost.

Rates are compared in turns, each time with a log that has just reached 10^4, because a machine is faster at some times than
at others.
"""

from __future__ import annotations

import random
import statistics
import time
from pathlib import Path
from typing import Any

from tests.bench import load
from tests.bench.http import BATCH
from tests.bench.job import Job, Result, post
from tests.bench.machine import fsync_ms
from tests.bench.servers import Ours, check_batches, check_growth, event
from tests.harness import STREAM, TestLog

SMALL = 10_000
ROUNDS = 3
CLIENTS = 4
SAMPLED = 20  # answers of each fill that are verified


def measure(folder: Path, seconds: float, leaves: int) -> dict[str, Any]:
    """All figures of growth; `folder` is filled with logs, the large one of about 900 bytes an entry."""
    figures: dict[str, Any] = {}
    with Ours(folder / "small") as small, Ours(folder / "large") as large:
        small.start()
        fill(small, SMALL)
        small.stop()
        large.start()
        before, filled = _disk(large), 0
        for size in _steps(leaves):
            figures[f"growth to {size:,}: events/s"] = fill(large, size - filled)
            filled = size
            large.stop()
            with TestLog(large.directory) as log:
                figures[f"proof at {size:,}: µs"] = _proof_us(log)
            figures[f"start at {size:,}: s"] = large.start()
        figures["start at N: s"] = figures[f"start at {leaves:,}: s"]
        figures["after start at N: RssAnon MB"] = large.rss_anon() / 1e6
        large.stop()
        figures |= _proofs(small, large)
        figures["disk in batches: bytes per byte"] = _per_byte(large, before, leaves)
        figures |= _rates(folder, large, seconds)
    return figures


def _steps(leaves: int) -> list[int]:
    """10^4, 10^5 … and `leaves`."""
    found = [SMALL]
    while found[-1] * 10 < leaves:
        found.append(found[-1] * 10)
    return [*found, leaves]


def batch_job(server: Ours, **job: Any) -> Job:
    """Batches of 1,000 lean events by four clients."""
    body = b"[" + b",".join([event("lean")] * BATCH) + b"]"
    template = post("/api/v1/events/batch", body, token=server.token)
    return Job(server.port, [template], CLIENTS, weight=BATCH, **job)


def fill(server: Ours, events: int) -> float:
    """Append so many thousands of events; events per second."""
    count = max(1, events // BATCH)
    every = max(1, count // SAMPLED)
    job = batch_job(server, seconds=3600.0, warm=0.0, count=count, sample_every=every)
    return _run(server, job).rate


def _run(server: Ours, job: Job) -> Result:
    before = server.size()
    result = load.run(job)
    result.demand_all()
    check_batches(result, server.verifier)
    check_growth(before, server.size(), result.events)
    return result


def _rates(folder: Path, large: Ours, seconds: float) -> dict[str, Any]:
    """Append rates of a log of 10^4 and of the large one, in turns."""
    rates: dict[str, list[float]] = {"small": [], "large": []}
    fsyncs = []
    for turn in range(ROUNDS):
        with Ours(folder / f"small-{turn}") as small:
            for side in ("small", "large")[:: 1 if turn % 2 else -1]:
                server = small if side == "small" else large
                server.start()
                if side == "small":
                    fill(small, SMALL)
                fsyncs.append(fsync_ms(folder))
                job = batch_job(server, seconds=seconds, warm=0.5, sample_every=10)
                rates[side].append(_run(server, job).rate)
                rss = server.rss_anon() / 1e6
                server.stop()
                if side == "large":
                    after = rss
    ratios = [big / small for big, small in zip(rates["large"], rates["small"], strict=True)]
    return {
        "append by batch from 10^4: events/s": statistics.median(rates["small"]),
        "append by batch from N: events/s": statistics.median(rates["large"]),
        "append by batch from N: fsync ms": statistics.median(fsyncs),
        "append rate at N / at 10^4: ratio": statistics.median(ratios),
        "after appends at N: RssAnon MB": after,
    }


def _proofs(small: Ours, large: Ours) -> dict[str, Any]:
    """The cost of a proof in both, in turns."""
    costs: tuple[list[float], list[float]] = ([], [])
    with TestLog(small.directory) as one, TestLog(large.directory) as other:
        for _ in range(5):
            for log, found in zip((one, other), costs, strict=True):
                found.append(_proof_us(log, rounds=1))
    ratios = [big / small for small, big in zip(*costs, strict=True)]
    return {"proof at N / at 10^4: ratio": statistics.median(ratios)}


def _proof_us(log: TestLog, rounds: int = 5) -> float:
    """Median microseconds of a checked inclusion proof of a random leaf."""
    reader = log.log.reader
    number = reader.number(STREAM)
    size = log.log.source.view(number).size
    chance = random.Random(1)
    reader.inclusion(number, 0)
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(400):
            reader.inclusion(number, chance.randrange(size))
        found.append((time.perf_counter() - began) / 400)
    return 1e6 * statistics.median(found)


def _disk(server: Ours) -> int:
    return (server.directory / "log" / "data.mdb").stat().st_blocks * 512


def _per_byte(server: Ours, before: int, leaves: int) -> float:
    """Bytes on disk for a byte of entry and sealed payload, by a sample of entries from all over the stream."""
    with TestLog(server.directory) as log:
        reader = log.log.reader
        number = reader.number(STREAM)
        records = [reader.leaf(number, at).record for at in range(1, leaves, leaves // 500)]
        mean = statistics.mean(len(one.entry) + len(one.sealed) for one in records)
    return (_disk(server) - before) / (mean * leaves)
