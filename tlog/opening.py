"""Opening a stream by a command: in a log that nobody serves, or beside the process that serves it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tlog import declarations
from tlog.errors import Refused
from tlog.log import Log, check_stream_name
from tlog.store.environment import LogStore


def declare_or_open_stream(
    directory: Path, stream_id: str, *, public: bool, deadline: float, before: Callable[[Log], None]
) -> bool:
    """Open a stream in DIR; beside a running server, declare it and wait for the server to open it.

    `deadline` is of `time.monotonic`; `before` is called before anything is signed, and may raise. Returns whether the
    stream is open by then. Raises: Refused (exists, reserved-tenant), InvalidInput.
    """
    try:
        log = Log(directory)
    except Refused as error:
        if error.kind != "in-use":
            raise
        return _declare(directory, stream_id, public=public, deadline=deadline)
    try:
        before(log)
        log.start()
        log.open_stream(stream_id, public=public)
    finally:
        log.close()
    return True


def _declare(directory: Path, stream_id: str, *, public: bool, deadline: float) -> bool:
    check_stream_name(stream_id)
    store = LogStore.open(directory / "log", readonly=True)

    def is_open() -> bool:
        return any(row.stream_id == stream_id for _, row in store.streams())

    try:
        if is_open():
            raise Refused("exists", f"the stream {stream_id} exists already")
        declarations.declare(directory, stream_id, public=public)
        while time.monotonic() < deadline:
            if is_open():
                return True
            time.sleep(0.1)
        return False
    finally:
        store.close()
