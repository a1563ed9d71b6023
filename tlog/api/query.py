"""Query parameters: one Struct per endpoint says what there is. OpenAPI is generated from the same Structs.

A parameter that is unknown or given twice is refused: a mistyped filter must not silently be no filter.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, cast

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field, inspect

from tlog.api.asked import Asked
from tlog.core.checkpoint import MAX_SIZE
from tlog.core.commitment import pointer_escape
from tlog.core.wire import decimal
from tlog.errors import InvalidInput
from tlog.events.diagnose import raise_fault
from tlog.events.input import EventClass, EventType, ModelId, Person, Severity, StreamIdText, Tag

MAX_LIMIT = 1000

Index = Annotated[int, Meta(ge=0, le=MAX_SIZE)]
Size = Annotated[int, Meta(ge=1, le=MAX_SIZE, description="Default: the newest.")]
Cursor = Annotated[
    str,
    Meta(
        description="`next_cursor` of the page before.",
        extra_json_schema={"pattern": "^(0|[1-9][0-9]{0,18})$"},
    ),
]
QueryTime = Annotated[
    str,
    Meta(
        max_length=64,
        description="RFC 3339; the log's time.",
        examples=["2026-03-20T14:00:00Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
LeafHash = Annotated[
    str,
    Meta(
        description="Base64 of SHA-256(00 || entry).",
        extra_json_schema={"pattern": "^[A-Za-z0-9+/]{43}=$", "contentEncoding": "base64"},
    ),
]


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class StreamQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """A log: the root log, or a stream."""

    stream_id: (
        Annotated[StreamIdText, Meta(description="Without it: the root log.")] | UnsetType
    ) = UNSET


class StreamsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """A page of streams."""

    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] = MAX_LIMIT
    cursor: Cursor | UnsetType = UNSET


class ListQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A page of events; every filter must hold."""

    stream_id: (
        Annotated[StreamIdText, Meta(description="Without it: all streams of the tenant.")]
        | UnsetType
    ) = UNSET
    start: QueryTime | UnsetType = field(name="from", default=UNSET)
    end: QueryTime | UnsetType = field(name="to", default=UNSET)
    event_class: EventClass | UnsetType = UNSET
    event_type: EventType | UnsetType = UNSET
    model_id: ModelId | UnsetType = UNSET
    actor_id: Person | UnsetType = UNSET
    severity: Severity | UnsetType = UNSET
    tag: Tag | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] = 100
    cursor: Cursor | UnsetType = UNSET


class ProofQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether to wait for a public root that covers the event, or one with a quorum; which part of a C2SP tlog-proof."""

    part: (
        Annotated[
            Literal["event", "head"],
            Meta(description="Of a C2SP tlog-proof, which it asks for. Default: `event`."),
        ]
        | UnsetType
    ) = UNSET
    wait: Literal["published", "witnessed"] | UnsetType = UNSET


class VerifyQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """What to verify; both ends inclusive."""

    stream_id: (
        Annotated[StreamIdText, Meta(description="Without it: the session's stream.")] | UnsetType
    ) = UNSET
    from_sequence: Index = 0
    to_sequence: Index | UnsetType = UNSET


class InclusionQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """RFC 6962 section 4.5, by index or by hash."""

    stream_id: (
        Annotated[StreamIdText, Meta(description="Without it: the root log.")] | UnsetType
    ) = UNSET
    leaf_index: Index | UnsetType = UNSET
    hash: LeafHash | UnsetType = UNSET
    tree_size: Size | UnsetType = UNSET


class ConsistencyQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """RFC 6962 section 4.4."""

    first: Annotated[int, Meta(ge=1, le=MAX_SIZE)]
    second: Size | UnsetType = UNSET
    stream_id: (
        Annotated[StreamIdText, Meta(description="Without it: the root log.")] | UnsetType
    ) = UNSET


class _Parameter(NamedTuple):
    is_integer: bool
    plus: bool  # an unescaped "+" of base64 or of an RFC 3339 offset arrives as a blank, which neither has
    fits: Callable[[str], object] | None


T = TypeVar("T", bound=Struct)
_known: dict[type[Struct], dict[str, _Parameter]] = {}


def read_query(request: Asked, kind: type[T]) -> T:
    """The request's parameters.

    Raises: InvalidInput (unknown-parameter, repeated-parameter, missing-parameter, invalid-value).
    """
    known = _known.get(kind) or _known.setdefault(kind, _parameters(kind))
    values: dict[str, Any] = {}
    for name, text in request.rel_url.query.items():
        parameter = known.get(name)
        pointer = "/" + pointer_escape(name)
        if parameter is None:
            raise InvalidInput("unknown-parameter", "there is no such parameter here", pointer)
        if name in values:
            raise InvalidInput("repeated-parameter", "this parameter was given twice", pointer)
        values[name] = _value(parameter, text, pointer)
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError:
        try:
            raise_fault(values, kind, "")
        except InvalidInput as error:
            missing = error.kind == "missing-member"
            name = "missing-parameter" if missing else "invalid-value"
            detail = "this parameter is required" if missing else error.detail
            raise InvalidInput(name, detail, error.pointer) from None


def refuse_query(request: Asked) -> None:
    """For endpoints without parameters. Raises: InvalidInput (unknown-parameter)."""
    if request.rel_url.raw_query_string:
        read_query(request, NoQuery)


def _value(parameter: _Parameter, text: str, pointer: str) -> str | int:
    if parameter.is_integer:
        try:
            return decimal(text)
        except InvalidInput:
            raise InvalidInput("invalid-value", "must be a decimal number", pointer) from None
    if parameter.plus:
        text = text.replace(" ", "+")
    # fullmatch, and before msgspec: `$` in Python also matches before a final newline.
    if parameter.fits is not None and parameter.fits(text) is None:
        raise InvalidInput("invalid-value", "not of the form that is documented", pointer)
    return text


def _parameters(kind: type[Struct]) -> dict[str, _Parameter]:
    known = {}
    described = cast(inspect.StructType, inspect.type_info(kind))
    for member in described.fields:
        schema: dict[str, Any] = {}
        shape = member.type
        if isinstance(shape, inspect.Metadata):
            schema, shape = shape.extra_json_schema or {}, shape.type
        pattern = schema.get("pattern")
        known[member.encode_name] = _Parameter(
            isinstance(shape, inspect.IntType),
            "contentEncoding" in schema or schema.get("format") == "date-time",
            None if pattern is None else re.compile(pattern).fullmatch,
        )
    return known
