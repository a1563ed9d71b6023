"""DER, read so strictly that every value has one spelling, and with the bytes of every part kept.

Source: ITU-T X.690 (02/2021) sections 8, 10 and 11. In scope: what RFC 3161 tokens are made of. Out of scope: meaning,
and tag numbers above 30, which do not occur there. An ASN.1 library gives values; a timestamp is checked over bytes.
"""

from __future__ import annotations

from typing import NamedTuple

from tlog.errors import InvalidInput

BOOLEAN, INTEGER, OCTET_STRING, OID, GENERALIZED_TIME = 0x01, 0x02, 0x04, 0x06, 0x18
SEQUENCE, SET = 0x30, 0x31
# Strangers deliver tokens. Without bounds, 64 KiB of theirs take seconds: one endless arc, or nothing but small members.
MAX_OID = 128
"""Bytes of the longest OBJECT IDENTIFIER that is read."""
MAX_ELEMENTS = 1024
"""Members of the longest SEQUENCE or SET that is read."""


def context(number: int) -> int:
    """The tag of a constructed `[number]`, 0 to 30."""
    return 0xA0 | number


class Element(NamedTuple):
    """One value: its tag byte, its content, and all of its bytes."""

    tag: int
    content: bytes
    raw: bytes


class Fields:
    """The members of a SEQUENCE or SET, taken one after the other."""

    def __init__(self, element: Element) -> None:
        self._rest = elements(element.content)

    def take(self, tag: int) -> Element:
        """The next member, which must have this tag. Raises: InvalidInput."""
        found = self.optional(tag)
        if found is None:
            raise _malformed
        return found

    def optional(self, tag: int) -> Element | None:
        """The next member if it has this tag."""
        return self._rest.pop(0) if self._rest and self._rest[0].tag == tag else None

    def end(self) -> None:
        """Raises: InvalidInput when something is left."""
        if self._rest:
            raise _malformed


def parse(data: bytes, tag: int) -> Element:
    """The one element that `data` is, with this tag. Raises: InvalidInput."""
    found = elements(data)
    if len(found) != 1 or found[0].tag != tag:
        raise _malformed
    return found[0]


def elements(data: bytes) -> list[Element]:
    """The elements that stand one after the other in `data`. Raises: InvalidInput."""
    found: list[Element] = []
    at = 0
    while at < len(data):
        if len(found) == MAX_ELEMENTS:
            raise _malformed
        start, end = _extent(data, at)
        found.append(Element(data[at], data[start:end], data[at:end]))
        at = end
    return found


def encode(tag: int, content: bytes) -> bytes:
    """The bytes of an element."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(digits))) + digits + content


def integer(element: Element) -> int:
    """The value of an INTEGER, whatever its tag says (IMPLICIT). Raises: InvalidInput."""
    content = element.content
    # SPEC: X.690 section 8.3.2: the first nine bits shall not all be ones and shall not all be zero.
    if not content or (len(content) > 1 and content[0] in (0, 255) and _repeats_sign(content)):
        raise _malformed
    return int.from_bytes(content, "big", signed=True)


def oid(element: Element) -> str:
    """The value of an OBJECT IDENTIFIER in dotted form. Raises: InvalidInput."""
    arcs: list[int] = []
    value, begins = 0, True
    if len(element.content) > MAX_OID:
        raise _malformed
    for byte in element.content:
        # SPEC: X.690 section 8.19.2: the leading octet of the subidentifier shall not have the value 80 (hex).
        if begins and byte == 0x80:
            raise _malformed
        value, begins = value << 7 | byte & 0x7F, byte < 0x80
        if begins:
            arcs.append(value)
            value = 0
    if not arcs or not begins:
        raise _malformed
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


_malformed = InvalidInput("malformed", "not the DER that is expected here")


def _extent(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at `at` begins and ends."""
    if len(data) < at + 2 or data[at] & 0x1F == 0x1F:
        raise _malformed
    size, start = data[at + 1], at + 2
    if size >= 0x80:
        # SPEC: X.690 section 10.1: the definite form of length, in the minimum number of octets.
        digits = data[start : start + (size & 0x7F)]
        start += size & 0x7F
        size = int.from_bytes(digits, "big")
        if not digits or digits[0] == 0 or size < 0x80:
            raise _malformed
    if start + size > len(data):
        raise _malformed
    return start, start + size


def _repeats_sign(content: bytes) -> bool:
    return (content[0] ^ content[1]) < 0x80
