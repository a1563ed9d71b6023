"""A log that its witnesses know better than it does: refused at start, stopped when it is found later, and only by our own
signature; a mere claim is an alarm.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import ORIGIN, new_log
from tests.witness_zoo import Witness, answering, silent, started
from tests.witnessed_site import log_key, served, until, verifier
from tlog.core.add_checkpoint import SIZE_TYPE
from tlog.core.checkpoint import Checkpoint
from tlog.core.note import Signer, sign_note
from tlog.errors import CorruptStore, Unavailable
from tlog.witnesses.evidence import judge_shown, monitoring_url
from tlog.witnesses.keeper import AHEAD, OK, UNREACHABLE


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_log(tmp_path_factory.mktemp("startup") / "log")


@pytest.fixture
def directory(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "log")
    return tmp_path / "log"


def restore(backup: Path, directory: Path) -> None:
    """Everything, the guard included, is as it was."""
    policy = (directory / "policy").read_bytes()
    shutil.rmtree(directory)
    shutil.copytree(backup, directory)
    (directory / "policy").write_bytes(policy)


async def grow(directory: Path, witness: Witness, times: int) -> int:
    async with served(directory, [witness]) as site:
        for _ in range(times):
            size = await site.append()
            await site.shown(size, 1)
    return size


async def grow_alone(directory: Path, to_size: int) -> None:
    """Another history: the same log without its witness."""
    policy = (directory / "policy").read_bytes()
    (directory / "policy").write_text("quorum none\n")
    async with served(directory, []) as site:
        while await site.append() < to_size:
            pass
    (directory / "policy").write_bytes(policy)


@pytest.mark.parametrize("then", [None, -2, 0, 4])
async def test_a_restored_backup_is_refused(
    directory: Path, tmp_path: Path, then: int | None
) -> None:
    """As it was, or after it went on by itself: to less than the witness saw, to as much, to more."""
    witness = Witness(1, verifier(directory))
    async with started(witness):
        await grow(directory, witness, 1)
        shutil.copytree(directory, tmp_path / "backup")
        seen = await grow(directory, witness, 3)
        restore(tmp_path / "backup", directory)
        if then is not None:
            await grow_alone(directory, seen + then)
        asked = len(witness.requests)
        with pytest.raises(CorruptStore) as refused:
            await grow(directory, witness, 1)
        assert len(witness.requests) == asked  # before anything was signed or sent
        assert "witness w0 shows" in refused.value.detail and str(seen) in refused.value.detail
        assert "rolled back" in refused.value.detail and "do not remove" in refused.value.detail
        assert ("another root" in refused.value.detail) == (then in (0, 4))


async def test_a_command_on_a_restored_backup_signs_nothing_either(
    directory: Path, tmp_path: Path
) -> None:
    """`tlog stream create` commits by itself where no server runs."""
    witness = Witness(1, verifier(directory))
    environment = {**os.environ, "TLOG_WITNESS_POLICY": "policy"}

    async def create(stream_id: str) -> tuple[int | None, str]:
        command = (sys.executable, "-m", "tlog", "stream", "create", str(directory), stream_id)
        process = await asyncio.create_subprocess_exec(
            *command, stderr=asyncio.subprocess.PIPE, env=environment
        )
        _, said = await process.communicate()
        return process.returncode, said.decode()

    async with started(witness):
        await grow(directory, witness, 1)
        shutil.copytree(directory, tmp_path / "backup")
        await grow(directory, witness, 1)
        code, said = await create("acme:prod:good")
        assert code == 0, said
        restore(tmp_path / "backup", directory)
        guard = (directory / "guard").read_bytes()
        code, said = await create("acme:prod:other")
        assert (code, "rolled back" in said) == (1, True), said
    assert (directory / "guard").read_bytes() == guard


async def test_a_smaller_root_of_another_history_is_refused_too(
    directory: Path, tmp_path: Path
) -> None:
    witness = Witness(1, verifier(directory))
    shutil.copytree(directory, tmp_path / "backup")
    async with started(witness):
        seen = await grow(directory, witness, 1)
        restore(tmp_path / "backup", directory)
        await grow_alone(directory, seen + 6)
        with pytest.raises(CorruptStore, match=f"another root of size {seen}"):
            await grow(directory, witness, 1)


@pytest.mark.parametrize("then", [None, 0, 4])
async def test_a_witness_that_comes_back_with_evidence_stops_the_writer(
    directory: Path, tmp_path: Path, then: int | None
) -> None:
    witness = Witness(1, verifier(directory))
    async with started(witness):
        await grow(directory, witness, 1)
        shutil.copytree(directory, tmp_path / "backup")
        seen = await grow(directory, witness, 3)
    restore(tmp_path / "backup", directory)
    if then is not None:
        await grow_alone(directory, seen + then)
    async with served(directory, [witness]) as site:  # it is away: passed over
        if then is None:  # what it shows is still larger than this store
            site.log.sequencer.publisher.work(site.log.sequencer.head)
        await witness.start(witness.port)
        try:
            await until(lambda: site.log.failure is not None)
            failure = site.log.failure
            assert isinstance(failure, CorruptStore) and "witness w0 shows" in failure.detail
            with pytest.raises(Unavailable) as stopped:
                await site.append()
            assert stopped.value.kind == "stopping"
            assert site.log.sequencer.status == "failed"
        finally:
            await witness.stop()


def _flip(note: bytes) -> bytes:
    return note.replace(b"\n\n", b"A\n\n", 1)


Shows = Callable[[Path, bytes], bytes]
LARGER = Checkpoint(ORIGIN, 10**6, bytes(32)).body()
NO_EVIDENCE: dict[str, Shows] = {
    "another key": lambda d, note: sign_note(LARGER, [Signer(ORIGIN, bytes(32))]),
    "another log": lambda d, note: sign_note(
        Checkpoint("other.example.com", 10**6, bytes(32)).body(), [log_key(d)]
    ),
    "a stream": lambda d, note: sign_note(
        Checkpoint(f"{ORIGIN}/streams/x", 10**6, bytes(32)).body(),
        [log_key(d).under(f"{ORIGIN}/streams/x")],
    ),
    "no checkpoint": lambda d, note: sign_note(b"hello\n", [log_key(d)]),
    "a broken signature": lambda d, note: _flip(sign_note(LARGER, [log_key(d)])),
    "nonsense": lambda d, note: b"<html>",
    "too much": lambda d, note: b"x" * (2 << 20),
    "what is true": lambda d, note: note,
    "the empty tree": lambda d, note: sign_note(
        Checkpoint(ORIGIN, 0, hashlib.sha256().digest()).body(), [log_key(d)]
    ),
}


@pytest.mark.parametrize("kind", NO_EVIDENCE)
async def test_what_we_did_not_sign_convicts_nobody(directory: Path, kind: str) -> None:
    """It claims a million leaves, by 409 and in what it shows: the log goes on, and health sounds the alarm."""
    reply = answering(409, lambda w, b: b"1000000\n", Content_Type=SIZE_TYPE)
    witness = Witness(1, verifier(directory), reply)
    async with served(directory, []) as site:
        await site.append()
        await until(lambda: site.log.publication.newest is not None)
        note = site.log.sequencer.head.note
    (directory / "policy").unlink()
    witness.show = NO_EVIDENCE[kind](directory, note)
    async with started(witness), served(directory, [witness]) as site:
        keeper = site.log.publication.keepers[0]
        await until(lambda: keeper.state == AHEAD)
        assert "1000000" in keeper.error
        await site.append()
        assert site.log.failure is None and site.log.sequencer.status == "ok"


async def test_silent_witnesses_are_passed_over_within_their_time(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = verifier(directory)
    witnesses = [Witness(1, log), Witness(2, log)]
    witnesses[0].show = b""

    class Silent(Witness):
        async def _get(self, request: object) -> None:  # type: ignore[override]
            await silent(self, request, b"")  # type: ignore[arg-type]

    mute = Silent(3, log)
    async with started(mute), served(directory, [mute, *witnesses[:1]]) as site:
        assert [k.state for k in site.log.publication.keepers] == [UNREACHABLE] * 2
        assert "witness w0 is not asked" in caplog.text and "witness w1" in caplog.text
        await site.shown(await site.append(), 1)
        assert site.log.publication.keepers[0].state == OK


def test_where_a_witness_shows_what_it_cosigned() -> None:
    """The example of C2SP: the origin's SHA-256 in lower-case hex."""
    digest = hashlib.sha256(b"log.example.com").hexdigest()
    url = monitoring_url("https://w.example.org/a", "log.example.com")
    assert url == f"https://w.example.org/a/{digest}/checkpoint"


async def test_what_is_judged_is_held_against_the_newest_head(directory: Path) -> None:
    async with served(directory, []) as site:
        await site.append()
        size = await site.append()
        head, reader = site.log.sequencer.head, site.log.reader
        for at in range(size + 1):
            root = reader.root_of(0, at) if at else hashlib.sha256().digest()
            for shown, good in ((root, True), (bytes(32), False)):
                note = sign_note(Checkpoint(ORIGIN, at, shown).body(), [log_key(directory)])
                found = judge_shown(
                    note, verifier(directory), lambda: head.root, lambda n: reader.root_of(0, n)
                )
                assert found.size == at and (found.conflict is None) == good
