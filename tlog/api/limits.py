"""How often, how much, how many: token buckets per API key, streams per tenant, verifications at once."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from tlog.errors import Refused, Unavailable

_BUCKETS = 100_000


class Allowance(Protocol):
    """What each key may take in a time."""

    def take(self, key: str, amount: float) -> None:
        """Take `amount` or raise Unavailable (rate-limited) with the seconds to wait."""
        ...


def taken(level: float, seconds: float, amount: float, rate: float, capacity: float) -> float:
    """The level of a bucket once `amount` is taken, `seconds` after it was `level`. HOT.

    An amount above the capacity is let through once the bucket is full, and paid for afterwards.
    Raises: Unavailable (rate-limited) with the seconds to wait.
    """
    level = min(capacity, level + seconds * rate)
    needed = min(amount, capacity)
    if level < needed:
        raise Unavailable("rate-limited", "too many requests", (needed - level) / rate)
    return level - amount


class Buckets:
    """Token buckets of one process: `rate` per second, `burst` seconds' worth at once."""

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._capacity = max(1.0, rate * burst)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, amount: float) -> None:
        """Take `amount` or raise Unavailable (rate-limited) with the seconds to wait. HOT."""
        now = self._clock()
        level, then = self._buckets.get(key, (self._capacity, now))
        left = taken(level, now - then, amount, self._rate, self._capacity)
        self._buckets[key] = (left, now)
        if len(self._buckets) > _BUCKETS:
            self._buckets.popitem(last=False)


def neighbourhood(address: str | None) -> str:
    """Who counts as one by an IP address: that of IPv4, the /64 of IPv6, of which anybody has as many as he likes.

    "" for what is none, such as the peer of a Unix socket.
    """
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))


class StreamQuota:
    """Streams per tenant. `count` tells how many one has."""

    def __init__(self, count: Callable[[str], int], limit: int) -> None:
        self._count = count
        self._limit = limit

    def check(self, tenant: str, new: int, pointer: str) -> None:
        """Raises: Refused (too-many-streams) when the tenant may not open `new` more."""
        if self._count(tenant) + new > self._limit:
            raise Refused(
                "too-many-streams", f"a tenant has at most {self._limit} streams", pointer
            )


class Turnstile:
    """Long work of one process: one at a time, a few waiting, the rest told to come back."""

    def __init__(self, waiting: int) -> None:
        self._one = asyncio.Semaphore(1)
        self._free = waiting + 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn. Raises: Unavailable (busy)."""
        if not self._free:
            raise Unavailable("busy", "others are waiting for long work already", 5.0)
        self._free -= 1
        try:
            async with self._one:
                yield
        finally:
            self._free += 1


class Slices:
    """Lets other requests have their turn during long work on the event loop."""

    def __init__(self, seconds: float = 0.002) -> None:
        self._seconds = seconds
        self._since = time.monotonic()

    async def breathe(self) -> None:
        """Give way if the current slice is over."""
        if time.monotonic() - self._since >= self._seconds:
            await asyncio.sleep(0)
            self._since = time.monotonic()
