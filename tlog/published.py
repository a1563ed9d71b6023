"""The notes of published roots as they are stored: which root a proof names, and which one a quorum has cosigned."""

from __future__ import annotations

from itertools import count
from typing import Any

from tlog.core.keys import EM_DASH_SPACE
from tlog.core.policy import Policy
from tlog.errors import CorruptStore, TlogError, VerificationError
from tlog.store import layout
from tlog.store.environment import LogStore

# Notes without a quorum that are looked at one by one: minutes without witnesses. A longer outage is passed over in doubling
# steps, and its end searched for by halves, so that one of months costs little more; a proof is made on the event loop.
_ONE_BY_ONE = 256
# The newest notes, which may still wait for their quorum.
_YOUNG = 64


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
    """The same of the first one whose note satisfies the policy.

    After a long outage: of the first one at its end, or, if short outages follow it, of one soon after.
    """
    with store.read() as txn:
        cursor = txn.cursor(db=store.db["published"])
        without, step = root_leaf, 1  # the newest size that is known to have no quorum
        for passed in count():
            if not cursor.set_range(layout.u64(without + step)):
                # A step led over the end, perhaps over an end of the outage too.
                found, without = _newest_witnessed(cursor, policy, root_leaf), root_leaf
                break
            size, note = _row(cursor)
            if has_quorum(note, policy):
                found = size, note
                break
            without, step = size, 1 if passed < _ONE_BY_ONE else 2 * step
        return None if found is None else _end_of_outage(cursor, policy, without, found)


def _newest_witnessed(cursor: Any, policy: Policy, above: int) -> tuple[int, bytes] | None:
    """Of the newest few published roots above a size, the newest one that has its quorum already."""
    there = cursor.last()
    for _ in range(_YOUNG):
        if not there:
            break
        size, note = _row(cursor)
        if size <= above:
            break
        if has_quorum(note, policy):
            return size, note
        there = cursor.prev()
    return None


def _end_of_outage(
    cursor: Any, policy: Policy, without: int, found: tuple[int, bytes]
) -> tuple[int, bytes]:
    """The first root with a quorum above the size `without` and up to `found`, if those below it have none."""
    top = found[0] - 1
    while without < top:
        middle = (without + top) // 2
        if not cursor.set_range(layout.u64(middle + 1)):
            break
        size, note = _row(cursor)
        if size <= top and not has_quorum(note, policy):
            without = size
            continue
        if size <= top:
            found = size, note
        top = middle
    return found


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
