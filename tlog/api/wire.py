"""The bytes of an answer, as aiohttp writes them: status line, headers in its order, body."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache

from aiohttp import web
from aiohttp.http import SERVER_SOFTWARE


class Wire:
    """Writes answers; the date is made once a second."""

    __slots__ = ("_second", "_tails")

    def __init__(self) -> None:
        self._second = 0
        self._tails = (b"", b"")

    def response(self, response: web.StreamResponse, *, close: bool) -> bytes:
        """All bytes of an answer whose body is bytes, or none. HOT."""
        if not isinstance(response, web.Response):
            raise AssertionError("tlog: a hot route answers with a body that it has")
        body = response.body or b""
        if not isinstance(body, bytes):
            raise AssertionError("tlog: a hot route answers with bytes")
        second = int(time.time())
        if second != self._second:
            self._second = second
            tail = f"\r\nDate: {formatdate(second, usegmt=True)}\r\nServer: {SERVER_SOFTWARE}\r\n"
            self._tails = (tail + "\r\n").encode(), (tail + "Connection: close\r\n\r\n").encode()
        start = _start(response.status, response.reason, tuple(response.headers.items()))
        return b"%b%d%b%b" % (start, len(body), self._tails[close], body)


@lru_cache(maxsize=256)
def _start(status: int, reason: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    if any("\r" in line or "\n" in line for line in lines):
        raise AssertionError("tlog: a line end in a header")
    return "\r\n".join([*lines, "Content-Length: "]).encode()
