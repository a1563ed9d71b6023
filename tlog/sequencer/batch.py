"""What goes into the sequencer and what comes out of it.

A front end prepares: it validates, commits fields, seals, and encodes every byte of an entry that does not depend on the
entry's place. What is left to the one writer is to splice, hash, append, commit and sign. The Structs here can cross from a
front end in another process to it, and back (`tlog.workers.wire`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import Hash
from tlog.errors import TlogError
from tlog.events.splice import Segments


class Prepared(msgspec.Struct, gc=False, array_like=True):
    """One event, ready but for its place.

    `salt` is the 32-byte master salt, the client's if `given_salt`; `sealed` is the vault's blob.
    """

    stream_id: str
    segments: Segments
    sealed: bytes
    salt: bytes
    velocity_flag: bool
    occurred_ms: int | None = None
    producer_id: str | None = None
    sequence: int = 0
    given_salt: bool = False

    @property
    def size(self) -> int:
        """Bytes that this event will take, nearly."""
        parts = self.segments
        return len(parts.head) + len(parts.middle) + len(parts.tail) + len(self.sealed)


class Opening(msgspec.Struct, frozen=True, array_like=True):
    """A stream to be opened, with all of its genesis entry that does not depend on its number.

    `fields` and `root` are the commitment of the genesis, `salt` and `sealed` belong to it.
    """

    stream_id: str
    label: str
    public: bool
    nonce: bytes
    fields: int
    root: Hash
    salt: bytes
    sealed: bytes


class Placed(msgspec.Struct, gc=False, array_like=True, tag=1):
    """One new event where it now stands. Hash texts are `sha256:` and 64 hex digits; `leaf` is 32 bytes."""

    stream: int
    index: int
    event_id: str
    entry: bytes
    block_hash: str
    previous_hash: str
    leaf: Hash
    salt: bytes
    velocity_flag: bool


class Replayed(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """An event that was recorded by an earlier request."""

    stream: int
    index: int


class StreamHead(NamedTuple):
    """A stream's head in one commit and its inclusion in the root log at that commit."""

    checkpoint: Checkpoint
    leaf_index: int
    path: list[Hash]


class Committed(NamedTuple):
    """A durable, signed commit. `heads` are the streams whose new events asked for proofs, by number."""

    number: int
    ms: int
    root: Checkpoint
    note: bytes
    heads: dict[int, StreamHead]


class Range(NamedTuple):
    """A batch's new leaves [first, end) of one stream: maximal subtrees of [0, first) and of [end, tree size)."""

    first: int
    end: int
    left: list[Hash]
    right: list[Hash]


class Outcome(NamedTuple):
    """The answer to a batch: one `Placed` or `Replayed` per event, in order.

    `path` is the inclusion path of a single event, `ranges` the proofs of an array's new events by stream number,
    both only where the batch asked for proofs. `committed` is None if nothing new was written.
    """

    events: Sequence[Placed | Replayed]
    committed: Committed | None
    path: list[Hash] | None = None
    ranges: dict[int, Range] | None = None


class Batch:
    """One request: all of its events are recorded, or none. `done` runs on the writer thread."""

    __slots__ = ("array", "done", "events", "openings", "prove", "request", "size")

    def __init__(
        self,
        events: Sequence[Prepared],
        done: Callable[[Outcome | TlogError], None],
        *,
        openings: dict[str, Opening] | None = None,
        request: bytes | None = None,
        prove: bool = False,
        array: bool = False,
    ) -> None:
        self.events = events
        self.done = done
        self.openings = openings or {}
        self.request = request  # 16-byte digest of tenant and Idempotency-Key
        self.prove = prove
        self.size = sum(event.size for event in events)  # bytes, for back-pressure
        # An array of one event is still an array: its pointers begin with /0, its proof is a range.
        self.array = array or len(events) > 1
