"""Keys and pseudonyms of the vault: their rows, how they come to be, and how they are destroyed.

The environment DIR/keys is the only place of keys and pseudonyms. KEK → tenant key → key per subject, or per tenant and UTC
day for events without one (design §2.3, §2.4).

Rows (tenant in ASCII; box = XAES-256-GCM under a child of the tenant key, bound to its row's key as AAD, so that no row can
take another's place):

    "M"                                  "tlog/vault/v1" 00 key id of the KEK 00 KEK-wrapped check value
    "T" tenant                           KEK-wrapped tenant key (32)
    "D" tenant 00 day (4)                id (12) || box: data key (32)        day = Unix ms // 86,400,000, big endian
    "P" tenant 00 index (32)             box: pseudonym (16) [|| data key (32): subjects only]
    "R" tenant 00 kind (3) pseudonym(16) box: index (32); box of nothing once the person has been erased
    "W"                                  present while erased rows wait for the file to be rewritten

index = HMAC-SHA256 over kind 00 person, under another child of the tenant key: no row names a person.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path
from time import monotonic
from typing import Literal

from tlog.cache import Cache
from tlog.core.ids import NAME_PATTERN, parse_crockford
from tlog.core.ids import pseudonym as pseudonym_text
from tlog.errors import CorruptStore, InvalidInput, Refused, VerificationError
from tlog.keys import (
    HEADER_BYTES,
    KEY_BYTES,
    REFERENCE_BYTES,
    DataKey,
    KeyEncryptionKey,
    TenantKey,
    random_bytes,
)
from tlog.store.rows import IDENTITY, Rows

FORMAT = b"tlog/vault/v1"
CACHE_LIMIT = 100_000
LOOK_INTERVAL = 0.5  # seconds after which another process's erasure is seen, at most

BY_DAY, BY_SUBJECT = b"\1\1", b"\1\2"  # version and kind of a sealed payload
_DAY_ID = 12
_REWRITE = b"W"
_CHECK = b"tlog/vault/check"
_TENANT = re.compile(NAME_PATTERN)


class Keyring:
    """One process that makes keys; beside it, commands that only destroy.

    `_lock` guards caches, pending rows and every look into the environment; `_writing` is taken before it and held by
    whoever changes rows, through the synced commit. `names` and `keys` may be asked by anyone, without a lock.
    """

    def __init__(self, rows: Rows, kek: KeyEncryptionKey) -> None:
        self._rows = rows
        self._kek = kek
        self._lock = threading.RLock()
        self._writing = threading.Lock()
        self._pending: dict[bytes, bytes] = {}
        self._tenants: Cache[str, TenantKey] = Cache(CACHE_LIMIT)
        #: Pseudonyms by (tenant, kind, person).
        self.names: Cache[tuple[str, str, str], str] = Cache(CACHE_LIMIT)
        #: By the tenant and what a caller has in hand: the subject's pseudonym, the day's number, or the header.
        self.keys: Cache[tuple[str, str | int | bytes], DataKey] = Cache(CACHE_LIMIT)
        self.look_at = monotonic() + LOOK_INTERVAL  # when to `look`, by the monotonic clock
        self.generation = 0  # one more each time that something may have been destroyed

    @classmethod
    def create(cls, path: Path, kek: KeyEncryptionKey) -> Keyring:
        """Make an empty one. Raises: Refused (exists)."""
        check = kek.wrap(_CHECK, FORMAT)
        return cls(Rows.create(path, b"\0".join((FORMAT, kek.key_id.encode(), check))), kek)

    @classmethod
    def open(cls, path: Path, kek: KeyEncryptionKey) -> Keyring:
        """Open what `create` made. Raises: InvalidInput (no-store), Refused (wrong-key), CorruptStore."""
        rows = Rows.open(path, FORMAT + b"\0")
        try:
            _check_kek(rows.get(IDENTITY) or b"", kek)
        except BaseException:
            rows.close()
            raise
        return cls(rows, kek)

    def close(self) -> None:
        """Release the environment and forget what is pending."""
        with self._writing, self._lock:
            self._forget()
            self._tenants.clear()
            self._rows.close()

    def look(self) -> None:
        """Forget what another process may have destroyed since the last look."""
        with self._lock:
            if self._rows.changed():
                self._forget()
            self.look_at = monotonic() + LOOK_INTERVAL

    # ---- find, or make and hold pending --------------------------------------------------------

    def pseudonym(self, tenant: str, kind: Literal["usr", "sub"], person: str) -> str:
        """The person's pseudonym; made at first sight, for a subject together with the data key."""
        if kind not in ("usr", "sub"):
            raise AssertionError("tlog: a pseudonym is of kind usr or sub")
        with self._lock:
            text = self.names.find((tenant, kind, person))
            if text is not None:
                return text
            owner = self._tenant(tenant, make=True)
            index = owner.index(kind, person)
            row = owner.row(b"P", index)
            box = self._get(row)
            if box is None:
                secret = random_bytes(REFERENCE_BYTES)
                data_key = random_bytes(KEY_BYTES) if kind == "sub" else b""
                reverse = owner.row(b"R", kind.encode() + secret)
                self._pending[row] = owner.box.encrypt(secret + data_key, row)
                self._pending[reverse] = owner.box.encrypt(index, reverse)
            else:
                plain = owner.unbox(row, box)
                secret, data_key = plain[:REFERENCE_BYTES], plain[REFERENCE_BYTES:]
            text = pseudonym_text(kind, secret)
            if kind == "sub":
                self._keep(tenant, text, DataKey(BY_SUBJECT + secret, data_key))
            self.names.put((tenant, kind, person), text)
            return text

    def find(self, tenant: str, kind: Literal["usr", "sub"], person: str) -> str | None:
        """The person's pseudonym if there is one; nothing is made."""
        with self._lock:
            if self._get(b"T" + tenant.encode()) is None:
                return None
            owner = self._tenant(tenant, make=False)
            row = owner.row(b"P", owner.index(kind, person))
            if (box := self._get(row)) is None:
                return None
            return pseudonym_text(kind, owner.unbox(row, box)[:REFERENCE_BYTES])

    def key(self, tenant: str, name: str | int | bytes) -> DataKey:
        """A data key by the subject's pseudonym, by the day's number (made if need be), or by its header.

        Raises: Refused (erased) if it was destroyed on purpose; CorruptStore if it is missing or damaged.
        """
        with self._lock:
            key = self.keys.find((tenant, name))
            if key is None:
                owner = self._tenant(tenant, make=isinstance(name, int))
                if isinstance(name, int):
                    key = self._day_key(owner, name.to_bytes(4, "big"), None)
                elif isinstance(name, str):
                    key = self._subject_key(owner, name)
                elif name[:2] == BY_DAY and len(name) == HEADER_BYTES:
                    key = self._day_key(owner, name[2:-_DAY_ID], name[-_DAY_ID:])
                elif name[:2] == BY_SUBJECT and len(name) == HEADER_BYTES:
                    key = self._subject_key(owner, pseudonym_text("sub", name[2:]))
                else:
                    raise CorruptStore("a sealed payload of an unknown version or kind")
                self._keep(tenant, name, key)
            return key

    def _keep(self, tenant: str, name: str | int | bytes, key: DataKey) -> None:
        self.keys.put((tenant, name), key)
        self.keys.put((tenant, key.header), key)

    def _tenant(self, tenant: str, *, make: bool) -> TenantKey:
        found = self._tenants.find(tenant)
        if found is not None:
            return found
        if not _TENANT.fullmatch(tenant):
            raise InvalidInput("invalid-name", f"a tenant's name is {NAME_PATTERN}")
        row = b"T" + tenant.encode()
        wrapped = self._get(row)
        if wrapped is not None:
            try:
                key = self._kek.unwrap(wrapped, FORMAT + row)
            except VerificationError as error:
                raise CorruptStore(f"the key of tenant {tenant} does not open") from error
        elif make:
            key = random_bytes(KEY_BYTES)
            self._pending[row] = self._kek.wrap(key, FORMAT + row)
        else:
            raise CorruptStore(f"tenant {tenant} has no key")
        found = TenantKey(tenant.encode(), key)
        self._tenants.put(tenant, found)
        return found

    def _day_key(self, owner: TenantKey, day: bytes, wanted: bytes | None) -> DataKey:
        row = owner.row(b"D", day)
        value = self._get(row)
        if value is None and wanted is None:
            name, key = random_bytes(_DAY_ID), random_bytes(KEY_BYTES)
            self._pending[row] = name + owner.box.encrypt(key, row + name)
        elif value is None or (wanted is not None and value[:_DAY_ID] != wanted):
            raise CorruptStore("a day's key is missing")
        else:
            name = value[:_DAY_ID]
            key = owner.unbox(row, value[_DAY_ID:], name)
        return DataKey(BY_DAY + day + name, key)

    def _subject_key(self, owner: TenantKey, pseudonym: str) -> DataKey:
        _, index = self._reverse(owner, pseudonym)
        if index == b"":
            raise Refused("erased", "the person's key was destroyed")
        box = None if index is None else self._get(owner.row(b"P", index))
        if index is None or box is None:
            raise CorruptStore("a subject's key is missing, but was not destroyed")
        plain = owner.unbox(owner.row(b"P", index), box)
        return DataKey(BY_SUBJECT + plain[:REFERENCE_BYTES], plain[REFERENCE_BYTES:])

    def _reverse(self, owner: TenantKey, pseudonym: str) -> tuple[bytes, bytes | None]:
        """The "R" row's key, and the index in it: None when there is no such row, empty when erased."""
        kind, _, text = pseudonym.partition("_")
        try:
            row = owner.row(b"R", kind.encode() + parse_crockford(text))
        except (InvalidInput, UnicodeEncodeError):
            return b"", None
        box = self._get(row)
        return row, None if box is None else owner.unbox(row, box)

    def _get(self, row: bytes) -> bytes | None:
        # Pending first: a row moves from there into the environment, never back.
        return self._pending.get(row) or self._rows.get(row)

    def _forget(self) -> None:
        self.generation += 1
        self.names.clear()
        self.keys.clear()

    # ---- change rows ---------------------------------------------------------------------------

    def flush(self) -> None:
        """Make everything pending durable in one synced transaction; when it raises, pending it stays."""
        if not self._pending:
            return
        with self._writing:
            with self._lock:
                rows = dict(self._pending)
            with self._rows.write() as txn:
                for row in sorted(rows):
                    if not txn.put(row, rows[row], overwrite=False):
                        raise CorruptStore("another process makes keys in this vault")
            with self._lock:
                for row in rows:
                    del self._pending[row]

    def destroy(self, tenant: str, pseudonym: str) -> None:
        """Destroy a person's rows and data key; durable on return. Again is no fault.

        What remains is an "R" row without an index: it tells a destroyed key from a lost one.
        Raises: Refused (not-found).
        """
        with self._writing:
            with self._lock:
                if self._get(b"T" + tenant.encode()) is None:
                    raise Refused("not-found", "no such pseudonym")
                owner = self._tenant(tenant, make=False)
                reverse, index = self._reverse(owner, pseudonym)
                if index is None:
                    raise Refused("not-found", "no such pseudonym")
                if not index:
                    return
                person = owner.row(b"P", index)
                tenant_row = self._pending.get(b"T" + owner.name)
            with self._rows.write() as txn:
                if tenant_row is not None:  # or nobody could ever read the row that remains
                    txn.put(b"T" + owner.name, tenant_row, overwrite=False)
                txn.delete(person)
                txn.put(reverse, owner.box.encrypt(b"", reverse))
                txn.put(_REWRITE, b"\1")
            with self._lock:
                for row in (person, reverse, b"T" + owner.name):
                    self._pending.pop(row, None)
                self._forget()

    @property
    def rewrite_due(self) -> bool:
        """Whether the bytes of destroyed rows may still be in the file."""
        with self._lock:
            return self._rows.get(_REWRITE) is not None

    def rewrite(self) -> None:
        """Replace the file by one that never held what was destroyed. Raises: Unavailable (in-use)."""
        with self._writing:
            self._rows.replace(_REWRITE, self._lock)


def _check_kek(identity: bytes, kek: KeyEncryptionKey) -> None:
    key_id, _, check = identity[len(FORMAT) + 1 :].partition(b"\0")
    if key_id != kek.key_id.encode():
        raise Refused("wrong-key", f"this vault belongs to another key than {kek.key_id}")
    try:
        kek.unwrap(check, FORMAT)
    except VerificationError as error:
        raise CorruptStore("the vault's check value does not open with its key") from error
