"""RFC 6962 inclusion and consistency proofs of any tree size; as COSE receipts, of the sizes that the log signed."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web
from msgspec import UNSET

from tlog.api.accept import COSE_FORM, JSON_FORM, choose
from tlog.api.answers import ConsistencyProof, InclusionProof
from tlog.api.context import GATE, LOG, WRITER
from tlog.api.proof import proof_response
from tlog.api.query import ConsistencyQuery, InclusionQuery, read_query
from tlog.api.sth import visible_number
from tlog.core import cose
from tlog.core.checkpoint import Checkpoint
from tlog.core.wire import b64decode, b64encode
from tlog.errors import InvalidInput, VerificationError
from tlog.log import Log
from tlog.reader import Reader
from tlog.served import Served
from tlog.store.layout import ROOT_LOG


async def get_inclusion(request: web.Request) -> web.Response:
    """That a leaf, by `leaf_index` or `hash`, is in the tree of `tree_size` leaves.

    As application/cose: a receipt of inclusion (RFC 9942), for the sizes at which the log signed a head.
    """
    log = request.app[LOG]
    query = read_query(request, InclusionQuery)
    form = choose(request, JSON_FORM, COSE_FORM)
    number = visible_number(request, query.stream_id)
    size = _newest(log, number) if query.tree_size is UNSET else query.tree_size
    if (query.leaf_index is UNSET) == (query.hash is UNSET):
        raise InvalidInput("missing-parameter", "give either leaf_index or hash", "/leaf_index")
    if query.leaf_index is not UNSET:
        index = query.leaf_index
    else:
        index = await _find(request, number, str(query.hash))
    proof = log.reader.inclusion(number, index, size)
    if form == COSE_FORM:
        head = Checkpoint(log.reader.origin(number), size, proof.root)
        shown = cose.Inclusion(size, index, tuple(proof.hashes))
        return _receipt(request.app[WRITER], number, head, shown, "/tree_size")
    return _json(
        InclusionProof(
            proof.leaf_index,
            proof.tree_size,
            b64encode(proof.leaf),
            b64encode(proof.root),
            [b64encode(node) for node in proof.hashes],
        ),
        f"inclusion-{index}-{size}.json",
    )


async def _find(request: web.Request, number: int, text: str) -> int:
    """The leaf with this hash: a scan of the tree's lowest hashes, so in a thread and one at a time."""
    log = request.app[LOG]
    try:
        wanted = b64decode(text, 32)
    except InvalidInput as error:
        raise InvalidInput("invalid-value", error.detail, "/hash") from error
    gate = request.app[GATE]
    public = number == ROOT_LOG or log.source.rows[number].public
    async with (gate.public_reads if public else gate.long_reads).turn():
        reader = Reader(log.source)
        return await asyncio.get_running_loop().run_in_executor(
            None, reader.find_leaf, number, wanted
        )


async def get_consistency(request: web.Request) -> web.Response:
    """That the tree of `first` leaves is a prefix of the tree of `second`.

    As application/cose: a receipt of consistency (RFC 9942), where the log signed a head of size `second`. The tree of
    `first` needs no signature: whoever asks holds its head, and any prefix of a signed tree may be compared with it.
    """
    log = request.app[LOG]
    query = read_query(request, ConsistencyQuery)
    form = choose(request, JSON_FORM, COSE_FORM)
    number = visible_number(request, query.stream_id)
    size = log.source.view(number).size
    second = _newest(log, number) if query.second is UNSET else query.second
    if second > size:
        raise InvalidInput("tree-size", f"the tree has {size} leaves", "/second")
    first = query.first
    proof = log.reader.consistency(number, first, second)
    if form == COSE_FORM:
        if first == second:
            detail = "a receipt of consistency is for two sizes; there is nothing to prove for one"
            raise InvalidInput("tree-size", detail, "/first")
        head = Checkpoint(log.reader.origin(number), second, proof.new_root)
        shown = cose.Consistency(first, second, tuple(proof.hashes))
        return _receipt(request.app[WRITER], number, head, shown, "/second")
    return _json(
        ConsistencyProof(
            first,
            second,
            b64encode(proof.old_root),
            b64encode(proof.new_root),
            [b64encode(node) for node in proof.hashes],
        ),
        f"consistency-{first}-{second}.json",
    )


def _newest(log: Served, number: int) -> int:
    """The newest size that the log signed a head of."""
    return log.source.head().root.size if number == ROOT_LOG else log.source.view(number).size


def _json(value: msgspec.Struct, name: str) -> web.Response:
    return proof_response(msgspec.json.encode(value), JSON_FORM, name)


def _receipt(
    log: Log,
    number: int,
    head: Checkpoint,
    proof: cose.Inclusion | cose.Consistency,
    pointer: str,
) -> web.Response:
    """The receipt of a proof in the tree of `head`, which must be one of the heads that the log signed."""
    place = None if number == ROOT_LOG else _place(log, number, head, pointer)
    try:
        header, signature = log.signer.sign_receipt(head, place)
    except VerificationError:
        # Of the root log: a size between two commits, or one signed too long ago to be remembered.
        newest = f"the newest is {_newest(log, number)}"
        detail = f"no root of {head.size} leaves was signed that is still remembered; {newest}"
        raise InvalidInput("tree-size", detail, pointer) from None
    body = cose.encode_receipt(cose.Receipt(header, proof, signature))
    if isinstance(proof, cose.Inclusion):
        name = f"inclusion-{proof.leaf_index}-{proof.tree_size}.cose"
    else:
        name = f"consistency-{proof.first}-{proof.second}.cose"
    return proof_response(body, COSE_FORM, name)


def _place(log: Log, number: int, head: Checkpoint, pointer: str) -> tuple[int, list[bytes], int]:
    """Where the root log holds just this head of a stream. Raises: InvalidInput (tree-size)."""
    covering, root_leaf = log.reader.first_head(log.reader.leaf(number, head.size - 1))
    if covering.size != head.size:
        detail = (
            f"the stream has no head of {head.size} leaves; the next that it has is {covering.size}"
        )
        raise InvalidInput("tree-size", detail, pointer)
    size = log.sequencer.head.root.size
    return root_leaf, log.reader.inclusion(ROOT_LOG, root_leaf, size).hashes, size
