"""Sweeps: rows that leave memory for LMDB come back as they were: producers' runs, requests, idle streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import pytest

from tests.harness import STREAM, Clock, TestLog, new_log
from tlog.errors import CorruptStore, Refused
from tlog.log import now_ms
from tlog.sequencer import commit as commit_module
from tlog.sequencer import loop as loop_module
from tlog.sequencer import state as state_module
from tlog.sequencer.batch import Placed, Replayed
from tlog.store import layout

DAY = 86_400_000


@pytest.fixture(autouse=True)
def sweep_every_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_module, "SWEEP_EVERY", 1)


def producer(who: str, sequence: int) -> dict[str, Any]:
    return {"producer": {"id": f"scorer/{who}", "sequence": sequence}, "payload": {"n": sequence}}


def test_old_runs_are_found_in_their_pages(tmp_path: Path) -> None:
    """Two producers that take turns fill pages of runs; every sequence is found again, gaps are not invented."""
    new_log(tmp_path / "log")
    with TestLog(tmp_path / "log") as log:
        log.append([log.prepare()])
        for start in range(1, 1300, 130):
            log.append(
                [log.prepare(**producer(who, n)) for n in range(start, start + 130) for who in "ab"]
            )
        with log.log.store.read() as txn:
            pages = [bytes(key) for key, _ in txn.cursor(db=log.log.store.db["runs"])]
        assert len(pages) >= 6
    with TestLog(tmp_path / "log") as log:
        for n in (1, 2, 255, 256, 257, 258, 512, 700, 1024, 1299, 1300):
            for who in "ab":
                index = 2 * n + (who == "b")
                assert log.append([log.prepare(**producer(who, n))]).events[0].index == index
        log.append([log.prepare(**producer("a", 1301))])
        with log.log.store.env.begin(write=True) as txn:
            for key in pages:
                txn.delete(key, db=log.log.store.db["runs"])
        with pytest.raises(CorruptStore, match="no recorded place"):
            log.log.states.producer_leaf(log.log.reader.number(STREAM), "scorer/a", 2)
        log.check()


def test_requests_are_kept_a_day_and_their_rows_removed(tmp_path: Path) -> None:
    """An Idempotency-Key replays from its row until 24 hours have passed; after two days the row is gone."""
    clock = Clock()
    new_log(tmp_path / "log")
    clock.ms = now_ms() + 1000
    with TestLog(tmp_path / "log", clock) as log:
        log.append([log.prepare()])
        for n in range(20):
            log.append([log.prepare(payload={"n": n})], request=bytes([n]) * 16)
        first = log.append([log.prepare(payload={"n": 3})], request=b"\x03" * 16)
        assert isinstance(first.events[0], Replayed)
        with pytest.raises(Refused, match="another request"):
            log.append([log.prepare(payload={"n": 4})], request=b"\x03" * 16)
        clock.ms += DAY + 1
        again = log.append([log.prepare(payload={"n": 3})], request=b"\x03" * 16)
        assert isinstance(again.events[0], Placed)
        clock.ms += 3 * DAY
        log.append([log.prepare()])
        with log.log.store.read() as txn:
            assert txn.stat(log.log.store.db["requests"])["entries"] == 0
        log.check()


def test_idle_streams_and_producers_leave_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for ten streams a hundred go on working, and readers see each at its newest."""
    monkeypatch.setattr(state_module, "MAX_IDLE_STREAMS", 10)
    names = [f"acme:prod:s{n}" for n in range(100)]
    new_log(tmp_path / "log")
    with TestLog(tmp_path / "log") as log:
        for turn in range(3):
            outcome = log.append(
                [log.prepare(name, **producer("p", turn + 1)) for name in names], prove=True
            )
            assert [event.index for event in outcome.events] == [turn + 1] * 100
            assert len(log.log.states.views) < 100
        for name in names:
            assert log.log.source.view(log.log.reader.number(name)).size == 4
            log.append([log.prepare(name, **producer("p", 1))])
        log.check()


def test_streams_with_long_tails_leave_memory_sooner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is what a stream holds: bytes after its last full tile."""
    monkeypatch.setattr(state_module, "MAX_IDLE_BYTES", 40_000)
    new_log(tmp_path / "log")
    with TestLog(tmp_path / "log") as log:
        for n in range(10):
            log.append([log.prepare(f"acme:prod:s{n}")])
        assert len(log.log.states.views) == 11
        log.append([log.prepare("acme:prod:s9") for _ in range(200)])
        assert len(log.log.states.views) == 7
        log.check()


def test_a_resting_streams_view_is_made_once_for_each_of_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is shown a tree that is no longer the newest, and nobody makes it twice."""
    monkeypatch.setattr(state_module, "MAX_IDLE_STREAMS", 1)
    new_log(tmp_path / "log")
    with TestLog(tmp_path / "log") as log:
        for count in (1, 2, 300, 1):
            log.append([log.prepare() for _ in range(count)])
            log.append([log.prepare("acme:prod:another")])
            number = log.log.reader.number(STREAM)
            assert number not in log.log.states.views
            view = log.log.source.view(number)
            assert log.log.source.view(number) is view
            assert log.log.reader.stream_head(number)[0].root == view.root
        assert view.size == 305


def test_a_row_without_its_root_is_read(tmp_path: Path) -> None:
    """Rows of earlier versions had no root: it is made of the leaves."""
    new_log(tmp_path / "log")
    with TestLog(tmp_path / "log") as log:
        log.append([log.prepare() for _ in range(300)])
        number = log.log.reader.number(STREAM)
        root = log.log.source.view(number).root
    with TestLog(tmp_path / "log", start=False) as log:
        store = log.log.store
        with store.env.begin(write=True) as txn:
            row = msgpack.unpackb(txn.get(layout.u32(number), db=store.db["states"]))
            assert row.pop() == root
            txn.put(layout.u32(number), msgpack.packb(row), db=store.db["states"])
        assert log.log.source.view(number).root == root
        log.log.start()
        log.append([log.prepare()])
        log.check()


def test_a_commit_is_not_seen_before_it_is_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep writes the row of a stream that rested; until the head is public, readers see the stream as it was."""
    monkeypatch.setattr(state_module, "MAX_IDLE_STREAMS", 1)
    new_log(tmp_path / "log")
    seen: list[int] = []
    with TestLog(tmp_path / "log") as log:
        log.append([log.prepare()])
        log.append([log.prepare("acme:prod:another")])
        number = log.log.reader.number(STREAM)
        assert number not in log.log.states.views

        def look(*_: object) -> bytes:
            seen.append(log.log.source.view(number).size)
            return sign(*_)  # type: ignore[arg-type]

        sign = loop_module.sign_commit
        monkeypatch.setattr(loop_module, "sign_commit", look)
        log.append([log.prepare()])
        assert seen == [2]
        assert log.log.source.view(number).size == 3


def test_what_a_start_would_append_again_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commits of many events are swept sooner than commits of few, after a restart too."""
    monkeypatch.setattr(commit_module, "SWEEP_EVERY", 256)
    monkeypatch.setattr(commit_module, "SWEEP_LEAVES", 100)
    new_log(tmp_path / "log")

    def behind(log: TestLog) -> int:
        row = log.log.store.commit_row()
        assert row is not None
        return row.number - row.swept

    with TestLog(tmp_path / "log") as log:
        log.append([log.prepare()])
        before = behind(log)
        log.append([log.prepare() for _ in range(60)])
        assert behind(log) == before + 1
    with TestLog(tmp_path / "log") as log:
        log.append([log.prepare() for _ in range(60)])
        assert behind(log) == 0
        log.append([log.prepare() for _ in range(60)])
        assert behind(log) == 1
        log.check()


def test_a_day_is_counted_from_the_entrys_time() -> None:
    """The table of rows by day is what the forgetting relies on: keys of a day sort before those of the next."""
    assert layout.request_key(1, b"\xff" * 16) < layout.request_key(2, b"\x00" * 16)
