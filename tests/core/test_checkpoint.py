"""Checkpoints: three lines in one spelling, and a signature of the log that they name.

Vectors: transparency-dev/tessera testdata/log (1811ae1a), one log at sizes 0 to 15; the checkpoint
of C2SP/C2SP tlog-checkpoint.md.
"""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.paths import vectors
from tlog.core.checkpoint import MAX_SIZE, Checkpoint, open_checkpoint, parse_checkpoint
from tlog.core.cosignature import CosignatureSigner
from tlog.core.hashes import EMPTY_ROOT, leaf_hash, node_hash
from tlog.core.note import Signer, Verifier, parse_skey, parse_vkey, sign_note
from tlog.errors import InvalidInput, VerificationError

TESSERA = "example.com/log/testdata"
TESSERA_VKEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
TESSERA_SKEY = (
    "PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg"
)
ORIGIN = "log.example.com"
LOG = Signer(ORIGIN, bytes([1]) * 32)
WITNESS = CosignatureSigner("witness.example.org", bytes([2]) * 32)
ROOT = bytes(range(32))
ROOT64 = base64.b64encode(ROOT)
BODY = b"log.example.com\n20852163\n" + ROOT64 + b"\n"


def verifier(signer: Signer | CosignatureSigner) -> Verifier:
    return parse_vkey(signer.vkey)


def test_the_example_of_the_specification() -> None:
    text = b"example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    checkpoint = parse_checkpoint(text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.root.hex().startswith("0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630")
    assert checkpoint.body() == text


@pytest.mark.parametrize("size", range(16))
def test_tessera_checkpoint(size: int) -> None:
    data = (vectors("tessera-log") / f"checkpoint.{size}").read_bytes()
    checkpoint, note = open_checkpoint(data, [parse_vkey(TESSERA_VKEY)], TESSERA)
    assert (checkpoint.origin, checkpoint.size) == (TESSERA, size)
    assert checkpoint.body() == note.text
    assert note.only_verified() == data
    # Its own private key, published with it, gives the same note again.
    assert sign_note(checkpoint.body(), [parse_skey(TESSERA_SKEY)]) == data


def test_tessera_roots_are_of_its_entries() -> None:
    one, two, three = (leaf_hash(entry) for entry in (b"one", b"two", b"three"))
    expected = [EMPTY_ROOT, one, node_hash(one, two), node_hash(node_hash(one, two), three)]
    for size, root in enumerate(expected):
        data = (vectors("tessera-log") / f"checkpoint.{size}").read_bytes()
        checkpoint, _ = open_checkpoint(data, [parse_vkey(TESSERA_VKEY)], TESSERA)
        assert checkpoint.root == root


BAD_TEXTS = {
    "empty": b"",
    "one-newline": b"\n",
    "two-lines": b"log.example.com\n1\n",
    "no-last-newline": BODY[:-1],
    "empty-fourth-line": BODY + b"\n",
    "extension-line": BODY + b"extension\n",
    "extension-without-newline": BODY + b"extension",
    "crlf": BODY.replace(b"\n", b"\r\n"),
    "empty-origin": BODY.replace(b"log.example.com", b""),
    "origin-with-tab": BODY.replace(b"log.", b"log\t"),
    "origin-with-nul": BODY.replace(b"log.", b"log\0"),
    "origin-with-carriage-return": BODY.replace(b".com", b".com\r"),
    "origin-not-utf8": BODY.replace(b"log.", b"log\xff"),
    "empty-size": BODY.replace(b"20852163", b""),
    "size-leading-zero": BODY.replace(b"20852163", b"020852163"),
    "size-two-zeros": BODY.replace(b"20852163", b"00"),
    "size-plus": BODY.replace(b"20852163", b"+20852163"),
    "size-minus": BODY.replace(b"20852163", b"-1"),
    "size-minus-zero": BODY.replace(b"20852163", b"-0"),
    "size-space-before": BODY.replace(b"20852163", b" 20852163"),
    "size-space-after": BODY.replace(b"20852163", b"20852163 "),
    "size-underscore": BODY.replace(b"20852163", b"20_852_163"),
    "size-hexadecimal": BODY.replace(b"20852163", b"0x10"),
    "size-exponent": BODY.replace(b"20852163", b"1e3"),
    "size-arabic-digits": BODY.replace(b"20852163", "\u0661".encode()),
    "size-2^63": BODY.replace(b"20852163", b"9223372036854775808"),
    "size-very-long": BODY.replace(b"20852163", b"9" * 5000),
    "empty-root": BODY.replace(ROOT64, b""),
    "root-of-31-bytes": BODY.replace(ROOT64, base64.b64encode(ROOT[:31])),
    "root-of-33-bytes": BODY.replace(ROOT64, base64.b64encode(ROOT + b"\0")),
    "root-without-padding": BODY.replace(b"=", b""),
    "root-trailing-bits": BODY.replace(b"Hh8=", b"Hh9="),
    "root-in-hex": BODY.replace(ROOT64, ROOT.hex().encode()),
    "root-space-after": BODY.replace(b"=\n", b"= \n"),
    "lines-exchanged": b"log.example.com\n" + ROOT64 + b"\n20852163\n",
}


def test_the_text_that_the_bad_ones_are_made_of_is_good() -> None:
    assert parse_checkpoint(BODY) == Checkpoint(ORIGIN, 20852163, ROOT)


@pytest.mark.parametrize("text", BAD_TEXTS.values(), ids=BAD_TEXTS.keys())
def test_a_bad_text_is_refused(text: bytes) -> None:
    assert text != BODY
    with pytest.raises(InvalidInput):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [
        ("", 0, ROOT),
        ("a\nb", 0, ROOT),
        ("a\n", 0, ROOT),
        ("a\x00", 0, ROOT),
        ("\ud800", 0, ROOT),
        ("a", -1, ROOT),
        ("a", MAX_SIZE + 1, ROOT),
        ("a", 0, ROOT[:31]),
        ("a", 0, ROOT + b"\0"),
        ("a", 0, b""),
    ],
)
def test_a_checkpoint_that_cannot_be_written_is_not_made(
    origin: str, size: int, root: bytes
) -> None:
    with pytest.raises(InvalidInput):
        Checkpoint(origin, size, root)


@given(
    st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1),
    st.integers(0, MAX_SIZE),
    st.binary(min_size=32, max_size=32),
)
def test_what_is_written_parses_again(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin, size, root)
    assert parse_checkpoint(checkpoint.body()) == checkpoint
    assert checkpoint.body().count(b"\n") == 3


def test_the_largest_size() -> None:
    text = BODY.replace(b"20852163", b"9223372036854775807")
    assert parse_checkpoint(text).size == MAX_SIZE == 2**63 - 1


def test_origins_need_not_be_urls() -> None:
    for origin in ("Go sum database tree", "a+b", "日本", " ", "rekor - 123"):
        assert parse_checkpoint(Checkpoint(origin, 0, ROOT).body()).origin == origin


def test_the_key_name_need_not_be_the_origin() -> None:
    old = Signer("old-name", bytes([1]) * 32)
    checkpoint, note = open_checkpoint(sign_note(BODY, [old]), [verifier(old)], ORIGIN)
    assert (checkpoint.origin, note.signatures[0].name) == (ORIGIN, "old-name")


def test_another_origin_under_the_same_key_is_refused() -> None:
    data = sign_note(BODY, [LOG])
    open_checkpoint(data, [verifier(LOG)], ORIGIN)
    for origin in ("log.example.co", "LOG.example.com", ORIGIN + "/streams/x", ""):
        with pytest.raises(VerificationError):
            open_checkpoint(data, [verifier(LOG)], origin)


def test_a_signed_text_that_is_no_checkpoint_is_refused() -> None:
    with pytest.raises(InvalidInput):
        open_checkpoint(sign_note(b"log.example.com\n", [LOG]), [verifier(LOG)], ORIGIN)


def test_cosignatures_alone_are_no_checkpoint() -> None:
    both = sign_note(BODY, [LOG, WITNESS.at(1767139200)])
    _, note = open_checkpoint(both, [verifier(LOG)], ORIGIN, [verifier(WITNESS)])
    assert [s.timestamp for s in note.signatures] == [None, 1767139200]
    alone = sign_note(BODY, [WITNESS.at(1767139200)])
    with pytest.raises(VerificationError):
        open_checkpoint(alone, [verifier(LOG)], ORIGIN, [verifier(WITNESS)])


def test_a_failing_cosignature_refuses_the_checkpoint() -> None:
    data = sign_note(BODY, [LOG]) + WITNESS.sign_line(b"another text\n", 1767139200)
    open_checkpoint(data, [verifier(LOG)], ORIGIN)
    with pytest.raises(VerificationError):
        open_checkpoint(data, [verifier(LOG)], ORIGIN, [verifier(WITNESS)])


def test_verifiers_may_be_given_as_an_iterator() -> None:
    data = sign_note(BODY, [LOG])
    checkpoint, _ = open_checkpoint(data, iter([verifier(LOG)]), ORIGIN, iter([verifier(WITNESS)]))
    assert checkpoint.size == 20852163
