"""POST /api/v1/attest: an API key and an agent's identity for a short-lived bearer token."""

from __future__ import annotations

from typing import Annotated

import msgspec
import orjson
from aiohttp import web

from tlog.api.context import GATE, LOG, bearer, own_stream, parse_request
from tlog.core.strict_json import loads
from tlog.core.times import format_ms
from tlog.core.wire import hash_text, parse_hash_text
from tlog.errors import InvalidInput, Refused

PART = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", examples=["credit-scorer"])
]


class AttestRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who is going to write. The code hash is self-asserted and recorded as such (`assurance: self`)."""

    tenant_id: PART
    agent_id: PART
    #: SHA-256 of the exact script or model version: 64 hex digits, with or without `sha256:`.
    agent_code_hash: str
    #: Default: `<tenant>:<environment of the key>:<agent_id>`.
    stream_id: str | msgspec.UnsetType = msgspec.UNSET
    #: Tells replicas of one agent apart: each then counts its own producer sequence.
    instance: PART | msgspec.UnsetType = msgspec.UNSET


class ProducerState(msgspec.Struct, frozen=True):
    """The producer that this session may write as, and the sequence that it must send next."""

    id: str
    next_sequence: int


class AttestResponse(msgspec.Struct, frozen=True):
    """The session. `vkey` is the root log's; verifiers must know it from elsewhere.

    `log_prefix` is the path under which the stream's checkpoint, tiles and entries are served. The stream is
    opened with its first session that may write, so that its label is known before the first event.
    """

    token: str
    token_type: str
    expires_at: str
    session_id: str
    stream_id: str
    log_prefix: str
    vkey: str
    producer: ProducerState


async def attest(request: web.Request) -> web.Response:
    """Establish a session. Raises: Refused (invalid-credentials, foreign-tenant, not-found), InvalidInput."""
    log, gate = request.app[LOG], request.app[GATE]
    key = log.accounts.authenticate(bearer(request))
    gate.request(key.key_id)
    asked = parse_request(loads(await gate.body(request, "application/json")), AttestRequest)
    if asked.tenant_id != key.tenant:
        raise Refused("foreign-tenant", "this key belongs to another tenant", "/tenant_id")
    try:
        code_hash = hash_text(parse_hash_text(asked.agent_code_hash))
    except InvalidInput as error:
        detail = "the SHA-256 of the agent's code is 64 hex digits, as `sha256sum` prints them"
        raise InvalidInput("invalid-value", detail, "/agent_code_hash") from error
    stream_id = f"{key.tenant}:{key.environment}:{asked.agent_id}"
    if asked.stream_id is not msgspec.UNSET:
        stream_id = own_stream(key.tenant, asked.stream_id, "/stream_id")
    producer = asked.agent_id
    if asked.instance is not msgspec.UNSET:
        producer = f"{asked.agent_id}/{asked.instance}"
    now = log.clock_ms()
    token, session = log.accounts.issue_token(
        key,
        agent_id=asked.agent_id,
        code_hash=code_hash,
        stream_id=stream_id,
        now_ms=now,
        lifetime_ms=log.config.token_lifetime * 1000,
    )
    if "ingest" in key.scopes and not log.stream_exists(stream_id):
        await log.append([], {stream_id: log.preparer.opening(stream_id, public=False)})
    answer = AttestResponse(
        token,
        "Bearer",
        format_ms(session.expires_ms),
        session.session_id,
        stream_id,
        log.prefix(stream_id),
        log.vkey,
        ProducerState(producer, log.last_sequence(stream_id, producer) + 1),
    )
    return web.Response(
        body=orjson.dumps(msgspec.to_builtins(answer)), content_type="application/json"
    )
