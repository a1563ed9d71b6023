"""The proof of one event, in four forms: package, COSE receipt, and the two parts of a C2SP tlog-proof.

All are made from the first head of the event's stream that covers it, so that they are the same for ever. What is shown
under the root log is under the first published root that the policy's witnesses have cosigned, if there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson
from aiohttp import web
from msgspec import UNSET, UnsetType

from tlog.api.accept import COSE_FORM, JSON_FORM, TEXT_FORM, Form, choose
from tlog.api.anchor import anchors_for
from tlog.api.context import GATE, WRITER
from tlog.api.query import ProofQuery, read_query
from tlog.core import cose, tlog_proof
from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import Hash, leaf_hash
from tlog.core.ids import parse_event_id
from tlog.core.package import build_package
from tlog.errors import InvalidInput, Refused, Unavailable
from tlog.log import Log
from tlog.reader import Located
from tlog.served import Served
from tlog.store.layout import ROOT_LOG
from tlog.tokens import Session

_WAIT_SECONDS = 10.0


def own_event(log: Served, session: Session, event_id: str) -> Located:
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
    """The proof of an event: the package, or by Accept a COSE receipt or a part of a C2SP tlog-proof.

    The package is under the first published root that covers the event, as soon as there is one under the first that the
    quorum of the log's policy has cosigned. It never holds the payload. The COSE receipt (RFC 9942) and the part `event`
    show the entry in its stream, the part `head` shows the head of that stream in the published root.
    """
    log, gate = request.app[WRITER], request.app[GATE]
    session = gate.session(request, "read")
    query = read_query(request, ProofQuery)
    # Who names a part wants the text.
    offered = (JSON_FORM, COSE_FORM, TEXT_FORM) if query.part is UNSET else (TEXT_FORM,)
    form = choose(request, *offered)
    event_id = request.match_info["event_id"]
    located = own_event(log, session, event_id)
    shown = _first_head(log, located)
    if query.wait is not UNSET:
        await _publication(log, shown.root_leaf, witnessed=query.wait == "witnessed")
    if form == JSON_FORM:
        return proof_response(_package(log, located, shown), form, event_id + ".proof.json")
    if form == COSE_FORM:
        return proof_response(_receipt(log, located, shown), form, event_id + ".cose")
    return _text(log, located, shown, event_id, query.part)


class _Shown(NamedTuple):
    """The first head that covers an event, and its place: leaf, path and size of a signed root."""

    head: Checkpoint
    hashes: Sequence[Hash]
    root_leaf: int
    path: Sequence[Hash]
    root_size: int


def _first_head(log: Log, located: Located) -> _Shown:
    head, root_leaf = log.reader.first_head(located)
    leaf = leaf_hash(located.record.entry)
    hashes = log.reader.inclusion(located.stream, located.index, head.size, leaf).hashes
    size = log.sequencer.head.root.size
    path = log.reader.inclusion(ROOT_LOG, root_leaf, size, leaf_hash(head.body())).hashes
    return _Shown(head, hashes, root_leaf, path, size)


def _published(log: Log, root_leaf: int) -> tuple[int, Sequence[Hash], bytes] | None:
    """Size, path and note of the root under which a leaf of the root log is shown; None before it is published."""
    # Both are first ones, so that the answer changes once at most: when the quorum's cosignatures arrive.
    root = log.reader.witnessed(root_leaf) or log.reader.published(root_leaf)
    if root is None:
        return None
    size, note = root
    return size, log.reader.inclusion(ROOT_LOG, root_leaf, size).hashes, note


async def _publication(log: Log, root_leaf: int, *, witnessed: bool) -> None:
    """Wait until a root that covers a leaf of the root log is public, or has the quorum of the log's policy as well.

    Raises: InvalidInput (no-policy), Unavailable (not-published).
    """
    if witnessed and log.policy is None:
        raise InvalidInput("no-policy", "this log asks no witnesses, so none will come", "/wait")
    find = log.reader.witnessed if witnessed else log.reader.published
    if find(root_leaf) is None:
        if not await log.publication.wait(root_leaf, witnessed, _WAIT_SECONDS):
            raise _not_published(witnessed=witnessed)


def _not_published(*, witnessed: bool = False) -> Unavailable:
    what = "cosigned by a quorum" if witnessed else "published"
    return Unavailable("not-published", f"no root that covers this event is {what} yet")


def _package(log: Log, located: Located, shown: _Shown) -> bytes:
    published = _published(log, shown.root_leaf)
    package = build_package(
        entry=located.record.entry,
        tree_size=shown.head.size,
        hashes=shown.hashes,
        checkpoint=_stream_note(log, shown),
        root=None if published is None else (shown.root_leaf, *published),
        anchors=anchors_for(log, shown.root_leaf),
    )
    return orjson.dumps(package)


def _receipt(log: Log, located: Located, shown: _Shown) -> bytes:
    header, signature = log.signer.sign_receipt(
        shown.head, (shown.root_leaf, shown.path, shown.root_size)
    )
    proof = cose.Inclusion(shown.head.size, located.index, tuple(shown.hashes))
    return cose.encode_receipt(cose.Receipt(header, proof, signature))


def _text(
    log: Log, located: Located, shown: _Shown, event_id: str, part: str | UnsetType
) -> web.Response:
    if part != "head":
        note = _stream_note(log, shown)
        proof = tlog_proof.TlogProof(located.index, tuple(shown.hashes), note)
        name = event_id + ".tlog-proof"
    else:
        published = _published(log, shown.root_leaf)
        if published is None:
            raise _not_published()
        _, path, note = published
        proof = tlog_proof.head_proof(shown.head, shown.root_leaf, path, note)
        name = event_id + ".head.tlog-proof"
    return proof_response(tlog_proof.encode_proof(proof), TEXT_FORM, name)


def _stream_note(log: Log, shown: _Shown) -> bytes:
    return log.signer.sign_stream(shown.head, shown.root_leaf, shown.path, shown.root_size)


def proof_response(body: bytes, form: Form, name: str) -> web.Response:
    """A proof in one of its forms; `name` is what it is saved as."""
    headers = {
        "Content-Type": form.content_type,
        "Content-Disposition": f'inline; filename="{name}"',
        "Vary": "Accept",
    }
    return web.Response(body=body, headers=headers)
