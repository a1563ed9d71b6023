"""Pushing to witnesses over real sockets: the good ones' quorum is reached whatever the others do, and nothing that does
not verify gets into the checkpoint or the store; meanwhile events are taken.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.harness import ORIGIN, new_log
from tests.witness_zoo import (
    Reply,
    Witness,
    answering,
    bomb,
    endless,
    silent,
    started,
    text_of,
    trickling,
    write_policy,
)
from tlog.config import Config
from tlog.core.add_checkpoint import SIZE_TYPE
from tlog.core.checkpoint import Checkpoint, open_checkpoint
from tlog.core.cosignature import CosignatureSigner
from tlog.core.note import Signer, Verifier, parse_skey, parse_vkey
from tlog.log import Log
from tlog.server import open_gateway
from tlog.witnesses.gateway import Gateway
from tlog.witnesses.keeper import AHEAD, LYING, OK, REFUSING, UNREACHABLE

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


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_log(tmp_path_factory.mktemp("push") / "log")


@pytest.fixture
def directory(template: Path, tmp_path: Path) -> Path:
    import shutil

    shutil.copytree(template, tmp_path / "log")
    return tmp_path / "log"


def log_key(directory: Path) -> Signer:
    return parse_skey((directory / "log.key").read_text().strip())


def verifier(directory: Path) -> Verifier:
    return parse_vkey(log_key(directory).vkey)


@asynccontextmanager
async def served(
    directory: Path, witnesses: list[Witness], quorum: int = 1, **settings: Any
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
    gateway = open_gateway(log, backoff=(0.05, 0.2))
    try:
        await gateway.check()
        log.start()
        gateway.start()
        yield Site(log, gateway, witnesses)
    finally:
        await gateway.close()
        log.close()


async def test_all_witnesses_cosign_and_the_proofs_verify(directory: Path) -> None:
    witnesses = [Witness(n, verifier(directory)) for n in (1, 2, 3)]
    async with started(*witnesses), served(directory, witnesses, 3) as site:
        for _ in range(3):
            size = await site.append()
            assert site.lines(await site.shown(size, 3)) == 3
        assert [w.size for w in witnesses] == [size] * 3
        # The first request learnt nothing by 409 and needed none: it began with `old 0`; then each had a proof.
        assert all(set(w.answers) == {200} for w in witnesses)
        assert all(
            k.state == OK and k.size == size and not k.lag(time.monotonic())
            for k in site.log.publication.keepers
        )
        await until(lambda: site.log.reader.witnessed(size - 1) is not None)
        site.check_store()
    # After a restart it knows from the witnesses where they are.
    for witness in witnesses:
        witness.requests.clear()
    async with started(*witnesses):
        (directory / "policy").unlink()
        async with served(directory, witnesses, 3) as site:
            assert site.log.publication.checkpoint is not None
            assert site.lines(site.log.publication.checkpoint) == 3
            size = await site.append()
            await site.shown(size, 3)
            assert all(set(w.answers) == {200} for w in witnesses)


def _flip(line: bytes) -> bytes:
    head, blob = line[:-1].rsplit(b" ", 1)
    raw = bytearray(base64.b64decode(blob))
    raw[-1] ^= 1
    return head + b" " + base64.b64encode(raw) + b"\n"


def _line(self: Witness, body: bytes) -> bytes:
    return self.signer.sign_line(text_of(body), int(time.time()))


def _other_note(self: Witness, body: bytes) -> bytes:
    head = Checkpoint(ORIGIN, 10**6, bytes(32))
    return self.signer.sign_line(head.body(), int(time.time()))


STRANGER = CosignatureSigner("stranger.example.org", bytes([99]) * 32)
IMPOSTOR = CosignatureSigner("w9.example.org", bytes([98]) * 32)  # the liar's name, another key

ZOO: dict[str, tuple[Reply | None, str]] = {
    "dead": (None, UNREACHABLE),
    "silent": (silent, UNREACHABLE),
    "slow body": (trickling, UNREACHABLE),
    "a gigabyte": (endless, UNREACHABLE),
    "inflates": (bomb, UNREACHABLE),
    "wrong signature": (answering(200, lambda w, b: _flip(_line(w, b))), LYING),
    "foreign line": (answering(200, lambda w, b: STRANGER.sign_line(text_of(b), 5)), LYING),
    "same name": (answering(200, lambda w, b: IMPOSTOR.sign_line(text_of(b), 5)), LYING),
    "another note": (answering(200, _other_note), LYING),
    "the log's own line": (answering(200, lambda w, b: b.split(b"\n\n")[2]), LYING),
    "empty": (answering(200, lambda w, b: b""), LYING),
    "no lines": (answering(200, lambda w, b: b"<html>welcome</html>"), LYING),
    "a thousand lines": (answering(200, lambda w, b: b"\n" * 1000), LYING),
    "of the future": (
        answering(200, lambda w, b: w.signer.sign_line(text_of(b), int(time.time()) + 9999)),
        LYING,
    ),
    "409 absurd": (answering(409, lambda w, b: b"999999999\n", Content_Type=SIZE_TYPE), AHEAD),
    "409 no size": (answering(409, lambda w, b: b"many\n", Content_Type=SIZE_TYPE), LYING),
    "409 other type": (answering(409, lambda w, b: b"1\n", Content_Type="text/plain"), REFUSING),
    "409 for ever": (answering(409, lambda w, b: b"1\n", Content_Type=SIZE_TYPE), REFUSING),
    "302": (answering(302, lambda w, b: b"", Location="http://127.0.0.1:1/"), REFUSING),
    "307": (answering(307, lambda w, b: b"", Location="/add-checkpoint"), REFUSING),
    "400": (answering(400, lambda w, b: b"?"), REFUSING),
    "403": (answering(403, lambda w, b: b""), REFUSING),
    "404": (answering(404, lambda w, b: b"\xff\x00\x1b[31m"), REFUSING),
    "422": (answering(422, lambda w, b: b""), REFUSING),
    "429": (answering(429, lambda w, b: b"", Retry_After="3600"), UNREACHABLE),
    "418": (answering(418, lambda w, b: b""), REFUSING),
    "500": (answering(500, lambda w, b: b"x" * 100_000, Retry_After="soon"), UNREACHABLE),
}  # fmt: skip


@pytest.mark.parametrize("kind", ZOO)
async def test_one_bad_witness_costs_nothing_but_its_line(directory: Path, kind: str) -> None:
    reply, state = ZOO[kind]
    log = verifier(directory)
    good = [Witness(1, log), Witness(2, log)]
    bad = Witness(9, log, reply)
    listening = good if reply is None else [*good, bad]
    async with started(*listening), served(directory, [bad, *good], 2) as site:
        for _ in range(2):
            size = await site.append()
            assert site.lines(await site.shown(size, 2)) == 2
        keeper = site.log.publication.keepers[0]
        await until(lambda: keeper.state != OK)
        assert keeper.state == state and keeper.error.isprintable() and len(keeper.error) <= 300
        assert keeper.size == 0
        size = await site.append()
        note = await site.shown(size, 2)
        assert b"w9.example.org" not in note and b"stranger" not in note
        await until(lambda: site.log.reader.witnessed(size - 1) is not None)
        site.check_store()
        assert site.log.failure is None and site.log.sequencer.status == "ok"
        if kind == "a gigabyte":
            assert bad.sent < 1 << 26  # the sockets' buffers, not the body
