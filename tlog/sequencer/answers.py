"""Carries answers from the writer thread to an event loop: one wake-up for a whole commit, not one per request."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from tlog.errors import TlogError
from tlog.sequencer.batch import Outcome

Answer = tuple["asyncio.Future[Outcome]", "Outcome | TlogError"]


class Answers:
    """The way back to one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._lock = threading.Lock()
        self._ready: deque[Answer] = deque()  # guarded by _lock, with _scheduled
        self._scheduled = False

    def put(self, future: asyncio.Future[Outcome], answer: Outcome | TlogError) -> None:
        """Resolve `future` soon. Called on the writer thread; a loop that is gone is no fault."""
        with self._lock:
            self._ready.append((future, answer))
            if self._scheduled:
                return
            self._scheduled = True
        try:
            self.loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            # The loop was closed: its clients are gone, the entries are recorded all the same.
            return

    def _deliver(self) -> None:
        with self._lock:
            ready, self._ready = self._ready, deque()
            self._scheduled = False
        for future, answer in ready:
            if future.done():
                continue
            if isinstance(answer, TlogError):
                future.set_exception(answer)
            else:
                future.set_result(answer)
