"""A log of a test with its gateway to witnesses, opened as the server opens it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.harness import ORIGIN
from tests.witness_zoo import Witness, write_policy
from tlog.config import Config
from tlog.core.checkpoint import open_checkpoint
from tlog.core.note import Signer, Verifier, parse_skey, parse_vkey
from tlog.log import Log
from tlog.server import open_gateway
from tlog.witnesses.gateway import Gateway

NOBODY = "http://127.0.0.1:1"


class Site:
    """An open log with its gateway."""

    def __init__(self, log: Log, gateway: Gateway, witnesses: list[Witness]) -> None:
        self.log = log
        self.gateway = gateway
        self.witnesses = witnesses

    async def append(self) -> int:
        """Add leaves to the root log; the size after it."""
        name = f"acme:prod:s{len(self.log.states.numbers)}"
        opening = self.log.preparer.opening(name, public=False)
        outcome = await asyncio.wait_for(self.log.append([], {name: opening}), 5)
        assert outcome.committed is not None
        return outcome.committed.root.size

    async def shown(self, size: int, cosigners: int) -> bytes:
        """Wait until a root of at least `size` with so many cosignatures is shown."""

        def ready() -> bool:
            note = self.log.publication.checkpoint
            return (
                note is not None
                and int(note.split(b"\n")[1]) >= size
                and self.lines(note) >= cosigners
            )

        await until(ready)
        note = self.log.publication.checkpoint
        assert note is not None
        return note

    def lines(self, note: bytes) -> int:
        """How many witnesses cosigned; every line of the note verifies under log and policy."""
        keys = [parse_vkey(self.log.vkey), *(k.verifier for k in self.log.publication.keepers)]
        _, opened = open_checkpoint(note, keys[:1], ORIGIN, keys[1:])
        assert opened.only_verified() == note
        return len(opened.signatures) - 1

    def check_store(self) -> None:
        """Nothing but verified lines, one per key, in every stored note."""
        with self.log.store.read() as txn:
            for _, value in txn.cursor(db=self.log.store.db["published"]):
                self.lines(bytes(value))


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.01)


def log_key(directory: Path) -> Signer:
    return parse_skey((directory / "log.key").read_text().strip())


def verifier(directory: Path) -> Verifier:
    return parse_vkey(log_key(directory).vkey)


@asynccontextmanager
async def served(
    directory: Path,
    witnesses: list[Witness],
    quorum: int = 1,
    *,
    backoff: tuple[float, float] = (0.05, 0.2),
    **settings: Any,
) -> AsyncIterator[Site]:
    """Open the log as the server does. Witnesses without a URL are dead ones."""
    for witness in witnesses:
        witness.url = witness.url or NOBODY
    if not (directory / "policy").exists():
        write_policy(directory / "policy", witnesses, quorum)
    values = {"publish_interval": 0.05, "publish_idle_interval": 60.0, "witness_timeout": 0.4}
    values |= {"witness_wait": 30.0, **settings}
    clock = {name: values.pop(name) for name in ("clock_ms",) if name in values}
    failures: list[BaseException] = []
    config = Config(ORIGIN, witness_policy="policy", **values)
    log = Log(directory, config=config, fatal=failures.append, **clock)
    gateway = open_gateway(log, backoff)
    try:
        await gateway.check()
        log.start()
        gateway.start()
        yield Site(log, gateway, witnesses)
    finally:
        await gateway.close()
        log.close()
