"""Cosignatures: timestamped signatures of a witness on a checkpoint.

Source: https://c2sp.org/tlog-cosignature@v1.0.1.
In scope: Ed25519 cosignature/v1, signature type 0x04; verification goes through `note.open_note`,
where the type of the configured vkey selects `ED25519_V1` from `verifier.KEY_TYPES`.
Out of scope: ML-DSA-44 (0x06), which will be one more `KeyType`; whether a time is fresh (policy).
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tlog.core import ed25519, keys
from tlog.core.wire import b64encode
from tlog.errors import InvalidInput, VerificationError

# SPEC: tlog-cosignature "It MUST NOT exceed 2^63 - 1".
MAX_TIMESTAMP = 2**63 - 1
_TIMESTAMP_SIZE = 8


def cosigned_message(timestamp: int, text: bytes) -> bytes:
    """Return the bytes that an Ed25519 cosigner signs at POSIX second `timestamp`.

    `text` is the whole note text with its last newline, extension lines included.
    """
    # SPEC: tlog-cosignature "The signed message MUST be two newline (U+000A) terminated lines (one
    # header line and one timestamp line) followed by the whole note body of the cosigned checkpoint
    # (including the final newline, but not including any signature lines)."
    # SPEC: "The header line MUST be the fixed string `cosignature/v1`" and "The timestamp line MUST
    # consist of the string `time`, a single space (0x20), and `timestamped_signature.timestamp`
    # encoded as an ASCII decimal with no leading zeroes."
    return b"cosignature/v1\ntime %d\n" % timestamp + text


def _verify(name: str, key: Ed25519PublicKey, text: bytes, signature: bytes) -> int:
    """Check 72 bytes, a big-endian uint64 time and an Ed25519 signature; return the time."""
    del name  # this message does not commit to it, hence one key per cosigner
    # SPEC: tlog-cosignature "The signature MUST be a `timestamped_signature` structure."
    if len(signature) != _TIMESTAMP_SIZE + ed25519.SIGNATURE_SIZE:
        raise VerificationError
    timestamp = int.from_bytes(signature[:_TIMESTAMP_SIZE], "big")
    if timestamp > MAX_TIMESTAMP:
        raise VerificationError
    message = cosigned_message(timestamp, text)
    ed25519.verify_signature(key, message, signature[_TIMESTAMP_SIZE:])
    return timestamp


ED25519_V1 = keys.KeyType(load=ed25519.load_public_key, verify=_verify)


class CosignatureSigner:
    """The private Ed25519 key of one cosigner: `name`, `key_id`, `key_type` 0x04, `public_key`.

    SPEC: tlog-cosignature "A cosigner operator that operates multiple Ed25519 cosigners (e.g. with
    distinct additional statements, see below) MUST use distinct public keys for each cosigner."
    One seed is therefore given one name only; and never the seed of a log.
    """

    __slots__ = ("_id", "_key", "_prefix", "key_id", "name", "public_key")

    key_type = keys.ED25519_COSIGNATURE

    def __init__(self, name: str, seed: bytes) -> None:
        """Take the 32-byte private `seed`. Raises InvalidInput for a bad name or length."""
        keys.check_name(name)
        if len(seed) != ed25519.SEED_SIZE:
            raise InvalidInput("malformed", "an Ed25519 seed has 32 bytes")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.name = name
        self.public_key = self._key.public_key().public_bytes_raw()
        self.key_id = keys.key_id(name, self.key_type, self.public_key)
        self._id = self.key_id.to_bytes(keys.KEY_ID_SIZE, "big")
        self._prefix = keys.line_prefix(name)

    @property
    def vkey(self) -> str:
        """The public key as text, to be configured by those who trust this cosigner."""
        return keys.encode_key(self.name, self.key_id, self.key_type, self.public_key)

    @property
    def skey(self) -> str:
        """The private key as text, `PRIVATE+KEY+…`. Secret."""
        seed = self._key.private_bytes_raw()
        return keys.encode_skey(self.name, self.key_id, self.key_type, seed)

    def sign_blob(self, text: bytes, timestamp: int) -> bytes:
        """Return key id, big-endian time and signature (4 + 8 + 64 bytes) on the note text.

        `timestamp` is POSIX seconds, 1 to 2^63 - 1: a witness must not use 0 (tlog-witness), the
        value that says nothing about which tree was the largest.

        Raises:
            InvalidInput: the time is outside that range.
        """
        if not 0 < timestamp <= MAX_TIMESTAMP:
            raise InvalidInput("malformed", "the time of a cosignature is 1 to 2^63 - 1 seconds")
        signature = self._key.sign(cosigned_message(timestamp, text))
        return self._id + timestamp.to_bytes(_TIMESTAMP_SIZE, "big") + signature

    def sign_line(self, text: bytes, timestamp: int) -> bytes:
        """Return the signature line with its newline, as a witness answers it."""
        return self._prefix + b64encode(self.sign_blob(text, timestamp)).encode() + b"\n"

    def at(self, timestamp: int) -> CosignatureAt:
        """Return this signer with its time fixed, as `note.sign_note` wants it."""
        return CosignatureAt(self, timestamp)


@dataclass(frozen=True)
class CosignatureAt:
    """A `note.NoteSigner` that cosigns at one given time."""

    signer: CosignatureSigner
    timestamp: int

    @property
    def name(self) -> str:
        """The key name."""
        return self.signer.name

    @property
    def key_id(self) -> int:
        """The uint32 key id."""
        return self.signer.key_id

    def sign_line(self, text: bytes) -> bytes:
        """Return the signature line on `text`."""
        return self.signer.sign_line(text, self.timestamp)


def parse_cosigner_skey(text: str) -> CosignatureSigner:
    """Parse `PRIVATE+KEY+…` of type 0x04.

    Raises:
        InvalidInput: another form, another type, or an id that is not that of the key.
    """
    name, identifier, key_type, seed = keys.decode_skey(text)
    if key_type != keys.ED25519_COSIGNATURE:
        raise InvalidInput("malformed", "this private key is not one of a cosigner (type 0x04)")
    signer = CosignatureSigner(name, seed)
    if signer.key_id != identifier:
        raise InvalidInput("malformed", "the key id does not belong to the key")
    return signer
