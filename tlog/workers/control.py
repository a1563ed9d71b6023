"""A process's tie to its supervisor: one line when it is ready, and the end of one is the end of the other."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from pathlib import Path

import msgspec

#: Exit codes: of a front end that lost the process that commits, and of any that lost its supervisor.
DESERTED, ORPHANED = 75, 76


GO = b"go\n"


class Ready(msgspec.Struct, frozen=True):
    """What a process says once it does what it is for."""

    origin: str
    vkey: str


class Control:
    """The child's end."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def watch(self, remove: Path | None = None) -> None:
        """End this process at once when the supervisor does, however that ended; `remove` a directory then.

        Nothing needs to be put in order: it is as if this process had been killed, which it must bear at any time.
        """

        def wait() -> None:
            # The supervisor says nothing: what comes is the end.
            while self._connection.recv(1):
                pass
            if remove is not None:
                shutil.rmtree(remove, ignore_errors=True)
            os._exit(ORPHANED)

        threading.Thread(target=wait, name="tlog-supervisor", daemon=True).start()

    def wait(self) -> None:
        """Until the supervisor says that there is somebody to work with. Ends this process if it never will."""
        if self._connection.recv(len(GO)) != GO:
            os._exit(ORPHANED)

    def ready(self, origin: str, vkey: str) -> None:
        """Tell the supervisor that this process does its work."""
        self._connection.sendall(msgspec.json.encode(Ready(origin, vkey)) + b"\n")
