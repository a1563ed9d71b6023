"""Which batches of a commit may go in: everything that can be refused is refused here, before anything changes.

Nothing in this file writes. A batch is admitted whole or refused whole; what it would change is kept beside, so that
later batches of the same commit see it and a refused one leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tlog.errors import Refused
from tlog.events.again import unplaced
from tlog.sequencer.batch import Batch, Opening, Prepared, Replayed
from tlog.sequencer.state import States
from tlog.store import layout
from tlog.store.environment import LogStore
from tlog.store.lookup import position_of


class SequenceReplay(NamedTuple):
    """Names an event by producer: its leaf is known once the commit is built."""

    stream: int
    producer_id: str
    sequence: int


Plan = Prepared | SequenceReplay | Replayed
# Whether a prepared event is the one of an entry and what was sealed beside it: `Preparer.same`.
Same = Callable[[Prepared, bytes, bytes], bool]


class Admitted(NamedTuple):
    """A batch and what to do for each of its events. `twin` holds the batch of the same request in this commit."""

    batch: Batch
    plans: list[Plan]
    twin: Admitted | None = None


class Admission:
    """The admissions of one commit, in order."""

    def __init__(self, store: LogStore, states: States, same: Same, ms: int) -> None:
        self._store = store
        self.same = same
        self._states = states
        self._ms = ms
        self.openings: dict[str, tuple[int, Opening]] = {}
        # By stream and producer: the events of this commit, in order, up to the newest sequence.
        self._sequenced: dict[tuple[int, str], list[Prepared]] = {}
        self._requests: dict[bytes, Admitted] = {}

    def admit(self, batch: Batch) -> Admitted:
        """Plan `batch`. Raises: Refused (no-such-stream, producer-gap, conflict), CorruptStore."""
        if batch.request is not None:
            known = self._known_request(batch, batch.request)
            if known is not None:
                return known
        attempt = _Attempt(self, batch)
        plans = [attempt.plan(event, at) for at, event in enumerate(batch.events)]
        self.openings.update(attempt.openings)
        for key, events in attempt.sequenced.items():
            self._sequenced.setdefault(key, []).extend(events)
        admitted = Admitted(batch, plans)
        if batch.request is not None:
            self._requests[batch.request] = admitted
        return admitted

    def _known_request(self, batch: Batch, digest: bytes) -> Admitted | None:
        twin = self._requests.get(digest)
        if twin is not None:
            if not self._all_same(batch, [_pending(event) for event in twin.batch.events]):
                raise _another_request()
            return Admitted(batch, [], twin)
        found = self._states.request(digest, self._ms)
        if found is None:
            return None
        records = self._records_from(*found)
        if not self._all_same(batch, [(record.entry, record.sealed) for record in records]):
            raise _another_request()
        return Admitted(batch, [Replayed(record.stream, record.index) for record in records])

    def _all_same(self, batch: Batch, recorded: Sequence[tuple[bytes, bytes]]) -> bool:
        """Whether a request brings again what entries, with what was sealed beside each, hold."""
        return len(recorded) == len(batch.events) and all(
            self.same(event, *one) for event, one in zip(batch.events, recorded, strict=True)
        )

    def _records_from(self, position: int, count: int) -> list[layout.Record]:
        """`count` event records from `position` on; a request's events follow one another."""
        records: list[layout.Record] = []
        number, offset = position >> 16, position & 0xFFFF
        with self._store.read() as txn:
            while len(records) < count:
                chunk = self._store.chunk(txn, number)
                while offset < len(chunk) and len(records) < count:
                    record, offset = layout.read_record(chunk, offset)
                    if record.kind == layout.EVENT:
                        records.append(record)
                number, offset = number + 1, layout.CHUNK_HEADER.size
        return records

    def wake(self, number: int) -> None:
        """Have a stream in memory. Raises: CorruptStore, which is then this batch's fault alone and nobody else's."""
        if number in self._states.rows:
            self._states.wake(number)

    def last_sequence(self, number: int, producer_id: str) -> int:
        """The newest sequence of a producer, this commit's admissions included."""
        events = self._sequenced.get((number, producer_id))
        if events:
            return events[-1].sequence
        state = self._states.producer(number, producer_id)
        return state.last if state is not None else 0

    def same_event(self, replay: SequenceReplay, event: Prepared) -> bool:
        """Whether `event` is what was recorded with a producer's sequence."""
        events = self._sequenced.get((replay.stream, replay.producer_id))
        if events and replay.sequence >= events[0].sequence:
            return self.same(event, *_pending(events[replay.sequence - events[0].sequence]))
        leaf = self._states.producer_leaf(*replay)
        view = self._states.view(replay.stream)
        with self._store.read() as txn:
            position = position_of(self._store, txn, replay.stream, leaf, view)
            record = self._store.record(txn, position)
        return self.same(event, record.entry, record.sealed)

    def stream_number(self, stream_id: str) -> int | None:
        """The number of a stream that exists or is opened by an admitted batch."""
        number = self._states.numbers.get(stream_id)
        if number is None and stream_id in self.openings:
            number = self.openings[stream_id][0]
        return number

    @property
    def next_number(self) -> int:
        """The number that the next opened stream gets."""
        return len(self._states.rows) + len(self.openings)


class _Attempt:
    """What one batch would change."""

    def __init__(self, admission: Admission, batch: Batch) -> None:
        self._admission = admission
        self._batch = batch
        self.openings: dict[str, tuple[int, Opening]] = {}
        self.sequenced: dict[tuple[int, str], list[Prepared]] = {}
        self._places: dict[str, int] = {}
        for stream_id, opening in batch.openings.items():
            if admission.stream_number(stream_id) is None:
                number = admission.next_number + len(self.openings)
                self.openings[stream_id] = (number, opening)

    def plan(self, event: Prepared, at: int) -> Plan:
        """What to do for one event. Raises: Refused. HOT."""
        number = self._places.get(event.stream_id)
        if number is None:
            number = self._places[event.stream_id] = self._place(event, at)
        if event.producer_id is None:
            return event
        key = (number, event.producer_id)
        events = self.sequenced.get(key)
        last = events[-1].sequence if events else self._admission.last_sequence(*key)
        if event.sequence != last + 1:
            return self._again(number, event, last, at)
        if events:
            events.append(event)
        else:
            self.sequenced[key] = [event]
        return event

    def _place(self, event: Prepared, at: int) -> int:
        """The number of the event's stream, which is in memory from now on."""
        number = self._admission.stream_number(event.stream_id)
        if number is None:
            if event.stream_id not in self.openings:
                raise Refused(
                    "not-found", f"there is no stream {event.stream_id}", self._pointer(at)
                )
            number = self.openings[event.stream_id][0]
        self._admission.wake(number)
        return number

    def _again(self, number: int, event: Prepared, last: int, at: int) -> SequenceReplay:
        """An event that is not its producer's next: recorded already, or refused."""
        producer_id = event.producer_id or ""
        if event.sequence > last:
            raise Refused(
                "producer-gap",
                f"producer {producer_id} must send sequence {last + 1} next",
                self._pointer(at, "/producer/sequence"),
                expected=last + 1,
            )
        replay = SequenceReplay(number, producer_id, event.sequence)
        events = self.sequenced.get((number, producer_id))
        if events and event.sequence >= events[0].sequence:
            same = self._admission.same(
                event, *_pending(events[event.sequence - events[0].sequence])
            )
        else:
            same = self._admission.same_event(replay, event)
        if not same:
            raise Refused(
                "conflict",
                f"sequence {event.sequence} of producer {producer_id} was used for another event",
                self._pointer(at, "/producer/sequence"),
                expected=last + 1,
            )
        return replay

    def _pointer(self, at: int, member: str = "") -> str | None:
        return (f"/{at}" if self._batch.array else "") + member or None


def _pending(event: Prepared) -> tuple[bytes, bytes]:
    """Entry and sealed blob of an event that is still to be placed."""
    return unplaced(event.segments), event.sealed


def _another_request() -> Refused:
    return Refused("conflict", "this Idempotency-Key was used for another request")
