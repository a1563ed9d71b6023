"""COSE receipts: one encoding, and verified only for the leaf, tree, log and key that they are of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.golden.honest import (
    HONEST,
    LOG,
    OTHER,
    STREAM_ORIGIN,
    TARGET,
    W1,
    prove,
    tree,
)
from tlog.core import cose
from tlog.core.checkpoint import Checkpoint
from tlog.core.cose import (
    Consistency,
    Header,
    Inclusion,
    Receipt,
    encode_receipt,
    parse_receipt,
    to_be_signed,
    verify_consistency_receipt,
    verify_inclusion_receipt,
)
from tlog.core.hashes import leaf_hash
from tlog.core.note import Signer, parse_vkey
from tlog.core.proofs import consistency_proof, consistency_root
from tlog.errors import InvalidInput, VerificationError

KEY = parse_vkey(LOG.vkey)
PROOF = prove()
LEAF = leaf_hash(HONEST[TARGET])
EDGE = tree(HONEST)
OLD = Checkpoint(STREAM_ORIGIN, 3, tree(HONEST[:3]).root())
HEADER = cose.log_header(LOG.name, LOG.public_key, STREAM_ORIGIN)


def signed(proof: Inclusion | Consistency, header: Header = HEADER, by: Signer = LOG) -> Receipt:
    """A receipt over the root of the honest stream, whatever the proof says."""
    return Receipt(header, proof, by.sign_blob(to_be_signed(header, PROOF.head.root))[4:])


INCLUSION = signed(Inclusion(len(HONEST), TARGET, tuple(PROOF.path)))
CONSISTENCY = signed(Consistency(3, len(HONEST), tuple(consistency_proof(3, len(HONEST), EDGE))))
GOOD = {"inclusion": encode_receipt(INCLUSION), "consistency": encode_receipt(CONSISTENCY)}


def test_inclusion() -> None:
    assert parse_receipt(GOOD["inclusion"]) == INCLUSION
    assert verify_inclusion_receipt(INCLUSION, LEAF, KEY) == PROOF.head


def test_consistency() -> None:
    assert parse_receipt(GOOD["consistency"]) == CONSISTENCY
    assert verify_consistency_receipt(CONSISTENCY, OLD, KEY) == PROOF.head


def test_the_bytes_are_those_of_the_standard() -> None:
    """Written down from RFC 9052 and RFC 9942, byte for byte, with no encoder."""
    key_id = sha256(b"log.example.com\n\x01" + LOG.public_key).digest()[:4]
    assert key_id.hex() in LOG.vkey
    subject = STREAM_ORIGIN.encode()
    protected = (
        b"\xa4\x01\x27\x04\x44" + key_id + b"\x0f\xa2\x01\x6flog.example.com"
        b"\x02\x78" + bytes([len(subject)]) + subject + b"\x19\x01\x8b\x01"
    )
    assert HEADER.encode() == protected
    root = PROOF.head.root
    structure = b"\x84\x6aSignature1\x58" + bytes([len(protected)]) + protected
    assert to_be_signed(HEADER, root) == structure + b"\x40\x58\x20" + root
    path = b"".join(b"\x58\x20" + one for one in PROOF.path)
    proof = b"\x83\x07\x05" + bytes([0x80 + len(PROOF.path)]) + path
    assert GOOD["inclusion"] == (
        b"\xd2\x84\x58" + bytes([len(protected)]) + protected + b"\xa1\x19\x01\x8c\xa1\x20\x81"
        b"\x58" + bytes([len(proof)]) + proof + b"\xf6\x58\x40" + INCLUSION.signature
    )
    assert (
        cose.parse_receipt(GOOD["inclusion"].replace(b"\xa1\x20\x81", b"\xa1\x21\x81")) != INCLUSION
    )


@pytest.mark.parametrize("kind", GOOD)
def test_every_changed_bit_is_refused(kind: str) -> None:
    for at in range(len(GOOD[kind])):
        for bit in range(8):
            changed = bytearray(GOOD[kind])
            changed[at] ^= 1 << bit
            with pytest.raises((InvalidInput, VerificationError)):
                judge(kind, bytes(changed))


def judge(kind: str, data: bytes) -> Checkpoint:
    receipt = parse_receipt(data)
    if kind == "inclusion":
        head = verify_inclusion_receipt(receipt, LEAF, KEY)
    else:
        head = verify_consistency_receipt(receipt, OLD, KEY)
    if head != PROOF.head:  # a size is not signed: who relies on it compares it with a head
        raise VerificationError
    return head


def test_a_tree_of_one_leaf() -> None:
    one = prove(HONEST[:1], 0)
    blob = LOG.sign_blob(to_be_signed(HEADER, one.head.root))
    receipt = Receipt(HEADER, Inclusion(1, 0, ()), blob[4:])
    assert parse_receipt(encode_receipt(receipt)) == receipt
    assert verify_inclusion_receipt(receipt, leaf_hash(HONEST[0]), KEY) == one.head


# --- Other encodings --------------------------------------------------------------------------------

CLAIMS = {1: LOG.name, 2: STREAM_ORIGIN}
PARTS = {1: -8, 4: HEADER.key_id, 15: CLAIMS, 395: 1}
INNER = [len(HONEST), TARGET, list(PROOF.path)]


def spelled(
    protected: Any = PARTS, vdp: Any = None, payload: Any = None, inner: Any = INNER, **more: Any
) -> bytes:
    """The receipt of inclusion, signed over whatever header it gets."""
    raw = protected if isinstance(protected, bytes) else cbor2.dumps(protected, canonical=True)
    structure = cbor2.dumps(["Signature1", raw, b"", PROOF.head.root], canonical=True)
    signature = more.get("signature", LOG.sign_blob(structure)[4:])
    proof = inner if isinstance(inner, bytes) else cbor2.dumps(inner)
    unprotected = more.get("unprotected", {396: vdp or {-1: [proof]}})
    items = [raw, unprotected, payload, signature]
    tagged = cbor2.CBORTag(18, more.get("items", items))
    return cbor2.dumps(tagged, canonical=True)


def without(label: int) -> dict[int, Any]:
    return {name: value for name, value in PARTS.items() if name != label}


PROOF_BYTES = cbor2.dumps(INNER)
BAD: dict[str, bytes] = {
    "empty": b"",
    "array": b"\x84",
    "untagged": GOOD["inclusion"][1:],
    "another-tag": b"\xd3" + GOOD["inclusion"][1:],
    "a-tag-more": b"\xd2" + GOOD["inclusion"],
    "trailing-byte": GOOD["inclusion"] + b"\x00",
    "cut-short": GOOD["inclusion"][:-1],
    "too-large": GOOD["inclusion"] + bytes(cose.MAX_RECEIPT),
    "three-items": spelled(items=[b"", {}, None]),
    "payload-attached": spelled(payload=PROOF.head.root),
    "alg-es256": spelled({**PARTS, 1: -7}),
    "alg-missing": spelled(without(1)),
    "alg-as-text": spelled({**PARTS, 1: "EdDSA"}),
    "key-id-missing": spelled(without(4)),
    "key-id-as-text": spelled({**PARTS, 4: HEADER.key_id.hex()}),
    "key-id-of-5-bytes": spelled({**PARTS, 4: HEADER.key_id + b"\0"}),
    "vds-2": spelled({**PARTS, 395: 2}),
    "vds-missing": spelled(without(395)),
    "vds-true": spelled({**PARTS, 395: True}),
    "claims-missing": spelled(without(15)),
    "claims-no-map": spelled({**PARTS, 15: [LOG.name, STREAM_ORIGIN]}),
    "issuer-missing": spelled({**PARTS, 15: {2: STREAM_ORIGIN}}),
    "subject-missing": spelled({**PARTS, 15: {1: LOG.name}}),
    "subject-as-bytes": spelled({**PARTS, 15: {1: LOG.name, 2: STREAM_ORIGIN.encode()}}),
    "one-claim-more": spelled({**PARTS, 15: {**CLAIMS, 6: 1}}),
    "unknown-critical": spelled({**PARTS, 2: [99], 99: 1}),
    "known-critical": spelled({**PARTS, 2: [395]}),
    "unknown-header": spelled({**PARTS, 3: "text/plain"}),
    "protected-no-map": spelled(b"\x80"),
    "protected-empty": spelled(b""),
    "protected-trailing-byte": spelled(HEADER.encode() + b"\x00"),
    "protected-not-sorted": spelled(cbor2.dumps({395: 1, **without(395)})),
    "protected-long-integer": spelled(HEADER.encode().replace(b"\xa4\x01\x27", b"\xa4\x18\x01\x27")),
    "protected-not-bytes": cbor2.dumps(cbor2.CBORTag(18, [PARTS, {}, None, bytes(64)])),
    "label-twice": spelled(b"\xa5\x01\x27" + HEADER.encode()[1:]),
    "one-unprotected-more": spelled(unprotected={396: {-1: [PROOF_BYTES]}, 4: b"x"}),
    "vdp-missing": spelled(unprotected={}),
    "vdp-no-map": spelled(unprotected={396: [PROOF_BYTES]}),
    "unprotected-no-map": spelled(unprotected=[]),
    "no-proof": spelled(vdp={-1: []}),
    "two-proofs": spelled(vdp={-1: [PROOF_BYTES, PROOF_BYTES]}),
    "both-kinds": spelled(vdp={-1: [PROOF_BYTES], -2: [PROOF_BYTES]}),
    "another-kind": spelled(vdp={-3: [PROOF_BYTES]}),
    "proof-not-wrapped": spelled(vdp={-1: [INNER]}),
    "proof-of-two": spelled(inner=INNER[:2]),
    "proof-of-four": spelled(inner=[*INNER, 0]),
    "proof-trailing-byte": spelled(inner=PROOF_BYTES + b"\x00"),
    "proof-no-cbor": spelled(inner=b"\xff"),
    "size-negative": spelled(inner=[-1, TARGET, INNER[2]]),
    "size-2-63": spelled(inner=[2**63, TARGET, INNER[2]]),
    "size-true": spelled(inner=[True, 0, []]),
    "size-as-fraction": spelled(inner=[7.0, TARGET, INNER[2]]),
    "size-as-bignum": spelled(inner=b"\x83\xc2\x41\x07" + PROOF_BYTES[2:]),
    "path-no-array": spelled(inner=[7, TARGET, b""]),
    "path-of-64": spelled(inner=[7, TARGET, [bytes(32)] * 64]),
    "hash-of-31-bytes": spelled(inner=[7, TARGET, [bytes(31)] * 3]),
    "hash-as-text": spelled(inner=[7, TARGET, ["x" * 32] * 3]),
    "path-indefinite": spelled(inner=b"\x83\x07\x05\x9f" + PROOF_BYTES[4:] + b"\xff"),
    "path-shared": spelled(inner=b"\x83\x07\x05\xd8\x1c\x81\xd8\x1d\x00"),
    "signature-of-63-bytes": spelled(signature=bytes(63)),
    "signature-as-text": spelled(signature="x" * 64),
    "deep": b"\xd2\x84" + b"\x81" * 5000,
    "a-huge-array": b"\xd2\x84\x9b\x7f" + b"\xff" * 7,
    "date": b"\xd2\x84\xc0\x61x",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_other_encodings_are_refused(name: str) -> None:
    assert spelled() == GOOD["inclusion"]
    with pytest.raises(InvalidInput):
        parse_receipt(BAD[name])


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    for begin in (b"", b"\xd2\x84", GOOD["inclusion"][:70]):
        with pytest.raises(InvalidInput):
            parse_receipt(begin + data)


# --- Other truths -----------------------------------------------------------------------------------


def header(**members: Any) -> Header:
    return replace(HEADER, **members)


INNER_PROOF = INCLUSION.proof
FAULTS: dict[str, Callable[[], object]] = {
    "another-leaf": lambda: verify_inclusion_receipt(INCLUSION, leaf_hash(b"x"), KEY),
    "another-key": lambda: verify_inclusion_receipt(INCLUSION, LEAF, parse_vkey(OTHER.vkey)),
    "another-log": lambda: verify_inclusion_receipt(
        INCLUSION, LEAF, parse_vkey(LOG.under("log.example.org").vkey)
    ),
    "a-witness": lambda: verify_inclusion_receipt(INCLUSION, LEAF, parse_vkey(W1.vkey)),
    "consistency-for-inclusion": lambda: verify_inclusion_receipt(CONSISTENCY, LEAF, KEY),
    "inclusion-for-consistency": lambda: verify_consistency_receipt(INCLUSION, OLD, KEY),
    "signed-by-another": lambda: verify_inclusion_receipt(signed(INNER_PROOF, by=OTHER), LEAF, KEY),
    "key-id-of-another": lambda: verify_inclusion_receipt(
        signed(INNER_PROOF, header(key_id=b"abcd")), LEAF, KEY
    ),
    "issuer-is-the-stream": lambda: verify_inclusion_receipt(
        signed(INNER_PROOF, header(issuer=STREAM_ORIGIN)), LEAF, KEY
    ),
    "subject-of-another-log": lambda: verify_inclusion_receipt(
        signed(INNER_PROOF, header(subject="log.example.org/streams/a/b/c")), LEAF, KEY
    ),
    "subject-outside-of-streams": lambda: verify_inclusion_receipt(
        signed(INNER_PROOF, header(subject="log.example.com/other/x")), LEAF, KEY
    ),
    "subject-of-two-lines": lambda: verify_inclusion_receipt(
        signed(INNER_PROOF, header(subject=STREAM_ORIGIN + "\nx")), LEAF, KEY
    ),
    "subject-replaced": lambda: verify_inclusion_receipt(
        replace(INCLUSION, header=header(subject="log.example.com/streams/a/b/c")), LEAF, KEY
    ),
    "index-of-another": lambda: verify_inclusion_receipt(
        signed(Inclusion(7, TARGET - 1, tuple(PROOF.path))), LEAF, KEY
    ),
    "path-too-short": lambda: verify_inclusion_receipt(
        signed(Inclusion(7, TARGET, tuple(PROOF.path[:-1]))), LEAF, KEY
    ),
    "another-old-root": lambda: verify_consistency_receipt(
        CONSISTENCY, replace(OLD, root=bytes(32)), KEY
    ),
    "another-old-size": lambda: verify_consistency_receipt(CONSISTENCY, replace(OLD, size=4), KEY),
    "another-old-origin": lambda: verify_consistency_receipt(
        CONSISTENCY, replace(OLD, origin=LOG.name), KEY
    ),
    "from-itself": lambda: verify_consistency_receipt(
        signed(Consistency(7, 7, ())), PROOF.head, KEY
    ),
    "from-nothing": lambda: consistency_root(0, 7, [], sha256().digest()),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_refused(name: str) -> None:
    with pytest.raises(VerificationError):
        FAULTS[name]()


def test_the_root_log_is_a_subject() -> None:
    root = cose.log_header(LOG.name, LOG.public_key, LOG.name)
    receipt = signed(INNER_PROOF, root)
    assert verify_inclusion_receipt(receipt, LEAF, KEY).origin == LOG.name


def test_what_is_signed_is_no_note() -> None:
    """The first byte keeps signatures of one key apart: notes are UTF-8."""
    message = to_be_signed(HEADER, PROOF.head.root)
    assert message[0] == 0x84
    with pytest.raises(UnicodeDecodeError):
        message[:1].decode()
