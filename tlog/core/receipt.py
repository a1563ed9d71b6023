"""Receipts: what a submitter holds of an event that the log has taken, and how it is checked.

Source: design §2.6. In scope: the JSON of receipts and batch answers, and their verification with the
log's vkey alone. Out of scope: whether the entry is the event that was submitted
(`tlog.client.receipts`), cosignatures (`package`), the steps themselves (`binding`).

    {"event_id", "stream_id", "sequence_counter", "timestamp", "block_hash", "previous_hash",
     "leaf_hash", "velocity_flag_triggered", "replayed",
     "entry", "salt",                                             base64 of the exact bytes
     "inclusion": {"origin", "leaf_index", "tree_size", "hashes"},   the stream's tree
     "root": {"leaf_index", "tree_size", "hashes", "checkpoint"}}    the stream's head in the root log

`origin` stands beside the size that it belongs to: a private stream's label is random, and without it
nobody could rebuild the leaf of the root log from the receipt alone.
"""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from struct import Struct
from typing import Any, NamedTuple

from tlog.core import binding
from tlog.core.binding import demand, member, natural
from tlog.core.chain import block_hash
from tlog.core.checkpoint import Checkpoint
from tlog.core.entry import Entry
from tlog.core.hashes import HASH_SIZE, Hash, leaf_hash
from tlog.core.note import Note, Verifier
from tlog.core.proofs import verify_range

COPIES = (
    "event_id",
    "stream_id",
    "sequence_counter",
    "timestamp",
    "block_hash",
    "previous_hash",
    "leaf_hash",
    "velocity_flag_triggered",
)


class Place(NamedTuple):
    """Where a head stands in the root log: leaf index, size, path, and the signed note of that root."""

    leaf_index: int
    tree_size: int
    hashes: Sequence[Hash]
    note: bytes


class Range(NamedTuple):
    """Leaves `first` to `last`, inclusive, of `tree_size`, by what is beside them."""

    first: int
    last: int
    tree_size: int
    left: Sequence[Hash]
    right: Sequence[Hash]


# --- Writing. Every value but the note and the origin is of an alphabet that JSON does not escape. ---


def receipt_json(
    *,
    event_id: str,
    stream_id: str,
    index: int,
    timestamp: str,
    block_hash: str,
    previous_hash: str,
    leaf: Hash,
    velocity_flag: bool,
    replayed: bool,
    entry: bytes | None = None,
    salt: bytes | None = None,
    origin: str | None = None,
    inclusion: tuple[int, Sequence[Hash]] | None = None,
    root: tuple[int, int, Sequence[Hash], bytes] | None = None,
) -> bytes:
    """Write one receipt. HOT: once per event.

    `inclusion` is (size, path) in the tree `origin`; `root` as in `Place`. What is None is left out:
    all six for `Prefer: return=minimal`, the last three in a batch, the salt once it is erased.
    """
    head = (
        f'{{"event_id":"{event_id}","stream_id":"{stream_id}","sequence_counter":{index},'
        f'"timestamp":"{timestamp}","block_hash":"{block_hash}","previous_hash":"{previous_hash}",'
        f'"leaf_hash":"{b2a_base64(leaf, newline=False).decode()}",'
        f'"velocity_flag_triggered":{"true" if velocity_flag else "false"},'
        f'"replayed":{"true" if replayed else "false"}'
    )
    parts = [head.encode()]
    if entry is not None:
        parts += (b',"entry":"', b2a_base64(entry, newline=False), b'"')
    if salt is not None:
        parts += (b',"salt":"', b2a_base64(salt, newline=False), b'"')
    if inclusion is not None:
        if origin is None:
            raise AssertionError("tlog: an inclusion proof without the origin of its tree")
        parts.append(
            b',"inclusion":{"origin":%b,"leaf_index":%d,"tree_size":%d,"hashes":%b}'
            % (_quoted(origin), index, inclusion[0], _hashes(inclusion[1]))
        )
    if root is not None:
        parts += (b',"root":', _place(root))
    parts.append(b"}")
    return b"".join(parts)


def batch_json(
    receipts: Sequence[bytes],
    heads: Mapping[str, tuple[Checkpoint, tuple[int, int, Sequence[Hash], bytes]]],
    ranges: Mapping[str, tuple[int, int, int, Sequence[Hash], Sequence[Hash]]],
) -> bytes:
    """Write the answer to a batch: receipts without proofs, and per stream its head and one range.

    A head is a checkpoint and its `Place`; `ranges` as in `Range`. Streams are stream ids.
    """
    heads_json = [
        b'"%b":{"origin":%b,"tree_size":%d,"root_hash":"%b","root":%b}'
        % (
            stream.encode(),
            _quoted(head.origin),
            head.size,
            b2a_base64(head.root, newline=False),
            _place(place),
        )
        for stream, (head, place) in heads.items()
    ]
    ranges_json = [
        b'"%b":{"first":%d,"last":%d,"tree_size":%d,"left":%b,"right":%b}'
        % (stream.encode(), first, last, size, _hashes(left), _hashes(right))
        for stream, (first, last, size, left, right) in ranges.items()
    ]
    return b'{"receipts":[%b],"heads":{%b},"ranges":{%b}}' % (
        b",".join(receipts),
        b",".join(heads_json),
        b",".join(ranges_json),
    )


# Splits the base64 of many hashes: 43 characters of each, the 44th left out.
_SPLIT = [Struct("43sx" * count).unpack for count in range(64)]


def _hashes(hashes: Sequence[Hash]) -> bytes:
    # All at once: with a zero byte behind it a hash is 33 bytes, hence 44 characters, of which the
    # last is an "A" that stands for the zero byte; alone the hash has its "=" there.
    if not hashes:
        return b"[]"
    split = _SPLIT[len(hashes)](b2a_base64(b"\0".join(hashes) + b"\0", newline=False))
    return b'["%b="]' % b'=","'.join(split)


@lru_cache(maxsize=1024)
def _quoted(text: str) -> bytes:
    return json.dumps(text).encode()


@lru_cache(maxsize=64)
def _quoted_note(note: bytes) -> bytes:
    # One commit has one note, in every receipt; bytes remember their own hash.
    return json.dumps(note.decode(), ensure_ascii=False).encode()


def _place(place: tuple[int, int, Sequence[Hash], bytes]) -> bytes:
    index, size, path, note = place
    return b'{"leaf_index":%d,"tree_size":%d,"hashes":%b,"checkpoint":%b}' % (
        index,
        size,
        _hashes(path),
        _quoted_note(note),
    )


# --- Verifying ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """An entry that is leaf `leaf_index` under `head`, which is a leaf under `root`, which was signed.

    `head` is the stream's, `root` the root log's; `note` is the opened note of `root`.
    """

    entry: Entry
    leaf_index: int
    head: Checkpoint
    root: Checkpoint
    note: Note

    @property
    def tree_size(self) -> int:
        """The size of the stream's tree."""
        return self.head.size


def verify_receipt(
    receipt: Mapping[str, Any], log: Verifier, genesis: bytes | None = None
) -> VerifiedReceipt:
    """Verify a receipt that carries its proofs, under the configured key of the log.

    1. The entry is valid.  2. Hashes and repeated members are those of the entry.  3. The event id
    locates it.  4. Its path, of exact length, gives a head of the stream.  5. The origin of that head
    can be the stream's; with the stream's `genesis` entry, it is.  6. The root note is signed by the
    log.  7. The body of the head is a leaf under it, by a path of exact length.

    Raises:
        VerificationError: for every cause.
    """
    entry = _verify_entry(receipt)  # 1, 2, 3
    head = binding.stream_head(receipt, entry)  # 4
    binding.check_label(head.origin, entry, log.name, genesis)  # 5
    root, note = _verify_place(head, member(receipt, "root", dict), log, {})  # 6, 7
    return VerifiedReceipt(entry, entry.record["chainPosition"], head, root, note)


def verify_batch(
    answer: Mapping[str, Any],
    log: Verifier,
    known: Callable[[int, Mapping[str, Any]], Entry | None] | None = None,
) -> list[VerifiedReceipt]:
    """Verify the answer to a batch; the result is in the order of its receipts.

    `known(number, receipt)` may give the entry of a new event for which the caller has done 2, or None.

    1. Replayed events verify by their own receipts.  2. Every other entry is valid, repeated members
    equal, located by its id.  3. `heads` and `ranges` are of just the streams of these.  4. Per
    stream they are the leaves `first` to `last`, in order and chained, and with the range proof give
    the root of the head.  5. Origin and position of the head, as in a receipt.

    Raises:
        VerificationError: for every cause.
    """
    verified: list[VerifiedReceipt | None] = []
    new: dict[str, list[tuple[int, Entry]]] = {}
    for number, receipt in enumerate(member(answer, "receipts", list)):
        if member(receipt, "replayed", bool):  # demands a JSON object, too
            verified.append(verify_receipt(receipt, log))  # 1
            continue
        entry = (known and known(number, receipt)) or _verify_entry(receipt)  # 2
        new.setdefault(entry.record["streamId"], []).append((number, entry))
        verified.append(None)
    heads, ranges = member(answer, "heads", dict), member(answer, "ranges", dict)
    opened: dict[str, tuple[Checkpoint, Note]] = {}
    demand(heads.keys() == ranges.keys() == new.keys())  # 3
    for stream_id, events in new.items():
        entries = [entry for _, entry in events]
        head = _range_head(heads[stream_id], ranges[stream_id], entries)  # 4
        place = member(heads[stream_id], "root", dict)
        root, note = _verify_place(head, place, log, opened)  # 5
        for number, entry in events:
            binding.check_label(head.origin, entry, log.name)
            index = entry.record["chainPosition"]
            verified[number] = VerifiedReceipt(entry, index, head, root, note)
    return [receipt for receipt in verified if receipt is not None]


def _verify_entry(receipt: Mapping[str, Any]) -> Entry:
    entry = binding.read_entry(receipt)
    binding.check_copies(receipt, entry, COPIES)
    binding.check_identity(entry)
    return entry


def _verify_place(
    head: Checkpoint, place: object, log: Verifier, opened: dict[str, tuple[Checkpoint, Note]]
) -> tuple[Checkpoint, Note]:
    """Check where `head` stands. `opened` keeps notes: the streams of a batch have one in common."""
    text = member(place, "checkpoint", str)
    if text not in opened:
        opened[text] = binding.open_note(text, log, log.name)
    root, note = opened[text]
    binding.check_position(head, place, root)
    return root, note


def _range_head(head: object, proof: object, entries: Sequence[Entry]) -> Checkpoint:
    """Check the new entries of one stream against its range; return the head that they give."""
    first, last, size = natural(proof, "first"), natural(proof, "last"), natural(proof, "tree_size")
    demand(last - first + 1 == len(entries))
    for index, entry in enumerate(entries, first):
        demand(entry.record["chainPosition"] == index)
    for before, after in pairwise(entries):
        demand(after.previous_hash == block_hash(before.raw))
    demand(natural(head, "tree_size") == size)
    root = binding.decoded(head, "root_hash", HASH_SIZE)
    leaves = [leaf_hash(entry.raw) for entry in entries]
    left, right = binding.hashes(proof, "left"), binding.hashes(proof, "right")
    verify_range(leaves, first, size, left, right, root)
    return binding.checkpoint(member(head, "origin", str), size, root)
