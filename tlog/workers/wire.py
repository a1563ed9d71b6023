"""What front ends and the process that commits say to each other, in frames of `tlog.messages`.

One Unix stream socket of each front end carries events and commits (`ToSequencer`, `ToFront`); a second one carries questions
that a thread waits for (`Question`, `Reply`), one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec

from tlog.core.hashes import Hash
from tlog.messages import LENGTH_BYTES, Failure, length_of
from tlog.sequencer.batch import Opening, Placed, Prepared, Range, Replayed, StreamHead
from tlog.sequencer.publish import Head
from tlog.sequencer.streams import StreamView
from tlog.store.layout import StreamRow

T = TypeVar("T")


class Message(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """An array on the wire."""


# ---- to the process that commits -----------------------------------------------------------------


class Submitted(Message):
    """A `Batch` with the number by which its answer is known."""

    id: int
    events: list[Prepared]
    openings: dict[str, Opening]
    request: bytes | None
    prove: bool
    array: bool


class Batches(Message, tag=1):
    """What was submitted in one turn of a front end's event loop, in order."""

    batches: list[Submitted]


class Persons(Message, tag=2):
    """Asks for the pseudonyms of a tenant's persons, (kind, identifier), and the data keys of subjects."""

    id: int
    tenant: str
    persons: list[tuple[str, str]]


# ---- to a front end ------------------------------------------------------------------------------


class Welcome(Message, tag=1):
    """The first message. Every commit up to `committed` can be seen by whoever asks."""

    vkey: str
    committed: int
    head: Head
    root: StreamView


class Grown(Message):
    """A tree that a commit has grown. `positions`: of its new leaves, those after the last full bundle."""

    number: int
    size: int
    root: Hash
    ms: int
    root_leaf: int
    positions: list[int]


class Commit(Message, tag=2):
    """A durable, signed commit; every front end is told of each one, in order."""

    head: Head
    opened: list[tuple[int, StreamRow]]
    grown: list[Grown]


class Answered(Message):
    """The `Outcome` of a batch; `new`: of the newest commit that was told."""

    id: int
    new: bool
    events: list[Placed | Replayed]
    path: list[Hash] | None
    ranges: dict[int, Range] | None


class Answers(Message, tag=3):
    """Answers to batches, and what of the commit before them they need."""

    commit: int
    heads: dict[int, StreamHead]
    done: list[Answered]
    failed: list[tuple[int, Failure]]


class Key(Message):
    """A data key, as `DataKey` is made of it."""

    header: bytes
    key: bytes


class Names(Message, tag=4):
    """The answer to `Persons`: pseudonyms in order, and data keys by pseudonym; or why not.

    `generation` is what the vault's was before the first look: what is older must not be kept.
    """

    id: int
    generation: int
    names: list[str]
    keys: dict[str, Key]
    failed: Failure | None = None


# ---- questions -----------------------------------------------------------------------------------


class ViewOf(Message, tag=1):
    """Asks for the newest picture of a stream."""

    number: int


class NameOf(Message, tag=2):
    """Asks for a person's pseudonym; `make`: if there is none, one is made."""

    tenant: str
    kind: str
    person: str
    make: bool


class KeyOf(Message, tag=3):
    """Asks for a data key as `Keyring.key` does: by pseudonym or day, or else by its header."""

    tenant: str
    name: str | int | None
    header: bytes | None


class Picture(Message, tag=1):
    """A stream, and then what covers it: the newest head, and the root log.

    It has every commit up to `committed`, and perhaps later ones.
    """

    committed: int
    view: StreamView
    head: Head
    root: StreamView


class Name(Message, tag=2):
    """A pseudonym or none, and a subject's data key."""

    generation: int
    name: str | None
    key: Key | None


class DayOrSubject(Message, tag=3):
    """A data key."""

    generation: int
    key: Key


class Failed(Message, tag=4):
    """Why there is no answer."""

    failure: Failure


ToSequencer = Batches | Persons
ToFront = Welcome | Commit | Answers | Names
Question = ViewOf | NameOf | KeyOf
Reply = Picture | Name | DayOrSubject | Failed

from_front = msgspec.msgpack.Decoder(ToSequencer).decode
from_sequencer = msgspec.msgpack.Decoder(ToFront).decode
question = msgspec.msgpack.Decoder(Question).decode
reply = msgspec.msgpack.Decoder(Reply).decode


class Frames:
    """Cuts a byte stream into messages."""

    def __init__(self, decode: Callable[[Any], T]) -> None:
        self._decode: Callable[[Any], Any] = decode
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """The messages that are complete now. Raises: msgspec.DecodeError for what is none. HOT."""
        buffer = self._buffer
        buffer += data
        at, end = 0, len(buffer)
        with memoryview(buffer) as view:
            while end - at >= LENGTH_BYTES:
                size = length_of(view[at : at + LENGTH_BYTES])
                if end - at - LENGTH_BYTES < size:
                    break
                at += LENGTH_BYTES
                yield self._decode(view[at : at + size])
                at += size
        del buffer[:at]
