"""Tree heads and the list of streams."""

from __future__ import annotations

from aiohttp import web
from msgspec import UNSET, UnsetType

from tlog.api.answers import Place, StreamInfo, StreamPage, TreeHead
from tlog.api.context import GATE, LOG, WRITER, answer, own_number
from tlog.api.limits import Slices
from tlog.api.query import StreamQuery, StreamsQuery, read_query
from tlog.api.surface import signed_note
from tlog.core.times import format_ms
from tlog.core.wire import b64encode
from tlog.served import Served
from tlog.store.layout import ROOT_LOG

# Streams that one page may look at: other tenants' are passed over.
_BUDGET = 20_000
_BREATH = 256


def visible_number(request: web.Request, stream_id: str | UnsetType) -> int:
    """The log that a request about trees means, if the caller may see it.

    The root log (no `stream_id`) and public streams are anyone's, whatever credentials come along; others need a token of
    their tenant with the scope read. Raises: Refused (not-found, invalid-token, missing-scope), InvalidInput.
    """
    log, gate = request.app[LOG], request.app[GATE]
    if stream_id is UNSET:
        return ROOT_LOG
    number = log.source.numbers.get(stream_id)
    if number is not None and log.source.rows[number].public and log.source.view(number).size:
        return number
    return own_number(log, gate.session(request, "read").tenant, stream_id)


async def get_sth(request: web.Request) -> web.Response:
    """The newest signed tree head of a stream, or of the root log."""
    log = request.app[WRITER]
    number = visible_number(request, read_query(request, StreamQuery).stream_id)
    if number == ROOT_LOG:
        head = log.source.head()
        return answer(
            TreeHead(
                head.root.origin,
                head.root.size,
                b64encode(head.root.root),
                format_ms(head.ms),
                head.note.decode(),
            )
        )
    view = log.source.view(number)
    checkpoint, proof, signed = log.reader.stream_head(number, view)
    note = signed_note(request.app, number, checkpoint, proof)
    hashes = [b64encode(node) for node in proof.hashes]
    return answer(
        TreeHead(
            checkpoint.origin,
            checkpoint.size,
            b64encode(checkpoint.root),
            format_ms(view.ms),
            note.decode(),
            log.source.rows[number].stream_id,
            Place(proof.leaf_index, signed.root.size, hashes, signed.note.decode()),
        )
    )


async def get_streams(request: web.Request) -> web.Response:
    """The tenant's streams and the public ones, in order of opening; only these without a token."""
    log = request.app[LOG]
    session = request.app[GATE].maybe_session(request, "read")
    query = read_query(request, StreamsQuery)
    mine = None if session is None else session.tenant + ":"
    number = max(1, 0 if query.cursor is UNSET else int(query.cursor))
    streams: list[StreamInfo] = []
    slices = Slices()
    last = number + _BUDGET
    while (row := log.source.rows.get(number)) is not None:
        if len(streams) == query.limit or number == last:
            return answer(StreamPage(streams, str(number)))
        if number % _BREATH == 0:
            await slices.breathe()
        if row.public or (mine is not None and row.stream_id.startswith(mine)):
            info = _info(log, number)
            # A stream that is being opened has a number before it has a head.
            if info.tree_size:
                streams.append(info)
            await slices.breathe()
        number += 1
    return answer(StreamPage(streams, None))


def _info(log: Served, number: int) -> StreamInfo:
    row, view = log.source.rows[number], log.source.view(number)
    origin = log.reader.origin(number)
    return StreamInfo(
        row.stream_id,
        number,
        row.label,
        origin,
        log.stream_vkey(origin),
        "public" if row.public else "private",
        view.size,
        b64encode(view.root),
        format_ms(view.ms),
    )
