"""The aiohttp application of one open log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from aiohttp import web

from tlog.api import surface
from tlog.api.context import GATE, LOG, WRITER, Gate
from tlog.api.events import post_batch, post_event
from tlog.api.hot import LeanServer
from tlog.api.openapi import DOCUMENT, document
from tlog.api.plain import PlainServer
from tlog.api.problems import expect, problems_middleware
from tlog.api.routes import ROUTES, Handler, Route, none
from tlog.log import Log
from tlog.served import Served

HOT = {"/api/v1/events": post_event, "/api/v1/events/batch": post_batch}


def make_app(
    log: Served,
    *,
    gate: Gate | None = None,
    relay: Handler | None = None,
    outer: Sequence[Any] = (),
) -> web.Application:
    """The application; the caller opens, starts and closes `log`.

    `gate`: one that shares its counts with other processes. `relay`: what passes a request on to the process that commits;
    where `log` is not the `Log` itself there must be one. `outer`: middlewares before all others.
    """
    app = web.Application(middlewares=[*outer, problems_middleware])
    app[LOG] = log
    app[GATE] = gate or Gate(log)
    if relay is None:
        if not isinstance(log, Log):
            raise AssertionError("tlog: a front end without a relay")
        app[WRITER] = log
    app[DOCUMENT] = document(ROUTES)
    surface.setup(app, log)
    for pattern in dict.fromkeys(route.pattern or route.path for route in ROUTES):
        resource = app.router.add_resource(pattern)
        handlers = {
            r.method: r.handler if relay is None else _relayed(r, relay)
            for r in ROUTES
            if pattern == (r.pattern or r.path)
        }
        if "GET" in handlers:
            handlers["HEAD"] = handlers["GET"]
        for method, handler in handlers.items():
            resource.add_route(method, handler, expect_handler=expect)
        # Last, and for each path: /events/batch with another method is not the event named "batch".
        resource.add_route("*", _refusal(handlers), expect_handler=expect)
    return app


def make_runner(
    log: Served,
    *,
    shutdown_timeout: float = 5.0,
    keepalive_timeout: float = 3630.0,
    lean: bool = True,
    gate: Gate | None = None,
    relay: Handler | None = None,
    outer: Sequence[Any] = (),
) -> web.AppRunner:
    """The application with the server's settings that its rules for bodies rely on; see `make_app`.

    Any aiohttp site of this runner has the lean connections of `tlog.api.hot`, unless `lean` is False or there are `outer`
    middlewares, which these would pass by.
    """
    options: dict[str, Any] = {
        "access_log": None,
        "keepalive_timeout": keepalive_timeout,  # seconds, of a connection on which nothing happens
        "auto_decompress": False,  # compressed bodies are refused, so nothing must inflate them
        "lingering_time": 2.0,  # seconds for which the rest of a refused body is read and dropped
    }
    app = make_app(log, gate=gate, relay=relay, outer=outer)
    kind = _LeanRunner if lean and not outer else _PlainRunner
    return kind(app, handle_signals=False, shutdown_timeout=shutdown_timeout, **options)


class _PlainRunner(web.AppRunner):
    async def _make_server(self) -> web.Server:
        return PlainServer(await super()._make_server(), **self._kwargs)


class _LeanRunner(web.AppRunner):
    async def _make_server(self) -> web.Server:
        return LeanServer(await super()._make_server(), self.app, HOT, **self._kwargs)


def _relayed(route: Route, relay: Handler) -> Handler:
    if route.relay is none:
        return route.handler

    async def answer(request: web.Request) -> web.StreamResponse:
        return await (relay if route.relay(request) else route.handler)(request)

    return answer


def _refusal(methods: Iterable[str]) -> Handler:
    async def refuse(request: web.Request) -> NoReturn:
        raise web.HTTPMethodNotAllowed(request.method, sorted(methods))

    return refuse
