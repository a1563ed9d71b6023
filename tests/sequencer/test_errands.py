"""Small writes on the writer thread: durable when they are answered, apart from each other, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import lmdb
import pytest

from tests.harness import TestLog, new_log
from tlog.errors import Refused, Unavailable
from tlog.sequencer.errands import MAX_WAITING, Errands


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return new_log(tmp_path / "log")


def put(store: Any, key: bytes) -> Any:
    def work(txn: Any) -> str:
        txn.put(key, b"x", db=store.db["anchored"])
        return key.decode()

    return work


def keys(store: Any) -> list[bytes]:
    with store.read() as txn:
        return [bytes(key) for key, _ in txn.cursor(db=store.db["anchored"])]


def test_done_between_commits(log: Path) -> None:
    """The result comes after the write is durable; a refusal leaves nothing and hurts nobody else."""
    with TestLog(log) as test:
        store, errand = test.log.store, test.log.sequencer.errand

        def refuse(txn: Any) -> None:
            txn.put(b"bad", b"x", db=store.db["anchored"])
            raise Refused("no", "never")

        first, bad, second = errand(put(store, b"a")), errand(refuse), errand(put(store, b"b"))
        assert (first.result(10), second.result(10)) == ("a", "b")
        with pytest.raises(Refused):
            bad.result(10)
        assert keys(store) == [b"a", b"b"]
        test.append([test.prepare()])
        test.check()
    with TestLog(log) as test:
        assert keys(test.log.store) == [b"a", b"b"]


async def test_whoever_left_is_no_fault(log: Path) -> None:
    """A request that was cancelled takes its errand with it, and the writer lives on."""
    with TestLog(log) as test:
        store, errand = test.log.store, test.log.sequencer.errand
        hold = threading.Event()
        errand(lambda txn: hold.wait(10))
        left = asyncio.wrap_future(errand(put(store, b"left")))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.sleep(0)
        hold.set()
        assert await asyncio.wrap_future(errand(put(store, b"stayed"))) == "stayed"
        assert keys(store) == [b"stayed"]
        assert test.failures == []


def test_what_may_wait_is_bounded_and_told_the_end(log: Path) -> None:
    with TestLog(log, start=False) as test:
        errands = Errands(test.log.store)
        futures = [errands.add(put(test.log.store, b"x")) for _ in range(MAX_WAITING)]
        with pytest.raises(Unavailable, match="waiting"):
            errands.add(put(test.log.store, b"x"))
        assert errands.waiting == MAX_WAITING
        futures[0].cancel()
        errands.close(Unavailable("stopping", "the log is stopping"))
        for future in futures[1:]:
            with pytest.raises(Unavailable):
                future.result(0)
        with pytest.raises(Unavailable, match="stopping"):
            errands.add(put(test.log.store, b"x"))
        test.log.start()
        test.log.sequencer.stop()
        with pytest.raises(Unavailable, match="stopping"):
            test.log.sequencer.errand(put(test.log.store, b"x"))


def test_an_unknown_outcome_is_the_writers_end(log: Path) -> None:
    """As for a commit: who waits is told that nothing is known, and the process must stop."""
    with TestLog(log) as test:

        def fails(txn: Any) -> None:
            raise lmdb.Error("the disk")

        future = test.log.sequencer.errand(fails)
        with pytest.raises(Unavailable) as told:
            future.result(10)
        assert told.value.kind == "unknown-outcome"
        test.log.sequencer.stop()
        assert len(test.failures) == 1
        assert test.log.sequencer.status == "failed"
        with pytest.raises(Unavailable):
            test.log.sequencer.errand(put(test.log.store, b"x"))


def test_a_full_disk_takes_none(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TestLog(log) as test:
        monkeypatch.setattr(test.log.store, "disk_free", lambda: 0)
        monkeypatch.setattr(test.log.sequencer, "_disk_checked", 0.0)
        with pytest.raises(Unavailable) as told:
            test.log.sequencer.errand(put(test.log.store, b"x"))
        assert told.value.kind == "disk-full"
