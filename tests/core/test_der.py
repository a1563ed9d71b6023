"""DER has one spelling for each value: what is read is what an encoder wrote, and every other spelling is refused."""

from __future__ import annotations

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from tlog.core import der
from tlog.errors import InvalidInput


@given(st.integers(-(2**200), 2**200))
def test_integers(value: int) -> None:
    assert der.integer(der.parse(core.Integer(value).dump(), der.INTEGER)) == value


@given(st.sampled_from([0, 1, 2]), st.integers(0, 39), st.lists(st.integers(0, 2**70), max_size=5))
def test_object_identifiers(first: int, second: int, rest: list[int]) -> None:
    text = ".".join(map(str, (first, second, *rest)))
    encoded = core.ObjectIdentifier(text).dump()
    assert der.oid(der.parse(encoded, der.OID)) == text


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536])
def test_lengths(size: int) -> None:
    encoded = core.OctetString(bytes(size)).dump()
    assert der.encode(der.OCTET_STRING, bytes(size)) == encoded
    found = der.parse(encoded, der.OCTET_STRING)
    assert (found.content, found.raw) == (bytes(size), encoded)
    assert der.elements(encoded * 2) == [found, found]


@pytest.mark.parametrize(
    "text",
    ["", "04", "0401", "0480", "04800000", "048100", "04817f" + "00" * 127, "04820080" + "00" * 128,
     "0485", "1f0100", "0500", "04000400"],
)  # fmt: skip
def test_other_spellings(text: str) -> None:
    with pytest.raises(InvalidInput):
        der.parse(bytes.fromhex(text), der.OCTET_STRING)


@pytest.mark.parametrize("content", ["", "0000", "007f", "ff80", "ffff", "000001"])
def test_integers_too_long(content: str) -> None:
    raw = bytes.fromhex(content)
    with pytest.raises(InvalidInput):
        der.integer(der.Element(der.INTEGER, raw, raw))


@pytest.mark.parametrize("content", ["", "80", "2a80", "2a8001", "ff", "2aff"])
def test_object_identifiers_that_are_none(content: str) -> None:
    raw = bytes.fromhex(content)
    with pytest.raises(InvalidInput):
        der.oid(der.Element(der.OID, raw, raw))


def test_what_would_take_long_is_refused() -> None:
    """A stranger's reply of 64 KiB: one number of 60,000 digits, or tens of thousands of members, took seconds."""
    arc = b"\x2a" + b"\x81" * (der.MAX_OID - 2) + b"\x01"
    assert der.oid(der.Element(der.OID, arc, arc)).startswith("1.2.")
    longer = b"\x2a" + b"\x81" * (der.MAX_OID - 1) + b"\x01"
    with pytest.raises(InvalidInput):
        der.oid(der.Element(der.OID, longer, longer))
    null = bytes.fromhex("0500")
    assert len(der.elements(null * der.MAX_ELEMENTS)) == der.MAX_ELEMENTS
    with pytest.raises(InvalidInput):
        der.elements(null * (der.MAX_ELEMENTS + 1))


def test_fields() -> None:
    fields = der.Fields(der.parse(bytes.fromhex("30060201050201 07"), der.SEQUENCE))
    assert fields.optional(der.OID) is None
    assert der.integer(fields.take(der.INTEGER)) == 5
    with pytest.raises(InvalidInput):
        fields.end()
    with pytest.raises(InvalidInput):
        fields.take(der.OID)
    assert der.integer(fields.take(der.INTEGER)) == 7
    fields.end()
    with pytest.raises(InvalidInput):
        fields.take(der.INTEGER)
    assert der.context(2) == 0xA2
