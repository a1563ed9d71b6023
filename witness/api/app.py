"""The aiohttp application of one running witness."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NoReturn

from aiohttp import web

from witness.api import gossip
from witness.api.context import METRICS, SERVICE, Handler, plain
from witness.api.routes import ROUTES
from witness.metrics import Metrics
from witness.service import Service

logger = logging.getLogger(__name__)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what is left of exceptions into a line of text; only the unexpected is logged as an error."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        response = plain(error.status, error.reason)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except ConnectionError:
        return web.Response(status=400)  # the client left: nobody will read it
    except Exception as error:
        logger.error("%s %s failed", request.method, request.rel_url.raw_path, exc_info=error)
        return plain(500, "the witness failed to answer; the fault is recorded")


def make_app(service: Service, metrics: Metrics) -> web.Application:
    """The application; the caller starts and stops what `service` is made of."""
    app = web.Application(middlewares=[errors])
    app[SERVICE] = service
    app[METRICS] = metrics
    gossip.add_to(app, service.gossip, service.witness.config.gossip_rate)
    for path in dict.fromkeys(route.path for route in ROUTES):
        resource = app.router.add_resource(path)
        handlers = {route.method: route.handler for route in ROUTES if route.path == path}
        if "GET" in handlers:
            handlers["HEAD"] = handlers["GET"]
        for method, handler in handlers.items():
            resource.add_route(method, handler)
        resource.add_route("*", _refusal(handlers))
    return app


def make_runner(service: Service, metrics: Metrics) -> web.AppRunner:
    """The application with the server's settings that its rules for bodies rely on."""
    return web.AppRunner(
        make_app(service, metrics),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=5.0,
        auto_decompress=False,  # compressed bodies are refused, so nothing must inflate them
        lingering_time=2.0,  # seconds for which the rest of a refused body is read and dropped
    )


def _refusal(methods: Iterable[str]) -> Handler:
    async def refuse(request: web.Request) -> NoReturn:
        raise web.HTTPMethodNotAllowed(request.method, sorted(methods))

    return refuse
