"""POST /api/v1/events and /api/v1/events/batch: record what an AI system, or a person beside it, did.

HOT: the two handlers run once per request, `Intake.add` and `Intake.prepare` once per event.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from aiohttp import web

from tlog.api.asked import Asked
from tlog.api.body import JSON, NDJSON, media_type
from tlog.api.context import GATE, LOG, Gate, json_response, own_stream
from tlog.api.query import refuse_query
from tlog.api.receipts import batch_answer, single_answer
from tlog.core.strict_json import MAX_DEPTH
from tlog.errors import InvalidInput, Refused
from tlog.events.submission import Submission, parse_event
from tlog.sequencer.batch import Opening, Placed, Prepared
from tlog.served import Served
from tlog.tokens import Session

# Events looked at in one go before other requests get their turn.
_SLICE = 250
_MAX_KEY = 255


class Intake:
    """The events of one request on their way into the log.

    All are checked before one is prepared: preparing makes pseudonyms, and a refused request leaves no trace.
    """

    def __init__(self, log: Served, gate: Gate, session: Session, *, keyed: bool) -> None:
        self._log = log
        self._gate = gate
        self._session = session
        self._keyed = keyed
        self._checked: list[tuple[Submission, str, str]] = []
        self._unopened: set[str] = set()

    def add(self, value: Any, at: str) -> None:
        """Check one decoded event; `at` is its JSON Pointer in the request. Raises: InvalidInput, Refused."""
        sub = parse_event(value, at)
        session = self._session
        stream_id = session.stream_id
        if sub.stream_id is not None and sub.stream_id != stream_id:
            stream_id = own_stream(session.tenant, sub.stream_id, at + "/stream_id")
        if stream_id not in self._unopened and not self._log.stream_exists(stream_id):
            self._may_open(stream_id, at)
        if sub.producer_id is not None:
            self._check_producer(sub.producer_id, at)
        self._checked.append((sub, stream_id, at))

    async def meet(self) -> None:
        """Have at hand what `prepare` needs of the persons in the events; at once where the vault is here."""
        log = self._log
        if log.introduces:
            persons = [one for sub, _, _ in self._checked for one in log.preparer.persons(sub)]
            await log.introduce(self._session.tenant, persons)

    def prepare(self, start: int, end: int) -> list[Prepared]:
        """Prepare checked events [start, end) for the sequencer. Raises: InvalidInput (entry-too-large)."""
        session = self._session
        prepare = self._log.preparer.event
        return [
            prepare(
                sub,
                tenant=session.tenant,
                stream_id=stream_id,
                agent=session.agent_json,
                at=at,
            )
            for sub, stream_id, at in self._checked[start:end]
        ]

    def openings(self) -> dict[str, Opening]:
        """The streams that the checked events open."""
        return {one: self._log.preparer.opening(one, public=False) for one in self._unopened}

    def _check_producer(self, producer_id: str, at: str) -> None:
        agent = self._session.agent_id
        if producer_id != agent and not producer_id.startswith(agent + "/"):
            detail = f"this session may write as the producer {agent}"
            raise Refused("foreign-producer", detail, at + "/producer/id")
        if self._keyed:
            detail = "send an Idempotency-Key or a producer sequence, not both"
            raise InvalidInput("two-keys", detail, at + "/producer")

    def _may_open(self, stream_id: str, at: str) -> None:
        session = self._session
        if stream_id != session.stream_id and "stream:create" not in session.scopes:
            detail = f"the stream {stream_id} does not exist and this token may not create it"
            raise Refused("missing-scope", detail, at + "/stream_id")
        self._gate.quota.check(session.tenant, len(self._unopened) + 1, at + "/stream_id")
        self._unopened.add(stream_id)


async def post_event(request: Asked) -> web.Response:
    """Record one event. 201 with its receipt once it is durable and signed, 200 if it was recorded before."""
    log, gate = request.app[LOG], request.app[GATE]
    session = gate.session(request, "ingest")
    refuse_query(request)
    digest = _request_digest(request, session)
    value = await gate.decode(await gate.body(request))
    gate.events(session, 1)
    intake = Intake(log, gate, session, keyed=digest is not None)
    intake.add(value, "")
    minimal = _minimal(request)
    await intake.meet()
    outcome = await log.append(
        intake.prepare(0, 1), intake.openings(), request=digest, prove=not minimal
    )
    new = isinstance(outcome.events[0], Placed)
    return _answer(single_answer(log, outcome, minimal=minimal), new=new, minimal=minimal)


async def post_batch(request: Asked) -> web.Response:
    """Record up to 10,000 events, all or none: a JSON array, or one event a line."""
    log, gate = request.app[LOG], request.app[GATE]
    session = gate.session(request, "ingest")
    refuse_query(request)
    digest = _request_digest(request, session)
    body = await gate.body(request, JSON, NDJSON)
    limit = log.config.max_batch
    by_lines = media_type(request.headers["Content-Type"]) == NDJSON
    # The array is a level of its own: an event may be nested as deep in it as alone or in a line.
    values = _lines(body) if by_lines else _array(await gate.decode(body, max_depth=MAX_DEPTH + 1))
    if not 0 < len(values) <= limit:
        kind = "too-many-events" if values else "empty-batch"
        raise InvalidInput(kind, f"a batch has 1 to {limit} events")
    gate.events(session, len(values))
    intake = Intake(log, gate, session, keyed=digest is not None)
    for start in range(0, len(values), _SLICE):
        for at, value in enumerate(values[start : start + _SLICE], start):
            pointer = f"/{at}"
            intake.add(await gate.decode(value, pointer) if by_lines else value, pointer)
        await asyncio.sleep(0)
    await intake.meet()
    events: list[Prepared] = []
    for start in range(0, len(values), _SLICE):
        events += intake.prepare(start, start + _SLICE)
        await asyncio.sleep(0)
    minimal = _minimal(request)
    outcome = await log.append(
        events, intake.openings(), request=digest, prove=not minimal, array=True
    )
    new = any(isinstance(event, Placed) for event in outcome.events)
    return _answer(await batch_answer(log, outcome, minimal=minimal), new=new, minimal=minimal)


def _answer(body: bytes, *, new: bool, minimal: bool) -> web.Response:
    response = json_response(body, 201 if new else 200)
    if minimal:
        response.headers["Preference-Applied"] = "return=minimal"
    return response


def _array(values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise InvalidInput("wrong-type", "a batch is a JSON array of events", "")
    return values


def _lines(body: bytes) -> list[bytes]:
    # Decoded one by one, after they have been counted: a body of 16 MiB holds millions of short lines.
    lines = body.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return lines


def _minimal(request: Asked) -> bool:
    # RFC 7240: preferences that are not known are ignored, in any order.
    given = request.headers.getall("Prefer", ())
    return any(
        part.partition(";")[0].strip().lower() == "return=minimal"
        for line in given
        for part in line.split(",")
    )


def _request_digest(request: Asked, session: Session) -> bytes | None:
    """16 bytes that stand for an Idempotency-Key of this tenant's agent in its stream, None without one."""
    given = request.headers.getall("Idempotency-Key", None)
    if given is None:
        return None
    key = given[0]
    if len(given) > 1 or not (0 < len(key) <= _MAX_KEY and key.isascii() and key.isprintable()):
        raise InvalidInput(
            "invalid-value", f"an Idempotency-Key is one header of 1 to {_MAX_KEY} printable ASCII"
        )
    scope = "\x00".join((session.tenant, session.agent_id, session.stream_id, key))
    return hashlib.sha256(scope.encode()).digest()[:16]
