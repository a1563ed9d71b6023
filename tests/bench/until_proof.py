"""From submitting to a proof that verifies under a signed root, at so many clients.

tlog's answer is the proof; Tessera's is an index, and the proof is made from tiles once a published head covers it. The
head is asked for every 5 ms, by one poller for all clients.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from array import array

import uvloop
from aiohttp import ClientSession, TCPConnector

from tests.bench import load
from tests.bench.job import Job, Result, post, quantile, unique
from tests.bench.servers import Ours, check_receipts, event
from tests.bench.tessera_log import Tessera, Tiles, verify_entry
from tlog.core.checkpoint import Checkpoint
from tlog.core.proofs import inclusion_nodes
from tlog.core.receipt import verify_receipt

POLL_SECONDS = 0.005


def of_ours(server: Ours, clients: int, seconds: float) -> array[int]:
    """Nanoseconds from sending to the whole answer, and what verifying one takes."""
    template = post("/api/v1/events", event("lean"), token=server.token)
    result = load.run(Job(server.port, [template], clients, seconds, sample_every=20))
    result.demand_all()
    check_receipts(result, server.verifier)
    more = _verifying_ns(server, result)
    return array("q", (one + more for one in result.latencies))


def _verifying_ns(server: Ours, result: Result) -> int:
    """Median over the samples, the JSON of the receipt included."""
    times = []
    for _, answer in result.samples:
        began = time.perf_counter_ns()
        verify_receipt(json.loads(answer), server.verifier)
        times.append(time.perf_counter_ns() - began)
    return round(statistics.median(times))


def of_tessera(server: Tessera, clients: int, seconds: float) -> array[int]:
    """Nanoseconds from sending to the verified proof."""
    latencies: array[int] = uvloop.run(_Clients(server, clients, seconds).run())
    return latencies


class _Clients:
    def __init__(self, server: Tessera, clients: int, seconds: float) -> None:
        self._server = server
        self._clients = clients
        self._seconds = seconds
        self._head: Checkpoint | None = None
        self._newer = asyncio.Condition()
        self._tiles: dict[str, asyncio.Task[bytes]] = {}
        self._latencies: array[int] = array("q")

    async def run(self) -> array[int]:
        async with ClientSession(connector=TCPConnector(limit=0)) as session:
            self._session = session
            poller = asyncio.create_task(self._poll())
            self._closes = time.perf_counter() + self._seconds
            submitters = asyncio.gather(*(self._submit() for _ in range(self._clients)))
            try:
                # The poller ends only when something is wrong.
                done, _ = await asyncio.wait({poller, submitters}, return_when="FIRST_COMPLETED")
                for task in done:
                    task.result()
            finally:
                poller.cancel()
                submitters.cancel()
        return self._latencies

    async def _poll(self) -> None:
        while True:
            async with self._session.get(f"{self._server.url}/checkpoint") as answer:
                note = await answer.read()
            if answer.status == 200:
                head = self._server.opened(note)
                if self._head is None or head.size > self._head.size:
                    async with self._newer:
                        self._head = head
                        self._newer.notify_all()
            await asyncio.sleep(POLL_SECONDS)

    async def _submit(self) -> None:
        while time.perf_counter() < self._closes:
            body = unique(event("lean"))
            began = time.perf_counter_ns()
            async with self._session.post(f"{self._server.url}/add", data=body) as answer:
                if answer.status != 200:
                    raise RuntimeError(f"Tessera refused: {answer.status}")
                index = int(await answer.read())
            head = await self._covering(index)
            tiles = Tiles(self._server.url, head.size)
            for path, full in {
                tiles.place(node)[:2] for node in inclusion_nodes(index, head.size).nodes
            }:
                tiles.tiles[path] = await self._tile(path, full)
            verify_entry(body, index, head, tiles)
            self._latencies.append(time.perf_counter_ns() - began)

    async def _covering(self, index: int) -> Checkpoint:
        async with self._newer:
            while self._head is None or self._head.size <= index:
                await self._newer.wait()
            return self._head

    async def _tile(self, path: str, full: str) -> bytes:
        """Fetched once by all clients together."""
        if path not in self._tiles:
            self._tiles[path] = asyncio.create_task(self._fetch(path, full))
        return await self._tiles[path]

    async def _fetch(self, path: str, full: str) -> bytes:
        for one in (path, full):
            async with self._session.get(f"{self._server.url}/{one}") as answer:
                if answer.status == 200:
                    return await answer.read()
        raise RuntimeError(f"Tessera does not serve {path}")


def quantiles(latencies: array[int]) -> dict[str, float]:
    """Milliseconds by name."""
    shares = {"p50 ms": 0.5, "p99 ms": 0.99}
    return {name: quantile(latencies, share) / 1e6 for name, share in shares.items()}
