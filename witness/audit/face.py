"""The face that a log shows: its checkpoint, and the time that it claims. What is wrong with it becomes a sign.

In scope: what one look tells, compared with the looks before. Out of scope: whether what is shown is true (`auditor`), and
whether others are shown the same (gossip, which is told).
"""

from __future__ import annotations

import time
from typing import NamedTuple

import orjson

from tlog.client.fetch import Fetcher
from tlog.core.checkpoint import MAX_SIZE, Checkpoint, parse_checkpoint
from tlog.core.note import Verifier, open_note, parse_vkey
from tlog.core.times import parse_time
from tlog.errors import InvalidInput, Refused, Unavailable, VerificationError
from witness.audit import signs
from witness.audit.office import HeadOffice
from witness.audit.rows import LogState
from witness.audit.signs import Signs
from witness.rows import LogRow

AHEAD_SECONDS = 60.0
"""A log's clock further ahead of ours is wrong, or ours is."""
BACK_MS = 1000
"""Milliseconds by which a log's clock may go back between two of its streams (design §2.1)."""
NO_CLAIM_SECONDS = 60.0
"""How long a log that claims no time is not asked for one again."""
_STH = "api/v1/sth"
_MAX_STH = 1 << 16
_CHECKPOINT = "checkpoint"


class Head(NamedTuple):
    """A checkpoint of the log that `key` signed; `note` has no lines but the log's verified ones."""

    checkpoint: Checkpoint
    note: bytes
    key: Verifier


def load_keys(log: LogRow) -> list[Verifier]:
    """The keys of a log. Raises: InvalidInput."""
    return [parse_vkey(vkey) for vkey in log.vkeys]


def open_head(data: bytes, log: LogRow, keys: list[Verifier]) -> Head:
    """Verify a note of the log itself. Raises: InvalidInput, VerificationError."""
    note = open_note(data, keys)
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.origin != log.origin:
        raise VerificationError
    by = {(one.name, one.key_id) for one in note.signatures}
    key = next(key for key in keys if (key.name, key.key_id) in by)
    return Head(checkpoint, note.only_verified(), key)


def parse_claim(document: bytes) -> tuple[int, int]:
    """Size and Unix milliseconds that a log claims for its newest head (`GET /api/v1/sth`).

    Raises: InvalidInput (bad-answer).
    """
    try:
        head = orjson.loads(document)
        size, text = head["tree_size"], head["timestamp"]
        if type(size) is not int or not 0 <= size <= MAX_SIZE or type(text) is not str:
            raise TypeError
        return size, parse_time(text)
    except (ValueError, KeyError, TypeError, InvalidInput):
        raise InvalidInput("bad-answer", "not a tree head of this kind of log") from None


class Face:
    """Of one log."""

    def __init__(
        self,
        log: LogRow,
        state: LogState,
        office: HeadOffice,
        trouble: Signs,
        fetcher: Fetcher,
        heartbeat: float,
    ) -> None:
        """`heartbeat`: seconds of silence after which a log that sends checkpoints counts as stalled."""
        self.log = log
        self.keys = load_keys(log)
        self._state = state
        self._office = office
        self._signs = trouble
        self.fetcher = fetcher
        self._heartbeat = heartbeat
        self._told = b""
        self._owed = 0
        self._ask_clock = 0.0

    async def look(self) -> Head | None:
        """What the log shows as its checkpoint now, None if that is nothing to go by."""
        began = time.monotonic()
        try:
            data = await self.fetcher.checkpoint()
        except (Unavailable, Refused, InvalidInput) as error:
            self._signs.seen(signs.UNREACHABLE, error.detail, about=_CHECKPOINT, since=began)
            return None
        self._signs.gone(signs.UNREACHABLE, about=_CHECKPOINT)
        try:
            head = open_head(data, self.log, self.keys)
        except (InvalidInput, VerificationError):
            detail = f"what {self.fetcher.prefix}checkpoint shows is not signed by a known key of the log"
            self._signs.seen(signs.UNSIGNED, detail)
            return None
        self._signs.gone(signs.UNSIGNED)
        self._compare_with_past(head.checkpoint)
        if head.note != self._told:
            self._office.tell([head.note])
            self._told = head.note
        await self._look_at_clock()
        return head

    def _compare_with_past(self, shown: Checkpoint) -> None:
        row = self._state.row
        if shown.size < row.shown:
            detail = f"it showed a head of {row.shown} leaves, and now it shows one of {shown.size}"
            self._signs.seen(signs.SHRUNK, detail)
        else:
            self._signs.gone(signs.SHRUNK)
        if shown.size > row.shown:
            self._state.change(shown=shown.size)
        self._look_for_stall(shown)

    def _look_for_stall(self, shown: Checkpoint) -> None:
        latest = self._office.latest(self.log.origin)
        silent = self._office.silent_for(self.log.origin)
        if latest is not None and latest.size > shown.size:
            # A busy log always signs a moment before it shows: it stalls if one and the same head stays unseen.
            if shown.size >= self._owed:
                self._owed = latest.size
                self._signs.gone(signs.STALLED)
            detail = f"it signed a head of {self._owed} leaves, and shows one of {shown.size}"
            self._signs.seen(signs.STALLED, detail)
        elif silent > self._heartbeat:
            self._signs.seen(signs.STALLED, f"it sent no checkpoint for {silent:.0f} s")
        else:
            self._signs.gone(signs.STALLED)

    async def _look_at_clock(self) -> None:
        """The time of its newest head that the log claims, if it is one that claims any."""
        now = time.monotonic()
        if now < self._ask_clock:
            return
        row = self._state.row
        try:
            size, claimed = parse_claim(await self.fetcher.resource(_STH, _MAX_STH))
        except Unavailable:
            return
        except (Refused, InvalidInput):
            # Another kind of log, or one that had better not be asked.
            self._ask_clock = 0.0 if row.clock else now + NO_CLAIM_SECONDS
            return
        ahead = claimed / 1000 - time.time()
        if ahead > AHEAD_SECONDS:
            self._signs.seen(signs.CLOCK_AHEAD, f"its clock is {ahead:.0f} s ahead of ours")
            return
        self._signs.gone(signs.CLOCK_AHEAD)
        if size < row.clock_size:
            return  # a copy that is older, and as old as it says
        if claimed < row.clock - BACK_MS:
            detail = f"its clock went from {row.clock} back to {claimed} (Unix milliseconds)"
            self._signs.seen(signs.CLOCK_REWOUND, detail)
            return
        self._signs.gone(signs.CLOCK_REWOUND)
        if size > row.clock_size or claimed > row.clock:
            self._state.change(clock=max(claimed, row.clock), clock_size=size)
