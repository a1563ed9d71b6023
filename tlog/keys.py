"""Key material of the vault: randomness, one authenticated cipher, and the key that all others hang on.

Sources: https://c2sp.org/XAES-256-GCM (AES-256-GCM with a 192-bit nonce, so that nonces may be random without counting
messages); NIST SP 800-38D. In scope: bytes and keys. Out of scope: which key belongs to whom (`vault`).
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tlog.errors import CorruptStore, InvalidInput, Refused, VerificationError

KEY_BYTES = 32
NONCE_BYTES = 24
TAG_BYTES = 16
REFERENCE_BYTES = 16
HEADER_BYTES = 2 + REFERENCE_BYTES
#: Messages under one GCM subkey. SP 800-38D allows 2^32 with random 96-bit nonces; far below it costs nothing.
SUBKEY_MESSAGES = 1 << 20
_HALF_NONCE = 12

# One system call costs 0.45 µs; cutting a pool of about 4 KiB into pieces makes that 0.08. `list.pop` hands each piece to
# one thread only. A child of fork() would hold the same pieces as its parent, so it starts without any.
_pools: dict[int, list[bytes]] = {12: [], 16: [], 32: []}


def random_bytes(size: int) -> bytes:
    """`size` bytes from the operating system's generator; never the same piece twice, in any thread or process."""
    try:
        return _pools[size].pop()
    except IndexError:
        return _refill(size)
    except KeyError:
        return os.urandom(size)


def _refill(size: int) -> bytes:
    pool = os.urandom(4096 - 4096 % size)
    pieces = [pool[at : at + size] for at in range(0, len(pool), size)]
    piece = pieces.pop()
    _pools[size].extend(pieces)
    return piece


def _forget_pools() -> None:
    for pool in _pools.values():
        pool.clear()


os.register_at_fork(after_in_child=_forget_pools)


def derive(key: bytes, label: bytes) -> bytes:
    """A 32-byte key for one use: HMAC-SHA256(key, label). A key that has children is used for nothing else."""
    return hmac.digest(key, label, "sha256")


class Xaes:
    """XAES-256-GCM under one 32-byte key.

    The standard draws all 24 bytes of nonce per message. Here the first 12, which select the subkey, are drawn once per
    object and again every SUBKEY_MESSAGES; the last 12 per message. A derivation costs 7 µs and is so paid once, each
    subkey stays far below GCM's limit for random nonces, and any number of messages under the key is safe: subkeys
    are as many as 96-bit random prefixes. Any thread may use it.
    """

    __slots__ = ("_key", "_left", "_opening", "_sealing")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise AssertionError("tlog: a key has 32 bytes")
        self._key = key
        self._left = 0
        # Each a pair that is read and replaced in one step: (first half of the nonce, its subkey).
        self._sealing: tuple[bytes, AESGCM] = (b"", None)  # type: ignore[assignment]
        self._opening = self._sealing

    def encrypt(self, plaintext: bytes, aad: bytes) -> bytes:
        """nonce (24) || ciphertext || tag (16)."""
        if self._left <= 0:
            half = random_bytes(_HALF_NONCE)
            self._sealing = (half, AESGCM(xaes_subkey(self._key, half)))
            self._left = SUBKEY_MESSAGES
        self._left -= 1  # threads may lose a count; the margin to 2^32 is 4096-fold
        first, gcm = self._sealing
        second = random_bytes(_HALF_NONCE)
        return first + second + gcm.encrypt(second, plaintext, aad)

    def decrypt(self, box: bytes, aad: bytes) -> bytes:
        """The plaintext of what `encrypt` returned. Raises: VerificationError."""
        if len(box) < NONCE_BYTES + TAG_BYTES:
            raise VerificationError
        first = box[:_HALF_NONCE]
        held, gcm = self._opening
        if held != first:
            gcm = AESGCM(xaes_subkey(self._key, first))
            self._opening = (first, gcm)
        try:
            return gcm.decrypt(box[_HALF_NONCE:NONCE_BYTES], box[NONCE_BYTES:], aad)
        except InvalidTag as error:
            raise VerificationError from error


def xaes_subkey(key: bytes, half_nonce: bytes) -> bytes:
    """XAES-256-GCM, "Detailed key derivation algorithm": Kx from K (32 bytes) and N[:12]."""
    # One block at a time, each input used once: the AES block function itself, not a mode.
    aes = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    block = int.from_bytes(aes.update(bytes(16)), "big")  # 1. L
    k1 = (block << 1) & ((1 << 128) - 1)  # 2. K1
    if block >> 127:
        k1 ^= 0b10000111
    m1 = int.from_bytes(b"\0\1X\0" + half_nonce, "big") ^ k1  # 3. M1
    m2 = int.from_bytes(b"\0\2X\0" + half_nonce, "big") ^ k1  # 4. M2
    return aes.update(m1.to_bytes(16, "big") + m2.to_bytes(16, "big"))  # 5.


class TenantKey:
    """The two children of a tenant key."""

    __slots__ = ("_index", "box", "name")

    def __init__(self, name: bytes, key: bytes) -> None:
        self.name = name
        self.box = Xaes(derive(key, b"tlog/vault/rows/v1"))
        self._index = derive(key, b"tlog/vault/index/v1")

    def index(self, kind: str, person: str) -> bytes:
        """32 bytes that stand for a person in a row's key."""
        return derive(self._index, kind.encode() + b"\0" + person.encode())

    def row(self, tag: bytes, rest: bytes) -> bytes:
        """A row's key. Unambiguous: a tenant's name holds no NUL."""
        return tag + self.name + b"\0" + rest

    def unbox(self, row: bytes, box: bytes, bound: bytes = b"") -> bytes:
        """What a row's box holds. Raises: CorruptStore."""
        try:
            return self.box.decrypt(box, row + bound)
        except VerificationError as error:
            raise CorruptStore("a row of the vault is damaged or in another's place") from error


class DataKey:
    """The cipher under a child of a data key, and the 18 bytes `header` that name it: version, kind, reference (16).

    `key`, 32 bytes, is for another process of this log's alone, which makes the same object of it.
    """

    __slots__ = ("box", "header", "key")

    def __init__(self, header: bytes, key: bytes) -> None:
        self.header = header
        self.key = key
        # One per subject, so made often: keyed BLAKE2b (RFC 7693) costs less than an HMAC.
        child = hashlib.blake2b(b"tlog/vault/data/v2", key=key, digest_size=KEY_BYTES)
        self.box = Xaes(child.digest())


class KeyEncryptionKey(Protocol):
    """The key that tenant keys are wrapped by. A file now; a KMS or PKCS#11 token behind the same three."""

    @property
    def key_id(self) -> str:
        """Names the key without revealing it; 1 to 64 printable ASCII characters."""
        ...

    def wrap(self, plaintext: bytes, aad: bytes) -> bytes:
        """Encrypt at most 64 bytes, bound to `aad`. Raises: Unavailable."""
        ...

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """Undo `wrap`. Raises: VerificationError; Unavailable."""
        ...


def read_secret(path: Path, most: int) -> bytes:
    """At most `most` bytes of a key's file. Raises: InvalidInput (no-key); Refused (exposed-key) if others may read it."""
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise InvalidInput("no-key", f"{path} is missing") from error
    with file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise Refused("exposed-key", f"{path} is open to other users: chmod 600 {path.name}")
        return file.read(most)


class FileKey:
    """A key-encryption key of 32 random bytes in a file of its own, mode 0600."""

    def __init__(self, path: Path) -> None:
        """Read the key. Raises: InvalidInput (no-key, invalid-key); Refused (exposed-key) if others may read it."""
        key = read_secret(path, KEY_BYTES + 1)
        if len(key) != KEY_BYTES:
            raise InvalidInput("invalid-key", f"{path} does not hold 32 bytes")
        self.path = path
        self.key_id = derive(key, b"tlog/kek-id/v1")[:8].hex()
        self._box = Xaes(derive(key, b"tlog/kek-wrap/v1"))

    @classmethod
    def create(cls, path: Path) -> FileKey:
        """Draw a key and write it. Raises: Refused (exists); a key is never overwritten."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError as error:
            raise Refused("exists", f"{path} exists already; a key is never overwritten") from error
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        return cls(path)

    def __repr__(self) -> str:
        return f"FileKey({self.key_id})"

    def wrap(self, plaintext: bytes, aad: bytes) -> bytes:
        """XAES-256-GCM."""
        return self._box.encrypt(plaintext, aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """Raises: VerificationError."""
        return self._box.decrypt(wrapped, aad)
