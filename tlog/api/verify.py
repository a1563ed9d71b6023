"""GET /api/v1/verify: everything about a stream re-derived from stored bytes. A lie found is still 200."""

from __future__ import annotations

import asyncio

import orjson
from aiohttp import web

from tlog.api.context import GATE, LOG, integer, json_response, own_stream
from tlog.core.wire import b64encode
from tlog.errors import InvalidInput
from tlog.fsck import Report, verify_stream
from tlog.reader import Reader


async def get_verify(request: web.Request) -> web.Response:
    """Verify a stream of the tenant, or its leaves `from_sequence` to `to_sequence`, both inclusive."""
    log, gate = request.app[LOG], request.app[GATE]
    session = gate.session(request, "read")
    stream_id = own_stream(
        session.tenant, request.query.get("stream_id", session.stream_id), "/stream_id"
    )
    log.reader.number(stream_id)
    start = integer(request, "from_sequence") or 0
    last = integer(request, "to_sequence")
    end = None if last is None else last + 1
    async with gate.verifying:
        loop = asyncio.get_running_loop()
        # A reader of its own: the event loop goes on using the other one.
        reader = Reader(log.source)
        try:
            report = await loop.run_in_executor(
                None, lambda: verify_stream(reader, stream_id, start, end, vault=log.vault)
            )
        except InvalidInput as error:
            raise InvalidInput(error.kind, error.detail, "/from_sequence") from error
    return json_response(orjson.dumps(report_json(report)))


def report_json(report: Report) -> dict[str, object]:
    """A report as the API shows it."""
    return {
        "verified": report.verified,
        "checked_count": report.checked_count,
        "first_failure_sequence": report.first_failure_sequence,
        "failures": [failure._asdict() for failure in report.failures],
        "withheld_count": report.withheld,
        "tree_size": report.tree_size,
        "root_hash": b64encode(report.root_hash),
    }
