"""Anchors: RFC 3161 timestamps over the log's root. Anybody may deliver one; what does not verify is not kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tlog.anchors import DAY_MS, Anchors, Delivery, not_accepted
from tlog.api.anchor_answers import (
    AnchorDay,
    AnchorFiles,
    AnchorReceipt,
    AnchorRequest,
    AnchorTimestamp,
)
from tlog.api.context import GATE, LOG, WRITER, answer, parse_request
from tlog.api.query import refuse_query
from tlog.core.checkpoint import Checkpoint, open_checkpoint
from tlog.core.note import parse_vkey
from tlog.core.times import format_ms, parse_time
from tlog.core.wire import b64decode, b64encode
from tlog.errors import InvalidInput, TlogError
from tlog.log import Log
from tlog.store.layout import ROOT_LOG, AnchorRow

logger = logging.getLogger(__name__)

_MAX_BODY = 1 << 20
_MAX_PARTS = 1000
# After a day is over, an anchor of it may still be on its way: a log that was down, a witness that tries again.
_GRACE_MS = 6 * 3_600_000


async def post_anchor(request: web.Request) -> web.Response:
    """Deliver an anchor: an RFC 3161 timestamp over a root checkpoint of this log.

    Kept only if it verifies again: the checkpoint is signed by this log and of its history, the timestamp is one over its
    exact bytes, by an authority that this log believes. The same one again is 200.
    """
    log, gate = request.app[WRITER], request.app[GATE]
    refuse_query(request)
    gate.anchor(request)
    body = await gate.body(request, limit=_MAX_BODY)
    # Before it is decoded: a stranger's million of values would take long.
    if sum(map(body.count, (b",", b"[", b"{"))) > _MAX_PARTS:
        raise InvalidInput("invalid-value", "an anchor has no more than some forty values", "")
    asked = parse_request(await gate.decode(body), AnchorRequest)
    if not log.anchors.accepted:
        raise not_accepted()
    delivery = Delivery(
        asked.checkpoint.encode(),
        _decoded(asked.request, "/request"),
        _decoded(asked.reply, "/reply"),
        [_decoded(one, f"/chain/{index}") for index, one in enumerate(asked.chain)],
        [_decoded(one, f"/crls/{index}") for index, one in enumerate(asked.crls)],
    )
    root = own_root(log, delivery.checkpoint)
    now = log.clock_ms()
    # Strangers choose what is checked, and it is some milliseconds of two parsers: beside the event loop, one at a time.
    async with gate.anchor_checks.turn():
        stamp = await asyncio.get_running_loop().run_in_executor(
            None, log.anchors.verify, delivery, _head_ms(log, root.size), now
        )
    stored = await asyncio.wrap_future(log.anchors.keep(stamp, delivery, root.size, now))
    receipt = AnchorReceipt(stored, _date(stamp.gen_ms), stamp.gen_time, root.size, stamp.signer)
    return answer(receipt, 201 if stored == "recorded" else 200)


def own_root(log: Log, note: bytes) -> Checkpoint:
    """The root checkpoint in `note`, if this log signed it and its history still has it.

    Whoever is a witness of this log's policy and has a line in it did cosign it. Raises: InvalidInput (invalid-checkpoint).
    """
    witnesses = () if log.policy is None else log.policy.witness_verifiers
    try:
        root, _ = open_checkpoint(note, [parse_vkey(log.vkey)], log.config.origin, witnesses)
    except TlogError:
        detail = f"no checkpoint of the root log that {log.config.origin} signed"
        raise InvalidInput("invalid-checkpoint", detail, "/checkpoint") from None
    if not 0 < root.size <= log.source.view(ROOT_LOG).size:
        raise InvalidInput("invalid-checkpoint", "the log has no such size", "/checkpoint")
    if log.reader.root_of(ROOT_LOG, root.size) != root.root:
        # The key signed two histories, or the store lost one: somebody holds the proof of it.
        logger.critical(
            "a checkpoint of size %d that our key signed is not of our history", root.size
        )
        raise InvalidInput("invalid-checkpoint", "not of this log's history", "/checkpoint")
    return root


def _head_ms(log: Log, size: int) -> int:
    return log.reader.commit_ms(log.reader.leaf(ROOT_LOG, size - 1).position)


def _decoded(text: str, pointer: str) -> bytes:
    try:
        return b64decode(text)
    except InvalidInput as error:
        raise InvalidInput("invalid-value", error.detail, pointer) from error


async def get_anchor(request: web.Request) -> web.Response:
    """The external timestamps of one UTC day."""
    log = request.app[LOG]
    request.app[GATE].session(request, "read")
    refuse_query(request)
    date = request.match_info["date"]
    try:
        start = parse_time(f"{date}T00:00:00.000Z")
    except InvalidInput:
        raise InvalidInput("invalid-value", "a date is like 2026-03-20", "/date") from None
    rows = log.anchors.of_day(start // DAY_MS) if start >= 0 else []
    first = rows[0] if rows else None
    return answer(
        AnchorDay(
            date,
            "complete" if rows else _without(log.anchors, start, log.clock_ms()),
            None if first is None else format_ms(first.gen_ms),
            None if first is None else first.checkpoint.decode(),
            [_timestamp(row, f"anchor-{date}-{number}") for number, row in enumerate(rows, 1)],
        )
    )


def _without(anchors: Anchors, start: int, now: int) -> Any:
    over = now >= start + DAY_MS + _GRACE_MS
    return "missing" if over or not anchors.accepted else "pending"


def _timestamp(row: AnchorRow, name: str) -> AnchorTimestamp:
    files = AnchorFiles(f"{name}.note", f"{name}.tsq", f"{name}.tsr", f"{name}.pem")
    return AnchorTimestamp(
        row.tsa,
        row.gen_time,
        row.accuracy_us,
        row.policy,
        row.serial,
        row.size,
        row.checkpoint.decode(),
        b64encode(row.request),
        b64encode(row.reply),
        _texts(row.chain),
        _texts(row.crls),
        files,
        [
            f"openssl ts -verify {given} -in {files.reply} -CAfile tsa-roots.pem"
            f" -untrusted {files.chain} -attime {row.gen_ms // 1000}"
            for given in (f"-data {files.checkpoint}", f"-queryfile {files.request}")
        ],
    )


def anchors_for(log: Log, root_leaf: int) -> list[dict[str, Any]]:
    """The `anchors` of a proof package: of each authority the first one whose root covers a leaf of the root log."""
    found = []
    for row in log.anchors.covering(root_leaf):
        path = log.reader.inclusion(ROOT_LOG, root_leaf, row.size).hashes
        found.append(
            {
                "checkpoint": row.checkpoint.decode(),
                "leaf_index": root_leaf,
                "tree_size": row.size,
                "hashes": _texts(path),
                "request": b64encode(row.request),
                "reply": b64encode(row.reply),
                "chain": _texts(row.chain),
            }
        )
    return found


def _texts(values: Sequence[bytes]) -> list[str]:
    return [b64encode(value) for value in values]


def _date(ms: int) -> str:
    return format_ms(ms)[:10]
