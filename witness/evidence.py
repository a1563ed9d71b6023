"""Evidence: what shows that a log lied, kept for ever and shown to everybody; and the mark that follows from it.

In scope: durable documents by id, freezing the log in the same transaction, the operator's decision to go on.
Out of scope: what a document proves (`tlog.core.fork` for fork proofs), who is told (`witness.alarms`).

A document is kept before anybody is told, and never deleted. Its id is the SHA-256 of its bytes. Once a log is
frozen, its root log and all of its streams are cosigned no more until `witness evidence resolve`; that does not
make the evidence untrue, so it stays, with the reason that the operator gave. What it names is then settled: the
same heads, shown again, freeze nothing; another head of the losing history does.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from tlog.core.checkpoint import Checkpoint
from tlog.errors import Refused
from witness.audit.rows import begin_again
from witness.rows import FrozenRow, decode, origin_key, whole_log
from witness.store import Store

FORK = "fork"
WITHHELD = "withheld"
#: Two roots for one size, under two keys of the log: no fork proof, for a proof is checked with one key.
CONFLICT = "conflict"
#: Documents of one kind about one log. A log that lies can do so in any number of ways; the first ones will do.
MOST = 100


class EvidenceRow(msgspec.Struct, frozen=True):
    """One document about the log `log`. `heads` are (origin, size, root) of those that it names.

    `summary` are lines for a human; `found` and `resolved` in POSIX seconds, 0: not resolved; `decision` is the
    operator's reason.
    """

    id: str
    log: str
    kind: str
    summary: tuple[str, ...]
    source: str
    found: int
    document: bytes
    heads: tuple[tuple[str, int, bytes], ...] = ()
    resolved: int = 0
    decision: str = ""


class EvidenceStore:
    """The evidence in one witness's store. Any thread, and commands beside a running server."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def keep(
        self,
        document: bytes,
        log_origin: str,
        *,
        kind: str = "finding",
        summary: Iterable[str] = (),
        heads: Iterable[Checkpoint] = (),
        source: str = "",
    ) -> str:
        """Store a document durably and return its id, 64 hex digits. What is there already stays as it is."""
        with self._store.write() as txn:
            return self._keep(txn, document, log_origin, kind, summary, heads, source)[0]

    def freeze(self, log_origin: str, reason: str) -> None:
        """Cosign nothing more of this log, root and streams. A mark that stands is kept as it is."""
        self._store.freeze(log_origin, reason, int(self._clock()))

    def convict(
        self,
        document: bytes,
        log_origin: str,
        *,
        kind: str = FORK,
        summary: Iterable[str] = (),
        heads: Iterable[Checkpoint] = (),
        source: str = "",
    ) -> tuple[str, bool]:
        """Keep a document and freeze its log, in one transaction; the id, and whether that is news.

        One that was known before freezes nothing: it was frozen for it then, and somebody decided otherwise.
        """
        with self._store.write() as txn:
            found, fresh, kept = self._keep(txn, document, log_origin, kind, summary, heads, source)
            key = origin_key(whole_log(log_origin))
            freezes = fresh and self._store.get(txn, "frozen", key, FrozenRow) is None
            if freezes:
                reason = f"it lied: evidence {found[:16]}"
                row = FrozenRow(whole_log(log_origin), reason, int(self._clock()))
                self._store.put(txn, "frozen", key, row)
        return found, kept or freezes

    def _keep(
        self,
        txn: Any,
        document: bytes,
        log_origin: str,
        kind: str,
        summary: Iterable[str],
        heads: Iterable[Checkpoint],
        source: str,
    ) -> tuple[str, bool, bool]:
        """Its id, whether it was not there before, whether it is there now that it was not."""
        log = whole_log(log_origin)
        digest = hashlib.sha256(document).digest()
        key = origin_key(log) + digest
        if txn.get(key, db=self._store.db["evidence"]) is not None:
            return digest.hex(), False, False
        room = sum(row.kind == kind for row in self._of(txn, log)) < MOST
        if room:
            named = tuple((head.origin, head.size, head.root) for head in heads)
            now = int(self._clock())
            told = tuple(summary)
            row = EvidenceRow(digest.hex(), log, kind, told, source, now, document, named)
            self._store.put(txn, "evidence", key, row)
        return digest.hex(), True, room

    def all(self) -> list[EvidenceRow]:
        """Everything, oldest first."""
        rows = self._store.all("evidence", EvidenceRow)
        return sorted(rows, key=lambda row: (row.found, row.id))

    def of(self, log_origin: str) -> list[EvidenceRow]:
        """What is kept about one log."""
        with self._store.read() as txn:
            return self._of(txn, whole_log(log_origin))

    def get(self, identifier: str) -> EvidenceRow:
        """One document by its id, or by the first eight digits of it or more, if no other has them.

        Raises: Refused (not-found).
        """
        rows = self._store.all("evidence", EvidenceRow)
        found = [row for row in rows if row.id.startswith(identifier)]
        if len(identifier) < 8 or len(found) != 1:
            raise Refused("not-found", f"no evidence, or more than one, has the id {identifier}")
        return found[0]

    def settled(self, log_origin: str) -> set[tuple[str, int, bytes]]:
        """The heads that resolved evidence against a log names; not those that were only withheld."""
        rows = [row for row in self.of(log_origin) if row.resolved and row.kind != WITHHELD]
        return {head for row in rows for head in row.heads}

    def borne_out(self, log_origin: str, head: tuple[str, int, bytes]) -> None:
        """A head was withheld, and is no more: nothing is held against the log for it any longer."""
        rows = [row for row in self.of(log_origin) if row.kind == WITHHELD and not row.resolved]
        rows = [row for row in rows if head in row.heads]
        if not rows:
            return
        with self._store.write() as txn:
            for row in rows:
                self._settle(txn, row, "the log bore it out later")

    def _settle(self, txn: Any, row: EvidenceRow, decision: str) -> EvidenceRow:
        done = msgspec.structs.replace(row, resolved=int(self._clock()), decision=decision)
        self._store.put(txn, "evidence", origin_key(row.log) + bytes.fromhex(row.id), done)
        return done

    def resolve(self, log_origin: str, decision: str) -> list[EvidenceRow]:
        """Cosign a log again in spite of what is known of it; the rows that this settles.

        The newest notes of its origins are forgotten, because they may be of the losing history, and so is how far it was
        audited.
        A log that is not frozen may have evidence, too: what it withheld. Raises: Refused (not-frozen) where there is none.
        """
        log = whole_log(log_origin)
        key = origin_key(log)
        with self._store.write() as txn:
            thawed = txn.delete(key, db=self._store.db["frozen"])
            rows = [row for row in self._of(txn, log) if not row.resolved]
            if not thawed and not rows:
                raise Refused("not-frozen", f"{log} is not frozen")
            settled = [self._settle(txn, row, decision) for row in rows]
            if thawed:
                for name in _below(txn, self._store.db["notes"], key):
                    txn.delete(name, db=self._store.db["notes"])
                begin_again(self._store, txn, log)
        return settled

    def _of(self, txn: Any, log: str) -> list[EvidenceRow]:
        database = self._store.db["evidence"]
        names = _below(txn, database, origin_key(log))
        return [decode(txn.get(name, db=database), EvidenceRow) for name in names]


def _below(txn: Any, database: Any, prefix: bytes) -> list[bytes]:
    """The keys that begin with `prefix`."""
    found = []
    cursor = txn.cursor(db=database)
    more = cursor.set_range(prefix)
    while more and cursor.key().startswith(prefix):
        found.append(bytes(cursor.key()))
        more = cursor.next()
    return found
