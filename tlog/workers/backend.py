"""The front ends' side in the process that commits: takes their events, tells them of commits, answers.

The writer thread adds to `_queue`, in order: a commit, the answers of that commit, the next commit. The event loop takes from
it: first the shared page says that the commit may be seen, then every front end is told of it, then the answers go out. So a
front end that handles a request after somebody has seen a commit either knows that commit or knows that it must wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, cast

import msgspec

from tlog.errors import TlogError
from tlog.log import Log
from tlog.messages import failure, frame
from tlog.sequencer.batch import Batch, Outcome, StreamHead
from tlog.sequencer.publish import Head
from tlog.sequencer.streams import StreamView
from tlog.store.layout import ROOT_LOG, TILE_WIDTH, StreamRow
from tlog.workers import wire
from tlog.workers.page import Page
from tlog.workers.questions import names_of

logger = logging.getLogger(__name__)

# Bytes that may wait for one front end to read them; it is dropped when there are more.
MAX_UNREAD = 256 << 20


class _Told(NamedTuple):
    number: int
    frame: bytearray


_Answer = tuple["Connection", int, "Outcome | TlogError"]


class Backend:
    """All front ends of one run. It is the sequencer's watcher."""

    def __init__(self, log: Log, page: Page) -> None:
        self.log = log
        self.page = page
        self.connections: set[Connection] = set()
        #: Everybody may see all commits up to this one.
        self.newest = log.sequencer.head.commit
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._queue: deque[_Told | _Answer] = deque()  # guarded by _lock, with _scheduled
        self._scheduled = False
        self._gone: asyncio.Event = asyncio.Event()
        self._gone.set()
        log.sequencer.watcher = self

    # ---- the writer thread -------------------------------------------------------------------------

    def committed(
        self,
        head: Head,
        opened: Sequence[tuple[int, StreamRow]],
        grown: Mapping[int, tuple[StreamView, int]],
    ) -> None:
        """A commit is durable and signed. HOT."""
        self.newest = head.commit
        trees = [_grown(number, view, added) for number, (view, added) in grown.items()]
        message = wire.Commit(head, list(opened), trees)
        self._put(_Told(head.commit, frame(message)))

    def answer(self, connection: Connection, number: int, outcome: Outcome | TlogError) -> None:
        """A batch is answered. HOT."""
        self._put((connection, number, outcome))

    def _put(self, one: _Told | _Answer) -> None:
        with self._lock:
            self._queue.append(one)
            if self._scheduled:
                return
            self._scheduled = True
        try:
            self._loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            return  # the loop was closed: the front ends are gone, what is recorded is recorded

    # ---- the event loop ----------------------------------------------------------------------------

    def _deliver(self) -> None:
        with self._lock:
            queue, self._queue = self._queue, deque()
            self._scheduled = False
        answers: dict[Connection, list[tuple[int, Outcome | TlogError]]] = {}
        for one in queue:
            if isinstance(one, _Told):
                self._send(answers)
                answers = {}
                self.page.show(one.number)
                for connection in self.connections:
                    connection.write(one.frame)
            else:
                answers.setdefault(one[0], []).append(one[1:])
        self._send(answers)

    def _send(self, answers: dict[Connection, list[tuple[int, Outcome | TlogError]]]) -> None:
        for connection, outcomes in answers.items():
            connection.write(frame(answers_of(outcomes)))

    def connected(self, connection: Connection) -> None:
        """A front end is there: from now on it is told of every commit."""
        self.connections.add(connection)
        self._gone.clear()
        # The head first, then what it must be covered by; both may be newer than what will be told next.
        newest, head = self.newest, self.log.sequencer.head
        root = self.log.states.view(ROOT_LOG)
        connection.write(frame(wire.Welcome(self.log.vkey, newest, head, root)))

    def disconnected(self, connection: Connection) -> None:
        """A front end is gone. What it submitted is recorded all the same."""
        self.connections.discard(connection)
        if not self.connections:
            self._gone.set()
        # Of one that was killed while it read: its slot keeps old pages alive.
        self.log.store.clear_stale_readers()

    async def deserted(self, seconds: float) -> None:
        """Wait until there is no front end, at most so long."""
        try:
            await asyncio.wait_for(self._gone.wait(), seconds)
        except asyncio.TimeoutError:
            logger.warning("%d front ends did not end", len(self.connections))


class Connection(asyncio.Protocol):
    """One front end."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._frames = wire.Frames(wire.from_front)
        self._transport: asyncio.Transport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=MAX_UNREAD)
        self._backend.connected(self)

    def connection_lost(self, error: Exception | None) -> None:
        """The front end ended."""
        self._transport = None
        self._backend.disconnected(self)

    def pause_writing(self) -> None:
        """It does not read: it has died without the kernel knowing, or never will read again."""
        logger.error("a front end does not read what it is told, and is dropped")
        self.end()

    def end(self) -> None:
        """Drop the front end, which then ends itself."""
        if self._transport is not None:
            self._transport.abort()

    def write(self, frame: bytearray) -> None:
        """Send a message, if the front end is still there."""
        if self._transport is not None:
            self._transport.write(frame)

    def data_received(self, data: bytes) -> None:
        """Some messages, or parts of one."""
        try:
            for message in self._frames.feed(data):
                if isinstance(message, wire.Batches):
                    self._submit(message.batches)
                else:
                    task = asyncio.create_task(self._name(message))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
        except msgspec.MsgspecError:
            logger.exception("a front end sent what is no message, and is dropped")
            self.end()

    def _submit(self, submitted: Sequence[wire.Submitted]) -> None:
        batches = [self._batch(one) for one in submitted]
        try:
            self._backend.log.sequencer.submit_together(batches)
        except TlogError:
            for batch in batches:
                self._submit_one(batch)

    def _submit_one(self, batch: Batch) -> None:
        try:
            self._backend.log.sequencer.submit(batch)
        except TlogError as error:
            batch.done(error)

    def _batch(self, one: wire.Submitted) -> Batch:
        done: Callable[[Outcome | TlogError], None] = partial(self._backend.answer, self, one.id)
        return Batch(
            one.events,
            done,
            openings=one.openings,
            request=one.request,
            prove=one.prove,
            array=one.array,
        )

    async def _name(self, asked: wire.Persons) -> None:
        self.write(frame(await names_of(self._backend.log.vault, asked)))


def _grown(number: int, view: StreamView, added: int) -> wire.Grown:
    held = view.size % TILE_WIDTH
    new = view.tail[max(0, held - added) : held]
    return wire.Grown(number, view.size, view.root, view.ms, view.root_leaf, new)


def answers_of(outcomes: Sequence[tuple[int, Outcome | TlogError]]) -> wire.Answers:
    """One message of the answers of one commit, and of those that came before it without one."""
    done, failed = [], []
    heads: dict[int, StreamHead] = {}
    commit = 0
    for number, outcome in outcomes:
        if isinstance(outcome, TlogError):
            failed.append((number, failure(outcome)))
            continue
        committed = outcome.committed
        if committed is not None:
            commit = committed.number
            if outcome.path is not None:
                stream = outcome.events[0].stream
                heads[stream] = committed.heads[stream]
            for stream in outcome.ranges or ():
                heads[stream] = committed.heads[stream]
        done.append(
            wire.Answered(
                number, committed is not None, list(outcome.events), outcome.path, outcome.ranges
            )
        )
    return wire.Answers(commit, heads, done, failed)
