"""Keys of signed notes: names, ids, and the text forms `vkey` and `skey`.

Source: https://c2sp.org/signed-note@v1.0.0, "Format", "Signatures" and "Verifier keys"; the private
form is that of golang.org/x/mod/sumdb/note, which every tool of that family writes.
In scope: the grammar. Out of scope: what a key type does (`verifier.KEY_TYPES`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tlog.core.wire import b64decode, b64encode
from tlog.errors import InvalidInput

ED25519 = 0x01
ED25519_COSIGNATURE = 0x04

KEY_ID_SIZE = 4
EM_DASH_SPACE = "\u2014 ".encode()  # E2 80 94 20

# SPEC: signed-note "Key names MUST be non-empty and MUST NOT contain any Unicode spaces or plus
# (U+002B) characters." `\s` is str.isspace(): the White_Space property and U+001C to U+001F. The
# other control characters and lone surrogates could not stand in a note at all.
_NAME = re.compile(r"[^\s+\x00-\x1f\ud800-\udfff]+")
_PRIVATE_PREFIX = "PRIVATE+KEY+"


@dataclass(frozen=True)
class KeyType:
    """What a signature type does. Types are rows of a table, so that another one is another row.

    `load(public_key)` returns what `verify` wants as its key, or raises InvalidInput.
    `verify(name, key, text, signature)` raises VerificationError, or returns the POSIX seconds that
    the signature states, None if its type states none. `name` is the key name: ML-DSA-44 (0x06)
    signs it. `signature` comes without the four bytes of the key id.
    """

    load: Callable[[bytes], Any]
    verify: Callable[[str, Any, bytes, bytes], int | None]


def check_name(name: str) -> None:
    """Raise InvalidInput unless `name` can be a key name."""
    if _NAME.fullmatch(name) is None:
        raise InvalidInput("malformed", "a key name is not empty and has no space and no '+'")


def key_id(name: str, key_type: int, public_key: bytes) -> int:
    """Return the uint32 key id. It is a hint, not a hash to trust: collisions are cheap to make."""
    # SPEC: signed-note "key ID = SHA-256(key name || 0x0A || signature type || public key)[:4]";
    # RECOMMENDED in general, and a MUST for 0x01 and, in tlog-cosignature, for 0x04 and 0x06.
    digest = hashlib.sha256(name.encode() + b"\n" + bytes([key_type]) + public_key).digest()
    return int.from_bytes(digest[:KEY_ID_SIZE], "big")


def line_prefix(name: str) -> bytes:
    """Return the bytes of a signature line before its base64: em dash, space, name, space."""
    return EM_DASH_SPACE + name.encode() + b" "


def encode_key(name: str, identifier: int, key_type: int, material: bytes) -> str:
    """Return `<name>+<8 hex>+<base64 of type and material>`: a vkey when material is public."""
    # SPEC: signed-note "<key name>+hex(32-bit key ID)+base64(signature type || public key)"
    return f"{name}+{identifier:08x}+{b64encode(bytes([key_type]) + material)}"


def decode_key(text: str) -> tuple[str, int, int, bytes]:
    """Parse `<name>+<8 hex>+<base64>` into name, key id, key type and material.

    That the id is the right one for the key is left to the caller, who knows the public key.

    Raises:
        InvalidInput: anything but the one spelling that `encode_key` writes.
    """
    parts = text.split("+", 2)  # base64 has '+' too
    if len(parts) != 3:
        raise InvalidInput("malformed", "a key has the form name+id+base64")
    name, identifier, encoded = parts
    check_name(name)
    # SPEC: signed-note "The hex encoding of a positive integer is the fixed length lowercase
    # Base 16 encoding of its zero-padded big endian representation."
    if re.fullmatch("[0-9a-f]{8}", identifier) is None:
        raise InvalidInput("malformed", "a key id is eight lower-case hexadecimal digits")
    raw = b64decode(encoded)
    if not raw:
        raise InvalidInput("malformed", "the key is empty")
    return name, int(identifier, 16), raw[0], raw[1:]


def encode_skey(name: str, identifier: int, key_type: int, seed: bytes) -> str:
    """Return Go's private form `PRIVATE+KEY+<name>+<8 hex>+<base64 of type and seed>`."""
    return _PRIVATE_PREFIX + encode_key(name, identifier, key_type, seed)


def decode_skey(text: str) -> tuple[str, int, int, bytes]:
    """Parse `PRIVATE+KEY+…` into name, key id (of the public key), key type and seed.

    Raises:
        InvalidInput: not that form. The message never repeats any part of the key.
    """
    if not text.startswith(_PRIVATE_PREFIX):
        raise InvalidInput("malformed", "a private key begins with PRIVATE+KEY+")
    return decode_key(text[len(_PRIVATE_PREFIX) :])
