"""What handlers share: the open log, the limits, and the checks that every request goes through."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec
from aiohttp import web

from tlog.accounts import Session
from tlog.core.ids import parse_stream_id
from tlog.core.wire import decimal
from tlog.errors import InvalidInput, Refused, Unavailable
from tlog.events.diagnose import raise_fault
from tlog.log import Log

T = TypeVar("T")

LOG: web.AppKey[Log] = web.AppKey("log", Log)

_BUCKETS = 100_000


class Buckets:
    """Token buckets per API key: `rate` per second, `burst` seconds' worth at once."""

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._capacity = max(1.0, rate * burst)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, amount: float) -> None:
        """Take `amount` or raise Unavailable (rate-limited) with the seconds to wait.

        An amount above the capacity is let through once the bucket is full, and paid for afterwards.
        """
        now = self._clock()
        level, then = self._buckets.get(key, (self._capacity, now))
        level = min(self._capacity, level + (now - then) * self._rate)
        needed = min(amount, self._capacity)
        if level < needed:
            raise Unavailable(
                "rate-limited", "too many requests for this key", (needed - level) / self._rate
            )
        self._buckets[key] = (level - amount, now)
        if len(self._buckets) > _BUCKETS:
            self._buckets.popitem(last=False)


class Gate:
    """Who may do what, how often, and how much at once."""

    def __init__(self, log: Log) -> None:
        self._log = log
        config = log.config
        self._requests = Buckets(config.rate_requests, config.rate_burst)
        self._events = Buckets(config.rate_events, config.rate_burst)
        self._max_body = config.max_body
        self._timeout = config.request_timeout
        # One verification at a time: it is the one read that takes a core for as long as a stream is long.
        self.verifying = asyncio.Semaphore(1)

    def session(self, request: web.Request, scope: str) -> Session:
        """The session of a bearer token that has `scope`. Raises: Refused, Unavailable (rate-limited)."""
        session = self._log.accounts.session(bearer(request), self._log.clock_ms())
        if scope not in session.scopes:
            raise Refused("missing-scope", f"this token lacks the scope {scope}")
        self.request(session.key_id)
        return session

    def maybe_session(self, request: web.Request, scope: str) -> Session | None:
        """The session, or None for a request without credentials."""
        return self.session(request, scope) if "Authorization" in request.headers else None

    def request(self, key_id: str) -> None:
        """Take one request from a key's allowance. Raises: Unavailable (rate-limited)."""
        self._requests.take(key_id, 1)

    def events(self, session: Session, count: int) -> None:
        """Take `count` events from the key's allowance. Raises: Unavailable (rate-limited)."""
        self._events.take(session.key_id, count)

    async def body(self, request: web.Request, *media_types: str) -> bytes:
        """The request's body. Raises: Refused (unsupported-media-type, body-too-large, request-timeout)."""
        if request.content_type not in media_types:
            raise Refused("unsupported-media-type", f"send {' or '.join(media_types)}")
        charset = request.charset
        if charset is not None and charset.lower() != "utf-8":
            raise Refused("unsupported-media-type", "JSON is UTF-8")
        length = request.content_length
        if length is not None and length > self._max_body:
            raise Refused("body-too-large", f"a body has at most {self._max_body} bytes")
        try:
            return await asyncio.wait_for(request.read(), self._timeout)
        except asyncio.TimeoutError as error:
            raise Refused("request-timeout", "the body did not arrive in time") from error
        except web.HTTPRequestEntityTooLarge as error:
            raise Refused("body-too-large", f"a body has at most {self._max_body} bytes") from error


GATE: web.AppKey[Gate] = web.AppKey("gate", Gate)


def bearer(request: web.Request) -> str:
    """The credential of `Authorization: Bearer …`. Raises: Refused (invalid-token)."""
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not credential:
        raise Refused("invalid-token", "send Authorization: Bearer <token>")
    return credential


def own_stream(tenant: str, stream_id: str, pointer: str | None = None) -> str:
    """`stream_id` if it is well formed and the tenant's own.

    Raises: InvalidInput (invalid-value), Refused (not-found): foreign and absent answer alike.
    """
    try:
        parsed = parse_stream_id(stream_id)
    except InvalidInput as error:
        raise InvalidInput(error.kind, error.detail, pointer) from error
    if parsed.tenant != tenant:
        raise Refused("not-found", f"there is no stream {stream_id}", pointer)
    return stream_id


def parse_request(value: Any, kind: type[T]) -> T:
    """A decoded body as `kind`. Raises: InvalidInput with the pointer of the member at fault."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise_fault(value, cast("type[msgspec.Struct]", kind), "")


def json_response(body: bytes, status: int = 200) -> web.Response:
    """A JSON response of these bytes."""
    return web.Response(body=body, status=status, content_type="application/json")


def integer(request: web.Request, name: str) -> int | None:
    """A query parameter that is a decimal, None if absent. Raises: InvalidInput (invalid-value)."""
    text = request.query.get(name)
    if text is None:
        return None
    try:
        return decimal(text)
    except InvalidInput as error:
        raise InvalidInput("invalid-value", f"{name} is a decimal number", f"/{name}") from error
