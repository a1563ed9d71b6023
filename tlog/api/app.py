"""The aiohttp application of one open log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from aiohttp import web

from tlog.api import surface
from tlog.api.context import GATE, LOG, Gate
from tlog.api.events import post_batch, post_event
from tlog.api.hot import Front
from tlog.api.openapi import DOCUMENT, document
from tlog.api.problems import expect, problems_middleware
from tlog.api.routes import ROUTES, Handler
from tlog.log import Log

HOT = {"/api/v1/events": post_event, "/api/v1/events/batch": post_batch}


def make_app(log: Log) -> web.Application:
    """The application; the caller opens, starts and closes `log`."""
    app = web.Application(middlewares=[problems_middleware])
    app[LOG] = log
    app[GATE] = Gate(log)
    app[DOCUMENT] = document(ROUTES)
    surface.setup(app, log)
    for pattern in dict.fromkeys(route.pattern or route.path for route in ROUTES):
        resource = app.router.add_resource(pattern)
        handlers = {r.method: r.handler for r in ROUTES if pattern == (r.pattern or r.path)}
        if "GET" in handlers:
            handlers["HEAD"] = handlers["GET"]
        for method, handler in handlers.items():
            resource.add_route(method, handler, expect_handler=expect)
        # Last, and for each path: /events/batch with another method is not the event named "batch".
        resource.add_route("*", _refusal(handlers), expect_handler=expect)
    return app


def make_runner(
    log: Log, *, shutdown_timeout: float = 5.0, keepalive_timeout: float = 3630.0, lean: bool = True
) -> web.AppRunner:
    """The application with the server's settings that its rules for bodies rely on.

    Any aiohttp site of this runner has the lean connections of `tlog.api.hot`, unless `lean` is False.
    """
    options: dict[str, Any] = {
        "access_log": None,
        "keepalive_timeout": keepalive_timeout,  # seconds, of a connection on which nothing happens
        "auto_decompress": False,  # compressed bodies are refused, so nothing must inflate them
        "lingering_time": 2.0,  # seconds for which the rest of a refused body is read and dropped
    }
    kind = _LeanRunner if lean else web.AppRunner
    return kind(make_app(log), handle_signals=False, shutdown_timeout=shutdown_timeout, **options)


class _LeanRunner(web.AppRunner):
    async def _make_server(self) -> web.Server:
        return Front(await super()._make_server(), self.app, HOT, **self._kwargs)


def _refusal(methods: Iterable[str]) -> Handler:
    async def refuse(request: web.Request) -> NoReturn:
        raise web.HTTPMethodNotAllowed(request.method, sorted(methods))

    return refuse
