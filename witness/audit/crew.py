"""All auditors of a witness: one per log, in a thread and an event loop of their own, so that cosigning never waits for them.

In scope: which logs are followed and when, the second key, what the HTTP handlers ask. Out of scope: a round itself
(`auditor`). A log without URL cannot be followed; a single stream that is cosigned as a log of its own is followed with
the log that it belongs to.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from functools import partial
from typing import NamedTuple

from tlog.core.cosignature import CosignatureSigner
from witness.audit import signs
from witness.audit.auditor import Auditor
from witness.audit.deep import Deep
from witness.audit.face import load_keys
from witness.audit.office import HeadOffice, Listener
from witness.audit.rows import AuditRow, LogState
from witness.audit.settings import Progress, Settings
from witness.audit.signs import Sign, Signs
from witness.clock import Clock
from witness.rows import LatestRow, LogRow, whole_log
from witness.store import Store

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
_LOOKING = "looking"
_LOOKS_PER_SECOND = 200


class Report(NamedTuple):
    """How a log stands: what is stored, what was done since the start, what is wrong now, what was cosigned."""

    log: LogRow
    row: AuditRow
    progress: Progress
    signs: list[Sign]
    latest: LatestRow | None


class Crew:
    """`start` and `stop` from the event loop that made it; reports from any thread."""

    def __init__(
        self,
        store: Store,
        signer: CosignatureSigner,
        clock: Clock,
        settings: Settings,
        listener: Listener,
    ) -> None:
        self._store = store
        self._settings = settings
        self._main = asyncio.get_running_loop()
        self._office = HeadOffice(store, signer, clock, listener, self._main)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._auditors: dict[str, Auditor] = {}
        self._hopeless: dict[str, LogRow] = {}
        self._wake: dict[str, asyncio.Event] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="witness-audit", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._loop = asyncio.new_event_loop()
        self._thread.start()

    async def stop(self) -> None:
        """End all rounds and the thread; whoever waits for a line has none."""
        self._stopping = True
        if self._loop is None:
            return
        with contextlib.suppress(RuntimeError):  # it has ended already
            self._loop.call_soon_threadsafe(self._cancel)
        await self._main.run_in_executor(None, self._thread.join)

    def report(self, origin: str) -> Report | None:
        """How a log stands, None if it is not followed."""
        auditor = self._auditors.get(origin)
        return None if auditor is None else self._report(auditor)

    def reports(self, most: int | None = None) -> list[Report]:
        """The same of all logs, by origin; of more than `most` only so many of those in trouble."""
        auditors = [auditor for _, auditor in sorted(self._auditors.items())]
        if most is not None and len(auditors) > most:
            auditors = [one for one in auditors if any(sign.raised for sign in one.signs.now())]
        return [self._report(auditor) for auditor in auditors[:most]]

    def audited(self, key: bytes) -> bytes | None:
        """The newest audited note of the log whose origin has this SHA-256."""
        with self._store.read() as txn:
            row = self._store.get(txn, "audits", key, AuditRow)
        return row.note if row is not None and row.note else None

    async def line(self, origin: str, note: bytes, seconds: float) -> bytes | None:
        """The auditor's signature line on a verified note, None if it is not audited within `seconds`."""
        auditor = self._auditors.get(origin)
        if auditor is None or self._loop is None or self._stopping:
            return None
        future = asyncio.run_coroutine_threadsafe(self._line(auditor, note, seconds), self._loop)
        return await asyncio.wrap_future(future)

    # What follows runs in the thread.

    async def _line(self, auditor: Auditor, note: bytes, seconds: float) -> bytes | None:
        signed = auditor.want(note)
        self._wake[auditor.log.origin].set()
        try:
            return await asyncio.wait_for(signed, seconds)
        except (asyncio.TimeoutError, asyncio.CancelledError):
            return None

    def _run(self) -> None:
        loop = self._loop
        if loop is None:
            raise AssertionError("tlog: the crew runs without a loop")
        asyncio.set_event_loop(loop)
        self._tasks.append(loop.create_task(self._watch()))
        try:
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(self._tasks[0])
        finally:
            loop.run_until_complete(self._close())
            loop.close()

    async def _watch(self) -> None:
        """Begin to follow each log, also those that a command adds beside the running server."""
        while True:
            try:
                logs = self._store.all("logs", LogRow)
            except Exception:
                logger.exception("the logs cannot be read; those that are followed are followed on")
                logs = []
            for log in logs:
                if log.url and whole_log(log.origin) == log.origin:
                    self._take(log)
            await asyncio.sleep(_LOOK_SECONDS)

    def _take(self, log: LogRow) -> None:
        """Follow a log, or go on with the keys that it has now. One that cannot be followed is said to be so once."""
        known = self._auditors.get(log.origin)
        try:
            if known is None and self._hopeless.get(log.origin) != log:
                self._begin(log)
            elif known is not None and known.log.vkeys != log.vkeys:
                known.take_keys(log)
        except Exception as error:
            if known is None:
                self._hopeless[log.origin] = log
            logger.error("%s cannot be audited: %s", log.origin, error)

    def _begin(self, log: LogRow) -> None:
        settings = self._settings
        trouble = Signs(settings.patience, partial(self._alarm, log.origin))
        auditor = Auditor(
            log,
            LogState(self._store, log.origin),
            self._office,
            trouble,
            settings=settings,
            deep=Deep(self._store, log.origin, load_keys(log)) if settings.entries else None,
        )
        self._auditors[log.origin] = auditor
        self._wake[log.origin] = asyncio.Event()
        for work in (self._look, self._follow):
            self._tasks.append(asyncio.create_task(work(auditor)))

    async def _look(self, auditor: Auditor) -> None:
        """See what the log shows, also while a round takes its time."""
        while True:
            due = self._next()
            try:
                if await auditor.look():
                    self._wake[auditor.log.origin].set()
                auditor.signs.gone(signs.FAILED, about=_LOOKING)
            except Exception as error:
                self._failed(auditor, error, _LOOKING)
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _next(self) -> float:
        """When a log is due again: with very many logs each of them less often."""
        busy = len(self._auditors) / _LOOKS_PER_SECOND
        return time.monotonic() + max(self._settings.interval, busy)

    def _failed(self, auditor: Auditor, error: Exception, about: str) -> None:
        """One log must not end the audit of the others, nor fill the disk with one fault."""
        detail = repr(error)
        if not auditor.signs.has(signs.FAILED, detail, about):
            logger.error("the audit of %s failed", auditor.log.origin, exc_info=error)
        auditor.signs.seen(signs.FAILED, detail, about=about)

    async def _follow(self, auditor: Auditor) -> None:
        wake = self._wake[auditor.log.origin]
        while True:
            due = self._next()
            wake.clear()
            try:
                await auditor.round()
            except Exception as error:
                self._failed(auditor, error, "")
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(wake.wait(), max(0.0, due - time.monotonic()))

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _close(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for auditor in self._auditors.values():
            await auditor.close()

    def _report(self, auditor: Auditor) -> Report:
        latest = self._store.latest(auditor.log.origin)
        return Report(auditor.log, auditor.state.row, auditor.progress, auditor.signs.now(), latest)

    def _alarm(self, origin: str, name: str, detail: str) -> None:
        self._office.alarm(name, origin, detail)


def lag(report: Report) -> int:
    """Leaves of the root log that are signed and not audited."""
    known = max(report.row.shown, 0 if report.latest is None else report.latest.size)
    return max(0, known - report.row.audited)


def lag_seconds(report: Report, now: float) -> float:
    """Seconds for which there has been something to audit."""
    since = report.progress.behind_since
    return round(max(0.0, now - since), 3) if since else 0.0
