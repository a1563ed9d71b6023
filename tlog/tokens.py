"""Bearer tokens: what they look like, what they say. Which key or session was revoked is known to `accounts`.

Token = `at_` + base64url(MessagePack [session id, key id, agent id, code hash, stream id, expires_ms]) + "." + base64url(MAC),
MAC = HMAC-SHA256 of all characters before the dot, under a key that does nothing else. It is not stored, so it survives a
restart. Tenant, environment and scopes are those of its API key when it is used: a token never outlives or outgrows its key.
"""

from __future__ import annotations

import base64
import hmac
import re

import msgspec

from tlog.core.canonical import canonical
from tlog.errors import InvalidInput, Refused
from tlog.keys import random_bytes

TOKEN_LIFETIME_MS = 15 * 60_000
MAX_TOKEN_LIFETIME_MS = 24 * 3_600_000
MAX_TOKEN_LENGTH = 2048
_TEXT = re.compile(r"(at_[A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})")


class ApiKey(msgspec.Struct, frozen=True, array_like=True):
    """What is known of an API key; its secret is not."""

    key_id: str
    tenant: str
    environment: str
    scopes: frozenset[str]
    created_ms: int
    revoked_ms: int | None
    name: str


class KeyRow(msgspec.Struct, array_like=True, frozen=True):
    """What is stored of an API key."""

    key: ApiKey
    secret_hash: bytes

    def __repr__(self) -> str:
        return f"KeyRow({self.key.key_id})"


class Session(msgspec.Struct, frozen=True):
    """What a valid token says. `agent_json` is the canonical JSON of RECORD's member `agent`."""

    session_id: str
    key_id: str
    tenant: str
    environment: str
    agent_id: str
    code_hash: str
    stream_id: str
    scopes: frozenset[str]
    expires_ms: int
    agent_json: bytes


class Claims(msgspec.Struct, array_like=True, frozen=True):
    """What a token's MAC covers."""

    session_id: str
    key_id: str
    agent_id: str
    code_hash: str
    stream_id: str
    expires_ms: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Claims).decode


class Tokens:
    """Issues and reads tokens under one 32-byte key."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(
        self, key_id: str, about: tuple[str, str, str], now_ms: int, lifetime_ms: int
    ) -> tuple[Claims, str]:
        """A token for a new session; `about` is agent id, code hash, stream id.

        Raises: InvalidInput (invalid-value) if it would be too long.
        """
        if not 0 < lifetime_ms <= MAX_TOKEN_LIFETIME_MS:
            raise AssertionError("tlog: a token lives at most 24 hours")
        session_id = "ses_" + base32(random_bytes(16))
        claims = Claims(session_id, key_id, *about, now_ms + lifetime_ms)
        text = "at_" + _base64(_encode(claims))
        token = f"{text}.{self._mac(text)}"
        if len(token) > MAX_TOKEN_LENGTH:
            raise InvalidInput(
                "invalid-value", "agent_id, agent_code_hash or stream_id is too long"
            )
        return claims, token

    def read(self, token: str) -> Claims:
        """What a token says, if this key signed it; expired or not. Raises: Refused (invalid-token)."""
        match = _TEXT.fullmatch(token) if len(token) <= MAX_TOKEN_LENGTH else None
        # The MAC's characters are compared before anything is decoded: no second spelling is valid.
        if match is None or not hmac.compare_digest(self._mac(match[1]), match[2]):
            raise Refused("invalid-token", "the token is not valid")
        return _decode(base64.urlsafe_b64decode(match[1][3:] + "=="))

    def _mac(self, text: str) -> str:
        return _base64(hmac.digest(self._key, text.encode(), "sha256"))


def session(claims: Claims, key: ApiKey) -> Session:
    """The session of a token that was issued under `key`."""
    agent = {
        "id": claims.agent_id,
        "codeHash": claims.code_hash,
        "session": claims.session_id,
        "assurance": "self",
    }
    return Session(
        claims.session_id,
        key.key_id,
        key.tenant,
        key.environment,
        claims.agent_id,
        claims.code_hash,
        claims.stream_id,
        key.scopes,
        claims.expires_ms,
        canonical(agent),
    )


def base32(data: bytes) -> str:
    """Lower-case base32 without padding."""
    return base64.b32encode(data).decode().rstrip("=").lower()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
