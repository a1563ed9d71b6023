"""Proof packages, version 1: all that a stranger needs to check one event, years later and offline.

Source: design §2.6. In scope: the JSON object and its verification with the log's vkey and a witness
policy. Out of scope: RFC 3161 anchors, which are carried here and verified elsewhere; payloads and
salts, which a package never holds; verdicts in words (`tlog.verdicts`).

    {"version": 1, "event_id", "stream_id", "entry", "block_hash", "previous_hash", "leaf_hash",
     "inclusion": {"origin", "leaf_index", "tree_size", "hashes"},
     "checkpoint",                                     the stream's note for inclusion.tree_size
     "root": {"leaf_index", "tree_size", "hashes", "checkpoint"},      the first cosigned root note that
                                                       covers the event; absent until it is published
     "decision_surface",                               exactly when the entry has one
     "anchors": [{"checkpoint", "leaf_index", "tree_size", "hashes", "request", "reply", "chain"}]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tlog.core import binding
from tlog.core.binding import demand, member
from tlog.core.checkpoint import Checkpoint, parse_checkpoint
from tlog.core.entry import Entry, parse_entry
from tlog.core.hashes import Hash
from tlog.core.note import Note, Verifier
from tlog.core.policy import Policy
from tlog.core.wire import b64encode
from tlog.errors import VerificationError

VERSION = 1
COPIES = ("block_hash", "previous_hash", "leaf_hash")


def build_package(
    *,
    entry: bytes,
    tree_size: int,
    hashes: Sequence[Hash],
    checkpoint: bytes,
    root: tuple[int, int, Sequence[Hash], bytes] | None = None,
    anchors: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the package of an entry.

    `hashes` is its path in the stream's tree of `tree_size`, and `checkpoint` the stream's signed
    note for just that size; `root` is a `receipt.Place`, None while no published root covers the event.

    Raises:
        InvalidInput: not an entry, or not a checkpoint.
    """
    parsed = parse_entry(entry)
    copies = binding.copies(parsed)
    text, _, _ = checkpoint.rpartition(b"\n\n")
    package = {
        "version": VERSION,
        "event_id": copies["event_id"],
        "stream_id": copies["stream_id"],
        "entry": b64encode(entry),
        **{name: copies[name] for name in COPIES},
        "inclusion": {
            "origin": parse_checkpoint(text + b"\n").origin,
            "leaf_index": copies["sequence_counter"],
            "tree_size": tree_size,
            "hashes": [b64encode(digest) for digest in hashes],
        },
        "checkpoint": checkpoint.decode(),
    }
    if root is not None:
        index, size, path, note = root
        package["root"] = {
            "leaf_index": index,
            "tree_size": size,
            "hashes": [b64encode(digest) for digest in path],
            "checkpoint": note.decode(),
        }
    if "decisionSurface" in parsed.record:
        package["decision_surface"] = parsed.record["decisionSurface"]
    package["anchors"] = list(anchors)
    return package


@dataclass(frozen=True, slots=True)
class VerifiedPackage:
    """An entry that is leaf `leaf_index` under `head`, signed by the log.

    `root` and `note` are those of the root log, None both when the package has no published root:
    then only the operator's word for the stream's head was shown. `proven_at` is the Unix second
    at which the policy's quorum had cosigned; None without a policy, or when it asks for nobody.
    """

    entry: Entry
    leaf_index: int
    head: Checkpoint
    root: Checkpoint | None
    note: Note | None
    proven_at: int | None


def verify_package(
    package: Mapping[str, Any],
    log: Verifier,
    policy: Policy | None = None,
    genesis: bytes | None = None,
) -> VerifiedPackage:
    """Verify a proof package under the configured key of the log, and the policy if there is one.

    1. Version and entry are valid.  2. Hashes and repeated members, the decision surface among them,
    are those of the entry.  3. The event id locates it.  4. Its path, of exact length, gives a head
    of the stream.  5. The log signed just that head.  6. Its origin can be the stream's; with the
    stream's `genesis` entry, it is.  7. The root note is signed by the log, and no line of a witness
    of the policy fails.  8. The body of the head is a leaf under it, by a path of exact length.
    9. The cosignatures are a quorum of the policy, which is one for this log.

    Without `root`, 7 and 8 are left out; a policy then refuses the package.

    Raises:
        VerificationError: for every cause.
    """
    check_version(package)  # 1
    entry = binding.read_entry(package)
    check_copies(package, entry)  # 2
    binding.check_identity(entry)  # 3
    head = binding.stream_head(package, entry)  # 4
    check_stream_note(package, head, log)  # 5
    binding.check_label(head.origin, entry, log.name, genesis)  # 6
    root = note = proven_at = None
    if "root" in package:
        place = member(package, "root", dict)
        witnesses = () if policy is None else policy.witness_verifiers
        checkpoint = member(place, "checkpoint", str)
        root, note = binding.open_note(checkpoint, log, log.name, witnesses)  # 7
        binding.check_position(head, place, root)  # 8
    if policy is not None:
        proven_at = check_quorum(note, log, policy)  # 9
    return VerifiedPackage(entry, entry.record["chainPosition"], head, root, note, proven_at)


def check_version(package: Mapping[str, Any]) -> None:
    """Check that this is a package of the one version there is."""
    demand(member(package, "version", int) == VERSION)


def check_copies(package: Mapping[str, Any], entry: Entry) -> None:
    """Check what a package repeats of its entry; the decision surface just when there is one."""
    binding.check_copies(package, entry, COPIES)
    surface = "decision_surface"
    shown = {surface: package[surface]} if surface in package else {}
    recorded = entry.record.get("decisionSurface")
    demand(binding.same(shown, {} if recorded is None else {surface: recorded}))


def check_stream_note(package: Mapping[str, Any], head: Checkpoint, log: Verifier) -> None:
    """Check that the stream's note says exactly the head that the path gave."""
    signed, _ = binding.open_note(member(package, "checkpoint", str), log, head.origin)
    demand(signed == head)


def check_quorum(note: Note | None, log: Verifier, policy: Policy) -> int | None:
    """Check that witnesses of the policy cosigned; return the second at which they were enough.

    A policy that lists logs speaks of no other log.
    """
    logs = [verifier.vkey for verifier in policy.log_verifiers]
    demand(not logs or log.vkey in logs)
    if note is None:
        raise VerificationError
    policy.verify_quorum(note)
    return policy.quorum_time(note)
