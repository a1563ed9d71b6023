"""What is said about anchors, as Structs; OpenAPI is generated from them. Source: design §2.6, §3."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from tlog.api.answers import Base64, LogTime, Natural, Note

Day = Annotated[str, Meta(extra_json_schema={"pattern": r"^\d{4}-\d\d-\d\d$"})]
Certificates = Annotated[list[Annotated[Base64, Meta(max_length=24576)]], Meta(max_length=16)]
Lists = Annotated[list[Annotated[Base64, Meta(max_length=262144)]], Meta(max_length=16)]


class AnchorRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """An RFC 3161 timestamp over the exact bytes of a root checkpoint of this log, as they went over the wire.

    `chain`: certificates that the reply lacks, `crls`: revocation lists at that time; DER.
    """

    checkpoint: Annotated[Note, Meta(max_length=16384)]
    request: Annotated[Base64, Meta(max_length=1368)]
    reply: Annotated[Base64, Meta(max_length=87384)]
    chain: Certificates = []
    crls: Lists = []


class AnchorReceipt(Struct, frozen=True, forbid_unknown_fields=True):
    """`recorded`, `known` (it was here), or `covered`: this authority saw the same root or a later one no later that day."""

    status: Literal["recorded", "known", "covered"]
    date: Day
    gen_time: str
    tree_size: Natural
    tsa: str


class AnchorFiles(Struct, frozen=True, forbid_unknown_fields=True):
    """The names under which the commands look for the four members; `chain` as PEM."""

    checkpoint: str
    request: str
    reply: str
    chain: str


class AnchorTimestamp(Struct, frozen=True, forbid_unknown_fields=True):
    """One timestamp: `request`, `reply` and `chain` (DER, signer first) as they came, and the commands that check it.

    `verify`: with the named files and the authority's root, which you have from elsewhere, as `tsa-roots.pem`. The first
    command binds the checkpoint, the second the request with its nonce; both say "Verification: OK".
    """

    tsa: str
    gen_time: str
    accuracy_us: int | None
    policy: str
    serial: str
    tree_size: Natural
    checkpoint: Note
    request: Base64
    reply: Base64
    chain: list[Base64]
    crls: list[Base64]
    files: AnchorFiles
    verify: list[str]


class AnchorDay(Struct, frozen=True, forbid_unknown_fields=True):
    """The anchors whose genTime is on a UTC day, by time, at most 100.

    `anchor_created_at` and `checkpoint` are the first one's. `pending`: there is none and there may still be one; `missing`:
    there is none, and the day is over, or this log keeps no anchors.
    """

    date: Day
    anchor_status: Literal["complete", "pending", "missing"]
    anchor_created_at: LogTime | None
    checkpoint: Note | None
    timestamps: list[AnchorTimestamp]
