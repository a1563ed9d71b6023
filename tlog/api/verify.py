"""GET /api/v1/verify: everything about a stream re-derived from stored bytes. A lie found is still 200."""

from __future__ import annotations

import asyncio

from aiohttp import web
from msgspec import UNSET

from tlog.api.answers import Failure, Verification
from tlog.api.context import GATE, LOG, answer, own_number
from tlog.api.query import VerifyQuery, read_query
from tlog.core.wire import b64encode
from tlog.errors import InvalidInput
from tlog.examiners.aside import judge_aside
from tlog.examiners.messages import Judge, Setup
from tlog.fsck import Report, verify_stream
from tlog.reader import Reader
from tlog.served import Served
from tlog.store import layout

# Leaves that are done sooner than a process has started, and hold up nobody.
_AT_ONCE = 2048


async def get_verify(request: web.Request) -> web.Response:
    """Re-derive a stream of the tenant from its stored bytes; what is found is in the answer."""
    log, gate = request.app[LOG], request.app[GATE]
    session = gate.session(request, "read")
    query = read_query(request, VerifyQuery)
    stream_id = session.stream_id if query.stream_id is UNSET else query.stream_id
    size = log.source.view(own_number(log, session.tenant, stream_id)).size
    start = query.from_sequence
    end = None if query.to_sequence is UNSET else query.to_sequence + 1
    if start >= size:
        raise InvalidInput("range", f"the stream has {size} leaves", "/from_sequence")
    if end is not None and not start < end <= size:
        detail = f"from_sequence <= to_sequence < {size} is required"
        raise InvalidInput("range", detail, "/to_sequence")
    async with gate.long_reads.turn():
        if (size if end is None else end) - start <= _AT_ONCE:
            # In a thread, with a reader of its own: the event loop goes on using the other one.
            reader = Reader(log.source)
            report = await asyncio.get_running_loop().run_in_executor(
                None, lambda: verify_stream(reader, stream_id, start, end, vault=log.vault)
            )
        else:
            found = await judge_aside(
                _setup(log), _question(log, stream_id, start, end), lambda: _gone(request)
            )
            if found is None:
                return web.Response(status=499)  # read by nobody
            report = found
    return answer(_verification(report))


def _setup(log: Served) -> Setup:
    vault = (log.directory / "keys", log.directory / log.config.vault_key)
    return Setup(str(log.store.path), (str(vault[0]), str(vault[1])))


def _question(log: Served, stream_id: str, start: int, end: int | None) -> Judge:
    source = log.source
    number = source.numbers[stream_id]
    # In this order each covers the one before it, whatever is committed meanwhile.
    view, head, root_view = source.view(number), source.head(), source.view(layout.ROOT_LOG)
    return Judge(source.origin, number, source.rows[number], view, root_view, head.root, start, end)


def _gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _verification(report: Report) -> Verification:
    return Verification(
        report.verified,
        report.checked_count,
        report.first_failure_sequence,
        [Failure(*failure) for failure in report.failures],
        report.withheld,
        report.tree_size,
        b64encode(report.root_hash),
    )
