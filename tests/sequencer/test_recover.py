"""Start-up explains the stored state or refuses: crashes between commit and guard, rollbacks, foreign and damaged stores."""

from __future__ import annotations

import shutil
from pathlib import Path

import lmdb
import pytest

from tests.harness import STREAM, TestLog, new_log
from tlog.errors import CorruptStore, InvalidInput, Refused, Unavailable
from tlog.log import Log, init_log
from tlog.sequencer import commit as commit_module
from tlog.sequencer.guard import Guard, GuardState
from tlog.store import layout


def written(directory: Path, events: int = 5) -> Path:
    new_log(directory)
    with TestLog(directory) as log:
        for n in range(events):
            log.append([log.prepare(payload={"n": n})])
    return directory


def sizes(log: TestLog) -> tuple[int, int]:
    return log.log.sequencer.head.root.size, len(log.records())


@pytest.mark.parametrize("events", [1, 5, 255, 256, 300])
def test_reopened_log_goes_on_where_it_was(tmp_path: Path, events: int) -> None:
    """After a clean stop the head is the same, and the next entry links to the last one."""
    new_log(tmp_path / "log")
    with TestLog(tmp_path / "log") as log:
        for n in range(events):
            log.append([log.prepare(payload={"n": n})])
        head = log.log.sequencer.head
    with TestLog(tmp_path / "log") as log:
        assert log.log.sequencer.head.root == head.root
        assert log.log.sequencer.head.note == head.note
        outcome = log.append([log.prepare()])
        assert outcome.events[0].index == events + 1
        log.check()


def test_producers_and_requests_survive_a_restart(tmp_path: Path) -> None:
    """What makes a retry exactly-once is as durable as the entries, before and after a sweep."""
    new_log(tmp_path / "log")
    producer = [
        {"producer": {"id": "scorer", "sequence": n}, "payload": {"n": n}} for n in range(1, 600)
    ]
    key = b"r" * 16
    with TestLog(tmp_path / "log") as log:
        log.append([log.prepare(**event) for event in producer[:3]])
        log.append([log.prepare()], request=key)
        for event in producer[3:]:
            log.append([log.prepare(**event)])
    with TestLog(tmp_path / "log") as log:
        before = sizes(log)
        for n in (0, 1, 2, 3, 300, 598):
            outcome = log.append([log.prepare(**producer[n])])
            assert outcome.committed is None
        assert log.append([log.prepare()], request=key).events[0].index == 4
        assert sizes(log) == before
        log.check()


def test_interleaved_producers_spill_their_runs(tmp_path: Path) -> None:
    """Two producers that take turns leave a run per event; old runs are found in their pages."""
    new_log(tmp_path / "log")
    with TestLog(tmp_path / "log") as log:
        log.append([log.prepare()])
        for start in range(1, 1500, 250):
            log.append(
                [
                    log.prepare(producer={"id": f"scorer/{who}", "sequence": n}, payload={"n": n})
                    for n in range(start, start + 250)
                    for who in "ab"
                ]
            )
    with TestLog(tmp_path / "log") as log:
        for n in (1, 2, 255, 256, 257, 700, 1499, 1500):
            for who in "ab":
                again = log.prepare(
                    producer={"id": f"scorer/{who}", "sequence": n}, payload={"n": n}
                )
                index = 2 * n + (who == "b")
                assert log.append([again]).events[0].index == index
        log.check()


def test_a_crash_between_commit_and_guard_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store one commit ahead of the guard: the guard is advanced; nothing was answered, nothing is lost."""
    written(tmp_path / "log")

    def crash(self: Guard, state: GuardState) -> None:
        raise OSError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(Guard, "advance", crash)
        with TestLog(tmp_path / "log") as log:
            with pytest.raises(Unavailable) as unknown:
                log.append([log.prepare()])
            assert unknown.value.kind == "unknown-outcome"
            assert isinstance(log.failures[0], OSError)
            with pytest.raises(Unavailable, match="stopping"):
                log.append([log.prepare()])
    with TestLog(tmp_path / "log") as log:
        assert len(log.records()) == 7
        log.append([log.prepare()])
        log.check()


def test_a_failed_commit_ends_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the transaction is an unknown outcome: everyone waiting is told so, and no head moves."""
    written(tmp_path / "log")
    with TestLog(tmp_path / "log") as log:
        head = log.log.sequencer.head

        def fail(*_: object) -> None:
            raise lmdb.Error("mdb_txn_commit: Input/output error")

        monkeypatch.setattr(commit_module, "put_commit_row", fail)
        with pytest.raises(Unavailable) as unknown:
            log.append([log.prepare()])
        assert unknown.value.kind == "unknown-outcome"
        assert log.log.sequencer.head is head
        assert log.log.sequencer.status == "failed"
    monkeypatch.undo()
    with TestLog(tmp_path / "log") as log:
        assert len(log.records()) == 6
        log.check()


def test_rolled_back_store_is_refused(tmp_path: Path) -> None:
    """A store restored from a backup is behind its guard: nothing is signed."""
    written(tmp_path / "log")
    shutil.copytree(tmp_path / "log" / "log", tmp_path / "backup")
    with TestLog(tmp_path / "log") as log:
        log.append([log.prepare()])
    shutil.rmtree(tmp_path / "log" / "log")
    shutil.copytree(tmp_path / "backup", tmp_path / "log" / "log")
    with pytest.raises(CorruptStore, match="rolled back"):
        Log(tmp_path / "log")


def test_rolled_back_guard_is_refused(tmp_path: Path) -> None:
    """A guard more than one commit behind is as suspicious as a store that is."""
    written(tmp_path / "log")
    guard = (tmp_path / "log" / "guard").read_bytes()
    with TestLog(tmp_path / "log") as log:
        log.append([log.prepare()])
        log.append([log.prepare()])
    (tmp_path / "log" / "guard").write_bytes(guard)
    with pytest.raises(CorruptStore, match="the guard remembers commit"):
        Log(tmp_path / "log")


def test_another_history_one_commit_on_is_refused(tmp_path: Path) -> None:
    """The store one ahead is only believed if its chain continues what the guard remembers."""
    written(tmp_path / "log")
    shutil.copytree(tmp_path / "log", tmp_path / "fork")
    with TestLog(tmp_path / "fork") as log:
        log.append([log.prepare(payload={"fork": 1})])
        log.append([log.prepare(payload={"fork": 2})])
    with TestLog(tmp_path / "log") as log:
        log.append([log.prepare(payload={"fork": 3})])
    shutil.rmtree(tmp_path / "log" / "log")
    shutil.copytree(tmp_path / "fork" / "log", tmp_path / "log" / "log")
    with pytest.raises(CorruptStore, match="does not continue"):
        Log(tmp_path / "log")


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ("guard", "guard file"),
        ("log/data.mdb", "holds no store"),
        ("keys/data.mdb", "holds no store"),
        ("accounts/data.mdb", "holds no store"),
        ("log.key", "log.key"),
        ("vault.key", "vault.key"),
        ("tlog.toml", "not an initialised log"),
    ],
)
def test_a_missing_part_is_named(tmp_path: Path, part: str, named: str) -> None:
    """Nothing that is missing is silently made anew."""
    written(tmp_path / "log", 1)
    (tmp_path / "log" / part).unlink()
    with pytest.raises((CorruptStore, InvalidInput), match=named):
        Log(tmp_path / "log")


def test_another_logs_guard_is_refused(tmp_path: Path) -> None:
    """A guard file is bound to its store."""
    written(tmp_path / "a", 1)
    written(tmp_path / "b", 1)
    shutil.copy(tmp_path / "a" / "guard", tmp_path / "b" / "guard")
    with pytest.raises(CorruptStore, match="another store"):
        Log(tmp_path / "b")


def test_another_key_is_refused(tmp_path: Path) -> None:
    """A log is not continued under another key."""
    written(tmp_path / "a", 1)
    written(tmp_path / "b", 1)
    shutil.copy(tmp_path / "a" / "log.key", tmp_path / "b" / "log.key")
    with pytest.raises(CorruptStore, match="belongs to"):
        Log(tmp_path / "b")


def test_truncated_store_is_refused_without_touching_it(tmp_path: Path) -> None:
    """A file shorter than its own page count would be SIGBUS: it is refused before it is mapped."""
    written(tmp_path / "log", 400)
    data = tmp_path / "log" / "log" / "data.mdb"
    size = data.stat().st_size
    for length in (0, 1, 4096, 8191, size // 2, size - 4096):
        copy = tmp_path / f"cut-{length}"
        shutil.copytree(tmp_path / "log", copy)
        with (copy / "log" / "data.mdb").open("r+b") as file:
            file.truncate(length)
        with pytest.raises(CorruptStore, match="truncated"):
            Log(copy)


def test_only_one_writer(tmp_path: Path) -> None:
    """A second process, or a second open, is refused."""
    written(tmp_path / "log", 1)
    with TestLog(tmp_path / "log"):
        with pytest.raises(Refused, match="another process"):
            Log(tmp_path / "log")


def test_init_never_overwrites(tmp_path: Path) -> None:
    """A directory that holds anything is left alone."""
    written(tmp_path / "log", 1)
    before = (tmp_path / "log" / "log.key").read_bytes()
    with pytest.raises(Refused, match="not empty"):
        init_log(tmp_path / "log", "other.example.com")
    assert (tmp_path / "log" / "log.key").read_bytes() == before


def test_a_changed_journal_entry_is_refused_at_start(tmp_path: Path) -> None:
    """An entry since the last sweep that does not give its head: start-up refuses to sign."""
    written(tmp_path / "log")
    data = tmp_path / "log" / "log" / "data.mdb"
    # Everywhere: LMDB leaves old copies of a page in the file.
    data.write_bytes(data.read_bytes().replace(b'"chainPosition":4', b'"chainPosition":7'))
    with pytest.raises(CorruptStore, match="do not follow"):
        Log(tmp_path / "log")


def test_a_missing_journal_chunk_is_refused(tmp_path: Path) -> None:
    """A commit that is gone from the middle of the journal is noticed."""
    written(tmp_path / "log")
    with TestLog(tmp_path / "log", start=False) as log:
        with log.log.store.env.begin(write=True) as txn:
            row = log.log.store.commit_row()
            assert row is not None
            txn.delete(layout.u64(row.next_chunk - 2), db=log.log.store.db["journal"])
    with pytest.raises(CorruptStore, match="missing"):
        Log(tmp_path / "log")


def changed_row(log: TestLog, database: str, key: bytes, value: bytes | None) -> None:
    """Put another value in the place of a row, or take it away."""
    store = log.log.store
    with store.env.begin(write=True, db=store.db[database]) as txn:
        assert txn.delete(key) if value is None else txn.put(key, value)


@pytest.mark.parametrize(
    ("database", "key"),
    [("meta", b"log"), ("meta", b"commit"), ("streams", layout.u32(2)), ("states", layout.u32(0))],
)
@pytest.mark.parametrize("value", [b"", b"\x00", b"\x99\x01", b"\xff" * 90])
def test_a_row_that_is_none_is_refused(
    tmp_path: Path, database: str, key: bytes, value: bytes
) -> None:
    """It is the store that is at fault, and start-up says so."""
    written(tmp_path / "log")
    with TestLog(tmp_path / "log", start=False) as log:
        changed_row(log, database, key, value)
    with pytest.raises(CorruptStore, match="cannot be read"):
        Log(tmp_path / "log")


@pytest.mark.parametrize(
    ("swept", "number"), [(False, 1), (False, 2), (False, 3), (True, 1), (True, 2)]
)
def test_a_stream_that_is_no_longer_named_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swept: bool, number: int
) -> None:
    """Its id would be opened again, as another stream. (The last one after a sweep: see `test_fsck_root`.)"""
    monkeypatch.setattr(commit_module, "SWEEP_EVERY", 1 if swept else 256)
    written(tmp_path / "log")
    with TestLog(tmp_path / "log") as log:
        log.append([log.prepare(stream_id="acme:prod:another")])
    with TestLog(tmp_path / "log", start=False) as log:
        changed_row(log, "streams", layout.u32(number), None)
    with pytest.raises(CorruptStore, match=r"names one twice|does not name"):
        Log(tmp_path / "log")


def test_a_stream_without_its_state_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would seem to be empty: the next event would be its leaf 0, under a signed head that does not grow."""
    monkeypatch.setattr(commit_module, "SWEEP_EVERY", 1)
    written(tmp_path / "log")
    with TestLog(tmp_path / "log", start=False) as log:
        changed_row(log, "states", layout.u32(2), None)
    with pytest.raises(CorruptStore, match="state of stream 2 is missing"):
        Log(tmp_path / "log")


def test_a_stream_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    """One of the two names hides another stream."""
    written(tmp_path / "log")
    with TestLog(tmp_path / "log", start=False) as log:
        with log.log.store.read() as txn:
            row = bytes(txn.get(layout.u32(2), db=log.log.store.db["streams"]))
        changed_row(log, "streams", layout.u32(1), row)
    with pytest.raises(CorruptStore, match="names one twice"):
        Log(tmp_path / "log")


def test_sweeps_bound_the_replay(tmp_path: Path) -> None:
    """After many commits only those since the last sweep are replayed."""
    written(tmp_path / "log", 600)
    with TestLog(tmp_path / "log") as log:
        row = log.log.store.commit_row()
        assert row is not None
        assert 0 < row.number - row.swept < commit_module.SWEEP_EVERY
        assert len(log.records(STREAM)) == 601
        log.check()
