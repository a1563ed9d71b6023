"""A log on real sockets that can lie, and a witness that audits it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.client.fetch.tiled import ORIGIN, SIGNER, Audited
from tests.witness.conftest import Served, serving
from tests.witness.harness import NAME, NOW, configure
from tlog.core.add_checkpoint import encode_request
from tlog.core.proofs import consistency_proof
from witness.setup import init_witness

LABEL = "a" * 52
PUBLIC = "acme/prod/scorer"
SECONDS = 20.0


@dataclass
class Scene:
    """A log, and a witness that audits it."""

    log: Audited
    served: Served

    @property
    def crew(self) -> Any:
        return self.served.service.crew

    @property
    def auditor(self) -> Any:
        """Of the log."""
        return self.crew._auditors[ORIGIN]

    async def rounds(self, more: int) -> None:
        """Wait until the auditor has been round so many times more."""
        until = self.auditor.progress.rounds + more
        await self.seen(lambda: self.auditor.progress.rounds >= until)

    async def looks(self, more: int) -> None:
        """Wait until the log was asked for its time so often."""
        until = self.log.asked.count("checkpoint") + more + 1
        await self.seen(lambda: self.log.asked.count("checkpoint") >= until)

    async def keys(self, number: int) -> None:
        """Wait until the auditor knows so many keys of the log."""
        await self.seen(lambda: len(self.auditor.log.vkeys) == number)

    async def seen(self, true: Callable[[], bool]) -> None:
        """Wait until this is true."""
        for _ in range(int(SECONDS / 0.02)):
            if true():
                return
            await asyncio.sleep(0.02)
        raise AssertionError("it never came true")

    def show(self) -> int:
        """Publish the newest head; its size."""
        self.log.sign()
        return self.log.head().size

    async def report(self) -> dict[str, Any]:
        """GET /audit/<origin>."""
        reply = await self.served.call("GET", f"/audit/{ORIGIN}")
        assert reply.status == 200, reply.body
        found: dict[str, Any] = json.loads(reply.body)
        return found

    async def until(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for a report of which this is true."""
        for _ in range(int(SECONDS / 0.02)):
            reply = await self.served.call("GET", f"/audit/{ORIGIN}")
            if reply.status == 200 and true(json.loads(reply.body)):
                return dict(json.loads(reply.body))
            await asyncio.sleep(0.02)
        raise AssertionError(f"it never came true: {reply.body.decode()}")

    async def audited(self, size: int) -> dict[str, Any]:
        """Wait until this size is audited."""
        return await self.until(
            lambda report: bool(report["audited"]) and report["audited"]["size"] == size
        )

    async def trouble(self, name: str) -> dict[str, Any]:
        """Wait until this trouble is reported; its detail."""
        report = await self.until(lambda report: name in [one["name"] for one in report["trouble"]])
        return next(one for one in report["trouble"] if one["name"] == name)

    def request(self, old: int) -> bytes:
        """An add-checkpoint request of the newest head."""
        tiles = self.log.logs[""]
        size = len(tiles.entries)

        class Nodes:
            def read_nodes(self, nodes: Any) -> list[bytes]:
                return [tiles._hash(i << level, (i + 1) << level) for level, i in nodes]

        proof = consistency_proof(old, size, Nodes()) if old else []
        return encode_request(old, tuple(proof), self.log.sign())


Open = Callable[..., Any]


def two_streams() -> Audited:
    """A log of two streams, and seven leaves in its root log."""
    log = Audited()
    for number in range(3):
        log.append(LABEL, b"a %d" % number)
        log.append(PUBLIC, b"p %d" % number, b"q %d" % number)
    return log


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """`async with scene() as one`: a log of two streams; `settings` are the witness's."""

    @asynccontextmanager
    async def opened(
        start: bool = True, log: Audited | None = None, **settings: object
    ) -> AsyncIterator[Scene]:
        for name, value in {"audit_interval": 0.05, "audit_patience": 0.2, **settings}.items():
            monkeypatch.setenv(f"WITNESS_{name.upper()}", str(value))
        log = two_streams() if log is None else log
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(log.served())
            log.sign()
            directory = tmp_path / "witness"
            if not directory.exists():
                init_witness(directory, NAME, NOW)

            class Configured:
                vkey, origin = SIGNER.vkey, ORIGIN

            configure(directory, Configured(), url=log.url)  # type: ignore[arg-type]
            served = await stack.enter_async_context(serving(directory))
            one = Scene(log, served)
            if start:
                one.crew.start()
            try:
                yield one
            finally:
                await one.crew.stop()

    return opened
