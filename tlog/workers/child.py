"""A process of a run, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from tlog.workers.control import GO, Ready
from tlog.workers.places import Places

# Seconds before something that ended is started again: doubled each time, from the first on once it has lived long enough.
_FIRST, _LAST, _LONG = 0.1, 10.0, 30.0


class Child:
    """A process of this run."""

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket) -> None:
        self.process = process
        self._control = control

    @classmethod
    async def start(cls, role: str, directory: Path, places: Places, *more: object) -> Child:
        """Start a process in a role."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tlog.cli.worker"),
                *(role, str(directory), str(places.directory), str(theirs.fileno())),
                *map(str, more),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(process, ours)

    async def ready(self) -> Ready | None:
        """What it says once it does its work; None if it ends instead."""
        loop = asyncio.get_running_loop()
        line = b""
        while not line.endswith(b"\n"):
            part = b""
            with suppress(ConnectionError):  # killed before it read what it was told
                part = await loop.sock_recv(self._control, 4096)
            if not part:
                return None
            line += part
        return msgspec.json.decode(line, type=Ready)

    def go(self) -> None:
        """Tell it that there is somebody to work with."""
        with suppress(OSError):  # it has ended
            self._control.send(GO)

    async def ended(self) -> int:
        """Its exit code."""
        code = await self.process.wait()
        self._control.close()
        return code

    async def stop(self, number: signal.Signals | None, seconds: float | None) -> int:
        """Wait for its end, told by a signal or by itself; after so many seconds it is ended. The exit code."""
        if number is not None:
            self.send(number)
        try:
            return await asyncio.wait_for(self.ended(), seconds)
        except asyncio.TimeoutError:
            self.send(signal.SIGKILL)
            return await self.ended()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)


class Patience:
    """How long to wait between a start and the next one."""

    def __init__(self) -> None:
        self._next = _FIRST
        self._began = time.monotonic()

    def started(self) -> None:
        """Something starts now."""
        self._began = time.monotonic()

    async def wait(self) -> None:
        """It ended, and is to be started again."""
        if time.monotonic() - self._began >= _LONG:
            self._next = _FIRST
        await asyncio.sleep(self._next)
        self._next = min(_LAST, 2 * self._next)
