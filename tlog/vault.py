"""The vault: payload values sealed under keys that can be destroyed, and the pseudonyms of persons.

Keys and pseudonyms live in DIR/keys (`keyring`); the sealed payloads lie in the log's own store and are worthless without.
Source: design §2.3, §2.4. Sealed payload:

    version 1 (1 byte) || kind (1): 1 day, 2 subject || key reference (16): day (4) id (12), or pseudonym
    || XAES-256-GCM: nonce (24), ciphertext, tag (16)   of   master_salt (32) || JSON [[pointer, value], …]
    AAD = those first 18 bytes || "tlog/vault/payload/v1" 00 tenant 00 stream id 00 || commitment root (32)

Threads: any may call anything. What `seal` and `pseudonym` create is visible at once, and pending until `flush`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Literal, Protocol

import orjson

from tlog.cache import Cache
from tlog.core.hashes import HASH_SIZE, Hash
from tlog.errors import CorruptStore, VerificationError
from tlog.keyring import Keyring
from tlog.keys import (
    HEADER_BYTES,
    DataKey,
    KeyEncryptionKey,
    random_bytes,
)

__all__ = ["SALT_BYTES", "Vault", "random_bytes"]

SALT_BYTES = 32
DAY_MS = 86_400_000


class Ring(Protocol):
    """Where keys and pseudonyms come from: the `Keyring` itself, or one in another process. See there."""

    names: Cache[tuple[str, str, str], str]
    keys: Cache[tuple[str, str | int | bytes], DataKey]
    look_at: float

    def look(self) -> None: ...
    def pseudonym(self, tenant: str, kind: Literal["usr", "sub"], person: str) -> str: ...
    def find(self, tenant: str, kind: Literal["usr", "sub"], person: str) -> str | None: ...
    def key(self, tenant: str, name: str | int | bytes) -> DataKey: ...


class Sealer:
    """Seals and unseals payloads, and names persons."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._names = ring.names
        self._keys = ring.keys

    def pseudonym(self, tenant: str, kind: Literal["usr", "sub"], person: str) -> str:
        """`usr_…` or `sub_…` of a person, by kind. Made at first sight."""
        if monotonic() >= self._ring.look_at:
            self._ring.look()
        found = self._names.get((tenant, kind, person))
        return self._ring.pseudonym(tenant, kind, person) if found is None else found

    def find_pseudonym(self, tenant: str, kind: Literal["usr", "sub"], person: str) -> str | None:
        """The pseudonym of a person who has one; asking about another leaves no trace."""
        return self._ring.find(tenant, kind, person)

    def seal(
        self,
        *,
        tenant: str,
        stream_id: str,
        root: Hash,
        subject: str | None,
        ms: int,
        master_salt: bytes,
        fields: Sequence[tuple[str, Any]],
    ) -> bytes:
        """Encrypt what a commitment hides: its master salt (32 bytes), its fields without the empty first one.

        Under the key of `subject`, a pseudonym, or of the tenant's UTC day of `ms`. Raises: Refused (erased).
        """
        if monotonic() >= self._ring.look_at:
            self._ring.look()
        if len(master_salt) != SALT_BYTES:
            raise AssertionError("tlog: a master salt has 32 bytes")
        name = ms // DAY_MS if subject is None else subject
        key = self._keys.get((tenant, name)) or self._ring.key(tenant, name)
        header = key.header
        return header + key.box.encrypt(
            master_salt + orjson.dumps(fields), header + _context(tenant, stream_id, root)
        )

    def unseal(
        self, sealed: bytes, *, tenant: str, stream_id: str, root: Hash
    ) -> tuple[bytes, list[tuple[str, Any]]]:
        """master_salt and fields, exactly as sealed; the caller recomputes the commitment.

        Raises: Refused (erased) when the key was destroyed on purpose; CorruptStore when payload or key are damaged,
        missing, or another event's.
        """
        header = sealed[:HEADER_BYTES]
        try:
            plain = self._key(tenant, header).box.decrypt(
                sealed[HEADER_BYTES:], header + _context(tenant, stream_id, root)
            )
        except VerificationError as error:
            raise CorruptStore("a sealed payload does not open") from error
        fields = [(pointer, value) for pointer, value in orjson.loads(plain[SALT_BYTES:])]
        return plain[:SALT_BYTES], fields

    def _key(self, tenant: str, header: bytes) -> DataKey:
        if monotonic() >= self._ring.look_at:
            self._ring.look()
        return self._keys.get((tenant, header)) or self._ring.key(tenant, header)


class Vault(Sealer):
    """The vault of the process that makes the keys: it stores and destroys them as well."""

    def __init__(self, keyring: Keyring) -> None:
        super().__init__(keyring)
        self._keyring = keyring

    @classmethod
    def create(cls, path: Path, kek: KeyEncryptionKey) -> Vault:
        """Make an empty vault in the folder `path`. Raises: Refused (exists)."""
        return cls(Keyring.create(path, kek))

    @classmethod
    def open(cls, path: Path, kek: KeyEncryptionKey) -> Vault:
        """Open what `create` made. Raises: InvalidInput (no-store), Refused (wrong-key), CorruptStore."""
        return cls(Keyring.open(path, kek))

    def close(self) -> None:
        """Release the environment. What is pending is forgotten: nothing committed can refer to it."""
        self._keyring.close()

    def look(self) -> int:
        """Forget what another process may have destroyed; how often something may have been, so far."""
        self._keyring.look()
        return self._keyring.generation

    def data_key(self, tenant: str, name: str | int | bytes) -> DataKey:
        """A data key, for another process of this log. Raises: as `Keyring.key`."""
        return self._keyring.key(tenant, name)

    def flush(self) -> None:
        """Make every pending key and pseudonym durable, in one synced transaction. Raises: pending it stays.

        Called by the writer thread before the commit of what was sealed under it: a crash in between leaves keys that
        nothing uses; the other order would leave entries whose payload nobody can ever open.
        """
        self._keyring.flush()

    def destroy_subject(self, tenant: str, pseudonym: str) -> None:
        """Destroy a person's pseudonym row and data key; durable on return. Again is no fault.

        Another process that has the vault open sees it within half a second. The bytes of the rows stay in the file
        until `rewrite`. Raises: Refused (not-found).
        """
        self._keyring.destroy(tenant, pseudonym)

    @property
    def rewrite_due(self) -> bool:
        """Whether persons were erased, here or by a command, whose wrapped keys may still be in the file."""
        return self._keyring.rewrite_due

    def rewrite(self) -> None:
        """Replace the file by one that never held what was destroyed, and overwrite the old one.

        Takes time in proportion to all rows: erase many, then rewrite once. Sealing goes on meanwhile.
        Raises: Unavailable (in-use) while another process has the vault open; it stays due.
        """
        self._keyring.rewrite()


def _context(tenant: str, stream_id: str, root: Hash) -> bytes:
    """Unambiguous: a tenant with a key holds no NUL, and the root is the last 32 bytes."""
    if len(root) != HASH_SIZE:
        raise AssertionError("tlog: a commitment root has 32 bytes")
    return f"tlog/vault/payload/v1\0{tenant}\0{stream_id}\0".encode() + root
