"""A front end's log: what `served.Served` promises, without the signer, the writer or the keys.

It reads the store by itself, from a view of its own that sees every commit as soon as it is durable; what is newest it is
told by the process that commits, and it serves nothing newer than that. When that process ends, so does a front end: nothing
that it has in memory may meet another one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tlog import config as settings
from tlog.accounts import Accounts
from tlog.anchors import load_roots, open_anchors
from tlog.core.note import parse_vkey, vkey_for
from tlog.errors import Unavailable
from tlog.log import now_ms
from tlog.prepare import Preparer
from tlog.reader import Reader, Source
from tlog.sequencer.batch import Opening, Outcome, Prepared
from tlog.served import Person
from tlog.store.environment import LogStore
from tlog.vault import Sealer
from tlog.workers import wire
from tlog.workers.asker import Asker
from tlog.workers.link import Link
from tlog.workers.page import Page
from tlog.workers.pictures import Pictures
from tlog.workers.places import Places
from tlog.workers.ring import RemoteRing

# A commit that was answered elsewhere is on its way already.
_PATIENCE = 3.0


class Front:
    """`served.Served` in a front end. `open` makes one, on the event loop that it belongs to."""

    def __init__(
        self, directory: Path, welcome: wire.Welcome, link: Link, asker: Asker, page: Page
    ) -> None:
        self.directory = directory
        self.config = settings.load(directory, os.environ)
        self.clock_ms = now_ms
        self.vkey = welcome.vkey
        self._log = parse_vkey(welcome.vkey)
        self._link = link
        self._asker = asker
        self._page = page
        self._ring = RemoteRing(asker, page)
        self._pictures = Pictures(asker, welcome)
        self._late: list[asyncio.Future[None]] = []
        self.vault = Sealer(self._ring)
        self.preparer = Preparer(self.vault, self.clock_ms)
        self.accounts = Accounts.open(directory / "accounts")
        # After the connection: of streams that are opened from now on, commits will tell.
        self.store = LogStore.open(directory / "log", readonly=True)
        self._pictures.add_rows(self.store.streams())
        pictures = self._pictures
        self.source = Source(
            self.store,
            self.config.origin,
            pictures.rows,
            pictures.numbers,
            pictures.view,
            pictures.newest,
        )
        self.reader = Reader(self.source)
        self.anchors = open_anchors(
            self.store, _no_errand, load_roots(directory, self.config), self.config
        )

    @classmethod
    async def open(cls, directory: Path, places: Places, lost: Callable[[], None]) -> Front:
        """Connect and read what there is. `lost` is called when the process that commits has ended.

        Raises: Unavailable (unknown-outcome), OSError when it is not there; InvalidInput, CorruptStore.
        """
        loop = asyncio.get_running_loop()
        _, link = await loop.create_unix_connection(lambda: Link(lost), str(places.events))
        welcome = await link.welcome
        page = Page(places.page, create=False)
        front = cls(directory, welcome, link, Asker(places.questions), page)
        link.tell(front.apply)
        return front

    def close(self) -> None:
        """Release everything. Nobody may wait for an answer any more."""
        self._link.close()
        self._asker.close()
        self.accounts.close()
        self.store.close()

    # ---- commits -----------------------------------------------------------------------------------

    def apply(self, commit: wire.Commit) -> None:
        """A commit is durable and may be shown."""
        self._pictures.apply(commit)
        if self._late and not self.behind:
            late, self._late = self._late, []
            for future in late:
                if not future.done():
                    future.set_result(None)

    @property
    def behind(self) -> bool:
        """Whether something was shown, here or elsewhere, that cannot be read here yet. HOT."""
        return self._page.commit > self._pictures.applied

    async def catch_up(self) -> None:
        """Wait for the commits that are on their way. Raises: Unavailable (overloaded)."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._late.append(future)
        timer = loop.call_later(_PATIENCE, _too_late, future)
        try:
            await future
        finally:
            timer.cancel()

    # ---- events ------------------------------------------------------------------------------------

    @property
    def introduces(self) -> bool:
        """Keys are made elsewhere: asked for all together, they cost one question."""
        return True

    async def introduce(self, tenant: str, persons: Sequence[Person]) -> None:
        """Have the pseudonyms and keys of these persons at hand. Raises: as `Link.names`."""
        missing = self._ring.missing(tenant, persons)
        if missing:
            answer = await self._link.names(tenant, missing)
            names = list(zip(missing, answer.names, strict=True))
            self._ring.keep(tenant, answer.generation, names, answer.keys)

    async def append(
        self,
        events: Sequence[Prepared],
        openings: dict[str, Opening] | None = None,
        *,
        request: bytes | None = None,
        prove: bool = False,
        array: bool = False,
    ) -> Outcome:
        """As `Log.append`."""
        return await self._link.append(events, openings, request=request, prove=prove, array=array)

    def stream_vkey(self, origin: str) -> str:
        """The verifier key of a stream: the log's raw key under the stream's origin."""
        return vkey_for(origin, self._log.public_key)

    def stream_exists(self, stream_id: str) -> bool:
        """Whether a stream is open."""
        return stream_id in self._pictures.numbers

    def stream_count(self, tenant: str) -> int:
        """How many streams a tenant has."""
        return self._pictures.tenant_streams[tenant]


def _too_late(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_exception(
            Unavailable("overloaded", "this part of the log is behind; try again", 1.0)
        )


def _no_errand(work: Any) -> NoReturn:
    raise AssertionError("tlog: a front end writes nothing")
