"""A front end's connection to the process that commits: events go out, commits and answers come in.

The event loop's thread only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

from tlog.core.checkpoint import Checkpoint
from tlog.errors import TlogError, Unavailable
from tlog.messages import Failure, error_of, frame
from tlog.sequencer.batch import Committed, Opening, Outcome, Prepared, StreamHead
from tlog.sequencer.publish import Head
from tlog.served import Person
from tlog.workers import wire
from tlog.workers.asker import gone

# Bytes that may wait to be sent; above it new events are refused. Several batches of the largest size.
MAX_UNSENT = 64 << 20
# Bytes of events in one message, about.
_PORTION = 8 << 20


class Link(asyncio.Protocol):
    """Sends what was submitted in one turn of the event loop as one message; resolves futures when answers come in.

    `news` is called with each commit, before any answer that depends on it; until there is one, commits are kept for it.
    `lost` is called once, when the connection ends; by then everybody who waits has been told that the outcome is unknown.
    """

    def __init__(self, lost: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._early: list[wire.Commit] = []
        self._news: Callable[[wire.Commit], None] = self._early.append
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._frames = wire.Frames(wire.from_sequencer)
        self._full = False
        self._next = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._outgoing: list[wire.Submitted] = []
        self._outgoing_bytes = 0
        self._newest: Head | None = None
        self.welcome: asyncio.Future[wire.Welcome] = loop.create_future()

    def tell(self, news: Callable[[wire.Commit], None]) -> None:
        """Have `news` called with the commits that came in so far, and from now on."""
        self._news = news
        for commit in self._early:
            news(commit)

    # ---- what handlers call ------------------------------------------------------------------------

    async def append(
        self,
        events: Sequence[Prepared],
        openings: dict[str, Opening] | None,
        *,
        request: bytes | None,
        prove: bool,
        array: bool,
    ) -> Outcome:
        """As `Log.append`; also Unavailable (overloaded) while too much waits to be sent. HOT."""
        number, future = self._expect()
        if not self._outgoing:
            self._loop.call_soon(self._send)
        self._outgoing.append(
            wire.Submitted(number, list(events), openings or {}, request, prove, array)
        )
        self._outgoing_bytes += sum(event.size for event in events)
        if self._outgoing_bytes > _PORTION:
            self._send()
        return cast(Outcome, await future)

    async def names(self, tenant: str, persons: Sequence[Person]) -> wire.Names:
        """Pseudonyms of these persons, and the data keys of the subjects among them.

        Raises: what the vault raises; Unavailable (overloaded, unknown-outcome).
        """
        number, future = self._expect()
        self._write(wire.Persons(number, tenant, list(persons)))
        return cast(wire.Names, await future)

    def _expect(self) -> tuple[int, asyncio.Future[Any]]:
        if self._transport is None:
            raise gone()
        if self._full:
            raise Unavailable("overloaded", "too many events are waiting to be committed", 1.0)
        self._next += 1
        future = self._waiting[self._next] = self._loop.create_future()
        return self._next, future

    def _send(self) -> None:
        batches, self._outgoing = self._outgoing, []
        self._outgoing_bytes = 0
        if batches:
            self._write(wire.Batches(batches))

    def _write(self, message: wire.Message) -> None:
        if self._transport is not None:
            self._transport.write(frame(message))

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()

    # ---- what the event loop calls -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=MAX_UNSENT)

    def pause_writing(self) -> None:
        """The other side does not keep up."""
        self._full = True

    def resume_writing(self) -> None:
        """It does again."""
        self._full = False

    def data_received(self, data: bytes) -> None:
        """Some messages, or parts of one."""
        for message in self._frames.feed(data):
            if isinstance(message, wire.Answers):
                self._answer(message)
            elif isinstance(message, wire.Commit):
                self._newest = message.head
                self._news(message)
            elif isinstance(message, wire.Names):
                self._resolve(message.id, message if message.failed is None else message.failed)
            else:
                self.welcome.set_result(message)

    def connection_lost(self, error: Exception | None) -> None:
        """The other side ended, or this one does: what waits has no known outcome."""
        self._transport = None
        self._outgoing = []
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(gone())
        if not self.welcome.done():
            self.welcome.set_exception(gone())
        self._lost()

    def _answer(self, answers: wire.Answers) -> None:
        committed = None
        if any(one.new for one in answers.done):
            committed = self._committed(answers.commit, answers.heads)
        for one in answers.done:
            self._resolve(
                one.id, Outcome(one.events, committed if one.new else None, one.path, one.ranges)
            )
        for number, failed in answers.failed:
            self._resolve(number, failed)

    def _committed(self, number: int, heads: dict[int, StreamHead]) -> Committed:
        head = self._newest
        if head is None or head.commit != number:
            raise AssertionError("tlog: an answer came before its commit")
        root = Checkpoint(head.root.origin, head.root.size, head.root.root)
        return Committed(head.commit, head.ms, root, head.note, heads)

    def _resolve(self, number: int, answer: Outcome | wire.Names | Failure) -> None:
        future = self._waiting.pop(number)
        if future.done():  # whoever asked has left
            return
        if isinstance(answer, Failure):
            error: TlogError = error_of(answer)
            future.set_exception(error)
        else:
            future.set_result(answer)
