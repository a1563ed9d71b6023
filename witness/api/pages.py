"""What the witness says of itself: for people, for a health check, for Prometheus."""

from __future__ import annotations

import orjson
from aiohttp import web

from witness.api.context import METRICS, SERVICE
from witness.logbook import listing
from witness.offload import off_loop
from witness.version import VERSION

#: Of what fails at the moment; metrics have the number of all.
_MOST_NAMES = 100
_NO_STORE = {"Cache-Control": "no-store"}


async def get_index(request: web.Request) -> web.StreamResponse:
    """Name, vkeys, and every log with its newest cosigned size and where to find that checkpoint."""
    witness = request.app[SERVICE].witness
    keys = witness.keys
    lines = [
        f"{witness.config.name}, a C2SP tlog-witness (https://c2sp.org/tlog-witness)",
        "",
        f"vkey     {keys.cosigner.vkey}",
        f"audited  {keys.audited.vkey}",
        "",
        "POST /add-checkpoint   GET /<SHA-256 of the origin in hex>/checkpoint",
        "",
    ]
    for one in await off_loop(listing, witness.store):
        size = "-" if one.latest is None else str(one.latest.size)
        lines.append(f"{size:>12}  {one.state:6}  {one.log.origin}")
    body = ("\n".join(lines) + "\n").encode()
    return web.Response(body=body, content_type="text/plain", charset="utf-8", headers=_NO_STORE)


async def get_health(request: web.Request) -> web.StreamResponse:
    """Whether checkpoints are cosigned: 200, or 503 with the reason in `status`. Single logs do not count for it."""
    service = request.app[SERVICE]
    status = service.status()
    body: dict[str, object] = {
        "status": status.name,
        "version": VERSION,
        "name": service.witness.config.name,
        "waiting": service.writer.waiting,
        "disk_free": service.witness.store.disk_free(),
        "frozen": [{"origin": row.origin, "reason": row.reason} for row in status.frozen],
        "held": [{"origin": row.origin, "reason": row.reason} for row in status.held],
    }
    if service.anchorer is not None:
        now = service.anchorer.standing()
        body["anchors"] = {**now._asdict(), "failing": now.failing[:_MOST_NAMES]}
    ok = status.name == "ok"
    return web.Response(
        body=orjson.dumps(body),
        status=200 if ok else 503,
        content_type="application/json",
        headers=_NO_STORE if ok else {**_NO_STORE, "Retry-After": "5"},
    )


async def get_metrics(request: web.Request) -> web.StreamResponse:
    """Prometheus metrics, text format 0.0.4."""
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8", **_NO_STORE}
    return web.Response(body=request.app[METRICS].page(), headers=headers)
