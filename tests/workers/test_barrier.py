"""A front end in a process of its own, before a log in this one: what it does when it knows that it is behind."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.faults.process import free_port
from tests.workers.ends import both
from tlog.workers.child import Child

pytestmark = pytest.mark.e2e


async def test_who_is_behind_waits(tmp_path: Path) -> None:
    """No handler runs before the newest commit that anybody may have seen is here, and none waits for ever."""
    async with both(tmp_path) as end:
        port = free_port()
        child = await Child.start("front", tmp_path / "log", end.places, "127.0.0.1", port)
        child.go()
        assert await child.ready() is not None
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            assert await _status(http) == 200
            end.page.show(end.backend.newest + 1)
            waiting = asyncio.ensure_future(_status(http))
            await asyncio.sleep(0.3)
            assert not waiting.done(), "it answered before it had the commit"
            await asyncio.to_thread(end.log.open_stream, "acme:prod:scorer")
            assert await waiting == 200
            end.page.show(end.backend.newest + 1)
            assert await _status(http) == 503
        assert await child.stop(signal.SIGTERM, 30) == 0


async def _status(http: aiohttp.ClientSession) -> int:
    async with http.get("/api/v1/streams") as answer:
        await answer.read()
        return answer.status
