"""Signed notes: text with signature lines below it.

Source: https://c2sp.org/signed-note@v1.0.0. Reference: golang.org/x/mod/sumdb/note.
In scope: opening and signing notes, private Ed25519 keys that sign without a time (`Signer`, 0x01).
Out of scope: public keys and their types (`verifier`, whose names can be had from here too), key
text (`keys`), cosignatures (`cosignature`), what the text says (`checkpoint`).

    <text, ends in newline>
    <empty line>
    U+2014 <key name> <base64 of key id and signature>      one line per signature
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tlog.core import ed25519, keys
from tlog.core.verifier import KEY_TYPES, Verifier, known_keys, parse_vkey, vkey_for
from tlog.core.wire import b64decode, b64encode
from tlog.errors import InvalidInput, VerificationError

__all__ = [
    "KEY_TYPES",
    "MAX_NOTE_SIGNATURES",
    "MAX_NOTE_SIZE",
    "Note",
    "NoteSigner",
    "Signer",
    "VerifiedSignature",
    "Verifier",
    "known_keys",
    "open_note",
    "parse_skey",
    "parse_vkey",
    "require_signature",
    "sign_note",
    "vkey_for",
]

# SPEC: signed-note "Verifiers SHOULD apply a maximum limit to the number of signatures in a note
# (or, equivalently, to the overall size of a note), but MUST accept at least up to 16 signatures."
MAX_NOTE_SIGNATURES = 100
MAX_NOTE_SIZE = 1 << 20

_CONTROL = re.compile(rb"[\x00-\x09\x0b-\x1f]")


class NoteSigner(Protocol):
    """What `sign_note` needs: whose key it is, and its finished signature line with newline."""

    @property
    def name(self) -> str: ...
    @property
    def key_id(self) -> int: ...
    def sign_line(self, text: bytes) -> bytes: ...


class Signer:
    """A private Ed25519 key under a name: `name`, `key_id`, `key_type` 0x01, `public_key`, `vkey`.

    The same seed may be given many names (a log and its streams): a signature covers the text only,
    so it is the origin in the text that keeps those logs apart.
    """

    __slots__ = ("_id", "_key", "_prefix", "key_id", "name", "public_key")

    key_type = keys.ED25519

    def __init__(self, name: str, seed: bytes, key_type: int = keys.ED25519) -> None:
        """Take the 32-byte private `seed`. Raises InvalidInput for a bad name, length or type."""
        if key_type != keys.ED25519:
            raise InvalidInput("malformed", "only Ed25519 keys (type 0x01) sign without a time")
        if len(seed) != ed25519.SEED_SIZE:
            raise InvalidInput("malformed", "an Ed25519 seed has 32 bytes")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes_raw()
        self._take_name(name)

    def _take_name(self, name: str) -> None:
        keys.check_name(name)
        self.name = name
        self.key_id = keys.key_id(name, self.key_type, self.public_key)
        self._id = self.key_id.to_bytes(keys.KEY_ID_SIZE, "big")
        self._prefix = keys.line_prefix(name)

    def under(self, name: str) -> Signer:
        """Return the same private key under another name, without deriving it again."""
        other = copy(self)
        other._take_name(name)
        return other

    @property
    def vkey(self) -> str:
        """The public key as text."""
        return keys.encode_key(self.name, self.key_id, self.key_type, self.public_key)

    @property
    def skey(self) -> str:
        """The private key as text, `PRIVATE+KEY+…`. Secret."""
        seed = self._key.private_bytes_raw()
        return keys.encode_skey(self.name, self.key_id, self.key_type, seed)

    def sign_blob(self, text: bytes) -> bytes:
        """Return key id and signature, 4 + 64 bytes, on the note text."""
        return self._id + self._key.sign(text)

    def sign_line(self, text: bytes) -> bytes:
        """Return the signature line with its newline."""
        return self._prefix + b64encode(self._id + self._key.sign(text)).encode() + b"\n"


def parse_skey(text: str) -> Signer:
    """Parse `PRIVATE+KEY+…` of type 0x01.

    Raises:
        InvalidInput: another form, another type, or an id that is not that of the key.
    """
    name, identifier, key_type, seed = keys.decode_skey(text)
    signer = Signer(name, seed, key_type)
    if signer.key_id != identifier:
        raise InvalidInput("malformed", "the key id does not belong to the key")
    return signer


@dataclass(frozen=True, slots=True)
class VerifiedSignature:
    """A signature of a configured key that verified; `timestamp` in POSIX seconds if it has one.

    `line` is its line in the note, newline included, for those who pass on only what they checked.
    """

    name: str
    key_id: int
    key_type: int
    timestamp: int | None
    line: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A note that was opened: at least one configured key signed `text`.

    `signatures` holds one entry per configured key that signed, in the order of the note. `data` is
    the whole note as received: the lines of unknown keys are nowhere else, nothing being known of
    them.
    """

    text: bytes
    signatures: tuple[VerifiedSignature, ...]
    data: bytes

    def only_verified(self) -> bytes:
        """Return the note without the lines of unknown keys: what may be stored and passed on."""
        return self.text + b"\n" + b"".join(signature.line for signature in self.signatures)


def open_note(data: bytes, verifiers: Iterable[Verifier]) -> Note:
    """Verify a note under the configured keys and return its text.

    1. The bytes are a note in every line, known or not.  2. Lines of unknown keys are passed over.
    3. Every line of a known key verifies.  4. There is at least one.

    Of several valid lines of one key (cosignatures at different times) the earliest time counts.

    Raises:
        InvalidInput: `data` is not a well-formed note; or as for `known_keys`.
        VerificationError: a configured key's line fails, or no configured key signed.
    """
    known = known_keys(verifiers)
    text, lines = _split(data)
    parsed = [_parse_line(line) for line in lines]
    verified: dict[tuple[str, int], VerifiedSignature] = {}
    for line, (name, blob) in zip(lines, parsed, strict=True):
        key = (name, int.from_bytes(blob[: keys.KEY_ID_SIZE], "big"))
        # SPEC: signed-note "Verifiers MUST ignore signatures from unknown keys, even if they share
        # a name or ID (but not both) with a known key."
        verifier = known.get(key)
        if verifier is None:
            continue
        # SPEC: signed-note "If the key name and ID match a known key, verifiers MUST verify the
        # signature. If a signature from a known key fails to verify, clients SHOULD reject the
        # whole note." A repeated line is no exception.
        time = verifier.verify(text, blob)
        first = verified.get(key)
        if first is None or (time or 0) < (first.timestamp or 0):
            verified[key] = VerifiedSignature(*key, verifier.key_type, time, line + b"\n")
    # SPEC: signed-note "If no signature from a known key verifies successfully, clients MUST reject
    # the note."
    if not verified:
        raise VerificationError
    return Note(text, tuple(verified.values()), data)


def require_signature(note: Note, verifiers: Iterable[Verifier]) -> None:
    """Raise VerificationError unless one of these keys signed the opened note."""
    signed = {(signature.name, signature.key_id) for signature in note.signatures}
    if signed.isdisjoint((verifier.name, verifier.key_id) for verifier in verifiers):
        raise VerificationError


def sign_note(text: bytes, signers: Sequence[NoteSigner]) -> bytes:
    """Return the note of `text` with one line of each signer, in their order.

    Raises:
        InvalidInput: `text` cannot be the text of a note, no signer, or two lines of one key.
    """
    _check_text(text)
    if len({(signer.name, signer.key_id) for signer in signers}) != len(signers) or not signers:
        raise InvalidInput("malformed", "a note has signatures, and one of each key")
    return text + b"\n" + b"".join([signer.sign_line(text) for signer in signers])


def _check_text(data: bytes) -> None:
    """Raise InvalidInput unless `data` is UTF-8 lines without control characters."""
    # SPEC: signed-note "Signed notes MUST be valid UTF-8 and MUST NOT contain any ASCII control
    # characters (those below U+0020) other than newline."
    if _CONTROL.search(data) is not None:
        raise InvalidInput("malformed", "a note has no control characters but newline")
    try:
        data.decode()
    except UnicodeDecodeError:
        raise InvalidInput("malformed", "a note is UTF-8") from None
    # SPEC: signed-note "A signed note consists of a text ending in newline (U+000A)"
    if not data.endswith(b"\n"):
        raise InvalidInput("malformed", "a note ends in a newline")


def _split(data: bytes) -> tuple[bytes, list[bytes]]:
    """Return the text with its last newline, and the signature lines without theirs."""
    if len(data) > MAX_NOTE_SIZE:
        raise InvalidInput("malformed", "the note is larger than 1 MiB")
    _check_text(data)
    # SPEC: signed-note "The note text MAY contain empty lines; the text is separated from the
    # signatures by the last empty line in the note."
    end = data.rfind(b"\n\n")
    if end < 0:
        raise InvalidInput("malformed", "a note has an empty line before its signatures")
    # SPEC: signed-note "The note text includes the final newline but not the separating blank
    # line."
    text, block = data[: end + 1], data[end + 2 :]
    # Counted before they are cut apart: a megabyte of newlines costs one pass.
    if block.count(b"\n") > MAX_NOTE_SIGNATURES:
        raise InvalidInput("malformed", "the note has more than 100 signatures")
    return text, block[:-1].split(b"\n")


def _parse_line(line: bytes) -> tuple[str, bytes]:
    """Return the key name and the decoded signature (key id first) of one line without newline."""
    # SPEC: signed-note "signature lines of this form: em dash (U+2014), space (U+0020), key name,
    # space, base64-encoded signature, newline."
    if not line.startswith(keys.EM_DASH_SPACE):
        raise InvalidInput("malformed", "a signature line begins with an em dash and a space")
    name, _, encoded = line[len(keys.EM_DASH_SPACE) :].decode().partition(" ")
    keys.check_name(name)
    blob = b64decode(encoded)
    # SPEC: signed-note "Signatures are the base64 encoding of 4+n bytes."
    if len(blob) <= keys.KEY_ID_SIZE:
        raise InvalidInput("malformed", "a signature is longer than its key id")
    return name, blob
