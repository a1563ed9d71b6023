"""Proofs: the package of one event, and RFC 6962 inclusion and consistency proofs of any tree size."""

from __future__ import annotations

import asyncio

import orjson
from aiohttp import web
from msgspec import UNSET

from tlog.api.answers import ConsistencyProof, InclusionProof
from tlog.api.body import JSON
from tlog.api.context import GATE, LOG, answer, json_response
from tlog.api.query import ConsistencyQuery, InclusionQuery, ProofQuery, read_query
from tlog.api.sth import visible_number
from tlog.core.hashes import leaf_hash
from tlog.core.ids import parse_event_id
from tlog.core.package import build_package
from tlog.core.wire import b64decode, b64encode
from tlog.errors import InvalidInput, Refused, Unavailable
from tlog.log import Log
from tlog.reader import Located, Reader
from tlog.store.layout import ROOT_LOG
from tlog.tokens import Session

_WAIT_SECONDS = 10.0
_POLL_SECONDS = 0.05
_ACCEPTABLE = frozenset({JSON, "application/*", "*/*"})


def own_event(log: Log, session: Session, event_id: str) -> Located:
    """The event if it is the session's tenant's. Raises: Refused (not-found).

    Whose stream it would be is looked at first, in memory: of another tenant's events, no byte is read that exists only if
    they do, so that the time of the answer tells as little as the answer.
    """
    try:
        identity = parse_event_id(event_id)
    except InvalidInput:
        raise no_event() from None
    row = log.source.rows.get(identity.stream_number)
    if row is None or not row.stream_id.startswith(session.tenant + ":"):
        raise no_event()
    return log.reader.event(event_id)


def no_event() -> Refused:
    """The one answer for an event that is another tenant's, and for one that does not exist."""
    return Refused("not-found", "there is no such event")


async def get_package(request: web.Request) -> web.Response:
    """The proof package of an event, under the first published root that covers it; never its payload."""
    log, gate = request.app[LOG], request.app[GATE]
    session = gate.session(request, "read")
    query = read_query(request, ProofQuery)
    _check_accept(request)
    located = own_event(log, session, request.match_info["event_id"])
    head, root_leaf = log.reader.first_head(located)
    published = log.reader.published(root_leaf)
    if published is None and query.wait is not UNSET:
        await _publication(log, root_leaf)
        published = log.reader.published(root_leaf)
    reader, signed = log.reader, log.sequencer.head
    inclusion = reader.inclusion(located.stream, located.index, head.size)
    path = reader.inclusion(ROOT_LOG, root_leaf, signed.root.size).hashes
    root = None
    if published is not None:
        size, note = published
        root = (root_leaf, size, reader.inclusion(ROOT_LOG, root_leaf, size).hashes, note)
    package = build_package(
        entry=located.record.entry,
        tree_size=head.size,
        hashes=inclusion.hashes,
        checkpoint=log.signer.sign_stream(head, root_leaf, path, signed.root.size),
        root=root,
    )
    response = json_response(orjson.dumps(package))
    response.headers["Vary"] = "Accept"
    return response


async def _publication(log: Log, root_leaf: int) -> None:
    """Wait until a root that covers a leaf of the root log is public. Raises: Unavailable (not-published)."""
    waited = 0.0
    while (public := log.sequencer.published) is None or public.root.size <= root_leaf:
        if waited >= _WAIT_SECONDS:
            raise Unavailable("not-published", "no root that covers this event is published yet")
        await asyncio.sleep(_POLL_SECONDS)
        waited += _POLL_SECONDS


def _check_accept(request: web.Request) -> None:
    """Raises: Refused (not-acceptable)."""
    given = ",".join(request.headers.getall("Accept", ("*/*",)))
    for part in given.split(","):
        media_type, *parameters = (word.strip().lower() for word in part.split(";"))
        refused = any(word.replace(" ", "") in ("q=0", "q=0.0", "q=0.00") for word in parameters)
        if media_type in _ACCEPTABLE and not refused:
            return
    raise Refused("not-acceptable", f"a proof is available as {JSON}")


async def get_inclusion(request: web.Request) -> web.Response:
    """That a leaf, by `leaf_index` or `hash`, is in the tree of `tree_size` leaves."""
    log = request.app[LOG]
    query = read_query(request, InclusionQuery)
    number = visible_number(request, query.stream_id)
    size = None if query.tree_size is UNSET else query.tree_size
    if (query.leaf_index is UNSET) == (query.hash is UNSET):
        raise InvalidInput("missing-parameter", "give either leaf_index or hash", "/leaf_index")
    if query.leaf_index is not UNSET:
        index = query.leaf_index
    else:
        index = await _find(request, number, str(query.hash))
    proof = log.reader.inclusion(number, index, size)
    leaf = leaf_hash(log.reader.leaf(number, index).record.entry)
    return answer(
        InclusionProof(
            proof.leaf_index,
            proof.tree_size,
            b64encode(leaf),
            b64encode(proof.root),
            [b64encode(node) for node in proof.hashes],
        )
    )


async def _find(request: web.Request, number: int, text: str) -> int:
    """The leaf with this hash: a scan of the tree's lowest hashes, so in a thread and one at a time."""
    log = request.app[LOG]
    try:
        wanted = b64decode(text, 32)
    except InvalidInput as error:
        raise InvalidInput("invalid-value", error.detail, "/hash") from error
    async with request.app[GATE].long_reads.turn():
        reader = Reader(log.source)
        return await asyncio.get_running_loop().run_in_executor(
            None, reader.find_leaf, number, wanted
        )


async def get_consistency(request: web.Request) -> web.Response:
    """That the tree of `first` leaves is a prefix of the tree of `second`."""
    log = request.app[LOG]
    query = read_query(request, ConsistencyQuery)
    number = visible_number(request, query.stream_id)
    size = log.source.view(number).size
    second = size if query.second is UNSET else query.second
    if second > size:
        raise InvalidInput("tree-size", f"the tree has {size} leaves", "/second")
    _, hashes = log.reader.consistency(number, query.first, second)
    return answer(
        ConsistencyProof(
            query.first,
            second,
            b64encode(log.reader.root_of(number, query.first)),
            b64encode(log.reader.root_of(number, second)),
            [b64encode(node) for node in hashes],
        )
    )
