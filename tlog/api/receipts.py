"""From a commit's outcome to the JSON that the submitter gets."""

from __future__ import annotations

import hashlib

import orjson

from tlog.api.limits import Slices
from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import Hash, leaf_hash
from tlog.core.receipt import batch_json, receipt_json
from tlog.core.times import format_ms
from tlog.core.wire import hash_text
from tlog.errors import Refused
from tlog.sequencer.batch import Committed, Outcome, Placed, Replayed
from tlog.served import Served

Place = tuple[int, int, list[Hash], bytes]


def single_answer(log: Served, outcome: Outcome, *, minimal: bool) -> bytes:
    """The receipt of a single event."""
    event = outcome.events[0]
    if isinstance(event, Replayed):
        return replayed_receipt(log, event, minimal=minimal)
    committed = outcome.committed
    if committed is None:
        raise AssertionError("tlog: a placed event without a commit")
    return _placed(log, event, committed, minimal=minimal, path=outcome.path)


async def batch_answer(log: Served, outcome: Outcome, *, minimal: bool) -> bytes:
    """The answer to a batch: receipts without proofs, and one range proof and head per stream."""
    receipts = []
    committed = outcome.committed
    slices = Slices()
    for event in outcome.events:
        if isinstance(event, Replayed):
            receipts.append(replayed_receipt(log, event, minimal=minimal))
        elif committed is not None:
            receipts.append(_placed(log, event, committed, minimal=minimal))
        await slices.breathe()
    if minimal or committed is None:
        return batch_json(receipts, {}, {})
    ranges = outcome.ranges
    if ranges is None:
        raise AssertionError("tlog: a batch that asked for proofs got none")
    rows = log.source.rows
    heads = {rows[number].stream_id: _head(committed, number) for number in ranges}
    proofs = {}
    for number, one in ranges.items():
        size = committed.heads[number].checkpoint.size
        proofs[rows[number].stream_id] = (one.first, one.end - 1, size, one.left, one.right)
    return batch_json(receipts, heads, proofs)


def _head(committed: Committed, number: int) -> tuple[Checkpoint, Place]:
    head = committed.heads[number]
    return head.checkpoint, (head.leaf_index, committed.root.size, head.path, committed.note)


def _placed(
    log: Served,
    event: Placed,
    committed: Committed,
    *,
    minimal: bool,
    path: list[Hash] | None = None,
) -> bytes:
    """The receipt of a new event; with its `path`, the head that it leads to and that one's place."""
    head, place = (None, None) if path is None else _head(committed, event.stream)
    return receipt_json(
        event_id=event.event_id,
        stream_id=log.source.rows[event.stream].stream_id,
        index=event.index,
        timestamp=format_ms(committed.ms),
        block_hash=event.block_hash,
        previous_hash=event.previous_hash,
        leaf=event.leaf,
        velocity_flag=event.velocity_flag,
        replayed=False,
        entry=None if minimal else event.entry,
        salt=None if minimal else event.salt,
        origin=None if head is None else head.origin,
        inclusion=None if head is None or path is None else (head.size, path),
        root=place,
    )


def replayed_receipt(log: Served, event: Replayed, *, minimal: bool) -> bytes:
    """The receipt of an event that was recorded before, under the newest head."""
    reader = log.reader
    located = reader.leaf(event.stream, event.index)
    entry = located.record.entry
    parsed = orjson.loads(entry)
    record = parsed["payload"]
    stream_id = log.source.rows[event.stream].stream_id
    root = bytes.fromhex(record["commitment"]["root"][7:])
    try:
        salt, _ = log.vault.unseal(
            located.record.sealed,
            tenant=stream_id.partition(":")[0],
            stream_id=stream_id,
            root=root,
        )
    except Refused:
        salt = None
    # One view for both proofs: the writer may commit between any two lines of this function.
    view = reader.source.view(event.stream)
    inclusion = reader.inclusion(event.stream, event.index, view.size, leaf_hash(entry))
    head, proof, signed = reader.stream_head(event.stream, view)
    return receipt_json(
        event_id=record["id"],
        stream_id=stream_id,
        index=event.index,
        timestamp=parsed["timestamp"],
        block_hash=hash_text(hashlib.sha256(entry).digest()),
        previous_hash=parsed["previousHash"],
        leaf=leaf_hash(entry),
        velocity_flag=record.get("decisionSurface", {}).get("velocity_flag", False),
        replayed=True,
        entry=None if minimal else entry,
        salt=None if minimal else salt,
        origin=head.origin,
        inclusion=None if minimal else (inclusion.tree_size, inclusion.hashes),
        root=None if minimal else (proof.leaf_index, signed.root.size, proof.hashes, signed.note),
    )
