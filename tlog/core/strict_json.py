"""JSON text to value, refusing everything that two readers could understand differently.

Source: RFC 8259; RFC 7493 (I-JSON) sections 2.1 to 2.3.
In scope: UTF-8 without byte order mark, no duplicate members, no lone surrogates, no NaN, no number
that overflows or is an integer beyond 2**53 - 1 (1e20 is one), bounded nesting. Out of scope: what a
value means; whether the text is in canonical form (`is_canonical`) is for the caller to demand.

`loads` is a fast path that is certain of what it accepts; whatever it doubts goes to `_Scanner`,
which is the exact and slow judge and names the fault.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import orjson

from tlog.core.canonical import MAX_INTEGER, canonical, pack
from tlog.core.commitment import pointer_escape
from tlog.errors import InvalidInput

MAX_DEPTH = 32
_MAX_POINTER = 1024  # characters; a member's name may be as long as the whole text

# A float of magnitude >= 2**53, which is always an integer, as `pack` writes it (see there).
_huge_float = re.compile(rb"\xcb(?:[\x43\xc3][\x40-\xff]|[\x44-\x7f\xc4-\xff])").search


def loads(raw: bytes, *, max_depth: int = MAX_DEPTH, pointer_prefix: str = "") -> Any:
    """Decode JSON text. HOT.

    `max_depth` (at most 200) counts arrays and objects around one another; a scalar has depth 0.
    `pointer_prefix` is the RFC 6901 pointer of the value itself, put before the pointer of a fault.

    Raises:
        InvalidInput: too-deep, not-utf8, byte-order-mark, duplicate-member, number-out-of-range,
            lone-surrogate or invalid-json.
    """
    value = attempt(raw, max_depth)
    return _Scanner(raw, max_depth, pointer_prefix).document() if value is DOUBT else value


DOUBT = object()
"""What `attempt` returns instead of a value."""


def attempt(raw: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """The value, as `loads` gives it, or `DOUBT` where only the slow judge can say. HOT.

    The judge takes seconds per MiB, where this takes milliseconds: a server lets it work elsewhere.
    """
    # Nesting first: whether a decoder survives a million brackets should not be our question. An
    # object holds another only after a colon, so objects are at most one deeper than there are
    # colons, which are counted in any case.
    colons = raw.count(b":")
    if colons + raw.count(b"[") >= max_depth and _nesting_exceeds(raw, max_depth):
        return DOUBT
    try:
        value = orjson.loads(raw)
        # Raises on integers beyond 2**53 - 1 that fit 64 bits; longer ones are floats by now.
        text = orjson.dumps(value, None, orjson.OPT_STRICT_INTEGER)
    except (ValueError, TypeError):
        return DOUBT
    # A duplicate is dropped by the decoder, so that `text` lacks its member, and that is visible:
    # every colon of `raw` separates a member (dropped or kept) or stands in a string, and so for
    # `text`. A string keeps its colons through decoding and encoding; it gains one only for each
    # \u003a (no other escape means a colon, and the encoder escapes none). Numbers and literals,
    # however respelled, contain none. So the counts differ by the colons in what was dropped, and
    # that is at least one for each member.
    if (
        text.count(b":") != colons + (b"\\" in raw and _escaped_colons(raw))
        or _huge_float(pack(value)) is not None
    ):
        return DOUBT
    return value


def is_canonical(raw: bytes, value: object) -> bool:
    """Whether `raw`, of which `loads` gave `value`, is the RFC 8785 form of it."""
    return canonical(value) == raw


def _escaped_colons(raw: bytes) -> int:
    # After an escaped backslash it is none: then this is too many, `text` has fewer, and that is
    # only slow.
    return raw.count(b"\\u003a") + raw.count(b"\\u003A")


def _nesting_exceeds(raw: bytes, limit: int) -> bool:
    """Whether brackets outside strings may be nested deeper than `limit`: never too low an answer.

    In well-formed JSON it is exact. In other text it may only be too high: a decoder stops at the
    first fault, up to which both agree on what is inside a string.
    """
    if raw.count(b"[") + raw.count(b"{") <= limit:
        return False
    if b"\\" in raw:
        # Left to right, so that of a run of backslashes only an odd last one escapes a quote.
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = raw.translate(_ONE_KIND, _NEITHER_BRACKET_NOR_QUOTE)
    # Two quotes with no bracket between them: taking both away leaves every bracket as much inside
    # or outside of a string as it was. What a string still hides goes second.
    brackets = _string_with_brackets(b"", brackets.replace(b'""', b""))
    for _ in range(limit):
        if not brackets:
            break
        # Takes away the innermost level of every branch, and no more: replace does not look back.
        brackets = brackets.replace(b"{}", b"")
    return brackets != b""


_ONE_KIND = bytes.maketrans(b"[]", b"{}")
_NEITHER_BRACKET_NOR_QUOTE = bytes(set(range(256)) - set(b'[]{}"'))
_string_with_brackets = re.compile(rb'"[^"]*"').sub

_skip_space = re.compile(r"[ \t\n\r]*").match
_string = re.compile(
    r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"'  # RFC 8259 section 7
).match
_number = re.compile(
    r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"  # RFC 8259 section 6
).match
_constant = re.compile("-?(?:NaN|Infinity)").match  # what Python and JavaScript write
_lone_surrogate = re.compile("[\ud800-\udfff]").search
_LITERALS = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}


class _Scanner:
    """The grammar of RFC 8259, read left to right; the first fault is raised where it stands.

    The value is that of `loads`. `_pointer` holds the reference tokens of the value being read.
    """

    def __init__(self, raw: bytes, max_depth: int, pointer_prefix: str) -> None:
        self._raw = raw
        self._max_depth = max_depth
        self._prefix = pointer_prefix
        self._pointer: list[str] = []
        self._text = ""
        self._at = 0

    def document(self) -> Any:
        """The value of the whole text. Raises: InvalidInput, as `loads`."""
        try:
            self._text = self._raw.decode("utf-8")
        except UnicodeDecodeError as error:
            self._fail("not-utf8", f"byte {error.start} is not UTF-8")
        if self._text.startswith("\ufeff"):
            self._fail("byte-order-mark", "the text begins with a byte order mark")
        value = self._value()
        self._space()
        if self._at != len(self._text):
            self._fail("invalid-json", f"more text after the value, at character {self._at}")
        return value

    def _fail(self, kind: str, detail: str) -> NoReturn:
        pointer = self._prefix + "".join("/" + token for token in self._pointer)
        raise InvalidInput(kind, detail, pointer if len(pointer) <= _MAX_POINTER else self._prefix)

    def _syntax(self, wanted: str) -> NoReturn:
        found = "another character" if self._at < len(self._text) else "the end"
        self._fail("invalid-json", f"{wanted} expected at character {self._at}, found {found}")

    def _space(self) -> str:
        """Skip white space; the character after it, or "" at the end."""
        match = _skip_space(self._text, self._at)
        if match is None:
            raise AssertionError("tlog: a pattern that may be empty did not match")
        self._at = match.end()
        return self._text[self._at : self._at + 1]

    def _value(self) -> Any:
        first = self._space()
        if first == "{":
            return self._object()
        if first == "[":
            return self._array()
        if first == '"':
            return self._string()
        if first in _LITERALS:
            literal, value = _LITERALS[first]
            if not self._text.startswith(literal, self._at):
                self._syntax("a value")
            self._at += len(literal)
            return value
        return self._number()

    def _object(self) -> dict[str, Any]:
        members: dict[str, Any] = {}
        more = self._enter() != "}"
        while more:
            if self._space() != '"':
                self._syntax("a member's name")
            name = self._string()
            self._pointer.append(pointer_escape(name))
            if name in members:
                self._fail("duplicate-member", "a member of this name came before")
            if self._space() != ":":
                self._syntax("':'")
            self._at += 1
            members[name] = self._value()
            self._pointer.pop()
            more = self._more("}")
        self._at += 1
        return members

    def _array(self) -> list[Any]:
        items: list[Any] = []
        more = self._enter() != "]"
        while more:
            self._pointer.append(str(len(items)))
            items.append(self._value())
            self._pointer.pop()
            more = self._more("]")
        self._at += 1
        return items

    def _enter(self) -> str:
        # One token of the pointer for each array or object that is open.
        if len(self._pointer) >= self._max_depth:
            self._fail("too-deep", f"nested deeper than {self._max_depth} levels")
        self._at += 1
        return self._space()

    def _more(self, close: str) -> bool:
        """Whether another item follows; steps over its comma."""
        following = self._space()
        if following == ",":
            self._at += 1
            return True
        if following != close:
            self._syntax(f"',' or '{close}'")
        return False

    def _string(self) -> str:
        match = _string(self._text, self._at)
        if match is None:
            self._fail("invalid-json", f"no proper string at character {self._at}")
        token = match[0]
        # The token is right, so the standard library cannot be lenient with it.
        value: str = json.loads(token) if "\\" in token else token[1:-1]
        if _lone_surrogate(value) is not None:
            self._fail("lone-surrogate", f"half of a surrogate pair, at character {self._at}")
        self._at = match.end()
        return value

    def _number(self) -> int | float:
        match = _number(self._text, self._at)
        if match is None:
            constant = _constant(self._text, self._at)
            if constant is not None:
                self._fail("invalid-json", f"JSON has no {constant[0]}, at character {self._at}")
            self._syntax("a value")
        token = match[0]
        number: int | float
        if match[1] is None and match[2] is None:
            # int() takes quadratic time, and Python limits it: look at the length first.
            number = int(token) if len(token) <= 17 else MAX_INTEGER + 1
        else:
            number = float(token)
        # An infinity and every integral float of RFC 7493 section 2.2 fail the same comparison.
        if abs(number) > MAX_INTEGER:
            detail = "an integer beyond 2^53 - 1, or a number too large for a double"
            self._fail("number-out-of-range", detail)
        self._at = match.end()
        return number
