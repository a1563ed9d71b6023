"""Group commit without a timer: a commit starts when the last one ended, with all that arrived meanwhile.

One thread does everything that writes. It owns the states, the store's write transactions and the guard. Other threads
hand it batches, and read `head` and `States.view`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from tlog.core.checkpoint import Checkpoint
from tlog.errors import TlogError, Unavailable
from tlog.sequencer.admit import Admission, Admitted, Same
from tlog.sequencer.batch import Batch, Committed, Outcome, Prepared, Replayed
from tlog.sequencer.commit import sign_commit, write_commit
from tlog.sequencer.errands import Errands
from tlog.sequencer.guard import Guard
from tlog.sequencer.integrate import Draft, outcome_of, place_batch
from tlog.sequencer.pool import Limits, Pool, disk_full
from tlog.sequencer.publish import Head, Publisher, Watcher
from tlog.sequencer.state import States
from tlog.signers import LogSigner
from tlog.store import layout
from tlog.store.environment import LogStore
from tlog.store.layout import CommitRow

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_CLOCK_REWIND_MS = 1_000
# Bytes that a write which is no commit may need. One that fails would end the process, so with less none is begun.
OWN_ROOM = 256 << 10
DISK_SECONDS = 1.0


class Sequencer:
    """The writer. `start` it once; `submit` from any thread; `stop` waits for what was submitted."""

    def __init__(
        self,
        store: LogStore,
        states: States,
        guard: Guard,
        signer: LogSigner,
        row: CommitRow,
        *,
        flush_keys: Callable[[], None],
        same: Same,
        clock_ms: Callable[[], int],
        limits: Limits | None = None,
        publish_every: tuple[float, float],
        fatal: Callable[[BaseException], None],
    ) -> None:
        self._store = store
        self._states = states
        self._guard = guard
        self._signer = signer
        self._row = row
        self._flush_keys = flush_keys
        self._same = same
        self._clock_ms = clock_ms
        self._limits = limits or Limits()
        self.publisher = Publisher(store, publish_every)
        self._errands = Errands(store)
        self._fatal = fatal
        self._pool = Pool(self._limits)
        self._stopping = False
        self._failed = False
        self._halted: Exception | None = None
        self._disk_checked = 0.0
        self._disk_full = False
        self._thread = threading.Thread(target=self._run, name="tlog-writer", daemon=True)
        self.head = Head(row.number, row.ms, _root(signer, row), sign_commit(signer, row))
        self.watcher: Watcher | None = None
        self.committed_events = 0  # by this process
        # Milliseconds by which the clock is too far ahead of what witnesses say; 0 if it is not, or none says anything.
        self.clock_ahead: Callable[[int], int] = lambda now_ms: 0

    def start(self) -> None:
        """Begin to commit."""
        self._thread.start()

    def stop(self) -> None:
        """Commit what is waiting, then end the writer thread."""
        self._stopping = True
        self._pool.close()
        if self._thread.ident is not None:
            self._thread.join()

    def halt(self, reason: Exception) -> None:
        """Stop the writer as after a fault of its own: something was shown after which nothing may be signed."""
        self._halted = reason
        self._pool.wake()

    def keep(self, size: int, note: bytes) -> None:
        """Store the note of a published root with more cosignatures, soon. For any thread."""
        self.publisher.keep(size, note)
        self._pool.wake()

    def errand(self, work: Callable[[Any], T]) -> Future[T]:
        """Have `work(txn)` run on the writer thread in a transaction of its own. For any thread.

        Raises: Unavailable (overloaded, disk-full, stopping).
        """
        self._refuse_when_full()
        future = self._errands.add(work)
        self._pool.wake()
        return future

    @property
    def published(self) -> Head | None:
        """The newest root that is public."""
        return self.publisher.published

    @property
    def waiting(self) -> int:
        """Events that wait for a commit."""
        return self._pool.events

    @property
    def status(self) -> str:
        """`ok`, or why no events are taken: `failed`, `stopping`, `disk-full`, `clock`."""
        if self._failed:
            return "failed"
        if self._stopping:
            return "stopping"
        if self._disk_is_full():
            return "disk-full"
        return "ok" if self._clock_fault(self._clock_ms()) is None else "clock"

    def submit(self, batch: Batch) -> None:
        """Hand over a batch; its `done` is called on the writer thread.

        Raises: Unavailable (overloaded, disk-full, stopping), after which nothing of the batch is kept.
        """
        self.submit_together([batch])

    def submit_together(self, batches: Sequence[Batch]) -> None:
        """Hand over batches that go into the same commit if they fit; all or none are taken."""
        self._refuse_when_full()
        self._pool.add(batches)

    def _refuse_when_full(self) -> None:
        if self._disk_is_full():
            raise disk_full()

    def _run(self) -> None:
        batches: list[Batch] = []
        try:
            while True:
                taken = self._pool.take(self._publication_due)
                batches = taken or []
                if self._halted is not None:
                    raise self._halted
                if taken is None:
                    if self._check_disk():
                        self.publisher.work(self.head, stopping=True)
                    self._errands.close(Unavailable("stopping", "the log is stopping", 2.0))
                    return
                if not self._check_disk():
                    self.publisher.postpone(DISK_SECONDS)
                    self._errands.refuse(disk_full())
                if batches:
                    self._commit(batches)
                if self._publication_due() <= 0:
                    self.publisher.work(self.head)
                self._errands.run()
        except BaseException as error:
            # Unknown outcome (see commit.py): answer "unknown", then the process must end.
            self._failed = True
            batches = [*batches, *self._pool.drain()]
            logger.critical("the writer failed; the process must stop", exc_info=error)
            unknown = Unavailable("unknown-outcome", "retry with the same idempotency key", 2.0)
            for batch in batches:
                batch.done(unknown)
            self._errands.close(unknown)
            self._fatal(error)

    def _publication_due(self) -> float:
        """Seconds until the newest root must be published, or something else written."""
        now = self._halted is not None or self._errands.waiting
        return -1.0 if now else self.publisher.due(self.head)

    def _check_disk(self) -> bool:
        """Look at the disk. Whether there is room for what the log writes of its own accord."""
        free = self._store.disk_free()
        self._disk_checked = time.monotonic()
        self._disk_full = free < self._limits.free_bytes
        return free >= OWN_ROOM

    def _disk_is_full(self) -> bool:
        # Looked at here too: while nothing is taken, the writer may sleep for a minute.
        if time.monotonic() - self._disk_checked >= DISK_SECONDS:
            self._check_disk()
        return self._disk_full

    def _commit(self, batches: list[Batch]) -> None:
        try:
            # Again: it may have become full since they were taken in.
            self._refuse_when_full()
            ms = self._next_ms()
        except Unavailable as error:
            for batch in batches:
                batch.done(error)
            return
        admission = Admission(self._store, self._states, self._same, ms)
        admitted: list[Admitted] = []
        for batch in batches:
            try:
                admitted.append(admission.admit(batch))
            except TlogError as error:
                batch.done(error)
        if admission.openings or any(
            isinstance(p, Prepared) for one in admitted for p in one.plans
        ):
            answers = self._write(ms, admission, admitted)
        else:
            answers = [self._replays(one) for one in admitted]
        for one, answer in zip(admitted, answers, strict=True):
            one.batch.done(answer)

    def _next_ms(self) -> int:
        now = self._clock_ms()
        fault = self._clock_fault(now)
        if fault is not None:
            raise Unavailable("clock", fault, 5.0)
        return max(now, self._row.ms)

    def _clock_fault(self, now: int) -> str | None:
        behind = self._row.ms - now
        if behind > MAX_CLOCK_REWIND_MS:
            return f"the log's clock is {behind} ms behind its last entry"
        ahead = self.clock_ahead(now)
        return f"the log's clock is {ahead} ms ahead of its witnesses" if ahead else None

    def _write(self, ms: int, admission: Admission, admitted: list[Admitted]) -> list[Outcome]:
        self._flush_keys()
        row, states = self._row, self._states
        draft = Draft(
            states, self._signer.origin, self._signer.vkey, row.number + 1, ms, row.next_chunk
        )
        for number, opening in admission.openings.values():
            draft.open_stream(number, opening)
        placed = [place_batch(draft, states, one, admission) for one in admitted]
        draft.close()
        answers = {
            id(one): outcome_of(draft, states, one, new)
            for one, new in zip(admitted, placed, strict=True)
            if one.twin is None
        }
        draft.finish_tiles()
        self._row = write_commit(self._store, states, self._guard, draft, row)
        note = sign_commit(self._signer, self._row)
        # The root log's view, the head, the streams' views: a reader takes the view of a stream first, so that its head
        # covers it, and proves it in a root log that is at least as long as the head says.
        states.publish([layout.ROOT_LOG])
        self.head = Head(draft.number, ms, draft.root, note)
        states.publish(draft.touched)
        if self.watcher is not None:
            grown = {number: (states.view(number), draft.added(number)) for number in draft.touched}
            self.watcher.committed(self.head, draft.new_streams, grown)
        states.rest()
        self.committed_events += sum(event is not None for new in placed for event in new)
        committed = Committed(draft.number, ms, draft.root, note, draft.heads)
        return [
            # A batch of nothing but replays has no part in the commit that it fell into; one that opens streams has.
            answers[id(one)]._replace(committed=committed if any(new) or not new else None)
            if one.twin is None
            else _again(answers[id(one.twin)])
            for one, new in zip(admitted, placed, strict=True)
        ]

    def _replays(self, one: Admitted) -> Outcome:
        """The answer to a batch in which nothing is new."""
        return Outcome(
            [
                plan
                if isinstance(plan, Replayed)
                else Replayed(plan.stream, self._states.producer_leaf(*plan))
                for plan in one.plans
                if not isinstance(plan, Prepared)
            ],
            None,
        )


def _again(outcome: Outcome) -> Outcome:
    return Outcome([Replayed(event.stream, event.index) for event in outcome.events], None)


def _root(signer: LogSigner, row: CommitRow) -> Checkpoint:
    return Checkpoint(signer.origin, row.root_size, row.root_hash)
