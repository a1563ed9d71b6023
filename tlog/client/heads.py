"""The root heads that this client has seen are one history, or it says so.

Source: design §4; RFC 6962 section 2.1.2. A log that shows two histories signs two heads of which neither
extends the other. Whoever keeps the newest head and demands a consistency proof from every later one
cannot be moved from one history to another, not even between two runs of the program.

Heads come with every receipt, so they are collected, and checked as a chain from the newest one kept:
1. Two heads of one size have one root: checked at once.  2. At most once per `interval`, and whenever
`check` is called, each collected head must be consistent with the next one.  3. Only then is the largest
kept, durably; other processes that share the directory are held to the same history through the file.
4. What was caught once is not believed again, by no later run, until somebody removes the file that remembers it: the
next run might see one of the two histories only.

Out of scope: that the history is the one that others see (witnesses, `tlog.verdicts`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise

import orjson

from tlog.client.errors import ForkDetected
from tlog.client.pins import Head, Pins
from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import EMPTY_ROOT, Hash
from tlog.core.note import Verifier
from tlog.core.proofs import verify_consistency
from tlog.core.wire import b64encode
from tlog.errors import InvalidInput, Refused, VerificationError

# At most this many heads are checked per interval. A log under load signs one per commit and would be asked
# for a proof of each; of more, the newest and others spread evenly are. A false head among them is found with that
# much less certainty here; its receipt, which is signed, convicts it whenever somebody compares it.
MAX_PROOFS = 32
_REMEMBERED = 1024

# The consistency proof of the root log from one size to a larger one, in the order of RFC 6962; raises
# VerificationError for what is no list of hashes.
Prove = Callable[[int, int], Awaitable[list[Hash]]]


class HeadKeeper:
    """The newest root head of one log, kept in `pins`. Belongs to one event loop."""

    def __init__(
        self,
        pins: Pins,
        log: Verifier,
        prove: Prove,
        *,
        interval: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises StateUnusable when the kept head cannot be believed, ForkDetected when the log was caught before."""
        pins.refuse_forked(log)
        self._pins = pins
        self._log = log
        self._prove = prove
        self._interval = interval
        self._clock = clock
        self._checking = asyncio.Lock()
        self._last_check = clock()
        self._seen: dict[int, Head] = {}
        self._pending: dict[int, Head] = {}
        self.newest = pins.head(log)
        if self.newest is not None:
            self._seen[self.newest.size] = self.newest

    def observe(self, checkpoint: Checkpoint, note: bytes) -> None:
        """Take a head whose signature was verified. Raises ForkDetected when its size has another root."""
        head = Head(checkpoint, note)
        known = self._seen.get(head.size)
        if known is not None:
            if known.checkpoint.root != checkpoint.root:
                raise self._fork(known, head, "one size and two roots")
            return
        self._seen[head.size] = self._pending[head.size] = head
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]

    @property
    def wait(self) -> float | None:
        """Seconds until collected heads should be checked, None when there are none."""
        if not self._pending:
            return None
        return max(0.0, self._last_check + self._interval - self._clock())

    async def check(self) -> None:
        """Demand consistency of all collected heads and keep the largest.

        Raises:
            ForkDetected: a proof fails, or the log refuses to give one.
            Unavailable, BadAnswer, StateUnusable: could not ask, or not keep; the heads stay collected.
        """
        async with self._checking:
            self._last_check = self._clock()
            while self._pending:
                await self._check_collected()

    async def _check_collected(self) -> None:
        collected = dict(self._pending)
        chain = spread([collected[size] for size in sorted(collected)], MAX_PROOFS)
        if self.newest is not None:
            chain = sorted([*chain, self.newest], key=lambda head: head.size)
        for older, newer in pairwise(chain):
            await self._demand(older, newer)
        # If it cannot be kept, all stay collected, and are checked and kept another time.
        other = await asyncio.to_thread(self._pins.advance, self._log, chain[-1])
        self.newest = chain[-1]
        for size, head in collected.items():
            if self._pending.get(size) is head:
                del self._pending[size]
        if other is not None:
            self.observe(other.checkpoint, other.note)

    async def _demand(self, older: Head, newer: Head) -> None:
        if older.size == newer.size:
            if older.checkpoint.root != newer.checkpoint.root:
                raise self._fork(older, newer, "one size and two roots")
            return
        if older.size == 0:
            # Every tree extends the empty one, and RFC 6962 has no proof from it.
            if older.checkpoint.root != EMPTY_ROOT:
                raise self._fork(older, newer, "the empty tree has one root")
            return
        roots = older.checkpoint.root, newer.checkpoint.root
        proof = None
        try:
            proof = await self._prove(older.size, newer.size)
            verify_consistency(older.size, newer.size, proof, *roots)
        except VerificationError:
            raise self._fork(older, newer, "the proof fails", proof) from None
        except (InvalidInput, Refused) as error:
            # A log that lost what it signed, or took it back, has no proof to give: that is a failed proof.
            raise self._fork(older, newer, f"no proof: {error.kind}: {error.detail}") from error

    def _fork(
        self, older: Head, newer: Head, what: str, proof: Sequence[Hash] | None = None
    ) -> ForkDetected:
        document = {
            "found": what,
            "vkey": self._log.vkey,
            "first": older.note.decode(),
            "second": newer.note.decode(),
            "proof": None if proof is None else [b64encode(node) for node in proof],
        }
        data = orjson.dumps(document, option=orjson.OPT_INDENT_2)
        path = self._pins.save_fork(self._log, data)
        sizes = f"{older.size} and {newer.size}"
        return ForkDetected(
            f"{self._log.name} signed root heads of sizes {sizes} that are not one history ({what})",
            path,
        )


def spread(heads: list[Head], limit: int) -> list[Head]:
    """At most `limit` of the heads: the last, and others at even distances."""
    if len(heads) <= limit:
        return heads
    return [heads[(number + 1) * len(heads) // limit - 1] for number in range(limit)]
