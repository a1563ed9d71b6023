"""Pushing to witnesses over real sockets: the good ones' quorum is reached whatever the others do, and nothing that does
not verify gets into the checkpoint or the store; meanwhile events are taken.
"""

from __future__ import annotations

import base64
import shutil
import time
from pathlib import Path

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
)
from tests.witnessed_site import served, until, verifier
from tlog.core.add_checkpoint import SIZE_TYPE
from tlog.core.checkpoint import Checkpoint
from tlog.core.cosignature import CosignatureSigner
from tlog.witnesses.keeper import AHEAD, LYING, OK, REFUSING, UNREACHABLE


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_log(tmp_path_factory.mktemp("push") / "log")


@pytest.fixture
def directory(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "log")
    return tmp_path / "log"


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
