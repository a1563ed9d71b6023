"""The load generator for machines without Go: the same jobs, over asyncio. It takes more of the cores than the other one.

Like that one it is one thread, counts only the wanted status, and in an open loop begins a latency when the request was due.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque

from tests.bench.job import NUMBERS, Job, Result, Template

LONGEST_PAUSE = 0.2


def run(job: Job) -> Result:
    """Run a job to its end. Raises: OSError when the server does not take connections."""
    before = time.process_time()
    result: Result = asyncio.run(_Run(job).go())
    result.cpu = time.process_time() - before
    return result


class _Client(asyncio.Protocol):
    """One keep-alive connection, with one request under way at most."""

    def __init__(self, run: _Run, number: int) -> None:
        self._run = run
        self.number = number
        self.sequences = itertools.count(1)
        self.busy = False
        self.due = 0.0
        self.free = 0.0
        self.request = b""
        self._buffer = bytearray()
        self._end = 0
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._buffer.clear()
        self._end = 0
        self._closing = False

    def send(self, request: bytes, due: float) -> None:
        self.busy, self.due, self.request = True, due, request
        self._buffer.clear()
        self._end = 0
        self.transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._end and not self._head():
            return
        if len(self._buffer) < self._end:
            return
        if not self.busy or len(self._buffer) > self._end:
            self.transport.abort()  # type: ignore[attr-defined]
            return
        if self._closing:
            self.transport.close()
        self._run.answered(self, int(self._buffer[9:12]), self._buffer, self._body)

    def _head(self) -> bool:
        size = self._buffer.find(b"\r\n\r\n")
        if size < 0:
            return False
        head = bytes(self._buffer[: size + 2]).lower()
        at = head.find(b"content-length:")
        if at < 0 or not head.startswith(b"http/1.1 "):
            self.transport.abort()  # type: ignore[attr-defined]
            return False
        self._closing = b"\r\nconnection: close\r\n" in head
        self._body = size + 4
        self._end = self._body + int(head[at + 15 : head.index(b"\r\n", at)])
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self._run.lost(self)


class _Run:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._result = Result("python", job.weight)
        self._templates = [Template(text) for text in job.templates]
        self._numbers = itertools.count(NUMBERS.first)
        self._opens = job.warm
        self._closes = job.warm + job.seconds
        self._due_total = 0
        self._free: deque[_Client] = deque()
        self._clients: list[_Client] = []
        self._ended = False
        self._wake = asyncio.Event()
        self._opening: set[asyncio.Task[None]] = set()
        self._last = 0.0
        self._fault: OSError | None = None

    async def go(self) -> Result:
        first = NUMBERS.clients(self._job.clients)
        for number in range(first, first + self._job.clients):
            client = _Client(self, number)
            await self._open(client)
            self._clients.append(client)
        self._start = time.perf_counter()
        await self._loop()
        self._finish()
        self._ended = True
        await asyncio.gather(*self._opening, return_exceptions=True)
        for client in self._clients:
            client.transport.abort()  # type: ignore[attr-defined]
        return self._result

    async def _loop(self) -> None:
        while self._fault is None:
            pause = self._send_due()
            now = self._now()
            if now > self._closes + self._job.grace:
                return
            if pause < 0 and not any(client.busy for client in self._clients):
                return
            self._wake.clear()
            try:
                wait = LONGEST_PAUSE if pause < 0 else min(pause, LONGEST_PAUSE)
                await asyncio.wait_for(self._wake.wait(), wait)
            except asyncio.TimeoutError:
                pass
        raise self._fault

    def _now(self) -> float:
        return time.perf_counter() - self._start

    def _send_due(self) -> float:
        """Send what is due; seconds until the next request is, -1 when none will be."""
        job = self._job
        while True:
            now = self._now()
            due = self._due_total / job.rate if job.rate else now
            if due >= self._closes or (job.count and self._due_total >= job.count):
                return -1.0
            if due > now:
                return due - now
            if not self._free:
                return LONGEST_PAUSE
            client = self._free.popleft()
            template = self._templates[self._due_total % len(self._templates)]
            self._due_total += 1
            self._result.sent += 1
            request = template.request(self._numbers, client.number, client.sequences)
            if job.rate and client.free <= due and due >= self._opens:
                self._result.late.append(round(1e9 * (self._now() - due)))
            client.send(request, due if job.rate else self._now())

    def answered(self, client: _Client, status: int, buffer: bytearray, body: int) -> None:
        result, now = self._result, self._now()
        self._last = now
        client.busy, client.free = False, now
        if not client.transport.is_closing():  # type: ignore[attr-defined]
            self._free.append(client)
        result.statuses[status] = result.statuses.get(status, 0) + 1
        if status == self._job.want:
            result.answered += 1
            result.completed += self._share(client.due, now)
            if client.due >= self._opens:
                result.latencies.append(round(1e9 * (now - client.due)))
                every = self._job.sample_every
                if len(result.latencies) % every == 1 % every:
                    result.samples.append((client.request, bytes(buffer[body:])))
        elif not result.refusal:
            result.refusal = bytes(buffer[:2000]).decode(errors="replace")
        # In a closed loop nothing else is to be waited for.
        if self._job.rate or self._send_due() < 0:
            self._wake.set()

    def _share(self, due: float, now: float) -> float:
        """How much of an answer counts for the window: see `Job`."""
        if self._job.rate or now <= due:
            return float(self._opens <= now < self._closes)
        return max(0.0, min(now, self._closes) - max(due, self._opens)) / (now - due)

    def lost(self, client: _Client) -> None:
        """A connection ended: count what was under way, and open it again."""
        if self._ended:
            return
        if client.busy:
            client.busy = False
            self._result.broken += 1
        elif client in self._free:
            self._free.remove(client)
        task = asyncio.get_running_loop().create_task(self._open(client))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, client: _Client) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: client, "127.0.0.1", self._job.port)
        except OSError as error:
            self._fault = error
            if not hasattr(self, "_start"):
                raise
        self._free.append(client)
        self._wake.set()

    def _finish(self) -> None:
        """Count what got no answer, by the least that its latency can be."""
        job, result, end = self._job, self._result, self._now()
        waiting = [client.due for client in self._clients if client.busy]
        while job.rate and (not job.count or self._due_total < job.count):
            due = self._due_total / job.rate
            if due >= self._closes:
                break
            self._due_total += 1
            waiting.append(due)
        for due in waiting:
            if due >= self._opens:
                result.unanswered += 1
                result.latencies.append(round(1e9 * (end - due)))
        result.seconds = job.seconds
        if job.count and self._last < self._closes:
            result.seconds = self._last - self._opens
        NUMBERS.first = next(self._numbers)
