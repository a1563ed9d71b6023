"""Request bodies: read with a cap and a time limit, as bytes; nothing here trusts what the client says about them.

Not aiohttp's `read` and `json`: they obey the client's charset (UTF-7 too), keep nobody from sending one byte a minute, and
inflate what was compressed. A compressed body is refused; `tlog.api.app` turns aiohttp's inflating off.
"""

from __future__ import annotations

import asyncio
import re

from aiohttp.http_exceptions import HttpProcessingError

from tlog.api.asked import Asked, Content
from tlog.errors import InvalidInput, Refused

JSON = "application/json"
NDJSON = "application/x-ndjson"

_content_type = re.compile(
    r'([a-z0-9.+-]+/[a-z0-9.+-]+)[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*)?', re.IGNORECASE
).fullmatch


async def read_body(
    request: Asked, *, limit: int, seconds: float, media_types: tuple[str, ...] = (JSON,)
) -> bytes:
    """The body, at most `limit` bytes, received within `seconds`. HOT.

    Raises:
        Refused: unsupported-media-type, length-required, body-too-large, request-timeout.
        InvalidInput: invalid-request when the transfer coding is broken.
    """
    check_media_type(request, media_types)
    length = request.content_length
    if length is None and "Transfer-Encoding" not in request.headers:
        raise Refused("length-required", "send a body with Content-Length or in chunks")
    if length is not None and length > limit:
        raise too_large(limit)
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
        raise InvalidInput("invalid-request", "the body's transfer coding is broken") from error
    if len(body) > limit:
        raise too_large(limit)
    return body


def check_media_type(request: Asked, media_types: tuple[str, ...]) -> None:
    """Raises: Refused (unsupported-media-type)."""
    headers = request.headers
    if headers.get("Content-Encoding", "identity") != "identity":
        raise Refused("unsupported-media-type", "send the body uncompressed")
    given = headers.getall("Content-Type", ())
    if len(given) != 1 or (given[0] not in media_types and media_type(given[0]) not in media_types):
        raise Refused("unsupported-media-type", f"send {' or '.join(media_types)}, which is UTF-8")


def media_type(text: str) -> str | None:
    """The media type of a Content-Type that says UTF-8 or nothing about the charset, None for every other."""
    match = _content_type(text)
    return None if match is None else match[1].lower()


def too_large(limit: int) -> Refused:
    """The refusal of a body of more than `limit` bytes."""
    return Refused("body-too-large", f"this body has at most {limit} bytes")


async def _arriving(content: Content, limit: int) -> bytes:
    parts = []
    size = 0
    while part := await content.readany():
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
    return b"".join(parts)
