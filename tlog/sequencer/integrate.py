"""From admitted batches to the bytes of one commit: chain links, leaves, trees, the root log's leaves.

Reads the store, writes nothing: what the transaction must contain is collected in a `Draft`. The states in memory do move;
if the commit then fails the process ends, and start-up reads the truth (`recover.py` runs `append` over the same records).
"""

from __future__ import annotations

import hashlib

from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import EMPTY_ROOT, Hash
from tlog.core.ids import event_id, stream_origin
from tlog.core.paths import Paths
from tlog.core.proofs import inclusion_proof, range_proof
from tlog.core.times import format_ms
from tlog.errors import CorruptStore
from tlog.events.splice import genesis_segments, splice
from tlog.sequencer.admit import Admission, Admitted
from tlog.sequencer.batch import (
    Opening,
    Outcome,
    Placed,
    Prepared,
    Range,
    Replayed,
    StreamHead,
)
from tlog.sequencer.state import States
from tlog.sequencer.streams import StreamState
from tlog.store import layout
from tlog.store.layout import ChunkWriter, StreamRow, encode_record

CLOCK_SKEW_MS = 300_000


class Draft:
    """Everything of one commit before it is written."""

    def __init__(
        self, states: States, origin: str, vkey: str, number: int, ms: int, first_chunk: int
    ) -> None:
        self.number = number
        self.ms = ms
        self.first_chunk = first_chunk
        self.new_streams: list[tuple[int, StreamRow]] = []
        self.bundles: list[tuple[int, int, list[int]]] = []
        self.tiles: list[tuple[int, int, int, bytes]] = []
        self.bodies: list[bytes] = []
        self.heads: dict[int, StreamHead] = {}
        self._checkpoints: dict[int, Checkpoint] = {}
        self.root = Checkpoint(origin, 0, EMPTY_ROOT)
        self._states = states
        self._vkey = vkey
        self._timestamp = format_ms(ms)
        self._writer = ChunkWriter(number, first_chunk, ms)
        self._leaves: dict[int, list[Hash]] = {}
        self._touched: dict[int, StreamState] = {}
        self._paths: dict[int, Paths] = {}

    @property
    def touched(self) -> list[int]:
        """Numbers of the trees that this commit grows, the root log included."""
        return list(self._touched)

    def added(self, number: int) -> int:
        """How many leaves this commit adds to a tree that it grows."""
        return len(self._leaves[number])

    def chunks(self) -> list[tuple[int, bytes]]:
        """The journal chunks, once nothing more is added."""
        return self._writer.finish()

    def begin_root(self, body: bytes) -> None:
        """Leaf 0 of the root log: the body of its own empty checkpoint."""
        state = self._touch(layout.ROOT_LOG)
        record = encode_record(layout.HEAD, layout.ROOT_LOG, 0, body)
        self._append(state, body, self._writer.add(record))

    def open_stream(self, number: int, opening: Opening) -> None:
        """Write the genesis entry of a new stream."""
        row = StreamRow(opening.stream_id, opening.label, opening.public, opening.nonce)
        self.new_streams.append((number, row))
        self._states.add_row(number, row)
        root = self._states.get(layout.ROOT_LOG)
        segments = genesis_segments(
            origin=self.root.origin,
            vkey=self._vkey,
            stream_id=opening.stream_id,
            stream_number=number,
            label=opening.label,
            nonce=opening.nonce,
            public=opening.public,
            root_size=root.size,
            root_hash=root.edge.root(),
            fields=opening.fields,
            root=opening.root,
        )
        event = Prepared(opening.stream_id, segments, opening.sealed, opening.salt, False)
        self.place(number, event, kind=layout.GENESIS)

    def place(
        self,
        number: int,
        event: Prepared,
        request: tuple[bytes, int] | None = None,
        kind: int = layout.EVENT,
    ) -> Placed:
        """Give `event` its place: link it, hash it, put it in the journal."""
        state = self._touched.get(number) or self._touch(number)
        index = state.size
        identity = event_id(self.ms, number, index)
        previous = state.previous
        occurred = event.occurred_ms
        entry = splice(
            event.segments,
            position=index,
            clock_skew=occurred is not None and abs(occurred - self.ms) > CLOCK_SKEW_MS,
            event_id=identity,
            previous_hash=previous,
            timestamp=self._timestamp,
        )
        record = encode_record(kind, number, index, entry, event.sealed, request)
        position = self._writer.add(record)
        leaf = self._append(state, entry, position)
        if event.producer_id is not None:
            self._states.add_producer_event(number, event.producer_id, index)
        if request is not None:
            self._states.add_request(request[0], self.ms, position, request[1])
        return Placed(
            number,
            index,
            identity,
            entry,
            state.previous,
            previous,
            leaf,
            event.salt,
            event.velocity_flag,
        )

    def replay(self, record: layout.Record, position: int) -> None:
        """Append a record that is already in the journal (recovery)."""
        state = self._touched.get(record.stream) or self._touch(record.stream)
        if record.index != state.size:
            raise CorruptStore(
                f"the journal has leaf {record.index} of stream {record.stream} where {state.size} must follow"
            )
        self._append(state, record.entry, position)

    def _touch(self, number: int) -> StreamState:
        state = self._touched[number] = self._states.get(number)
        self._leaves[number] = []
        state.ms = self.ms
        return state

    def _append(self, state: StreamState, entry: bytes, position: int) -> Hash:
        leaf = hashlib.sha256(b"\x00" + entry).digest()
        self._leaves[state.number].append(leaf)
        state.previous = "sha256:" + hashlib.sha256(entry).hexdigest()
        self._index(state, position)
        return leaf

    def _index(self, state: StreamState, position: int) -> None:
        state.size += 1
        state.tail.append(position)
        if len(state.tail) == layout.TILE_WIDTH:
            self.bundles.append((state.number, state.size // layout.TILE_WIDTH - 1, state.tail))
            state.tail = []

    def close(self, *, write_heads: bool = True) -> None:
        """Grow the trees, append the stream heads to the root log, take the root.

        `write_heads` is False in recovery, where the heads are read back and compared instead.
        """
        streams = sorted(number for number in self._touched if number != layout.ROOT_LOG)
        root = self._touched.get(layout.ROOT_LOG) or self._touch(layout.ROOT_LOG)
        checkpoints = []
        for number in streams:
            state = self._touched[number]
            state.edge.append(self._leaves[number])
            origin = stream_origin(self.root.origin, self._states.rows[number].label)
            checkpoint = Checkpoint(origin, state.size, state.edge.root())
            checkpoints.append(checkpoint)
            body = checkpoint.body()
            self.bodies.append(body)
            if write_heads:
                state.root_leaf = root.size
                record = encode_record(layout.HEAD, layout.ROOT_LOG, root.size, body)
                self._append(root, body, self._writer.add(record))
        root.edge.append(self._leaves[layout.ROOT_LOG])
        self.root = Checkpoint(self.root.origin, root.size, root.edge.root())
        self._states.unswept += sum(map(len, self._leaves.values()))
        self._checkpoints = dict(zip(streams, checkpoints, strict=True))

    def prove_head(self, number: int) -> None:
        """Put a touched stream into `heads`, with its path in the root log: only where somebody asked."""
        if number not in self.heads:
            leaf = self._touched[number].root_leaf
            path = inclusion_proof(leaf, self.root.size, self._touched[layout.ROOT_LOG].edge)
            self.heads[number] = StreamHead(self._checkpoints[number], leaf, path)

    def finish_tiles(self) -> None:
        """Collect the tiles that became full and let the edges forget them. After all proofs are made."""
        for number, state in self._touched.items():
            for level, index, data in state.edge.full_tiles():
                self.tiles.append((number, level, index, data))
            state.edge.drop()

    def path(self, placed: Placed) -> list[Hash]:
        """The inclusion path of a new event in its stream at this commit, once the draft is closed."""
        paths = self._paths.get(placed.stream)
        if paths is None:
            state = self._touched[placed.stream]
            paths = self._paths[placed.stream] = Paths(state.size, state.edge)
        return paths.of(placed.index)

    def ranges(self, placed: list[Placed]) -> dict[int, Range]:
        """The range proof of one batch's new events in each of its streams: they stand side by side there."""
        bounds: dict[int, tuple[int, int]] = {}
        for one in placed:
            first, _ = bounds.get(one.stream, (one.index, 0))
            bounds[one.stream] = (first, one.index + 1)
        ranges = {}
        for number, (first, end) in bounds.items():
            state = self._touched[number]
            ranges[number] = Range(first, end, *range_proof(first, end, state.size, state.edge))
        return ranges


def place_batch(
    draft: Draft, states: States, admitted: Admitted, admission: Admission
) -> list[Placed | None]:
    """Place the new events of an admitted batch, None where an earlier event is replayed."""
    batch = admitted.batch
    placed: list[Placed | None] = []
    first = True
    for plan in admitted.plans:
        if not isinstance(plan, Prepared):
            placed.append(None)
            continue
        request = None
        if batch.request is not None and first:
            request = (batch.request, len(batch.events))
            first = False
        number = admission.stream_number(plan.stream_id)
        if number is None:
            raise AssertionError("tlog: an admitted event has no stream")
        placed.append(draft.place(number, plan, request))
    return placed


def outcome_of(
    draft: Draft, states: States, admitted: Admitted, placed: list[Placed | None]
) -> Outcome:
    """The answer to an admitted batch once the draft is closed, but for the commit that is still to come."""
    events: list[Placed | Replayed] = []
    for plan, new in zip(admitted.plans, placed, strict=True):
        if new is not None:
            events.append(new)
        elif isinstance(plan, Replayed):
            events.append(plan)
        elif not isinstance(plan, Prepared):
            events.append(Replayed(plan.stream, states.producer_leaf(*plan)))
    fresh = [new for new in placed if new is not None]
    if not admitted.batch.prove or not fresh:
        return Outcome(events, None)
    for number in {new.stream for new in fresh}:
        draft.prove_head(number)
    if not admitted.batch.array:
        return Outcome(events, None, path=draft.path(fresh[0]))
    return Outcome(events, None, ranges=draft.ranges(fresh))
