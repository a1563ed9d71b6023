"""The aiohttp application of one open log."""

from __future__ import annotations

from aiohttp import web

from tlog.api.context import GATE, LOG, Gate
from tlog.api.problems import problems_middleware
from tlog.api.routes import ROUTES
from tlog.log import Log


def make_app(log: Log) -> web.Application:
    """The application; the caller opens, starts and closes `log`."""
    app = web.Application(
        middlewares=[problems_middleware], client_max_size=log.config.max_body + 1
    )
    app[LOG] = log
    app[GATE] = Gate(log)
    for route in ROUTES:
        if route.method == "GET":
            app.router.add_get(route.path, route.handler)
        else:
            app.router.add_route(route.method, route.path, route.handler)
    return app
