"""The newest note of every origin that gossip has verified: what further notes are compared with, and what peers are told.

In scope: durable rows, opening a note under the keys of a configured log. Out of scope: comparing (`witness.compare`).
A note is kept without the lines of unknown keys. There are no more than MOST streams of one log: one that is full
forgets the stream that it has not heard of for longest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

import msgspec

from tlog.core.checkpoint import Checkpoint, parse_checkpoint
from tlog.core.ids import stream_origin
from tlog.core.note import Verifier, open_note, parse_vkey
from tlog.core.root_log import is_label
from tlog.errors import InvalidInput, VerificationError
from witness.rows import LatestRow, LogRow, decode, origin_key, whole_log
from witness.store import Store

MOST = 1000
MAX_NOTE = 16_384
"""Bytes of a note that gossip looks at: a hundred Ed25519 lines have their place."""


Place: TypeAlias = tuple[str, int, bytes]
"""A head as a key: origin, size, root."""


class NoteRow(msgspec.Struct, frozen=True):
    """The newest head of `origin` that was found consistent, 32-byte root; `seen` in POSIX seconds."""

    origin: str
    size: int
    root: bytes
    note: bytes
    seen: int


class Signed(NamedTuple):
    """A note that a key of a configured log signed. `note` has no other lines than the log's."""

    log: LogRow
    head: Checkpoint
    note: bytes

    @classmethod
    def of(cls, log: LogRow, row: NoteRow | LatestRow) -> Signed:
        """What the store has."""
        return cls(log, Checkpoint(row.origin, row.size, row.root), row.note)

    @property
    def place(self) -> Place:
        """The head as a key."""
        return self.head.origin, self.head.size, self.head.root


def verifiers(log: LogRow, origin: str) -> list[Verifier]:
    """The log's keys under the name that they have in notes of `origin`, the log's own or a stream's.

    Raises: InvalidInput for an origin that can be no key name.
    """
    keys = [parse_vkey(vkey) for vkey in log.vkeys]
    if origin == log.origin:
        return keys
    return [Verifier(origin, key.public_key, key.key_type) for key in keys]


def open_signed(data: bytes, find: Callable[[str], LogRow | None]) -> Signed | None:
    """Verify a note that came from anywhere; None for all that is not of a configured log.

    `find` gives the log of an origin. Cheap for junk: without a known log in its first line no signature is looked at.
    """
    if len(data) > MAX_NOTE:
        return None
    origin = data.partition(b"\n")[0].decode(errors="replace")
    try:
        log = find(whole_log(origin))
        if log is None or not (
            origin == log.origin or is_label(origin.removeprefix(stream_origin(log.origin, "")))
        ):
            return None
        note = open_note(data, verifiers(log, origin))
        head = parse_checkpoint(note.text)
    except (InvalidInput, VerificationError):
        return None
    return Signed(log, head, note.only_verified())


class Notes:
    """The rows. Any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def newest(self, origin: str) -> NoteRow | None:
        """The newest note of an origin."""
        with self._store.read() as txn:
            return self._store.get(txn, "notes", _key(origin), NoteRow)

    def keep(self, signed: Signed, now: int) -> bool:
        """Remember a head that is consistent with the newest, if it is newer; whether it was."""
        head = signed.head
        with self._store.write() as txn:
            row = self._store.get(txn, "notes", _key(head.origin), NoteRow)
            if row is not None and row.size >= head.size:
                return False
            if row is None and head.origin != signed.log.origin:
                self._make_room(txn, signed.log.origin)
            row = NoteRow(head.origin, head.size, head.root, signed.note, now)
            self._store.put(txn, "notes", _key(head.origin), row)
        return True

    def _make_room(self, txn: Any, log: str) -> None:
        prefix, database = origin_key(log), self._store.db["notes"]
        rows: list[NoteRow] = []
        cursor = txn.cursor(db=database)
        more = cursor.set_range(prefix)
        while more and cursor.key().startswith(prefix):
            rows.append(decode(cursor.value(), NoteRow))
            more = cursor.next()
        streams = [row for row in rows if row.origin != log]
        if len(streams) >= MOST:
            oldest = min(streams, key=lambda row: (row.seen, row.origin))
            txn.delete(_key(oldest.origin), db=database)

    def all(self) -> list[NoteRow]:
        """Every row, the newest heard of first."""
        rows: Iterable[NoteRow] = self._store.all("notes", NoteRow)
        return sorted(rows, key=lambda row: (-row.seen, row.origin))


def _key(origin: str) -> bytes:
    """Notes of one log lie together."""
    return origin_key(whole_log(origin)) + origin_key(origin)
