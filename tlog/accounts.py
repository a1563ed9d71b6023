"""Tenants, API keys, bearer tokens.

An environment of its own, DIR/accounts, so that commands can write beside a running server: it sees their commits within half
a second. Everything in it is small and held in memory; a request costs no look into the environment.

API key = `ak_live_` + public id (10 characters) + secret (52 characters, 260 bits), both lower-case base32. Stored is
SHA-256 of the secret's characters: of 260 random bits nothing slower is needed. Tokens: `tokens`.

Rows (value || first 16 bytes of HMAC-SHA256(row key, key || value), so that bit rot cannot change a scope):

    "M"              "tlog/accounts/v1" 00 root key (32), whose children sign tokens and rows
    "T" tenant       MessagePack created_ms
    "K" key id       MessagePack [[key id, tenant, environment, scopes, created_ms, revoked_ms | nil, name], SHA-256]
    "S" session id   MessagePack expires_ms: a session revoked before its time, kept until its token has expired
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic

import msgspec

from tlog.cache import Cache
from tlog.core.ids import check_name
from tlog.errors import CorruptStore, InvalidInput, Refused
from tlog.keys import KEY_BYTES, derive, random_bytes
from tlog.store.rows import IDENTITY, Rows
from tlog.tokens import (
    MAX_TOKEN_LIFETIME_MS,
    TOKEN_LIFETIME_MS,
    ApiKey,
    KeyRow,
    Session,
    Tokens,
    base32,
    session,
)

FORMAT = b"tlog/accounts/v1\0"
SCOPES = frozenset({"ingest", "read", "admin", "stream:create"})
DEFAULT_SCOPES = frozenset({"ingest", "read"})
MAX_NAME_LENGTH = 128
CACHE_LIMIT = 100_000
LOOK_INTERVAL = 0.5  # seconds after which another process's revocation is seen, at most
KEY_PREFIX = "ak_live_"
_KEY_TEXT = re.compile(KEY_PREFIX + r"([a-z2-7]{10})([a-z2-7]{52})")
_KEY_ID = re.compile(r"[a-z2-7]{10}")
_SESSION_ID = re.compile(r"ses_[a-z2-7]{26}")
_MAC_BYTES = 16

_pack = msgspec.msgpack.encode
_decode_key = msgspec.msgpack.Decoder(KeyRow).decode
_decode_int = msgspec.msgpack.Decoder(int).decode


def _clock() -> int:
    return time.time_ns() // 1_000_000


class Accounts:
    """All accounts of one log. Any thread; the tables below are replaced whole, under `_lock`, never changed."""

    def __init__(self, rows: Rows, clock_ms: Callable[[], int]) -> None:
        self._rows = rows
        self._clock_ms = clock_ms
        root = (rows.get(IDENTITY) or b"")[len(FORMAT) :]
        if len(root) != KEY_BYTES:
            raise CorruptStore("the accounts' root key is damaged")
        self._row_key = derive(root, b"tlog/accounts/rows/v1")
        self._tokens = Tokens(derive(root, b"tlog/accounts/tokens/v1"))
        self._dummy = random_bytes(32)
        self._lock = threading.RLock()
        self._tenants: frozenset[str] = frozenset()
        self._keys: dict[str, KeyRow] = {}
        self._revoked: frozenset[str] = frozenset()
        self._sessions: Cache[str, Session] = Cache(CACHE_LIMIT)
        self._stale = True
        self._look_at = 0.0
        self._load()

    @classmethod
    def create(cls, path: Path, clock_ms: Callable[[], int] = _clock) -> Accounts:
        """Make empty accounts in the folder `path`. Raises: Refused (exists)."""
        return cls(Rows.create(path, FORMAT + random_bytes(KEY_BYTES)), clock_ms)

    @classmethod
    def open(cls, path: Path, clock_ms: Callable[[], int] = _clock) -> Accounts:
        """Open what `create` made. Raises: InvalidInput (no-store), CorruptStore."""
        rows = Rows.open(path, FORMAT)
        try:
            return cls(rows, clock_ms)
        except BaseException:
            rows.close()
            raise

    def close(self) -> None:
        """Release the environment."""
        self._rows.close()

    # ---- tenants and keys ----------------------------------------------------------------------

    def create_tenant(self, name: str) -> None:
        """Raises: InvalidInput (invalid-name) outside the grammar of design §2.1; Refused (reserved, exists)."""
        check_name(name, "tenant")
        if name == "tlog":
            raise Refused("reserved", "tenant tlog is the log's own")
        row = b"T" + name.encode()
        with self._lock:
            with self._rows.write() as txn:
                if not txn.put(row, self._sealed(row, _pack(self._clock_ms())), overwrite=False):
                    raise Refused("exists", f"tenant {name} exists already")
            self._load()

    def list_tenants(self) -> list[str]:
        """Names, sorted."""
        self._look()
        return sorted(self._tenants)

    def create_key(
        self,
        tenant: str,
        environment: str = "prod",
        scopes: Iterable[str] = DEFAULT_SCOPES,
        name: str = "",
    ) -> tuple[str, ApiKey]:
        """The key's text, which is kept nowhere, and what is. Raises: InvalidInput; Refused (not-found)."""
        check_name(environment, "environment")
        wanted = frozenset(scopes)
        if not wanted or not wanted <= SCOPES:
            raise InvalidInput("invalid-scope", f"scopes are some of {', '.join(sorted(SCOPES))}")
        if len(name) > MAX_NAME_LENGTH or not name.isprintable():
            raise InvalidInput("invalid-name", "a key's name is at most 128 printable characters")
        secret = base32(random_bytes(33))[:52]
        key_id = base32(random_bytes(16))[:10]
        key = ApiKey(key_id, tenant, environment, wanted, self._clock_ms(), None, name)
        row = b"K" + key_id.encode()
        value = self._sealed(row, _pack(KeyRow(key, _digest(secret))))
        with self._lock:
            with self._rows.write() as txn:
                if txn.get(b"T" + tenant.encode()) is None:
                    raise Refused("not-found", f"there is no tenant {tenant}")
                if not txn.put(row, value, overwrite=False):
                    raise AssertionError("tlog: a random key id came twice")
            self._load()
        return KEY_PREFIX + key_id + secret, key

    def list_keys(self, tenant: str | None = None) -> list[ApiKey]:
        """All keys, or a tenant's, revoked ones included, oldest first."""
        self._look()
        keys = [row.key for row in self._keys.values() if tenant in (None, row.key.tenant)]
        return sorted(keys, key=lambda key: (key.created_ms, key.key_id))

    def revoke_key(self, key_id: str) -> None:
        """End a key and every token issued under it, for good. Again is no fault. Raises: Refused (not-found)."""
        if not _KEY_ID.fullmatch(key_id):
            raise Refused("not-found", "no such key")
        row = b"K" + key_id.encode()
        with self._lock:
            with self._rows.write() as txn:
                if (sealed := txn.get(row)) is None:
                    raise Refused("not-found", "no such key")
                value = _decode_key(self._opened(row, sealed))
                if value.key.revoked_ms is None:
                    key = msgspec.structs.replace(value.key, revoked_ms=self._clock_ms())
                    txn.put(row, self._sealed(row, _pack(KeyRow(key, value.secret_hash))))
            self._load()

    def authenticate(self, key_text: str) -> ApiKey:
        """The key whose text this is. Raises: Refused (invalid-credentials), one for every cause."""
        self._look()
        match = _KEY_TEXT.fullmatch(key_text)
        if match is None:
            raise Refused("invalid-credentials", "the API key is not valid")
        # An unknown id takes the same steps, against a hash that no secret has.
        found = self._key_row(match[1])
        expected = self._dummy if found is None else found.secret_hash
        right = hmac.compare_digest(_digest(match[2]), expected)
        if not right or found is None or found.key.revoked_ms is not None:
            raise Refused("invalid-credentials", "the API key is not valid")
        return found.key

    # ---- tokens and sessions -------------------------------------------------------------------

    def issue_token(
        self,
        api_key: ApiKey,
        *,
        agent_id: str,
        code_hash: str,
        stream_id: str,
        now_ms: int,
        lifetime_ms: int = TOKEN_LIFETIME_MS,
    ) -> tuple[str, Session]:
        """A bearer token for a new session. Raises: InvalidInput (invalid-value) if it would be too long."""
        about = (agent_id, code_hash, stream_id)
        claims, token = self._tokens.issue(api_key.key_id, about, now_ms, lifetime_ms)
        return token, session(claims, api_key)

    def session(self, token: str, now_ms: int) -> Session:
        """What a token says. Raises: Refused (invalid-token): malformed, forged, expired or revoked."""
        if monotonic() >= self._look_at:
            self._look()
        found = self._sessions.get(token) or self._open_token(token)
        if now_ms >= found.expires_ms:
            raise Refused("invalid-token", "the token has expired")
        return found

    def revoke_session(self, session_id: str) -> None:
        """End a session before its token expires. Raises: Refused (not-found) for what cannot be a session's id.

        Its row is dropped when no token of it can be valid any more.
        """
        if not _SESSION_ID.fullmatch(session_id):
            raise Refused("not-found", "no such session")
        now = self._clock_ms()
        row = b"S" + session_id.encode()
        with self._lock:
            with self._rows.write() as txn:
                for old, value in self._rows.scan(b"S"):
                    if _decode_int(self._opened(old, value)) <= now:
                        txn.delete(old)
                # The token is not at hand: it may have been issued just now, for the longest time.
                txn.put(row, self._sealed(row, _pack(now + MAX_TOKEN_LIFETIME_MS)))
            self._load()

    def _open_token(self, token: str) -> Session:
        if token.startswith(KEY_PREFIX):
            detail = "this is an API key: POST /api/v1/attest exchanges it for a token"
            raise Refused("invalid-token", detail)
        claims = self._tokens.read(token)
        with self._lock:
            row = self._key_row(claims.key_id)
            ended = row is None or row.key.revoked_ms is not None
            if row is None or ended or claims.session_id in self._revoked:
                raise Refused("invalid-token", "the token has been revoked")
            found = self._sessions.find(token)
            if found is None:
                found = session(claims, row.key)
                self._sessions.put(token, found)
            return found

    # ---- rows ----------------------------------------------------------------------------------

    def _key_row(self, key_id: str) -> KeyRow | None:
        """A key's row; one that a command made a moment ago is valid at once."""
        found = self._keys.get(key_id)
        if found is None:
            self._look(now=True)
            found = self._keys.get(key_id)
        return found

    def _look(self, *, now: bool = False) -> None:
        if monotonic() < self._look_at and not now:
            return
        with self._lock:
            if self._rows.changed() or self._stale:
                self._load()
            self._look_at = monotonic() + LOOK_INTERVAL

    def _load(self) -> None:
        """Read all rows and forget every session. If it raises, the next request tries again and is refused too."""
        self._stale = True
        self._look_at = 0.0
        tenants, keys, revoked = (
            {row: self._opened(row, value) for row, value in self._rows.scan(tag)}
            for tag in (b"T", b"K", b"S")
        )
        self._tenants = frozenset(row[1:].decode() for row in tenants)
        self._keys = {row[1:].decode(): _decode_key(value) for row, value in keys.items()}
        self._revoked = frozenset(row[1:].decode() for row in revoked)
        self._sessions.clear()
        self._stale = False
        self._look_at = monotonic() + LOOK_INTERVAL

    def _sealed(self, row: bytes, value: bytes) -> bytes:
        return value + self._row_mac(row, value)

    def _opened(self, row: bytes, sealed: bytes) -> bytes:
        value = sealed[:-_MAC_BYTES]
        if not hmac.compare_digest(self._row_mac(row, value), sealed[-_MAC_BYTES:]):
            raise CorruptStore("a row of the accounts is damaged")
        return value

    def _row_mac(self, row: bytes, value: bytes) -> bytes:
        # A row key's length varies: its own length in front keeps key and value apart.
        return hmac.digest(self._row_key, bytes([len(row)]) + row + value, "sha256")[:_MAC_BYTES]


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
