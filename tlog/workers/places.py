"""Where the processes of one run meet: sockets, the shared page and the shared buckets, in a private directory."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from tlog.errors import InvalidInput

_SOCKET_PATH = 107  # bytes, on Linux


class Places(NamedTuple):
    """Paths in the directory of a run, mode 0700: who may open it is one of ours. Short: a socket's has at most 108 bytes."""

    directory: Path

    @property
    def events(self) -> Path:
        """The socket for events and commits."""
        return self.directory / "events"

    @property
    def questions(self) -> Path:
        """The socket for questions that a thread waits for."""
        return self.directory / "questions"

    @property
    def http(self) -> Path:
        """The socket of the HTTP application in the process that commits."""
        return self.directory / "http"

    @property
    def page(self) -> Path:
        """The shared page."""
        return self.directory / "page"

    def buckets(self, name: str) -> Path:
        """A table of token buckets."""
        return self.directory / f"{name}.buckets"


def meeting_place() -> Path:
    """A new private directory, under a path that leaves room for the names of sockets."""
    for parent in (None, "/tmp"):
        path = Path(tempfile.mkdtemp(prefix="tlog-", dir=parent))
        if len(os.fsencode(Places(path).questions)) <= _SOCKET_PATH:
            return path
        path.rmdir()
    raise InvalidInput("usage", "the temporary directory has too long a path for a socket")
