"""Tree heads and the list of streams."""

from __future__ import annotations

import orjson
from aiohttp import web

from tlog.api.context import GATE, LOG, integer, json_response, own_stream
from tlog.core.times import format_ms
from tlog.core.wire import b64encode
from tlog.store import layout

_PAGE = 1000


def visible_stream(request: web.Request) -> int:
    """The stream that a proof request is about, if the caller may see it.

    The root log (no `stream_id`) and public streams are anyone's; others need a token of their tenant with
    the scope read. Raises: Refused (not-found, invalid-token, missing-scope), InvalidInput.
    """
    log, gate = request.app[LOG], request.app[GATE]
    stream_id = request.query.get("stream_id")
    if stream_id is None:
        gate.maybe_session(request, "read")
        return layout.ROOT_LOG
    number = log.source.numbers.get(stream_id)
    if number is not None and log.source.rows[number].public:
        return number
    session = gate.session(request, "read")
    return log.reader.number(own_stream(session.tenant, stream_id, "/stream_id"))


async def get_sth(request: web.Request) -> web.Response:
    """The newest signed tree head of a stream or of the root log (design section 2.5)."""
    log = request.app[LOG]
    number = visible_stream(request)
    if number == layout.ROOT_LOG:
        head = log.sequencer.head
        answer = {
            "origin": head.root.origin,
            "tree_size": head.root.size,
            "root_hash": b64encode(head.root.root),
            "timestamp": format_ms(head.ms),
            "checkpoint": head.note.decode(),
        }
        return json_response(orjson.dumps(answer))
    view = log.source.view(number)
    checkpoint, proof, signed = log.reader.stream_head(number, view)
    note = log.signer.sign_stream(checkpoint, proof.leaf_index, proof.hashes, signed.root.size)
    answer = {
        "origin": checkpoint.origin,
        "stream_id": log.source.rows[number].stream_id,
        "tree_size": checkpoint.size,
        "root_hash": b64encode(checkpoint.root),
        "timestamp": format_ms(view.ms),
        "checkpoint": note.decode(),
        "root": {
            "leaf_index": proof.leaf_index,
            "tree_size": signed.root.size,
            "hashes": [b64encode(node) for node in proof.hashes],
            "checkpoint": signed.note.decode(),
        },
    }
    return json_response(orjson.dumps(answer))


async def get_streams(request: web.Request) -> web.Response:
    """The tenant's streams by order of opening, or every public stream for a caller without a token."""
    log, gate = request.app[LOG], request.app[GATE]
    session = gate.maybe_session(request, "read")
    after = integer(request, "cursor") or 0
    limit = min(integer(request, "limit") or _PAGE, _PAGE)
    streams = []
    cursor = None
    for number, row in sorted(log.source.rows.items()):
        mine = session is not None and row.stream_id.startswith(session.tenant + ":")
        if number == layout.ROOT_LOG or number <= after or not (row.public or mine):
            continue
        if len(streams) == limit:
            cursor = str(streams[-1]["stream_number"])
            break
        view = log.source.view(number)
        streams.append(
            {
                "stream_id": row.stream_id,
                "stream_number": number,
                "label": row.label,
                "origin": log.reader.origin(number),
                "vkey": log.signer.stream_vkey(log.reader.origin(number)),
                "visibility": "public" if row.public else "private",
                "tree_size": view.size,
                "root_hash": b64encode(view.root),
                "timestamp": format_ms(view.ms),
            }
        )
    return json_response(orjson.dumps({"streams": streams, "next_cursor": cursor}))
