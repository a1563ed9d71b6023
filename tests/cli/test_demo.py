"""The demo, run as a newcomer runs it, and made to fail: it must never say that it has shown what it has not."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from tests.cli.conftest import Answer, Call, new_log
from tests.paths import REPOSITORY
from tlog.cli import demo as package
from tlog.cli.demo import processes, recorder
from tlog.cli.demo.classifier import CONFIDENT, Decision
from tlog.cli.demo.processes import DemoError, Server, environment, run, tlog
from tlog.inspection import Inspection

pytest.importorskip("sklearn", reason="the demo needs scikit-learn")

from tlog.cli.demo import story


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What one run printed, and its directory."""
    home = tmp_path_factory.mktemp("demo") / "kept"
    done = subprocess.run(
        [sys.executable, "-m", "tlog", "demo", "--dir", home],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout, home


def number(pattern: str, text: str) -> int:
    """The number that a pattern's group finds."""
    found = re.search(pattern, text)
    assert found, pattern
    return int(found[1])


@pytest.mark.slow
@pytest.mark.e2e
def test_the_numbers_agree(told: tuple[str, Path]) -> None:
    """Hundreds of real cases; as many proofs as events; as many entries in the log as were recorded."""
    text, home = told
    events = number(r"(\d+) events recorded", text)

    assert number(r"(\d+) inferences", text) >= 300
    assert number(r"(\d+) human reviews", text) >= 10
    assert number(r"(\d+) reviews were signed off", text) >= 3
    assert number(r"(\d+) of \d+ proof packages verified", text) == events
    with Inspection.open(home / "log", {}) as look:
        report = look.verify(story.STREAM)
    assert report.verified
    assert report.checked_count == events + 1


@pytest.mark.slow
@pytest.mark.e2e
def test_the_change_is_the_planted_one(told: tuple[str, Path]) -> None:
    """The copy differs from the log in one byte of one file; the entry that it lies in is the one that is named."""
    text, home = told
    sequence = number(r"it lies at sequence (\d+)", text)
    offset = number(r"Byte (\d+) of", text)
    data = [(home / name / "log" / "data.mdb").read_bytes() for name in ("log", "copy")]

    assert len(data[0]) == len(data[1])
    assert [at for at in range(len(data[0])) if data[0][at] != data[1][at]] == [offset]
    assert (data[0][offset : offset + 1], data[1][offset : offset + 1]) == (b"5", b"2")
    with Inspection.open(home / "copy", {}) as look:
        assert look.verify(story.STREAM).first_failure_sequence == sequence
        assert b'"human_decision":"C2"' in look.entry(story.STREAM, sequence)


@pytest.mark.slow
@pytest.mark.e2e
def test_a_stranger_repeats_the_check(told: tuple[str, Path], tmp_path: Path) -> None:
    """The commands at the end are run as they stand there; the last but two print one hash in two ways."""
    text, home = told
    lines = text.partition("nothing else:\n")[2].splitlines()
    commands = "\n".join(line.strip() for line in lines if line.startswith("    "))
    script = tmp_path / "script"
    script.write_text(commands.replace(f"verify {home}/copy", f"verify {home}/copy; echo code $?"))
    done = subprocess.run(
        ["bash", script],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.count("\nVERIFIED\n") == 2
    assert "integrity  PASS" in done.stdout
    block = json.loads((home / "proof.json").read_text())["block_hash"].removeprefix("sha256:")
    assert done.stdout.count(block) >= 2
    assert "code 1" in done.stdout


@pytest.mark.slow
@pytest.mark.e2e
def test_nobody_is_named_in_the_log(told: tuple[str, Path]) -> None:
    """What the demo says of pseudonyms: no case, reviewer or decision of the model stands in the stored bytes."""
    _, home = told
    stored = (home / "log" / "log" / "data.mdb").read_bytes()

    assert b"HUMAN_REVIEW" in stored
    for secret in (b"case-", b"clinic.example", b"contributions", b"MALIGNANT"):
        assert secret not in stored, secret


def test_scikit_learn_is_missing(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said what to install."""

    def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "sklearn" else importlib.util.find_spec(name, package)

    monkeypatch.setattr(package, "find_spec", find_spec)
    answer = call("demo")

    assert answer.code == 2
    assert "pip install 'tlog[server,demo]'" in answer.err


def test_a_directory_in_use(call: Call, tmp_path: Path) -> None:
    """Nothing is written into a directory that holds anything."""
    (tmp_path / "file").touch()

    answer = call("demo", "--dir", tmp_path)

    assert answer.code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(("options", "kept"), [((), False), (("--keep",), True)])
def test_what_is_left_behind(
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    kept: bool,
) -> None:
    """The evidence stays; the log and its copy only if asked, and are gone even when the demo fails."""

    class Fake(story.Story):
        def tell(self) -> None:
            for name in ("log", "copy", "state"):
                (self._home / name).mkdir()
            (self._home / "proof.json").touch()
            raise DemoError("enough")

    monkeypatch.setattr(story, "Story", Fake)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    answer = call("demo", *options)

    assert (answer.code, answer.err) == (70, "tlog: enough\n")
    [home] = tmp_path.glob("tlog-demo-*")
    assert {path.name for path in home.iterdir()} == {
        *("proof.json",),
        *(("log", "copy", "state") if kept else ()),
    }


@pytest.mark.e2e
@pytest.mark.parametrize("moment", ["tlog init", "It answers at", "Every decision"])
def test_somebody_loses_patience(tmp_path: Path, moment: str) -> None:
    """Ctrl-C, whenever it comes: no server, no process and no directory is left, and no traceback is printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tlog", "demo"],
        env={**environment(), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    while moment not in process.stdout.readline():
        pass
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert process.returncode != 0
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
    assert _alive(process.pid) == []


def _alive(group: int) -> list[str]:
    """Processes of a group that are more than an entry which nobody has asked for yet."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, owner = status.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(owner) == group and state != "Z":
            found.append(status.parent.name)
    return found


def broken(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, change: object
) -> Answer:
    """Run the demo with one thing in `story` replaced, and few cases."""
    honest: Callable[..., object] = recorder.record_cases

    async def few(client: object, decisions: list[Decision], progress: object) -> object:
        sure = [one for one in decisions if one.confidence >= CONFIDENT][:3]
        unsure = [one for one in decisions if one.confidence < CONFIDENT][:12]
        return await honest(client, sure + unsure, progress)  # type: ignore[misc]

    monkeypatch.setattr(recorder, "record_cases", few)
    monkeypatch.setattr(story, name, change)
    return call("demo", "--dir", tmp_path / "home")


@pytest.mark.slow
@pytest.mark.e2e
def test_a_change_that_is_not_found(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Were the byte not changed, `tlog verify` would pass, and the demo must not."""

    def copied(log: Path, copy: Path, *_: object) -> int:
        import shutil

        shutil.copytree(log, copy)
        return 0

    answer = broken(call, monkeypatch, tmp_path, "copy_and_change", copied)

    assert answer.code == 70
    assert "ended with 0, not 1" in answer.err
    assert "Found" not in answer.out


@pytest.mark.slow
@pytest.mark.e2e
def test_another_entry_is_named(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Were another entry named, or the change elsewhere, the demo must not pass."""
    honest = story.copy_and_change

    def elsewhere(log: Path, copy: Path, stream: str, at: int, old: bytes, new: bytes) -> int:
        return honest(log, copy, stream, 1, b'"MODEL_REGISTERED"', b'"MODEL_REGISTERER"')

    answer = broken(call, monkeypatch, tmp_path, "copy_and_change", elsewhere)

    assert answer.code == 70
    assert "was not named" in answer.err
    assert "Found" not in answer.out


@pytest.mark.slow
@pytest.mark.e2e
def test_a_proof_that_does_not_verify(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One bad proof among all of them ends it."""
    honest = story.verify_file
    seen = []

    def once(data: bytes, vkey: str) -> object:
        seen.append(data)
        return honest(
            data.replace(b'"version":1', b'"version":2') if len(seen) == 7 else data, vkey
        )

    answer = broken(call, monkeypatch, tmp_path, "verify_file", once)

    assert answer.code == 70
    assert "does not verify" in answer.err
    assert len(seen) == 7


@pytest.mark.e2e
def test_a_server_that_does_not_start(tmp_path: Path) -> None:
    """Its own words are passed on, and no process is left."""
    with pytest.raises(DemoError, match="tlog init"):
        Server(tmp_path, 0, tmp_path / "server.log")


@pytest.mark.e2e
def test_a_server_that_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says nothing is given up after a while."""
    monkeypatch.setattr(processes, "_START_SECONDS", 0.1)
    with pytest.raises(DemoError, match="did not start"):
        Server(tmp_path / "log", 0, tmp_path / "server.log")


@pytest.mark.e2e
def test_a_server_that_does_not_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed after a while; stopping twice is no fault."""
    new_log(tmp_path / "log")
    server = Server(tmp_path / "log", 0, tmp_path / "server.log")
    monkeypatch.setattr(processes.signal, "SIGTERM", processes.signal.SIGCONT)
    monkeypatch.setattr(processes, "_STOP_SECONDS", 0.1)
    server.stop()
    server.stop()
    assert server._process.returncode == -9


def test_commands_that_fail() -> None:
    """A command that ends with another code than it should ends the demo, with what it said."""
    with pytest.raises(DemoError, match=r"ended with 2, not 0:\n(.*\n)*.*Usage"):
        tlog("serve")
    assert run("-c", "print(1)") == "1\n"


def test_the_callers_log_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What configures another log does not reach the demo's processes."""
    monkeypatch.setenv("TLOG_VKEY", "x")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")

    assert "TLOG_VKEY" not in environment()
    assert environment()["PYTHONPATH"] == f"{REPOSITORY}:elsewhere"
