"""The check of what a stream's entries say, in order, from wherever the last check ended.

Source: design §2.2 (entries, chain, genesis), §2.3 (RECORD), §3 (producers). That these bytes are the stream's
leaves is checked before they come here (`tlog.client.fetch`). Payloads are not to be seen from outside: only the
form of their commitments is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

from tlog.core.canonical import MAX_INTEGER
from tlog.core.chain import GENESIS_PREVIOUS, Chain
from tlog.core.entry import Entry
from tlog.core.hashes import Hash
from tlog.core.ids import stream_origin
from tlog.core.note import Verifier
from tlog.core.record import SCHEMA
from tlog.core.root_log import RuleBroken, StreamHead
from tlog.core.wire import b64decode, parse_hash_text
from tlog.errors import InvalidInput

# The root of the first so many leaves of the root log.
RootAt = Callable[[int], Awaitable[Hash]]


class Checked(NamedTuple):
    """How far the entries of one stream are checked, and what the check of the next one needs.

    `stream` is stream id and number, None before the first entry that says them; `producers` the last sequence of
    each; `unknown` counts entries of a schema that is not understood here.
    """

    size: int = 0
    previous: str = GENESIS_PREVIOUS
    stream: tuple[str, int] | None = None
    time: str = ""
    producers: tuple[tuple[str, int], ...] = ()
    unknown: int = 0


class EntryCheck:
    """Reads the entries of the stream `label`: a `tlog.client.fetch.audit.Reader`.

    Raises RuleBroken for the first entry that breaks a rule. Rules: those of `tlog.core.chain.Chain`, and

    `genesis`   leaf 0 is made for this log, this label, this key, and for the stream that was asked for; the root head in
                it is one of this log, and not later than the stream's first head.
    `producer`  each producer counts 1, 2, 3 … in leaf order.
    """

    def __init__(
        self,
        label: str,
        log: Verifier,
        newest: StreamHead,
        root_at: RootAt,
        checked: Checked | None = None,
        *,
        stream_id: str | None = None,
        further: Iterable[str] = (),
    ) -> None:
        """`stream_id` is the stream that this must be, if one was asked for by its id. `further` are vkeys that the log
        has beside this one: a stream may have been opened under any of them.
        """
        before = Checked() if checked is None else checked
        self._chain = Chain(before.previous, before.size, before.stream, before.time)
        self._producers = dict(before.producers)
        self._unknown = before.unknown
        self._label = label
        self._log = log
        self._keys = {log.vkey, *further}
        self._opened = newest.opened
        self._root_at = root_at
        self._stream_id = stream_id
        self._origin = stream_origin(log.name, label)

    @property
    def start(self) -> int:
        """The leaf index of the next entry to be read."""
        return self._chain.index

    def checked(self) -> Checked:
        """Where another check may go on."""
        chain, producers = self._chain, tuple(self._producers.items())
        return Checked(
            chain.index, chain.previous, chain.stream, chain.time, producers, self._unknown
        )

    async def take(self, first: int, entries: list[bytes]) -> None:
        """Check consecutive entries, beginning with number `start`."""
        if first != self.start:
            raise AssertionError("tlog: entries are checked in order")
        for index, raw in enumerate(entries, first):
            entry, faults = self._chain.follow(raw)
            for fault in faults:
                raise self._broken(fault.check, fault.detail, index)
            if entry is None:
                raise AssertionError("tlog: an entry that cannot be read is a fault")
            if entry.record.get("v") != SCHEMA:
                self._unknown += 1
                continue
            if index == 0:
                await self._genesis(entry)
            producer = entry.record.get("producer")
            if producer is not None:
                self._count(index, producer["id"], producer["sequence"])

    async def _genesis(self, entry: Entry) -> None:
        """What `record.check_record` cannot know. That the label is made from id and nonce, it has checked."""
        system: dict[str, Any] = entry.record["system"]
        wrong = None
        if system["origin"] != self._log.name:
            wrong = f"it was opened in the log {system['origin']}"
        elif system["label"] != self._label:
            wrong = f"it was opened under the label {system['label']}"
        elif self._stream_id not in (None, system["streamId"]):
            wrong = f"it is {system['streamId']}, not {self._stream_id}"
        elif self._keys.isdisjoint(system["keys"]):
            wrong = f"it was opened under other keys than {self._log.vkey}"
        elif system["root"]["size"] > self._opened:
            wrong = "the root head in it is later than the stream's first head"
        elif await self._root_at(system["root"]["size"]) != b64decode(system["root"]["hash"]):
            wrong = f"the root in it is not the root log's of size {system['root']['size']}"
        if wrong is not None:
            raise self._broken("genesis", wrong, 0)

    def _count(self, index: int, producer: str, sequence: int) -> None:
        expected = self._producers.get(producer, 0) + 1
        if sequence != expected:
            detail = f"{producer} sent {sequence} where {expected} must follow"
            raise self._broken("producer", detail, index)
        self._producers[producer] = sequence

    def _broken(self, rule: str, detail: str, index: int) -> RuleBroken:
        return RuleBroken(rule, detail, origin=self._origin, index=index)


def check_identities(found: Iterable[tuple[int, str, Checked]], origin: str) -> None:
    """Check the streams of a log against each other: (leaf of the first head, label, what was checked).

    1. `order`: streams were opened in the order of their numbers. Heads of one commit are in that order, and numbers are
       given in the order of opening, so this is what can be seen of the order inside a commit.
    2. `stream`: no two have one id.

    Raises: RuleBroken; `index` is the leaf of the root log.
    """
    last, labels = -1, dict[str, str]()
    for opened, label, checked in sorted(found):
        if checked.stream is None:
            continue
        stream_id, number = checked.stream
        if number <= last:
            detail = f"{label} has number {number}, but was opened after number {last}"
            raise RuleBroken("order", detail, origin=origin, index=opened)
        last = number
        if labels.setdefault(stream_id, label) != label:
            detail = f"{label} and {labels[stream_id]} are both {stream_id}"
            raise RuleBroken("stream", detail, origin=origin, index=opened)


def parse_checked(value: Any) -> Checked:
    """A `Checked` from JSON, as `json` of it was. Raises: InvalidInput (malformed)."""
    try:
        size, previous, stream, time, producers, unknown = value
        parse_hash_text(previous)
        if stream is not None:
            stream = (str(stream[0]), int(stream[1]))
        counts = tuple((str(name), int(number)) for name, number in producers)
        numbers = (size, unknown, *[number for _, number in counts])
        if not all(type(one) is int and 0 <= one <= MAX_INTEGER for one in numbers):
            raise TypeError
        return Checked(size, previous, stream, str(time), counts, unknown)
    except (TypeError, ValueError, IndexError):
        raise InvalidInput("malformed", "not what was remembered of a stream") from None
