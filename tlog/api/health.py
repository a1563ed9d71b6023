"""GET /api/v1/health: is the log taking events, what is its newest head, do its witnesses cosign, how full is its disk."""

from __future__ import annotations

import time

from aiohttp import web

from tlog import __version__
from tlog.api.answers import SizeAt
from tlog.api.context import WRITER, answer
from tlog.api.health_answers import Health, WitnessHealth
from tlog.api.query import refuse_query
from tlog.core.times import format_ms
from tlog.log import Log


async def get_health(request: web.Request) -> web.Response:
    """Whether events are taken: 200, or 503 with the reason in `status`."""
    log = request.app[WRITER]
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
        _witnesses(log),
        sequencer.waiting,
        log.store.disk_free(),
        *(() if log.workers is None else log.workers()),
    )
    response = answer(health, 200 if health.status == "ok" else 503)
    response.headers["Cache-Control"] = "no-store"
    if health.status != "ok":
        response.headers["Retry-After"] = "5"
    return response


def _witnesses(log: Log) -> list[WitnessHealth]:
    newest = log.publication.newest
    size = 0 if newest is None else newest[0]
    now, patience = time.monotonic(), log.publication.patience
    return [
        WitnessHealth(
            keeper.name,
            keeper.status(now, patience),
            keeper.size,
            format_ms(keeper.time * 1000) if keeper.time else None,
            max(0, size - keeper.size),
            round(keeper.lag(now), 3),
            keeper.error or None,
        )
        for keeper in log.publication.keepers
    ]
