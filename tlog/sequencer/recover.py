"""Start-up: explain the stored state or refuse. Creating a log is a separate act.

Numbered, as `open_log` does it:
 1. the store names this log: same origin and key as the configuration;
 2. the guard is of this store and at the newest commit, or exactly one behind it with a chain that continues;
 3. the commits since the last sweep are appended again by the code that appended them first, and every head and the root
    come out as recorded;
 4. the root that comes out is the one that the commit row and the guard hold.
Anything else is a CorruptStore, and nothing is signed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import orjson

from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import EMPTY_ROOT
from tlog.core.times import MAX_MS
from tlog.errors import CorruptStore
from tlog.sequencer.guard import FIRST_CHAIN, Guard, GuardState, chain_heads
from tlog.sequencer.integrate import Draft
from tlog.sequencer.state import States
from tlog.store import layout
from tlog.store.environment import LogStore, put_commit_row, put_stream_row
from tlog.store.layout import CHUNK_HEADER, CommitRow, Record, StreamRow, read_record

ROOT_ROW = StreamRow("", "", True, b"")


def create_log(store: LogStore, guard_path: Path, origin: str, ms: int) -> None:
    """Commit 0: the root log with its first leaf, the body of its own empty checkpoint; and the guard.

    Raises: Refused when the guard file exists already.
    """
    body = Checkpoint(origin, 0, EMPTY_ROOT).body()
    states = States(store)
    draft = Draft(states, origin, "", 0, ms, 0)
    states.add_row(layout.ROOT_LOG, ROOT_ROW)
    draft.begin_root(body)
    draft.close()
    chain = chain_heads(FIRST_CHAIN, 0, [], draft.root.body())
    row = CommitRow(0, ms, 0, 1, 0, 1, draft.root.size, draft.root.root, chain)
    guard = Guard.create(
        guard_path, store.log_row().store_id, GuardState(0, row.root_size, row.root_hash, chain)
    )
    guard.close()
    with store.env.begin(write=True) as txn:
        for number, data in draft.chunks():
            txn.put(layout.u64(number), data, db=store.db["journal"])
        put_stream_row(txn, store.db["streams"], layout.ROOT_LOG, ROOT_ROW)
        states.sweep(txn, ms)
        put_commit_row(txn, store.db["meta"], row)


def open_log(store: LogStore, guard: Guard, origin: str, vkey: str) -> tuple[States, CommitRow]:
    """The state to go on from. Raises: CorruptStore with what cannot be explained."""
    identity = store.log_row()
    if (identity.origin, identity.vkey) != (origin, vkey):
        raise CorruptStore(
            f"the store belongs to {identity.origin} with the key {identity.vkey}, "
            f"the configuration and key say {origin} with {vkey}"
        )
    row = store.commit_row()
    if row is None:
        raise CorruptStore("the store has no commit: its creation was cut off")
    states = States(store)
    bodies = replay(store, states, origin, row)
    states.demand_all()
    _check_guard(guard, row, bodies, Checkpoint(origin, row.root_size, row.root_hash))
    store.writing = True
    return states, row


def replay(
    store: LogStore, states: States, origin: str, row: CommitRow, *, judge: bool = True
) -> list[bytes]:
    """Append the commits since the last sweep again; the stream heads of the newest commit.

    Without `judge`, what does not follow is left for verification to find and to name.
    """
    states.judge = judge
    bodies: list[bytes] = []
    root = Checkpoint(origin, row.root_size, row.root_hash)
    rebuilt: Checkpoint | None = None
    for number, ms, first_chunk, records in _commits(store, row):
        draft = Draft(states, origin, "", number, ms, first_chunk)
        recorded = _append_commit(states, draft, records, judge=judge)
        draft.close(write_heads=False)
        draft.finish_tiles()
        bodies = [record.entry for record in recorded]
        if judge and bodies != draft.bodies:
            raise CorruptStore(
                f"the stream heads of commit {number} do not follow from its entries"
            )
        rebuilt = draft.root
        states.publish(draft.touched)
    if rebuilt is None:
        state = states.get(layout.ROOT_LOG)
        rebuilt = Checkpoint(origin, state.size, state.edge.root())
        bodies = _heads_of(store, row)
    if judge and rebuilt != root:
        raise CorruptStore("the root log's stored leaves do not give the recorded root")
    return bodies


def _append_commit(
    states: States, draft: Draft, records: list[tuple[int, Record]], *, judge: bool
) -> list[Record]:
    heads = []
    touched: list[int] = []
    for position, record in records:
        if record.stream not in states.rows:
            raise CorruptStore(f"the store does not name stream {record.stream} of its journal")
        draft.replay(record, position)
        if record.kind == layout.HEAD:
            heads.append(record)
            continue
        touched.append(record.stream)
        # Without a judge nothing is appended after this, and an entry may be no JSON at all.
        producer = _producer(record.entry) if judge else None
        if producer is not None:
            states.add_producer_event(record.stream, producer, record.index)
        if record.request is not None:
            states.add_request(record.request[0], draft.ms, position, record.request[1])
    for number, head in zip(sorted(set(touched)), heads, strict=False):
        states.get(number).root_leaf = head.index
    return heads


def _producer(entry: bytes) -> str | None:
    """The id of an entry's producer."""
    try:
        producer = orjson.loads(entry)["payload"].get("producer")
        return None if producer is None else str(producer["id"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptStore("the journal holds an entry that is none") from error


def _commits(
    store: LogStore, row: CommitRow
) -> Iterator[tuple[int, int, int, list[tuple[int, Record]]]]:
    """(number, ms, first chunk, records with positions) of the commits after the last sweep."""
    chunk_number = row.swept_chunk
    expected = row.swept + 1
    while expected <= row.number:
        first = chunk_number
        records: list[tuple[int, Record]] = []
        while chunk_number < row.next_chunk:
            with store.read() as txn:
                chunk = bytes(store.chunk(txn, chunk_number))
            _, commit, first_chunk, ms = CHUNK_HEADER.unpack_from(chunk)
            if first_chunk != first:
                break
            if commit != expected:
                raise CorruptStore(
                    f"journal chunk {chunk_number} is of commit {commit}, not {expected}"
                )
            if not 0 <= ms <= MAX_MS:
                raise CorruptStore(f"journal chunk {chunk_number} is of no time")
            records.extend(records_of(chunk, chunk_number))
            commit_ms = ms
            chunk_number += 1
        if not records:
            raise CorruptStore(f"commit {expected} is missing from the journal")
        yield expected, commit_ms, first, records
        expected += 1


def records_of(chunk: bytes, number: int) -> Iterator[tuple[int, Record]]:
    """All records of a chunk with their positions. Raises: CorruptStore when they do not fill it."""
    offset = CHUNK_HEADER.size
    while offset < len(chunk):
        try:
            record, end = read_record(chunk, offset)
        except struct.error:
            end = len(chunk) + 1
        if end > len(chunk):
            raise CorruptStore(f"journal chunk {number} holds no record at {offset}")
        yield number << 16 | offset, record
        offset = end


def _heads_of(store: LogStore, row: CommitRow) -> list[bytes]:
    """The stream heads that the newest commit appended to the root log."""
    bodies: list[bytes] = []
    for number in range(row.first_chunk, row.next_chunk):
        with store.read() as txn:
            chunk = bytes(store.chunk(txn, number))
        bodies.extend(r.entry for _, r in records_of(chunk, number) if r.kind == layout.HEAD)
    return bodies if row.number else []


def _check_guard(guard: Guard, row: CommitRow, bodies: list[bytes], root: Checkpoint) -> None:
    state = guard.state
    now = GuardState(row.number, row.root_size, row.root_hash, row.chain)
    if state == now:
        return
    if state.commit + 1 == row.number:
        if chain_heads(state.chain, row.number, bodies, root.body()) != row.chain:
            raise CorruptStore(
                "the store's newest commit does not continue what the guard remembers"
            )
        guard.advance(now)
        return
    if state.commit > row.number:
        raise CorruptStore(
            f"the store ends at commit {row.number}, the guard remembers {state.commit}: "
            "the store was rolled back (a restored backup?). Signing would fork the log"
        )
    raise CorruptStore(f"the guard remembers commit {state.commit}, the store has {row.number}")


__all__ = ["create_log", "open_log", "records_of", "replay"]
