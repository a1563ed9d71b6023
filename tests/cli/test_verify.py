"""`tlog verify DIR`: a good log passes beside its server and without one; every kind of damage is named, with code 1."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from tests.cli.conftest import EVENTS, ORIGIN, STREAM, Call, Served
from tests.harness import TestLog
from tlog.cli.demo.change import copy_and_change
from tlog.cli.demo.processes import DemoError, environment
from tlog.cli.verify import count, progress_bar
from tlog.errors import CorruptStore
from tlog.fsck import Report
from tlog.inspection import Inspection
from tlog.store import layout
from tlog.store.environment import LogStore


@pytest.fixture
def stopped(tmp_path: Path, call: Call) -> Path:
    """A log of two commits that nobody serves."""
    directory = tmp_path / "log"
    assert call("init", directory, "--origin", ORIGIN).code == 0
    with TestLog(directory) as log:
        log.append([log.prepare(STREAM, payload={"n": n}, tags=["A"]) for n in range(3)])
        log.append([log.prepare(STREAM, payload={"n": n}, tags=["A"]) for n in range(2)])
    return directory


def test_beside_a_server(call: Call, served: Served) -> None:
    """Everything is verified while a server has the log open, and the known vkey is compared."""
    answer = call("verify", served.directory, "--vkey", served.vkey)

    assert answer.code == 0
    assert f"{STREAM}: verified, {EVENTS + 1} entries\n" in answer.out
    assert re.search(r"^root log: verified, \d+ heads$", answer.out, re.M)
    assert answer.err == ""


def test_without_a_server(call: Call, stopped: Path) -> None:
    """The same when it is stopped. Without a vkey it is said for whom the store is signed."""
    answer = call("verify", stopped)

    assert answer.code == 0
    assert f"{STREAM}: verified, 6 entries\n" in answer.out
    assert f"signed for {ORIGIN}+" in answer.err


def test_one_stream(call: Call, stopped: Path) -> None:
    """Only the stream that was asked for; one that does not exist is refused, not verified."""
    assert call("verify", stopped, "--stream", STREAM).out == f"{STREAM}: verified, 6 entries\n"
    answer = call("verify", stopped, "--stream", "acme:prod:other")
    assert (answer.code, answer.out) == (3, "")


def test_another_log_than_the_known_one(call: Call, stopped: Path, served: Served) -> None:
    """A store that is consistent in itself and signed by somebody else is not the log."""
    answer = call("verify", stopped, "--vkey", served.vkey)

    assert answer.code == 1
    assert answer.out.startswith("NOT THE LOG THAT YOU KNOW")


@pytest.mark.parametrize("sequence", [1, 3, 4, 5])
def test_a_changed_entry_is_named(call: Call, stopped: Path, tmp_path: Path, sequence: int) -> None:
    """One byte in the middle, at the end of a commit, at the newest entry: its sequence comes first."""
    copy = tmp_path / "copy"
    copy_and_change(stopped, copy, STREAM, sequence, b'"tags":["A"]', b'"tags":["B"]')

    answer = call("verify", copy)

    assert answer.code == 1
    assert f"{STREAM}: LIES, first at sequence {sequence}\n" in answer.out
    assert f"  {STREAM} at sequence {sequence}: " in answer.out
    assert call("verify", stopped).code == 0


@pytest.mark.parametrize("offset", [0, 2, 9, 40, 200, -1])
def test_an_entry_that_is_no_json_is_named(
    call: Call, stopped: Path, tmp_path: Path, offset: int
) -> None:
    """Damage that no parser survives is a lie like any other: not a crash, and no server signs after it."""
    copy = tmp_path / "copy"
    with Inspection.open(stopped, {}) as look:
        entry = look.entry(STREAM, 3)
    at = offset % len(entry)
    copy_and_change(stopped, copy, STREAM, 3, entry, entry[:at] + b"\x80" + entry[at + 1 :])

    answer = call("verify", copy)
    served = call("serve", copy, "--listen", "127.0.0.1:0")

    assert answer.code == 1
    assert f"{STREAM}: LIES, first at sequence 3\n" in answer.out
    assert served.code == 1
    assert served.err.count("\n") == 1


# Bytes before an entry: header of its chunk (version, commit, first chunk, time), then of its record (kind, stream, index,
# lengths of entry and rest). The entry is the first of its commit.
@pytest.mark.parametrize("distance", range(1, 41, 3))
def test_damage_around_an_entry_is_no_crash(call: Call, stopped: Path, distance: int) -> None:
    """A header with a flipped bit: verified all the same where it says nothing that matters, or refused in one line."""
    data = stopped / "log" / "data.mdb"
    with Inspection.open(stopped, {}) as look:
        entry = look.entry(STREAM, 4)
    stored = bytearray(data.read_bytes())
    at = stored.find(entry)
    while at >= 0:
        stored[at - distance] ^= 0x80
        at = stored.find(entry, at + 1)
    data.write_bytes(stored)

    assert call("verify", stopped).code in (0, 1)
    if distance <= 18:
        assert call("verify", stopped).code == 1


def test_a_change_that_is_not_there(stopped: Path, tmp_path: Path) -> None:
    """The demo's own tool says so when it did not change what it was asked to change."""
    with pytest.raises(ValueError, match="subsection not found"):
        copy_and_change(stopped, tmp_path / "a", STREAM, 1, b"absent", b"ABSENT")
    with pytest.raises(DemoError, match="sequence 1 is not in"):
        copy_and_change(stopped, tmp_path / "b", STREAM, 1, b'"tags":["A"]', b'"tags":["A"]')


def test_a_store_that_was_rolled_back(call: Call, stopped: Path, tmp_path: Path) -> None:
    """A backup beside the guard of later: verification says so, and the server refuses to sign from it."""
    backup = tmp_path / "backup"
    shutil.copytree(stopped / "log", backup)
    with TestLog(stopped) as log:
        log.append([log.prepare(STREAM)])
    shutil.rmtree(stopped / "log")
    shutil.copytree(backup, stopped / "log")

    answer = call("verify", stopped)
    refused = call("serve", stopped, "--listen", "127.0.0.1:0")

    assert answer.code == 1
    assert (
        "guard: the guard remembers a root log of 5 heads: the store was rolled back" in answer.out
    )
    assert refused.code == 1
    assert "rolled back" in refused.err


def test_a_store_of_another_history(call: Call, stopped: Path, tmp_path: Path) -> None:
    """Two continuations of one log, of one size: only the guard can tell which one was signed."""
    other = tmp_path / "other"
    shutil.copytree(stopped, other)
    for directory in (stopped, other):
        with TestLog(directory) as log:
            log.append([log.prepare(STREAM)])
    shutil.copy(other / "guard", stopped / "guard")

    answer = call("verify", stopped)

    assert answer.code == 1
    assert "another history" in answer.out
    assert call("verify", other).code == 0


def test_what_is_missing_is_said(call: Call, stopped: Path) -> None:
    """Without guard or vault key the rest is verified, and what was not compared is named."""
    (stopped / "guard").unlink()
    (stopped / "vault.key").unlink()

    answer = call("verify", stopped)

    assert answer.code == 0
    assert "no guard" in answer.err
    assert "no vault key" in answer.err


def test_an_erased_payload_is_no_lie(call: Call, tmp_path: Path) -> None:
    """Entries without their payloads verify; how many there are is said."""
    directory = tmp_path / "log"
    call("init", directory, "--origin", ORIGIN)
    with TestLog(directory) as log:
        log.append([log.prepare(STREAM, subject_id="jane"), log.prepare(STREAM)])
        log.log.vault.destroy_subject("acme", log.records()[1]["payload"]["subject"])

    answer = call("verify", directory)

    assert answer.code == 0
    assert f"{STREAM}: verified, 3 entries, 1 payload not at hand or erased\n" in answer.out


def test_a_damaged_guard(call: Call, stopped: Path, served: Served) -> None:
    """A guard of zeros, or of another store, is the store's contradiction, not a missing guard."""
    (stopped / "guard").write_bytes(bytes(1024))
    assert call("verify", stopped).code == 1
    shutil.copy(served.directory / "guard", stopped / "guard")
    answer = call("verify", stopped)
    assert answer.code == 1
    assert "another store" in answer.err


def test_settings_of_another_log(call: Call, stopped: Path) -> None:
    """Settings that name another origin than the store."""
    settings = stopped / "tlog.toml"
    settings.write_text(settings.read_text().replace(ORIGIN, "other.example.com"))

    answer = call("verify", stopped)

    assert answer.code == 1
    assert "the settings name other.example.com" in answer.err


def test_a_truncated_store(call: Call, stopped: Path) -> None:
    """A file that is too short would kill the process when it is touched; it is refused instead."""
    data = stopped / "log" / "data.mdb"
    with data.open("r+b") as file:
        file.truncate(data.stat().st_size // 8192 * 4096)

    answer = call("verify", stopped)

    assert answer.code == 1
    assert "truncated" in answer.err


def test_a_vkey_that_is_none(call: Call, stopped: Path) -> None:
    """Mistyped is wrong input, as for a URL, and accuses nobody."""
    answer = call("verify", stopped, "--vkey", f"{ORIGIN}+00000000+AAAA")

    assert (answer.code, answer.out) == (2, "")


@pytest.mark.parametrize("part", ["log", "keys"])
def test_a_store_that_is_no_lmdb_file(call: Call, stopped: Path, part: str) -> None:
    """Its first pages are wiped: what was given is at fault, not the program."""
    with (stopped / part / "data.mdb").open("r+b") as file:
        file.write(bytes(8192))

    answer = call("verify", stopped)

    assert answer.code == 1
    assert re.fullmatch(rf"tlog: .*/{part} is damaged: .*\n", answer.err)


@pytest.mark.parametrize(("part", "rows"), [("log", b"commit"), ("keys", b"")])
def test_a_wiped_page(call: Call, stopped: Path, part: str, rows: bytes) -> None:
    """Of all that LMDB needs in order to read, a page is random bytes: still code 1."""
    data = stopped / part / "data.mdb"
    pages = [data.read_bytes()[at : at + 4096] for at in range(0, data.stat().st_size, 4096)]
    wiped = [
        page if number < 2 or rows not in page else b"\xa5" * 4096
        for number, page in enumerate(pages)
    ]
    assert wiped != pages
    data.write_bytes(b"".join(wiped))

    answer = call("verify", stopped)

    assert answer.code == 1, answer.err
    assert "is damaged" in answer.err
    if part == "log":
        answer = call("serve", stopped, "--listen", "127.0.0.1:0")
        assert (answer.code, "is damaged" in answer.err) == (1, True)


def test_a_store_that_may_not_be_opened(
    call: Call, stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LMDB keeps readers in a file beside the data: a directory of somebody else is an error of one line."""

    def refusing(*_: object, **__: object) -> None:
        raise lmdb.ReadonlyError("log: Permission denied")

    monkeypatch.setattr(lmdb, "open", refusing)
    answer = call("verify", stopped)

    assert answer.code == 2
    assert re.fullmatch(
        r"tlog: log: Permission denied: .* must be writable to be read\n", answer.err
    )


def test_sources_that_are_neither(call: Call) -> None:
    """Neither a directory nor a URL that is spoken here."""
    assert call("verify", "ftp://log.example.com").code == 2
    assert call("verify", "nowhere").code == 2


class Terminal(io.StringIO):
    """Standard error that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_for_terminals_and_long_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar is drawn where somebody looks and the work is long, and nowhere else."""
    monkeypatch.setenv("TERM", "xterm")
    drawn = {}
    for terminal, least in ((Terminal(), 1), (Terminal(), 100), (io.StringIO(), 1)):
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress_bar("the work", least) as update:
            update(1, 50)
            update(50, 50)
        drawn[isinstance(terminal, Terminal), least] = terminal.getvalue()

    assert "the work" in drawn.pop((True, 1))
    assert set(drawn.values()) == {""}


def test_counting() -> None:
    """Words agree with their numbers."""
    assert [count(n, "entry") for n in (0, 1, 2)] == ["0 entries", "1 entry", "2 entries"]
    assert count(1234567, "head") == "1,234,567 heads"


def test_a_server_that_goes_on_writing(stopped: Path) -> None:
    """What is judged is one moment: commits, sweeps and publications after it are no lies of it."""
    script = (
        "import sys; from pathlib import Path; from tests.harness import TestLog\n"
        "from tlog.sequencer import commit; commit.SWEEP_EVERY = 1\n"
        "with TestLog(Path(sys.argv[1])) as log:\n"
        "    for n in range(300):\n"
        "        log.append([log.prepare('acme:prod:scorer'), log.prepare(f'acme:prod:s{n % 7}')])\n"
        "        if n == 5: print('go', flush=True)"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script, stopped],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "go\n"
        looks = 0
        while writer.poll() is None:
            with Inspection.open(stopped, {}) as look:
                assert all(look.verify(name).verified for name in look.streams())
                assert look.verify_root() == []
            looks += 1
        assert looks > 1
        assert writer.returncode == 0
    finally:
        writer.kill()
        writer.communicate()


def test_a_note_beyond_the_log(stopped: Path) -> None:
    """A published note of a size that the store does not have is a lie."""
    store = LogStore.open(stopped / "log")
    with store.env.begin(write=True) as txn:
        txn.put(layout.u64(1000), b"", db=store.db["published"])
    store.close()

    with Inspection.open(stopped, {}) as look:
        assert [failure.check for failure in look.verify_root()] == ["note"]


def test_a_store_without_a_commit(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A creation that was cut off."""
    monkeypatch.setattr(LogStore, "commit_row", lambda self: None)
    with pytest.raises(CorruptStore, match="cut off"):
        Inspection.open(stopped, {})


def test_reports_are_kept_whole() -> None:
    """The line on a stream is made of these members; should one be renamed, this fails first."""
    assert {"verified", "checked_count", "first_failure_sequence", "withheld"} <= set(
        Report._fields
    )
