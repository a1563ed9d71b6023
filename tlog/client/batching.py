"""Coalescing, and exactly once: the events of one stream, numbered, sent in batches, one request at a time.

Source: design §3 (exactly once), §4. No timer decides: what arrives while a request is in flight is the next batch.

Why every event is recorded exactly once, whatever fails
    The log accepts from a producer, in each stream, the sequences 1, 2, 3 … without a gap, and a request all or
    not at all. A request whose outcome is unknown (no answer, 5xx) is sent again with the same events and the
    same sequences: recorded before, it answers with the old receipts; not recorded before, it is recorded now.
    409 `conflict` says that another event holds the sequence. Each event carries 32 random bytes, its salt, in its
    body, so "another" is certain: ours was not recorded under this sequence, and it was never sent under a later
    one, so it is not recorded at all, and neither is the rest of its batch. (An event that was recorded, whose
    answer was lost, and whose subject was erased within the seconds before the retry can no longer be compared; it
    counts as another, and is recorded again.) An earlier copy of the request that is still on its way meets the
    same conflict: the sequence stays taken. 409 `producer-gap` says that not even the sequence before was used. In both
    cases the log says what it expects, and the events are numbered anew from there. That is also how two clients
    that share a producer, or one that does not know how far it got, find their place.
    A fault of one event fails that event alone. If no copy of the request can have been recorded, the others move
    up; if one can (the log was replaced in between by one that refuses what the old one took), they keep their
    sequences, and only a `producer-gap`, the proof that nothing was recorded, lets them move.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import NamedTuple, Protocol

from tlog.client.errors import BadAnswer, UnknownOutcome
from tlog.client.outgoing import Outgoing
from tlog.client.session import Session
from tlog.client.steps import Step, fail, may_be_recorded, next_step, number, pause
from tlog.client.transport import Answer
from tlog.errors import Refused, TlogError, Unavailable

# The log takes 16 MiB; what is added to an event before it is sent is a few hundred bytes.
MAX_BYTES = 8 << 20
# From twice as many events on, what a request costs beside its events is small.
WORTH_HALVING = 64
# After so many 401 in a row a fresh token does not help.
_LOGINS = 3


class Tuning(NamedTuple):
    """Events in a request, seconds before one is sent, seconds until an event is given up."""

    max_batch: int = 500
    linger: float = 0.0
    retry_for: float = 120.0


class Wire(Protocol):
    """What sends and checks for the writers."""

    def usable(self) -> Session | None:
        """The current session, None when there is none or it should be renewed. Raises TlogError."""

    async def session(self) -> Session:
        """A usable session. Raises TlogError."""

    def discard(self, session: Session) -> None:
        """The token of `session` was refused."""

    async def post(self, session: Session, stream_id: str, events: list[Outgoing]) -> Answer:
        """Send the events, one alone or several as a batch. Raises TlogError unless it was 2xx."""

    async def settle(self, session: Session, events: list[Outgoing], answer: Answer) -> None:
        """Verify the answer and give each event its receipt or its error. Raises nothing."""


class StreamWriter:
    """The events of one stream. Belongs to one event loop."""

    def __init__(
        self,
        wire: Wire,
        stream_id: str,
        next_sequence: int = 1,
        tuning: Tuning = Tuning(),  # noqa: B008 - immutable
    ) -> None:
        """`next_sequence` is a guess that the log corrects."""
        self.stream_id = stream_id
        self._wire = wire
        self._next = next_sequence
        self._tuning = tuning
        self._waiting: deque[Outgoing] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._settling: set[asyncio.Task[None]] = set()
        self._unsettled = 0  # events in _settling

    def put(self, event: Outgoing) -> None:
        """Queue an event; its future says what became of it."""
        self._waiting.append(event)
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())

    async def drain(self) -> None:
        """Return when all events that were put have their receipts or errors."""
        while tasks := [*self._settling, *([self._worker] if self._worker else [])]:
            await asyncio.wait(tasks)

    async def _work(self) -> None:
        events: list[Outgoing] = []
        try:
            while self._waiting:
                if self._tuning.linger > 0:
                    await asyncio.sleep(self._tuning.linger)
                events = self._take()
                if events:
                    await self._deliver(events)
                    events = []
        except BaseException as error:
            # A fault of this program, or the end of the event loop: nobody may wait for ever.
            for event in [*events, *self._waiting]:
                if isinstance(error, asyncio.CancelledError):
                    event.future.cancel()
                else:
                    event.fail(error)
            self._waiting.clear()
            raise
        finally:
            self._worker = None

    def _take(self) -> list[Outgoing]:
        """The next batch: in order of arrival, without those whose callers went away."""
        taken: list[Outgoing] = []
        size = 0
        # Of many callers half travel while the receipts of the others are checked: both machines work. All in one
        # batch, the log and the client would wait for each other by turns.
        half = (len(self._waiting) + self._unsettled + 1) // 2
        most = min(self._tuning.max_batch, max(half, WORTH_HALVING))
        while self._waiting and len(taken) < most:
            event = self._waiting[0]
            if not event.future.done():
                size += event.size
                if taken and size > MAX_BYTES:
                    break
                taken.append(event)
            self._waiting.popleft()
        return taken

    async def _deliver(self, events: list[Outgoing], uncertain: bool = False) -> None:
        """Send `events` until they are recorded or failed.

        `uncertain`: a request with these sequences may have been recorded.
        """
        deadline = min(event.since for event in events) + self._tuning.retry_for
        if not uncertain:
            number(events, self._next)
        tries = logins = 0
        while events:
            session, failure = await self._attempt(events)
            if failure is None:
                return
            if session is None:
                # A failed attestation says nothing about the events.
                step, value = (Step.AGAIN if isinstance(failure, Unavailable) else Step.FAIL), 0
            else:
                uncertain = uncertain or may_be_recorded(failure)
                step, value = next_step(failure, len(events))
            if step is Step.LOGIN and session is not None and logins < _LOGINS:
                logins += 1
                self._wire.discard(session)
            elif step is Step.DROP:
                fail([events.pop(value)], failure)
                if not uncertain:
                    number(events, self._next)
            elif step is Step.SPLIT:
                half = len(events) // 2
                await self._deliver(events[:half], uncertain)
                await self._deliver(events[half:], uncertain)
                return
            elif step in (Step.AGAIN, Step.NUMBER):
                wait = pause(tries, getattr(failure, "retry_after", 0.0), random.uniform)
                if asyncio.get_running_loop().time() + wait > deadline:
                    fail(events, self._giving_up(failure, uncertain))
                    return
                if step is Step.NUMBER:
                    # Nothing was recorded (see above). The first correction is likely the last; more are a contest.
                    self._next = value
                    number(events, value)
                    uncertain = False
                    wait = wait if tries else 0.0
                tries += 1
                logins = 0
                await asyncio.sleep(wait)
            else:
                fail(events, self._refused(failure, uncertain))
                return

    async def _attempt(self, events: list[Outgoing]) -> tuple[Session | None, TlogError | None]:
        """Send once. Returns the session it was sent in, None if there was none, and what failed, if it did."""
        session = None
        try:
            session = await self._wire.session()
            answer = await self._wire.post(session, self.stream_id, events)
        except TlogError as error:
            return session, error
        self._recorded(session, events, answer)
        return session, None

    def _recorded(self, session: Session, events: list[Outgoing], answer: Answer) -> None:
        self._next = events[-1].sequence + 1
        self._unsettled += len(events)
        task = asyncio.get_running_loop().create_task(self._settle(session, events, answer))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _settle(self, session: Session, events: list[Outgoing], answer: Answer) -> None:
        # Beside the next request, not before it: the log works while this checks. The worker's turn is now, and in
        # the turn after that aiohttp writes the body.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        try:
            await self._wire.settle(session, events, answer)
        finally:
            self._unsettled -= len(events)

    def _giving_up(self, error: TlogError, uncertain: bool) -> TlogError:
        if not uncertain:
            return error
        return UnknownOutcome(
            f"gave up after {self._tuning.retry_for:g} s, and the event may or may not be recorded in "
            f"{self.stream_id}: {error.detail}"
        )

    def _refused(self, error: TlogError, uncertain: bool) -> TlogError:
        # What refuses the repetition says nothing of the first request: a key revoked meanwhile, a proxy's page.
        if not uncertain or not isinstance(error, Refused | BadAnswer):
            return error
        return UnknownOutcome(
            f"an answer was lost, and the event may or may not be recorded in {self.stream_id}: "
            f"sent again it was refused: {error.detail}"
        )


class Writers:
    """One writer for each stream that events were put in."""

    def __init__(self, wire: Wire, tuning: Tuning) -> None:
        self._wire = wire
        self._tuning = tuning
        self._writers: dict[str, StreamWriter] = {}
        self._arriving: set[Outgoing] = set()
        self._closed = False

    async def put(self, event: Outgoing, stream_id: str | None) -> None:
        """Queue an event for a stream, by default that of the session, which is waited for.

        Raises: as `Wire.session`, Unavailable only when the time of the event is over.
        """
        self._arriving.add(event)
        try:
            session = await self._first_session(event)
        except BaseException:
            event.future.cancel()
            raise
        finally:
            self._arriving.discard(event)
        self._put(event, stream_id, session)

    def put_now(self, event: Outgoing, stream_id: str | None) -> bool:
        """The same without waiting: whether there was a session. Raises: ForkDetected; RuntimeError once drained."""
        if self._closed:
            raise RuntimeError("this client is closed")
        session = self._wire.usable()
        if session is not None:
            self._put(event, stream_id, session)
        return session is not None

    def _put(self, event: Outgoing, stream_id: str | None, session: Session) -> None:
        stream = stream_id or session.stream_id
        writer = self._writers.get(stream)
        if writer is None:
            # Of other streams than the session's the log will say what it expects.
            first = session.next_sequence if stream == session.stream_id else 1
            writer = self._writers[stream] = StreamWriter(self._wire, stream, first, self._tuning)
        writer.put(event)

    async def drain(self) -> None:
        """Take no more events; return when every one has its receipt or error."""
        self._closed = True
        while self._arriving:
            # Each gets on in the task of its caller: into a writer, or out with an error.
            await asyncio.wait({event.future for event in self._arriving})
        for writer in list(self._writers.values()):
            await writer.drain()

    async def _first_session(self, event: Outgoing) -> Session:
        loop = asyncio.get_running_loop()
        tries = 0
        while True:
            try:
                return await self._wire.session()
            except Unavailable as error:
                wait = pause(tries, error.retry_after, random.uniform)
                if loop.time() + wait > event.since + self._tuning.retry_for:
                    raise
            tries += 1
            await asyncio.sleep(wait)
