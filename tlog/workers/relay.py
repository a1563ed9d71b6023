"""Passes a request on to the process that commits: over its Unix socket, as HTTP/1.1, head and body as they came.

Nothing is judged here: who may, how often, how large and how slow is for the handler to say, which runs over there as it would
here. Only what belongs to the connection is left out, and the client's address is put in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from tlog.api.routes import Handler
from tlog.errors import InvalidInput
from tlog.log import Log
from tlog.workers.asker import gone
from tlog.workers.page import Page

#: What a front end says about its client. Only the application behind the Unix socket believes it.
CLIENT = "Tlog-Client"
TARGET = "Tlog-Target"

_MAX_IDLE = 64
_MAX_HEAD = 1 << 16
# RFC 9110 section 7.6.1; and what the two servers write themselves.
_DROPPED = frozenset(
    b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade expect".split()
) | {CLIENT.lower().encode(), TARGET.lower().encode()}
_NOT_COPIED = _DROPPED | {b"content-length", b"date", b"server"}

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Relay:
    """Connections to one socket. The event loop's thread only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: deque[Stream] = deque()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """The answer of the process that commits. Raises: Unavailable (unknown-outcome) when it ends meanwhile."""
        try:
            reader, writer = await self._connection()
            try:
                return await self._exchange(request, reader, writer)
            except BaseException:
                writer.transport.abort()
                raise
        except (OSError, EOFError, asyncio.LimitOverrunError):
            raise gone() from None

    def close(self) -> None:
        """Close what is idle."""
        for _, writer in self._idle:
            writer.transport.abort()
        self._idle.clear()

    async def _connection(self) -> Stream:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.transport.abort()
        return await asyncio.open_unix_connection(str(self._path), limit=_MAX_HEAD)

    async def _exchange(
        self, request: web.Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> web.Response:
        chunked = "Transfer-Encoding" in request.headers
        writer.write(head_of(request, chunked=chunked))
        body: asyncio.Future[None] | None = None
        if chunked or request.content_length:
            body = asyncio.ensure_future(_send_body(request, writer, chunked=chunked))
            body.add_done_callback(_noted)
        answer = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n"))
        answer.add_done_callback(_noted)
        try:
            if body is not None:
                # A refusal may come before the body has, and makes the rest of it unwanted.
                await asyncio.wait((body, answer), return_when=asyncio.FIRST_COMPLETED)
                if body.done() and not body.cancelled():
                    body.result()
            response, stays = read_head(await answer)
            length = int(response.headers.popone("Content-Length", "0"))
            if response.status != 304:
                response.body = await reader.readexactly(length)
        finally:
            whole = body is None or (body.done() and not body.cancelled())
            for task in (body, answer):
                if task is not None and not task.done():
                    task.cancel()
        if stays and whole and len(self._idle) < _MAX_IDLE:
            self._idle.append((reader, writer))
        else:
            writer.transport.abort()
        return response


def head_of(request: web.Request, *, chunked: bool) -> bytes:
    """The head to send on. HEAD goes as GET: whoever answers the client leaves the body out."""
    method = "GET" if request.method == "HEAD" else request.method
    target, _, fragment = request.raw_path.partition("#")
    lines = [f"{method} {target} HTTP/1.1".encode("utf-8", "surrogateescape")]
    lines += [
        name + b": " + value for name, value in request.raw_headers if name.lower() not in _DROPPED
    ]
    if "Host" not in request.headers:
        lines.append(b"Host: ")  # HTTP/1.0 needs none, HTTP/1.1 does (RFC 9112 section 3.2)
    if chunked:
        lines.append(b"Transfer-Encoding: chunked")
    lines.append(f"{CLIENT}: {request.remote or ''}".encode())
    if fragment or "#" in request.raw_path:
        lines.append(f"{TARGET}: {request.raw_path}".encode("utf-8", "surrogateescape"))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def read_head(head: bytes) -> tuple[web.Response, bool]:
    """An answer without its body, and whether the connection stays open. Of our own server: no chunks, no oddities."""
    status, *lines = head[:-4].split(b"\r\n")
    response = web.Response(status=int(status[9:12]), reason=status[13:].decode())
    stays = True
    for line in lines:
        name, _, value = line.partition(b": ")
        key = name.lower()
        if key == b"connection":
            stays = value.lower() != b"close"
        if key == b"content-length" or key not in _NOT_COPIED:
            response.headers.add(name.decode(), value.decode("utf-8", "surrogateescape"))
    if not stays:
        response.force_close()  # what it refused to read, nobody else need read
    return response, stays


async def _send_body(request: web.Request, writer: asyncio.StreamWriter, *, chunked: bool) -> None:
    """Pass the body on as it comes. Raises: InvalidInput (invalid-request) when its transfer coding is broken."""
    try:
        while part := await request.content.readany():
            writer.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
            with suppress(ConnectionError):  # it was refused; the answer is there, or will not come
                await writer.drain()
    except HttpProcessingError as error:
        raise InvalidInput("invalid-request", "the body's transfer coding is broken") from error
    if chunked:
        writer.write(b"0\r\n\r\n")


def _noted(task: asyncio.Future[Any]) -> None:
    """Whoever needed to know of its end has been told."""
    if not task.cancelled():
        task.exception()


def inside(log: Log, page: Page) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
    """The middleware of the application behind the Unix socket.

    The client is whom the front end says; and what its answer may have shown, no front end may be without.
    """

    @web.middleware
    async def behind(request: web.Request, handler: Handler) -> web.StreamResponse:
        seen: dict[str, Any] = {"remote": request.headers.get(CLIENT, "")}
        if TARGET in request.headers:
            seen["rel_url"] = URL(request.headers[TARGET], encoded=True)
        try:
            return await handler(request.clone(**seen))
        finally:
            page.show(log.sequencer.head.commit)

    return behind
