"""Errors on the wire: `application/problem+json` (RFC 9457), one table from problem kind to HTTP status.

`type` is `urn:tlog:problem:<kind>`; `pointer` is the RFC 6901 JSON Pointer of the member, or parameter, at fault.
A kind that is not in the table has the status of its family; the OpenAPI document is tested against both.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
from aiohttp import HttpVersion11, web

from tlog.api.asked import Asked
from tlog.api.context import LOG
from tlog.errors import InvalidInput, Refused, TlogError, Unavailable

logger = logging.getLogger(__name__)

URN = "urn:tlog:problem:"
PROBLEM_JSON = "application/problem+json"

STATUS = {
    "invalid-request": 400,
    "invalid-json": 400,
    "not-utf8": 400,
    "byte-order-mark": 400,
    "too-deep": 400,
    "invalid-credentials": 401,
    "invalid-token": 401,
    "missing-scope": 403,
    "foreign-tenant": 403,
    "foreign-producer": 403,
    "too-many-streams": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "not-acceptable": 406,
    "request-timeout": 408,
    "producer-gap": 409,
    "conflict": 409,
    "length-required": 411,
    "body-too-large": 413,
    "payload-too-large": 413,
    "entry-too-large": 413,
    "too-many-events": 413,
    "unsupported-media-type": 415,
    "expectation-failed": 417,
    "rate-limited": 429,
    "too-many-anchors": 429,
    "anchors-not-accepted": 403,
}
FAMILY = {InvalidInput: 422, Refused: 403, Unavailable: 503}

# Kinds of the families Unavailable, and of faults on our side; every other kind that is not above is an InvalidInput.
UNAVAILABLE = frozenset(
    {"disk-full", "overloaded", "stopping", "unknown-outcome", "clock", "busy", "not-published"}
)
INTERNAL = frozenset({"corrupt-store", "internal"})

# aiohttp's own refusals: of a path, of a method.
_KIND_OF_STATUS = {404: "not-found", 405: "method-not-allowed"}
# After these the rest of the body is unwanted, or will never come.
_CLOSING = frozenset({408, 411, 413, 415})


def status_of(error: TlogError) -> int:
    """The HTTP status of an error."""
    status = STATUS.get(error.kind)
    if status is None:
        status = next((code for family, code in FAMILY.items() if isinstance(error, family)), 500)
    return status


def status_of_kind(kind: str) -> int:
    """The HTTP status that a kind has, for the document."""
    if kind in UNAVAILABLE:
        return 503
    return 500 if kind in INTERNAL else STATUS.get(kind, 422)


def problem(error: TlogError) -> web.Response:
    """The response for an error."""
    status = status_of(error)
    # What is wrong inside is for the log of the server, not for its clients.
    detail = error.detail if status != 500 else "the log failed to answer; the fault is recorded"
    body: dict[str, Any] = {
        "type": URN + error.kind,
        "title": error.kind.replace("-", " "),
        "status": status,
        "detail": detail,
    }
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, InvalidInput | Refused) and error.pointer is not None:
        body["pointer"] = error.pointer
    if isinstance(error, Refused):
        body.update(error.extra)
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="tlog"'
    if status == 406:
        headers["Vary"] = "Accept"
    if status == 415:
        headers["Accept-Encoding"] = "identity"
    response = web.Response(
        body=orjson.dumps(body), status=status, headers=headers, content_type=PROBLEM_JSON
    )
    if status in _CLOSING:
        response.force_close()
    return response


R = TypeVar("R", bound=Asked)


@web.middleware
async def problems_middleware(
    request: R, handler: Callable[[R], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn every exception into a problem document; only the unexpected is logged as an error.

    No handler runs before all that was answered to anybody can be read here: a client may use many connections.
    """
    try:
        log = request.app[LOG]
        if log.behind:
            await log.catch_up()
        return await handler(request)
    except TlogError as error:
        return failure(request, error)
    except web.HTTPException as error:
        kind = _KIND_OF_STATUS.get(error.status, "invalid-request")
        response = problem(Refused(kind, error.reason))
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except ConnectionError:
        return web.Response(status=400)  # the client left: nobody will read it
    except Exception as error:
        _record(request, error)
        return problem(TlogError("internal", ""))


def failure(request: Asked, error: TlogError) -> web.Response:
    """The response for an error that a request ended with; a fault on our side is logged."""
    if status_of(error) == 500:
        _record(request, error)
    return problem(error)


async def expect(request: web.Request) -> web.Response | None:
    """Answer an Expect header, before the handler. aiohttp's own answer is no problem document."""
    # SPEC: RFC 9110 section 10.1.1: of an HTTP/1.0 client it is ignored.
    if request.version != HttpVersion11:
        return None
    if request.headers.get("Expect", "").lower() != "100-continue":
        return problem(Refused("expectation-failed", "only 100-continue can be expected"))
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # What comes next is the real head of the answer.
    request.writer.output_size = 0
    return None


def _record(request: Asked, error: Exception) -> None:
    # The path only, still percent-encoded: a query may hold what is not for logs.
    logger.error("%s %s failed", request.method, request.rel_url.raw_path, exc_info=error)
