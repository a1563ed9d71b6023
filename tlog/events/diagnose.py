"""Name the fault of an event, or another request, that does not fit its Struct: kind, sentence and JSON Pointer.

In scope: the slow path. msgspec has already refused the value, or a cheap check of `submission`
has; this walks the same Struct again and stops at the first fault, members in the order of the
Struct.
Out of scope: rules between members. msgspec's own messages are not parsed: they are no interface.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn, get_args

from msgspec import Struct, inspect

from tlog.core.commitment import pointer_escape
from tlog.errors import InvalidInput
from tlog.events.input import EventClass

_CLASSES = set(get_args(EventClass))
_JSON_NAMES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number that is not an integer",
}


def raise_fault(value: Any, flavour: type[Struct], pointer: str) -> NoReturn:
    """Find the first fault of `value`, a decoded JSON value, under the Struct `flavour`.

    Raises:
        InvalidInput: missing-member, unknown-member, wrong-type, invalid-value or
            unknown-event-class; its pointer begins with `pointer` and goes on in the spelling that
            the submitter used.
    """
    _walk(value, inspect.type_info(flavour), pointer)
    raise AssertionError("tlog: an event was refused and has no fault")


def _walk(value: Any, kind: inspect.Type, pointer: str) -> None:
    schema: dict[str, Any] = {}
    if isinstance(kind, inspect.Metadata):
        schema = kind.extra_json_schema or {}
        kind = kind.type
    if isinstance(kind, inspect.AnyType):
        return
    if isinstance(kind, inspect.StructType):
        _walk_struct(_typed(value, dict, pointer), kind, pointer)
    elif isinstance(kind, inspect.DictType):
        _typed(value, dict, pointer)
    elif isinstance(kind, inspect.ListType):
        _limit(len(_typed(value, list, pointer)), kind.max_length, "items", pointer)
        for index, item in enumerate(value):
            _walk(item, kind.item_type, f"{pointer}/{index}")
    elif isinstance(kind, inspect.LiteralType):
        _literal(value, kind.values, pointer)
    elif isinstance(kind, inspect.BoolType):
        _typed(value, bool, pointer)
    elif isinstance(kind, inspect.IntType):
        _integer(_typed(value, int, pointer), kind, pointer)
    elif isinstance(kind, inspect.StrType):
        _string(_typed(value, str, pointer), kind, schema.get("pattern"), pointer)
    else:
        raise AssertionError(f"tlog: no rule for {kind!r} in an event")


def _walk_struct(value: dict[str, Any], kind: inspect.StructType, pointer: str) -> None:
    known = {member.encode_name: member for member in kind.fields}
    if kind.forbid_unknown_fields:
        for name in value:
            if name not in known:
                raise InvalidInput(
                    "unknown-member",
                    "there is no such member here",
                    f"{pointer}/{pointer_escape(name)}",
                )
    for name, member in known.items():
        if name in value:
            _walk(value[name], member.type, f"{pointer}/{name}")
        elif member.required:
            raise InvalidInput("missing-member", "this member is required", f"{pointer}/{name}")


def _typed(value: Any, wanted: type, pointer: str) -> Any:
    if type(value) is wanted:
        return value
    if value is None:
        detail = f"null instead of {_JSON_NAMES[wanted]}: leave an optional member out"
    else:
        found = _JSON_NAMES.get(type(value), type(value).__name__)
        detail = f"{found} instead of {_JSON_NAMES[wanted]}"
    raise InvalidInput("wrong-type", detail, pointer)


def _literal(value: Any, allowed: tuple[Any, ...], pointer: str) -> None:
    _typed(value, type(allowed[0]), pointer)
    if value not in allowed:
        raise InvalidInput(
            "unknown-event-class" if set(allowed) == _CLASSES else "invalid-value",
            "must be one of " + ", ".join(map(str, allowed)),
            pointer,
        )


def _integer(value: int, kind: inspect.IntType, pointer: str) -> None:
    if (kind.ge is not None and value < kind.ge) or (kind.le is not None and value > kind.le):
        raise InvalidInput("invalid-value", f"must be from {kind.ge} to {kind.le}", pointer)


def _string(value: str, kind: inspect.StrType, pattern: str | None, pointer: str) -> None:
    if kind.min_length and not value:
        raise InvalidInput("invalid-value", "must not be empty", pointer)
    _limit(len(value), kind.max_length, "characters", pointer)
    # fullmatch: `$` in Python also matches before a final newline.
    if pattern is not None and re.fullmatch(pattern, value) is None:
        raise InvalidInput("invalid-value", f"must match {pattern}", pointer)
    if kind.pattern is not None and re.search(kind.pattern, value) is None:
        raise InvalidInput("invalid-value", f"must match {kind.pattern}", pointer)


def _limit(length: int, limit: int | None, what: str, pointer: str) -> None:
    if limit is not None and length > limit:
        raise InvalidInput("invalid-value", f"{length} {what}, at most {limit} allowed", pointer)
