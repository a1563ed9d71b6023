"""All witnesses: each published root goes to every endpoint at once, each at its own pace.

Everything here runs as tasks of the server's event loop, but for the consistency proofs: they are made by a reader of its
own on a thread of its own. The writer thread only says that there is a new publication, and stores what comes back.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from tlog.core.hashes import Hash
from tlog.core.note import Verifier
from tlog.errors import CorruptStore, TlogError, Unavailable
from tlog.publication import Publication
from tlog.reader import Reader, Source
from tlog.sequencer.loop import Sequencer
from tlog.store.layout import ROOT_LOG
from tlog.witnesses.evidence import MAX_SHOWN, Shown, judge_shown, monitoring_url, verdict
from tlog.witnesses.exchange import Endpoint, Knowledge, submit
from tlog.witnesses.http import Http
from tlog.witnesses.keeper import BEHIND, UNREACHABLE

logger = logging.getLogger(__name__)

_PROOFS_KEPT = 64


class Gateway:
    """Asks the witnesses of a log's policy. `check` once before the log starts, then `start`; `close` ends all."""

    def __init__(
        self,
        source: Source,
        publication: Publication,
        sequencer: Sequencer,
        log: Verifier,
        *,
        clock_ms: Callable[[], int],
        timeout: float,
        backoff: tuple[float, float] = (1.0, 60.0),
    ) -> None:
        self._publication = publication
        self._sequencer = sequencer
        self._log = log
        self._timeout = timeout
        self._backoff = backoff  # seconds after the first failure, and at most
        self._reader = Reader(source)  # for the thread alone
        self._thread = ThreadPoolExecutor(1, "tlog-witnesses")
        self._proofs: dict[tuple[int, int], Sequence[Hash]] = {}
        urls = dict.fromkeys(keeper.url for keeper in publication.keepers)
        self.endpoints = [
            Endpoint(url, tuple(k for k in publication.keepers if k.url == url)) for url in urls
        ]
        for endpoint in self.endpoints:
            endpoint.old = max(keeper.size for keeper in endpoint.keepers)
        self._knowledge = Knowledge(
            self._prove, lambda: sequencer.head.root.size, lambda: clock_ms() // 1000
        )
        self._http: Http | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._publications = 0
        self._news = asyncio.Event()

    async def check(self) -> None:
        """Before events are taken: what do the witnesses show of this log? One that is silent is passed over.

        Raises: CorruptStore when one shows our signature over what this store does not continue.
        """
        checks = [self._check(one) for one in self.endpoints]
        for found in await asyncio.gather(*checks, return_exceptions=True):
            if isinstance(found, BaseException):
                raise found

    def start(self) -> None:
        """Begin to push."""
        loop = asyncio.get_running_loop()

        def published() -> None:  # on the writer thread
            with suppress(RuntimeError):  # the loop is closed: the process ends
                loop.call_soon_threadsafe(self._wake)

        self._publication.on_publish = published
        for endpoint in self.endpoints:
            task = loop.create_task(self._follow(endpoint))
            task.add_done_callback(partial(_ended, endpoint))
            self._tasks.append(task)
        self._wake()

    async def close(self) -> None:
        """End every exchange."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.close()
        # Waited for: the store must not be closed under a proof that is being made.
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    @property
    def http(self) -> Http:
        """The HTTP session, made inside the event loop."""
        if self._http is None:
            self._http = Http(self._log.name, self._timeout)
        return self._http

    def _wake(self) -> None:
        self._publications += 1
        self._news.set()
        self._news = asyncio.Event()

    async def _follow(self, endpoint: Endpoint) -> None:
        """Push to one endpoint for ever: the newest root, and again after a while when a cosignature is missing."""
        while True:
            while endpoint.answered == self._publications:
                await self._news.wait()
            publication = self._publications
            retry_after = await self._attempt(endpoint)
            if not endpoint.failures:
                endpoint.answered = publication
                continue
            first, most = self._backoff
            seconds = min(most, first * 2 ** min(endpoint.failures - 1, 30))
            # Jitter: witnesses that failed together are not asked together for ever.
            pause = max(retry_after, seconds * random.uniform(0.5, 1.0))
            if not endpoint.partly:
                await asyncio.sleep(pause)
            elif publication == self._publications:
                # It answers, and one of its keys cosigns: that one does not wait for the other with what is new.
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._news.wait(), pause)

    async def _attempt(self, endpoint: Endpoint) -> int:
        """One exchange about the newest published root; the seconds that the witness wants to be left alone."""
        newest = self._publication.newest
        if newest is None:
            return 0
        size, note = newest
        complete, endpoint.partly, retry_after = False, False, 0
        try:
            result = await submit(self.http, endpoint, size, note, self._knowledge)
            for keeper, signature in result.cosigned:
                self._publication.cosigned(size, keeper, signature)
            complete = len(result.cosigned) == len(endpoint.keepers)
            endpoint.partly = bool(result.cosigned)
            retry_after = result.retry_after
            if result.suspicious:
                await self._suspect(endpoint)
        except Unavailable as error:
            endpoint.ended(UNREACHABLE, error.detail)
        except TlogError as error:
            endpoint.ended(BEHIND, f"we cannot make the proof: {error.detail}")
            logger.error("no consistency proof for witness %s: %s", endpoint.names, error.detail)
        _tell(endpoint, complete)
        endpoint.failures = 0 if complete else endpoint.failures + 1
        return retry_after

    async def _check(self, endpoint: Endpoint) -> None:
        shown = await self._shown(endpoint)
        if shown.conflict is not None:
            raise CorruptStore(verdict(endpoint.names, shown.conflict))
        if shown.size is not None:
            endpoint.old = shown.size

    async def _suspect(self, endpoint: Endpoint) -> None:
        """It said that it holds what we do not have: if it shows it under our signature, the writer must stop."""
        shown = await self._shown(endpoint, quiet=True)
        if shown.conflict is not None:
            self._sequencer.halt(CorruptStore(verdict(endpoint.names, shown.conflict)))
        elif shown.size is not None:
            endpoint.old = shown.size

    async def _shown(self, endpoint: Endpoint, *, quiet: bool = False) -> Shown:
        try:
            answer = await self.http.get(monitoring_url(endpoint.url, self._log.name), MAX_SHOWN)
        except Unavailable as error:
            if not quiet:
                logger.warning("witness %s is not asked: %s", endpoint.names, error.detail)
                endpoint.ended(UNREACHABLE, error.detail)
            return Shown(None, None)
        if answer.status != 200:  # 404: it has never cosigned; a witness need not offer this at all
            return Shown(None, None)
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._judge, answer.body
        )

    def _judge(self, note: bytes) -> Shown:
        return judge_shown(
            note,
            self._log,
            lambda: self._sequencer.head.root,
            lambda size: self._reader.root_of(ROOT_LOG, size),
        )

    async def _prove(self, old: int, size: int) -> Sequence[Hash]:
        """The consistency proof from `old` to `size` leaves; empty from nothing, and to the same size."""
        if old in (0, size):
            return ()
        known = self._proofs.get((old, size))
        if known is not None:
            return known
        made = await asyncio.get_running_loop().run_in_executor(
            self._thread, self._reader.consistency, ROOT_LOG, old, size
        )
        if len(self._proofs) >= _PROOFS_KEPT:
            self._proofs.clear()
        self._proofs[old, size] = made.hashes
        return made.hashes


def _tell(endpoint: Endpoint, complete: bool) -> None:
    """Log the changes, not each failure."""
    if complete and endpoint.failures:
        logger.warning("witness %s cosigns again", endpoint.names)
    if not complete and not endpoint.failures:
        errors = [keeper.error for keeper in endpoint.keepers if keeper.error]
        logger.warning("witness %s: %s", endpoint.names, "; ".join(errors))


def _ended(endpoint: Endpoint, task: asyncio.Task[None]) -> None:
    """A task ends when it is cancelled, or by a fault of the program, which health must show."""
    if not task.cancelled() and task.exception() is not None:
        endpoint.ended(BEHIND, f"it is asked no more: {task.exception()!r}")
        logger.critical("witness %s is asked no more", endpoint.names, exc_info=task.exception())
