"""The bytes of an entry in two steps: what the front end knows, then what only the sequencer knows.

Source: design §2.2 (entry), §2.3 (RECORD, schema 1); RFC 8785 section 3.2.3 (order of members).
In scope: entries of clients, byte for byte those of `tlog.core.entry.entry_bytes`, and the RECORDs
of the log's own entries. Out of scope: hashes, positions, clocks.

HOT: once per event. Why the bytes are canonical without a canonicaliser: every string here is
printable ASCII, every number an integer, every dict is built in the order of its keys; over such
values any compact encoder that escapes only the quotation mark and the reverse solidus writes RFC
8785.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.json import Encoder

from tlog.core.canonical import canonical
from tlog.core.entry import MAX_ENTRY
from tlog.core.record import GENESIS_TYPE, RESERVED_PREFIX, SCHEMA
from tlog.core.wire import b64encode, hash_text
from tlog.errors import InvalidInput
from tlog.events.submission import Submission

# Longest that splice adds: position and its comma, clockSkew, event id, block hash, time, and some
# to spare.
_SPLICED = 256

# What stands round the members of each part.
_HEAD = b'{"payload":{%b"chainPosition":'
_MIDDLE = b',%b,"id":"'
_TAIL = b'",%b,"previousHash":"'

_encode = Encoder().encode


class Segments(Struct, gc=False, array_like=True):
    """An entry in its three fixed parts.

    Between head and middle go the position and clockSkew, between middle and tail the event id,
    after the tail the previous hash and the time.
    """

    head: bytes
    middle: bytes
    tail: bytes


def segments(
    sub: Submission,
    *,
    stream_id: str,
    tenant: str,
    agent: bytes | None,
    actor_pseudonym: str | None,
    subject_pseudonym: str | None,
    fields: int,
    root: bytes,
    at: str = "",
) -> Segments:
    """Write all of the entry that does not depend on its place.

    `agent` is the canonical JSON of the agent member, from the attestation; `actor_pseudonym` is
    given exactly when the actor is a USER, `subject_pseudonym` exactly when there is a subject;
    `fields` and `root` (32 bytes) are the commitment; `at` is the JSON Pointer of the event in its
    request.

    Raises:
        InvalidInput: entry-too-large.
    """
    if (actor_pseudonym is None) == (sub.actor_type == "USER"):
        raise AssertionError("tlog: a pseudonym stands for a USER, and for nobody else")
    if (subject_pseudonym is None) != (sub.subject_id is None):
        raise AssertionError("tlog: a pseudonym stands for a subject, and for nothing else")
    seg = Segments(
        _head(sub, agent, actor_pseudonym),
        _middle(sub, fields, root),
        _tail(sub, stream_id, tenant, subject_pseudonym),
    )
    if len(seg.head) + len(seg.middle) + len(seg.tail) + _SPLICED > MAX_ENTRY:
        detail = f"the entry would exceed {MAX_ENTRY} bytes"
        raise InvalidInput("entry-too-large", detail, at or None)
    return seg


def _head(sub: Submission, agent: bytes | None, pseudonym: str | None) -> bytes:
    if sub.actor_type is None:
        actor = b""
    else:
        member = {"actor": {"id": pseudonym or sub.actor_id, "type": sub.actor_type}}
        actor = _encode(member)[1:-1] + b","
    if agent is not None:
        actor += b'"agent":' + agent + b","
    return _HEAD % actor


def _middle(sub: Submission, fields: int, root: bytes) -> bytes:
    members: dict[str, Any] = {"commitment": {"fields": fields, "root": hash_text(root)}}
    if sub.context is not None:
        members["context"] = sub.context
    if sub.surface is not None:
        members["decisionSurface"] = sub.surface
    members["eventClass"] = sub.event_class
    members["eventType"] = sub.event_type
    return _MIDDLE % _encode(members)[1:-1]


def _tail(sub: Submission, stream_id: str, tenant: str, subject: str | None) -> bytes:
    members: dict[str, Any] = {}
    if sub.model_id is not None:
        members["modelId"] = sub.model_id
    if sub.occurred_at is not None:
        members["occurredAt"] = sub.occurred_at
    members["organisationId"] = tenant
    if sub.producer_id is not None:
        members["producer"] = {"id": sub.producer_id, "sequence": sub.producer_sequence}
    members["severity"] = sub.severity
    members["streamId"] = stream_id
    if subject is not None:
        members["subject"] = subject
    if sub.tags is not None:
        members["tags"] = sub.tags
    members["v"] = SCHEMA
    return _TAIL % _encode(members)[1:]


def system_segments(
    *,
    stream_id: str,
    event_class: str,
    event_type: str,
    system: dict[str, Any],
    fields: int,
    root: bytes,
) -> Segments:
    """The same for an entry of the log's own; `system` is any JSON object of integers and text."""
    if not event_type.startswith(RESERVED_PREFIX):
        raise AssertionError("tlog: an entry of the log's own has a type of the log's own")
    middle = {
        "commitment": {"fields": fields, "root": hash_text(root)},
        "eventClass": event_class,
        "eventType": event_type,
    }
    tail = {
        "organisationId": stream_id.partition(":")[0],
        "severity": "INFO",
        "streamId": stream_id,
        "system": system,
        "v": SCHEMA,
    }
    return Segments(_HEAD % b"", _MIDDLE % canonical(middle)[1:-1], _TAIL % canonical(tail)[1:])


def genesis_segments(
    *,
    origin: str,
    vkey: str,
    stream_id: str,
    stream_number: int,
    label: str,
    nonce: bytes,
    public: bool,
    root_size: int,
    root_hash: bytes,
    fields: int,
    root: bytes,
) -> Segments:
    """Leaf 0 of a stream. `origin` and `vkey` are the log's, `nonce` is the label's, 32 bytes.

    `root_size` and `root_hash` are a head of the root log: the stream was not opened before it.
    """
    system = {
        "origin": origin,
        "streamId": stream_id,
        "streamNumber": stream_number,
        "label": label,
        "nonce": b64encode(nonce),
        "visibility": "public" if public else "private",
        "schema": SCHEMA,
        "keys": [vkey],
        "root": {"size": root_size, "hash": b64encode(root_hash)},
    }
    return system_segments(
        stream_id=stream_id,
        event_class="INTENT",
        event_type=GENESIS_TYPE,
        system=system,
        fields=fields,
        root=root,
    )


def splice(
    seg: Segments,
    *,
    position: int,
    clock_skew: bool,
    event_id: str,
    previous_hash: str,
    timestamp: str,
) -> bytes:
    """Complete the entry.

    `previous_hash` is `sha256:` and hex, `timestamp` the log's time in its one form.
    """
    skew = b',"clockSkew":true' if clock_skew else b""
    return b'%b%d%b%b%b%b%b","timestamp":"%b"}' % (
        seg.head,
        position,
        skew,
        seg.middle,
        event_id.encode(),
        seg.tail,
        previous_hash.encode(),
        timestamp.encode(),
    )


def expected_members(sub: Submission) -> dict[str, Any]:
    """What a client must find in RECORD for its own event: these, and no others but the log's.

    The log's: v, id, streamId, chainPosition, organisationId, clockSkew, agent, commitment.
    Pseudonyms cannot be foretold: `actor` has no `id` for a USER, and `subject` is not here.
    """
    members: dict[str, Any] = {
        "eventClass": sub.event_class,
        "eventType": sub.event_type,
        "severity": sub.severity,
    }
    if sub.actor_type == "USER":
        members["actor"] = {"type": "USER"}
    elif sub.actor_type is not None:
        members["actor"] = {"id": sub.actor_id, "type": sub.actor_type}
    if sub.producer_id is not None:
        members["producer"] = {"id": sub.producer_id, "sequence": sub.producer_sequence}
    optional = {
        "context": sub.context,
        "decisionSurface": sub.surface,
        "modelId": sub.model_id,
        "occurredAt": sub.occurred_at,
        "streamId": sub.stream_id,
        "tags": sub.tags,
    }
    members.update((name, value) for name, value in optional.items() if value is not None)
    return members
