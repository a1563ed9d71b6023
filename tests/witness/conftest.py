"""Witness directories made once and copied, and a witness that serves on a real socket in the test's own loop."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.witness.harness import Reply, Times, new_witness, opened
from tests.witness.matrix import LATEST, LOG, NEVER
from tests.witness.zygote import Zygote
from tlog.core.add_checkpoint import parse_request
from witness.api.app import make_runner
from witness.cosigner import Cosigned
from witness.metrics import Metrics
from witness.rows import origin_key
from witness.server import end, make_service
from witness.service import Service
from witness.witness import Witness


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed witness that knows two logs, and cosigned LOG at size LATEST."""
    directory = new_witness(tmp_path_factory.mktemp("template") / "witness", LOG, NEVER)
    times = Times()
    times.pass_(-100)
    witness = opened(directory, times)
    (answer,) = witness.cosigner.cosign([parse_request(LOG.body(0, LATEST))])
    assert isinstance(answer, Cosigned)
    witness.close()
    return directory


@pytest.fixture
def directory(template: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(template, tmp_path / "witness"))


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """Starts servers at once."""
    one = Zygote()
    yield one
    one.close()


class Served:
    """A witness that answers; its parts can be looked at and broken."""

    def __init__(self, witness: Witness, service: Service, metrics: Metrics, url: str) -> None:
        self.witness = witness
        self.service = service
        self.metrics = metrics
        self.url = url
        self.stop = asyncio.Event()

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """One request on a connection of its own."""
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            async with session.request(
                method, self.url + path, data=body, headers=headers, allow_redirects=False
            ) as answer:
                return Reply(answer.status, dict(answer.headers), await answer.read())

    async def add(self, body: object, **headers: str) -> Reply:
        """POST /add-checkpoint."""
        return await self.call("POST", "/add-checkpoint", body, **headers)

    async def published(self, origin: str) -> Reply:
        """The newest cosigned checkpoint."""
        return await self.call("GET", f"/{origin_key(origin).hex()}/checkpoint")


@asynccontextmanager
async def serving(directory: Path, times: Times | None = None) -> AsyncIterator[Served]:
    """Open and serve it; everything ends with the block."""
    witness = opened(directory, times)
    metrics = Metrics()
    stop = asyncio.Event()
    service = make_service(witness, metrics, stop)
    service.observers.clear()  # the protocol alone: a fork that is overheard would freeze the log
    metrics.observe(service)
    runner = make_runner(service, metrics)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.writer.start()
    tasks = [asyncio.create_task(service.lookout.run())]
    served = Served(witness, service, metrics, f"http://127.0.0.1:{runner.addresses[0][1]}")
    served.stop = stop
    try:
        await service.lookout.ready.wait()
        yield served
    finally:
        await end(tasks)
        await runner.cleanup()
        await asyncio.to_thread(service.writer.stop)
        witness.close()


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve(directory: Path) -> AsyncIterator[Serve]:
    """Serve the copy; `await serve(times)`."""
    async with AsyncExitStack() as stack:

        async def start(times: Times | None = None) -> Served:
            return await stack.enter_async_context(serving(directory, times))

        yield start
