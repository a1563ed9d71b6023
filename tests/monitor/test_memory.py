"""What was verified is remembered: a changed history is caught, a run that broke off goes on, a false memory accuses nobody."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.client.fetch.tiled import ORIGIN, SIGNER, Tiles
from tests.monitor.made import LOG, PRIVATE, PUBLIC, made, verify
from tlog.client.errors import ForkDetected, StateUnusable
from tlog.client.fetch import Fetcher, audit, http
from tlog.client.fetch.audit import Trail
from tlog.client.fetch.entries import parse_checked
from tlog.client.pins import Head, Pins, fork_file, head_file
from tlog.core.checkpoint import Checkpoint
from tlog.core.fork import verify_fork
from tlog.core.note import Signer, parse_vkey, sign_note
from tlog.core.root_log import RuleBroken
from tlog.errors import InvalidInput, Refused, Unavailable
from tlog.monitor.state import FileState
from tlog.monitor.visit import find_label

SEGMENTS = {**(audit.RootFollower.__init__.__kwdefaults__ or {}), "segment": 4}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_FIRST_WAIT", 0.001)


async def test_history_that_changed(tmp_path: Path) -> None:
    """Both notes are kept; where the tiles give one, as a fork proof that anybody can check."""
    log = made()
    async with log.served():
        before = await verify(log, tmp_path)
        log.sign("", 10)
        with pytest.raises(ForkDetected, match="rollback: a head of 11 leaves was signed, and now"):
            await verify(log, tmp_path)
        true, log.logs[""] = log.logs[""], Tiles(log.logs[""].entries[:-1])
        log.sign()
        with pytest.raises(ForkDetected, match="rollback") as caught:
            await verify(log, tmp_path)
        document = json.loads(caught.value.evidence.read_bytes())
        assert "a head of 11 leaves was signed" in document["found"]
        assert [document[one].split("\n")[1] for one in ("first", "second")] == ["11", "10"]
        entries = [*true.entries[:5], true.entries[6], true.entries[5], *true.entries[7:]]
        for more in ([], [b"x", b"y"]):
            log.logs[""] = Tiles([*entries, *more])
            log.sign()
            with pytest.raises(ForkDetected, match="history") as caught:
                await verify(log, tmp_path)
            fork = verify_fork(caught.value.evidence.read_bytes(), LOG)
            assert fork.first.signed.size == before.head.size
            (tmp_path / fork_file(LOG)).unlink()
        log.logs[""] = true
        log.sign()
        assert (await verify(log, tmp_path)).head == before.head


async def test_a_fork_is_remembered(tmp_path: Path) -> None:
    """Whoever saw both histories believes neither, SDK and command alike, until somebody removes the file that says so."""
    log = made()
    async with log.served():
        await verify(log, tmp_path)
        log.sign("", root=bytes(32))
        with pytest.raises(
            ForkDetected, match=r"not (one history|those that were signed)"
        ) as caught:
            await verify(log, tmp_path)
        log.sign()
        for _ in range(2):
            with pytest.raises(ForkDetected, match="caught with two histories before") as again:
                await verify(log, tmp_path)
            assert again.value.evidence == caught.value.evidence
        with pytest.raises(ForkDetected):
            Pins(tmp_path).refuse_forked(LOG)
        (tmp_path / fork_file(LOG)).unlink()
        await verify(log, tmp_path)


async def test_two_roots_of_one_size_are_a_fork_without_a_tile(tmp_path: Path) -> None:
    """Who signed another root for the size that was seen is convicted by it, although it serves no tiles for it."""
    log = made()
    async with log.served():
        before = await verify(log, tmp_path)
        log.sign("", root=bytes(32))
        for forgotten in (None, tmp_path / head_file(LOG)):
            if forgotten is not None:
                forgotten.unlink()
            with pytest.raises(
                ForkDetected, match=r"not (one history|those that were signed)"
            ) as caught:
                await verify(log, tmp_path)
            fork = verify_fork(caught.value.evidence.read_bytes(), LOG)
            roots = (fork.first.signed.root, fork.second.signed.root)
            assert roots == (before.head.root, bytes(32))
            (tmp_path / fork_file(LOG)).unlink()


async def test_heads_that_the_sdk_keeps(tmp_path: Path) -> None:
    """A receipt's head may be newer than the published one; not gone, and not of another history."""
    log = made()
    pins, newest = Pins(tmp_path), Head(log.head(), log.sign())
    pins.advance(LOG, newest)
    log.sign("", 9)
    async with log.served():
        report = await verify(log, tmp_path)
        assert report.head.size == 9
        assert report.unpublished == sorted([log.label(PRIVATE), log.label(PUBLIC)])
        log.sign()
        assert (await verify(log, tmp_path)).unpublished == []
        true = log.logs[""]
        log.logs[""] = Tiles(true.entries[:9])
        log.sign()
        with pytest.raises(ForkDetected, match="is not served any more") as caught:
            await verify(log, tmp_path)
        assert json.loads(caught.value.evidence.read_bytes())["first"] == newest.note.decode()
        log.logs[""] = Tiles([*true.entries[:5], *true.entries[6:], b"x", b"y"])
        log.sign()
        with pytest.raises(ForkDetected, match="are not one history") as caught:
            await verify(log, tmp_path)
        verify_fork(caught.value.evidence.read_bytes(), LOG)


async def test_a_published_head_that_comes_late(tmp_path: Path) -> None:
    """It is waited for, as long as patience lasts; the log may publish once a second only."""
    log = made()
    log.sign("", 9)
    async with log.served():

        async def publish() -> None:
            await asyncio.sleep(0.1)
            log.sign()

        later = asyncio.create_task(publish())
        report = await verify(log, tmp_path, patience=20.0)
        await later
    assert (report.head.size, report.unpublished) == (11, [])


async def test_a_lie_found_where_the_sdk_has_a_head(tmp_path: Path) -> None:
    """A tile of the new tree is false: that is named, and not called a changed history."""
    log = made()
    async with log.served():
        Pins(tmp_path).advance(LOG, Head(log.head(), log.sign()))
        log.add(PUBLIC, 1)
        log.lies["tile/0/000.p/12"] = bytes(32 * 12)
        with pytest.raises(RuleBroken, match="tile: hash 0 is not that of the entry"):
            await verify(log, tmp_path)


async def test_a_log_that_grows_meanwhile(tmp_path: Path) -> None:
    """A stream's checkpoint is newer than the root that was followed: it is followed further, and holds, or not."""
    log = made()
    log.sign("", 9)
    async with log.served():
        path = log.under(PRIVATE, "checkpoint")
        note = log.lies[path]

        async def shown(request: web.Request) -> web.Response:
            log.sign()
            return web.Response(body=note if isinstance(note, bytes) else b"")

        log.lies[path] = shown
        report = await verify(log, tmp_path, patience=5.0)
        assert (report.head.size, report.unpublished, report.checkpoints) == (11, [], 2)
        origin = f"{ORIGIN}/{log.under(PRIVATE)}".rstrip("/")
        log.add(PRIVATE, 1)
        log.add(PRIVATE, 3)
        log.sign("", 11)
        note = sign_note(Checkpoint(origin, 10, bytes(32)).body(), [SIGNER.under(origin)])
        log.lies[path] = shown
        with pytest.raises(RuleBroken, match="that the root log does not have"):
            await verify(log, tmp_path / "b", patience=5.0)


async def test_a_run_that_ends_early_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was checked before the log stopped answering is not read again."""
    monkeypatch.setattr(audit.RootFollower.__init__, "__kwdefaults__", SEGMENTS)
    log = made()
    log.lies[log.under(PUBLIC, "tile/0/001.p/19")] = 503
    async with log.served():
        with pytest.raises(Unavailable):
            await verify(log, tmp_path)
        log.lies[log.under(PUBLIC, "tile/0/001.p/19")] = 503
        state = FileState.load(tmp_path / "verify0.state", LOG)
        assert (state.root.size, state.trails[log.label(PUBLIC)].size) == (8, 274)
        del log.lies[log.under(PUBLIC, "tile/0/001.p/19")]
        report = await verify(log, tmp_path)
    assert (report.counts.root_leaves, report.counts.entries, report.again) == (3, 1, False)


async def test_a_run_that_is_killed(tmp_path: Path) -> None:
    """It leaves no half state: the next one verifies as if it had not been."""
    log, reached = made(), asyncio.Event()
    stalled = log.under(PUBLIC, "tile/entries/001.p/19")

    async def stall(request: web.Request) -> web.Response:
        reached.set()
        await asyncio.sleep(60)
        return web.Response()

    command = [sys.executable, "-m", "tlog", "verify", "--vkey", SIGNER.vkey]
    environment = {**os.environ, "TLOG_STATE": str(tmp_path)}
    async with log.served():
        for lie in (stall, None):
            log.lies.pop(stalled, None)
            if lie is not None:
                log.lies[stalled] = lie
            process = await asyncio.create_subprocess_exec(
                *command, log.url, env=environment, stdout=asyncio.subprocess.PIPE
            )
            if lie is not None:
                await asyncio.wait_for(reached.wait(), 60)
                process.kill()
            out, _ = await process.communicate()
    assert process.returncode == 0
    assert b"no earlier head is remembered" in out


async def test_a_log_that_does_not_answer(tmp_path: Path) -> None:
    log = made()
    async with log.served():
        url = log.url
    with pytest.raises(Unavailable):
        await verify(log, tmp_path, url=url)
    assert FileState.load(tmp_path / "verify0.state", LOG).note is None


def states(good: FileState) -> Iterator[str]:
    """Ways to change a state, each with a right checksum."""
    label = "acme/prod/public"
    trail, head, entries = good.trails[label], good.heads[label], good.entries[label]
    yield "as it was"
    good.trails[label] = Trail(trail.size, bytes(len(trail.subtrees)))
    yield "another tree"
    good.trails[label] = Trail(trail.size + 1, bytes(32 * (trail.size + 1).bit_count()))
    yield "more leaves than there are"
    good.trails[label] = trail
    good.heads[label] = head._replace(size=head.size + 50)
    yield "a larger head"
    good.heads[label] = head
    good.entries[label] = entries._replace(previous="sha256:" + "00" * 32)
    yield "another chain"
    good.entries[label] = entries._replace(size=3)
    yield "fewer entries"
    good.entries[label] = entries
    good.root = Trail(good.root.size, bytes(len(good.root.subtrees)))
    yield "another root log"
    good.root = Trail(100, bytes(32 * 3))
    yield "a longer root log"


async def test_states_that_something_else_changed(tmp_path: Path) -> None:
    """They are not believed: everything is checked again, and the honest log is not accused."""
    log = made()
    async with log.served():
        await verify(log, tmp_path)
        path = tmp_path / "verify0.state"
        kept = path.read_bytes()
        log.add(PUBLIC, 1)
        good = FileState.load(path, LOG)
        for what in states(good):
            good.save()
            report = await verify(log, tmp_path)
            assert report.again == (what != "as it was"), what
            assert report.counts.root_leaves == (12 if report.again else 1), what
        for data in (kept[:-70], kept.replace(b"acme", b"acne"), b"", kept + b"x"):
            path.write_bytes(data)
            with pytest.raises(StateUnusable, match="--full"):
                await verify(log, tmp_path)


def test_states_are_what_was_written(tmp_path: Path) -> None:
    """Of another key, of another form, or where nothing can be written: refused by name."""
    state = FileState(tmp_path / "s", LOG)
    assert state.head() is None
    state.save()
    state.discard()
    assert FileState.load(tmp_path / "s", LOG).root == Trail()
    state.note = b"nonsense"
    state.save()
    other = FileState(tmp_path / "o", parse_vkey(Signer(ORIGIN, bytes(32)).vkey))
    other.save()
    (tmp_path / "f").write_bytes(b"")
    (tmp_path / "d").mkdir()
    for name in ("s", "o", "d", "f"):
        with pytest.raises(StateUnusable):
            FileState.load(tmp_path / name, LOG)
        assert FileState.note_in(tmp_path / name, LOG) is None
    with pytest.raises(StateUnusable, match="cannot be written"):
        FileState(tmp_path / "f" / "x", LOG).save()
    for line in ([1], [0, 1, "x", 0, 0, 0], [0, "sha256:" + "0" * 64, None, "", [["a", -1]], 0]):
        with pytest.raises(InvalidInput):
            parse_checked(line)


async def test_finding_a_stream_by_its_id(tmp_path: Path) -> None:
    """With a token alone: the public one by its label, a private one by looking into each."""
    log = made()
    log.open("acme:prod:hidden")
    log.hide("acme:prod:hidden")
    async with log.served(), Fetcher(log.url) as fetcher:
        for stream_id in (PUBLIC, PRIVATE):
            found = await find_label(fetcher, LOG, log.head(), stream_id)
            assert found == log.label(stream_id)
        assert await find_label(fetcher, LOG, log.head(), "acme:prod:hidden") is None
        log.lies[log.under("acme:prod:hidden", "tile/entries/000.p/1")] = 401
        for wrong in (
            find_label(fetcher, LOG, log.head(), "a:b:c"),
            verify(log, tmp_path, token=True),
        ):
            with pytest.raises(Refused, match="asks for a token"):
                await wrong
