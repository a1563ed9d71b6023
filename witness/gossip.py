"""Gossip: witnesses and monitors tell one another the newest notes that they verified, so that no log can show two faces.

One round: read what every log publishes, ask every peer, compare, tell every peer. In between, what peers and clients
push is compared at once, and a fork proof goes to every peer as soon as it is found.
In scope: the rounds, what is told to whom. Out of scope: what is made of it (`watch`), the message (`peers`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from tlog.core.fork import MAX_DOCUMENT
from tlog.errors import TlogError
from witness.evidence import CONFLICT, FORK
from witness.offload import off_loop
from witness.peers import MAX_FORKS, Message, Peers
from witness.rows import LatestRow, LogRow
from witness.watch import Watch

logger = logging.getLogger(__name__)

# Called when it is its turn: what is cancelled before that has not begun.
Step = Callable[[], Awaitable[None]]

_PARALLEL = 16
#: Seconds after which a peer is asked for no further document in this round.
_LONGEST_ASK = 5.0


class Gossip:
    """One per process, on its event loop. `run` it, or call `round`; `close` it."""

    def __init__(self, watch: Watch, peers: Peers, *, interval: float = 10.0) -> None:
        """`interval` between rounds in seconds."""
        self.watch = watch
        self.peers = peers
        self.rounds = 0
        #: Pages of logs and peers that could not be read in the last round.
        self.unread = 0
        self._interval = interval
        self._told: dict[str, set[str]] = {url: set() for url in peers.urls}
        #: Of each peer: ids that came to nothing, and the round in which they were asked for last.
        self._asked: dict[str, dict[str, int]] = {}

    async def close(self) -> None:
        """Close all connections."""
        await self.watch.close()
        await self.peers.close()

    async def run(self) -> None:
        """Rounds, and in between whatever is pushed, until cancelled. What was found before is told again first."""
        for row in await off_loop(self.watch.evidence.all):
            if row.kind in {FORK, CONFLICT} and not row.resolved:
                self.watch.alarms.raise_(row.kind, row.log, row.id, row.summary)
        due = 0.0
        while True:
            try:
                if time.monotonic() >= due:
                    due = time.monotonic() + self._interval
                    await self.round()
                else:
                    await self.pushed()
            except Exception as error:
                # Whatever it is: a witness that stops to listen without a word is worse than one that complains.
                logger.critical("gossip failed; it goes on", exc_info=error)
            await self._rest(due - time.monotonic())

    async def _rest(self, seconds: float) -> None:
        """Until there is news, but not longer. Not by wait_for: it forgets a cancellation that comes with the news."""
        news = asyncio.create_task(self.watch.news.wait())
        try:
            await asyncio.wait({news}, timeout=max(0.0, seconds))
        finally:
            news.cancel()

    async def pushed(self) -> None:
        """Compare what arrived, and tell the peers of forks."""
        self.watch.news.clear()
        await self.watch.settle()
        await self._tell(only_forks=True)

    async def round(self) -> None:
        """Read logs and peers, compare, tell. What does not answer is left out."""
        store = self.watch.store
        self.watch.news.clear()
        latest = await off_loop(store.all, "latest", LatestRow)
        await self.watch.take([row.note for row in latest], "what this witness cosigned")
        logs = await off_loop(store.all, "logs", LogRow)
        gate = asyncio.Semaphore(_PARALLEL)

        async def gated(step: Step, name: str) -> bool:
            async with gate:
                return await _tried(step, name)

        steps = [gated(partial(self._look, log), log.url) for log in logs if log.url]
        steps += [gated(partial(self._ask, url), url) for url in self.peers.urls]
        self.unread = (await asyncio.gather(*steps)).count(False)
        await self.watch.settle(again=True)
        await self._tell()
        self.rounds += 1

    async def _look(self, log: LogRow) -> None:
        """What a log publishes."""
        note = await self.watch.comparer.fetcher(log).checkpoint()
        await self.watch.take([note], log.url)
        await self.watch.look_back(log, note)

    async def _ask(self, url: str) -> None:
        """What a peer has."""
        message = await self.peers.pull(url)
        await self.watch.take(message.notes, url)
        self._told[url] |= set(message.evidence)
        known = {row.id for row in await off_loop(self.watch.evidence.all)}
        unknown = [one for one in message.evidence if one not in known]
        # It may follow logs that are unknown here. What was of no use before, or slow, keeps nothing else waiting.
        before = self._asked.get(url, {})
        unknown.sort(key=lambda one: before.get(one, -1))
        asked = self._asked[url] = {one: before[one] for one in unknown if one in before}
        until = time.monotonic() + _LONGEST_ASK
        for identifier in unknown[:MAX_FORKS]:
            asked[identifier] = self.rounds
            document = await self.peers.document(url, identifier)
            await self.watch.take_forks([document], url)
            if time.monotonic() >= until:
                break  # nobody else's fork shall wait for this peer

    async def _tell(self, *, only_forks: bool = False) -> None:
        """Send every peer what it is not known to have."""

        async def one(url: str) -> None:
            told = self._told[url]
            message, ids = await off_loop(self._news, told)
            while ids or not only_forks:
                await self.peers.push(url, message)
                told |= set(ids)
                message, ids = await off_loop(self._news, told)
                if not ids:
                    return

        await asyncio.gather(*[_tried(partial(one, url), url) for url in self.peers.urls])

    def message(self) -> Message:
        """What a peer is told that asks: notes, and the ids of fork proofs."""
        return Message(self._notes(), (), tuple(identifier for identifier, _ in self._forks()))

    def _news(self, told: Iterable[str]) -> tuple[Message, list[str]]:
        known, room = set(told), MAX_DOCUMENT
        fresh: list[tuple[str, bytes]] = []
        for identifier, document in self._forks():
            if identifier not in known and len(fresh) < MAX_FORKS and len(document) <= room:
                fresh.append((identifier, document))
                room -= len(document)
        return Message(self._notes(), tuple(one for _, one in fresh)), [one for one, _ in fresh]

    def _notes(self) -> tuple[bytes, ...]:
        """Those first that wait for somebody who can compare them."""
        waiting = [signed.note for signed in self.watch.waiting()]
        return (*waiting, *[row.note for row in self.watch.notes.all()])

    def _forks(self) -> list[tuple[str, bytes]]:
        rows = self.watch.evidence.all()
        return [(row.id, row.document) for row in rows if row.kind == FORK and not row.resolved]


async def _tried(step: Step, name: str) -> bool:
    """Whether the step could be done; what hindered it is logged."""
    try:
        await step()
    except TlogError as error:
        logger.warning("cannot gossip with %s: %s", name, error.detail)
        return False
    return True
