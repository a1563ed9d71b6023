"""Small writes that are no commit: handed to the writer thread, because LMDB has one writer and the log one at a time.

Each is a transaction of its own: what one refuses, the others do not feel. What a failing commit leaves behind is as unknown
here as anywhere, so its error is the writer's end.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from tlog.errors import TlogError, Unavailable
from tlog.store.environment import LogStore

T = TypeVar("T")

MAX_WAITING = 64


class Errands:
    """Any thread adds, the writer thread runs."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Callable[[Any], Any], Future[Any]]] = deque()
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many are to be run."""
        return len(self._waiting)

    def add(self, work: Callable[[Any], T]) -> Future[T]:
        """Have `work(txn)` run in a write transaction; the future has its result once that is durable.

        What `work` raises, of ours, is the future's, and nothing is written. Raises: Unavailable (overloaded, stopping).
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise Unavailable("stopping", "the log is stopping", 2.0)
            if len(self._waiting) >= MAX_WAITING:
                raise Unavailable("overloaded", "too much is waiting to be written", 1.0)
            self._waiting.append((work, future))
        return future

    def run(self) -> None:
        """Run what is waiting. On the writer thread. Raises: lmdb.Error, after which the outcome is unknown."""
        while self._waiting:
            work, future = self._waiting[0]
            # From here on nobody can cancel it: whoever asked may have left, and setting a result must not fail.
            if future.set_running_or_notify_cancel():
                self._run_one(work, future)
            self._waiting.popleft()

    def _run_one(self, work: Callable[[Any], T], future: Future[T]) -> None:
        try:
            with self._store.env.begin(write=True) as txn:
                result = work(txn)
        except TlogError as error:
            future.set_exception(error)
        except BaseException:
            future.set_exception(Unavailable("unknown-outcome", "ask again", 2.0))
            raise
        else:
            future.set_result(result)

    def close(self, error: TlogError) -> None:
        """Take no more; whoever waits is told `error`."""
        with self._lock:
            self._closed = True
        self.refuse(error)

    def refuse(self, error: TlogError) -> None:
        """Whoever waits is told `error`."""
        with self._lock:
            left, self._waiting = self._waiting, deque()
        for _, future in left:
            if not future.done() and future.set_running_or_notify_cancel():
                future.set_exception(error)
