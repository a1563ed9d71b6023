"""Proofs: the package of one event, and RFC 6962 inclusion and consistency proofs of any tree size."""

from __future__ import annotations

import asyncio

import orjson
from aiohttp import web

from tlog.tokens import Session
from tlog.api.context import GATE, LOG, integer, json_response
from tlog.api.sth import visible_stream
from tlog.core.hashes import leaf_hash
from tlog.core.package import build_package
from tlog.core.wire import b64decode, b64encode
from tlog.errors import InvalidInput, Refused, Unavailable
from tlog.log import Log
from tlog.reader import Located
from tlog.store import layout

_WAIT_SECONDS = 10.0
_POLL_SECONDS = 0.05


def own_event(log: Log, session: Session, event_id: str) -> Located:
    """The event if it is the session's tenant's. Raises: Refused (not-found): foreign and absent alike."""
    located = log.reader.event(event_id)
    if log.source.rows[located.stream].stream_id.partition(":")[0] != session.tenant:
        raise Refused("not-found", "there is no such event")
    return located


async def get_package(request: web.Request) -> web.Response:
    """The proof package of an event, under the first published root that covers it; never its payload.

    `?wait=published` waits for that publication. Raises: Refused (not-found), Unavailable (not-published).
    """
    log, gate = request.app[LOG], request.app[GATE]
    session = gate.session(request, "read")
    located = own_event(log, session, request.match_info["event_id"])
    wait = request.query.get("wait")
    if wait not in (None, "published"):
        raise InvalidInput("invalid-value", "wait can be 'published'", "/wait")
    head, root_leaf = log.reader.first_head(located)
    published = log.reader.published(root_leaf)
    if wait is not None:
        waited = 0.0
        while published is None:
            if waited >= _WAIT_SECONDS:
                raise Unavailable(
                    "not-published", "no root that covers this event is published yet", 1.0
                )
            await asyncio.sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS
            published = log.reader.published(root_leaf)
    reader = log.reader
    inclusion = reader.inclusion(located.stream, located.index, head.size)
    signed = log.sequencer.head
    path = reader.inclusion(layout.ROOT_LOG, root_leaf, signed.root.size).hashes
    note = log.signer.sign_stream(head, root_leaf, path, signed.root.size)
    root = None
    if published is not None:
        size, root_note = published
        root = (
            root_leaf,
            size,
            reader.inclusion(layout.ROOT_LOG, root_leaf, size).hashes,
            root_note,
        )
    package = build_package(
        entry=located.record.entry,
        tree_size=head.size,
        hashes=inclusion.hashes,
        checkpoint=note,
        root=root,
    )
    return json_response(orjson.dumps(package))


async def get_inclusion(request: web.Request) -> web.Response:
    """RFC 6962 section 2.1.1, by `leaf_index` or `hash`, at `tree_size` (default: the newest)."""
    log = request.app[LOG]
    number = visible_stream(request)
    size = integer(request, "tree_size")
    index = integer(request, "leaf_index")
    if index is None:
        text = request.query.get("hash")
        if text is None:
            raise InvalidInput("missing-parameter", "give leaf_index or hash", "/leaf_index")
        index = log.reader.find_leaf(number, b64decode(text.replace(" ", "+"), 32))
    proof = log.reader.inclusion(number, index, size)
    leaf = leaf_hash(log.reader.leaf(number, index).record.entry)
    return json_response(
        orjson.dumps(
            {
                "leaf_index": proof.leaf_index,
                "tree_size": proof.tree_size,
                "leaf_hash": b64encode(leaf),
                "root_hash": b64encode(proof.root),
                "hashes": [b64encode(node) for node in proof.hashes],
            }
        )
    )


async def get_consistency(request: web.Request) -> web.Response:
    """RFC 6962 section 2.1.2, from `first` to `second` (default: the newest)."""
    log = request.app[LOG]
    number = visible_stream(request)
    first = integer(request, "first")
    if first is None:
        raise InvalidInput("missing-parameter", "give first", "/first")
    second, hashes = log.reader.consistency(number, first, integer(request, "second"))
    answer = {
        "first": first,
        "second": second,
        "first_hash": b64encode(log.reader.root_of(number, first)),
        "second_hash": b64encode(log.reader.root_of(number, second)),
        "hashes": [b64encode(node) for node in hashes],
    }
    return json_response(orjson.dumps(answer))
