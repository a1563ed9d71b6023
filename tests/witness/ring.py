"""Witnesses that gossip with one another, on real sockets in the test's own loop, each shown a view of its own of a log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.core.histories import History
from tests.evil import EvilLog
from tests.witness.harness import Reply
from witness.api.app import make_runner
from witness.evidence import EvidenceRow
from witness.gossip import Gossip
from witness.logbook import add_logs, entry
from witness.metrics import Metrics
from witness.monitor import start
from witness.rows import FrozenRow
from witness.server import end, make_service
from witness.setup import beside, init_witness
from witness.witness import Witness

SECONDS = 30.0


class Member:
    """One witness of the ring."""

    def __init__(self, directory: Path) -> None:
        self.witness = Witness(directory)
        self.metrics = Metrics()
        self.service = make_service(self.witness, self.metrics, asyncio.Event())
        self.metrics.observe(self.service)
        self.runner = make_runner(self.service, self.metrics)
        self.url = ""
        self.tasks: list[asyncio.Task[None]] = []

    @property
    def gossip(self) -> Gossip:
        """Its gossip."""
        return self.service.gossip

    async def listen(self) -> None:
        """Answer on a free port."""
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"
        self.service.writer.start()

    def run(self) -> None:
        """Gossip as `witness serve` does: one round at once, and then whatever is pushed; no other round in a test."""
        self.tasks = start(self.gossip)

    async def close(self) -> None:
        """End everything."""
        await end(self.tasks)
        await self.gossip.close()
        await self.runner.cleanup()
        await asyncio.to_thread(self.service.writer.stop)
        self.witness.close()

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """One request."""
        async with aiohttp.ClientSession() as session:
            async with session.request(
                method, self.url + path, data=body, headers=headers
            ) as answer:
                return Reply(answer.status, dict(answer.headers), await answer.read())

    async def evidence(self) -> list[dict[str, Any]]:
        """What it shows to everybody."""
        found: list[dict[str, Any]] = json.loads((await self.call("GET", "/evidence")).body)[
            "evidence"
        ]
        return found

    def forks(self) -> list[EvidenceRow]:
        """The fork proofs that it keeps."""
        return [row for row in self.gossip.watch.evidence.all() if row.kind == "fork"]

    def frozen(self) -> set[str]:
        """The logs that it cosigns no more."""
        return {row.origin for row in self.witness.store.all("frozen", FrozenRow)}


@asynccontextmanager
async def ring(
    directory: Path, log: EvilLog, views: Sequence[str], *histories: History
) -> AsyncIterator[list[Member]]:
    """A witness for each view; all know the logs of `histories` under the URL of their own view, and one another."""
    async with AsyncExitStack() as stack:
        members = []
        for number, view in enumerate(views):
            place = directory / f"w{number}"
            init_witness(place, f"witness.example.org/w{number}", 1)
            with beside(place) as store:
                for history in histories:
                    url = log.url(view if len(histories) == 1 else f"{view}-{history.signer.name}")
                    add_logs(store, [entry(history.signer.vkey, url=url)], 1)
            with (place / "witness.toml").open("a") as file:
                file.write("gossip_interval = 3600\nlog_format = 'json'\n")
            members.append(Member(place))
            stack.push_async_callback(members[-1].close)
        for member in members:
            member.service.lookout.ready.set()
            await member.listen()
        for member in members:
            know(member, [other.url for other in members if other is not member])
        yield members


def know(member: Member, urls: list[str]) -> None:
    """Give a member its peers, whose ports nobody knew before."""
    member.gossip.peers.urls = tuple(urls)
    member.gossip._told = {url: set() for url in urls}


async def until(done: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait for something that must come to be."""

    async def wait() -> None:
        while not done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    await asyncio.wait_for(wait(), seconds)
