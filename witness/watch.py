"""Watching: every note that arrives is compared with what is known of its origin, and what cannot be true is kept.

Two heads that cannot both be true become a fork proof, kept before anything else is done, and the log is frozen. A head
that the log does not bear out by its tiles is kept as `withheld`: no proof, but somebody must look.
In scope: which notes count, what is compared with what, all of it bounded. Out of scope: the comparison itself (`compare`),
where notes come from and who is told (`gossip`), the store of evidence (`evidence`).

Nothing is believed: a note counts when a key of a configured log signed it, a fork proof when it verifies.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from tlog.core.canonical import canonical
from tlog.core.checkpoint import Checkpoint
from tlog.core.fork_text import describe
from tlog.core.wire import b64encode
from witness.alarms import Alarms
from witness.compare import Answer, Compared, Comparer, accept, contradiction, named_heads
from witness.evidence import CONFLICT, FORK, WITHHELD, EvidenceStore
from witness.judge import LONGEST_LOOKS, Judge, Stuck, Waiting
from witness.notes import Notes, Place, Signed, open_signed
from witness.offload import off_loop
from witness.rows import LogRow, whole_log
from witness.store import Store

#: Heads of one log that wait for a comparison; the oldest gives way.
MOST_WAITING = 64
#: Heads that are remembered, so that another root of their size is seen without asking the log.
MOST_SEEN = 4096


class Watch:
    """One per process, on its event loop; `close` it. `news` is set when there is something to compare or to tell."""

    def __init__(
        self,
        store: Store,
        alarms: Alarms,
        *,
        timeout: float = 5.0,
        patience: float = 60.0,
        second_look: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Seconds: `timeout` of a request, `patience` with who does not answer, until a `second_look` before any word."""
        self.store = store
        self.alarms = alarms
        self.evidence = EvidenceStore(store, clock)
        self.notes = Notes(store)
        self.comparer = Comparer(timeout)
        self._judge = Judge(self.comparer, self.notes)
        self.news = asyncio.Event()
        self.looked_at = self.dropped = 0
        self._patience = patience
        self._second_look = second_look
        self._clock = clock
        self._seen: OrderedDict[tuple[str, int], Signed] = OrderedDict()
        self._waiting: dict[str, OrderedDict[Place, Waiting]] = {}
        self._tried: set[Place] = set()
        self._withheld: set[Place] = set()
        self._turns: dict[str, asyncio.Lock] = {}

    async def close(self) -> None:
        """Close all connections."""
        await self.comparer.close()

    def waiting(self) -> list[Signed]:
        """Heads that wait for a comparison."""
        return [one.signed for waiting in self._waiting.values() for one in waiting.values()]

    async def take(self, notes: Iterable[bytes], source: str) -> int:
        """Look at notes from anywhere; how many of them count. What is new is compared by `settle`."""
        given = list(notes)
        opened = await off_loop(self._open, given)
        self.dropped += len(given) - len(opened)
        self.looked_at += len(opened)
        for signed, known in opened:
            await self._consider(signed, known, source)
        return len(opened)

    async def take_forks(self, documents: Iterable[bytes], source: str) -> int:
        """Look at fork proofs from anywhere; how many hold and were not known."""
        fresh = 0
        for document in documents:
            accepted = await off_loop(accept, document, self.store.log)
            if accepted is None:
                self.dropped += 1
                continue
            log, fork, bare = accepted
            heads = named_heads(fork)
            settled = await off_loop(self.evidence.settled, log.origin)
            if not {(head.origin, head.size, head.root) for head in heads} <= settled:
                fresh += await self._convict(log, FORK, bare, describe(fork), heads, source)
        return fresh

    async def settle(self, *, again: bool = False) -> None:
        """Compare what waits, each log by itself; `again`: also what was tried before and came to nothing."""
        if again:
            self._tried.clear()
        logs = [log for log, waiting in self._waiting.items() if waiting]
        await asyncio.gather(*[self._settle_log(log) for log in logs])

    async def look_back(self, log: LogRow, note: bytes) -> None:
        """Where a log publishes less than it signed before: does it still serve the tiles of that?"""
        shown = await off_loop(open_signed, note, self.store.log)
        row = await off_loop(self.notes.newest, log.origin)
        if shown is None or row is None or shown.head.size >= row.size:
            return
        known = Signed.of(log, row)
        compared = await self._judge.alone(known)
        if compared.answer is Answer.WITHHELD and known.place not in self._withheld:
            await asyncio.sleep(self._second_look)
            compared = await self._judge.alone(known)
        if compared.answer is Answer.WITHHELD:
            await self._withhold(Waiting(known, log.url, 0.0), shown, compared.detail)

    # --- What comes in -----------------------------------------------------------------------------

    def _open(self, notes: list[bytes]) -> list[tuple[Signed, list[Signed]]]:
        """The notes that count, each with what the store has of its origin: newest by gossip, newest cosigned."""
        found = []
        for data in notes:
            signed = open_signed(data, self.store.log)
            if signed is None:
                continue
            origin = signed.head.origin
            rows = (self.notes.newest(origin), self.store.latest(origin))
            known = [Signed.of(signed.log, row) for row in rows if row is not None]
            if not self._halted(signed, known):
                found.append((signed, known))
        return found

    def _halted(self, signed: Signed, known: list[Signed]) -> bool:
        """Whether the log is frozen, or the operator has settled what this head shows: then only ours counts."""
        with self.store.read() as txn:
            if self.store.frozen(txn, signed.head.origin) is not None:
                return True
        ours = any(signed.place == one.place for one in known)
        return not ours and signed.place in self.evidence.settled(signed.log.origin)

    async def _consider(self, signed: Signed, known: list[Signed], source: str) -> None:
        """Another root for a size that is known is a fork; what is new waits for the log's tiles."""
        head = signed.head
        seen = self._seen.get((head.origin, head.size))
        for other in known if seen is None else [*known, seen]:
            if other.head.size == head.size and other.head.root != head.root:
                await self._accuse(contradiction(other, signed, []), other, signed, source)
                return
        if seen is not None:
            return
        self._seen[head.origin, head.size] = signed
        if len(self._seen) > MOST_SEEN:
            self._seen.popitem(last=False)
        waiting = self._waiting.setdefault(signed.log.origin, OrderedDict())
        waiting[signed.place] = Waiting(signed, source, time.monotonic())
        if len(waiting) > MOST_WAITING:
            _, dropped = waiting.popitem(last=False)
            self._seen.pop((dropped.signed.head.origin, dropped.signed.head.size), None)
        self.news.set()

    # --- Comparing ---------------------------------------------------------------------------------

    async def _settle_log(self, log: str) -> None:
        async with self._turns.setdefault(log, asyncio.Lock()):
            waiting = self._waiting.get(log, OrderedDict())
            due = [one for place, one in waiting.items() if place not in self._tried]
            stuck: list[Stuck] = []
            while due:
                stuck, moved = await self._compare_all(due)
                # What nothing was known to compare with, or too little, may have it now.
                due = list(waiting.values()) if moved and stuck else []
            new = [one for one, compared, _ in stuck if self._is_new(compared, one)]
            if new:
                # A server that starts again, or a cache, may have said so: nothing is held against a log for one answer.
                await asyncio.sleep(self._second_look)
                rest = [entry for entry in stuck if entry[0] not in new]
                stuck = rest + (await self._compare_all(new))[0]
            for one, compared, base in stuck:
                self._tried.add(one.signed.place)
                if self._had_its_chance(compared, one):
                    await self._withhold(one, base, compared.detail)

    def _is_new(self, compared: Compared, one: Waiting) -> bool:
        return compared.answer is Answer.WITHHELD and one.signed.place not in self._withheld

    async def _compare_all(self, due: list[Waiting]) -> tuple[list[Stuck], bool]:
        """One look at each, smallest first; what came to nothing, and whether a newest head changed."""
        stuck: list[Stuck] = []
        moved = False
        until = time.monotonic() + LONGEST_LOOKS
        for one in sorted(due, key=lambda one: one.signed.head.size):
            if time.monotonic() >= until:
                break  # another time: who was not asked has not been silent
            signed = one.signed
            compared, base = await self._judge.judge(signed)
            if compared.answer is Answer.FORK and base is not None:
                await self._accuse(compared, base, signed, one.source)
                return [], False
            if compared.answer is not Answer.CONSISTENT:
                stuck.append((one, compared, base))
                continue
            self._waiting.get(signed.log.origin, OrderedDict()).pop(signed.place, None)
            self._tried.discard(signed.place)
            self._withheld.discard(signed.place)
            await off_loop(self.evidence.borne_out, signed.log.origin, signed.place)
            moved |= await off_loop(self.notes.keep, signed, int(self._clock()))
        return stuck, moved

    def _had_its_chance(self, compared: Compared, one: Waiting) -> bool:
        """Whether the log served what does not fit, or did not answer for too long."""
        if not one.signed.log.url:
            return False
        late = time.monotonic() - one.since > self._patience
        return compared.answer is Answer.WITHHELD or late

    # --- What follows ------------------------------------------------------------------------------

    async def _withhold(self, one: Waiting, base: Signed | None, detail: str) -> None:
        place, log = one.signed.place, one.signed.log
        if place in self._withheld:
            return
        if len(self._withheld) >= MOST_SEEN:
            self._withheld.clear()
        self._withheld.add(place)
        rows = await off_loop(self.evidence.of, log.origin)
        if any(row.kind == WITHHELD and place in row.heads for row in rows):
            return
        notes = [signed.note.decode() for signed in (one.signed, base) if signed is not None]
        document = canonical({"type": WITHHELD, "version": 1, "checkpoints": notes})
        lines = [
            f"{log.origin} does not bear out a head that it signed: {detail}",
            _line(one.signed),
        ]
        if base is not None:
            lines.append(f"known before: {_line(base)}")
        heads = [one.signed.head]
        found = await off_loop(
            self.evidence.keep,
            document,
            log.origin,
            kind=WITHHELD,
            summary=lines,
            heads=heads,
            source=one.source,
        )
        self.alarms.raise_(WITHHELD, log.origin, found, lines)

    async def _accuse(self, compared: Compared, one: Signed, other: Signed, source: str) -> None:
        """Two heads that cannot both be true; without a document, two keys of the log signed them."""
        heads = [one.head, other.head]
        accepted = None
        if compared.document is not None:
            accepted = await off_loop(accept, compared.document, self.store.log)
        if accepted is not None:
            log, fork, document = accepted
            await self._convict(log, FORK, document, describe(fork), heads, source)
            return
        notes = [signed.note.decode() for signed in (one, other)]
        document = canonical({"type": CONFLICT, "version": 1, "checkpoints": notes})
        lines = ["two heads of one size were signed, with two keys", _line(one), _line(other)]
        await self._convict(one.log, CONFLICT, document, lines, heads, source)

    async def _convict(
        self,
        log: LogRow,
        kind: str,
        document: bytes,
        lines: list[str],
        heads: list[Checkpoint],
        source: str,
    ) -> bool:
        found, fresh = await off_loop(
            self.evidence.convict,
            document,
            log.origin,
            kind=kind,
            summary=lines,
            heads=heads,
            source=source,
        )
        if fresh:
            self._waiting.pop(log.origin, None)
            # Should the operator go on with this log, it is not held against it which history we saw.
            for place in [one for one in self._seen if whole_log(one[0]) == log.origin]:
                del self._seen[place]
            self.alarms.raise_(kind, log.origin, found, lines)
            self.news.set()
        return fresh


def _line(signed: Signed) -> str:
    head = signed.head
    return f"{head.origin} size {head.size}, root {b64encode(head.root)}"
