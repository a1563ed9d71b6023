"""The process that commits: the whole log as in one process, but events come from front ends, and HTTP over a Unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tlog.api.app import make_runner
from tlog.log import Log
from tlog.server import run_log
from tlog.workers.backend import Backend, Connection
from tlog.workers.control import Control
from tlog.workers.gate import shared_gate
from tlog.workers.page import Page
from tlog.workers.places import Places
from tlog.workers.questions import Questions
from tlog.workers.relay import inside

# How often the vault is asked what another process has destroyed.
_LOOK_SECONDS = 0.2
# Front ends that are told to stop answer what they have; their own limit is shorter.
_LEAVE_SECONDS = 10.0


def serve_fronts(directory: Path, places: Places, workers: int, supervisor: Control) -> int:
    """Serve until SIGTERM; the exit code, as of `server.serve`. Raises: as `server.run_log`."""
    import uvloop

    @asynccontextmanager
    async def door(log: Log, stop: asyncio.Event) -> AsyncIterator[None]:
        page = Page(places.page, create=True)
        page.forget(log.vault.look())
        for path in (places.events, places.questions, places.http):
            path.unlink(missing_ok=True)  # of one before this that was killed
        backend = Backend(log, page)
        log.workers = lambda: (workers, len(backend.connections))
        runner = make_runner(log, gate=shared_gate(log, places), outer=[inside(log, page)])
        await runner.setup()
        await web.UnixSite(runner, str(places.http)).start()
        questions = Questions(log, page, places.questions, lambda: backend.newest)
        loop = asyncio.get_running_loop()
        fronts = await loop.create_unix_server(lambda: Connection(backend), str(places.events))
        looking = asyncio.create_task(_look(log, page))
        supervisor.ready(log.config.origin, log.vkey)
        yield
        if log.failure is None:
            # All processes may have been told to stop at once: first those go that have clients.
            await backend.deserted(_LEAVE_SECONDS)
        looking.cancel()
        fronts.close()
        questions.close()
        await runner.cleanup()

    return uvloop.run(run_log(directory, door))


async def _look(log: Log, page: Page) -> None:
    """Have every front end forget what commands destroy beside this process."""
    while True:
        page.forget(log.vault.look())
        await asyncio.sleep(_LOOK_SECONDS)
