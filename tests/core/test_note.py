"""Signed notes: other people's notes open, ours open as theirs, and no note with a fault does.

Vectors: C2SP/C2SP signed-note.md (5ba5ee83) and golang/mod sumdb/note/note_test.go (fe2ec04f).
"""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tlog.core import keys, note
from tlog.core.note import (
    MAX_NOTE_SIZE,
    Note,
    Signer,
    Verifier,
    open_note,
    parse_skey,
    parse_vkey,
    require_signature,
    sign_note,
    vkey_for,
)
from tlog.errors import InvalidInput, TlogError, VerificationError

SPEC_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONnc"
    "AlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()

PETER_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
ENOCH_VKEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = (
    b"If you think cryptography is the answer to your problem,\n"
    b"then you don't know what your problem is.\n"
)
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6"
    "KE6RyyBwJnAM=\n"
).encode()
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33W"
    "Wd1RvMc+QQ=\n"
).encode()
PETER = parse_vkey(PETER_VKEY)
ENOCH = parse_vkey(ENOCH_VKEY)

# Two seeds found by trying: their keys have the same 32-bit id under this name.
COLLISION = "collision.example/log"
TWINS = [Signer(COLLISION, seed.to_bytes(32, "big")) for seed in (142333, 189867)]

SEED = bytes(range(32))
LOG = Signer("log.example.com", SEED)


def line(name: str, blob: bytes) -> bytes:
    return f"— {name} {base64.b64encode(blob).decode()}\n".encode()


# Public keys


@pytest.mark.parametrize("vkey", [SPEC_VKEY, PETER_VKEY, ENOCH_VKEY, LOG.vkey])
def test_a_vkey_parses_and_is_written_again(vkey: str) -> None:
    verifier = parse_vkey(vkey)
    assert verifier.vkey == vkey
    assert repr(verifier) == f"Verifier({vkey!r})"
    assert vkey_for(verifier.name, verifier.public_key) == vkey


@pytest.mark.parametrize("text", [PETER_VKEY, PETER_SKEY])
def test_no_part_of_a_key_is_a_key(text: str) -> None:
    parse = parse_vkey if text is PETER_VKEY else parse_skey
    for start in range(len(text)):
        for end in range(start, len(text) + 1):
            if (start, end) != (0, len(text)):
                with pytest.raises(InvalidInput):
                    parse(text[start:end])


@pytest.mark.parametrize("text", [PETER_VKEY, PETER_SKEY])
def test_no_other_character_is_accepted_anywhere_in_a_key(text: str) -> None:
    parse = parse_vkey if text is PETER_VKEY else parse_skey
    for i, character in enumerate(text):
        for other in {chr(ord(character) + 1), character.swapcase(), "\n", "é"} - {character}:
            with pytest.raises(InvalidInput):
                parse(text[:i] + other + text[i + 1 :])


@pytest.mark.parametrize(
    "vkey",
    [
        pytest.param(
            "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
            id="key-of-another-length-golang",
        ),
        pytest.param(
            "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            id="unknown-type-golang",
        ),
        pytest.param("name+01234567+", id="no-key"),
        pytest.param(PETER_VKEY.replace("c74f20a3", "C74F20A3"), id="id-in-upper-case"),
        pytest.param(PETER_VKEY.replace("c74f20a3", "0xc74f20a3"), id="id-with-0x"),
        pytest.param(PETER_VKEY.replace("c74f20a3", "c74f20a3\n"), id="newline-after-id"),
        pytest.param(PETER_VKEY + "\n", id="newline-at-the-end"),
        pytest.param(PETER_VKEY + "+", id="another-part"),
        pytest.param(" " + PETER_VKEY, id="space-before"),
        pytest.param("", id="empty"),
    ],
)
def test_a_bad_vkey_is_refused(vkey: str) -> None:
    with pytest.raises(InvalidInput):
        parse_vkey(vkey)


def test_a_vkey_of_a_type_that_is_not_supported_is_refused() -> None:
    for key_type in set(range(256)) - {0x01, 0x04}:
        identifier = keys.key_id("name", key_type, PETER.public_key)
        with pytest.raises(InvalidInput):
            parse_vkey(keys.encode_key("name", identifier, key_type, PETER.public_key))


BAD_NAMES = {
    "empty": "",
    "plus": "a+b",
    "space": "a b",
    "leading-space": " a",
    "tab": "a\tb",
    "newline": "a\n",
    "no-break-space": "a\u00a0b",
    "next-line": "a\u0085b",
    "ideographic-space": "a\u3000",
    "line-separator": "\u2028a",
    "control": "a\x01b",
    "lone-surrogate": "a\ud800",
    "last-surrogate": "a\udfff",
}


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES.keys())
def test_a_bad_name_is_no_key_name(name: str) -> None:
    for make in (
        lambda: Verifier(name, PETER.public_key),
        lambda: Signer(name, SEED),
        lambda: LOG.under(name),
        lambda: vkey_for(name, PETER.public_key),
    ):
        with pytest.raises(InvalidInput):
            make()


@pytest.mark.parametrize("name", ["a", "é", "日本.example/log", "oid/1.3.6.1", "a\u200bb", "—"])
def test_any_other_name_is_a_key_name(name: str) -> None:
    signer = LOG.under(name)
    opened = open_note(sign_note(TEXT, [signer]), [parse_vkey(signer.vkey)])
    assert opened.signatures[0].name == name


# Private keys


def test_golang_private_key_signs_what_golang_signed() -> None:
    signer = parse_skey(PETER_SKEY)
    assert signer.vkey == PETER_VKEY
    assert signer.skey == PETER_SKEY
    assert sign_note(TEXT, [signer]) == TEXT + b"\n" + PETER_LINE


@pytest.mark.parametrize("skey", ["", PETER_VKEY, PETER_SKEY.lower(), PETER_SKEY[8:]])
def test_what_is_no_private_key_is_refused(skey: str) -> None:
    with pytest.raises(InvalidInput):
        parse_skey(skey)


def test_a_private_key_of_a_cosigner_is_no_signer_of_notes() -> None:
    with pytest.raises(InvalidInput, match="without a time"):
        Signer("witness.example.org", SEED, 0x04)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_seed_has_32_bytes(length: int) -> None:
    with pytest.raises(InvalidInput, match="32 bytes"):
        Signer("log.example.com", bytes(length))


def test_one_seed_has_a_key_under_every_name() -> None:
    stream = LOG.under("log.example.com/streams/x")
    assert stream.vkey == Signer("log.example.com/streams/x", SEED).vkey
    assert stream.vkey == vkey_for("log.example.com/streams/x", LOG.public_key)
    assert (stream.public_key, stream.key_id != LOG.key_id) == (LOG.public_key, True)
    assert LOG.name == "log.example.com"
    opened = open_note(sign_note(TEXT, [LOG, stream]), [parse_vkey(stream.vkey)])
    assert [s.name for s in opened.signatures] == ["log.example.com/streams/x"]


def test_the_secret_is_not_in_the_repr() -> None:
    assert LOG.skey.rpartition("+")[2][4:20] not in repr(LOG)
    assert SEED.hex() not in repr(LOG)


def test_a_blob_is_key_id_and_signature() -> None:
    blob = LOG.sign_blob(TEXT)
    verifier = parse_vkey(LOG.vkey)
    assert blob[:4] == LOG.key_id.to_bytes(4, "big")
    assert verifier.verify(TEXT, blob) is None
    for bad in (b"", blob[:4], blob[:-1], blob + b"\0", b"\0\0\0\0" + blob[4:]):
        with pytest.raises(VerificationError):
            verifier.verify(TEXT, bad)


# Notes that are good


def test_the_example_of_the_specification() -> None:
    opened = open_note(SPEC_NOTE, [parse_vkey(SPEC_VKEY)])
    assert opened.text == b"This is an example message.\n"
    assert opened.data == SPEC_NOTE == opened.only_verified()
    (signature,) = opened.signatures
    assert (signature.name, signature.key_id) == ("example.com/foo", 0x530D903A)
    assert (signature.key_type, signature.timestamp) == (0x01, None)


@pytest.mark.parametrize(
    ("known", "expected"),
    [([PETER], [PETER]), ([ENOCH], [ENOCH]), ([ENOCH, PETER], [PETER, ENOCH])],
)
def test_golang_note_with_two_signatures(known: list[Verifier], expected: list[Verifier]) -> None:
    opened = open_note(TEXT + b"\n" + PETER_LINE + ENOCH_LINE, known)
    assert opened.text == TEXT
    assert [(s.name, s.key_id) for s in opened.signatures] == [(v.name, v.key_id) for v in expected]


def test_unknown_lines_are_reachable_through_data_only() -> None:
    data = TEXT + b"\n" + ENOCH_LINE + PETER_LINE
    opened = open_note(data, [PETER])
    assert opened.data == data
    assert opened.only_verified() == TEXT + b"\n" + PETER_LINE
    assert set(Note.__slots__) == {"text", "signatures", "data"}
    assert b"Enoch" not in repr((opened.text, opened.signatures)).encode()


def test_golang_repeated_lines() -> None:
    other = ENOCH_LINE[:60] + b"ABCD" + ENOCH_LINE[60:]
    data = TEXT + b"\n" + PETER_LINE * 2 + ENOCH_LINE * 2 + other
    opened = open_note(data, [PETER])
    assert [s.name for s in opened.signatures] == ["PeterNeumann"]
    assert opened.only_verified() == TEXT + b"\n" + PETER_LINE


def test_the_text_ends_at_the_last_empty_line() -> None:
    for text in (b"a\n\nb\n", b"a\n\n", b"\n", b"\n\n\n", b"a\n\n" + PETER_LINE):
        data = sign_note(text, [LOG])
        opened = open_note(data, [parse_vkey(LOG.vkey)])
        assert (opened.text, opened.data) == (text, data)


def test_del_and_any_utf8_may_stand_in_a_text() -> None:
    text = "\x7f\u0085\u2028 é 日本 \U0001f600\ufeff\n".encode()
    assert open_note(sign_note(text, [LOG]), [parse_vkey(LOG.vkey)]).text == text


def test_one_hundred_lines_are_accepted_and_one_more_is_not() -> None:
    opened = open_note(TEXT + b"\n" + ENOCH_LINE * 99 + PETER_LINE, [PETER])
    assert len(opened.signatures) == 1
    for lines in (ENOCH_LINE * 100 + PETER_LINE, PETER_LINE * 101):
        with pytest.raises(InvalidInput, match="100"):
            open_note(TEXT + b"\n" + lines, [PETER])


def test_one_mebibyte_is_accepted_and_one_byte_more_is_not() -> None:
    room = MAX_NOTE_SIZE - len(sign_note(b"\n", [LOG]))
    data = sign_note(b"x" * room + b"\n", [LOG])
    assert len(data) == MAX_NOTE_SIZE
    open_note(data, [parse_vkey(LOG.vkey)])
    with pytest.raises(InvalidInput, match="1 MiB"):
        open_note(b"x" + data, [parse_vkey(LOG.vkey)])


# Notes that are bad

GOOD = TEXT + b"\n" + PETER_LINE
MALFORMED = {
    # the list of golang/mod
    "text-only": TEXT,
    "no-signature": TEXT + b"\n",
    "no-last-newline": GOOD[:-1],
    "control-character": b"\x01" + GOOD,
    "not-utf8": b"\xff" + GOOD,
    "name-with-space": TEXT
    + "\n— Bad Name x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6"
    "KE6RyyBwJnAM=\n".encode(),
    "another-line-below": GOOD + b"Unexpected line.\n",
    # our own
    "empty": b"",
    "one-newline": b"\n",
    "two-newlines": b"\n\n",
    "no-text": b"\n" + PETER_LINE,
    "no-empty-line": TEXT + PETER_LINE,
    "empty-line-at-the-end": GOOD + b"\n",
    "empty-line-between-signatures": GOOD + b"\n" + b"x\n",
    "crlf": GOOD.replace(b"\n", b"\r\n"),
    "crlf-in-the-signature": GOOD[:-1] + b"\r\n",
    "tab": GOOD.replace(b" ", b"\t"),
    "nul": GOOD.replace(b"think", b"thi\0k"),
    "unit-separator": GOOD.replace(b"think", b"thi\x1fk"),
    "overlong-utf8": b"\xc0\xaf" + GOOD,
    "surrogate-utf8": b"\xed\xa0\x80" + GOOD,
    "cut-utf8-in-unknown-line": GOOD + b"\xe2\x80\x94 a\xe2 AAAAAAA=\n",
    "en-dash": GOOD.replace("—".encode(), "–".encode()),
    "hyphen": GOOD.replace("—".encode(), b"-"),
    "no-space-after-dash": GOOD.replace("— ".encode(), "—".encode()),
    "two-spaces-after-dash": GOOD.replace("— ".encode(), "—  ".encode()),
    "no-break-space-after-dash": GOOD.replace("— ".encode(), "—\u00a0".encode()),
    "two-spaces-before-base64": GOOD.replace(b" x08", b"  x08"),
    "space-at-the-end": GOOD[:-1] + b" \n",
    "no-name": GOOD.replace(b" PeterNeumann", b""),
    "empty-name": GOOD.replace(b"PeterNeumann", b""),
    "name-with-plus": GOOD.replace(b"PeterNeumann", b"Peter+Neumann"),
    "name-with-no-break-space": GOOD.replace(b"PeterNeumann", "Peter\u00a0N".encode()),
    "no-base64": GOOD.partition("—".encode())[0] + "— PeterNeumann\n".encode(),
    "empty-base64": GOOD.partition("—".encode())[0] + "— PeterNeumann \n".encode(),
    "no-padding": GOOD.replace(b"=", b""),
    "more-padding": GOOD.replace(b"=", b"=="),
    "trailing-bits": GOOD.replace(b"nAM=", b"nAN="),
    "urlsafe-base64": GOOD.replace(b"x08go/", b"x08go_"),
    "base64-with-newline": GOOD.replace(b"x08go/", b"x08go\n/"),
    "base64-not-ascii": GOOD.replace(b"x08go/", "x08go\uff0f".encode()),
    "signature-is-a-key-id": TEXT + b"\n" + line("PeterNeumann", b"\xc7\x4f\x20\xa3"),
    "signature-of-three-bytes": TEXT + b"\n" + line("PeterNeumann", b"\xc7\x4f\x20"),
    "unknown-line-without-signature": GOOD + "— other AAAA\n".encode(),
    "unknown-line-with-bad-base64": GOOD + "— other AAAAAAA\n".encode(),
    "unknown-line-with-trailing-bits": GOOD + "— other AAAAAAB=\n".encode(),
    "unknown-line-with-bad-name": GOOD + "— o+r AAAAAAA=\n".encode(),
}


def test_the_note_that_the_bad_ones_are_made_of_is_good() -> None:
    open_note(GOOD, [PETER])
    open_note(GOOD + "— other AAAAAAA=\n".encode(), [PETER])


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_note_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        open_note(data, [PETER])


PETER_BLOB = base64.b64decode(PETER_LINE.split()[2])
UNVERIFIED = {
    "no-known-key": TEXT + b"\n" + ENOCH_LINE,
    "another-text": b"x" + GOOD,
    "another-empty-line": TEXT + b"\n\n" + PETER_LINE,
    "another-name": TEXT + b"\n" + line("CarmenSandiego", PETER_BLOB),
    "another-id": TEXT + b"\n" + line("PeterNeumann", b"xxxx" + PETER_BLOB[4:]),
    "known-key-fails-golang": TEXT + b"\n" + PETER_LINE[:60] + b"ABCD" + PETER_LINE[60:],
    "signature-too-short": TEXT + b"\n" + line("PeterNeumann", PETER_BLOB[:-1]),
    "signature-too-long": TEXT + b"\n" + line("PeterNeumann", PETER_BLOB + b"\0"),
    "signature-of-one-byte": TEXT + b"\n" + line("PeterNeumann", PETER_BLOB[:5]),
    "repeated-line-fails": GOOD + line("PeterNeumann", PETER_BLOB[:-1] + b"\0"),
    "known-key-fails-beside-a-good-one": TEXT
    + b"\n"
    + ENOCH_LINE
    + line("PeterNeumann", PETER_BLOB[:4] + bytes(64)),
}


@pytest.mark.parametrize("data", UNVERIFIED.values(), ids=UNVERIFIED.keys())
def test_a_note_that_does_not_verify_is_refused(data: bytes) -> None:
    known = [PETER, ENOCH] if data is UNVERIFIED["known-key-fails-beside-a-good-one"] else [PETER]
    with pytest.raises(VerificationError) as caught:
        open_note(data, known)
    assert str(caught.value) == "verification failed"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_without_keys_nothing_opens() -> None:
    with pytest.raises(VerificationError):
        open_note(GOOD, [])


def test_same_name_or_same_id_alone_is_unknown() -> None:
    same_name = Signer("PeterNeumann", SEED)
    opened = open_note(GOOD + same_name.sign_line(b"other"), [PETER])
    assert len(opened.signatures) == 1
    renamed = line("Peter", PETER_BLOB[:4] + bytes(64))
    assert len(open_note(GOOD + renamed, [PETER]).signatures) == 1


def test_two_keys_with_one_name_and_id_are_refused() -> None:
    first, second = (parse_vkey(twin.vkey) for twin in TWINS)
    assert first.key_id == second.key_id
    assert first.public_key != second.public_key
    data = sign_note(TEXT, [TWINS[0]])
    open_note(data, [first])
    for known in ([first, second], [second, first]):
        with pytest.raises(InvalidInput) as caught:
            open_note(data, known)
        assert caught.value.kind == "ambiguous-key"
    # A line of the other twin is a line of the configured key, and fails.
    with pytest.raises(VerificationError):
        open_note(data, [second])
    with pytest.raises(VerificationError):
        open_note(data + TWINS[1].sign_line(TEXT), [first])


def test_one_key_configured_twice_is_one_key() -> None:
    assert len(open_note(GOOD, [PETER, parse_vkey(PETER_VKEY)]).signatures) == 1


def test_require_signature() -> None:
    opened = open_note(GOOD, [PETER, ENOCH])
    require_signature(opened, [ENOCH, PETER])
    for verifiers in ([], [ENOCH]):
        with pytest.raises(VerificationError):
            require_signature(opened, verifiers)


# Signing


@pytest.mark.parametrize("text", [b"", b"abc", b"a\r\n", b"\xff\n", b"a\tb\n", b"a\n\nb"])
def test_a_text_that_no_note_can_hold_is_not_signed(text: bytes) -> None:
    with pytest.raises(InvalidInput):
        sign_note(text, [LOG])


def test_a_note_has_a_signature_and_one_of_each_key() -> None:
    for signers in ([], [LOG, Signer(LOG.name, SEED)]):
        with pytest.raises(InvalidInput, match="one of each key"):
            sign_note(TEXT, signers)


LINES = st.lists(
    st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20), min_size=1, max_size=6
)
NAMES = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Z"], blacklist_characters="+"))


@given(LINES, st.lists(NAMES.filter(bool), min_size=1, max_size=4, unique=True))
def test_what_is_signed_opens_again(lines: list[str], names: list[str]) -> None:
    text = "".join(entry + "\n" for entry in lines).encode()
    signers = [LOG.under(name) for name in names]
    data = sign_note(text, signers)
    opened = open_note(data, [parse_vkey(signer.vkey) for signer in signers])
    assert opened.text == text
    assert opened.only_verified() == opened.data == data
    assert [s.name for s in opened.signatures] == names
    assert b"".join(s.line for s in opened.signatures) == data[len(text) + 1 :]


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 7))
@example(GOOD.index(b"nAM=") + 2, 0)
def test_every_flipped_bit_is_noticed(index: int, bit: int) -> None:
    mutated = bytearray(GOOD)
    mutated[index] ^= 1 << bit
    with pytest.raises(TlogError) as caught:
        open_note(bytes(mutated), [PETER])
    assert isinstance(caught.value, InvalidInput | VerificationError)


def test_every_flipped_bit_of_a_whole_note_is_noticed() -> None:
    for index in range(len(SPEC_NOTE)):
        for bit in range(8):
            mutated = bytearray(SPEC_NOTE)
            mutated[index] ^= 1 << bit
            with pytest.raises((InvalidInput, VerificationError)):
                open_note(bytes(mutated), [parse_vkey(SPEC_VKEY)])


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_arbitrary_bytes_never_open(data: bytes) -> None:
    for candidate in (data, data + b"\n\n" + data, TEXT + b"\n" + data):
        with pytest.raises((InvalidInput, VerificationError)):
            open_note(candidate, [PETER])


def test_the_type_table_has_what_the_constants_say() -> None:
    assert set(note.KEY_TYPES) == {keys.ED25519, keys.ED25519_COSIGNATURE} == {0x01, 0x04}
    assert re.fullmatch("[0-9a-f]{8}", LOG.vkey.split("+")[1])
