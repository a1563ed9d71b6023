"""HTTP: the routes of a witness, and what is common to all of them. A route is a row of ROUTES; README lists each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, NoReturn

import orjson
from aiohttp import web

from witness.rows import FrozenRow, HoldRow
from witness.version import VERSION
from witness.witness import Witness

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

WITNESS: web.AppKey[Witness] = web.AppKey("witness", Witness)


class Route(NamedTuple):
    """One endpoint; `summary` is what the README says of it."""

    method: str
    path: str
    handler: Handler
    summary: str


async def get_health(request: web.Request) -> web.Response:
    """Whether checkpoints are cosigned: 200, or 503 with the reason in `status`."""
    witness = request.app[WITNESS]
    frozen = witness.store.all("frozen", FrozenRow)
    held = witness.store.all("holds", HoldRow)
    body = {
        "status": "ok",
        "version": VERSION,
        "name": witness.config.name,
        "frozen": [{"origin": row.origin, "reason": row.reason} for row in frozen],
        "held": [{"origin": row.origin, "reason": row.reason} for row in held],
    }
    return web.Response(
        body=orjson.dumps(body),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


ROUTES: tuple[Route, ...] = (
    Route("GET", "/health", get_health, "is the witness cosigning, and which logs not"),
)


def make_app(witness: Witness) -> web.Application:
    """The application; the caller opens and closes `witness`."""
    app = web.Application()
    app[WITNESS] = witness
    for path in dict.fromkeys(route.path for route in ROUTES):
        resource = app.router.add_resource(path)
        handlers = {route.method: route.handler for route in ROUTES if route.path == path}
        if "GET" in handlers:
            handlers["HEAD"] = handlers["GET"]
        for method, handler in handlers.items():
            resource.add_route(method, handler)
        resource.add_route("*", _refusal(handlers))
    return app


def make_runner(witness: Witness) -> web.AppRunner:
    """The application with the server's settings that its rules for bodies rely on."""
    return web.AppRunner(
        make_app(witness),
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
