"""What exactly-once costs: by producer sequence and by Idempotency-Key, against none, in turns on one server."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from tests.bench import load
from tests.bench.http import BATCH
from tests.bench.job import Job, post
from tests.bench.machine import fsync_ms
from tests.bench.servers import Ours, check_batches, check_receipts, event

ROUNDS = 3
CLIENTS = 64
PRODUCER = b',"producer":{"id":"scorer/client-000000","sequence":000000000000}}'
"""Every connection is a producer of its own and counts for itself."""
WAYS = {"none": "", "producer": "producer sequence", "key": "Idempotency-Key"}


def measure(folder: Path, seconds: float) -> dict[str, Any]:
    """Costs of single events and of batches; `folder` is filled with a log."""
    with Ours(folder) as server:
        server.start()
        figures = {"exactly once: fsync ms": fsync_ms(folder)}
        for name, weight in (("singles", 1), ("batches", BATCH)):
            rates, costs = _turns(server, weight, seconds)
            figures[f"{name} without exactly once: events/s"] = statistics.median(rates["none"])
            for way in ("producer", "key"):
                title = f"{name} by {WAYS[way]}: "
                figures[title + "events/s"] = statistics.median(rates[way])
                pairs = zip(rates["none"], rates[way], strict=True)
                figures[title + "cost ratio"] = statistics.median(a / b for a, b in pairs)
                pairs = zip(costs[way], costs["none"], strict=True)
                figures[title + "CPU ratio"] = statistics.median(a / b for a, b in pairs)
        server.stop()
    return figures


def _turns(
    server: Ours, weight: int, seconds: float
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Events per second, and seconds of the server's CPU time per event, of each run."""
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    costs: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(ROUNDS):
        for way in list(WAYS)[:: 1 if turn % 2 else -1]:
            job = _job(server, way, weight, seconds)
            before = server.cpu_seconds()
            result = load.run(job)
            costs[way].append((server.cpu_seconds() - before) / result.events)
            result.demand_all()
            (check_receipts if weight == 1 else check_batches)(result, server.verifier)
            rates[way].append(result.rate)
    return rates, costs


def _job(server: Ours, way: str, weight: int, seconds: float) -> Job:
    body = event("lean")
    if way == "producer":
        body = body[:-1] + PRODUCER
    path, clients, every = "/api/v1/events", CLIENTS, 100
    if weight > 1:
        body = b"[" + b",".join([body] * weight) + b"]"
        path, clients, every = path + "/batch", 4, 10
    headers = {"Idempotency_Key": "app-000000000000"} if way == "key" else {}
    template = post(path, body, token=server.token, **headers)
    return Job(
        server.port, [template], clients, seconds, warm=0.5, weight=weight, sample_every=every
    )
