"""A load generator that costs little and lies about nothing.

Raw HTTP/1.1 over asyncio protocols, so that the generator takes less of the two cores than the server. Every body is unique;
only answers with the wanted status count; every hundredth receipt is verified in full after the run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass
class Result:
    """What one run measured. `latencies` are in seconds, one per counted answer."""

    seconds: float = 0.0
    events: int = 0
    refused: int = 0
    latencies: list[float] = field(default_factory=list)
    samples: list[bytes] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds

    def quantile(self, share: float) -> float:
        """Milliseconds below which `share` of the answers came."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Client(asyncio.Protocol):
    """One connection in a closed loop: the next request leaves when the last answer is complete."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._buffer = bytearray()
        self._missing = -1
        self._sent = 0.0
        self._warm = False  # the first answer waits for the server to accept the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        request = self._run.next_request()
        if request is None:
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._missing < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            at = head.index(b"content-length:") + 15
            line = head.find(b"\r\n", at)
            length = int(head[at : line if line > 0 else len(head)])
            self._missing = end + 4 + length
            self._body = end + 4
        if len(self._buffer) < self._missing:
            return
        status = int(self._buffer[9:12])
        if self._warm:
            latency = time.perf_counter() - self._sent
            self._run.answered(status, latency, self._buffer, self._body)
        self._warm = True
        self._buffer.clear()
        self._missing = -1
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self._run.closed()


class Run:
    """A closed-loop run of `clients` connections for `seconds`, each request worth `weight` events."""

    def __init__(
        self,
        make: Callable[[int], bytes],
        *,
        weight: int,
        clients: int,
        seconds: float,
        want: int = 201,
        sample_every: int = 100,
    ) -> None:
        self.result = Result()
        self._make = make
        self._weight = weight
        self._clients = clients
        self._seconds = seconds
        self._want = want
        self._sample_every = sample_every
        self._number = 0
        self._answers = 0
        self._deadline = 0.0
        self._open = clients
        self._done = asyncio.Event()

    def next_request(self) -> bytes | None:
        """The next unique request, None when time is up."""
        if time.perf_counter() >= self._deadline:
            return None
        self._number += 1
        return self._make(self._number)

    def answered(self, status: int, latency: float, buffer: bytearray, body: int) -> None:
        """Count an answer, or not."""
        if status != self._want:
            self.result.refused += 1
            if self.result.refused == 1:
                self.result.samples.insert(0, bytes(buffer[body:]))
            return
        self._answers += 1
        self.result.events += self._weight
        self.result.latencies.append(latency)
        if self._answers % self._sample_every == 1:
            self.result.samples.append(bytes(buffer[body:]))

    def closed(self) -> None:
        """A connection ended."""
        self._open -= 1
        if self._open == 0:
            self._done.set()

    async def go(self, host: str, port: int) -> Result:
        """Run to the end."""
        loop = asyncio.get_running_loop()
        started = time.perf_counter()
        self._deadline = started + self._seconds
        for _ in range(self._clients):
            await loop.create_connection(lambda: _Client(self), host, port)
        await self._done.wait()
        self.result.seconds = time.perf_counter() - started
        return self.result


def post(
    path: str, token: str, body: bytes, host: str, content_type: str = "application/json"
) -> bytes:
    """The bytes of a POST."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def unique(template: bytes, number: int) -> bytes:
    """The fixed event with a number of its own in place of the zeros of `app-000000000000`."""
    return template.replace(b"app-000000000000", b"app-%012d" % number, 1)


def batches(template: bytes, size: int) -> Iterator[bytes]:
    """JSON arrays of `size` unique events."""
    number = 0
    while True:
        events = [unique(template, number + i) for i in range(size)]
        number += size
        yield b"[" + b",".join(events) + b"]"
