"""The server under load: single events and batches over HTTP, closed and open loop, durable answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench import load
from tests.bench.job import Job, Result, post
from tests.bench.machine import fsync_ms
from tests.bench.servers import KINDS, Ours, check_batches, check_growth, check_receipts, event
from tests.faults.process import Server
from tlog.core.note import Verifier

CLIENTS = (1, 16, 64, 256, 1024)
SHARES = (0.25, 0.5, 0.8)  # of the closed loop's rate, for the open one
QUANTILES = ((0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"))
BATCH = 1000
WORKERS = 2


def measure(folder: Path, seconds: float) -> dict[str, Any]:
    """All HTTP figures; `folder` is filled with a log."""
    figures: dict[str, Any] = {}
    with Ours(folder) as server:
        server.start()
        for kind in KINDS:
            for clients in CLIENTS:
                name = f"single {kind}, {clients} clients"
                figures |= single(server, name, kind, clients, seconds)
            figures |= batches(server, f"batch of 1000 {kind}", kind, seconds)
        closed = figures["single lean, 256 clients: events/s"]
        for share in SHARES:
            name = f"open loop, {share:.0%} of the closed loop's rate"
            figures |= single(server, name, "lean", 256, seconds, rate=share * closed)
        figures["server RssAnon: MB"] = server.rss_anon() / 1e6
        server.stop()
    with Ours(folder / "workers", WORKERS) as server:
        server.start()
        for kind in KINDS:
            name = f"batch of 1000 {kind}, --workers {WORKERS}"
            figures |= batches(server, name, kind, seconds)
        server.stop()
    return figures


def single(
    server: Ours, name: str, kind: str, clients: int, seconds: float, *, rate: float = 0.0
) -> dict[str, Any]:
    """Figures of single events, every hundredth receipt verified; `rate` per second makes it an open loop."""
    template = post("/api/v1/events", event(kind), token=server.token)
    job = Job(server.port, [template], clients, seconds, rate=rate)
    return _checked(server, name, job, check_receipts)


def batches(
    server: Ours, name: str, kind: str, seconds: float, *, clients: int = 4
) -> dict[str, Any]:
    """Figures of batches of 1,000 events, every tenth answer verified."""
    body = b"[" + b",".join([event(kind)] * BATCH) + b"]"
    template = post("/api/v1/events/batch", body, token=server.token)
    job = Job(server.port, [template], clients, seconds, weight=BATCH, sample_every=10)
    return _checked(server, name, job, check_batches)


def _checked(
    server: Ours, name: str, job: Job, check: Callable[[Result, Verifier], int]
) -> dict[str, Any]:
    """Figures of a run in which all was answered as it should be, and the log has grown by just that."""
    fsync, before, cpu = fsync_ms(server.folder), server.size(), server.cpu_seconds()
    result = load.run(job)
    cpu = server.cpu_seconds() - cpu
    result.demand_all()
    checked = check(result, server.verifier)
    check_growth(before, server.size(), result.events)
    return report(name, result, fsync, cpu / result.events) | {f"{name}: verified": checked}


def report(name: str, result: Result, fsync: float, cpu: float) -> dict[str, Any]:
    """Rate and latencies of a run, with the disk's fsync latency just before it, and the CPU time that an event took.

    `cpu`: seconds of the server's.
    """
    figures = {f"{name}: events/s": result.rate}
    for share, label in QUANTILES:
        figures[f"{name}: {label} ms"] = result.quantile(share)
    figures[f"{name}: fsync ms"] = fsync
    figures[f"{name}: server µs/event"] = 1e6 * cpu
    figures[f"{name}: generator µs/event"] = 1e6 * result.cpu / result.events
    if len(result.late):
        figures[f"{name}: generator late p99 ms"] = result.lateness(0.99)
    return figures


def singles(
    server: Server, token: str, kind: str, clients: int, seconds: float, *, warm: float = 1.0
) -> Result:
    """Load for other measurements: single events for `seconds`, after `warm` seconds that do not count.

    Raises: RuntimeError when one was refused.
    """
    template = post("/api/v1/events", event(kind), token=token)
    result = load.run(Job(server.port, [template], clients, seconds, warm=warm))
    result.demand_all()
    return result
