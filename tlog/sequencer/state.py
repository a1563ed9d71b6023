"""What the writer thread keeps in memory: the right edge of every stream in use, its producers, recent requests.

Owner: the writer thread. Other threads see only `views`, whose values are immutable and replaced whole after a commit.
Rows are kept dirty and swept into LMDB in key order every so often; replaying the journal since the sweep restores them.
A stream in memory has a view, so nobody looks at the row of one that a commit is about to change. A stream that *rests* is
only in LMDB; its row says when a view that was made of it is still true.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import msgspec

from tlog.cache import Cache
from tlog.core.merkle import Edge
from tlog.errors import CorruptStore
from tlog.sequencer.producers import ProducerState, find_in_pages, find_run, producer_key
from tlog.sequencer.streams import StreamState, StreamView, load_edge
from tlog.store import layout
from tlog.store.decoding import row_decoder
from tlog.store.environment import LogStore
from tlog.store.layout import ProducerRow, StateRow, StreamRow

_encode = msgspec.msgpack.Encoder().encode
_decode_state = row_decoder(StateRow)
_decode_producer = row_decoder(ProducerRow)

# What stays in memory after a sweep: at most so many streams, and about so many bytes of them. A stream takes 1 KiB, and
# 225 bytes for each leaf after its last full tile.
MAX_IDLE_STREAMS = 50_000
MAX_IDLE_BYTES = 192 << 20
_STREAM_BYTES = 1024
_LEAF_BYTES = 225
_RESTING_VIEWS = 4096  # up to 10 KiB each
_DAY_MS = 86_400_000


class States:
    """All streams: names for all of them, edges for those in use."""

    def __init__(self, store: LogStore) -> None:
        """Raises: CorruptStore when the numbers of the streams have a gap, or two have one id."""
        self._store = store
        self.rows: dict[int, StreamRow] = {}
        self.numbers: dict[str, int] = {}
        self.tenant_streams: Counter[str] = Counter()
        for number, row in store.streams():
            self.add_row(number, row)
        if list(self.rows) != list(range(len(self.rows))) or len(self.numbers) != len(self.rows):
            raise CorruptStore("the store lacks a stream, or names one twice")
        self._hot: dict[int, StreamState] = {}
        self._dirty: set[int] = set()
        self._producers: dict[tuple[int, str], ProducerState] = {}
        self._dirty_producers: set[tuple[int, str]] = set()
        self._requests: dict[tuple[int, bytes], tuple[int, int]] = {}
        self._oldest_request_day = 0
        self.judge = True  # False: to look at a store, never to append
        self.unswept = 0  # leaves, the root log's included, that recovery would append again
        self.views: dict[int, StreamView] = {}
        self._resting_lock = threading.Lock()
        self._resting: Cache[int, tuple[bytes, StreamView]] = Cache(_RESTING_VIEWS)

    def add_row(self, number: int, row: StreamRow) -> None:
        """A stream that exists from now on."""
        self.rows[number] = row
        self.numbers[row.stream_id] = number
        self.tenant_streams[row.stream_id.partition(":")[0]] += 1

    def demand_all(self) -> None:
        """After the replay every stream has a row or is in memory. Else it would seem empty, and begin again under its name.

        Raises: CorruptStore.
        """
        with self._store.read() as txn:
            keys = txn.cursor(db=self._store.db["states"]).iternext(keys=True, values=False)
            stored = {int.from_bytes(key, "big") for key in keys}
        for number in self.rows.keys() - stored - self._hot.keys():
            raise CorruptStore(f"the state of stream {number} is missing")

    @property
    def dirty(self) -> int:
        """Rows that a sweep would write."""
        return len(self._dirty) + len(self._dirty_producers) + len(self._requests)

    def get(self, number: int) -> StreamState:
        """The state of a stream, loaded if need be and marked dirty. Raises: as `wake`."""
        state = self._hot.get(number) or self.wake(number)
        self._dirty.add(number)
        return state

    def wake(self, number: int) -> StreamState:
        """The state of a stream, in memory from now on.

        Raises: CorruptStore when its stored leaves do not give its root: what is appended to them would be signed.
        """
        state = self._hot.get(number)
        if state is None:
            with self._store.read() as txn:
                state = self._load(txn, number)
            # The next commit may sweep this row before it is signed: nobody must see it by then.
            self.views[number] = state.view()
            self._hot[number] = state
        return state

    def _row(self, txn: Any, number: int) -> Any:
        return txn.get(layout.u32(number), db=self._store.db["states"])

    def _load(self, txn: Any, number: int) -> StreamState:
        data = self._row(txn, number)
        if data is None:
            return StreamState(number, 0, "sha256:" + "0" * 64, 0, 0, [], Edge())
        row = _decode_state(data)
        tail = layout.decode_positions(row.tail)
        edge = load_edge(self._store, txn, number, row.size, tail)
        if self.judge and row.root and row.root != edge.root():
            raise CorruptStore(f"the stored leaves of stream {number} do not give its root")
        previous = "sha256:" + row.previous.hex()
        return StreamState(number, row.size, previous, row.ms, row.root_leaf, tail, edge)

    def publish(self, numbers: list[int]) -> None:
        """Let other threads see the streams just committed."""
        for number in numbers:
            self.views[number] = self._hot[number].view()

    def view(self, number: int) -> StreamView:
        """The newest committed picture of a stream; may be called from any thread. HOT."""
        view = self.views.get(number)
        return view if view is not None else self._resting_view(number)

    def _resting_view(self, number: int) -> StreamView:
        with self._store.read() as txn:
            data = self._row(txn, number)
            with self._resting_lock:
                known = self._resting.find(number)
            # Made of the same row, it is the same: a stream of this size and time has one tree.
            if data is not None and known is not None and known[0] == data:
                return known[1]
            view = self._view_of(txn, number, data)
            with self._resting_lock:
                self._resting.put(number, (bytes(data or b""), view))
        # Loaded by the writer before the row was read, it may be the row of a commit that is not signed yet.
        return self.views.get(number, view)

    def _view_of(self, txn: Any, number: int, data: Any) -> StreamView:
        """What a row says. Whether the leaves bear it out is for those to find who serve them."""
        row = None if data is None else _decode_state(data)
        if row is None or not row.root:
            return self._load(txn, number).view()
        tail = layout.decode_positions(row.tail)
        return StreamView(row.size, row.root, row.ms, row.root_leaf, tail)

    def producer(self, number: int, producer_id: str, *, keep: bool = True) -> ProducerState | None:
        """The state of a producer in a stream, None if it never wrote there. Other threads than the writer's keep none."""
        key = (number, producer_id)
        state = self._producers.get(key)
        if state is None:
            with self._store.read() as txn:
                data = txn.get(producer_key(*key), db=self._store.db["producers"])
            if data is None:
                return None
            row = _decode_producer(data)
            state = ProducerState(row.producer_id, row.last, row.runs)
            if keep:
                self._producers[key] = state
        return state

    def add_producer_event(self, number: int, producer_id: str, leaf: int) -> None:
        """The producer's next sequence stands at `leaf`."""
        key = (number, producer_id)
        state = self._producers.get(key) or self.producer(number, producer_id)
        if state is None:
            state = self._producers[key] = ProducerState(producer_id, 0, [])
        state.add(leaf)
        self._dirty_producers.add(key)

    def producer_leaf(self, number: int, producer_id: str, sequence: int) -> int:
        """Where a sequence that was recorded stands. Raises: CorruptStore if nowhere."""
        state = self.producer(number, producer_id)
        if state is None or not 1 <= sequence <= state.last:
            raise AssertionError("tlog: asked for a sequence that was never recorded")
        for runs in (state.runs, *state.spill):
            leaf = find_run(runs, sequence)
            if leaf is not None:
                return leaf
        leaf = find_in_pages(self._store, producer_key(number, producer_id), sequence)
        if leaf is not None:
            return leaf
        raise CorruptStore(f"sequence {sequence} of producer {producer_id!r} has no recorded place")

    def add_request(self, digest: bytes, ms: int, position: int, count: int) -> None:
        """An Idempotency-Key was used for the `count` events that start at `position`."""
        self._requests[(ms // _DAY_MS, digest)] = (position, count)

    def request(self, digest: bytes, ms: int) -> tuple[int, int] | None:
        """Position and count of the request that used this Idempotency-Key in the last 24 hours."""
        day = ms // _DAY_MS
        with self._store.read() as txn:
            for key in ((day, digest), (day - 1, digest)):
                found = self._requests.get(key)
                if found is None:
                    value = txn.get(layout.request_key(*key), db=self._store.db["requests"])
                    if value is None:
                        continue
                    found = layout.read_request_value(value)
                header = layout.CHUNK_HEADER.unpack_from(self._store.chunk(txn, found[0] >> 16))
                if header[3] > ms - _DAY_MS:
                    return found
        return None

    def sweep(self, txn: Any, ms: int) -> None:
        """Write every dirty row in key order, within the commit's transaction."""
        db = self._store.db
        for number in sorted(self._dirty):
            txn.put(layout.u32(number), _encode(self._hot[number].row()), db=db["states"])
        for key in sorted(self._dirty_producers):
            state = self._producers[key]
            prefix = producer_key(*key)
            for page in state.spill:
                txn.put(prefix + layout.u64(page[0].first), _encode(page), db=db["runs"])
            row = ProducerRow(state.producer_id, state.last, state.runs)
            txn.put(prefix, _encode(row), db=db["producers"])
        for request in sorted(self._requests):
            value = layout.request_value(*self._requests[request])
            txn.put(layout.request_key(*request), value, db=db["requests"])
        self._forget_old_requests(txn, ms // _DAY_MS)

    def _forget_old_requests(self, txn: Any, day: int) -> None:
        cursor = txn.cursor(db=self._store.db["requests"])
        limit = layout.u32(max(day - 1, 0))
        for _ in range(10_000):
            if not cursor.first() or bytes(cursor.key()[:4]) >= limit:
                return
            cursor.delete()

    def swept(self) -> None:
        """The sweep is committed: nothing is dirty."""
        self._dirty.clear()
        self.unswept = 0
        for key in self._dirty_producers:
            self._producers[key].spill.clear()
        self._dirty_producers.clear()
        self._requests.clear()
        if len(self._producers) > MAX_IDLE_STREAMS:
            self._producers.clear()

    def rest(self) -> None:
        """Forget the streams loaded longest ago if there are too many. After `publish`: from then on their rows are seen."""
        if self._dirty or not self._crowded():
            return
        hot = list(self._hot)
        for number in hot[: max(len(hot) // 2, len(hot) - MAX_IDLE_STREAMS)]:
            if number != layout.ROOT_LOG:
                # First the view: who asks in between finds the row, which is the same.
                del self.views[number]
                del self._hot[number]

    def _crowded(self) -> bool:
        streams = self._hot
        if len(streams) > MAX_IDLE_STREAMS:
            return True
        leaves = sum(len(state.tail) for state in streams.values())
        return len(streams) * _STREAM_BYTES + leaves * _LEAF_BYTES > MAX_IDLE_BYTES
