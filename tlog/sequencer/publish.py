"""What the writer thread writes besides commits: the published roots, and the cosignatures that come in for them.

A published root is written once, under the log's signature alone, before anybody is told of it: proofs will name it for ever.
Its cosignatures arrive later, from other threads, and replace the note by the same note with more lines. What is lost by a
crash in between is cosignatures, which the witness gives again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from tlog.core.checkpoint import Checkpoint
from tlog.sequencer.streams import StreamView
from tlog.store import layout
from tlog.store.environment import LogStore
from tlog.store.layout import StreamRow

# Cosignatures come in when each witness pleases; one transaction for those of this many seconds.
KEEP_SECONDS = 0.1


class Head(NamedTuple):
    """The newest signed root, as everyone may see it. `note` is the signed checkpoint."""

    commit: int
    ms: int
    root: Checkpoint
    note: bytes


class Audience(Protocol):
    """Who is told, on the writer thread, after it is durable."""

    def published(self, head: Head) -> None: ...
    def kept(self, notes: Mapping[int, bytes]) -> None: ...


class Watcher(Protocol):
    """Who is told of each commit on the writer thread, once everybody may see it and before anybody is answered."""

    def committed(
        self,
        head: Head,
        opened: Sequence[tuple[int, StreamRow]],
        grown: Mapping[int, tuple[StreamView, int]],
    ) -> None:
        """`opened`: new streams by number. `grown`: of each tree that grew, the root log's too, picture and new leaves."""


class Publisher:
    """Publishes the newest root when it is due. `keep` is for any thread, all else for the writer's."""

    def __init__(self, store: LogStore, every: tuple[float, float]) -> None:
        self._store = store
        self._every, self._idle = every
        self._published_at = -self._idle
        self._kept_at = 0.0
        self._not_before = 0.0
        self._lock = threading.Lock()
        self._notes: dict[int, bytes] = {}  # root size -> cosigned note; guarded by _lock
        self.audience: Audience | None = None
        self.published: Head | None = None  # the newest root that is public

    def keep(self, size: int, note: bytes) -> None:
        """Store the note of a published root with more cosignatures, soon."""
        with self._lock:
            self._notes[size] = note

    def due(self, head: Head) -> float:
        """Seconds until `work` has something to do."""
        at = self._publication_at(head)
        if self._notes:
            at = min(at, self._kept_at + KEEP_SECONDS)
        return max(at, self._not_before) - time.monotonic()

    def postpone(self, seconds: float) -> None:
        """Have nothing to do for so long: nothing can be written now."""
        self._not_before = time.monotonic() + seconds

    def work(self, head: Head, *, stopping: bool = False) -> None:
        """Publish `head` if that is due, and store what is to be kept, in one transaction."""
        now = time.monotonic()
        publish = not stopping and self._publication_at(head) <= now
        with self._lock:
            notes, self._notes = self._notes, {}
        if publish or notes:
            with self._store.env.begin(write=True) as txn:
                db = self._store.db["published"]
                if publish:
                    # Published again when idle, it may have cosignatures already.
                    txn.put(layout.u64(head.root.size), head.note, db=db, overwrite=False)
                for size, note in notes.items():
                    txn.put(layout.u64(size), note, db=db)
        if publish:
            self.published = head
            self._published_at = now
        if notes:
            self._kept_at = now
        if self.audience is not None:
            if notes:
                self.audience.kept(notes)
            if publish:
                self.audience.published(head)

    def _publication_at(self, head: Head) -> float:
        changed = self.published is None or head.root.size > self.published.root.size
        return self._published_at + (self._every if changed else self._idle)
