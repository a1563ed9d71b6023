"""Rules for the members of a JSON object: the small schema language in which `record` is written.

A rule answers whether a value, from a strict parse, has its form. In scope: types, texts, bounds, and
which members there are; every fault has the RFC 6901 pointer of the member. Out of scope: what members
mean together.

To Python, True is an int and 1.0 == 1: a rule looks at the type before the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from tlog.core.canonical import MAX_INTEGER
from tlog.core.commitment import pointer_escape
from tlog.core.times import parse_time
from tlog.core.wire import b64decode
from tlog.errors import InvalidInput

Rule: TypeAlias = Callable[[Any], object]
"""True in the sense of Python when a JSON value has the form; TypeError also says that it has not.

That lets a compiled pattern be a rule by itself. An object raises InvalidInput for a fault inside it.
"""


def fault(pointer: str, detail: str) -> InvalidInput:
    """The error of a member that is wrong: kind invalid-record."""
    return InvalidInput("invalid-record", detail, pointer)


class Object:
    """A rule for an object: known members only, each by its own rule, none missing, not empty.

    `pointer` is where the object stands: of each member one fault is raised there, in the order of
    the object, then the first that is missing.
    """

    def __init__(self, pointer: str, required: dict[str, Rule], optional: dict[str, Rule]) -> None:
        self._pointer = pointer
        self._required = required.keys()
        self._rules = {**required, **optional}

    def __call__(self, value: object) -> bool:
        if type(value) is not dict or not value:
            return False
        rules = self._rules
        name = ""
        try:
            for name, member in value.items():
                if not rules[name](member):
                    raise TypeError
        except KeyError:
            pointer = f"{self._pointer}/{pointer_escape(name)}"
            raise fault(pointer, "no member of schema 1") from None
        except TypeError:
            detail = "not of the form that schema 1 gives it"
            raise fault(f"{self._pointer}/{name}", detail) from None
        if not self._required <= value.keys():
            missing = next(name for name in self._required if name not in value)
            raise fault(f"{self._pointer}/{missing}", "this member is required")
        return True


def text(pattern: str) -> Rule:
    """Text that the pattern matches as a whole."""
    return re.compile(pattern).fullmatch


def one_of(*values: str) -> Rule:
    """One of these texts."""
    return frozenset(values).__contains__


def integer(least: int, most: int = MAX_INTEGER) -> Rule:
    """An integer in [least, most]."""
    return lambda value: type(value) is int and least <= value <= most


def list_of(rule: Rule, most: int) -> Rule:
    """An array of 1 to `most` items, each by the rule."""
    return lambda value: type(value) is list and 0 < len(value) <= most and all(map(rule, value))


def boolean(value: Any) -> bool:
    """True or false."""
    return type(value) is bool


def time(value: Any) -> bool:
    """A time in the log's strict form; parse_time raises TypeError for what is no text."""
    try:
        parse_time(value)
    except InvalidInput:
        return False
    return True


def bytes_32(value: Any) -> bool:
    """Canonical base64 of 32 bytes."""
    try:
        return type(value) is str and b64decode(value, 32) != b""
    except InvalidInput:
        return False


def plain_object(pointer: str) -> Rule:
    """An object, not empty, of text, booleans, integers, arrays and objects, without null anywhere."""
    return lambda value: type(value) is dict and value != {} and _plain(value, pointer)


def _plain(value: Any, pointer: str) -> bool:
    kind = type(value)
    if kind is dict:
        return all(_plain(value[name], f"{pointer}/{pointer_escape(name)}") for name in value)
    if kind is list:
        return all(_plain(item, f"{pointer}/{index}") for index, item in enumerate(value))
    if kind in (str, bool) or (kind is int and -MAX_INTEGER <= value <= MAX_INTEGER):
        return True
    raise fault(pointer, "neither text, boolean, integer, array nor object")
