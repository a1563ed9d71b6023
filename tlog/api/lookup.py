"""GET /api/v1/events/{id} and GET /api/v1/events: recorded events in Audital's schema, payloads opened."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from aiohttp import web

from tlog.api.context import GATE, LOG, integer, json_response, own_stream
from tlog.api.proof import own_event
from tlog.core.commitment import verify_commitment
from tlog.core.entry import parse_entry
from tlog.core.hashes import leaf_hash
from tlog.core.proofs import verify_inclusion
from tlog.core.times import parse_rfc3339
from tlog.core.wire import hash_text
from tlog.errors import CorruptStore, InvalidInput, Refused, TlogError
from tlog.listing import Filter, Listing
from tlog.log import Log
from tlog.reader import Located

_MAX_LIMIT = 1000
_DEFAULT_LIMIT = 100

_PARAMETERS = frozenset(
    "stream_id from to event_class event_type model_id actor_id severity tag limit cursor".split()
)


async def get_event(request: web.Request) -> web.Response:
    """One event. `verified` is the outcome of checking it now: validity, hashes, tree, head, commitment."""
    log = request.app[LOG]
    session = request.app[GATE].session(request, "read")
    located = own_event(log, session, request.match_info["event_id"])
    return json_response(orjson.dumps(describe(log, located)))


async def list_events(request: web.Request) -> web.Response:
    """Events by log time, ascending; `from` is inclusive, `to` exclusive. Pages by `cursor`."""
    log = request.app[LOG]
    session = request.app[GATE].session(request, "read")
    unknown = set(request.query) - _PARAMETERS
    if unknown:
        name = min(unknown)
        raise InvalidInput("unknown-parameter", f"there is no parameter {name}", f"/{name}")
    query = request.query
    limit = integer(request, "limit") or _DEFAULT_LIMIT
    if limit > _MAX_LIMIT:
        raise InvalidInput("invalid-value", f"limit is at most {_MAX_LIMIT}", "/limit")
    stream_id = query.get("stream_id")
    streams = None
    if stream_id is not None:
        streams = log.reader.number(own_stream(session.tenant, stream_id, "/stream_id"))
    actor = query.get("actor_id")
    wanted = Filter(
        tenant=session.tenant,
        stream=streams,
        start_ms=_time(query.get("from"), "/from"),
        end_ms=_time(query.get("to"), "/to"),
        event_class=query.get("event_class"),
        event_type=query.get("event_type"),
        model_id=query.get("model_id"),
        severity=query.get("severity"),
        tag=query.get("tag"),
        actor_ids=None if actor is None else actor_names(log, session.tenant, actor),
    )
    page = Listing(log.reader).page(wanted, limit, query.get("cursor"))
    answer = {
        "events": [describe(log, located) for located in page.events],
        "next_cursor": page.next_cursor,
    }
    return json_response(orjson.dumps(answer))


def actor_names(log: Log, tenant: str, actor_id: str) -> tuple[str, ...]:
    """How an actor may stand in entries: by its id, or for a person by the pseudonym if there is one."""
    pseudonym = log.vault.find_pseudonym(tenant, "usr", actor_id)
    return (actor_id,) if pseudonym is None else (actor_id, pseudonym)


def describe(log: Log, located: Located) -> dict[str, Any]:
    """A recorded event in Audital's schema."""
    raw = located.record.entry
    parsed = orjson.loads(raw)
    record = parsed["payload"]
    fields, status = _payload(log, located, record)
    event = {
        "id": record["id"],
        "streamId": record["streamId"],
        "chainPosition": record["chainPosition"],
        "blockHash": hash_text(hashlib.sha256(raw).digest()),
        "previousHash": parsed["previousHash"],
        "timestamp": parsed["timestamp"],
    }
    for name in record.keys() - event.keys() - {"v", "commitment"}:
        event[name] = record[name]
    event["verified"] = _verified(log, located, fields)
    event["payloadStatus"] = status
    if fields is not None:
        _disclose(event, fields[1])
    return event


def _payload(
    log: Log, located: Located, record: dict[str, Any]
) -> tuple[tuple[bytes, list[tuple[str, Any]]] | None, str]:
    stream_id = log.source.rows[located.stream].stream_id
    try:
        opened = log.vault.unseal(
            located.record.sealed,
            tenant=stream_id.partition(":")[0],
            stream_id=stream_id,
            root=bytes.fromhex(record["commitment"]["root"][7:]),
        )
    except Refused:
        # No erasure is on record before the erasure commands write one: what is gone is withheld.
        return None, "withheld"
    except CorruptStore:
        return None, "withheld"
    return opened, "present"


def _verified(
    log: Log, located: Located, fields: tuple[bytes, list[tuple[str, Any]]] | None
) -> bool:
    try:
        entry = parse_entry(located.record.entry)
        commitment = entry.record["commitment"]
        if fields is not None:
            root = bytes.fromhex(commitment["root"][7:])
            verify_commitment(fields[1], fields[0], commitment["fields"], root)
        view = log.source.view(located.stream)
        proof = log.reader.inclusion(located.stream, located.index, view.size)
        leaf = leaf_hash(located.record.entry)
        verify_inclusion(leaf, located.index, view.size, proof.hashes, view.root)
        log.reader.stream_head(located.stream, view)
    except TlogError:
        return False
    return True


def _disclose(event: dict[str, Any], fields: list[tuple[str, Any]]) -> None:
    """Put the committed values where the submitter had them."""
    event["payload"] = {}
    for pointer, value in fields:
        section, _, name = pointer[1:].partition("/")
        name = name.replace("~1", "/").replace("~0", "~")
        if section == "subject":
            event["subjectId"] = value
        else:
            event[section] = {**event.get(section, {}), name: value}


def _time(text: str | None, pointer: str) -> int | None:
    if text is None:
        return None
    try:
        return parse_rfc3339(text.replace(" ", "+"))
    except InvalidInput as error:
        raise InvalidInput("invalid-time", error.detail, pointer) from error
