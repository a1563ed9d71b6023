"""What was audited: the second cosigner, under `/audited` as a witness of its own, and how each log stands.

Source: design §6, "Audit"; under `/audited` https://c2sp.org/tlog-witness, with one addition: a checkpoint is answered when
everything below it has been followed and checked, or with 503 if that takes too long.
"""

from __future__ import annotations

import re
import time
from typing import Any

import orjson
from aiohttp import web

from tlog.core.add_checkpoint import MAX_REQUEST, parse_request
from tlog.core.times import format_ms
from tlog.core.wire import b64encode
from tlog.errors import TlogError, Unavailable
from witness.api.context import SERVICE, Route, plain, read_body
from witness.api.cosigning import failure, note_response, respond
from witness.audit import second
from witness.audit.crew import Crew, Report, lag, lag_seconds
from witness.cosigner import Answer, Cosigned
from witness.offload import off_loop

_hash = re.compile("[0-9a-f]{64}").fullmatch
_NO_STORE = {"Cache-Control": "no-store"}

HOW = (
    "every leaf of the root log follows the rules, from leaf 0 on",
    "every head of every stream is the root of that stream's leaves, and extends the one before",
    "every tile of every level was recomputed from the tiles below it",
    f"{second.NAME} built every tile and every root again, from the same tiles",
)
HOW_ENTRIES = "every entry of public streams, and of private ones that a token opens: its hash, the chain, that it is valid"


async def post_audited(request: web.Request) -> web.StreamResponse:
    """Cosign a checkpoint with both keys, once everything below it is audited."""
    service = request.app[SERVICE]
    config = service.witness.config
    try:
        body = await read_body(request, limit=MAX_REQUEST, seconds=config.request_timeout)
        answer: Answer = await service.add_checkpoint(body)
        if not isinstance(answer, Cosigned):
            return respond(answer)
        crew, note = _crew(request), parse_request(body).note
        line = await crew.line(answer.head.origin, note, config.audit_wait)
    except TlogError as error:
        return failure(error)
    if line is None:
        late = "not audited in time: it is behind, or something is wrong with this log; see /audit"
        return failure(Unavailable("audit-behind", late, 1.0))
    return respond(answer._replace(lines=answer.lines + line))


async def get_audited(request: web.Request) -> web.StreamResponse:
    """The newest audited checkpoint of the log whose origin has this SHA-256, with its lines and the auditor's."""
    text = request.match_info["origin_hash"]
    crew = _crew(request)
    return note_response(crew.audited(bytes.fromhex(text)) if _hash(text) else None)


async def get_audits(request: web.Request) -> web.StreamResponse:
    """How every log stands that is followed."""
    reports = await off_loop(_crew(request).reports)
    return _json({"logs": [describe(report) for report in reports]})


async def get_audit(request: web.Request) -> web.StreamResponse:
    """Up to which size everything of one log has been checked, how, and how far behind that is."""
    report = _crew(request).report(request.match_info["origin"])
    if report is None:
        return plain(404, "no log of that origin is followed here: it is unknown, or it has no URL")
    entries = request.app[SERVICE].witness.config.audit_entries
    return _json({**describe(report), "how": [*HOW, *([HOW_ENTRIES] if entries else [])]})


def _crew(request: web.Request) -> Crew:
    crew = request.app[SERVICE].crew
    if crew is None:
        raise web.HTTPNotFound(reason="this witness does not audit")
    return crew


def describe(report: Report) -> dict[str, Any]:
    """The report as JSON. Times are RFC 3339, durations seconds."""
    row, progress, counts = report.row, report.progress, report.progress.counts
    return {
        "origin": report.log.origin,
        "status": status(report),
        "audited": None
        if not row.audited
        else {
            "size": row.audited,
            "root_hash": b64encode(row.root),
            "time": format_ms(row.time * 1000),
            "checkpoint": row.note.decode(),
        },
        "shown_size": row.shown,
        "lag": {"leaves": lag(report), "seconds": lag_seconds(report, time.time())},
        "checked_since_start": {
            "root_leaves": counts.root_leaves,
            "stream_heads": counts.heads,
            "stream_leaves": counts.leaves,
            "entries": counts.entries,
            "tiles": counts.tiles,
            "tiles_built_again": progress.tiles_rebuilt,
            "rounds": progress.rounds,
        },
        "trouble": [
            {"name": sign.name, "detail": sign.detail, "alarmed": sign.raised}
            for sign in report.signs
        ],
    }


def status(report: Report) -> str:
    """ok, behind, or trouble: that somebody was alarmed of. What may pass by itself is no trouble yet."""
    if any(sign.raised for sign in report.signs):
        return "trouble"
    return "behind" if lag(report) or not report.row.audited else "ok"


def _json(value: dict[str, Any]) -> web.Response:
    return web.Response(
        body=orjson.dumps(value), content_type="application/json", headers=_NO_STORE
    )


ROUTES = (
    Route(
        "POST",
        "/audited/add-checkpoint",
        post_audited,
        "the same, with the line of `<name>/audited` once all below it is audited",
    ),
    Route(
        "GET",
        "/audited/{origin_hash}/checkpoint",
        get_audited,
        "the newest audited checkpoint of a log",
    ),
    Route("GET", "/audit", get_audits, "how every log stands that is followed, as JSON"),
    Route(
        "GET",
        "/audit/{origin:.+}",
        get_audit,
        "up to which size a log is audited, how, and how far behind that is",
    ),
)
