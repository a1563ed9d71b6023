"""Following a log: every leaf of its root log by the rules, every head of every stream as one growing tree.

Source: design §2.5; the rules themselves are in `tlog.core.root_log`.
In scope: reading what is new since the state, checking it, and saying how far the state may move.
Out of scope: the signature under the root head, which the caller has verified; what entries say (`Reader`);
where the state is kept.

The root log is followed in segments. Of each, first all leaves are checked, then for every stream that they touch the
leaf hashes from its last head to its newest one, against each head between. Only then the state moves, by the whole
segment: a run that ends early goes on there. Memory holds the heads of one segment and a line per stream.
"""

from __future__ import annotations

import asyncio
from collections import ChainMap, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

from tlog.client.fetch.http import Fetcher
from tlog.client.fetch.tree import RemoteTree
from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import Hash
from tlog.core.ids import stream_origin
from tlog.core.root_log import (
    RootLogRules,
    RuleBroken,
    StreamHead,
    extend,
    pack_frontier,
    unpack_frontier,
)
from tlog.errors import InvalidInput

SEGMENT = 65_536
"""Leaves of the root log that are checked together."""

T = TypeVar("T")


class Trail(NamedTuple):
    """How far a tree is checked: its first `size` leaves, of which these are the packed maximal subtrees."""

    size: int = 0
    subtrees: bytes = b""

    def root(self) -> Hash:
        """The root of these leaves. Raises: InvalidInput when the hashes do not fit the size."""
        return unpack_frontier(self.size, self.subtrees).root()


class AuditState(Protocol):
    """What is remembered of one log.

    `root` is how far the root log is followed; `heads` has the newest head of each stream in it by label (and of
    reserved origins: see `RootLogRules`); `trails` how far each stream is checked, normally to that head.
    """

    @property
    def root(self) -> Trail: ...
    @property
    def heads(self) -> MutableMapping[str, StreamHead]: ...
    @property
    def trails(self) -> Mapping[str, Trail]: ...

    def advance(
        self, root: Trail, heads: Mapping[str, StreamHead], trails: Mapping[str, Trail]
    ) -> None:
        """Move to `root`, with the heads and trails that changed: all of it, or on failure nothing."""
        ...


@dataclass
class MemoryState:
    """`AuditState` in memory. `heads` and `trails` belong to it."""

    root: Trail = field(default_factory=Trail)
    heads: MutableMapping[str, StreamHead] = field(default_factory=dict)
    trails: MutableMapping[str, Trail] = field(default_factory=dict)

    def advance(
        self, root: Trail, heads: Mapping[str, StreamHead], trails: Mapping[str, Trail]
    ) -> None:
        """Move to `root`."""
        self.heads.update(heads)
        self.trails.update(trails)
        self.root = root


class Reader(Protocol):
    """Reads a stream's entries beside its hashes, from leaf `start` on."""

    @property
    def start(self) -> int: ...

    async def take(self, first: int, entries: list[bytes]) -> None:
        """Check consecutive entries, each of which has its leaf hash in the tree. Raises what is wrong."""
        ...


@dataclass
class Counts:
    """What was read and checked so far."""

    root_leaves: int = 0
    heads: int = 0
    streams: int = 0
    leaves: int = 0
    entries: int = 0
    tiles: int = 0


# Called with what is being read ("root log" or "streams"), how many leaves of it, and of how many.
Progress = Callable[[str, int, int], None]


class RootFollower:
    """Follows the log of `origin` behind `fetcher`. Belongs to one event loop; one call at a time.

    Methods raise RuleBroken for the first lie; Unavailable, Refused or InvalidInput when the log cannot be
    read; InvalidInput (state-unusable) when the state cannot be what an earlier run left. The state then is as before
    the segment. A state that was changed by something else may also make an honest log look like a liar: who
    did not start from an empty one does so before he accuses.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        origin: str,
        state: AuditState,
        *,
        parallel: int = 8,
        segment: int = SEGMENT,
        wanted: Callable[[str], bool] = lambda label: True,
        reader: Callable[[str, StreamHead], Awaitable[Reader | None]] | None = None,
        seen: Callable[[str, StreamHead], None] | None = None,
        opinion: Callable[[RemoteTree, int], Awaitable[object]] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """`parallel` streams at once; of streams that are not `wanted` only the heads are followed.

        `reader` gives who reads the entries of a stream up to its newest head, or None where only hashes are to be
        checked. `seen` is called with every stream head, in the order of the root log. `opinion` is called with every
        tree that was checked and how many leaves of it were known before; what it raises ends the step.
        """
        self.counts = Counts()
        self.tree: RemoteTree | None = None
        """The root log's tree under the head that was followed last, or is being followed."""
        self._fetcher = fetcher
        self._origin = origin
        self._state = state
        self._parallel = parallel
        self._segment = segment
        self._wanted = wanted
        self._reader = reader
        self._report: Callable[[], None] = lambda: None
        self._seen = seen or (lambda label, head: None)
        self._opinion = opinion or _none
        self._progress = progress or (lambda what, done, total: None)

    async def advance(self, head: Checkpoint, *kept: Checkpoint | None) -> RemoteTree:
        """Follow the root log up to `head`, a verified head of it; returns its tree.

        1. `rollback`: it is not smaller than any of `kept`, verified heads that are known from elsewhere.
        2. `history`: it begins with the leaves of each, and with those that the state says were followed.
        3. Segment by segment: every leaf follows the rules, every stream head extends the one before.
        """
        before = self._state.root
        tree = RemoteTree(self._fetcher, head.size, head.root, origin=self._origin)
        for one in kept:
            if one is None:
                continue
            if head.size < one.size:
                detail = f"a head of {one.size} leaves was signed, and now it is one of {head.size}"
                raise RuleBroken("rollback", detail, origin=self._origin)
            # Two roots of one size contradict each other whatever the tiles show.
            same = head.root if head.size == one.size else await tree.root_at(one.size)
            if same != one.root:
                detail = f"its first {one.size} leaves are not those that were signed before"
                raise RuleBroken("history", detail, origin=self._origin)
        await tree.check()
        self.tree = tree
        if head.size < before.size or await tree.root_at(before.size) != before.root():
            raise InvalidInput("state-unusable", f"{before.size} other leaves are remembered")
        await self._opinion(tree, before.size)
        while self._state.root.size < head.size:
            end = min(head.size, self._state.root.size + self._segment)
            await self._follow(tree, end)
        self.counts.tiles += tree.tiles_read
        return tree

    async def visit(self, labels: Iterable[str]) -> None:
        """Check streams up to their newest head in the state, whose trails or readers are behind it."""
        waiting: dict[str, deque[StreamHead]] = {label: deque() for label in labels}
        state = self._state
        state.advance(state.root, {}, await self._streams(waiting, state.heads))

    async def _follow(self, tree: RemoteTree, end: int) -> None:
        state = self._state
        heads = ChainMap[str, StreamHead]({}, state.heads)
        rules = RootLogRules(self._origin, state.root.size, heads)
        root = unpack_frontier(*state.root)
        waiting: dict[str, deque[StreamHead]] = {}
        async with aclosing(tree.walk(state.root.size, end, entries=True)) as chunks:
            async for chunk in chunks:
                for index, leaf in enumerate(chunk.entries or [], chunk.first):
                    followed = rules.follow(index, leaf)
                    if followed.label is None:
                        continue
                    self._seen(followed.label, followed.head)
                    if self._wanted(followed.label):
                        waiting.setdefault(followed.label, deque()).append(followed.head)
                extend(root, chunk.leaf_hashes, deque(), self._origin)
                self._progress("root log", root.size, tree.size)
        touched = dict(heads.maps[0])
        trails = await self._streams(waiting, touched)
        self.counts.root_leaves += end - state.root.size
        state.advance(Trail(end, pack_frontier(root)), touched, trails)

    async def _streams(
        self, waiting: dict[str, deque[StreamHead]], heads: Mapping[str, StreamHead]
    ) -> dict[str, Trail]:
        trails: dict[str, Trail] = {}
        known = self._state.trails
        total = sum(heads[label].size - known.get(label, Trail()).size for label in waiting)
        done = self.counts.leaves

        async def check(label: str) -> None:
            trails[label] = await self._stream(label, heads[label], waiting[label])

        def report() -> None:
            self._progress("streams", self.counts.leaves - done, total)

        self._report = report
        await each(waiting, check, self._parallel)
        return trails

    async def _stream(self, label: str, newest: StreamHead, heads: deque[StreamHead]) -> Trail:
        """Check a stream from its trail to `newest`, against each of `heads` on the way."""
        origin = stream_origin(self._origin, label)
        trail = self._state.trails.get(label, Trail())
        grown = unpack_frontier(*trail)
        reader = None if self._reader is None else await self._reader(label, newest)
        start = trail.size if reader is None else min(trail.size, reader.start)
        fetcher = self._fetcher.under(f"streams/{label}")
        tree = RemoteTree(fetcher, newest.size, newest.root, origin=origin)
        if not heads and trail.size < newest.size:
            heads.append(newest)
        if trail.size > newest.size or (heads and trail.size >= heads[0].size):
            raise InvalidInput("state-unusable", f"{trail.size} leaves of {origin} are remembered")
        self.counts.heads += len(heads)
        self.counts.streams += 1
        walk = tree.walk(start, newest.size, entries=reader is not None)
        async with aclosing(walk) as chunks:
            async for chunk in chunks:
                new = max(0, trail.size - chunk.first)
                extend(grown, chunk.leaf_hashes[new:], heads, origin)
                if reader is not None and chunk.entries is not None:
                    known = max(0, reader.start - chunk.first)
                    await reader.take(chunk.first + known, chunk.entries[known:])
                    self.counts.entries += len(chunk.entries) - known
                self.counts.leaves += len(chunk.leaf_hashes[new:])
                self._report()
        if heads or grown.root() != newest.root:
            raise InvalidInput("state-unusable", f"another head of {origin} is remembered")
        await self._opinion(tree, trail.size)
        self.counts.tiles += tree.tiles_read
        return Trail(grown.size, pack_frontier(grown))


async def _none(tree: RemoteTree, start: int) -> None:
    """No second opinion."""


async def each(items: Iterable[T], work: Callable[[T], Awaitable[None]], parallel: int) -> None:
    """Do `work` for every item, `parallel` at once; the first failure ends all of it and is raised."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    workers = [asyncio.create_task(worker()) for _ in range(parallel)]
    try:
        await asyncio.gather(*workers)
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
