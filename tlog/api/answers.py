"""What the API answers, as Structs: bodies are encoded from them, or tested against them where speed or another module
writes the JSON (receipts, packages, events). OpenAPI is generated from them. Source: design §2.5, §2.6, §3.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from tlog.core.checkpoint import MAX_SIZE
from tlog.events.input import EventClass, Severity

HashText = Annotated[
    str,
    Meta(
        description="SHA-256, `sha256:` and hex.",
        extra_json_schema={"pattern": "^sha256:[0-9a-f]{64}$"},
    ),
]
Digest = Annotated[
    str,
    Meta(
        description="32 bytes in base64.",
        extra_json_schema={"pattern": "^[A-Za-z0-9+/]{43}=$", "contentEncoding": "base64"},
    ),
]
Base64 = Annotated[str, Meta(extra_json_schema={"contentEncoding": "base64"})]
Natural = Annotated[int, Meta(ge=0, le=MAX_SIZE)]
LogTime = Annotated[
    str,
    Meta(
        description="The log's time, UTC.",
        examples=["2026-03-20T14:00:00.000Z"],
        extra_json_schema={"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"},
    ),
]
EventId = Annotated[
    str,
    Meta(
        description="`evt_` and 26 characters of Crockford base32; it locates the event.",
        extra_json_schema={"pattern": "^evt_[0-7][0-9A-HJKMNP-TV-Z]{25}$"},
    ),
]
Note = Annotated[
    str, Meta(description="C2SP checkpoint: a signed note.", extra_json_schema={"pattern": "\n$"})
]
Hashes = Annotated[list[Digest], Meta(max_length=63)]


class Inclusion(Struct, frozen=True, forbid_unknown_fields=True):
    """A leaf in a stream's tree: RFC 6962 section 2.1.1."""

    origin: str
    leaf_index: Natural
    tree_size: Natural
    hashes: Hashes


class Place(Struct, frozen=True, forbid_unknown_fields=True):
    """A stream's head in the root log, and the signed checkpoint of that root."""

    leaf_index: Natural
    tree_size: Natural
    hashes: Hashes
    checkpoint: Note


class Receipt(Struct, frozen=True, forbid_unknown_fields=True):
    """What proves that an event was recorded. `Prefer: return=minimal` leaves the last four out."""

    event_id: EventId
    stream_id: str
    sequence_counter: Natural
    timestamp: LogTime
    block_hash: HashText
    previous_hash: HashText
    leaf_hash: Digest
    velocity_flag_triggered: bool
    replayed: bool
    entry: Base64 | UnsetType = UNSET
    salt: Digest | UnsetType = UNSET
    inclusion: Inclusion | UnsetType = UNSET
    root: Place | UnsetType = UNSET


class BatchHead(Struct, frozen=True, forbid_unknown_fields=True):
    """The head of a stream after a batch."""

    origin: str
    tree_size: Natural
    root_hash: Digest
    root: Place


class BatchRange(Struct, frozen=True, forbid_unknown_fields=True):
    """Leaves `first` to `last` by what is beside them: maximal subtrees of [0, first) and [last + 1, tree_size)."""

    first: Natural
    last: Natural
    tree_size: Natural
    left: Hashes
    right: Hashes


class BatchAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """Receipts in the order of the request; new events are proven by `heads` and `ranges`, replayed ones on their own."""

    receipts: list[Receipt]
    heads: dict[str, BatchHead]
    ranges: dict[str, BatchRange]


class Anchor(Struct, frozen=True, forbid_unknown_fields=True):
    """An RFC 3161 timestamp over a cosigned root checkpoint."""

    checkpoint: Note
    leaf_index: Natural
    tree_size: Natural
    hashes: Hashes
    request: Base64
    reply: Base64
    chain: list[Base64]


class Package(Struct, frozen=True, forbid_unknown_fields=True):
    """All that a stranger needs to check one event offline; never its payload. No `root` before publication."""

    version: Literal[1]
    event_id: EventId
    stream_id: str
    entry: Base64
    block_hash: HashText
    previous_hash: HashText
    leaf_hash: Digest
    inclusion: Inclusion
    checkpoint: Note
    anchors: list[Anchor]
    root: Place | UnsetType = UNSET
    decision_surface: dict[str, Any] | UnsetType = UNSET


class RecordedEvent(Struct, frozen=True, forbid_unknown_fields=True):
    """An event in Audital's schema. `verified` is the outcome of checking it now.

    Committed values stand where the submitter had them while the payload is `present`. Of an entry that can no longer be
    read only the first four members are left.
    """

    id: EventId
    stream_id: str = field(name="streamId")
    chain_position: Natural = field(name="chainPosition")
    block_hash: HashText = field(name="blockHash")
    verified: bool
    payload_status: Literal["present", "erased", "withheld"] = field(name="payloadStatus")
    previous_hash: HashText | UnsetType = field(name="previousHash", default=UNSET)
    timestamp: LogTime | UnsetType = UNSET
    organisation_id: str | UnsetType = field(name="organisationId", default=UNSET)
    event_class: EventClass | UnsetType = field(name="eventClass", default=UNSET)
    event_type: str | UnsetType = field(name="eventType", default=UNSET)
    severity: Severity | UnsetType = UNSET
    model_id: str | UnsetType = field(name="modelId", default=UNSET)
    tags: list[str] | UnsetType = UNSET
    occurred_at: LogTime | UnsetType = field(name="occurredAt", default=UNSET)
    clock_skew: bool | UnsetType = field(name="clockSkew", default=UNSET)
    actor: dict[str, Any] | UnsetType = UNSET
    subject: str | UnsetType = UNSET
    subject_id: str | UnsetType = field(name="subjectId", default=UNSET)
    agent: dict[str, Any] | UnsetType = UNSET
    context: dict[str, Any] | UnsetType = UNSET
    decision_surface: dict[str, Any] | UnsetType = field(name="decisionSurface", default=UNSET)
    producer: dict[str, Any] | UnsetType = UNSET
    system: dict[str, Any] | UnsetType = UNSET
    payload: dict[str, Any] | UnsetType = UNSET


class EventPage(Struct, frozen=True, forbid_unknown_fields=True):
    """Events by log time, ascending. A page may be short or empty and still have a `next_cursor`: go on until null."""

    events: list[RecordedEvent]
    next_cursor: str | None


class Failure(Struct, frozen=True, forbid_unknown_fields=True):
    """A lie: which rule is broken at which leaf."""

    sequence: int
    check: str
    detail: str


class Verification(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything re-derived from stored bytes. `withheld_count`: payloads missing without an erasure on record."""

    verified: bool
    checked_count: Natural
    first_failure_sequence: int | None
    failures: list[Failure]
    withheld_count: Natural
    tree_size: Natural
    root_hash: Digest


class TreeHead(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A signed tree head. `timestamp` is the last entry's, informative; a stream's head carries its place in the root log."""

    origin: str
    tree_size: Natural
    root_hash: Digest
    timestamp: LogTime
    checkpoint: Note
    stream_id: str | UnsetType = UNSET
    root: Place | UnsetType = UNSET


class StreamInfo(Struct, frozen=True, forbid_unknown_fields=True):
    """A stream and its newest head; `vkey` is derived from the log's."""

    stream_id: str
    stream_number: Natural
    label: str
    origin: str
    vkey: str
    visibility: Literal["private", "public"]
    tree_size: Natural
    root_hash: Digest
    timestamp: LogTime


class StreamPage(Struct, frozen=True, forbid_unknown_fields=True):
    """Streams in order of opening. A page may be short and still have a `next_cursor`: go on until null."""

    streams: list[StreamInfo]
    next_cursor: str | None


class InclusionProof(Struct, frozen=True, forbid_unknown_fields=True):
    """RFC 6962 section 2.1.1."""

    leaf_index: Natural
    tree_size: Natural
    leaf_hash: Digest
    root_hash: Digest
    hashes: Hashes


class ConsistencyProof(Struct, frozen=True, forbid_unknown_fields=True):
    """RFC 6962 section 2.1.2."""

    first: Natural
    second: Natural
    first_hash: Digest
    second_hash: Digest
    hashes: Annotated[list[Digest], Meta(max_length=64)]


class SizeAt(Struct, frozen=True, forbid_unknown_fields=True):
    """A tree's size at a time."""

    tree_size: Natural
    timestamp: LogTime


class Problem(Struct, frozen=True, forbid_unknown_fields=True):
    """RFC 9457. `type` is `urn:tlog:problem:` and the kind; `pointer` (RFC 6901) names the member or parameter at fault."""

    type: Annotated[str, Meta(extra_json_schema={"pattern": "^urn:tlog:problem:[a-z0-9-]+$"})]
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    pointer: str | UnsetType = UNSET
    expected: (
        Annotated[int, Meta(description="The producer sequence that must follow.")] | UnsetType
    ) = UNSET
