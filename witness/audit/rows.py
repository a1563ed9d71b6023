"""What the audit keeps of a log, beside what the cosigner keeps: how far everything was checked.

| database | key | value |
| --- | --- | --- |
| `audits` | SHA-256 of the log's origin | `AuditRow` |
| `audit_streams` | the same, then SHA-256 of the stream's label | `StreamRow` |
| `audit_entries` | the same | JSON of `tlog.client.fetch.entries.Checked`: how far its entries are read |

The rows of one step are written in one transaction, so the audit goes on where it stood, wherever it was cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import msgspec

from tlog.client.fetch.audit import Trail
from tlog.core.checkpoint import Checkpoint
from tlog.core.root_log import StreamHead
from tlog.errors import Refused, Unavailable
from witness.rows import decode, encode, origin_key
from witness.store import Store


class AuditRow(msgspec.Struct, frozen=True):
    """How far a log is followed: `size` leaves of its root log with their packed maximal subtrees.

    `note` is the newest head that is audited in full, with the log's lines and the auditor's: its `audited` leaves, its
    32-byte `root` and the POSIX second `time` of the auditor's cosignature; 0 and empty before the first. `shown` is the
    largest size that the log ever showed as its checkpoint; `clock` the newest time that it claimed, Unix milliseconds,
    for a head of `clock_size` leaves. `generation` counts how often it was told to begin again.
    """

    origin: str
    size: int = 0
    subtrees: bytes = b""
    audited: int = 0
    root: bytes = b""
    time: int = 0
    note: bytes = b""
    shown: int = 0
    clock: int = 0
    clock_size: int = 0
    generation: int = 0


class StreamRow(msgspec.Struct, frozen=True):
    """The newest head of one stream as `StreamHead`, and how far its leaves are checked: a `Trail`."""

    label: str
    size: int
    root: bytes
    leaf: int
    opened: int
    checked: int = 0
    subtrees: bytes = b""


class LogState:
    """`tlog.client.fetch.audit.AuditState` of one log, in the witness's store."""

    def __init__(self, store: Store, origin: str) -> None:
        self._store = store
        self._origin = origin
        self._key = origin_key(origin)
        #: Called after each `advance`, when it is stored.
        self.moved: Callable[[], None] = lambda: None
        self._generation = 0
        self.heads: MutableMapping[str, StreamHead] = _Heads(self)
        self.trails: Mapping[str, Trail] = _Trails(self)

    @property
    def row(self) -> AuditRow:
        """What is stored now."""
        with self._store.read() as txn:
            row = self._store.get(txn, "audits", self._key, AuditRow)
        return AuditRow(self._origin) if row is None else row

    def begin(self) -> AuditRow:
        """What is stored now; if it is told to begin again from here on, nothing more of this run is stored."""
        row = self.row
        self._generation = row.generation
        return row

    @property
    def root(self) -> Trail:
        """How far the root log is followed."""
        row = self.row
        return Trail(row.size, row.subtrees)

    def stream(self, label: str) -> StreamRow | None:
        """What is known of a stream."""
        with self._store.read() as txn:
            return self._store.get(txn, "audit_streams", self._stream_key(label), StreamRow)

    def streams(self) -> Iterator[str]:
        """The labels of all streams, and the reserved origins."""
        with self._store.read() as txn:
            cursor = txn.cursor(db=self._store.db["audit_streams"])
            more = cursor.set_range(self._key)
            found = []
            while more and cursor.key().startswith(self._key):
                found.append(decode(cursor.value(), StreamRow).label)
                more = cursor.next()
        return iter(found)

    def change(self, **members: Any) -> AuditRow:
        """Write members of the row."""
        with self._store.write() as txn:
            row = self._store.get(txn, "audits", self._key, AuditRow) or AuditRow(self._origin)
            row = msgspec.structs.replace(row, **members)
            self._store.put(txn, "audits", self._key, row)
        return row

    def audited(
        self, head: Checkpoint, note: bytes, sign: Callable[[Any, int], tuple[bytes, int]]
    ) -> bytes:
        """Store `head` as audited in full, under the log's `note`, with the line that `sign` makes; both or none.

        `sign` is given the transaction and the time of the newest line, and returns line and POSIX second; what it
        raises is raised. Raises: Refused (smaller) for a head that is not the newest one, or its successor.
        """
        with self._store.write() as txn:
            row = self._store.get(txn, "audits", self._key, AuditRow) or AuditRow(self._origin)
            if head.size < row.audited or (head.size == row.audited and head.root != row.root):
                raise Refused("smaller", f"a head of {row.audited} leaves is audited")
            line, at = sign(txn, row.time)
            row = msgspec.structs.replace(
                row, audited=head.size, root=head.root, time=at, note=note + line
            )
            self._store.put(txn, "audits", self._key, row)
        return line

    def advance(
        self, root: Trail, heads: Mapping[str, StreamHead], trails: Mapping[str, Trail]
    ) -> None:
        """Move to `root`, with the heads and trails that changed, in one transaction. Raises: Unavailable (begun-again)."""
        with self._store.write() as txn:
            row = self._store.get(txn, "audits", self._key, AuditRow) or AuditRow(self._origin)
            if row.generation != self._generation:
                raise Unavailable("begun-again", "the audit of this log begins again")
            row = msgspec.structs.replace(row, size=root.size, subtrees=root.subtrees)
            self._store.put(txn, "audits", self._key, row)
            for label in heads.keys() | trails.keys():
                key = self._stream_key(label)
                old = self._store.get(txn, "audit_streams", key, StreamRow)
                head = heads[label] if label in heads else _head(old)
                trail = trails[label] if label in trails else _trail(old)
                row_of = StreamRow(label, *head, trail.size, trail.subtrees)
                txn.put(key, encode(row_of), db=self._store.db["audit_streams"])
        self.moved()

    def _stream_key(self, label: str) -> bytes:
        return self._key + origin_key(label)


def begin_again(store: Store, txn: Any, origin: str) -> None:
    """Forget how far a log is followed, and what it showed; not what is signed as audited, which must never change."""
    key = origin_key(origin)
    for name in ("audit_streams", "audit_entries"):
        cursor = txn.cursor(db=store.db[name])
        more = cursor.set_range(key)
        while more and cursor.key().startswith(key):
            more = cursor.delete() and bool(cursor.key())
    row = store.get(txn, "audits", key, AuditRow)
    if row is not None:
        fresh = AuditRow(
            origin,
            audited=row.audited,
            root=row.root,
            time=row.time,
            note=row.note,
            generation=row.generation + 1,
        )
        store.put(txn, "audits", key, fresh)


def _head(row: StreamRow | None) -> StreamHead:
    if row is None:
        raise AssertionError("tlog: a stream without a head has a trail")
    return StreamHead(row.size, row.root, row.leaf, row.opened)


def _trail(row: StreamRow | None) -> Trail:
    return Trail() if row is None else Trail(row.checked, row.subtrees)


class _Heads(MutableMapping[str, StreamHead]):
    """The newest head of each stream; written by `advance` alone."""

    def __init__(self, state: LogState) -> None:
        self._state = state

    def __getitem__(self, label: str) -> StreamHead:
        row = self._state.stream(label)
        if row is None:
            raise KeyError(label)
        return _head(row)

    def __setitem__(self, label: str, head: StreamHead) -> None:
        raise AssertionError("tlog: heads move with the root log")

    def __delitem__(self, label: str) -> None:
        raise AssertionError("tlog: no stream is ever forgotten")

    def __iter__(self) -> Iterator[str]:
        return self._state.streams()

    def __len__(self) -> int:
        return sum(1 for _ in self._state.streams())


class _Trails(Mapping[str, Trail]):
    """How far each stream's leaves are checked."""

    def __init__(self, state: LogState) -> None:
        self._state = state

    def __getitem__(self, label: str) -> Trail:
        row = self._state.stream(label)
        if row is None:
            raise KeyError(label)
        return _trail(row)

    def __iter__(self) -> Iterator[str]:
        return self._state.streams()

    def __len__(self) -> int:
        return sum(1 for _ in self._state.streams())
