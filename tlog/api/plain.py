"""aiohttp's server, but what its parser refuses, before there is a request, is answered as every other error."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from tlog.api.problems import problem
from tlog.errors import Refused, TlogError


class PlainServer(web.Server):
    """Takes the place of `behind`, the server that aiohttp makes of an application; `options` of its connections."""

    def __init__(self, behind: web.Server, **options: Any) -> None:
        super().__init__(behind.request_handler, request_factory=behind.request_factory)
        self.loop = asyncio.get_running_loop()
        self._options = options

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self.loop, **self._options)


class _Connection(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """aiohttp's own answer is text with bytes of the request in it; what it logs stays as it is."""
        super().handle_error(request, status, exc, message)
        error = TlogError("internal", "")
        if status < 500:
            detail = "not a well-formed request of HTTP/1.1, or one whose head is too large"
            error = Refused("invalid-request", detail)
        response = problem(error)
        response.force_close()
        return response
