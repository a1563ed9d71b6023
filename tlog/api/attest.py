"""POST /api/v1/attest: an API key and an agent's identity for a short-lived bearer token."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from tlog.api.answers import LogTime, Natural
from tlog.api.context import GATE, WRITER, answer, own_stream, parse_request
from tlog.api.query import refuse_query
from tlog.core.ids import NAME_PATTERN
from tlog.core.times import format_ms
from tlog.core.wire import hash_text, parse_hash_text
from tlog.errors import InvalidInput, Refused
from tlog.events.input import StreamIdText
from tlog.log import Log
from tlog.tokens import ApiKey

_MAX_BODY = 64 * 1024
_part = re.compile(NAME_PATTERN).fullmatch

Part = Annotated[
    str, Meta(examples=["credit-scorer"], extra_json_schema={"pattern": f"^{NAME_PATTERN}$"})
]


class AttestRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is going to write. The code hash is self-asserted and recorded as such (`assurance: self`)."""

    tenant_id: Part
    agent_id: Part
    agent_code_hash: Annotated[
        str,
        Meta(
            description="SHA-256 of the exact script or model version: 64 hex digits, as `sha256sum` prints them.",
            examples=["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
            extra_json_schema={"pattern": "^(sha256:)?[0-9a-f]{64}$"},
        ),
    ]
    stream_id: (
        Annotated[
            StreamIdText,
            Meta(description="Default: `<tenant>:<environment of the key>:<agent_id>`."),
        ]
        | UnsetType
    ) = UNSET
    open_stream: (
        Annotated[
            bool,
            Meta(description="False: a stream that does not exist is not opened. Default: true."),
        ]
        | UnsetType
    ) = UNSET
    instance: (
        Annotated[
            Part,
            Meta(description="Tells replicas of one agent apart: each counts its own sequence."),
        ]
        | UnsetType
    ) = UNSET


class ProducerState(Struct, frozen=True, forbid_unknown_fields=True):
    """The producer that this session may write as, and the sequence that it must send next."""

    id: str
    next_sequence: Natural


class AttestAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """The session. `vkey` is the root log's; verifiers must know it from elsewhere.

    `log_prefix` is the path of the stream's checkpoint, tiles and entries; of the root log's while there is no stream.
    """

    token: str
    token_type: Literal["Bearer"]
    expires_at: LogTime
    session_id: str
    stream_id: str
    log_prefix: str
    vkey: str
    producer: ProducerState


async def attest(request: web.Request) -> web.Response:
    """Establish a session: exchange an API key for a bearer token.

    The session's stream is opened with its first session that may write, so that its label is known before the first event;
    one that says `open_stream: false`, as an auditor's does, opens none.
    """
    log, gate = request.app[WRITER], request.app[GATE]
    key = gate.key(request)
    refuse_query(request)
    asked = parse_request(
        await gate.decode(await gate.body(request, limit=_MAX_BODY)), AttestRequest
    )
    if asked.tenant_id != key.tenant:
        raise Refused("foreign-tenant", "this key belongs to another tenant", "/tenant_id")
    producer, code_hash = _producer(asked), _code_hash(asked)
    stream_id = f"{key.tenant}:{key.environment}:{asked.agent_id}"
    may_open = "ingest" in key.scopes and asked.open_stream is not False
    if asked.stream_id is not UNSET and asked.stream_id != stream_id:
        stream_id = own_stream(key.tenant, asked.stream_id, "/stream_id")
        if may_open and not log.stream_exists(stream_id) and "stream:create" not in key.scopes:
            detail = f"the stream {stream_id} does not exist and this key may not create it"
            raise Refused("missing-scope", detail, "/stream_id")
    if may_open and not log.stream_exists(stream_id):
        gate.quota.check(key.tenant, 1, "/stream_id")
        await log.append([], {stream_id: log.preparer.opening(stream_id, public=False)})
    response = answer(_session(log, key, asked.agent_id, code_hash, stream_id, producer))
    response.headers["Cache-Control"] = "no-store"
    return response


def _session(
    log: Log, key: ApiKey, agent_id: str, code_hash: str, stream_id: str, producer: str
) -> AttestAnswer:
    token, session = log.accounts.issue_token(
        key,
        agent_id=agent_id,
        code_hash=code_hash,
        stream_id=stream_id,
        now_ms=log.clock_ms(),
        lifetime_ms=log.config.token_lifetime * 1000,
    )
    return AttestAnswer(
        token,
        "Bearer",
        format_ms(session.expires_ms),
        session.session_id,
        stream_id,
        log.prefix(stream_id),
        log.vkey,
        ProducerState(producer, log.last_sequence(stream_id, producer) + 1),
    )


def _producer(asked: AttestRequest) -> str:
    """The producer of this agent, or of this replica of it. Raises: InvalidInput (invalid-value)."""
    parts = {"tenant_id": asked.tenant_id, "agent_id": asked.agent_id}
    if asked.instance is not UNSET:
        parts["instance"] = asked.instance
    for name, text in parts.items():
        if _part(text) is None:
            raise InvalidInput("invalid-value", f"must match {NAME_PATTERN}", f"/{name}")
    return "/".join([asked.agent_id, *([] if asked.instance is UNSET else [asked.instance])])


def _code_hash(asked: AttestRequest) -> str:
    try:
        return hash_text(parse_hash_text(asked.agent_code_hash))
    except InvalidInput:
        detail = "the SHA-256 of the agent's code is 64 hex digits, as `sha256sum` prints them"
        raise InvalidInput("invalid-value", detail, "/agent_code_hash") from None
