"""Proves that what the client remembers survives crashes and neighbours, and is believed only when it verifies.

Replaced whole or not at all, synced before it is renamed; the first pin wins; the kept head never goes back; a file that
something else changed is refused, not believed; evidence is never overwritten.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.client.trees import RootLog
from tlog.client.errors import StateUnusable
from tlog.client.pins import Pins, head_file, state_directory, write_durably


def test_directory_is_chosen_by_argument_then_environment_then_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.delenv("TLOG_STATE", raising=False)
    home = tmp_path / "me/.local/state/tlog"
    assert state_directory("https://log.example.com") == home / "log.example.com_443"
    assert state_directory("http://[::1]:8080/x") == home / "__1_8080"
    assert state_directory("http://LOG.example.com/") == home / "log.example.com_80"
    monkeypatch.setenv("TLOG_STATE", str(tmp_path / "state"))
    assert state_directory("http://127.0.0.1:9") == tmp_path / "state/127.0.0.1_9"
    assert state_directory("http://127.0.0.1:9", tmp_path / "here") == tmp_path / "here"


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    log = RootLog()
    pins = Pins(tmp_path / "absent")
    assert pins.vkey() is None
    assert pins.head(log.verifier) is None
    assert not (tmp_path / "absent").exists()


def test_first_pin_wins(tmp_path: Path) -> None:
    first, second = RootLog(seed=1), RootLog(seed=2)
    assert Pins(tmp_path).pin_vkey(first.vkey) == first.vkey
    assert Pins(tmp_path).pin_vkey(second.vkey) == first.vkey
    assert Pins(tmp_path).vkey() == first.vkey
    assert (tmp_path / "vkey").read_text() == first.vkey + "\n"


@pytest.mark.parametrize("content", [b"", b"log.example.com", b"\xff", b"a+00000000+AA=="])
def test_a_spoilt_pin_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vkey").write_bytes(content)
    with pytest.raises(StateUnusable, match="vkey"):
        Pins(tmp_path).vkey()


def test_kept_head_only_grows(tmp_path: Path) -> None:
    log = RootLog(8)
    pins = Pins(tmp_path)
    assert pins.advance(log.verifier, log.head(5)) is None
    assert pins.head(log.verifier) == log.head(5)
    # Another process had kept a larger one: it stays, and the caller is told.
    assert pins.advance(log.verifier, log.head(3)) == log.head(5)
    assert pins.advance(log.verifier, log.head(5)) == log.head(5)
    assert pins.head(log.verifier) == log.head(5)
    assert pins.advance(log.verifier, log.head(8)) is None
    assert pins.head(log.verifier) == log.head(8)


def test_heads_of_another_key_are_another_file(tmp_path: Path) -> None:
    old, new = RootLog(4, seed=1), RootLog(2, seed=2)
    Pins(tmp_path).advance(old.verifier, old.head(4))
    assert Pins(tmp_path).head(new.verifier) is None
    assert Pins(tmp_path).advance(new.verifier, new.head(1)) is None
    assert Pins(tmp_path).head(old.verifier) == old.head(4)


def test_a_changed_head_is_refused(tmp_path: Path) -> None:
    log = RootLog(5)
    note = log.head(5).note
    path = tmp_path / head_file(log.verifier)
    for spoilt in (
        b"",
        note[:-9],
        note.replace(b"\n5\n", b"\n4\n"),
        RootLog(5, seed=7).head(5).note,
    ):
        path.write_bytes(spoilt)
        with pytest.raises(StateUnusable, match="not a root note"):
            Pins(tmp_path).head(log.verifier)
    path.write_bytes(note)
    assert Pins(tmp_path).head(log.verifier) == log.head(5)


def test_only_the_user_may_read_and_write(tmp_path: Path) -> None:
    log = RootLog(1)
    pins = Pins(tmp_path / "state")
    pins.advance(log.verifier, log.head(1))
    saved = pins.save_evidence("fork", b"{}")
    for path in (pins.directory, saved.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (pins.directory / head_file(log.verifier), saved):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_evidence_is_never_overwritten(tmp_path: Path) -> None:
    paths = {Pins(tmp_path).save_evidence("fork", b"%d" % number) for number in range(20)}
    assert sorted(int(path.read_bytes()) for path in paths) == list(range(20))


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failed_write_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    target = tmp_path / "file"
    write_durably(target, b"old")

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, broken, fails)
        with pytest.raises(OSError, match="No space"):
            write_durably(target, b"new")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_content_is_synced_before_its_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def sync(handle: int) -> None:
        steps.append("sync directory" if stat.S_ISDIR(os.fstat(handle).st_mode) else "sync file")
        fsync(handle)

    def rename(source: str, target: Path) -> None:
        steps.append(f"rename {Path(source).read_bytes().decode()}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", rename)
    write_durably(tmp_path / "file", b"whole")
    assert steps == ["sync file", "rename whole", "sync directory"]


def test_an_unusable_directory_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    log = RootLog(1)
    with pytest.raises(StateUnusable, match="state_dir="):
        Pins(tmp_path / "file" / "below").advance(log.verifier, log.head(1))
    with pytest.raises(StateUnusable, match="state_dir="):
        Pins(tmp_path / "file").vkey()
