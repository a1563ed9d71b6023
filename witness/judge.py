"""Judging one head: it is compared with the newest that is known of its origin, in bounded time.

In scope: what it is compared with, and how long a log may take to show its tiles. Out of scope: the comparison itself
(`compare`), what follows from it (`watch`).
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple, TypeAlias

from witness.compare import Answer, Compared, Comparer
from witness.notes import Notes, Signed
from witness.offload import off_loop

#: Seconds that one look at a head may take, and all looks at those of one log in one go.
LONGEST_LOOK = 15.0
LONGEST_LOOKS = 30.0


class Waiting(NamedTuple):
    """A head that is not compared yet; `since` in seconds of the steady clock."""

    signed: Signed
    source: str
    since: float


Stuck: TypeAlias = tuple[Waiting, Compared, "Signed | None"]
"""What could not be compared, why, and with what."""


class Judge:
    """On one event loop."""

    def __init__(self, comparer: Comparer, notes: Notes) -> None:
        self._comparer = comparer
        self._notes = notes

    async def judge(self, signed: Signed) -> tuple[Compared, Signed | None]:
        """What a head comes to, and what it was compared with.

        One log that answers slowly must not keep the round waiting in which others are caught.
        """
        try:
            return await asyncio.wait_for(self._judge(signed), LONGEST_LOOK)
        except asyncio.TimeoutError:
            return _late(), None

    async def alone(self, signed: Signed) -> Compared:
        """Whether the log serves the tiles that a head implies, as they are now, in the same bounded time."""
        self._comparer.forget(signed)
        try:
            return await asyncio.wait_for(self._comparer.alone(signed), LONGEST_LOOK)
        except asyncio.TimeoutError:
            return _late()

    async def _judge(self, signed: Signed) -> tuple[Compared, Signed | None]:
        row = await off_loop(self._notes.newest, signed.head.origin)
        if row is not None:
            base = Signed.of(signed.log, row)
            return await self._comparer.compare(base, signed), base
        if not signed.log.url:
            return Compared(Answer.CONSISTENT), None
        return await self._comparer.alone(signed), None


def _late() -> Compared:
    return Compared(Answer.UNREACHABLE, detail="its tiles did not come in time")
