"""GET /api/v1/events/{event_id} and GET /api/v1/events: recorded events, payloads opened."""

from __future__ import annotations

import asyncio

import orjson
from aiohttp import web
from msgspec import UNSET, UnsetType

from tlog.api.context import GATE, LOG, json_response, own_number
from tlog.api.describe import Describer
from tlog.api.limits import Slices
from tlog.api.proof import own_event
from tlog.api.query import ListQuery, read_query, refuse_query
from tlog.core.times import parse_rfc3339
from tlog.errors import InvalidInput
from tlog.listing import Filter, Listing
from tlog.served import Served


async def get_event(request: web.Request) -> web.Response:
    """One event in Audital's schema, with its payload; `verified` by checking it now."""
    log = request.app[LOG]
    session = request.app[GATE].session(request, "read")
    refuse_query(request)
    located = own_event(log, session, request.match_info["event_id"])
    return json_response(orjson.dumps(Describer(log).describe(located)))


async def list_events(request: web.Request) -> web.Response:
    """A page of the tenant's events by log time, ascending; `from` is inclusive, `to` exclusive."""
    log = request.app[LOG]
    session = request.app[GATE].session(request, "read")
    query = read_query(request, ListQuery)
    wanted = _filter(log, session.tenant, query)
    cursor = 0 if query.cursor is UNSET else int(query.cursor)
    # In a thread: a page may look at many records before it finds what it wants.
    page = await asyncio.get_running_loop().run_in_executor(
        None, Listing(log.source).page, wanted, query.limit, cursor
    )
    describer, slices = Describer(log), Slices()
    events = []
    for located in page.events:
        events.append(describer.describe(located))
        await slices.breathe()
    cursor_text = None if page.next_cursor is None else str(page.next_cursor)
    return json_response(orjson.dumps({"events": events, "next_cursor": cursor_text}))


def _filter(log: Served, tenant: str, query: ListQuery) -> Filter:
    start, end = _time(query.start, "/from"), _time(query.end, "/to")
    if start is not None and end is not None and start > end:
        raise InvalidInput("invalid-value", "to is before from", "/to")
    stream = None if query.stream_id is UNSET else own_number(log, tenant, query.stream_id)
    return Filter(
        tenant=tenant,
        stream=stream,
        start_ms=start,
        end_ms=end,
        event_class=_text(query.event_class),
        event_type=_text(query.event_type),
        model_id=_text(query.model_id),
        severity=_text(query.severity),
        tag=_text(query.tag),
        actor_ids=None if query.actor_id is UNSET else _names(log, tenant, query.actor_id),
    )


def _names(log: Served, tenant: str, actor_id: str) -> tuple[str, ...]:
    """How an actor may stand in entries: by its id, or a person by the pseudonym, if there is one."""
    pseudonym = log.vault.find_pseudonym(tenant, "usr", actor_id)
    return (actor_id,) if pseudonym is None else (actor_id, pseudonym)


def _text(value: str | UnsetType) -> str | None:
    return None if value is UNSET else value


def _time(text: str | UnsetType, pointer: str) -> int | None:
    if text is UNSET:
        return None
    try:
        return parse_rfc3339(text)
    except InvalidInput as error:
        raise InvalidInput("invalid-time", error.detail, pointer) from error
