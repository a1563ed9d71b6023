"""Canonical JSON: RFC 8785 (JCS), byte for byte, https://www.rfc-editor.org/rfc/rfc8785.

In scope: values as a JSON decoder gives them: None, bool, int, float, str, list, dict (and tuple for
list). Out of scope: other Python types; what the encoders below make of a UUID or an enum is not
defined here. Text to value: `strict_json`.

Three encoders, of which two are fast only where they are provably the same as the third:

1. orjson, sorted by key, integers within 2**53 - 1 demanded. It differs from RFC 8785 in two things.
   *Floats*: it writes "1.0" and "1e-6" where ECMAScript writes "1" and "0.000001", and null for NaN.
   Within 1e-5 <= |x| < 1e15, and not integral, both write the shortest digits that read back as x, in
   positional notation. *Order of keys*: by code point, not by UTF-16 unit.
2. orjson again, over a copy whose integral floats are integers.
3. rfc8785, everywhere else.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import orjson
import rfc8785

from tlog.errors import InvalidInput

MAX_INTEGER = 2**53 - 1
"""Largest magnitude of an integer that every JSON reader keeps exactly: RFC 7493 section 2.2."""

OPTIONS = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
"""For orjson.dumps: RFC 8785 wherever `is_plain` says so."""

pack = msgspec.msgpack.Encoder().encode
"""MessagePack of a value, in which the floats can be seen.

A float is the byte 0xCB and its eight bytes, most significant first; UTF-8 has 0xCB only before a
byte in 0x80-0xBF. So without any 0xCB there is no float, and 0xCB before another byte is all that a
search need look at. An integer may contain 0xCB too: such a chance hit costs time, never truth.
"""

# A float outside 2**-15 <= |x| < 2**49, by its first byte (sign, high bits of the exponent): zero,
# NaN, infinities, and all that orjson and RFC 8785 may write differently by size. 0x80-0xBE also
# follows 0xCB in text; that is the harmless error.
_unusual = re.compile(rb"\xcb[^\x3f-\x42\xbf-\xc2]").search
# The end of an integral float, as orjson writes it.
_integral = re.compile(rb"\.0(?:[,}\]]|\Z)").search
_beyond_bmp = re.compile(rb"[\xf0-\xf4]").search


def canonical(value: object) -> bytes:
    """Encode `value` as RFC 8785 does. HOT.

    Raises:
        InvalidInput: number-out-of-range (an integer beyond 2**53 - 1, NaN, an infinity),
            lone-surrogate, too-deep, or invalid-json (a key that is no string, another type).
    """
    try:
        text = orjson.dumps(value, option=OPTIONS)
        packed = pack(value)
    except (TypeError, ValueError, RecursionError):
        return _reference(value)
    if is_plain(text, packed):
        return text
    try:
        text = orjson.dumps(_with_integers(value), option=OPTIONS)
    except _UnusualFloatError:
        return _reference(value)
    return text if _same_order(text) else _reference(value)


def is_plain(text: bytes, packed: bytes) -> bool:
    """Whether orjson's `text` is RFC 8785; `packed` is `pack` of the same value. HOT.

    Both may stand for several values at once, each an array or object.
    """
    return (b"\xcb" not in packed or (_unusual(packed) is None and _integral(text) is None)) and (
        text.isascii() or _same_order(text)
    )


def _same_order(text: bytes) -> bool:
    # Code points and UTF-16 units order two keys differently only where one has a character beyond
    # the BMP (units 0xD800-0xDFFF; in UTF-8 it begins with 0xF0-0xF4) and the other one in
    # U+E000-U+FFFF (begins with 0xEE or 0xEF).
    return (b"\xef" not in text and b"\xee" not in text) or _beyond_bmp(text) is None


class _UnusualFloatError(Exception):
    """A float that only the reference encoder may write."""


def _with_integers(value: Any) -> Any:
    """Copy `value` with each integral float as the integer that RFC 8785 writes for it."""
    kind = type(value)
    if kind is float:
        # NaN fails both comparisons.
        if value.is_integer() and -MAX_INTEGER <= value <= MAX_INTEGER:
            return int(value)
        if not 1e-5 <= abs(value) < 1e15:
            raise _UnusualFloatError
    elif kind is dict:
        return {key: _with_integers(member) for key, member in value.items()}
    elif kind is list or kind is tuple:
        return [_with_integers(item) for item in value]
    return value


def _reference(value: object) -> bytes:
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]
    except (rfc8785.IntegerDomainError, rfc8785.FloatDomainError):
        detail = "an integer beyond 2^53 - 1, NaN or infinity"
        raise InvalidInput("number-out-of-range", detail) from None
    except RecursionError:
        raise InvalidInput("too-deep", "nested too deeply") from None
    except UnicodeEncodeError:  # a key
        raise InvalidInput("lone-surrogate", "text with half of a surrogate pair") from None
    except rfc8785.CanonicalizationError as error:
        if isinstance(error.__cause__, UnicodeEncodeError):
            raise InvalidInput("lone-surrogate", "text with half of a surrogate pair") from None
        raise InvalidInput("invalid-json", "a value or key that JSON does not have") from None
