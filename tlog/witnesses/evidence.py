"""What a witness shows of this log, and whether it convicts us: our own signature over what this store does not continue.

A witness's word alone convicts nobody. Anybody can claim a larger size; only the holder of our key can sign one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from tlog.core.checkpoint import Checkpoint, open_checkpoint
from tlog.core.hashes import EMPTY_ROOT, Hash
from tlog.core.note import MAX_NOTE_SIZE, Verifier
from tlog.core.wire import b64encode
from tlog.errors import TlogError

MAX_SHOWN = MAX_NOTE_SIZE


class Shown(NamedTuple):
    """`size` is of the note under our signature, None when nothing of ours is shown; `conflict` says what is wrong."""

    size: int | None
    conflict: str | None


def monitoring_url(url: str, origin: str) -> str:
    """Where a witness shows the newest checkpoint that it cosigned (tlog-witness, "Monitoring").

    Our policy has one URL per witness, so its submission and monitoring prefixes are taken to be equal.
    """
    return f"{url}/{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint"


def judge_shown(
    note: bytes,
    log: Verifier,
    head: Callable[[], Checkpoint],
    root_of: Callable[[int], Hash],
) -> Shown:
    """Hold what a witness shows against the store. `head` is asked last: it may have grown since the witness answered."""
    try:
        shown, _ = open_checkpoint(note, [log], log.name)
    except TlogError:
        return Shown(None, None)  # not signed by us, so it says nothing
    newest = head()
    if shown.size > newest.size:
        return Shown(
            shown.size,
            f"a root of size {shown.size} with our signature, while this store ends at {newest.size}",
        )
    root = root_of(shown.size) if shown.size else EMPTY_ROOT
    if shown.root != root:
        return Shown(
            shown.size,
            f"with our signature another root of size {shown.size}, {b64encode(shown.root)}, "
            f"than this store has, {b64encode(root)} (it ends at {newest.size})",
        )
    return Shown(shown.size, None)


def verdict(witness: str, conflict: str) -> str:
    """The sentence for the operator."""
    return (
        f"witness {witness} shows {conflict}: this store was rolled back (a restored backup?), or the key was used "
        "elsewhere. Signing would fork the log, so nothing is signed. Find the store that this root belongs to and "
        "serve that one; do not remove the witness from the policy to get on"
    )
