"""GET and POST /gossip, GET /evidence: what is known of logs, for other witnesses, monitors and everybody."""

from __future__ import annotations

import time

import orjson
from aiohttp import web

from tlog.core.wire import b64encode
from tlog.errors import InvalidInput, Refused, Unavailable
from witness.api.context import Route, plain, read_body
from witness.evidence import EvidenceRow
from witness.gossip import Gossip
from witness.offload import off_loop
from witness.peers import MAX_MESSAGE, encode, parse

GOSSIP: web.AppKey[Gossip] = web.AppKey("gossip", Gossip)
RATE: web.AppKey[Bucket] = web.AppKey("gossip_rate")

_STATUS = {
    "malformed": 400,
    "request-timeout": 408,
    "length-required": 411,
    "body-too-large": 413,
    "unsupported-media-type": 415,
    "rate-limited": 429,
}
_HEADERS = {"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"}
_SECONDS = 10.0


class Bucket:
    """So many a second, and two seconds' worth at once."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._level = self._capacity = max(1.0, 2 * rate)
        self._then = time.monotonic()

    def take(self) -> None:
        """Count one. Raises: Unavailable (rate-limited) with the seconds to wait."""
        now = time.monotonic()
        self._level = min(self._capacity, self._level + (now - self._then) * self._rate)
        self._then = now
        if self._level < 1:
            wait = (1 - self._level) / self._rate
            raise Unavailable("rate-limited", "too much gossip", wait)
        self._level -= 1


def add_to(app: web.Application, gossip: Gossip, rate: float) -> None:
    """Give an application what the handlers here need; `rate` in messages per second."""
    app[GOSSIP] = gossip
    app[RATE] = Bucket(rate)


async def get_gossip(request: web.Request) -> web.StreamResponse:
    """The newest verified notes, and the ids of fork proofs."""
    gossip = request.app[GOSSIP]
    return _json(encode(await off_loop(gossip.message)))


async def post_gossip(request: web.Request) -> web.StreamResponse:
    """Take notes and fork proofs. What no configured log signed is dropped; how many count is answered."""
    watch = request.app[GOSSIP].watch
    try:
        request.app[RATE].take()
        message = parse(await read_body(request, limit=MAX_MESSAGE, seconds=_SECONDS))
    except (InvalidInput, Refused, Unavailable) as error:
        wait = error.retry_after if isinstance(error, Unavailable) else None
        return plain(_STATUS.get(error.kind, 400), error.detail, wait)
    source = request.remote or "somebody"
    forks = await watch.take_forks(message.forks, source)
    notes = await watch.take(message.notes, source)
    return _json(orjson.dumps({"notes": notes, "forks": forks}))


async def get_evidence(request: web.Request) -> web.StreamResponse:
    """Everything that is held against a log, oldest first; each document has an address of its own."""
    rows = await off_loop(request.app[GOSSIP].watch.evidence.all)
    return _json(orjson.dumps({"evidence": [_summary(row) for row in rows]}))


async def get_document(request: web.Request) -> web.StreamResponse:
    """One document, byte for byte as its id says: SHA-256. A fork proof is checked by `tlog proof verify`."""
    evidence = request.app[GOSSIP].watch.evidence
    try:
        row = await off_loop(evidence.get, request.match_info["id"])
    except Refused as error:
        return plain(404, error.detail)
    headers = {
        "Content-Disposition": f'attachment; filename="{row.kind}-{row.id[:16]}.json"',
        "X-Content-Type-Options": "nosniff",
    }
    return _json(row.document, headers)


def _summary(row: EvidenceRow) -> dict[str, object]:
    return {
        "id": row.id,
        "kind": row.kind,
        "log": row.log,
        "found": row.found,
        "source": row.source,
        "summary": row.summary,
        "heads": [
            {"origin": origin, "tree_size": size, "root_hash": b64encode(root)}
            for origin, size, root in row.heads
        ],
        "resolved": row.resolved or None,
        "decision": row.decision or None,
    }


def _json(body: bytes, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=body, content_type="application/json", headers={**_HEADERS, **(headers or {})}
    )


ROUTES = (
    Route("GET", "/gossip", get_gossip, "the newest verified notes, and the ids of fork proofs"),
    Route("POST", "/gossip", post_gossip, "take notes and fork proofs from anybody"),
    Route("GET", "/evidence", get_evidence, "what shows that a log lied: a list"),
    Route("GET", "/evidence/{id}", get_document, "one document of it, such as a fork proof"),
)
