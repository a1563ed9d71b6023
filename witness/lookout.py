"""The lookout: fetches what logs and peers publish, and looks in it for cosignatures of ours that our store does not know.

At start, before anything is signed, and again and again while running: a store that was restored together with its guard
can only be told from the true one by what the world remembers. Only URLs that an operator configured are asked; redirects
are refused and bodies bounded by the fetcher.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tlog.client.fetch import Fetcher
from tlog.core.note import Verifier
from tlog.errors import CorruptStore, Refused, TlogError
from witness.cosigner import known_log
from witness.doubt import PUBLISHED, hold_all, unknown_cosignature
from witness.rows import HoldRow, LogRow, origin_key
from witness.store import Store

logger = logging.getLogger(__name__)

_PARALLEL = 16
#: Pages that one peer may leave unanswered in a round; after those it is asked for no more of them.
_PATIENCE = 3


class Looked(NamedTuple):
    """One round: pages asked for, pages that did not answer or made no sense, logs newly put on hold."""

    asked: int
    failed: int
    held: int


class Lookout:
    """Runs on one event loop. `looked` is called after every round."""

    def __init__(
        self,
        store: Store,
        ours: list[Verifier],
        peers: Iterable[str],
        *,
        interval: float,
        timeout: float,
        looked: Callable[[Looked], None] = lambda result: None,
    ) -> None:
        self._store = store
        self._ours = ours
        self._peers = tuple(peers)
        self._interval = interval
        self._timeout = timeout
        self._looked = looked
        #: Set once the first round is over: before it, nothing may be signed.
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Look now, and then every `interval` seconds, until cancelled."""
        while True:
            try:
                self._looked(await self.look())
                self.ready.set()
            except Exception as error:
                # Without a first round that came to its end nothing is signed: /health says "starting".
                logger.error("looking for our own cosignatures failed", exc_info=error)
            await asyncio.sleep(self._interval)

    async def look(self) -> Looked:
        """One round over all logs that have a URL, and all logs at all peers. Raises: CorruptStore."""
        gate = asyncio.Semaphore(_PARALLEL)
        pages = self._pages()

        silent: Counter[str] = Counter()

        async def one(log: LogRow, source: str, prefix: str) -> tuple[bool, int]:
            async with gate:
                if silent[source] >= _PATIENCE:
                    return False, 0
                answered, held = await self._look_at(log, prefix)
                silent[source] += not answered
                return answered, held

        results = await asyncio.gather(*[one(*page) for page in pages])
        failed = sum(not answered for answered, _ in results)
        return Looked(len(pages), failed, sum(held for _, held in results))

    def _pages(self) -> list[tuple[LogRow, str, str]]:
        """Logs, who is asked about each, and for which page."""
        # Of one that is on hold with its proof, nothing more need be known.
        held = {hold.origin for hold in self._store.all("holds", HoldRow) if hold.note}
        logs = [log for log in self._store.all("logs", LogRow) if log.origin not in held]
        return [(log, *page) for log in logs for page in _prefixes(log, self._peers)]

    async def _look_at(self, log: LogRow, prefix: str) -> tuple[bool, int]:
        """Whether the page could be read, and how many logs it put on hold."""
        fetcher = Fetcher(prefix, timeout=self._timeout)
        try:
            data = await asyncio.wait_for(fetcher.checkpoint(), self._timeout)
            shown = await asyncio.to_thread(
                unknown_cosignature, self._store, data, known_log(log), self._ours
            )
        except Refused as error:
            return error.kind == "not-found", 0  # nothing is published there: an answer
        except asyncio.TimeoutError:
            logger.warning("%s did not answer within %g s", prefix, self._timeout)
            return False, 0
        except CorruptStore:
            raise
        except TlogError as error:
            logger.warning("cannot read what %s publishes: %s", prefix, error.detail)
            return False, 0
        finally:
            await fetcher.close()
        if shown is None:
            return True, 0
        held = await asyncio.to_thread(hold_all, self._store, PUBLISHED, int(time.time()), shown)
        logger.critical(
            "%s shows a cosignature of ours on %s at size %d that the store does not know: the store was rolled back, "
            "or another process signs with this key; nothing is cosigned until `witness resume`",
            prefix,
            shown.origin,
            shown.size,
        )
        return True, held


async def published(store: Store, origin: str, peers: Iterable[str], timeout: float) -> list[bytes]:
    """The checkpoints of one log that it and the peers publish now, unverified; those that answer. Raises: Refused."""
    log = store.log(origin)
    if log is None:
        raise Refused("unknown-log", f"no log {origin} is known here")
    found = []
    for _, prefix in _prefixes(log, peers):
        fetcher = Fetcher(prefix, timeout=timeout)
        try:
            found.append(await asyncio.wait_for(fetcher.checkpoint(), timeout))
        except (TlogError, asyncio.TimeoutError) as error:
            logger.warning("cannot read what %s publishes: %r", prefix, error)
        finally:
            await fetcher.close()
    return found


def _prefixes(log: LogRow, peers: Iterable[str]) -> list[tuple[str, str]]:
    """Where a checkpoint of the log may be found: at whom, and under which prefix."""
    key = origin_key(log.origin).hex()
    own = [(log.url, log.url)] if log.url else []
    return [*own, *[(peer, f"{peer.rstrip('/')}/{key}") for peer in peers]]
