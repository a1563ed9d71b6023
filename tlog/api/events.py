"""POST /api/v1/events and /api/v1/events/batch: record what an AI system, or a person beside it, did.

HOT: the two handlers run once per request and `_prepare` once per event.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from aiohttp import web

from tlog.tokens import Session
from tlog.api.context import GATE, LOG, json_response, own_stream
from tlog.api.receipts import batch_answer, single_answer
from tlog.core.ids import parse_stream_id
from tlog.core.strict_json import loads
from tlog.errors import InvalidInput, Refused
from tlog.events.submission import Submission, parse_event
from tlog.log import Log
from tlog.sequencer.batch import Opening, Placed, Prepared

# Events prepared in one go before other requests get their turn.
_SLICE = 250
_MAX_KEY = 255


class Intake:
    """The events of one request on their way into the log."""

    def __init__(self, log: Log, session: Session, *, keyed: bool, single: bool) -> None:
        self._log = log
        self._session = session
        self._keyed = keyed
        self._single = single
        self.events: list[Prepared] = []
        self.openings: dict[str, Opening] = {}

    def add(self, value: Any) -> None:
        """Validate and prepare one decoded event."""
        at = "" if self._single else f"/{len(self.events)}"
        sub = parse_event(value, at)
        session = self._session
        stream_id = session.stream_id
        if sub.stream_id is not None and sub.stream_id != stream_id:
            stream_id = own_stream(session.tenant, sub.stream_id, at + "/stream_id")
        if not self._log.stream_exists(stream_id) and stream_id not in self.openings:
            self.openings[stream_id] = self._open(stream_id, at)
        if sub.producer_id is not None:
            self._check_producer(sub, sub.producer_id, at)
        self.events.append(
            self._log.preparer.event(
                sub,
                tenant=session.tenant,
                stream_id=stream_id,
                agent=session.agent_json,
                keyed=self._keyed,
                at=at,
            )
        )

    def _check_producer(self, sub: Submission, producer_id: str, at: str) -> None:
        agent = self._session.agent_id
        if producer_id != agent and not producer_id.startswith(agent + "/"):
            raise Refused(
                "foreign-producer",
                f"this session may write as the producer {agent}",
                at + "/producer/id",
            )
        if self._keyed:
            raise InvalidInput(
                "two-keys",
                "send an Idempotency-Key or a producer sequence, not both",
                at + "/producer",
            )

    def _open(self, stream_id: str, at: str) -> Opening:
        session = self._session
        if stream_id != session.stream_id and "stream:create" not in session.scopes:
            raise Refused(
                "missing-scope",
                f"the stream {stream_id} does not exist and this token may not create it",
                at + "/stream_id",
            )
        limit = self._log.config.max_streams_per_tenant
        if self._log.stream_count(parse_stream_id(stream_id).tenant) + len(self.openings) >= limit:
            raise Refused(
                "too-many-streams", f"a tenant has at most {limit} streams", at + "/stream_id"
            )
        return self._log.preparer.opening(stream_id, public=False)


async def post_event(request: web.Request) -> web.Response:
    """Record one event; 201 with its receipt, 200 when it was recorded before."""
    log, gate = request.app[LOG], request.app[GATE]
    session = gate.session(request, "ingest")
    digest = _request_digest(request, session)
    value = loads(await gate.body(request, "application/json"))
    gate.events(session, 1)
    intake = Intake(log, session, keyed=digest is not None, single=True)
    intake.add(value)
    minimal = _minimal(request)
    outcome = await log.append(intake.events, intake.openings, request=digest, prove=not minimal)
    new = isinstance(outcome.events[0], Placed)
    return _answer(single_answer(log, outcome, minimal=minimal), new=new, minimal=minimal)


async def post_batch(request: web.Request) -> web.Response:
    """Record up to 10,000 events, all or none."""
    log, gate = request.app[LOG], request.app[GATE]
    session = gate.session(request, "ingest")
    digest = _request_digest(request, session)
    body = await gate.body(request, "application/json", "application/x-ndjson")
    values = _ndjson(body) if request.content_type == "application/x-ndjson" else loads(body)
    if not isinstance(values, list):
        raise InvalidInput("wrong-type", "a batch is a JSON array of events", "")
    limit = log.config.max_batch
    if not 0 < len(values) <= limit:
        kind = "too-many-events" if values else "empty-batch"
        raise InvalidInput(kind, f"a batch has 1 to {limit} events")
    gate.events(session, len(values))
    intake = Intake(log, session, keyed=digest is not None, single=False)
    for start in range(0, len(values), _SLICE):
        for value in values[start : start + _SLICE]:
            intake.add(value)
        await asyncio.sleep(0)
    minimal = _minimal(request)
    outcome = await log.append(intake.events, intake.openings, request=digest, prove=not minimal)
    new = any(isinstance(event, Placed) for event in outcome.events)
    return _answer(await batch_answer(log, outcome, minimal=minimal), new=new, minimal=minimal)


def _answer(body: bytes, *, new: bool, minimal: bool) -> web.Response:
    response = json_response(body, 201 if new else 200)
    if minimal:
        response.headers["Preference-Applied"] = "return=minimal"
    return response


def _ndjson(body: bytes) -> list[Any]:
    lines = body.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return [loads(line, pointer_prefix=f"/{at}") for at, line in enumerate(lines)]


def _minimal(request: web.Request) -> bool:
    return "return=minimal" in request.headers.get("Prefer", "")


def _request_digest(request: web.Request, session: Session) -> bytes | None:
    """16 bytes that stand for this tenant's Idempotency-Key, None without one."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 0 < len(key) <= _MAX_KEY or not key.isascii() or not key.isprintable():
        raise InvalidInput(
            "invalid-value", f"an Idempotency-Key is 1 to {_MAX_KEY} printable ASCII characters"
        )
    return hashlib.sha256(f"{session.tenant}\x00{key}".encode()).digest()[:16]
