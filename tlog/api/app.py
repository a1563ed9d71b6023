"""The aiohttp application of one open log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from aiohttp import web

from tlog.api import surface
from tlog.api.context import GATE, LOG, Gate
from tlog.api.openapi import DOCUMENT, document
from tlog.api.problems import expect, problems_middleware
from tlog.api.routes import ROUTES, Handler
from tlog.log import Log


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


def make_runner(log: Log, *, shutdown_timeout: float = 5.0) -> web.AppRunner:
    """The application with the server's settings that its rules for bodies rely on."""
    return web.AppRunner(
        make_app(log),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=shutdown_timeout,
        auto_decompress=False,  # compressed bodies are refused, so nothing must inflate them
        lingering_time=2.0,  # seconds for which the rest of a refused body is read and dropped
    )


def _refusal(methods: Iterable[str]) -> Handler:
    async def refuse(request: web.Request) -> NoReturn:
        raise web.HTTPMethodNotAllowed(request.method, sorted(methods))

    return refuse
