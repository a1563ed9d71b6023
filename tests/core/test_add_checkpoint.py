"""The bodies of add-checkpoint: one spelling of each, and of an answer only what verifies over exactly our note."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlog.core import add_checkpoint
from tlog.core.add_checkpoint import (
    MAX_REQUEST,
    AddCheckpoint,
    encode_request,
    encode_size,
    parse_request,
    parse_size,
    read_cosignatures,
)
from tlog.core.checkpoint import Checkpoint
from tlog.core.cosignature import CosignatureSigner, cosigned_message
from tlog.core.note import Signer, parse_vkey, sign_note
from tlog.errors import InvalidInput

LOG = Signer("log.example.com", bytes([1]) * 32)
WITNESS = CosignatureSigner("witness.example.org/w1", bytes([2]) * 32)
OTHER = CosignatureSigner("witness.example.org/w2", bytes([3]) * 32)
TEXT = Checkpoint("log.example.com", 7, bytes(range(32))).body()
ELSEWHERE = Checkpoint("log.example.com", 8, bytes(range(32))).body()
NOTE = sign_note(TEXT, [LOG])
HASH = base64.b64encode(bytes(range(32)))
KEY = parse_vkey(WITNESS.vkey)

hashes = st.binary(min_size=32, max_size=32)


@given(st.integers(0, 2**63 - 1), st.lists(hashes, max_size=63), st.binary())
def test_a_request_is_read_as_it_was_written(old: int, proof: list[bytes], note: bytes) -> None:
    body = encode_request(old, proof, note)
    assert parse_request(body) == AddCheckpoint(old, tuple(proof), note)


def test_the_bytes_of_a_request() -> None:
    proof = [bytes(range(32))] * 2
    assert encode_request(3, proof, NOTE) == b"old 3\n" + HASH + b"\n" + HASH + b"\n\n" + NOTE
    assert encode_request(0, [], NOTE) == b"old 0\n\n" + NOTE


# The request body printed in C2SP tlog-witness.md, "add-checkpoint".
EXAMPLE = """old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
""".encode()


def test_the_example_of_the_specification() -> None:
    request = parse_request(EXAMPLE)
    assert (request.old, len(request.proof)) == (20852014, 4)
    assert request.note.startswith(b"example.com/behind-the-sofa\n20852163\n")
    assert encode_request(request.old, request.proof, request.note) == EXAMPLE


BAD_REQUESTS = [
    b"",
    b"old 3\n" + NOTE.replace(b"\n\n", b"\n"),
    b"\n\n" + NOTE,
    b"old\n\n" + NOTE,
    b"old \n\n" + NOTE,
    b"old  3\n\n" + NOTE,
    b" old 3\n\n" + NOTE,
    b"Old 3\n\n" + NOTE,
    b"old 03\n\n" + NOTE,
    b"old +3\n\n" + NOTE,
    b"old 3 \n\n" + NOTE,
    b"old -1\n\n" + NOTE,
    b"old 1_0\n\n" + NOTE,
    b"old \xd9\xa3\n\n" + NOTE,
    b"old 9223372036854775808\n\n" + NOTE,
    b"size 3\n\n" + NOTE,
    b"old 3\r\n\r\n" + NOTE,
    b"old 3\n" + HASH + b"\r\n\n" + NOTE,
    b"old 3\n" + HASH[:-1] + b"\n\n" + NOTE,
    b"old 3\n" + base64.b64encode(bytes(31)) + b"\n\n" + NOTE,
    b"old 3\n" + base64.b64encode(bytes(33)) + b"\n\n" + NOTE,
    b"old 3\n" + b"A" * 42 + b"B=\n\n" + NOTE,  # bits that decode to nothing
    b"old 3\n " + HASH + b"\n\n" + NOTE,
    b"old 3\n" + HASH + b" \n\n" + NOTE,
    b"old 3\n" + (HASH + b"\n") * 64 + b"\n" + NOTE,
]


@pytest.mark.parametrize("body", BAD_REQUESTS)
def test_another_spelling_of_a_request_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_request(body)
    assert caught.value.kind == "malformed"


def test_limits_of_a_request() -> None:
    longest = b"old 3\n" + (HASH + b"\n") * 63 + b"\n" + NOTE
    assert len(parse_request(longest).proof) == 63
    full = b"old 0\n\n" + b"x" * (MAX_REQUEST - 7)
    assert len(parse_request(full).note) == MAX_REQUEST - 7
    with pytest.raises(InvalidInput):
        parse_request(full + b"x")
    assert MAX_REQUEST >= 16 * 3_300 * 2  # sixteen post-quantum signatures, with room


@pytest.mark.parametrize(
    ("old", "proof"), [(-1, []), (0, [bytes(32)] * 64), (3, [bytes(31)]), (3, [b""])]
)
def test_a_request_that_none_may_send_is_a_fault_of_the_program(
    old: int, proof: list[bytes]
) -> None:
    with pytest.raises(AssertionError, match=r"^tlog: "):
        encode_request(old, proof, NOTE)


@given(st.integers(0, 2**63 - 1))
def test_a_size_is_read_as_it_was_written(size: int) -> None:
    assert parse_size(encode_size(size)) == size


@pytest.mark.parametrize(
    "body",
    [
        *[b"", b"\n", b"3", b"03\n", b"3\n\n", b"3\r\n", b" 3\n", b"+3\n", b"-1\n", b"3 \n"],
        *[b"1_0\n", b"3\n4\n", b"9223372036854775808\n", b"9" * 1_000_000 + b"\n", b"<html>\n"],
    ],
)
def test_another_spelling_of_a_size_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse_size(body)


def test_the_cosignature_of_the_witness_is_kept_as_it_came() -> None:
    line = WITNESS.sign_line(TEXT, 1_700_000_000)
    answer = read_cosignatures(line, TEXT, KEY)
    assert answer.cosignature is not None
    assert (answer.cosignature.line, answer.cosignature.timestamp) == (line, 1_700_000_000)
    assert (answer.foreign, answer.forged) == (0, 0)


def test_of_several_the_newest_counts() -> None:
    lines = [WITNESS.sign_line(TEXT, time) for time in (5, 9, 7)]
    answer = read_cosignatures(b"".join(lines), TEXT, KEY)
    assert answer.cosignature is not None and answer.cosignature.line == lines[1]


def _renamed(line: bytes) -> bytes:
    """The same signature under the name of another key; the key id stays."""
    return line.replace(b"/w1 ", b"/w9 ")


def _flipped(line: bytes) -> bytes:
    head, blob = line[:-1].rsplit(b" ", 1)
    raw = bytearray(base64.b64decode(blob))
    raw[-1] ^= 1
    return head + b" " + base64.b64encode(raw) + b"\n"


def _of_time_zero() -> bytes:
    key = WITNESS.sign_blob(TEXT, 1)[:4]
    signature = WITNESS._key.sign(cosigned_message(0, TEXT))
    blob = base64.b64encode(key + bytes(8) + signature)
    return "\u2014 ".encode() + WITNESS.name.encode() + b" " + blob + b"\n"


GOOD = WITNESS.sign_line(TEXT, 5)
LIES = [
    (b"", 0, 0),
    (b"\n", 1, 0),
    (GOOD[:-1], 1, 0),  # cut off: not a line
    (OTHER.sign_line(TEXT, 5), 1, 0),
    (WITNESS.sign_line(ELSEWHERE, 5), 0, 1),
    (_flipped(GOOD), 0, 1),
    (_renamed(GOOD), 1, 0),
    (_of_time_zero(), 0, 1),
    (LOG.sign_line(TEXT), 1, 0),
    (b"<html>hello</html>\n", 1, 0),
    ("\u2014 ".encode() + WITNESS.name.encode() + b" not-base64\n", 1, 0),
    (GOOD[3:], 1, 0),
    (b"\xff\xfe\n", 1, 0),
    (TEXT + b"\n" + OTHER.sign_line(TEXT, 5), 5, 0),  # a note of its own before the line
]


@pytest.mark.parametrize(("lie", "foreign", "forged"), LIES)
def test_of_a_lie_nothing_is_kept(lie: bytes, foreign: int, forged: int) -> None:
    answer = read_cosignatures(lie, TEXT, KEY)
    assert answer.cosignature is None
    assert (answer.foreign, answer.forged) == (foreign, forged)
    if lie.endswith(b"\n"):  # and it takes nothing from the good line beside it
        both = read_cosignatures(lie + GOOD, TEXT, KEY)
        assert both.cosignature is not None and both.cosignature.line == GOOD
        assert (both.foreign, both.forged) == (foreign, forged)


def test_limits_of_an_answer() -> None:
    assert read_cosignatures(b"\n" * 100, TEXT, KEY).foreign == 100
    for body in (b"\n" * 101, b"x" * (add_checkpoint.MAX_RESPONSE + 1)):
        with pytest.raises(InvalidInput):
            read_cosignatures(body, TEXT, KEY)
