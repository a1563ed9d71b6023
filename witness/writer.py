"""The writer thread: group commit without a timer. A transaction starts when the last one ended, with all that waits.

So a witness of many logs pays one disk sync for all that arrived meanwhile, and the event loop never waits for a disk.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable

from tlog.core.add_checkpoint import AddCheckpoint
from tlog.errors import Unavailable
from witness.cosigner import Answer, Cosigner
from witness.store import Store

logger = logging.getLogger(__name__)

MAX_BATCH = 500
_DISK_LOOK_SECONDS = 1.0

Waiting = tuple[AddCheckpoint, "asyncio.Future[Answer]"]


class Writer:
    """One thread that owns `Cosigner.cosign`. `submit` on the event loop that made it; `stop` from any thread."""

    def __init__(
        self,
        cosigner: Cosigner,
        store: Store,
        *,
        max_waiting: int,
        min_free_disk: int,
        fatal: Callable[[BaseException], None],
        committed: Callable[[int, float], None] = lambda requests, seconds: None,
    ) -> None:
        """`fatal` is called on the writer thread when it failed; `committed` after each batch, likewise."""
        self._cosigner = cosigner
        self._store = store
        self._max_waiting = max_waiting
        self._min_free_disk = min_free_disk
        self._fatal = fatal
        self._committed = committed
        self._loop = asyncio.get_running_loop()
        # What follows is guarded by `_changed`.
        self._changed = threading.Condition()
        self._waiting: list[Waiting] = []
        self._stopping = False
        self.failed: BaseException | None = None
        self._disk_looked = 0.0
        self._disk_full = False
        self._thread = threading.Thread(target=self._run, name="witness-writer", daemon=True)

    def start(self) -> None:
        """Begin to cosign."""
        self._thread.start()

    def stop(self) -> None:
        """Cosign what is waiting, then end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def waiting(self) -> int:
        """Requests that wait for the disk."""
        return len(self._waiting)

    @property
    def disk_full(self) -> bool:
        """Whether less room is left than the settings want; looked at once a second."""
        now = time.monotonic()
        if now - self._disk_looked >= _DISK_LOOK_SECONDS:
            self._disk_looked = now
            self._disk_full = self._store.disk_free() < self._min_free_disk
        return self._disk_full

    def submit(self, request: AddCheckpoint) -> asyncio.Future[Answer]:
        """Hand a request over. Raises: Unavailable (overloaded, disk-full, stopping), and then nothing is kept of it."""
        if self.disk_full:
            raise Unavailable("disk-full", "the disk of this witness is nearly full", 30.0)
        future: asyncio.Future[Answer] = self._loop.create_future()
        with self._changed:
            if self._stopping or self.failed is not None:
                raise Unavailable("stopping", "this witness is stopping", 2.0)
            if len(self._waiting) >= self._max_waiting:
                raise Unavailable("overloaded", "too many checkpoints are waiting")
            self._waiting.append((request, future))
            self._changed.notify()
        return future

    def _run(self) -> None:
        taken: list[Waiting] = []
        try:
            while taken := self._take():
                began = time.monotonic()
                answers = self._cosigner.cosign([request for request, _ in taken])
                self._committed(len(taken), time.monotonic() - began)
                done = [future for _, future in taken]
                self._loop.call_soon_threadsafe(_deliver, done, answers)
        except BaseException as error:
            # Unknown outcome (see cosigner.py): no signature leaves, then the process must end.
            logger.critical("the writer failed; the process must stop", exc_info=error)
            with self._changed:
                self.failed = error
                taken, self._waiting = taken + self._waiting, []
            self._loop.call_soon_threadsafe(_fail, [future for _, future in taken])
            self._fatal(error)

    def _take(self) -> list[Waiting]:
        """All that waits, at least one; none when the thread shall end."""
        with self._changed:
            while not self._waiting and not self._stopping:
                self._changed.wait()
            taken, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        return taken


def _deliver(futures: list[asyncio.Future[Answer]], answers: list[Answer]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if not future.done():  # a client that left has cancelled its own
            future.set_result(answer)


def _fail(futures: list[asyncio.Future[Answer]]) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(Unavailable("unknown-outcome", "this witness is stopping", 2.0))
