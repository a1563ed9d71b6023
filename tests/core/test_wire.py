"""Every value on the wire has one spelling: decimal, base64 and hash text refuse all others."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlog.core.wire import b64decode, b64encode, decimal, hash_text, parse_hash_text
from tlog.errors import InvalidInput

MAX = 2**63 - 1


@given(st.integers(0, MAX))
def test_decimal_reads_what_str_writes(number: int) -> None:
    assert decimal(str(number)) == decimal(str(number).encode()) == number


@pytest.mark.parametrize("number", [0, 1, 9, 10, MAX - 1, MAX])
def test_decimal_bounds(number: int) -> None:
    assert decimal(b"%d" % number) == number


@pytest.mark.parametrize(
    "text",
    [
        *["", " ", "+1", "-1", "-0", "00", "01", "007", "1_000", " 7", "7 ", "7\n", "\n7", "1.0"],
        *["1e3", "0x10", "٣", "１", "²", "1\x00", "a", "null", "1,000"],
        *[str(MAX + 1), "9" * 19, "1" + "0" * 19, "9" * 5000],
    ],
)
def test_decimal_refuses(text: str) -> None:
    for form in (text, text.encode()):
        with pytest.raises(InvalidInput) as caught:
            decimal(form)
        assert caught.value.kind == "malformed"


def test_decimal_refuses_bytes_that_are_no_text() -> None:
    with pytest.raises(InvalidInput):
        decimal(b"1\xff")


@given(st.binary(max_size=100))
def test_base64_round_trip(data: bytes) -> None:
    text = b64encode(data)
    assert text == base64.b64encode(data).decode()
    assert b64decode(text) == b64decode(text.encode()) == b64decode(text, len(data)) == data
    with pytest.raises(InvalidInput):
        b64decode(text, len(data) + 1)


@given(st.text(alphabet="AQgw+/=-_ \n", max_size=12))
def test_base64_accepts_only_its_own_output(text: str) -> None:
    try:
        data = b64decode(text)
    except InvalidInput:
        return
    assert b64encode(data) == text


@pytest.mark.parametrize(
    "text",
    [
        *["A", "AA", "AAA", "AA=", "AAA==", "AA===", "=", "====", "AAAA=", "AAAA====", "QQ==QQ=="],
        *[
            "AB==",
            "AAB=",
            "/x==",
            "AA==\n",
            "AA\n==",
            " AA==",
            "AA== ",
            "-_==",
            "AA-_",
            "AÄ==",
            "é",
        ],
    ],
)
def test_base64_refuses(text: str) -> None:
    for form in (text, text.encode()):
        with pytest.raises(InvalidInput) as caught:
            b64decode(form)
        assert caught.value.kind == "malformed"


@given(st.binary(min_size=32, max_size=32))
def test_hash_text_round_trip(digest: bytes) -> None:
    text = hash_text(digest)
    assert text == "sha256:" + "".join(f"{byte:02x}" for byte in digest)
    assert parse_hash_text(text) == parse_hash_text(digest.hex()) == digest


@pytest.mark.parametrize(
    "text",
    [
        *["", "sha256:", "sha256:" + "0" * 63, "0" * 65, "0" * 62, "sha256:" + "A" * 64, "A" * 64],
        *["SHA256:" + "0" * 64, "sha256-" + "0" * 64, "sha512:" + "0" * 64, "0" * 64 + "\n"],
        *[" " + "0" * 64, "sha256: " + "0" * 64, "sha256:sha256:" + "0" * 64, "0x" + "0" * 62],
        "٣" * 64,
    ],
)
def test_hash_text_refuses(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_hash_text(text)
    assert caught.value.kind == "malformed"
