"""The process that commits, inside this one: a log behind real sockets, and parts of front ends to connect to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.harness import STREAM, TestLog, new_log
from tlog.workers.asker import Asker
from tlog.workers.backend import Backend, Connection
from tlog.workers.link import Link
from tlog.workers.page import Page
from tlog.workers.pictures import Pictures
from tlog.workers.places import Places
from tlog.workers.questions import Questions


class End:
    """Both ends of one run in this process. `made` are the parts of a front end."""

    def __init__(self, site: TestLog, backend: Backend, page: Page, places: Places) -> None:
        self.site = site
        self.log = site.log
        self.backend = backend
        self.page = page
        self.places = places
        self.lost = asyncio.Event()

    async def front(self) -> tuple[Link, Asker, Pictures]:
        """A front end's connections and its pictures."""
        loop = asyncio.get_running_loop()
        _, link = await loop.create_unix_connection(
            lambda: Link(self.lost.set), str(self.places.events)
        )
        asker = Asker(self.places.questions)
        pictures = Pictures(asker, await link.welcome)
        pictures.add_rows(self.log.store.streams())
        link.tell(pictures.apply)
        return link, asker, pictures

    async def append(self, link: Link, count: int, stream: str = STREAM, **more: Any) -> Any:
        """Record so many events through a front end."""
        events = [self.site.prepare(stream) for _ in range(count)]
        openings = {}
        if not self.log.stream_exists(stream):
            openings = {stream: self.log.preparer.opening(stream, public=False)}
        options = {"request": None, "prove": True, "array": count > 1, **more}
        return await link.append(events, openings, **options)


@asynccontextmanager
async def both(directory: Path) -> AsyncIterator[End]:
    """A log that waits for front ends."""
    places = Places(directory)
    page = Page(places.page, create=True)
    with TestLog(new_log(directory / "log")) as site:
        backend = Backend(site.log, page)
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(lambda: Connection(backend), str(places.events))
        questions = Questions(site.log, page, places.questions, lambda: backend.newest)
        end = End(site, backend, page, places)
        yield end
        server.close()
        questions.close()
        for connection in list(backend.connections):
            connection.end()
        await backend.deserted(5)
    page.close()
