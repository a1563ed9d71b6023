"""What a client may send: the two flavours of an event, as msgspec Structs.

Source: design §2.3 (members and their limits), §3 (names on the wire).
In scope: which members there are, their types, lengths and alphabets. The Structs *are* the input
schema: msgspec converts with them, OpenAPI is generated from them, and `tlog.events.diagnose` reads
them to name a fault.
Out of scope: what members mean together (an implied class, two times of one surface):
`tlog.events.submission`.

Both flavours have the same attributes; only the names on the wire differ. Absent is UNSET: null is
refused for every member named here, since an entry has no null either (§2.3).

Alphabets stand in `extra_json_schema`, not in `Meta(pattern=…)`: msgspec would run each as
`re.search`, at half a microsecond a member. `submission` checks them with cheaper means, and a test
holds the two together.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

MAX_PAYLOAD = 1 << 20  # bytes of canonical JSON
MAX_TAGS = 32
MAX_SEQUENCE = (1 << 53) - 1

# ECMA-262 as JSON Schema wants it. In Python only with fullmatch: `$` alone lets a final newline
# pass.
PRINTABLE = "^[ -~]{1,128}$"
NAME = "^[A-Za-z0-9._:/+-]{1,128}$"
TAG = "^[A-Za-z0-9._:/+-]{1,64}$"
STREAM_ID = "^[a-z0-9][a-z0-9._-]{0,62}(:[a-z0-9][a-z0-9._-]{0,62}){2}$"

EventClass = Literal[
    "EXECUTION",
    "OUTCOME",
    "ACCESS",
    "DATA",
    "INTENT",
    "ANALYSIS",
    "DETECTION",
    "RESPONSE",
    "CONTAINMENT",
    "ERADICATION",
    "RECOVERY",
]
Severity = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
ActorType = Literal["USER", "SERVICE", "AGENT", "SYSTEM"]
Tier = Literal[1, 2, 3]

EventType = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        description="Free within the class. Audital's ten imply a class; `tlog.` is reserved.",
        examples=["credit.decision.made", "INFERENCE"],
        extra_json_schema={"pattern": PRINTABLE},
    ),
]
Plain = Annotated[str, Meta(min_length=1, max_length=128, extra_json_schema={"pattern": PRINTABLE})]
ModelId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        examples=["mdl_abc123"],
        extra_json_schema={"pattern": NAME},
    ),
]
Tag = Annotated[str, Meta(min_length=1, max_length=64, extra_json_schema={"pattern": TAG})]
Tags = Annotated[
    list[Tag],
    Meta(
        max_length=MAX_TAGS,
        description="Plain text in the entry. No tag twice; an empty list is the same as none.",
        examples=[["credit-risk", "high-value"]],
        extra_json_schema={"uniqueItems": True},
    ),
]
StreamIdText = Annotated[
    str,
    Meta(
        max_length=191,
        description="tenant:environment:name. Without it, the stream of the session.",
        examples=["acme:prod-us-east-1:credit-decisions"],
        extra_json_schema={"pattern": STREAM_ID},
    ),
]
Person = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
        description="Never in the entry: a pseudonym stands there, and the value is committed.",
        examples=["jane.doe@example.com"],
    ),
]
IpAddress = Annotated[
    str, Meta(min_length=1, max_length=64, description="Committed.", examples=["10.0.1.45"])
]
Time = Annotated[
    str,
    Meta(
        description="RFC 3339; recorded in UTC, cut to milliseconds.",
        examples=["2026-03-20T14:00:00Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
Salt = Annotated[
    str,
    Meta(
        description="Master salt of the field commitment: base64 of 32 random bytes. "
        "Without it, the log draws one.",
        extra_json_schema={"contentEncoding": "base64", "minLength": 44, "maxLength": 44},
    ),
]
Payload = Annotated[
    dict[str, Any],
    Meta(
        description="Any JSON object, at most 1 MiB in canonical form. Never in the entry: "
        "each top-level member is committed on its own.",
        examples=[{"applicant_id": "app-991", "decision": "APPROVED", "score": 740}],
    ),
]


class Producer(Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """Exactly once, for ever: 1, 2, 3 … per stream and producer."""

    id: Annotated[str, Meta(min_length=1, max_length=128, extra_json_schema={"pattern": NAME})]
    sequence: Annotated[int, Meta(ge=1, le=MAX_SEQUENCE)]


class SyenActor(Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """Who acted. A USER's id is committed; other ids are in the entry, 1-128 printable ASCII."""

    type: ActorType
    id: Person
    ip_address: IpAddress | UnsetType = UNSET
    ip_address_camel: IpAddress | UnsetType = field(name="ipAddress", default=UNSET)


class AuditalActor(Struct, forbid_unknown_fields=True, kw_only=True, gc=False, rename="camel"):
    """Who acted. A USER's id is committed; other ids are in the entry, 1-128 printable ASCII."""

    type: ActorType
    id: Person
    ip_address: IpAddress | UnsetType = UNSET


class DecisionSurface(Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """What a human was shown, when, and what they decided. The same names in both flavours."""

    human_decision: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=128,
                examples=["APPROVE"],
                extra_json_schema={"pattern": PRINTABLE},
            ),
        ]
        | UnsetType
    ) = UNSET
    presentation_timestamp: Time | UnsetType = UNSET
    signoff_timestamp: Time | UnsetType = UNSET
    decision_complexity_tier: Tier = 2
    explainability_artifact_hash: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=256,
                description="Committed.",
                examples=["sha256-of-artifact-shown"],
            ),
        ]
        | UnsetType
    ) = UNSET


class Context(Struct, kw_only=True, gc=False):
    """Where the decision came from. Every other member, `trace_id` included, is committed."""

    model_version: Plain | UnsetType = UNSET
    compliance_gate_result: Plain | UnsetType = UNSET
    pii_detected: bool | UnsetType = UNSET
    cloud_provider: Plain | UnsetType = UNSET
    cloud_region: Plain | UnsetType = UNSET


class SyenEvent(Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """An event as SYEN's guide sends it, with this log's own members in the same spelling."""

    event_class: EventClass | UnsetType = UNSET
    event_type: EventType
    payload: Payload
    decision_surface: DecisionSurface | UnsetType = UNSET
    context: Context | UnsetType = UNSET
    stream_id: StreamIdText | UnsetType = UNSET
    model_id: ModelId | UnsetType = UNSET
    severity: Severity = "INFO"
    actor: SyenActor | UnsetType = UNSET
    subject_id: Person | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    occurred_at: Time | UnsetType = UNSET
    producer: Producer | UnsetType = UNSET
    salt: Salt | UnsetType = UNSET


class AuditalEvent(Struct, forbid_unknown_fields=True, kw_only=True, gc=False, rename="camel"):
    """An event in the spelling of Audital's schema, without the members that only a log can set."""

    event_type: EventType
    event_class: EventClass | UnsetType = UNSET
    payload: Payload
    severity: Severity = "INFO"
    model_id: ModelId | UnsetType = UNSET
    actor: AuditalActor | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    stream_id: StreamIdText | UnsetType = UNSET
    subject_id: Person | UnsetType = UNSET
    occurred_at: Time | UnsetType = UNSET
    decision_surface: DecisionSurface | UnsetType = UNSET
    context: Context | UnsetType = UNSET
    producer: Producer | UnsetType = UNSET
    salt: Salt | UnsetType = UNSET
