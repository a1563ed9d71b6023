"""The hash chain of a stream: each entry names the hash of the one before. Ours, design §2.2.

    blockHash = "sha256:" + hex(SHA-256(entry))        plain sha256sum of the stored bytes

In scope: what a run of consecutive entries shows by itself. Out of scope: that they are the entries of
the stream, and all of them: a chain segment alone is never a proof (`proofs`, `binding`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import NamedTuple

from tlog.core.entry import GENESIS_PREVIOUS, Entry, parse_frame, validate_entry
from tlog.core.wire import hash_text
from tlog.errors import InvalidInput

__all__ = ["GENESIS_PREVIOUS", "Chain", "ChainFault", "block_hash", "verify_chain"]


class ChainFault(NamedTuple):
    """One finding at leaf `sequence`; `check` is entry, link, position, stream or time."""

    sequence: int
    check: str
    detail: str


def block_hash(entry: bytes) -> str:
    """The hash text of an entry's bytes, which the next entry has as its previousHash."""
    return hash_text(sha256(entry).digest())


class Chain:
    """The running check of one stream's entries, in order.

    For each entry:

    1. `entry`: the bytes are an entry, valid in itself.
    2. `link`: its previousHash is the block hash of the bytes before it, be those right or wrong.
    3. `position`: its chainPosition is the leaf's index.
    4. `stream`: it is of the same stream, by id and number, as the first one here.
    5. `time`: it is not older than the one before it.

    Of bytes that are no entry only the hash is known: the entry after them can still be linked. An
    entry of an unknown schema is no fault; of it, 1 checks the frame, and 3 and 4 are left out.

    `index` is the leaf that comes next and `previous` the block hash before it; `stream` (id and number)
    and `time` are of the last entry that had them. With these four another check goes on from here.
    """

    __slots__ = ("index", "previous", "stream", "time")

    def __init__(
        self,
        previous: str = GENESIS_PREVIOUS,
        index: int = 0,
        stream: tuple[str, int] | None = None,
        time: str = "",
    ) -> None:
        self.previous = previous
        self.index = index
        self.stream = stream
        self.time = time

    def follow(self, raw: bytes) -> tuple[Entry | None, list[ChainFault]]:
        """Check the next entry: what it says, None where it cannot be read, and its faults."""
        index, faults, entry = self.index, [], None
        try:
            entry = parse_frame(raw)
        except InvalidInput as error:
            faults.append(ChainFault(index, "entry", error.detail))
        else:
            if entry.previous_hash != self.previous:
                detail = "previousHash is not the hash of the entry before"
                faults.append(ChainFault(index, "link", detail))
            faults += self._content(entry)
            # The strict form has one length and sorts as time does.
            if entry.timestamp < self.time:
                faults.append(
                    ChainFault(index, "time", "the entry is older than the one before it")
                )
            self.time = entry.timestamp
        self.previous = block_hash(raw)
        self.index += 1
        return entry, faults

    def _content(self, entry: Entry) -> Iterator[ChainFault]:
        index = self.index
        try:
            identity = validate_entry(entry)
        except InvalidInput as error:
            if error.kind != "unknown-schema":
                yield ChainFault(index, "entry", error.detail)
            return
        found = entry.record["streamId"], identity.stream_number
        self.stream = self.stream or found
        if entry.record["chainPosition"] != index:
            yield ChainFault(index, "position", "the entry belongs to another position")
        if found != self.stream:
            yield ChainFault(index, "stream", "the entry belongs to another stream")


def verify_chain(
    entries: Iterable[bytes], previous: str = GENESIS_PREVIOUS, first: int = 0
) -> Iterator[ChainFault]:
    """Yield every fault of the leaves [first, first + n) of one stream, in order: see `Chain`.

    `previous` is the block hash of leaf first - 1.
    """
    chain = Chain(previous, first)
    for raw in entries:
        yield from chain.follow(raw)[1]
