"""What one run of a verification reads of a log, and what it counts.

In scope: which streams are followed, whose entries are read, what is left to say at the end. Out of scope: which
head is believed (`verification`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tlog.client.fetch.audit import Counts, MemoryState, Progress, RootFollower, each
from tlog.client.fetch.entries import Checked, EntryCheck
from tlog.client.fetch.http import Fetcher
from tlog.client.pins import Head
from tlog.core.checkpoint import Checkpoint
from tlog.core.entry import parse_frame
from tlog.core.hashes import Hash
from tlog.core.ids import public_label, stream_origin
from tlog.core.note import Verifier
from tlog.core.root_log import RuleBroken, StreamHead, is_label, public_stream
from tlog.errors import InvalidInput, Refused
from tlog.monitor.heads import StreamNotes
from tlog.monitor.state import FileState

PARALLEL = 8


@dataclass
class Report:
    """What was found to hold. `earlier` is the size of the root head that the last run ended with, if any.

    `unread` counts streams of which only hashes were checked, `unknown` entries whose schema is not understood, and
    `again` says that what was remembered could not be used.
    """

    head: Checkpoint
    earlier: int | None
    counts: Counts
    streams: int = 0
    unread: int = 0
    checkpoints: int = 0
    unknown: int = 0
    unpublished: list[str] = field(default_factory=list)
    again: bool = False


@dataclass(frozen=True)
class Scope:
    """What is to be verified: all streams or the one with `label`, which must be `stream_id` if that is given.

    `token`: whether the fetcher has one, so that private entries are worth asking for.
    """

    label: str | None = None
    stream_id: str | None = None
    token: bool = False


class Visit:
    """What one run reads and counts."""

    def __init__(
        self,
        fetcher: Fetcher,
        log: Verifier,
        state: FileState,
        scope: Scope,
        progress: Progress | None,
    ) -> None:
        self.notes = StreamNotes(fetcher, log, state.heads)
        self._fetcher = fetcher
        self._log = log
        self._state = state
        self._scope = scope
        self._head: Head | None = None
        self._opens: dict[str, bool] = {}
        self._follower = RootFollower(
            fetcher,
            log.name,
            state,
            parallel=PARALLEL,
            wanted=self._wanted,
            reader=self._reader,
            seen=self._seen,
            progress=progress,
        )

    @property
    def selected(self) -> set[str]:
        """The stream that was asked for by name."""
        return set() if self._scope.label is None else {self._scope.label}

    def _wanted(self, label: str) -> bool:
        return self._scope.label in (None, label)

    def _seen(self, label: str, head: StreamHead) -> None:
        if self._wanted(label):
            self.notes.seen(label, head)

    async def follow(self, head: Head, kept: Checkpoint | None) -> None:
        """Follow the root log, and its streams, to `head`, which must extend `kept`."""
        await self._follower.advance(head.checkpoint, kept)
        self._head = head

    @property
    def head(self) -> Head:
        """The head that was followed last."""
        if self._head is None:
            raise AssertionError("tlog: nothing was followed yet")
        return self._head

    async def catch_up(self) -> None:
        """Read entries that were not to be read in an earlier run: that had no token, or another."""
        state = self._state
        behind: list[str] = []

        async def look(label: str) -> None:
            if await self._readable(label):
                behind.append(label)

        unread = [
            label
            for label in state.trails
            if self._wanted(label)
            and state.entries.get(label, Checked()).size < state.heads[label].size
        ]
        await each(unread, look, PARALLEL)
        if behind:
            await self._follower.visit(behind)

    async def _reader(self, label: str, newest: StreamHead) -> EntryCheck | None:
        if not await self._readable(label):
            return None
        known = self._state.entries.get(label)
        check = EntryCheck(
            label, self._log, newest, self._root_at, known, stream_id=self._scope.stream_id
        )
        self._state.checks[label] = check
        return check

    async def _readable(self, label: str) -> bool:
        """Whether a stream is public, or the token opens it: of another tenant's, as of none, nothing is found."""
        if public_stream(label) is not None:
            return True
        if self._scope.token and label not in self._opens:
            try:
                await self._fetcher.under(f"streams/{label}").entries(0, 1)
                self._opens[label] = True
            except Refused as error:
                if error.kind != "not-found":
                    raise
                self._opens[label] = False
        return self._opens.get(label, False)

    async def _root_at(self, size: int) -> Hash:
        tree = self._follower.tree
        if tree is None:
            raise AssertionError("tlog: entries are read under a root")
        return await tree.root_at(size)

    def report(self) -> Report:
        """What was found to hold, once all of it was. Raises: RuleBroken (stream) for the wrong stream."""
        state = self._state
        self._check_name()
        streams = [label for label in state.trails if self._wanted(label)]
        read = [state.entries[label] for label in streams if label in state.entries]
        whole = sum(
            label in state.entries and state.entries[label].size == state.heads[label].size
            for label in streams
        )
        return Report(
            self.head.checkpoint,
            None,
            self._follower.counts,
            len(streams),
            len(streams) - whole,
            self.notes.checked,
            sum(one.unknown for one in read),
            sorted(self.notes.waiting),
        )

    def _check_name(self) -> None:
        """The label that was shown for a stream id is that stream's: a private one says nothing by itself."""
        label, wanted = self._scope.label, self._scope.stream_id
        if label is None or wanted is None:
            return
        checked = self._state.entries.get(label, Checked())
        if checked.stream is None or checked.stream[0] != wanted:
            detail = f"its entries do not show that it is {wanted}"
            raise RuleBroken("stream", detail, origin=stream_origin(self._log.name, label))


async def find_label(
    fetcher: Fetcher, log: Verifier, head: Checkpoint, stream_id: str
) -> str | None:
    """The label of a stream that `fetcher` may read: the public one, or the private one whose genesis says so.

    Reads the root log up to `head`, and one entry of every private stream until it is found. What the genesis says
    is not checked here.
    """
    state = MemoryState()
    follower = RootFollower(fetcher, log.name, state, wanted=lambda label: False)
    await follower.advance(head)
    public = public_label(stream_id)
    if public in state.heads:
        return public
    found: list[str] = []

    async def look(label: str) -> None:
        if found:
            return
        try:
            [genesis] = await fetcher.under(f"streams/{label}").entries(0, 1)
            named = parse_frame(genesis).record.get("streamId")
        except (Refused, InvalidInput) as error:
            if error.kind == "forbidden":
                raise
            return
        if named == stream_id:
            found.append(label)

    private = (label for label in state.heads if is_label(label) and public_stream(label) is None)
    await each(private, look, PARALLEL)
    return found[0] if found else None
