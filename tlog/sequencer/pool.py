"""What waits for the next commit: bounded, in order, taken in portions that one transaction can bear."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tlog.errors import Unavailable
from tlog.sequencer.batch import Batch

MAX_EVENTS_PER_COMMIT = 10_000
MAX_BYTES_PER_COMMIT = 64 << 20


class Limits(NamedTuple):
    """Back-pressure: what would wait beyond `waiting` events or `waiting_bytes` is refused.

    Below `free_bytes` of free disk the log only reads.
    """

    waiting: int = 20_000
    waiting_bytes: int = 256 << 20
    free_bytes: int = 256 << 20


def disk_full() -> Unavailable:
    """What is said below `free_bytes`."""
    return Unavailable("disk-full", "the log is read-only: its disk is nearly full", 30.0)


class Pool:
    """Any thread adds, the writer thread takes. Every field is guarded by `_wake`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._wake = threading.Condition()
        self._batches: deque[Batch] = deque()
        self._bytes = 0
        self.events = 0
        self.closed = False

    def add(self, batches: Sequence[Batch]) -> None:
        """Take in batches that go into the same commit if they fit: all or none.

        Raises: Unavailable (stopping, overloaded).
        """
        events = size = 0
        for batch in batches:
            events += len(batch.events)
            size += batch.size
        with self._wake:
            if self.closed:
                raise Unavailable("stopping", "the log is stopping; retry with the same key", 2.0)
            if self._batches and (
                self.events + events > self._limits.waiting
                or self._bytes + size > self._limits.waiting_bytes
            ):
                raise Unavailable("overloaded", "too many events are waiting to be committed", 1.0)
            idle = not self._batches
            self._batches.extend(batches)
            self.events += events
            self._bytes += size
            if idle:
                self._wake.notify()

    def take(self, due: Callable[[], float]) -> list[Batch] | None:
        """What is waiting, at most one commit's worth; [] after `due()` seconds; None when closed and empty."""
        with self._wake:
            while not self._batches:
                if self.closed:
                    return None
                seconds = due()
                if seconds <= 0:
                    return []
                self._wake.wait(seconds)
            taken: list[Batch] = []
            events = size = 0
            while self._batches:
                batch = self._batches[0]
                events += len(batch.events)
                size += batch.size
                if taken and (events > MAX_EVENTS_PER_COMMIT or size > MAX_BYTES_PER_COMMIT):
                    break
                taken.append(self._batches.popleft())
                self.events -= len(batch.events)
                self._bytes -= batch.size
            return taken

    def wake(self) -> None:
        """Have `take` ask again what is due."""
        with self._wake:
            self._wake.notify()

    def close(self) -> None:
        """Refuse what comes from now on; what waits can still be taken."""
        with self._wake:
            self.closed = True
            self._wake.notify()

    def drain(self) -> list[Batch]:
        """Close, and hand back what will not be committed."""
        with self._wake:
            self.closed = True
            left = list(self._batches)
            self._batches.clear()
            self.events = self._bytes = 0
            return left
