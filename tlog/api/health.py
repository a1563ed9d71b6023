"""GET /api/v1/health: is the log taking events, what is its newest head, how full is its disk."""

from __future__ import annotations

import orjson
from aiohttp import web

from tlog import __version__
from tlog.api.context import LOG, json_response
from tlog.core.times import format_ms


async def get_health(request: web.Request) -> web.Response:
    """200 while events are taken, 503 with the reason in `status` otherwise."""
    log = request.app[LOG]
    head, published = log.sequencer.head, log.sequencer.published
    status = log.sequencer.status
    answer = {
        "status": status,
        "version": __version__,
        "origin": log.config.origin,
        "vkey": log.vkey,
        "root": {"tree_size": head.root.size, "timestamp": format_ms(head.ms)},
        "published": None
        if published is None
        else {"tree_size": published.root.size, "timestamp": format_ms(published.ms)},
        "witnesses": [],
        "waiting_events": log.sequencer.waiting,
        "disk_free_bytes": log.store.disk_free(),
    }
    return json_response(orjson.dumps(answer), 200 if status == "ok" else 503)
