"""Errors on the wire: `application/problem+json` (RFC 9457), one table from problem kind to HTTP status.

`type` is `urn:tlog:problem:<kind>`; `pointer` is the RFC 6901 JSON Pointer of the member at fault.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from tlog.errors import CorruptStore, InvalidInput, Refused, TlogError, Unavailable

logger = logging.getLogger(__name__)

URN = "urn:tlog:problem:"

# Kinds whose status is not that of their family.
STATUS = {
    "invalid-json": 400,
    "not-utf8": 400,
    "byte-order-mark": 400,
    "too-deep": 400,
    "body-too-large": 413,
    "payload-too-large": 413,
    "entry-too-large": 413,
    "too-many-events": 413,
    "unsupported-media-type": 415,
    "length-required": 411,
    "request-timeout": 408,
    "invalid-credentials": 401,
    "invalid-token": 401,
    "missing-scope": 403,
    "foreign-tenant": 403,
    "foreign-producer": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "not-acceptable": 406,
    "producer-gap": 409,
    "conflict": 409,
    "exists": 409,
    "erased": 410,
    "rate-limited": 429,
    "not-published": 503,
}
_FAMILY = {InvalidInput: 422, Refused: 403, Unavailable: 503, CorruptStore: 500}

_HTTP_KINDS = {
    404: "not-found",
    405: "method-not-allowed",
    411: "length-required",
    413: "body-too-large",
    415: "unsupported-media-type",
}


def status_of(error: TlogError) -> int:
    """The HTTP status of an error."""
    status = STATUS.get(error.kind)
    if status is None:
        status = next((code for family, code in _FAMILY.items() if isinstance(error, family)), 500)
    return status


def problem(error: TlogError) -> web.Response:
    """The response for an error."""
    status = status_of(error)
    body: dict[str, Any] = {
        "type": URN + error.kind,
        "title": error.kind.replace("-", " "),
        "status": status,
        "detail": error.detail,
    }
    headers = {}
    if isinstance(error, InvalidInput | Refused) and error.pointer is not None:
        body["pointer"] = error.pointer
    if isinstance(error, Refused):
        body.update(error.extra)
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="tlog"'
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        headers=headers,
        content_type="application/problem+json",
    )


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def problems_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every exception into a problem document; only the unexpected is logged as an error."""
    try:
        return await handler(request)
    except TlogError as error:
        if status_of(error) == 500:
            logger.error("%s %s: %s", request.method, request.rel_url, error.detail)
        return problem(error)
    except web.HTTPException as error:
        kind = _HTTP_KINDS.get(error.status, "invalid-request")
        response = problem(Refused(kind, error.reason or kind))
        response.set_status(error.status)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except Exception:
        logger.exception("%s %s failed", request.method, request.rel_url)
        return problem(TlogError("internal", "the log failed to answer; the fault is recorded"))
