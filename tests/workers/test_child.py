"""A process of a run, as its supervisor sees it."""

from __future__ import annotations

import socket
from typing import Any

from tlog.workers.child import Child


async def test_killed_while_it_starts() -> None:
    """It was told to go and did not read it any more: an end like any other, and not the end of the run."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    process: Any = None
    child = Child(process, ours)
    child.go()
    theirs.close()

    assert await child.ready() is None

    ours.close()
