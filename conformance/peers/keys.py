"""Ed25519 keys as C2SP signed-note spells them, for logs and liars that live as long as one run."""

from __future__ import annotations

import base64
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LOG_KEY, COSIGNER_KEY = 1, 4


def key_id(name: str, material: bytes) -> bytes:
    """The first four bytes of SHA-256(name || 0x0A || type and key)."""
    return hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]


def new_key(name: str, kind: int = LOG_KEY) -> tuple[str, str]:
    """A fresh key: `PRIVATE+KEY+name+id+base64(type, seed)` and the vkey `name+id+base64(type, public key)`."""
    private = Ed25519PrivateKey.generate()
    prefix = bytes([kind])
    material = prefix + private.public_key().public_bytes_raw()
    common = f"{name}+{key_id(name, material).hex()}"
    secret = base64.b64encode(prefix + private.private_bytes_raw()).decode()
    return f"PRIVATE+KEY+{common}+{secret}", f"{common}+{base64.b64encode(material).decode()}"


def vkey_of(name: str, kind: int, public: bytes) -> str:
    """The vkey of a 32-byte public key."""
    material = bytes([kind]) + public
    return f"{name}+{key_id(name, material).hex()}+{base64.b64encode(material).decode()}"


def cosigned(note: bytes, vkey: str) -> bool:
    """Whether one of the note's lines is a cosignature/v1 under `vkey` (C2SP tlog-cosignature, type 0x04)."""
    name, _, rest = vkey.partition("+")
    material = base64.b64decode(rest.partition("+")[2])
    text, _, lines = note.rpartition(b"\n\n")
    for line in lines.decode().splitlines():
        signer, blob = line.split(" ")[1], base64.b64decode(line.split(" ")[2])
        if (signer, blob[:4]) != (name, key_id(name, material)):
            continue
        message = b"cosignature/v1\ntime %d\n" % int.from_bytes(blob[4:12], "big") + text + b"\n"
        try:
            Ed25519PublicKey.from_public_bytes(material[1:]).verify(blob[12:], message)
        except InvalidSignature:
            return False
        return True
    return False


def vkey_under(vkey: str, name: str) -> str:
    """The same key under another name: a stream's key is the log's, named like the stream's origin."""
    material = base64.b64decode(vkey.split("+", 2)[2])
    return f"{name}+{key_id(name, material).hex()}+{base64.b64encode(material).decode()}"


def sign(skey: str, origin: str, size: int, root: bytes) -> bytes:
    """A checkpoint under a log's own key: true or not."""
    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(skey.split("+", 4)[4])[1:])
    material = bytes([LOG_KEY]) + private.public_key().public_bytes_raw()
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()
    line = base64.b64encode(key_id(origin, material) + private.sign(text)).decode()
    return text + f"\n\u2014 {origin} {line}\n".encode()
