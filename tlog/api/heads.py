"""The heads of requests for the hot routes, judged by aiohttp's own parser, and remembered by their exact bytes.

A client sends the same head with nearly every request: the same token, often the same length. Its bytes are parsed once; the
same bytes mean the same again. There is no second parser here whose opinion could differ from aiohttp's, which is what
request smuggling lives on: what that parser refuses, and what it takes for anything but a plain request with one
Content-Length, is not for the lean protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import HttpVersion11, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser, RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError

from tlog.api.asked import Address, Asked, Headers
from tlog.cache import Cache

Handler = Callable[[Asked], Awaitable[web.StreamResponse]]

MAX_HEAD = 4096  # bytes; a longer one is aiohttp's
MAX_BODY = 256 * 1024  # bytes; the same
_REMEMBERED = 2048
# With one of these a request is not plain, or not like any other.
_UNUSUAL = ("Transfer-Encoding", "Expect", "Upgrade", "Trailer", "TE", "Connection")
_LINE = b"POST %b HTTP/1.1\r\n"


class Head(msgspec.Struct, frozen=True, gc=False):
    """What one head means. `length` is that of the body that follows, in bytes."""

    handler: Handler
    headers: Headers
    url: Address
    length: int


class HotRequest:
    """A request whose body is there: what `asked.Asked` demands."""

    __slots__ = ("_body", "_head", "app")
    method = "POST"

    def __init__(self, app: web.Application, head: Head, body: bytes) -> None:
        self.app = app
        self._head = head
        self._body = body

    @property
    def rel_url(self) -> Address:
        """The path."""
        return self._head.url

    @property
    def headers(self) -> Headers:
        """As aiohttp's parser gives them."""
        return self._head.headers

    @property
    def content_length(self) -> int:
        """As declared, and as it is."""
        return self._head.length

    @property
    def content(self) -> HotRequest:
        """The body, with the methods of a reader that has come to the end."""
        return self

    def is_eof(self) -> bool:
        """All of it is here."""
        return True

    def read_nowait(self, n: int = -1) -> bytes:
        """All of it."""
        return self._body

    async def readany(self) -> bytes:
        """Nobody has to wait for it."""
        raise AssertionError("tlog: a whole body was waited for")


class Heads:
    """The heads that `routes` (path -> handler) may have."""

    def __init__(self, routes: Mapping[str, Handler], loop: asyncio.AbstractEventLoop) -> None:
        self._routes = dict(routes)
        self._lines = tuple(_LINE % path.encode() for path in routes)
        self._known: Cache[bytes, Head] = Cache(_REMEMBERED)
        self._loop = loop
        # The parser wants one to pause; nothing is ever fed that it would pause for.
        self._nobody = BaseProtocol(loop)

    def may_begin(self, data: bytes) -> bool:
        """Whether `data`, the first bytes of a request, can begin one for these routes."""
        return data.startswith(self._lines) or any(line.startswith(data) for line in self._lines)

    def read(self, raw: bytes) -> Head | None:
        """The meaning of a head, `raw` up to and with its empty line; None: let aiohttp have it. HOT."""
        known = self._known.get(raw) or self._known.find(raw)
        return self._judge(raw) if known is None else known

    def remember(self, raw: bytes, head: Head) -> None:
        """Keep the meaning of a head with which a request succeeded: strangers cannot fill what is kept."""
        if "Idempotency-Key" not in head.headers and self._known.get(raw) is None:
            self._known.put(raw, head)

    def _judge(self, raw: bytes) -> Head | None:
        if len(raw) > MAX_HEAD or not raw.startswith(self._lines):
            return None
        message = self._parse(raw)
        if message is None or message.version != HttpVersion11 or message.method != "POST":
            return None
        headers = message.headers
        handler = self._routes.get(message.path)
        lengths = headers.getall("Content-Length", ())
        if (
            handler is None
            or message.should_close
            or message.upgrade
            or message.chunked
            or any(name in headers for name in _UNUSUAL)
            or len(lengths) != 1
            or not (lengths[0].isascii() and lengths[0].isdigit())
            or len(lengths[0]) > len(str(MAX_BODY))
            or int(lengths[0]) > MAX_BODY
        ):
            return None
        return Head(handler, headers, message.url, int(lengths[0]))

    def _parse(self, raw: bytes) -> RawRequestMessage | None:
        """What aiohttp's parser says of a head that ends with the last byte of `raw`, and not before."""
        parser = HttpRequestParser(
            self._nobody, self._loop, 2**16, payload_exception=ValueError, auto_decompress=False
        )
        try:
            early, _, _ = parser.feed_data(raw[:-1])
            messages, upgraded, tail = parser.feed_data(raw[-1:])
        except HttpProcessingError:
            return None
        if early or upgraded or tail or len(messages) != 1:
            return None
        message: RawRequestMessage = messages[0][0]
        return message
