"""Doubt: when a store may be older than what was signed from it, and how an operator ends that.

A witness that was restored from a backup has forgotten cosignatures. Going on, it would cosign a smaller tree, or a fork,
with a clean conscience. So whatever shows that the store is not the newest puts EVERY log on hold, because they
all lie in one store, and each is released by hand with the newest cosignature of it that there is.

What shows it: the guard (`witness.guard`), and any cosignature of ours, published by a log or by others, that the store
does not know (`witness.lookout`). Neither can be forged by a log, so nobody else can stop a witness in this way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tlog.core.checkpoint import parse_checkpoint
from tlog.core.note import Note, VerifiedSignature, Verifier, open_note
from tlog.errors import Refused, VerificationError
from witness.cosigner import head_of, known_log
from witness.guard import Guard, GuardState
from witness.rows import CommitRow, HoldRow, LatestRow, LogRow, decode, encode, origin_key
from witness.state import Known, forgotten
from witness.store import Store

GUARD_DIFFERS = (
    "the store is not the one that the guard remembers: it was restored, or the guard was lost"
)
PUBLISHED = "a cosignature of this witness was found that its store does not know"


def settle_guard(store: Store, guard: Guard, now: int) -> bool:
    """Compare store and guard at start, hold everything if they differ, and make them agree. Whether they agreed.

    A crash in between finds them differing again, and does the same again.
    """
    with store.read() as txn:
        row = store.commit(txn)
    if guard.knows(row):
        agreed = True
    else:
        agreed = False
        hold_all(store, GUARD_DIFFERS, now)
        # A number that neither has had: what the lost store signed under it must never be taken for this one.
        number = max(row.number, guard.state.number if guard.state else 0) + 1
        with store.write() as txn:
            row = msgspec.structs.replace(store.commit(txn), number=number)
            store.put(txn, "meta", b"commit", row)
    guard.advance(GuardState(row.number, row.chain))
    return agreed


def hold_all(store: Store, reason: str, now: int, shown: LatestRow | None = None) -> int:
    """Hold every log, and every one that will be added; how many were not held before.

    `shown` is the cosignature that the store did not know: it is kept with the hold of its log.
    """
    fresh = 0
    with store.write() as txn:
        commit = store.commit(txn)
        store.put(txn, "meta", b"commit", msgspec.structs.replace(commit, restored=True))
        for _, data in txn.cursor(db=store.db["logs"]):
            origin = decode(data, LogRow).origin
            hold = store.hold(txn, origin)
            fresh += hold is None
            hold = hold or HoldRow(origin, reason, now)
            if shown is not None and shown.origin == origin and shown.size >= hold.size:
                hold = HoldRow(origin, hold.reason, hold.since, shown.size, shown.note)
            store.put(txn, "holds", origin_key(origin), hold)
    return fresh


def own_cosignature(data: bytes, log: Known, ours: list[Verifier]) -> LatestRow | None:
    """What a published checkpoint of `log` shows that this witness cosigned; None if no line of it is ours.

    Raises: InvalidInput (not a note, not a checkpoint), VerificationError (not the log's, or a forged line).
    """
    note = open_note(data, [*log.verifiers, *ours])
    head = parse_checkpoint(note.text)
    line = _newest_of(note, ours)
    if line is None:
        return None
    if head.origin != log.origin or not _signed_by(note, log.verifiers):
        raise VerificationError
    return LatestRow(head.origin, head.size, head.root, line.timestamp or 0, note.only_verified())


def _newest_of(note: Note, keys: list[Verifier]) -> VerifiedSignature | None:
    mine = [one for one in note.signatures if any(one.key_id == key.key_id for key in keys)]
    return max(mine, key=lambda one: one.timestamp or 0, default=None)


def _signed_by(note: Note, keys: tuple[Verifier, ...]) -> bool:
    names = {(key.name, key.key_id) for key in keys}
    return any((one.name, one.key_id) in names for one in note.signatures)


def unknown_cosignature(
    store: Store, data: bytes, log: Known, ours: Sequence[Verifier]
) -> LatestRow | None:
    """The cosignature in a published checkpoint that the store should know of and does not; None without one.

    `ours` are the cosigner's key and, after it, those of other roles. Raises: as `own_cosignature`; CorruptStore.
    """
    latest = store.latest(log.origin)
    known = None if latest is None else head_of(latest)
    for role, key in enumerate(ours):
        shown = own_cosignature(data, log, [key])
        # What is audited is cosigned first: the later time of that line is no news, a size or root may be.
        if shown is not None and forgotten(
            known, head_of(shown) if not role else head_of(shown)._replace(time=0)
        ):
            return shown
    return None


def resume(
    store: Store,
    origin: str,
    ours: list[Verifier],
    *,
    notes: Sequence[bytes] = (),
    as_stored: bool = False,
) -> LatestRow | None:
    """Release a log that is on hold, with the newest cosignature known of it; what is stored now.

    That is the largest of what the hold shows and of the `notes` that the operator gives; what is stored already is
    never replaced by something older. Without any, `as_stored` must say that nothing newer was ever cosigned.
    Raises: Refused (unknown-log, not-held, nothing-newer); InvalidInput, VerificationError for a note that is not one
    of this log, or that is forged.
    """
    key = origin_key(origin)
    with store.write() as txn:
        log, hold = store.get(txn, "logs", key, LogRow), store.hold(txn, origin)
        if log is None:
            raise Refused("unknown-log", f"no log {origin} is known here")
        if hold is None:
            raise Refused("not-held", f"{origin} is not on hold")
        best = _best(txn, store, known_log(log), ours, [hold.note, *notes])
        if best is None and not as_stored:
            raise Refused(
                "nothing-newer",
                "no cosignature newer than the store was given: find the newest checkpoint with a line of this "
                "witness (--note), or say that there is none (--as-stored)",
            )
        if best is not None:
            _adopt(txn, store, best)
        txn.delete(key, db=store.db["holds"])
        return store.latest_in(txn, origin)


def _best(
    txn: Any, store: Store, log: Known, ours: list[Verifier], notes: Sequence[bytes]
) -> LatestRow | None:
    """The newest of the cosignatures in `notes`, if it is as new as the stored one."""
    shown = [own_cosignature(note, log, ours) for note in notes if note]
    found = [one for one in shown if one is not None]
    best = max(found, key=lambda one: (one.size, one.time), default=None)
    stored = store.latest_in(txn, log.origin)
    if best is None or (stored is not None and (best.size, best.time) < (stored.size, stored.time)):
        return None
    return best


def _adopt(txn: Any, store: Store, best: LatestRow) -> None:
    commit: CommitRow = store.commit(txn)
    store.put(txn, "latest", origin_key(best.origin), best)
    newer = msgspec.structs.replace(commit, clock=max(commit.clock, best.time))
    txn.put(b"commit", encode(newer), db=store.db["meta"])
