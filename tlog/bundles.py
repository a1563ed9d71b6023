"""Whole bundles proven good at once: 256 entries by a few passes over all of them instead of many steps for each.

What is proven here is what `fsck` checks entry by entry (its steps 1 to 5 and 7); a bundle about which there is any doubt is
left to it, so that only honest bundles are fast, and a fault is always found, named and judged by the same code.
"""

from __future__ import annotations

import struct
from binascii import hexlify
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from tlog.core.commitment import verify_commitment
from tlog.core.entry import Entry, parse_entry
from tlog.core.hashes import Hash
from tlog.core.ids import event_ids, parse_event_id
from tlog.errors import CorruptStore, InvalidInput, Refused, VerificationError
from tlog.shapes import Found, Known, Shape, milliseconds
from tlog.store import layout
from tlog.store.environment import LogStore
from tlog.store.lookup import Tail, entries_at, positions_of_bundle
from tlog.vault import Sealer

_MAX_SHAPES = 16
_LEARN_PER_BUNDLE = 8


class Chained(NamedTuple):
    """Entries by their hashes: leaf hashes, and the block hash of each in 64 hex digits."""

    leaves: list[Hash]
    blocks: list[bytes]


def chained(entries: Sequence[bytes]) -> Chained:
    """The two hashes of each entry. HOT."""
    blocks = hexlify(b"".join([sha256(entry).digest() for entry in entries]))
    return Chained(
        [sha256(b"\x00" + entry).digest() for entry in entries],
        [blocks[at : at + 64] for at in range(0, len(blocks), 64)],
    )


def follow(
    last: Mapping[str, int], numbers: Iterable[tuple[str, int]], *, anywhere: bool = False
) -> dict[str, int] | None:
    """The new last numbers if each number is the next one of its producer, else None.

    With `anywhere` a producer that is not in `last` may begin at any number.
    """
    new: dict[str, int] = {}
    for producer, number in numbers:
        before = new.get(producer)
        if before is None:
            before = last.get(producer, number - 1 if anywhere else 0)
        if number != before + 1:
            return None
        new[producer] = number
    return new


class Before(NamedTuple):
    """What a bundle follows: block hash (64 hex digits) and time of the last entry, and the last numbers of producers.

    `producers` is None where they are not to be counted; with `anywhere` an unknown one may begin at any number.
    """

    block: bytes
    time: str
    producers: Mapping[str, int] | None
    anywhere: bool = False


class Proven(NamedTuple):
    """A bundle in which everything is good: what the next one follows, and what is counted."""

    leaves: list[Hash]
    block: bytes
    time: str
    sequences: list[tuple[str, int]]
    producers: dict[str, int]
    withheld: int


class Prover:
    """Proves bundles of one stream, and learns what its entries look like."""

    def __init__(self, store: LogStore, number: int, stream_id: str, vault: Sealer | None) -> None:
        self._store = store
        self._number = number
        self._stream_id = stream_id
        self._tenant = stream_id.partition(":")[0]
        self._vault = vault
        self._shapes: list[Shape] = []

    def prove(self, first: int, end: int, tail: Tail, before: Before) -> Proven | None:
        """What there is to know of the leaves [first, end) of one bundle, if all are good; None if there is any doubt."""
        try:
            read = self._read(first, end, tail)
        except (CorruptStore, ValueError, TypeError, struct.error):
            return None
        return None if read is None else self.prove_entries(first, *read, before)

    def prove_entries(
        self, first: int, entries: list[bytes], sealed: list[bytes], before: Before
    ) -> Proven | None:
        """The same of entries at hand, with their sealed payloads if there is a vault."""
        leaves, blocks = chained(entries)
        known = self._known(first, entries, [before.block, *blocks[:-1]], before.time)
        if known is None:
            return None
        proof = _Proof(first, entries, known)
        if not all(self._prove_part(proof, part) for part in _by_digits(first, len(entries))):
            return None
        sequences = [] if before.producers is None else proof.sequences()
        producers = follow(before.producers or {}, sequences, anywhere=before.anywhere)
        withheld = self._withheld(proof, sealed)
        if producers is None or withheld is None:
            return None
        time = known.times[-1].decode()
        return Proven(leaves, blocks[-1], time, sequences, producers, withheld)

    def _read(self, first: int, end: int, tail: Tail) -> tuple[list[bytes], list[bytes]] | None:
        """Entries, and sealed payloads where there is a vault to open them; None if a record is another's."""
        bundle, slot = divmod(first, layout.TILE_WIDTH)
        with self._store.read() as txn:
            positions = positions_of_bundle(self._store, txn, self._number, bundle, tail)
            positions = positions[slot : slot + end - first]
            if len(positions) != end - first:
                return None
            if self._vault is None:
                entries = entries_at(self._store, txn, self._number, first, positions)
                return None if entries is None else (entries, [])
            records = [self._store.record(txn, position) for position in positions]
        for index, record in enumerate(records, first):
            if (record.stream, record.index) != (self._number, index):
                return None
        return [record.entry for record in records], [record.sealed for record in records]

    def _known(
        self, first: int, entries: list[bytes], previous: list[bytes], time: str
    ) -> Known | None:
        """All that an entry's place decides; None when a time is none, or earlier than the one before it."""
        times = [entry[-26:-2] for entry in entries]
        # In the strict form the order of texts is that of times.
        if times != sorted(times) or times[0] < time.encode():
            return None
        try:
            ms_of = milliseconds(list(dict.fromkeys(times)))
            ms = [ms_of[text] for text in times]
            ids = event_ids(ms, self._number, first)
        except (InvalidInput, UnicodeDecodeError, AssertionError):
            return None
        positions = [b"%d" % index for index in range(first, first + len(entries))]
        return Known(positions, [text[4:].encode() for text in ids], previous, times, ms)

    def _prove_part(self, proof: _Proof, part: range) -> bool:
        """A part whose positions have one number of digits: at best all of one shape."""
        if self._shapes and proof.match(self._shapes[0], part):
            return True
        width = len(proof.known.positions[part[0]])
        rest: list[int] = list(part)
        for shape in self._shapes:
            alike = [at for at in rest if shape.likely(proof.entries[at], width)]
            if alike and proof.match(shape, alike):
                rest = sorted({*rest} - {*alike})
        learned = 0
        while rest:
            at = rest.pop(0)
            entry = self._judge(proof, at)
            if entry is None:
                return False
            learnt = Shape.of(entry) if learned < _LEARN_PER_BUNDLE else None
            if learnt is None:
                continue
            learned += 1
            self._shapes = [learnt, *self._shapes][:_MAX_SHAPES]
            alike = [other for other in rest if learnt.likely(proof.entries[other], width)]
            if alike and proof.match(learnt, alike):
                rest = sorted({*rest} - {*alike})
        return True

    def _judge(self, proof: _Proof, at: int) -> Entry | None:
        """One entry by itself, as `fsck` judges it; None if anything is wrong with it."""
        try:
            entry = parse_entry(proof.entries[at])
        except InvalidInput:
            return None
        record = entry.record
        if (
            record["streamId"] != self._stream_id
            or parse_event_id(record["id"]).stream_number != self._number
            or record["chainPosition"] != proof.first + at
            or entry.timestamp.encode() != proof.known.times[at]
            or entry.previous_hash[7:].encode() != proof.known.previous[at]
        ):
            return None
        proof.judged(at, entry)
        return entry

    def _withheld(self, proof: _Proof, sealed: Sequence[bytes]) -> int | None:
        """How many payloads are withheld; None if one is not what its entry commits to."""
        vault = self._vault
        if vault is None:
            return 0
        withheld = 0
        for blob, (fields, root) in zip(sealed, proof.commitments(), strict=True):
            try:
                salt, values = vault.unseal(
                    blob, tenant=self._tenant, stream_id=self._stream_id, root=root
                )
                verify_commitment(values, salt, fields, root)
            except Refused:
                withheld += 1
            except (CorruptStore, VerificationError):
                return None
        return withheld


class _Proof:
    """What is proven of a bundle so far."""

    def __init__(self, first: int, entries: list[bytes], known: Known) -> None:
        self.first = first
        self.entries = entries
        self.known = known
        self._commitments: list[tuple[Sequence[int], int, list[bytes]]] = []
        self._sequences: list[tuple[Sequence[int], str, list[bytes]]] = []

    def match(self, shape: Shape, at: Sequence[int]) -> bool:
        """Whether the entries at these offsets are of this shape."""
        if len(at) == len(self.entries):
            found = shape.match(self.entries, self.known)
        else:
            known = Known(*[[values[one] for one in at] for values in self.known])  # type: ignore[arg-type]
            found = shape.match([self.entries[one] for one in at], known)
        if found is None:
            return False
        self._keep(at, shape.fields, shape.producer_id, found)
        return True

    def judged(self, at: int, entry: Entry) -> None:
        """An entry that was judged by itself."""
        commitment, producer = entry.record["commitment"], entry.record.get("producer")
        sequences = None if producer is None else [b"%d" % producer["sequence"]]
        found = Found([commitment["root"][7:].encode()], sequences)
        self._keep([at], commitment["fields"], producer and producer["id"], found)

    def _keep(self, at: Sequence[int], fields: int, producer: str | None, found: Found) -> None:
        self._commitments.append((at, fields, found.roots))
        if producer is not None and found.sequences is not None:
            self._sequences.append((at, producer, found.sequences))

    def sequences(self) -> list[tuple[str, int]]:
        """Producer and sequence of the events that have them, in leaf order."""
        found = [
            (at, producer, int(text))
            for places, producer, texts in self._sequences
            for at, text in zip(places, texts, strict=True)
        ]
        if len(self._sequences) > 1:
            found.sort()
        return [(producer, number) for _, producer, number in found]

    def commitments(self) -> list[tuple[int, Hash]]:
        """Number of fields and root of every entry, in leaf order."""
        found = [
            (at, fields, root)
            for places, fields, roots in self._commitments
            for at, root in zip(places, roots, strict=True)
        ]
        found.sort()
        return [(fields, bytes.fromhex(root.decode())) for _, fields, root in found]


def _by_digits(first: int, count: int) -> list[range]:
    """The offsets of `count` positions from `first`, those of as many digits together."""
    parts = []
    start = first
    while start < first + count:
        end = min(first + count, 10 ** len(str(start)))
        parts.append(range(start - first, end - first))
        start = end
    return parts
