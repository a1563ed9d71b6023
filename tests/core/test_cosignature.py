"""Cosignatures: other people's verify, ours are what the specification says, nothing else passes.

Vectors: FiloSottile/sunlight cmd/skylight/testdata (ed0bc387); FiloSottile/torchwood (341dc2f0),
the key of its litewitness tests.
"""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from tlog.core import keys
from tlog.core.cosignature import (
    MAX_TIMESTAMP,
    CosignatureSigner,
    cosigned_message,
    parse_cosigner_skey,
)
from tlog.core.note import Signer, open_note, parse_skey, parse_vkey, sign_note, vkey_for
from tlog.errors import InvalidInput, VerificationError

SUNLIGHT = {
    "witness.example.org+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Zozkoy7clp+P7XB28qUN": (
        "rome2026h1.example.org\n300\nlCkHUpkmVBEms2r2T1K6Og69+wUuuN3MIEW1/ezu2v0=\n\n"
        # A line of type 0x05, to us a line of an unknown key.
        "— rome2026h1.example.org kVB1JgAAAZtxtEwABAMARzBFAiEAi+mTa2xjL1IdWpH82OeciGsGvwRAP+f1WkfKa"
        "SZCfFECIHoNPZ/Q3y6UNzvKOO9cuLr6V16vPNfhwhle9f6r5H/Z\n"
        "— witness.example.org uKLPIAAAAABpVGeAhm2bOvKc3LaB9PFN1ruG19Y5yqslmcAAbhftnn1Zznmo0LXFZq4L"
        "GvqKqLX8jWlwLKasxEGTLIqAVusneCBmBw==\n"
    ).encode(),
    "mirror.example.org+3fb148ef+BAAjjch9GyYz0sJsJx7ALhbdAtz2ov0unbzSl1vMp94O": (
        "rome2026h1.example.org\n300\ngw31yQrqZZCcEOPrzX+bpy3nJ6QgngTKn8G1m0i62uU=\n\n"
        "— mirror.example.org P7FI7wAAAABpVGeAjA1S4pJm6MbcXjX7UUImu4azZtrfcVW2uyr/LXIYlwEJzXC0N0EiZ"
        "kbqfLdXt/4gVEEuGmxJjAfXKMCISpsJAg==\n"
    ).encode(),
}
SUNLIGHT_TIME = 1767139200

LITEWITNESS_SEED = bytes.fromhex("31ffc2116ecbe003acaa800ab70757bd7d53206e3febef6a6d0796d95530b34f")
LITEWITNESS_VKEY = "example.com/witness+10a1c019+BGSEitir7W6FmBs7OHWyUrh2frtLAvcDrKOx5xu9ao5Q"

TEXT = b"log.example.com\n3\nWqx3HImawpLnS/Gv4ubjAvi1WIOy0b8Ze0amvqbavKk=\n"
WITNESS = CosignatureSigner("witness.example.org/w1", bytes(range(32)))
VERIFIER = parse_vkey(WITNESS.vkey)
TIME = 1679315147


@pytest.mark.parametrize(("vkey", "data"), SUNLIGHT.items(), ids=["witness", "mirror"])
def test_sunlight_cosignature(vkey: str, data: bytes) -> None:
    note = open_note(data, [parse_vkey(vkey)])
    (signature,) = note.signatures
    assert (signature.timestamp, signature.key_type) == (SUNLIGHT_TIME, 0x04)
    assert note.text.startswith(b"rome2026h1.example.org\n300\n")
    assert b"kVB1JgAAAZ" not in note.only_verified()


def test_litewitness_key() -> None:
    signer = CosignatureSigner("example.com/witness", LITEWITNESS_SEED)
    assert signer.vkey == LITEWITNESS_VKEY == parse_vkey(LITEWITNESS_VKEY).vkey
    assert vkey_for("example.com/witness", signer.public_key, 0x04) == LITEWITNESS_VKEY


def test_the_message_of_the_specification() -> None:
    text = b"example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    assert cosigned_message(1679315147, text) == (
        b"cosignature/v1\n"
        b"time 1679315147\n"
        b"example.com/behind-the-sofa\n"
        b"20852163\n"
        b"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    )


def test_a_blob_is_key_id_time_and_signature_of_that_message() -> None:
    blob = WITNESS.sign_blob(TEXT, TIME)
    assert len(blob) == 76
    assert blob[:4] == WITNESS.key_id.to_bytes(4, "big")
    assert blob[4:12] == TIME.to_bytes(8, "big")
    public_key = Ed25519PublicKey.from_public_bytes(WITNESS.public_key)
    public_key.verify(blob[12:], b"cosignature/v1\ntime 1679315147\n" + TEXT)
    assert VERIFIER.verify(TEXT, blob) == TIME


def test_the_line_is_the_blob_in_base64() -> None:
    blob = base64.b64encode(WITNESS.sign_blob(TEXT, TIME)).decode()
    line = f"— witness.example.org/w1 {blob}\n".encode()
    assert WITNESS.sign_line(TEXT, TIME) == line == WITNESS.at(TIME).sign_line(TEXT)
    assert len(blob) == 104


def raw_blob(time: bytes, message: bytes) -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    return WITNESS.key_id.to_bytes(4, "big") + time + key.sign(message)


GOOD_TIME = TIME.to_bytes(8, "big")
FAULTS = {
    "another-time": (TIME + 1).to_bytes(8, "big") + WITNESS.sign_blob(TEXT, TIME)[12:],
    "little-endian-time": TIME.to_bytes(8, "little") + WITNESS.sign_blob(TEXT, TIME)[12:],
    "2^63": raw_blob(
        (2**63).to_bytes(8, "big"), b"cosignature/v1\ntime 9223372036854775808\n" + TEXT
    )[4:],
    "no-time-line": raw_blob(GOOD_TIME, b"cosignature/v1\n" + TEXT)[4:],
    "time-with-leading-zero": raw_blob(GOOD_TIME, b"cosignature/v1\ntime 01679315147\n" + TEXT)[4:],
    "another-version": raw_blob(GOOD_TIME, b"cosignature/v2\ntime 1679315147\n" + TEXT)[4:],
    "no-header": raw_blob(GOOD_TIME, b"time 1679315147\n" + TEXT)[4:],
    "the-text-alone": raw_blob(GOOD_TIME, TEXT)[4:],
    "text-without-last-newline": raw_blob(
        GOOD_TIME, b"cosignature/v1\ntime 1679315147\n" + TEXT[:-1]
    )[4:],
    "two-lines-of-the-text": raw_blob(
        GOOD_TIME, b"cosignature/v1\ntime 1679315147\nlog.example.com\n3\n"
    )[4:],
    "no-timestamp": WITNESS.sign_blob(TEXT, TIME)[12:],
    "too-short": WITNESS.sign_blob(TEXT, TIME)[4:-1],
    "too-long": WITNESS.sign_blob(TEXT, TIME)[4:] + b"\0",
    "seven-bytes": bytes(7),
    "empty": b"",
}


@pytest.mark.parametrize("payload", FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_cosignature_is_refused(payload: bytes) -> None:
    with pytest.raises(VerificationError):
        VERIFIER.verify(TEXT, WITNESS.key_id.to_bytes(4, "big") + payload)


def test_the_largest_time_verifies() -> None:
    assert VERIFIER.verify(TEXT, WITNESS.sign_blob(TEXT, MAX_TIMESTAMP)) == 2**63 - 1


def test_time_zero_verifies_but_is_never_written() -> None:
    blob = raw_blob(bytes(8), b"cosignature/v1\ntime 0\n" + TEXT)
    assert VERIFIER.verify(TEXT, blob) == 0


@pytest.mark.parametrize("time", [0, -1, 2**63])
def test_a_witness_does_not_sign_such_a_time(time: int) -> None:
    with pytest.raises(InvalidInput):
        WITNESS.sign_blob(TEXT, time)
    with pytest.raises(InvalidInput):
        sign_note(TEXT, [WITNESS.at(time)])


def test_extension_lines_are_covered() -> None:
    text = TEXT + b"extension\n"
    data = sign_note(text, [WITNESS.at(TIME)])
    assert open_note(data, [VERIFIER]).text == text
    with pytest.raises(VerificationError):
        open_note(data.replace(b"extension", b"Extension"), [VERIFIER])


def test_one_key_as_note_key_and_as_cosigner_has_two_ids() -> None:
    as_note_key = Signer(WITNESS.name, bytes(range(32)))
    assert as_note_key.public_key == WITNESS.public_key
    assert as_note_key.key_id != WITNESS.key_id
    data = sign_note(TEXT, [as_note_key, WITNESS.at(TIME)])
    note = open_note(data, [parse_vkey(as_note_key.vkey), VERIFIER])
    assert [(s.key_type, s.timestamp) for s in note.signatures] == [(1, None), (4, TIME)]
    # A note signature presented as a cosignature is none.
    with pytest.raises(VerificationError):
        VERIFIER.verify(TEXT, WITNESS.key_id.to_bytes(4, "big") + as_note_key.sign_blob(TEXT)[4:])


@pytest.mark.parametrize("times", [(TIME, TIME + 60), (TIME + 60, TIME)])
def test_of_several_cosignatures_of_one_key_the_earliest_counts(times: tuple[int, int]) -> None:
    lines = [WITNESS.sign_line(TEXT, time) for time in times]
    (signature,) = open_note(TEXT + b"\n" + b"".join(lines), [VERIFIER]).signatures
    assert (signature.timestamp, signature.line) == (TIME, WITNESS.sign_line(TEXT, TIME))


def test_every_cosignature_of_one_key_must_verify() -> None:
    good, bad = WITNESS.sign_line(TEXT, TIME), WITNESS.sign_line(b"x" + TEXT, TIME + 60)
    for lines in (good + bad, bad + good):
        with pytest.raises(VerificationError):
            open_note(TEXT + b"\n" + lines, [VERIFIER])


def test_at_is_a_note_signer() -> None:
    fixed = WITNESS.at(TIME)
    assert (fixed.name, fixed.key_id) == (WITNESS.name, WITNESS.key_id)
    with pytest.raises(InvalidInput, match="one of each key"):
        sign_note(TEXT, [fixed, WITNESS.at(TIME + 1)])


def test_private_key_text() -> None:
    signer = parse_cosigner_skey(WITNESS.skey)
    assert (signer.vkey, signer.skey) == (WITNESS.vkey, WITNESS.skey)
    assert signer.sign_blob(TEXT, TIME) == WITNESS.sign_blob(TEXT, TIME)
    assert WITNESS.skey.startswith("PRIVATE+KEY+witness.example.org/w1+")


def test_a_private_key_of_the_other_kind_is_refused() -> None:
    with pytest.raises(InvalidInput):
        parse_cosigner_skey(Signer("log.example.com", bytes(32)).skey)
    with pytest.raises(InvalidInput):
        parse_skey(WITNESS.skey)


def test_a_private_key_with_the_id_of_another_is_refused() -> None:
    with pytest.raises(InvalidInput, match="does not belong"):
        parse_cosigner_skey(keys.encode_skey(WITNESS.name, WITNESS.key_id ^ 1, 4, bytes(range(32))))


@pytest.mark.parametrize(("name", "seed"), [("a b", bytes(32)), ("", bytes(32)), ("a", bytes(31))])
def test_a_bad_name_or_seed_is_refused(name: str, seed: bytes) -> None:
    with pytest.raises(InvalidInput):
        CosignatureSigner(name, seed)


@given(st.integers(1, MAX_TIMESTAMP), st.text(st.characters(blacklist_categories=["Cs", "Cc"])))
def test_what_is_cosigned_opens_again(time: int, extra: str) -> None:
    text = TEXT + extra.encode() + b"\n"
    data = sign_note(text, [WITNESS.at(time)])
    note = open_note(data, [VERIFIER])
    assert (note.text, note.signatures[0].timestamp, note.only_verified()) == (text, time, data)


def test_every_flipped_bit_is_noticed() -> None:
    data = sign_note(TEXT, [WITNESS.at(TIME)])
    for index in range(len(data)):
        for bit in range(8):
            mutated = bytearray(data)
            mutated[index] ^= 1 << bit
            with pytest.raises((InvalidInput, VerificationError)):
                open_note(bytes(mutated), [VERIFIER])
