"""From a decoded JSON value to a submission: one event without its flavour, checked, normalised.

Source: design §2.3 (members), §2.4 (what is committed instead of written), §3 (faults and their
pointers).
In scope: every rule of the input that is not the form of one member: implied class, reserved types,
two times of a surface, sizes, which values go to the entry and which to the commitment.
Out of scope: authority, streams, pseudonyms, clocks: `tlog.sequencer`. The bytes of the entry:
`tlog.events.splice`.

HOT: once per event. The good path runs one `msgspec.convert` and cheap checks; every fault that the
Struct describes is named by `tlog.events.diagnose`, which may be slow.

Decided here, where the design is silent:
- A tag given twice is refused: an index row per tag must mean one event, and the client has a
  fault.
- An empty `tags`, or a `context` with no plain member, leaves no member in the entry.
- The id of an actor other than USER is written into the entry, so it is 1-128 printable ASCII like
  other plain text.
- A surface without a tier is recorded with tier 2, so that the velocity flag can be recomputed from
  the entry.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import UNSET, Struct, ValidationError, convert
from msgspec.json import Encoder

from tlog.core.canonical import canonical
from tlog.core.commitment import pointer_escape
from tlog.core.record import AUDITAL_TYPES, RESERVED_PREFIX
from tlog.core.wire import b64decode
from tlog.errors import InvalidInput
from tlog.events.diagnose import raise_fault
from tlog.events.input import (
    MAX_PAYLOAD,
    STREAM_ID,
    AuditalActor,
    AuditalEvent,
    Context,
    SyenActor,
    SyenEvent,
)
from tlog.events.surface import client_time, plain_surface

SALT_SIZE = 32
MAX_PLAIN = 128  # characters of plain text in the entry

_name = re.compile("[A-Za-z0-9._:/+-]*").fullmatch  # lengths are the Struct's
_encode = Encoder().encode
_stream_id = re.compile(STREAM_ID).fullmatch

# In the entry, in canonical order; every other member of the context is committed.
PLAIN_CONTEXT = sorted(Context.__struct_fields__)
_AUDITAL_ONLY = frozenset(AuditalEvent.__struct_encode_fields__) - frozenset(
    SyenEvent.__struct_encode_fields__
)

# Attribute -> member, as the submitter of that flavour spells it.
_SPELLING = {
    flavour: dict(zip(flavour.__struct_fields__, flavour.__struct_encode_fields__, strict=True))
    for flavour in (SyenEvent, AuditalEvent)
}

Event = SyenEvent | AuditalEvent


class Submission(Struct, gc=False):
    """One event as the rest of the log sees it. Absent is None; no client's spelling is left.

    `context` and `surface` hold what the entry shows, keys in canonical order; `fields` everything
    that is committed, as (JSON Pointer of RECORD, value), without the first ("", null), in no
    order. `salt` is 32 bytes.
    """

    event_class: str
    event_type: str
    severity: str
    stream_id: str | None
    model_id: str | None
    tags: list[str] | None
    occurred_ms: int | None
    occurred_at: str | None
    actor_type: str | None
    actor_id: str | None
    subject_id: str | None
    context: dict[str, str | bool] | None
    surface: dict[str, str | int | bool] | None
    velocity_flag: bool
    producer_id: str | None
    producer_sequence: int | None
    salt: bytes | None
    fields: list[tuple[str, Any]]
    source: dict[str, Any]  # the decoded value; the caller must not change it


def parse_event(value: Any, pointer: str = "") -> Submission:
    """Check and normalise one event in either flavour. `value` comes from `strict_json.loads`.

    Raises:
        InvalidInput: missing-member, unknown-member, wrong-type, invalid-value,
            unknown-event-class, reserved-event-type, invalid-time, invalid-salt or
            payload-too-large; at `pointer` ("/17" in a batch) and the submitter's spelling.
    """
    event = _event(value, pointer)
    event_class = _event_class(event, pointer)
    fields = _payload_fields(event.payload, pointer)
    occurred_ms = occurred_at = actor_type = actor_id = subject_id = None
    context = surface = producer_id = sequence = None
    if event.occurred_at is not UNSET:
        at = _at(event, "occurred_at", pointer)
        occurred_ms, occurred_at = client_time(event.occurred_at, at)
    if event.actor is not UNSET:
        actor_type, actor_id = event.actor.type, event.actor.id
        _commit_actor(event.actor, fields, pointer)
    if event.subject_id is not UNSET:
        subject_id = event.subject_id
        fields.append(("/subject/id", subject_id))
    if event.context is not UNSET:
        context = _context(value["context"], fields)
    if event.decision_surface is not UNSET:
        at = _at(event, "decision_surface", pointer)
        surface = plain_surface(event.decision_surface, fields, at)
    if event.producer is not UNSET:
        producer_id, sequence = event.producer.id, event.producer.sequence
    return Submission(
        event_class,
        event.event_type,
        event.severity,
        None if event.stream_id is UNSET else event.stream_id,
        None if event.model_id is UNSET else event.model_id,
        None if event.tags is UNSET else _tags(event.tags, pointer),
        occurred_ms,
        occurred_at,
        actor_type,
        actor_id,
        subject_id,
        context,
        surface,
        surface is not None and surface.get("velocity_flag") is True,
        producer_id,
        sequence,
        None if event.salt is UNSET else _salt(event.salt, pointer),
        fields,
        value,
    )


def _event(value: Any, pointer: str) -> Event:
    flavour = _flavour(value)
    try:
        event: Event | None = convert(value, flavour)
    except ValidationError:
        event = None
    if event is None or not _alphabets(event):
        raise_fault(value, flavour, pointer)
    return event


def _flavour(value: Any) -> type[SyenEvent] | type[AuditalEvent]:
    # `event_type` decides, then `eventType`; without either, any member that only Audital spells
    # so. The faults of an event are told in the spelling in which it was meant.
    if type(value) is not dict or "event_type" in value or _AUDITAL_ONLY.isdisjoint(value):
        return SyenEvent
    return AuditalEvent


def _at(event: Event, member: str, pointer: str) -> str:
    return f"{pointer}/{_SPELLING[type(event)][member]}"


def _alphabets(event: Event) -> bool:
    """Whether the patterns of the Structs hold; which does not, `diagnose` says."""
    surface, context = event.decision_surface, event.context
    # Texts of one alphabet are looked at together: each is in it exactly when all in a row are. An
    # absent one is in it too, since it prints as "UNSET".
    printable = event.event_type
    if surface is not UNSET:
        printable += f"{surface.human_decision}"
    if context is not UNSET:
        printable += (
            f"{context.cloud_provider}{context.cloud_region}"
            f"{context.compliance_gate_result}{context.model_version}"
        )
    return (
        _printable(printable)
        and (event.model_id is UNSET or _name(event.model_id) is not None)
        and (event.tags is UNSET or _name("".join(event.tags)) is not None)
        and (event.stream_id is UNSET or _stream_id(event.stream_id) is not None)
        and (event.producer is UNSET or _name(event.producer.id) is not None)
    )


def _printable(text: str) -> bool:
    # Exactly U+0020 to U+007E: the ASCII characters that str.isprintable accepts.
    return text.isascii() and text.isprintable()


def _event_class(event: Event, pointer: str) -> str:
    event_type = event.event_type
    if event_type.startswith(RESERVED_PREFIX):
        detail = f"types beginning {RESERVED_PREFIX!r} are the log's own"
        raise InvalidInput("reserved-event-type", detail, _at(event, "event_type", pointer))
    if event.event_class is not UNSET:
        return event.event_class
    implied = AUDITAL_TYPES.get(event_type)
    if implied is None:
        detail = "required, because this event type implies no class"
        raise InvalidInput("missing-member", detail, _at(event, "event_class", pointer))
    return implied


def _payload_fields(payload: dict[str, Any], pointer: str) -> list[tuple[str, Any]]:
    # Compact JSON in any order is as long as RFC 8785's but for the spelling of numbers, which
    # grows less than eightfold (1e20 to 21 digits): only a payload that may be too large is put
    # into canonical form.
    if len(_encode(payload)) > MAX_PAYLOAD // 8 and len(canonical(payload)) > MAX_PAYLOAD:
        detail = f"more than {MAX_PAYLOAD} bytes in canonical form"
        raise InvalidInput("payload-too-large", detail, f"{pointer}/payload")
    names = "".join(payload)
    if "~" in names or "/" in names:
        return [("/payload/" + pointer_escape(name), member) for name, member in payload.items()]
    return [("/payload/" + name, member) for name, member in payload.items()]


def _commit_actor(
    actor: SyenActor | AuditalActor, fields: list[tuple[str, Any]], pointer: str
) -> None:
    if actor.type == "USER":
        fields.append(("/actor/id", actor.id))
    elif len(actor.id) > MAX_PLAIN or not _printable(actor.id):
        detail = "the id of an actor other than USER is 1-128 printable ASCII characters"
        raise InvalidInput("invalid-value", detail, f"{pointer}/actor/id")
    address = actor.ip_address
    if isinstance(actor, SyenActor) and actor.ip_address_camel is not UNSET:
        if address is not UNSET:
            detail = "ip_address and ipAddress are the same member"
            raise InvalidInput("invalid-value", detail, f"{pointer}/actor/ipAddress")
        address = actor.ip_address_camel
    if address is not UNSET:
        fields.append(("/actor/ipAddress", address))


def _context(source: dict[str, Any], fields: list[tuple[str, Any]]) -> dict[str, str | bool] | None:
    plain = {name: source[name] for name in PLAIN_CONTEXT if name in source}
    if len(plain) != len(source):
        for name, member in source.items():
            if name not in plain:
                fields.append(("/context/" + pointer_escape(name), member))
    return plain or None


def _tags(tags: list[str], pointer: str) -> list[str] | None:
    if len(set(tags)) != len(tags):
        index = next(index for index, tag in enumerate(tags) if tag in tags[:index])
        raise InvalidInput("invalid-value", "this tag was given before", f"{pointer}/tags/{index}")
    return tags or None


def _salt(text: str, pointer: str) -> bytes:
    try:
        return b64decode(text, SALT_SIZE)
    except InvalidInput:
        detail = "must be the base64 of exactly 32 bytes"
        raise InvalidInput("invalid-salt", detail, f"{pointer}/salt") from None
