"""GET /api/v1/health: is the log taking events, what is its newest head, how full is its disk."""

from __future__ import annotations

from aiohttp import web

from tlog import __version__
from tlog.api.answers import Health, SizeAt
from tlog.api.context import LOG, answer
from tlog.api.query import refuse_query
from tlog.core.times import format_ms


async def get_health(request: web.Request) -> web.Response:
    """Whether events are taken: 200, or 503 with the reason in `status`."""
    log = request.app[LOG]
    refuse_query(request)
    sequencer = log.sequencer
    head, published = sequencer.head, sequencer.published
    health = Health(
        sequencer.status,
        __version__,
        log.config.origin,
        log.vkey,
        SizeAt(head.root.size, format_ms(head.ms)),
        None if published is None else SizeAt(published.root.size, format_ms(published.ms)),
        [],
        sequencer.waiting,
        log.store.disk_free(),
    )
    response = answer(health, 200 if health.status == "ok" else 503)
    response.headers["Cache-Control"] = "no-store"
    if health.status != "ok":
        response.headers["Retry-After"] = "5"
    return response
