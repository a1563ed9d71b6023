"""A log made by the test is verified from outside; with one thing in it false, that one is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.client.fetch.tiled import ORIGIN, SIGNER, Tiles
from tests.core.records import DELETE
from tests.monitor.made import PRIVATE, PUBLIC, MadeLog, made, verify
from tlog.client.fetch import http
from tlog.core.checkpoint import Checkpoint
from tlog.core.note import Signer, sign_note
from tlog.core.root_log import RuleBroken
from tlog.errors import InvalidInput, Refused

Lie = Callable[[MadeLog], None]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_FIRST_WAIT", 0.001)


async def test_an_honest_log(tmp_path: Path) -> None:
    """Everything is counted; the second run reads nothing again, the third what is new."""
    log = made()
    log.hide(PRIVATE)
    async with log.served():
        first = await verify(log, tmp_path)
        counts = first.counts
        assert (counts.root_leaves, counts.heads, counts.leaves, counts.entries) == (
            11,
            10,
            284,
            275,
        )
        assert (first.streams, first.unread, first.checkpoints, first.earlier) == (2, 1, 2, None)
        log.asked.clear()
        second = await verify(log, tmp_path)
        assert (second.counts.root_leaves, second.counts.leaves, second.earlier) == (0, 0, 11)
        assert not any("streams/" in path for path in log.asked)
        log.add(PUBLIC, 5)
        third = await verify(log, tmp_path)
    counts = third.counts
    assert (counts.root_leaves, counts.heads, counts.leaves, counts.entries) == (1, 1, 5, 5)
    assert (third.streams, third.checkpoints, third.earlier, third.again) == (2, 1, 11, False)


async def test_entries_that_are_private(tmp_path: Path) -> None:
    """Whoever has a token reads them, also those whose hashes were checked before."""
    log = made()
    async with log.served():
        assert (await verify(log, tmp_path, token=False)).counts.entries == 275
        later = await verify(log, tmp_path, token=True)
        assert (later.counts.entries, later.unread) == (9, 0)
        assert (await verify(log, tmp_path, token=False)).unread == 0
        log.add(PRIVATE)
        assert (await verify(log, tmp_path, token=False)).unread == 1
        assert (await verify(log, tmp_path, token=True)).counts.entries == 1


async def test_one_stream(tmp_path: Path) -> None:
    log = made()
    label = log.label(PRIVATE)
    async with log.served():
        report = await verify(log, tmp_path, label=label, stream_id=PRIVATE, token=True)
        assert (report.streams, report.counts.entries, report.counts.heads) == (1, 9, 5)
        with pytest.raises(Refused, match="no stream of this log"):
            await verify(log, tmp_path, label="a/b/c")
        with pytest.raises(RuleBroken, match=r"genesis: it is acme:prod:private, not x:y:z"):
            await verify(log, tmp_path / "b", label=label, stream_id="x:y:z", token=True)
        with pytest.raises(RuleBroken, match="genesis"):
            await verify(log, tmp_path, label=label, stream_id="x:y:z", token=True)
        with pytest.raises(RuleBroken, match="do not show that it is acme:prod:private"):
            await verify(log, tmp_path / "c", label=label, stream_id=PRIVATE)


def flip(path: str) -> Lie:
    def lie(log: MadeLog) -> None:
        prefix, rest = path.rsplit("tile/", 1)
        data = log.logs[prefix].resource("tile/" + rest)
        assert data is not None
        log.lies[path] = data[:4] + bytes([data[4] ^ 1]) + data[5:]

    return lie


def serve(path: str, what: bytes | int) -> Lie:
    return lambda log: log.lies.__setitem__(path, what)


def longer(path: str) -> Lie:
    def lie(log: MadeLog) -> None:
        prefix, rest = path.rsplit("tile/", 1)
        log.lies[path] = (log.logs[prefix].resource("tile/" + rest) or b"") + b"\x00"

    return lie


def forged(log: MadeLog) -> None:
    body = log.head().body()
    log.lies["checkpoint"] = sign_note(body, [Signer(ORIGIN, bytes(32))])


def other_origin(log: MadeLog) -> None:
    head = log.head()
    body = Checkpoint("other.example.com", head.size, head.root).body()
    log.lies["checkpoint"] = sign_note(body, [SIGNER])


def truncated(log: MadeLog) -> None:
    """The stream's tail is cut: tiles, bundles and checkpoint are of a smaller tree."""
    prefix = log.under(PUBLIC)
    log.logs[prefix] = Tiles(log.logs[prefix].entries[:-1])
    log.sign(prefix)


def stale_checkpoint(log: MadeLog) -> None:
    log.sign(log.under(PUBLIC), 274)


def another_checkpoint(log: MadeLog) -> None:
    log.sign(log.under(PUBLIC), root=bytes(32))


def checkpoint_of_the_other(log: MadeLog) -> None:
    log.lies[log.under(PUBLIC, "checkpoint")] = log.lies[log.under(PRIVATE, "checkpoint")]


def no_extension(log: MadeLog) -> None:
    """A stream is written anew from one entry on, and the head of that signed like any other."""
    prefix = log.under(PUBLIC)
    entries = log.logs[prefix].entries
    log.logs[prefix] = Tiles([*entries[:100], entries[101], *entries[101:]])
    log.add(PUBLIC)


def shrunk(log: MadeLog) -> None:
    log.leaf(Checkpoint(f"{ORIGIN}/streams/{log.label(PUBLIC)}", 5, bytes(32)).body())
    log.sign()


PLACE = "streams/acme/prod/public/"
LIES: dict[str, tuple[Lie, str, str]] = {
    "a bit in a tile": (flip(PLACE + "tile/0/000"), "tile", "tile/0/000"),
    "a bit in a partial tile": (flip(PLACE + "tile/0/001.p/19"), "tile", "tile/0/001.p/19"),
    "a bit in a tile above": (flip(PLACE + "tile/1/000.p/1"), "tile", "tile/1/000.p/1"),
    "a bit in an entry": (flip(PLACE + "tile/entries/001.p/19"), "entry", "tile/entries/001.p/19"),
    "a bit in the root log's tile": (flip("tile/0/000.p/11"), "tile", "tile/0/000.p/11"),
    "a bit in the root log's entries": (
        flip("tile/entries/000.p/11"),
        "entry",
        "tile/entries/000.p/11",
    ),
    "a byte too much in a tile": (longer(PLACE + "tile/0/000"), "malformed", "tile/0/000"),
    "a byte too much in a bundle": (
        longer(PLACE + "tile/entries/000"),
        "malformed",
        "tile/entries/000",
    ),
    "a tile withheld": (serve(PLACE + "tile/0/000", 404), "withheld", "tile/0/000"),
    "entries withheld": (serve(PLACE + "tile/entries/000", 404), "withheld", "tile/entries/000"),
    "a checkpoint withheld": (serve(PLACE + "checkpoint", 404), "withheld", "checkpoint"),
    "a forged checkpoint": (forged, "checkpoint", "checkpoint"),
    "no checkpoint": (serve("checkpoint", b"hello\n"), "checkpoint", "checkpoint"),
    "a checkpoint of another log": (other_origin, "checkpoint", "checkpoint"),
    "a stream without its tail": (truncated, "withheld", "tile/0/001.p/19"),
    "a stream's checkpoint of yesterday": (stale_checkpoint, "rollback", "checkpoint"),
    "a stream's checkpoint of another tree": (another_checkpoint, "checkpoint", "checkpoint"),
    "another stream's checkpoint": (checkpoint_of_the_other, "checkpoint", "checkpoint"),
    "a head that extends nothing": (no_extension, "extension", ""),
    "a head that is smaller": (shrunk, "growth", ""),
}


@pytest.mark.parametrize("name", LIES)
async def test_lies(tmp_path: Path, name: str) -> None:
    """Named with its resource, in the first run and again in the next."""
    lie, rule, resource = LIES[name]
    log = made()
    lie(log)
    async with log.served():
        for _ in range(2):
            with pytest.raises(RuleBroken) as caught:
                await verify(log, tmp_path)
            assert (caught.value.rule, caught.value.resource or "") == (rule, resource)


ENTRIES: dict[str, tuple[dict[str, object], str, str]] = {
    "the link": ({"previousHash": "sha256:" + "00" * 32}, "link", "previousHash"),
    "the position": ({"index": 7}, "position", "another position"),
    "the time": ({"ms": 1}, "time", "older"),
    "the number": ({"number": 9}, "stream", "another stream"),
    "the stream": ({"/streamId": "acme:prod:other"}, "stream", "another stream"),
    "a producer's count": ({"/producer/sequence": 9}, "producer", "scorer sent 9"),
    "a producer's gap": ({"/producer/sequence": 277}, "producer", "277 where 276 must"),
    "the commitment": ({"/commitment/root": "sha256:00"}, "entry", "form"),
    "a member": ({"/severity": DELETE}, "entry", "required"),
    "an unknown member": ({"/nonsense": 1}, "entry", "no member"),
}


@pytest.mark.parametrize("name", ENTRIES)
async def test_entries_that_say_what_cannot_be(tmp_path: Path, name: str) -> None:
    """The hashes are all right; the entry is named."""
    edits, rule, detail = ENTRIES[name]
    log = made()
    log.add(PUBLIC, 2, dict(edits))
    async with log.served():
        with pytest.raises(RuleBroken, match=detail) as caught:
            await verify(log, tmp_path)
    assert (caught.value.rule, caught.value.index) == (rule, 276)
    assert caught.value.origin == f"{ORIGIN}/{PLACE}".rstrip("/")


@pytest.mark.parametrize(("status", "error"), [(403, Refused), (400, InvalidInput)])
async def test_checkpoints_that_cannot_be_had(
    tmp_path: Path, status: int, error: type[Refused | InvalidInput]
) -> None:
    """Whoever refuses to answer lies about nothing."""
    log = made()
    log.lies[PLACE + "checkpoint"] = status
    async with log.served():
        with pytest.raises(error, match="public/checkpoint"):
            await verify(log, tmp_path)


async def test_a_schema_of_later(tmp_path: Path) -> None:
    """It is integrity that is verified; that it was not understood is counted."""
    log = made()
    log.add(PUBLIC, 1, {"/v": 2, "/nonsense": 1})
    async with log.served():
        report = await verify(log, tmp_path)
        assert (report.unknown, report.counts.entries) == (1, 276)
        assert (await verify(log, tmp_path)).unknown == 1


GENESES: dict[str, tuple[dict[str, object], str]] = {
    "another log": ({"/system/origin": "other.example.com"}, "in the log other.example.com"),
    "other keys": ({"/system/keys": ["x+00000000+AAAA"]}, "other keys"),
    "a root of another history": ({"/system/root": {"size": 1, "hash": "A" * 43 + "="}}, "size 1"),
    "a root of the future": ({"/system/root/size": 30}, "later than"),
}


@pytest.mark.parametrize("name", GENESES)
async def test_genesis_entries_of_something_else(tmp_path: Path, name: str) -> None:
    edits, detail = GENESES[name]
    log = MadeLog()
    log.open(PRIVATE)
    log.open(PUBLIC, dict(edits))
    async with log.served():
        with pytest.raises(RuleBroken, match=detail) as caught:
            await verify(log, tmp_path)
    assert (caught.value.rule, caught.value.index) == ("genesis", 0)


async def test_a_genesis_under_another_label(tmp_path: Path) -> None:
    log = MadeLog()
    log.open(PRIVATE, label="acme/prod/public")
    async with log.served():
        with pytest.raises(RuleBroken, match="genesis: it was opened under the label"):
            await verify(log, tmp_path)


async def test_streams_out_of_order_or_twice(tmp_path: Path) -> None:
    log = MadeLog()
    log.open(PUBLIC)
    del log.streams[PUBLIC]
    log.open("acme:test:public")
    async with log.served():
        with pytest.raises(RuleBroken, match="order: acme/test/public has number 1") as caught:
            await verify(log, tmp_path)
        assert caught.value.index == 2
        with pytest.raises(RuleBroken, match="order"):
            await verify(log, tmp_path)
    log = MadeLog()
    log.open(PRIVATE)
    log.streams["x"] = log.streams.pop(PRIVATE)
    log.open(PRIVATE)
    async with log.served():
        with pytest.raises(RuleBroken, match="are both acme:prod:private"):
            await verify(log, tmp_path / "b", token=True)
