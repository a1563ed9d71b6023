"""The notes of published roots as they are stored: which root a proof names, and which one a quorum has cosigned."""

from __future__ import annotations

from itertools import count
from typing import Any

from tlog.core.keys import EM_DASH_SPACE
from tlog.core.policy import Policy
from tlog.errors import CorruptStore, TlogError, VerificationError
from tlog.store import layout
from tlog.store.environment import LogStore

# Notes without a quorum that are passed over one by one, in one transaction: more than an hour without witnesses.
# After that it goes on in doubling steps, so that an outage of months costs no more.
_ONE_BY_ONE = 4096


def newest(store: LogStore) -> tuple[int, bytes] | None:
    """Size and note of the newest published root."""
    with store.read() as txn:
        cursor = txn.cursor(db=store.db["published"])
        return _row(cursor) if cursor.last() else None


def first_published(store: LogStore, root_leaf: int) -> tuple[int, bytes] | None:
    """Size and note of the first published root that covers a leaf of the root log."""
    with store.read() as txn:
        cursor = txn.cursor(db=store.db["published"])
        return _row(cursor) if cursor.set_range(layout.u64(root_leaf + 1)) else None


def first_witnessed(store: LogStore, policy: Policy, root_leaf: int) -> tuple[int, bytes] | None:
    """The same of the first one whose note satisfies the policy; after a long outage, of one soon after the first."""
    with store.read() as txn:
        cursor = txn.cursor(db=store.db["published"])
        at, step = root_leaf + 1, 1
        for passed in count():
            if not cursor.set_range(layout.u64(at)):
                break
            size, note = _row(cursor)
            if has_quorum(note, policy):
                return size, note
            step = 1 if passed < _ONE_BY_ONE else 2 * step
            at = size + step
        # A step may have led over the end: then the newest one that will do, as the very newest has hardly been seen.
        found = cursor.last()
        for _ in range(_ONE_BY_ONE):
            if not found:
                break
            size, note = _row(cursor)
            if size <= root_leaf:
                break
            if has_quorum(note, policy):
                return size, note
            found = cursor.prev()
        return None


def has_quorum(note: bytes, policy: Policy) -> bool:
    """Whether a stored note has the quorum's cosignatures. Raises: CorruptStore when a line of it does not verify."""
    names = [witness.verifier.name.encode() for witness in policy.witnesses]
    claimed = [
        witness.name
        for witness, name in zip(policy.witnesses, names, strict=True)
        if EM_DASH_SPACE + name + b" " in note
    ]
    if not policy.satisfied_by(claimed):  # most notes of an outage end here
        return False
    try:
        opened = policy.open_checkpoint(note)[1]
    except TlogError as error:
        raise CorruptStore("a stored note of a published root does not verify") from error
    try:
        policy.verify_quorum(opened)
    except VerificationError:
        return False
    return True


def _row(cursor: Any) -> tuple[int, bytes]:
    return layout.read_u64(cursor.key()), bytes(cursor.value())
