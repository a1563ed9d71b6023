"""What handlers share: the open witness, plain-text answers, and bodies that are read with a limit on size and time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import aiohttp
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from tlog.errors import InvalidInput, Refused
from witness.metrics import Metrics
from witness.service import Service

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SERVICE: web.AppKey[Service] = web.AppKey("service", Service)
METRICS: web.AppKey[Metrics] = web.AppKey("metrics", Metrics)

# After these the rest of the body is unwanted, or will never come.
_CLOSING = frozenset({408, 411, 413, 415})


class Route(NamedTuple):
    """One endpoint; `summary` is what the README says of it."""

    method: str
    path: str
    handler: Handler
    summary: str


def plain(status: int, text: str, retry_after: float | None = None) -> web.Response:
    """A sentence as the answer: UTF-8, one line, newline. `retry_after` in seconds."""
    headers = {"Cache-Control": "no-store"}
    if retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(retry_after)))
    body = (text.replace("\n", " ") + "\n").encode("utf-8", "replace")
    response = web.Response(
        body=body, status=status, headers=headers, content_type="text/plain", charset="utf-8"
    )
    if status in _CLOSING:
        response.force_close()
    return response


async def read_body(request: web.Request, *, limit: int, seconds: float) -> bytes:
    """The body, at most `limit` bytes, received within `seconds`.

    Raises: Refused (unsupported-media-type, length-required, body-too-large, request-timeout), InvalidInput (malformed).
    """
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused("unsupported-media-type", "send the body uncompressed")
    length = request.content_length
    if length is None and "Transfer-Encoding" not in request.headers:
        raise Refused("length-required", "send a body with Content-Length or in chunks")
    if length is not None and length > limit:
        raise _too_large(limit)
    content = request.content
    try:
        # Nearly every body arrives with its head: no timer, no task.
        if content.is_eof():
            body = content.read_nowait()
        else:
            body = await asyncio.wait_for(_arriving(content, limit), seconds)
    except asyncio.TimeoutError:
        raise Refused("request-timeout", f"the body did not arrive within {seconds:g} s") from None
    except HttpProcessingError as error:
        raise InvalidInput("malformed", "the body's transfer coding is broken") from error
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> Refused:
    return Refused("body-too-large", f"this body has at most {limit} bytes")


async def _arriving(content: aiohttp.StreamReader, limit: int) -> bytes:
    parts = []
    size = 0
    while part := await content.readany():
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    return b"".join(parts)
