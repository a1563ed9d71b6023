"""What handlers share: the open log, who is asking, and what they may see."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from tlog.api.asked import Asked
from tlog.api.body import JSON, read_body
from tlog.api.limits import Allowance, Buckets, StreamQuota, Turnstile, neighbourhood
from tlog.core.ids import parse_stream_id
from tlog.core.strict_json import DOUBT, MAX_DEPTH, attempt, loads
from tlog.errors import InvalidInput, Refused
from tlog.events.diagnose import raise_fault
from tlog.log import Log
from tlog.served import Served
from tlog.tokens import ApiKey, Session

T = TypeVar("T", bound=msgspec.Struct)

LOG: web.AppKey[Served] = web.AppKey("log", Served)
#: The log itself, with its signer, publication and witnesses: only in the process that commits.
WRITER: web.AppKey[Log] = web.AppKey("writer", Log)

# Long reads that may wait for the one that is running.
_LONG_READS_WAITING = 16
_PUBLIC_READS_WAITING = 4
_JUDGED_AT_ONCE = 4096  # bytes of doubtful JSON: some milliseconds
# Anchors that may be delivered per second, each some milliseconds of verifying, and how many at once: by all strangers
# together, and from one network, so that one does not use up what is there for all.
_ANCHORS, _ANCHORS_AT_ONCE = 20.0, 80
_ANCHORS_EACH, _ANCHORS_EACH_AT_ONCE = 5.0, 20


class Gate:
    """Who may do what, how often, and how much at once."""

    def __init__(
        self, log: Served, requests: Allowance | None = None, events: Allowance | None = None
    ) -> None:
        """`requests` and `events`: per API key; where several processes count, those that they share."""
        self._log = log
        config = log.config
        self._requests = requests or Buckets(config.rate_requests, config.rate_burst)
        self._events = events or Buckets(config.rate_events, config.rate_burst)
        self._anchors = Buckets(_ANCHORS, _ANCHORS_AT_ONCE / _ANCHORS)
        self._anchors_each = Buckets(_ANCHORS_EACH, _ANCHORS_EACH_AT_ONCE / _ANCHORS_EACH)
        self.quota = StreamQuota(log.stream_count, config.max_streams_per_tenant)
        # The reads that take a core for as long as a stream is long: one at a time. What needs no token has a turn of its
        # own: strangers, whom nothing else counts, would keep all others waiting.
        self.long_reads = Turnstile(_LONG_READS_WAITING)
        self.public_reads = Turnstile(_PUBLIC_READS_WAITING)
        self.anchor_checks = Turnstile(_ANCHORS_AT_ONCE)
        self._judgements = Turnstile(_LONG_READS_WAITING)

    def key(self, request: Asked) -> ApiKey:
        """The API key of a request. Raises: Refused (invalid-credentials), Unavailable (rate-limited)."""
        key = self._log.accounts.authenticate(bearer(request, "invalid-credentials"))
        self._requests.take(key.key_id, 1)
        return key

    def session(self, request: Asked, scope: str) -> Session:
        """The session of a bearer token that has `scope`. HOT.

        Raises: Refused (invalid-token, missing-scope), Unavailable (rate-limited).
        """
        credential = bearer(request, "invalid-token")
        session = self._log.accounts.session(credential, self._log.clock_ms())
        if scope not in session.scopes:
            raise Refused("missing-scope", f"this token lacks the scope {scope}")
        self._requests.take(session.key_id, 1)
        return session

    def maybe_session(self, request: Asked, scope: str) -> Session | None:
        """The session, or None for a request without credentials."""
        return self.session(request, scope) if "Authorization" in request.headers else None

    def events(self, session: Session, count: int) -> None:
        """Take `count` events from the key's allowance. Raises: Unavailable (rate-limited)."""
        self._events.take(session.key_id, count)

    def anchor(self, request: web.Request) -> None:
        """Take one anchor from what strangers may deliver: from this network, and all together.

        Raises: Unavailable (rate-limited).
        """
        self._anchors_each.take(neighbourhood(request.remote), 1)
        self._anchors.take("", 1)

    async def decode(self, body: bytes, pointer: str = "", max_depth: int = MAX_DEPTH) -> Any:
        """The value of JSON text; `pointer` is where it stands. HOT.

        Raises: InvalidInput, as `strict_json.loads`; Unavailable (busy).
        """
        value = attempt(body, max_depth)
        if value is not DOUBT:
            return value
        judge = partial(loads, body, max_depth=max_depth, pointer_prefix=pointer)
        if len(body) <= _JUDGED_AT_ONCE:
            return judge()
        # To say what is wrong with it takes seconds per MiB.
        async with self._judgements.turn():
            return await asyncio.get_running_loop().run_in_executor(None, judge)

    async def body(self, request: Asked, *media_types: str, limit: int | None = None) -> bytes:
        """The request's body; default `application/json` of at most `max_body` bytes. Raises: as `read_body`."""
        config = self._log.config
        return await read_body(
            request,
            limit=limit or config.max_body,
            seconds=config.request_timeout,
            media_types=media_types or (JSON,),
        )


GATE: web.AppKey[Gate] = web.AppKey("gate", Gate)


def bearer(request: Asked, kind: str) -> str:
    """The credential of `Authorization: Bearer …`, ASCII. Raises: Refused of this kind."""
    given = request.headers.getall("Authorization", ())
    scheme, _, credential = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not credential.isascii() or not credential:
        raise Refused(kind, "send one header Authorization: Bearer <credential>")
    return credential


def own_stream(tenant: str, stream_id: str, pointer: str) -> str:
    """`stream_id` if it is well formed and the tenant's own.

    Raises: InvalidInput (invalid-value), Refused (not-found).
    """
    try:
        parsed = parse_stream_id(stream_id)
    except InvalidInput as error:
        raise InvalidInput("invalid-value", error.detail, pointer) from error
    if parsed.tenant != tenant:
        raise no_stream(pointer)
    return stream_id


def own_number(log: Served, tenant: str, stream_id: str, pointer: str = "/stream_id") -> int:
    """The number of a stream of the tenant. Raises: Refused (not-found), foreign and absent alike."""
    number = log.source.numbers.get(own_stream(tenant, stream_id, pointer))
    # A stream that is being opened has a number before it has a head.
    if number is None or not log.source.view(number).size:
        raise no_stream(pointer)
    return number


def no_stream(pointer: str | None) -> Refused:
    """The one answer for a stream that is another tenant's, and for one that does not exist."""
    return Refused("not-found", "there is no such stream", pointer)


def parse_request(value: Any, kind: type[T]) -> T:
    """A decoded body as `kind`. Raises: InvalidInput with the pointer of the member at fault."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise_fault(value, kind, "")


def json_response(body: bytes, status: int = 200) -> web.Response:
    """A JSON response of these bytes."""
    return web.Response(body=body, status=status, content_type=JSON)


def answer(value: msgspec.Struct, status: int = 200) -> web.Response:
    """A JSON response of one of the Structs in `tlog.api.answers`."""
    return json_response(msgspec.json.encode(value), status)
