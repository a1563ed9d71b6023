"""A store that is older than what was signed: noticed by the guard, by what the world published; ended by hand only."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.witness.conftest import Serve
from tests.witness.harness import (
    NAME,
    NOW,
    ORIGIN,
    Times,
    WitnessedLog,
    configure,
    new_witness,
    opened,
)
from tests.witness.listening import listening
from tests.witness.matrix import FORK, LATEST, LOG, NEVER, STRANGER
from tlog.core.cosignature import CosignatureSigner
from tlog.core.note import parse_vkey
from tlog.errors import CorruptStore, InvalidInput, Refused, VerificationError
from witness.cosigner import Cosigned, known_log
from witness.doubt import hold_all, own_cosignature, resume
from witness.guard import Guard, GuardState
from witness.lookout import Looked, published
from witness.rows import HoldRow, LatestRow, LogRow, origin_key
from witness.setup import STORE
from witness.state import HELD, Conflict, Refuse
from witness.witness import Witness

COPIED = (STORE, "guard")


def grow(witness: Witness, old: int, new: int, log: WitnessedLog = LOG) -> bytes:
    """Cosign, and the note with our line as the log would publish it."""
    (answer,) = witness.cosigner.cosign([log.request(old, new)])
    assert isinstance(answer, Cosigned)
    return answer.head.note


def refused(witness: Witness, old: int, new: int, log: WitnessedLog = LOG) -> str:
    """The kind of the refusal."""
    (answer,) = witness.cosigner.cosign([log.request(old, new)])
    assert isinstance(answer, Refuse)
    return answer.kind


def rolled_back(directory: Path, *parts: str) -> bytes:
    """Cosign up to size 9, then put `parts` of the directory back as they were; the newest note."""
    backup = directory.with_name("backup")
    shutil.copytree(directory, backup)
    witness = opened(directory)
    note = grow(witness, LATEST, 9)
    witness.close()
    for part in parts:
        if (directory / part).is_dir():
            shutil.rmtree(directory / part)
            shutil.copytree(backup / part, directory / part)
        else:
            shutil.copy(backup / part, directory / part)
    return note


def test_a_restored_store_is_noticed_by_the_guard(directory: Path) -> None:
    """Every log is held, also one that is added later; again at the next start; nothing of it is a 409."""
    rolled_back(directory, STORE)
    for _ in range(2):
        witness = opened(directory)
        configure_beside(witness)
        assert refused(witness, LATEST, 7) == HELD
        assert refused(witness, LATEST, 7, FORK) == HELD
        assert refused(witness, 0, 7, NEVER) == HELD
        assert refused(witness, 0, 7, WitnessedLog(16, origin="late.example.com", seed=4)) == HELD
        witness.close()


def configure_beside(witness: Witness) -> None:
    """Add a log to a store that this process holds open."""
    from witness.logbook import add_logs, entry

    late = WitnessedLog(16, origin="late.example.com", seed=4)
    add_logs(witness.store, [entry(late.vkey)], NOW)


@pytest.mark.parametrize("damage", ["missing", "empty", "noise"])
def test_a_lost_guard_holds_everything(directory: Path, damage: str) -> None:
    """Without a guard nobody knows; that is not a reason to go on, nor to be unable to start."""
    guard = directory / "guard"
    guard.unlink()
    if damage != "missing":
        guard.write_bytes(b"" if damage == "empty" else b"\x00" * 1024)
    witness = opened(directory)
    assert refused(witness, LATEST, 7) == HELD
    resume(witness.store, ORIGIN, witness.keys.verifiers(), as_stored=True)
    grow(witness, LATEST, 7)
    witness.close()
    witness = opened(directory)
    grow(witness, 7, 8)
    witness.close()


def test_one_commit_ahead_of_the_guard_is_a_crash(directory: Path) -> None:
    """Between commit and guard: go on. Two ahead, or another history of the same length: hold."""
    shutil.copy(directory / "guard", directory / "old")
    witness = opened(directory)
    grow(witness, LATEST, 7)
    witness.close()
    shutil.copy(directory / "guard", directory / "newer")
    shutil.copy(directory / "old", directory / "guard")
    witness = opened(directory)
    grow(witness, 7, 8)
    witness.close()
    shutil.copy(directory / "newer", directory / "guard")
    witness = opened(directory)
    assert witness.store.all("holds", HoldRow) == []
    grow(witness, 8, 9)
    witness.close()
    shutil.copy(directory / "newer", directory / "guard")
    witness = opened(directory)
    assert len(witness.store.all("holds", HoldRow)) == 2
    witness.close()


@pytest.mark.parametrize("further", [[], [9]])
def test_another_history(directory: Path, further: list[int]) -> None:
    """The number fits, or is one less as after a crash; the chain does not."""
    other = directory.with_name("other")
    shutil.copytree(directory, other)
    for path, sizes in ((directory, [7, *further]), (other, [8])):
        witness = opened(path)
        for old, new in zip([LATEST, *sizes], sizes, strict=False):
            grow(witness, old, new)
        witness.close()
    shutil.copy(other / "guard", directory / "guard")
    witness = opened(directory)
    assert refused(witness, 7, 10) == HELD
    witness.close()


def test_a_guard_of_another_witness_is_no_guard(directory: Path, tmp_path: Path) -> None:
    """Two witnesses with one guard file: refused, not held."""
    new_witness(tmp_path / "second")
    shutil.copy(tmp_path / "second" / "guard", directory / "guard")
    with pytest.raises(CorruptStore, match="another store"):
        opened(directory)
    with pytest.raises(Refused):
        Guard.create(directory / "guard", bytes(16), (0, bytes(32)))  # type: ignore[arg-type]


@asynccontextmanager
async def site(pages: dict[str, bytes | int]) -> AsyncIterator[str]:
    """Serve pages by path; a number is a status. The prefix."""

    async def answer(request: web.Request) -> web.Response:
        page = pages.get(request.path, 404)
        if isinstance(page, int):
            return web.Response(status=page)
        return web.Response(body=page)

    async with listening(answer) as url:
        yield url


async def test_a_restored_directory_is_noticed_by_what_the_log_shows(
    directory: Path, serve: Serve
) -> None:
    """Store and guard of yesterday agree; the log publishes our line of today. Every log is held before anything is signed."""
    note = rolled_back(directory, *COPIED)
    async with site({"/checkpoint": note}) as url:
        configure(directory, LOG, url=url)
        served = await serve()
        assert (await served.add(STRANGER.body(0, 7))).status == 404
        assert (await served.call("GET", "/health")).body.count(b'"origin"') == 2
        for body in (LOG.body(LATEST, 7), NEVER.body(0, 7)):
            reply = await served.add(body)
            assert reply.status == 503
            assert int(reply.headers["Retry-After"]) >= 1
        ours = served.witness.keys.verifiers()
        resume(served.witness.store, ORIGIN, ours)
        assert (await served.add(LOG.body(LATEST, 7))).body == b"9\n"
        assert (await served.add(LOG.body(9, 12))).status == 200
        assert (await served.published(ORIGIN)).body.startswith(b"log.example.com\n12\n")
        assert (await served.add(NEVER.body(0, 7))).status == 503


async def test_noticed_while_running_at_a_peer(
    directory: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log shows nothing, a peer's copy of our page does, later."""
    note = rolled_back(directory, *COPIED)
    page = f"/copy/{origin_key(ORIGIN).hex()}/checkpoint"
    pages: dict[str, bytes | int] = {page: 503}
    async with site(pages) as url:
        monkeypatch.setenv("WITNESS_PEERS", f"{url}/nothing {url}/copy/")
        monkeypatch.setenv("WITNESS_CHECK_TIMEOUT", "0.5")
        served = await serve()
        assert (await served.add(LOG.body(LATEST, LATEST))).status == 200
        pages[page] = note
        looked = await served.service.lookout.look()
        assert (looked.asked, looked.failed, looked.held) == (4, 0, 2)
        assert (await served.add(LOG.body(LATEST, LATEST))).status == 503
        assert len(await published(served.witness.store, ORIGIN, [f"{url}/copy"], 1.0)) == 1


@pytest.mark.parametrize(
    "what", ["not a note", "someone else's", "older", "no line of ours", 404, 500]
)
async def test_what_shows_nothing_stops_nothing(
    directory: Path, serve: Serve, what: str | int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a true cosignature of ours does, and one that is newer."""
    monkeypatch.setenv("WITNESS_CHECK_TIMEOUT", "0.2")
    witness = opened(directory)
    older = grow(witness, LATEST, LATEST)
    grow(witness, LATEST, 9)
    witness.close()
    ours = CosignatureSigner(NAME, bytes([8]) * 32)
    forged = LOG.note(12) + ours.sign_line(LOG.note(12), NOW)
    pages: dict[str, bytes | int] = {
        "/checkpoint": {
            "not a note": b"hello",
            "someone else's": forged,
            "older": older,
            "no line of ours": LOG.note(12),
        }.get(str(what), b"")
    }
    if isinstance(what, int):
        pages["/checkpoint"] = what
    async with site(pages) as url:
        configure(directory, LOG, url=url)
        served = await serve()
        assert served.witness.store.all("holds", HoldRow) == []
        assert (await served.add(LOG.body(9, 10))).status == 200


async def test_nothing_is_signed_before_the_first_look(directory: Path, serve: Serve) -> None:
    """At start, 503 for what would be signed; a conflict is told."""
    served = await serve()
    served.service.lookout.ready.clear()
    assert (await served.call("GET", "/health")).status == 503
    assert (await served.add(LOG.body(LATEST, 7))).status == 503
    assert (await served.add(LOG.body(0, 7))).status == 409
    with pytest.raises(Refused):
        await published(served.witness.store, "x", [], 1.0)


async def test_a_look_that_fails_is_no_look(
    directory: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is signed until one round came to its end."""
    monkeypatch.setenv("WITNESS_CHECK_INTERVAL", "0.01")
    served = await serve()
    lookout, broken = served.service.lookout, asyncio.Event()
    look = lookout.look

    async def failing() -> Looked:
        broken.set()
        raise OSError("disk")

    monkeypatch.setattr(lookout, "look", failing)
    lookout.ready.clear()
    await broken.wait()
    assert (await served.add(LOG.body(LATEST, 7))).status == 503
    monkeypatch.setattr(lookout, "look", look)
    await asyncio.wait_for(lookout.ready.wait(), 20)
    assert (await served.add(LOG.body(LATEST, 7))).status == 200


def test_resume(directory: Path) -> None:
    """Only a log that is held, only with a true cosignature, never back to an older one."""
    newest = rolled_back(directory, STORE)
    witness = opened(directory)
    store, ours = witness.store, witness.keys.verifiers()
    with pytest.raises(Refused, match="no log"):
        resume(store, "x.example.com", ours)
    with pytest.raises(Refused, match="--as-stored"):
        resume(store, ORIGIN, ours)
    with pytest.raises(Refused, match="--as-stored"):
        resume(store, ORIGIN, ours, notes=[LOG.note(12)])
    with pytest.raises(InvalidInput):
        resume(store, ORIGIN, ours, notes=[b"hello"])
    with pytest.raises(VerificationError):
        resume(store, ORIGIN, ours, notes=[LOG.note(12) + newest.split(b"\n\n")[1]])
    assert refused(witness, LATEST, 7) == HELD

    latest = resume(store, ORIGIN, ours, notes=[newest, LOG.note(3)])

    assert latest is not None
    assert (latest.size, latest.note) == (9, newest)
    (answer,) = witness.cosigner.cosign([LOG.request(LATEST, 7)])
    assert answer == Conflict(9)
    with pytest.raises(Refused, match="not on hold"):
        resume(store, ORIGIN, ours, as_stored=True)
    assert resume(store, NEVER.origin, ours, as_stored=True) is None
    witness.close()
    opened(directory).close()


def test_resume_never_goes_back(directory: Path) -> None:
    """An older cosignature than the stored one counts for nothing."""
    witness = opened(directory)
    older = witness.store.latest(ORIGIN)
    witness.close()
    assert older is not None
    rolled_back(directory)
    (directory / "guard").unlink()
    witness = opened(directory)
    ours = witness.keys.verifiers()
    with pytest.raises(Refused, match="--as-stored"):
        resume(witness.store, ORIGIN, ours, notes=[older.note])
    latest = resume(witness.store, ORIGIN, ours, notes=[older.note], as_stored=True)
    assert latest is not None
    assert latest.size == 9
    witness.close()


def test_own_cosignature_is_of_this_log() -> None:
    """Our line under another origin, or without the log's own, shows nothing of this log."""
    ours = CosignatureSigner(NAME, bytes([8]) * 32)
    keys = [parse_vkey(ours.vkey)]
    log = known_log(LogRow(ORIGIN, (LOG.vkey,)))
    text = LOG.note(7).partition(b"\n\n")[0] + b"\n"
    line = ours.sign_line(text, NOW)
    shown = own_cosignature(LOG.note(7) + line, log, keys)
    assert shown == LatestRow(ORIGIN, 7, LOG.root(7), NOW, LOG.note(7) + line)
    assert own_cosignature(LOG.note(7), log, keys) is None
    with pytest.raises(VerificationError):
        own_cosignature(text + b"\n" + line, log, keys)
    with pytest.raises(VerificationError):
        own_cosignature(LOG.note(7) + line, log._replace(origin="x.example.com"), keys)


def test_damaged_rows_are_refused(directory: Path) -> None:
    """A head whose note says something else: at start, and when it is asked about."""
    witness = opened(directory)
    row = witness.store.latest(ORIGIN)
    assert row is not None
    worse = LatestRow(ORIGIN, 4, row.root, row.time, row.note)
    with witness.store.write() as txn:
        witness.store.put(txn, "latest", origin_key(ORIGIN), worse)
    with pytest.raises(CorruptStore, match="damaged"):
        witness.cosigner.judge(LOG.request(4, 7))
    witness.close()
    with pytest.raises(CorruptStore, match="does not verify"):
        opened(directory, Times())


async def test_a_peer_that_is_gone_is_not_asked_for_every_log(
    directory: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand logs, and a peer that lets each question run out of time: the first look must come to its end."""
    async with site({}) as url:
        logs = [WitnessedLog(1, origin=f"l{n}.example.com", seed=n) for n in range(1, 41)]
        configure(directory, *logs)
        monkeypatch.setenv("WITNESS_PEERS", f"{url}/peer")
        served = await serve()
        asked: list[str] = []

        async def silent(log: LogRow, prefix: str) -> tuple[bool, int]:
            asked.append(prefix)
            await asyncio.sleep(0.01)
            return False, 0

        monkeypatch.setattr(served.service.lookout, "_look_at", silent)
        looked = await served.service.lookout.look()
        assert (looked.asked, looked.failed) == (42, 42)
        assert len(asked) <= 20


def test_what_a_hold_remembers(directory: Path) -> None:
    """The largest cosignature that was shown, whatever is shown after it; and no number of a commit is used twice."""
    witness = opened(directory)
    store, number = witness.store, witness.store.commit
    notes = {size: LatestRow(ORIGIN, size, LOG.root(size), NOW, LOG.note(size)) for size in (9, 12)}
    for size in (12, 9):
        hold_all(store, "a test", NOW, notes[size])
    with store.read() as txn:
        hold = store.hold(txn, ORIGIN)
        assert hold is not None
        assert (hold.size, hold.note) == (12, LOG.note(12))
        before = number(txn)
    witness.guard.advance(GuardState(before.number + 5, bytes(32)))
    witness.close()
    witness = opened(directory)
    with witness.store.read() as txn:
        assert witness.store.commit(txn).number == before.number + 6
    witness.close()
