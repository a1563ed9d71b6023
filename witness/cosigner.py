"""Cosigning: decide on a snapshot, decide again inside the transaction, store, remember, and only then let go.

    sign     into memory: what is signed is the checkpoint that was parsed, encoded again, so that a reader who would
             have read the log's bytes differently is given nothing. A crash here has written nothing.
    commit   the newest head of every origin in the batch with its note, compared and swapped in ONE synced transaction;
             LMDB lets no other write in between. A crash before: nobody has the signature. A crash after: it is
             stored, and the next request of that origin is answered with its size.
    guard    the commit is remembered outside the store. A crash after it: as above.
    answer   what leaves is durable, twice.

If the transaction or the guard raises, the outcome is unknown: a failed meta page write may or may not be there after a
restart, and LMDB would report the next commit as good. No signature of the batch leaves, and the process must end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from tlog.core.add_checkpoint import AddCheckpoint
from tlog.core.checkpoint import Checkpoint
from tlog.core.cosignature import CosignatureSigner
from tlog.core.note import parse_vkey
from tlog.errors import CorruptStore
from witness.clock import Clock
from witness.guard import Guard, GuardState, next_commit
from witness.rows import LatestRow, LogRow, decode, origin_key
from witness.state import Conflict, Cosign, Decision, Head, Known, Refuse, decide, origin_of
from witness.store import Store

_REMEMBERED_KEYS = 100_000


class Cosigned(NamedTuple):
    """The answer to a request: `lines` are our signature lines on it; `head` is what is stored now."""

    lines: bytes
    head: LatestRow


Answer: TypeAlias = Cosigned | Conflict | Refuse


class Cosigner:
    """Judges requests on any thread; cosigns on one, which alone may call `cosign`."""

    def __init__(self, store: Store, guard: Guard, signer: CosignatureSigner, clock: Clock) -> None:
        self._store = store
        self._guard = guard
        self._signer = signer
        self._clock = clock
        # Row bytes -> what they say: loading a public key costs as much as a signature.
        self._known: dict[bytes, Known] = {}

    def judge(self, request: AddCheckpoint) -> Decision:
        """The decision by what is committed now. `Cosign` is no promise: `cosign` decides.

        Raises: InvalidInput (malformed) for a note without a readable first line; CorruptStore.
        """
        with self._store.read() as txn:
            return self._decide(txn, request)[0]

    def cosign(self, requests: Sequence[AddCheckpoint]) -> list[Answer]:
        """Decide and cosign in one transaction; the answers in the order of the requests.

        Any exception means that the outcome is unknown: let nothing out and end the process.
        """
        answers: list[Answer] = []
        heads: list[LatestRow] = []
        with self._store.write() as txn:
            commit = self._store.commit(txn)
            for request in requests:
                decision, stored = self._decide(txn, request)
                if not isinstance(decision, Cosign):
                    answers.append(decision)
                    continue
                answer = self._sign(decision)
                # The same head in the same second has the same signature: there is nothing to store.
                if answer.head != stored:
                    self._store.put(txn, "latest", origin_key(answer.head.origin), answer.head)
                    heads.append(answer.head)
                answers.append(answer)
            if heads:
                commit = next_commit(commit, heads)
                self._store.put(txn, "meta", b"commit", commit)
        if heads:
            self._guard.advance(GuardState(commit.number, commit.chain))
        return answers

    def _decide(self, txn: Any, request: AddCheckpoint) -> tuple[Decision, LatestRow | None]:
        store = self._store
        origin = origin_of(request.note)
        data = txn.get(origin_key(origin), db=store.db["logs"])
        stored = store.latest_in(txn, origin)
        known = None if data is None else self._as_known(txn, data)
        head = None if stored is None else head_of(stored)
        floor = self._clock.floor(store.commit(txn).clock)
        return decide(request, known, head, self._clock.now(), floor), stored

    def _as_known(self, txn: Any, data: bytes) -> Known:
        known = self._known.get(data)
        if known is None:
            known = known_log(decode(data, LogRow))
            if len(self._known) >= _REMEMBERED_KEYS:
                self._known.clear()
            self._known[data] = known
        frozen = self._store.frozen(txn, known.origin)
        hold = self._store.hold(txn, known.origin)
        if frozen is None and hold is None:
            return known
        return known._replace(
            frozen=frozen.reason if frozen else "", held=hold.reason if hold else ""
        )

    def _sign(self, decision: Cosign) -> Cosigned:
        # What was parsed, written again: not the bytes that came in.
        text = decision.checkpoint.body()
        line = self._signer.sign_line(text, decision.time)
        head = decision.checkpoint
        row = LatestRow(head.origin, head.size, head.root, decision.time, decision.note + line)
        return Cosigned(line, row)


def known_log(row: LogRow) -> Known:
    """The log that a row configures, its keys loaded. Raises: InvalidInput."""
    return Known(row.origin, tuple(parse_vkey(vkey) for vkey in row.vkeys))


def head_of(row: LatestRow) -> Head:
    """What the row says was cosigned. Raises: CorruptStore unless its note says the same."""
    # LMDB has no checksums: a bit that flips in the row, or in the note, but not in both alike, is seen here.
    if not row.note.startswith(Checkpoint(row.origin, row.size, row.root).body() + b"\n"):
        raise CorruptStore(f"the newest checkpoint of {row.origin} is damaged")
    return Head(row.size, row.root, row.time)
