"""What ties an entry to its place: the steps that receipts, batches and proof packages share.

Source: design §2.6 (bindings), §2.1 (origins, labels, event ids), §2.5 (root-log leaf).
In scope: each binding as one function, so that a verifier is a numbered list of calls.
Out of scope: which steps a document needs (`receipt`, `package`), and what a failed step means to a
human (`tlog.verdicts`).

Every function raises VerificationError for whatever is wrong, malformed members included. Documents
are parsed JSON and hostile: a member is read by `member`, `natural` or `hashes`, never by indexing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from tlog.core.canonical import canonical
from tlog.core.chain import block_hash
from tlog.core.checkpoint import MAX_SIZE, Checkpoint, open_checkpoint
from tlog.core.entry import GENESIS_PREVIOUS, Entry, parse_frame, validate_entry
from tlog.core.hashes import HASH_SIZE, Hash, leaf_hash
from tlog.core.ids import (
    parse_event_id,
    parse_stream_id,
    public_label,
    stream_label,
    stream_origin,
)
from tlog.core.note import Note, Verifier
from tlog.core.proofs import inclusion_root, verify_inclusion
from tlog.core.record import GENESIS_TYPE, SCHEMA
from tlog.core.times import parse_time
from tlog.core.wire import b64decode, b64encode
from tlog.errors import InvalidInput, VerificationError

# A path has at most 63 hashes, each side of a range proof too (sizes end at 2^63 - 1).
MAX_HASHES = 63

_PRIVATE_LABEL = re.compile("[a-z2-7]{52}")
_T = TypeVar("_T")


def demand(condition: bool) -> None:
    """Raise VerificationError unless `condition` holds."""
    if not condition:
        raise VerificationError


def member(container: object, name: str, kind: type[_T]) -> _T:
    """Return a member of a JSON object, of exactly this type: to Python, True is an int."""
    value = container.get(name) if isinstance(container, dict) else None
    if type(value) is not kind:
        raise VerificationError
    return value


def natural(container: object, name: str) -> int:
    """Return a member that is an integer in [0, 2^63)."""
    value = member(container, name, int)
    demand(0 <= value <= MAX_SIZE)
    return value


def decoded(container: object, name: str, length: int | None = None) -> bytes:
    """Return a member that is canonical base64, of `length` bytes if given."""
    try:
        return b64decode(member(container, name, str), length)
    except InvalidInput:
        raise VerificationError from None


def hashes(container: object, name: str = "hashes") -> list[Hash]:
    """Return a member that is an array of at most 63 hashes in base64."""
    texts = member(container, name, list)
    demand(len(texts) <= MAX_HASHES)
    return [decoded({name: text}, name, HASH_SIZE) for text in texts]


def read_entry(document: object) -> Entry:
    """Return the entry of a document: valid by design §2.2, or of a schema that is not known here.

    Of an unknown schema integrity is verified all the same; what the record says beyond its place
    is not understood (`understood`).
    """
    raw = decoded(document, "entry")
    try:
        entry = parse_frame(raw)
        if understood(entry):
            validate_entry(entry)
    except InvalidInput:
        raise VerificationError from None
    natural(entry.record, "v")
    return entry


def understood(entry: Entry) -> bool:
    """Say whether the record is of the one schema that is known here, or claims none."""
    version = entry.record.get("v")
    return type(version) is not int or version == SCHEMA


def same(shown: object, true: object) -> bool:
    """Say whether two JSON values are one; to Python, 1 == True == 1.0."""
    if type(shown) is str and type(true) is str:
        return shown == true
    try:
        return canonical(shown) == canonical(true)
    except InvalidInput:
        return False


def copies(entry: Entry) -> dict[str, Any]:
    """Return what a document may repeat of its entry, by the names it has there."""
    record = entry.record
    surface = record.get("decisionSurface")
    return {
        "event_id": record.get("id"),
        "stream_id": record.get("streamId"),
        "sequence_counter": record.get("chainPosition"),
        "timestamp": entry.timestamp,
        "block_hash": block_hash(entry.raw),
        "previous_hash": entry.previous_hash,
        "leaf_hash": b64encode(leaf_hash(entry.raw)),
        "velocity_flag_triggered": isinstance(surface, dict)
        and surface.get("velocity_flag", False),
    }


def check_copies(document: Mapping[str, Any], entry: Entry, required: Iterable[str]) -> None:
    """Check that the `required` copies are there, and that every copy equals the entry."""
    demand(document.keys() >= set(required))
    for name, value in copies(entry).items():
        demand(name not in document or same(document[name], value))


def check_identity(entry: Entry) -> None:
    """Check that the event id locates the entry, and that the entry is of the stream it names.

    1. Milliseconds in the id = timestamp.  2. Index in the id = chainPosition.
    3. organisationId = tenant in streamId.  4. Leaf 0, and no other, opens the stream and has no
    previous entry. A valid record of schema 1 has said most of this; one of another schema has not.
    """
    record = entry.record
    try:
        identity = parse_event_id(member(record, "id", str))
        stream_id = parse_stream_id(member(record, "streamId", str))
    except InvalidInput:
        raise VerificationError from None
    demand(identity.ms == parse_time(entry.timestamp))
    demand(identity.leaf_index == natural(record, "chainPosition"))
    demand(member(record, "organisationId", str) == stream_id.tenant)
    opens = member(record, "eventType", str) == GENESIS_TYPE
    first = entry.previous_hash == GENESIS_PREVIOUS
    demand(opens == first == (identity.leaf_index == 0))


def stream_head(document: object, entry: Entry) -> Checkpoint:
    """Return the head that the entry and its `inclusion` give: origin, size, and root computed."""
    inclusion = member(document, "inclusion", dict)
    index = natural(inclusion, "leaf_index")
    demand(index == natural(entry.record, "chainPosition"))
    size = natural(inclusion, "tree_size")
    root = inclusion_root(leaf_hash(entry.raw), index, size, hashes(inclusion))
    return checkpoint(member(inclusion, "origin", str), size, root)


def checkpoint(origin: str, size: int, root: Hash) -> Checkpoint:
    """Return a checkpoint of values that came from a document."""
    try:
        return Checkpoint(origin, size, root)
    except InvalidInput:
        raise VerificationError from None


def check_label(origin: str, entry: Entry, log_origin: str, genesis: bytes | None = None) -> None:
    """Check that `origin` can be, and with a genesis that it is, the origin of the entry's stream.

    A public label is the stream id. A private one is any of its form, until the nonce in the
    genesis entry shows for which stream it was made: `genesis` is that entry, of whose place the
    caller is certain. An entry at leaf 0 is its own genesis.
    """
    stream_id = member(entry.record, "streamId", str)
    label = origin.removeprefix(stream_origin(log_origin, ""))
    demand(origin == stream_origin(log_origin, label))
    public = label == public_label(stream_id)
    demand(public or _PRIVATE_LABEL.fullmatch(label) is not None)
    if genesis is None and entry.record["chainPosition"] != 0:
        return
    first = entry if genesis is None else read_entry({"entry": b64encode(genesis)})
    check_identity(first)
    demand(first.record["chainPosition"] == 0 and first.record["streamId"] == stream_id)
    system = member(first.record, "system", dict)
    demand(member(system, "origin", str) == log_origin)
    demand(member(system, "streamId", str) == stream_id)
    demand(member(system, "label", str) == label)
    number = parse_event_id(entry.record["id"]).stream_number
    demand(natural(system, "streamNumber") == number)
    demand(public or stream_label(stream_id, decoded(system, "nonce", 32)) == label)


def open_note(
    note: str, log: Verifier, origin: str, witnesses: Iterable[Verifier] = ()
) -> tuple[Checkpoint, Note]:
    """Open a checkpoint of `origin`, the log's own or a stream's, under the log's one raw key."""
    try:
        key = log if origin == log.name else Verifier(origin, log.public_key, log.key_type)
        return open_checkpoint(note.encode(), [key], origin, witnesses)
    except (InvalidInput, UnicodeEncodeError):
        raise VerificationError from None


def check_position(head: Checkpoint, place: object, root: Checkpoint) -> None:
    """Check that the body of `head` is the leaf that `place`, the `root` member, puts under `root`."""
    demand(natural(place, "tree_size") == root.size)
    index = natural(place, "leaf_index")
    verify_inclusion(leaf_hash(head.body()), index, root.size, hashes(place), root.root)
