"""COSE receipts: a Merkle proof whose root is signed, in CBOR.

Source: RFC 9942 (COSE Receipts), sections 4 and 5: vds 1, RFC9162_SHA256; RFC 9052 section 4
(COSE_Sign1); RFC 9597 (CWT claims in headers); RFC 8949 section 4.2.1 (deterministic CBOR).
In scope: writing and strictly reading receipts of inclusion and of consistency, and their verification
with the log's key. Out of scope: the private key (`tlog.signers`), statements that carry receipts.

    18([ protected, {396: {-1: [bstr .cbor [tree size, leaf index, [* hash]]]}}, null, signature ])
    18([ protected, {396: {-2: [bstr .cbor [size 1, size 2, [+ hash]]]}},        null, signature ])
    protected = bstr .cbor {1: -8, 4: key id, 15: {1: log origin, 2: stream origin}, 395: 1}

- The key id is the four bytes of the log's vkey, SHA-256(log origin || 0x0A || 0x01 || key)[:4], which
  stand there in hexadecimal. It belongs to the issuer (claim 1) and is the same for all its streams.
- The subject (claim 2) is the origin of the tree: a stream's, or the log's own for the root log.
- The payload is the root hash and detached: whoever verifies computes it. The signature covers that and
  the protected header; sizes and index are of the unprotected one. So a receipt shows that a leaf is in
  a tree that the log signed; the position is as sure as the entry that states it, and the size is not.
- The path of a tree of one leaf has no hash, as RFC 9162 section 2.1.3.1 says; the `[+ bstr]` of
  RFC 9942 leaves no room for that tree. A receipt of consistency is for 0 < size 1 < size 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import cbor2

from tlog.core import ed25519, keys
from tlog.core.checkpoint import MAX_SIZE, Checkpoint
from tlog.core.hashes import HASH_SIZE, Hash
from tlog.core.note import Verifier
from tlog.core.proofs import consistency_root, inclusion_root
from tlog.errors import InvalidInput, VerificationError

MEDIA_TYPE = 'application/cose; cose-type="cose-sign1"'  # RFC 9052 section 2
# Tag 18, array of four: what every receipt begins with. SPEC: RFC 9942 "Receipts MUST be tagged as
# COSE_Sign1."
FIRST_BYTES = b"\xd2\x84"
MAX_RECEIPT = 16_384
MAX_HASHES = 63
SIGNATURE_SIZE = 64

_ALG, _KID, _CWT, _VDS, _VDP = 1, 4, 15, 395, 396
_EDDSA, _RFC9162_SHA256, _ISS, _SUB, _INCLUSION, _CONSISTENCY = -8, 1, 1, 2, -1, -2
_SIGN1 = 18
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Header:
    """What is signed beside the root: the key id, 4 bytes; the origins of the log and of the tree."""

    key_id: bytes
    issuer: str
    subject: str

    def encode(self) -> bytes:
        """The protected header: a deterministic CBOR map."""
        claims = {_ISS: self.issuer, _SUB: self.subject}
        return _dumps({_ALG: _EDDSA, _KID: self.key_id, _CWT: claims, _VDS: _RFC9162_SHA256})


@dataclass(frozen=True, slots=True)
class Inclusion:
    """That leaf `leaf_index` is in the tree of `tree_size`; `hashes` its path, the sibling first."""

    tree_size: int
    leaf_index: int
    hashes: tuple[Hash, ...]


@dataclass(frozen=True, slots=True)
class Consistency:
    """That the tree of `first` leaves is a prefix of the tree of `second`; 0 < first < second."""

    first: int
    second: int
    hashes: tuple[Hash, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt that was read, not verified. `signature` has 64 bytes."""

    header: Header
    proof: Inclusion | Consistency
    signature: bytes


def log_header(origin: str, public_key: bytes, subject: str) -> Header:
    """The header of receipts that the log `origin` signs for the tree `subject`."""
    identifier = keys.key_id(origin, keys.ED25519, public_key)
    return Header(identifier.to_bytes(keys.KEY_ID_SIZE, "big"), origin, subject)


def to_be_signed(header: Header, root: Hash) -> bytes:
    """The bytes that are signed: Sig_structure of RFC 9052 section 4.4, without external data.

    They begin with 0x84, an array of four, as no text of a note does: UTF-8 has no such first byte.
    """
    return _dumps(["Signature1", header.encode(), b"", root])


def encode_receipt(receipt: Receipt) -> bytes:
    """Return the CBOR of a receipt."""
    proof = receipt.proof
    if isinstance(proof, Inclusion):
        label, sizes = _INCLUSION, (proof.tree_size, proof.leaf_index)
    else:
        label, sizes = _CONSISTENCY, (proof.first, proof.second)
    proofs = {label: [_dumps([*sizes, list(proof.hashes)])]}
    return _dumps(
        cbor2.CBORTag(_SIGN1, [receipt.header.encode(), {_VDP: proofs}, None, receipt.signature])
    )


def parse_receipt(data: bytes) -> Receipt:
    """Parse a receipt of one proof, exactly as `encode_receipt` writes it.

    Every header parameter that it has is one of those above, with no other value; another one,
    `crit` (2) with whatever it names among them, is refused.

    Raises:
        InvalidInput: anything else.
    """
    if len(data) > MAX_RECEIPT or not data.startswith(FIRST_BYTES):
        raise _malformed()
    protected, unprotected, _, signature = _items(_loads(data).value, 4)
    header = _loads(_exact(protected, bytes))
    claims = _member(header, _CWT)
    proofs = _member(unprotected, _VDP)
    inclusion = isinstance(proofs, Mapping) and _INCLUSION in proofs
    (encoded,) = _items(_member(proofs, _INCLUSION if inclusion else _CONSISTENCY), 1)
    one, two, path = _items(_loads(_exact(encoded, bytes)), 3)
    if not isinstance(path, list | tuple) or len(path) > MAX_HASHES:
        raise _malformed()
    hashes = tuple(_exact(digest, bytes) for digest in path)
    kind = Inclusion if inclusion else Consistency
    receipt = Receipt(
        Header(
            _exact(_member(header, _KID), bytes),
            _exact(_member(claims, _ISS), str),
            _exact(_member(claims, _SUB), str),
        ),
        kind(_natural(one), _natural(two), hashes),
        _exact(signature, bytes),
    )
    lengths = len(receipt.header.key_id) == keys.KEY_ID_SIZE and len(signature) == SIGNATURE_SIZE
    # Whatever was not looked at above, or could be spelled otherwise, shows here: the tag, algorithm
    # and structure, further members, integers and lengths in longer forms, bytes behind the end.
    if (
        not lengths
        or any(len(one) != HASH_SIZE for one in hashes)
        or encode_receipt(receipt) != data
    ):
        raise _malformed()
    return receipt


def verify_inclusion_receipt(receipt: Receipt, leaf: Hash, log: Verifier) -> Checkpoint:
    """Check that `leaf`, a leaf hash of 32 bytes, is in the tree whose root the log signed.

    1. It is a receipt of inclusion.  2. The path, of exact length, gives a root.  3. Issuer and key id
    are the log's, the subject is its origin or one below.  4. The log signed just this root for it.

    Returns origin, size (unsigned, see above) and root of the tree.

    Raises:
        VerificationError: for every cause.
    """
    proof = receipt.proof
    if not isinstance(proof, Inclusion):  # 1
        raise VerificationError
    root = inclusion_root(leaf, proof.leaf_index, proof.tree_size, proof.hashes)  # 2
    return _verify(receipt, proof.tree_size, root, log)


def verify_consistency_receipt(receipt: Receipt, old: Checkpoint, log: Verifier) -> Checkpoint:
    """Check that the tree whose root the log signed begins with the tree `old`.

    1. It is a receipt of consistency, from just the origin and size of `old`.  2. The proof, of exact
    length, gives the root of `old`, and a new one.  3. and 4. as for a receipt of inclusion.

    Returns origin, size (unsigned, see above) and root of the newer tree.

    Raises:
        VerificationError: for every cause.
    """
    proof = receipt.proof
    if not isinstance(proof, Consistency):  # 1
        raise VerificationError
    if (receipt.header.subject, proof.first) != (old.origin, old.size):
        raise VerificationError
    root = consistency_root(proof.first, proof.second, proof.hashes, old.root)  # 2
    return _verify(receipt, proof.second, root, log)


def _verify(receipt: Receipt, size: int, root: Hash, log: Verifier) -> Checkpoint:
    subject = receipt.header.subject
    ours = subject == log.name or subject.startswith(f"{log.name}/streams/")
    expected = log_header(log.name, log.public_key, subject)
    if log.key_type != keys.ED25519 or not ours or receipt.header != expected:  # 3
        raise VerificationError
    key = ed25519.load_public_key(log.public_key)
    ed25519.verify_signature(key, to_be_signed(expected, root), receipt.signature)  # 4
    try:
        return Checkpoint(subject, size, root)
    except InvalidInput:
        raise VerificationError from None


# --- CBOR: written deterministically, read into exact types ------------------------------------------


def _dumps(value: object) -> bytes:
    return cbor2.dumps(value, canonical=True)


def _loads(data: bytes) -> Any:
    # cbor2 makes objects of tags that no receipt has (dates, shared values); none gets further than
    # the exact types that are asked for below.
    try:
        return cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError):
        raise _malformed() from None


def _items(value: object, count: int) -> list[Any]:
    if not isinstance(value, list | tuple) or len(value) != count:
        raise _malformed()
    return list(value)


def _member(value: object, label: int) -> Any:
    if not isinstance(value, Mapping) or label not in value:
        raise _malformed()
    return value[label]


def _exact(value: object, kind: type[_T]) -> _T:
    if type(value) is not kind:
        raise _malformed()
    return value


def _natural(value: object) -> int:
    number = _exact(value, int)
    if not 0 <= number <= MAX_SIZE:
        raise _malformed()
    return number


def _malformed() -> InvalidInput:
    return InvalidInput("malformed", "not a COSE receipt of the one form that logs write")
