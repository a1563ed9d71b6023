"""The SDK: 256 concurrent calls of `ingest` in one client process, every receipt verified before it is returned."""

from __future__ import annotations

import asyncio
import json
import time
from array import array
from pathlib import Path
from typing import Any

from tests.bench.http import QUANTILES
from tests.bench.job import quantile
from tests.bench.machine import fsync_ms
from tests.bench.servers import Ours, check_growth, event
from tests.faults.process import CODE_HASH
from tlog.client import AuditClient

CALLS = 256
WARM = 1.0


def measure(folder: Path, seconds: float) -> dict[str, Any]:
    """Events per second and latencies; `folder` is filled with a log."""
    with Ours(folder) as server:
        server.start()
        fsync = fsync_ms(folder)
        cpu, own = server.cpu_seconds(), time.process_time()
        calls = _Calls(seconds)
        asyncio.run(calls.run(server))
        cpu, own = server.cpu_seconds() - cpu, time.process_time() - own
        check_growth(0, server.size(), calls.returned)
        server.stop()
    name = f"SDK, {CALLS} concurrent ingest"
    figures = {f"{name}: events/s": calls.counted / seconds}
    for share, label in QUANTILES:
        figures[f"{name}: {label} ms"] = quantile(calls.latencies, share) / 1e6
    figures[f"{name}: fsync ms"] = fsync
    figures[f"{name}: server µs/event"] = 1e6 * cpu / calls.returned
    figures[f"{name}: client µs/event"] = 1e6 * own / calls.returned
    return figures


class _Calls:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._number = 0
        self.counted = 0  # returned within the window
        self.returned = 0
        self.latencies: array[int] = array("q")

    async def run(self, server: Ours) -> None:
        async with AuditClient(
            base_url=server.url,
            tenant_id="acme",
            agent_id="scorer",
            agent_code_hash=CODE_HASH,
            api_key=server.api_key,
            vkey=server.verifier.vkey,
            state_dir=server.folder / "sdk",
        ) as client:
            self._opens = time.perf_counter_ns() + round(1e9 * WARM)
            self._closes = self._opens + round(1e9 * self._seconds)
            await asyncio.gather(*(self._one(client) for _ in range(CALLS)))

    async def _one(self, client: AuditClient) -> None:
        template = json.loads(event("lean"))
        payload = template.pop("payload")
        while (began := time.perf_counter_ns()) < self._closes:
            self._number += 1
            mine = {**payload, "applicant_id": f"app-{self._number:012d}"}
            await client.ingest(**template, payload=mine)
            ended = time.perf_counter_ns()
            self.returned += 1
            self.counted += self._opens <= ended < self._closes
            if began >= self._opens:
                self.latencies.append(ended - began)
