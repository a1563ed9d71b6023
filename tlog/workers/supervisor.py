"""`tlog serve --workers N`: starts the process that commits, then N front ends, watches over them, and stops them in order.

It holds nothing of the log. Whatever ends by accident is started again, later each time; a front end that ends takes its
connections with it, the process that commits takes all front ends with it, and what was acknowledged is safe in either case.
What refuses to start ends the run, with its exit code: a store that contradicts itself is no accident.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import shutil
import signal
import socket
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import TypeVar

from tlog.addresses import reserve, serving
from tlog.stopping import on_stop
from tlog.workers.child import Child, Patience
from tlog.workers.control import DESERTED
from tlog.workers.places import Places, meeting_place

logger = logging.getLogger(__name__)

T = TypeVar("T")

FAULT = 70
# Seconds for which front ends answer what they have; their own limit is shorter.
_LEAVE = 15.0
_ORPHANS = 2.0
# Exit codes of a start that was refused: asking again would change nothing.
_REFUSALS = range(1, 6)


def supervise(directory: Path, host: str, port: int, workers: int) -> int:
    """Run until SIGTERM or SIGINT; the exit code. Raises: OSError when the address cannot be had."""
    reserved = _reserved(host, port)
    meeting = meeting_place()
    try:
        return asyncio.run(Supervisor(directory, Places(meeting), reserved, workers).run())
    finally:
        shutil.rmtree(meeting, ignore_errors=True)
        for one in reserved:
            one.close()


def _reserved(host: str, port: int) -> list[socket.socket]:
    """The addresses. Of a run that was killed a moment ago, front ends may still be about to end."""
    until = time.monotonic() + _ORPHANS
    while True:
        try:
            return reserve(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > until:
                raise
        time.sleep(0.05)


class Post:
    """A front end's place, and who stands there."""

    def __init__(self, directory: Path, places: Places, addresses: Sequence[object]) -> None:
        self._directory = directory
        self._places = places
        self._addresses = addresses
        self._child: Child | None = None
        self.go = asyncio.Event()  # there is somebody to work with
        self.manned = asyncio.Event()  # for the first time

    async def keep(self) -> int:
        """Have a front end here; returns only when the first one is refused, with its exit code."""
        patience = Patience()
        while True:
            patience.started()
            child = self._child = await Child.start(
                "front", self._directory, self._places, *self._addresses
            )
            await self.go.wait()
            child.go()
            if await child.ready() is not None:
                self.manned.set()
            code = await child.ended()
            if code in _REFUSALS and not self.manned.is_set():
                return code
            if code != DESERTED:
                logger.error("a front end ended with %d, another one is started", code)
            await patience.wait()

    async def leave(self, number: signal.Signals | None) -> None:
        """Wait for the end of whoever stands here, told by a signal or by itself."""
        if self._child is not None:
            if not self.go.is_set():
                number = signal.SIGTERM  # it waits for what will not come
            await self._child.stop(number, _LEAVE)


class Supervisor:
    """One run of `serve`."""

    def __init__(
        self, directory: Path, places: Places, reserved: Sequence[socket.socket], workers: int
    ) -> None:
        self._directory = directory
        self._places = places
        self._addresses = [one.getsockname() for one in reserved]
        self._workers = workers
        self._stop = asyncio.Event()
        self._said = False

    async def run(self) -> int:
        """Until a signal; the exit code."""
        loop = asyncio.get_running_loop()
        on_stop(loop, self._stop)
        patience = Patience()
        while True:
            patience.started()
            code = await self._once()
            if code == -signal.SIGTERM and self._stop.is_set():
                return 0  # told before it could listen
            if code is not None:
                return code if code >= 0 else FAULT
            logger.error("the process that commits ended; all are started again")
            await self._unless_stopped(patience.wait())
            if self._stop.is_set():
                return 0

    async def _once(self) -> int | None:
        """From a start to an end; the exit code, or None if all are to be started again."""
        addresses = [part for address in self._addresses for part in address[:2]]
        posts = [Post(self._directory, self._places, addresses) for _ in range(self._workers)]
        sequencer = await Child.start("sequencer", self._directory, self._places, self._workers)
        # They load their modules meanwhile.
        keepers = [asyncio.create_task(post.keep()) for post in posts]
        ended = asyncio.create_task(sequencer.ended())
        saying = asyncio.create_task(self._say(sequencer, posts))
        await self._unless_stopped(
            asyncio.wait((ended, *keepers), return_when=asyncio.FIRST_COMPLETED)
        )
        refused = next((one.result() for one in keepers if one.done()), None)
        if refused is not None:
            # Or there was nobody any more whom it could ask.
            await asyncio.wait((ended,), timeout=1.0)
        for task in (saying, *keepers):
            task.cancel()
        alone = ended.done()
        await asyncio.gather(*(post.leave(None if alone else signal.SIGTERM) for post in posts))
        code = await sequencer.stop(None if alone else signal.SIGTERM, None)
        if self._stop.is_set():
            return code
        if alone:
            # Killed, it has judged nothing, even if that was its first start.
            judged = code in _REFUSALS or (code >= 0 and not self._said)
            return code if judged else None
        return refused

    async def _say(self, sequencer: Child, posts: Sequence[Post]) -> None:
        ready = await sequencer.ready()
        if ready is None:
            return
        for post in posts:
            post.go.set()
        for post in posts:
            await post.manned.wait()
        if not self._said:
            self._said = True
            print(serving(ready.origin, ready.vkey, self._addresses), flush=True)

    async def _unless_stopped(self, waiting: Awaitable[T]) -> T | None:
        """What it gives; None once it is time to stop."""
        task = asyncio.ensure_future(waiting)
        stop = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if task.done():
            return task.result()
        task.cancel()
        return None
