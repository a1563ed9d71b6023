"""Anchoring: what is due is stamped, what was stamped is delivered; what fails is tried again, ever later, for ever.

Its own task with its own connections: an authority or a log that does not answer delays anchors and nothing else. Each
reply is accepted by all checks of `tlog.core.timestamp`, or counts as none.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import orjson

from tlog.core.timestamp import Roots, accept, build_request
from tlog.core.wire import b64encode
from tlog.errors import InvalidInput, TlogError, VerificationError
from witness.anchor import DAY, AnchorRow, AnchorStore, Due, key_of, load_roots
from witness.config import Config
from witness.offload import off_loop
from witness.rows import LogRow
from witness.store import Store
from witness.tsa import TsaClient

logger = logging.getLogger(__name__)

_FIRST_WAIT = 30.0
_LONGEST_WAIT = 3600.0
#: Seconds between two looks at what is due.
LOOK = 5.0
#: How long a log is offered an anchor that it does not take.
_OFFERED_MS = 30 * DAY * 1000
_MAX_ANSWER = 65536


class Retry(NamedTuple):
    """When something may be tried again (steady clock), and how long to wait after that."""

    at: float
    wait: float


class Standing(NamedTuple):
    """Anchors in the store, those of them that a log has not taken yet, and what fails and is tried again:
    `<authority> <log>`, or `delivery <log>`.
    """

    stored: int
    undelivered: int
    failing: tuple[str, ...]


class Anchorer:
    """On one event loop; `run` it as a task, `close` it afterwards. Raises: InvalidInput (config) for roots that are none."""

    def __init__(
        self,
        directory: Path,
        settings: Config,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        first_wait: float = _FIRST_WAIT,
    ) -> None:
        self.anchors = AnchorStore(store)
        self._store = store
        self._settings = settings
        self._roots: dict[str, Roots] = {
            tsa.name: load_roots(directory, tsa) for tsa in settings.tsa
        }
        self._clock = clock
        self._first_wait = first_wait
        self._client = TsaClient(settings.tsa_timeout)
        self._later: dict[tuple[str, str], Retry] = {}
        self._refused: set[bytes] = set()

    async def run(self) -> None:
        """Anchor and deliver until cancelled."""
        while True:
            try:
                await self.round()
            except Exception:
                # Whatever it is, it must not end anchoring for good, and it is no reason to end the witness.
                logger.exception("a round of anchoring failed")
            await asyncio.sleep(min(LOOK, self._settings.anchor_interval))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def standing(self) -> Standing:
        """How anchoring stands now. From the event loop."""
        stored, undelivered = self.anchors.counts()
        names = [f"{tsa or 'delivery'} {origin}" for tsa, origin in sorted(self._later)]
        return Standing(stored, undelivered, tuple(names))

    async def round(self, *, all_now: bool = False) -> list[str]:
        """Do what is due, or `all_now` everything; what failed, in words. Authorities and logs do not wait for each other."""
        if all_now:
            due = await off_loop(self.anchors.heads, self._settings.tsa)
        else:
            due = await off_loop(
                self.anchors.due,
                self._settings.tsa,
                self._now_ms(),
                self._settings.anchor_interval,
            )
        steps = [self._stamp(one) for one in due if all_now or self._may(one.tsa.name, one.log)]
        failed = await asyncio.gather(*steps)
        logs = await off_loop(self._store.all, "logs", LogRow)
        offers = [self._deliver(log) for log in logs if log.url]
        failed += await asyncio.gather(*offers)
        return [text for text in failed if text]

    async def _stamp(self, due: Due) -> str:
        """Have one head stamped; "" or what went wrong."""
        try:
            row = await self._ask(due)
        except TlogError as error:
            text = f"no timestamp of {due.log.origin} by {due.tsa.name}: {error.detail}"
            self._failed(due.tsa.name, due.log, text)
            return text
        await off_loop(self.anchors.put, row)
        self._later.pop((due.tsa.name, due.log.origin), None)
        logger.info("anchored %s at size %d: %s", row.origin, row.size, row.gen_time)
        return ""

    async def _ask(self, due: Due) -> AnchorRow:
        tsa, head = due.tsa, due.head
        # With one policy believed, that one is asked for.
        policy = tsa.policies[0] if len(tsa.policies) == 1 else None
        request = build_request(head.note, (1 << 63) | secrets.randbits(63), policy)
        reply = await self._client.stamp(tsa, request)
        crls = await self._client.revocation_lists(tsa)
        try:
            stamp = await off_loop(
                accept,
                reply,
                request,
                head.note,
                roots=self._roots[tsa.name],
                policies=tsa.policies,
                now_ms=self._now_ms(),
                previous_gen_time=due.previous,
                head_ms=head.time * 1000,
                crls=crls,
            )
        except VerificationError:
            raise InvalidInput("bad-answer", f"the reply of {tsa.url} does not verify") from None
        return AnchorRow(
            due.log.origin, tsa.name, head.size, head.note, request, reply, stamp.chain, tuple(crls),
            stamp.signer, stamp.gen_ms, stamp.gen_time, stamp.expires_ms, stamp.identity,
        )  # fmt: skip

    async def _deliver(self, log: LogRow) -> str:
        """Hand a log what it has not taken yet, oldest first, what it refused before last; "" or what went wrong."""
        if not self._may("", log):
            return ""
        failed = ""
        for row in await off_loop(self.anchors.queued, log.origin, refused=self._refused):
            if row.gen_ms < self._now_ms() - _OFFERED_MS:
                logger.warning("%s is offered its anchor of %s no more", log.origin, row.gen_time)
                await off_loop(self.anchors.drop, row)
                self._refused.discard(key_of(row))
                continue
            try:
                await self._client.send(
                    "POST",
                    log.url.rstrip("/") + "/api/v1/anchors",
                    _MAX_ANSWER,
                    data=offer(row),
                    headers={"Content-Type": "application/json"},
                )
            except TlogError as error:
                failed = f"{log.origin} did not take an anchor: {error.detail}"
                if error.kind != "unprocessable":
                    break
                # It does not believe this one. Another, of another authority perhaps, it may.
                self._refused.add(key_of(row))
                continue
            taken = msgspec.structs.replace(row, delivered=self._now_ms())
            await off_loop(self.anchors.put, taken)
            self._refused.discard(key_of(row))
        if failed:
            self._failed("", log, failed)
        else:
            self._later.pop(("", log.origin), None)
        return failed

    def _may(self, tsa: str, log: LogRow) -> bool:
        later = self._later.get((tsa, log.origin))
        return later is None or time.monotonic() >= later.at

    def _failed(self, tsa: str, log: LogRow, text: str) -> None:
        before = self._later.get((tsa, log.origin))
        wait = self._first_wait if before is None else min(2 * before.wait, _LONGEST_WAIT)
        self._later[tsa, log.origin] = Retry(time.monotonic() + wait, wait)
        logger.warning("%s; again in %.0f s", text, wait)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def offer(row: AnchorRow) -> bytes:
    """The body of POST /api/v1/anchors."""
    return orjson.dumps(
        {
            "checkpoint": row.note.decode(),
            "request": b64encode(row.request),
            "reply": b64encode(row.reply),
            "chain": [b64encode(one) for one in row.chain],
            "crls": [b64encode(one) for one in row.crls],
        }
    )
