"""What a witness decides about one `add-checkpoint` request: the specification as one function, and nothing else.

Source: https://c2sp.org/tlog-witness (main, after v1.0.0), "add-checkpoint". PURE: what is known comes in, the decision goes out.
In scope: the checks on a parsed request, in the order in which the strict witnesses have them. Out of scope: parsing
(`tlog.core.add_checkpoint`), which HTTP status a decision is (`witness.api`), making it true (`witness.cosigner`).
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from tlog.core.add_checkpoint import AddCheckpoint
from tlog.core.checkpoint import Checkpoint, parse_checkpoint
from tlog.core.hashes import EMPTY_ROOT, Hash
from tlog.core.note import Note, Verifier, open_note
from tlog.core.proofs import verify_consistency
from tlog.errors import InvalidInput, VerificationError

# Kinds of refusal.
MALFORMED = "malformed"
UNKNOWN_LOG = "unknown-log"
UNTRUSTED = "untrusted"
OLD_TOO_LARGE = "old-too-large"
FROZEN = "frozen"
HELD = "held"
WRONG_ROOT = (
    "wrong-root"  # signed by the log, and no tree of that size that it showed before has this root
)
INCONSISTENT = "inconsistent"
CLOCK = "clock"
KINDS = (
    MALFORMED,
    UNKNOWN_LOG,
    UNTRUSTED,
    OLD_TOO_LARGE,
    FROZEN,
    HELD,
    WRONG_ROOT,
    INCONSISTENT,
    CLOCK,
)


class Known(NamedTuple):
    """A configured log. `frozen` and `held` say why nothing of it is cosigned now, or are empty."""

    origin: str
    verifiers: tuple[Verifier, ...]
    frozen: str = ""
    held: str = ""


class Head(NamedTuple):
    """A checkpoint that was cosigned: 32-byte root, time of the cosignature in POSIX seconds."""

    size: int
    root: Hash
    time: int


class Cosign(NamedTuple):
    """Cosign `checkpoint` at POSIX second `time`. `note` has nothing in it but its text and the log's verified lines."""

    checkpoint: Checkpoint
    time: int
    note: bytes


class Conflict(NamedTuple):
    """The request's old size is not that of the newest cosigned checkpoint, which has `size` leaves."""

    size: int


class Refuse(NamedTuple):
    """Do not cosign. `note`, where it is given, was signed by the log and may be evidence against it."""

    kind: str
    detail: str
    note: Note | None = None


Decision: TypeAlias = Cosign | Conflict | Refuse


def origin_of(note: bytes) -> str:
    """The first line of an unverified note: which log to look up. Raises: InvalidInput (malformed)."""
    origin = note.partition(b"\n")[0]
    try:
        text = origin.decode()
    except UnicodeDecodeError:
        raise InvalidInput("malformed", "the checkpoint is not UTF-8") from None
    # SPEC: tlog-checkpoint "The origin MUST be non-empty".
    if not text:
        raise InvalidInput("malformed", "there is no checkpoint")
    return text


def decide(
    request: AddCheckpoint, log: Known | None, latest: Head | None, now: int, floor: int
) -> Decision:
    """Decide about a request. Asked again inside the transaction that writes: only there `latest` is surely the newest.

    `log` and `latest` are what is stored of the origin that the note names; `latest` is None if it was never cosigned.
    `now` is the clock in POSIX seconds, 0 if it is not to be trusted; below `floor`, at least 1, it is wrong.
    """
    # SPEC: tlog-witness "If the checkpoint origin is unknown, the witness MUST respond with a "404 Not Found" HTTP status
    # code."
    if log is None:
        return Refuse(UNKNOWN_LOG, "no log of that origin is known here")
    opened = _open(request, log)
    if isinstance(opened, Refuse):
        return opened
    note, head = opened
    # SPEC: "or zero if it never cosigned a checkpoint for that origin"
    known = latest or Head(0, EMPTY_ROOT, 0)
    refusal = _alone(request, head, note) or _halted(log) or _against(request, head, note, known)
    if refusal is not None:
        return refusal
    # SPEC: "The cosignature MUST NOT omit the timestamp, i.e. the timestamp MUST NOT be zero." And it says that this is
    # the largest tree seen by then, so a later one is never given an earlier time.
    if now < floor:
        return Refuse(
            CLOCK, "the clock of this witness is wrong; nothing is cosigned until it is right"
        )
    return Cosign(head, max(now, known.time), note.only_verified())


def _open(request: AddCheckpoint, log: Known) -> tuple[Note, Checkpoint] | Refuse:
    """The note under the log's keys, and what it says; or 403, 400."""
    try:
        # SPEC: "The witness MUST verify the checkpoint signature against the public key(s) it trusts for the
        # checkpoint origin, and it MUST ignore signatures from unknown keys."
        note = open_note(request.note, log.verifiers)
        head = parse_checkpoint(note.text)
    except VerificationError:
        # SPEC: "The witness MUST respond with a "403 Forbidden" HTTP status code if either no signature from a trusted
        # key for the origin is present, or a signature line's key name and ID match a trusted key but the signature
        # itself fails to verify".
        return Refuse(UNTRUSTED, "no valid signature of a key that is trusted for this origin")
    except InvalidInput as error:
        # Extension lines are refused with the rest: a cosignature would vouch for what no monitor can audit.
        return Refuse(MALFORMED, f"not a checkpoint: {error.detail}")
    if head.origin != log.origin:
        raise AssertionError("tlog: decide was given another log than the note names")
    return note, head


def _alone(request: AddCheckpoint, head: Checkpoint, note: Note) -> Refuse | None:
    """What is wrong whatever was cosigned before: 400 or 422."""
    # SPEC: "The old size MUST be equal to or lower than the checkpoint size. Otherwise, the witness MUST respond with a
    # "400 Bad Request" HTTP status code."
    if request.old > head.size:
        return Refuse(OLD_TOO_LARGE, "the old size is larger than the checkpoint's")
    # SPEC: "A checkpoint of size zero MUST have the root hash of the empty tree [...]. Otherwise, the witness MUST
    # respond with a "422 Unprocessable Entity" HTTP status code."
    if head.size == 0 and head.root != EMPTY_ROOT:
        return Refuse(WRONG_ROOT, "the empty tree has another root", note)
    return None


def _halted(log: Known) -> Refuse | None:
    """Our own reasons. Before the conflict: of a log that is held, the stored size may be the wrong one to tell."""
    if log.frozen:
        return Refuse(FROZEN, f"this log is not cosigned: {log.frozen}")
    if log.held:
        return Refuse(HELD, f"this log is not cosigned for now: {log.held}")
    return None


def _against(
    request: AddCheckpoint, head: Checkpoint, note: Note, known: Head
) -> Conflict | Refuse | None:
    """What contradicts the newest checkpoint that was cosigned: 409 or 422."""
    # SPEC: "The witness MUST check that the old size matches the size of the latest checkpoint it cosigned for the
    # checkpoint's origin [...]. If it doesn't match, the witness MUST respond with a "409 Conflict" HTTP status code.
    # The response body MUST consist of the tree size of the latest cosigned checkpoint in decimal".
    if request.old != known.size:
        return Conflict(known.size)
    # SPEC: "If the old size matches the checkpoint size, the witness MUST check that the root hashes are also
    # identical. If they don't match, the witness MUST respond with a "422 Unprocessable Entity" HTTP status code."
    if head.size == known.size and head.root != known.root:
        return Refuse(WRONG_ROOT, "a checkpoint of this size with another root was cosigned", note)
    # SPEC: "If the proof is not empty when the old size is zero, or if a Merkle Consistency Proof doesn't verify, the
    # witness MUST respond with a "422 Unprocessable Entity" HTTP status code." The verifier has both rules.
    try:
        verify_consistency(known.size, head.size, request.proof, known.root, head.root)
    except VerificationError:
        return Refuse(INCONSISTENT, "the consistency proof does not verify", note)
    return None


def forgotten(latest: Head | None, published: Head) -> bool:
    """Whether `published`, verified to be cosigned by this witness, is something that its store does not know of.

    A cosignature is stored before it leaves. So one that is newer than the store, or of its size and another root,
    shows that the store was rolled back. That of an older size is as it should be.
    """
    if latest is None:
        return True
    if published.size == latest.size:
        return published.root != latest.root or published.time > latest.time
    return published.size > latest.size
