"""The demo, run as a newcomer runs it, and interrupted: what it says is in its files, and it leaves nothing else."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from tests.cli.conftest import Call, Told
from tests.paths import REPOSITORY
from tlog.cli import demo as package
from tlog.cli.demo.opening import STREAM, WITNESSES
from tlog.cli.demo.processes import DemoError, environment
from tlog.core.fork import verify_fork
from tlog.core.note import parse_vkey
from tlog.inspection import Inspection
from tlog.store.layout import ROOT_LOG
from witness.rows import FrozenRow
from witness.setup import beside

pytest.importorskip("sklearn", reason="the demo needs scikit-learn")

from tlog.cli.demo import story


def number(pattern: str, text: str) -> int:
    """The number that a pattern's group finds."""
    found = re.search(pattern, text)
    assert found, pattern
    return int(found[1])


@pytest.mark.slow
@pytest.mark.e2e
def test_the_numbers_agree(told: Told) -> None:
    """Hundreds of real cases; as many proofs as events; as many entries in the log as were recorded."""
    text, home = told.text, told.home
    events = number(r"(\d+) events recorded", text)

    assert number(r"(\d+) inferences", text) >= 300
    assert number(r"(\d+) human reviews", text) >= 10
    assert number(r"(\d+) reviews were signed off", text) >= 3
    assert number(r"(\d+) of \d+ proof packages verified", text) == events
    with Inspection.open(home / "log", {}) as look:
        report = look.verify(STREAM)
    assert report.verified
    assert report.checked_count == events + 1


@pytest.mark.slow
@pytest.mark.e2e
def test_the_change_is_the_planted_one(told: Told) -> None:
    """The copy differs from the log in one byte of one file; the entry that it lies in is the one that is named."""
    text, home = told.text, told.home
    sequence = number(r"it lies at sequence (\d+)", text)
    offset = number(r"Byte (\d+) of", text)
    data = [(home / name / "log" / "data.mdb").read_bytes() for name in ("log", "copy")]

    assert len(data[0]) == len(data[1])
    assert [at for at in range(len(data[0])) if data[0][at] != data[1][at]] == [offset]
    assert (data[0][offset : offset + 1], data[1][offset : offset + 1]) == (b"5", b"2")
    with Inspection.open(home / "copy", {}) as look:
        assert look.verify(STREAM).first_failure_sequence == sequence
        assert b'"human_decision":"C2"' in look.entry(STREAM, sequence)


@pytest.mark.slow
@pytest.mark.e2e
def test_a_stranger_repeats_the_check(told: Told, tmp_path: Path) -> None:
    """The commands at the end are run as they stand there, and come to what the demo says that they come to."""
    text, home = told.text, told.home
    lines = text.partition("nothing else:\n")[2].splitlines()
    commands = [line.strip().partition("    #")[0] for line in lines if line.startswith("    ")]
    script = tmp_path / "script"
    script.write_text("".join(f"{with_code(command)}\n" for command in commands) + "kill $!; wait")
    done = subprocess.run(
        ["bash", script],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    told_codes = [0] * len(commands)
    for at, command in enumerate(commands):
        if "fork.json" in command:
            told_codes[at] = 5
        elif "evidence list" in command or command.endswith(f"verify {home}/copy"):
            told_codes[at] = 1
    assert [int(code) for code in re.findall(r"code (\d+)\n", done.stdout)] == told_codes
    assert done.stdout.count("\nVERIFIED\n") == 3
    assert done.stdout.count("Verification: OK") == 2
    assert done.stdout.count("THE LOG LIED") == 2
    assert done.stdout.count("witnessed  PASS") == 3
    assert done.stdout.count("root log of demo.example: verified") == 1
    block = json.loads((home / "proof.json").read_text())["block_hash"].removeprefix("sha256:")
    assert f"\n{block}  -\n" in done.stdout
    assert f"\nsha256:{block}\n" in done.stdout


def with_code(command: str) -> str:
    """A line of the script that tells the exit code; after that of a server, a wait until it answers."""
    if not command.endswith("&"):
        return f"{command}; echo code $?"
    port = command.split()[-2].rpartition(":")[2]
    answers = f"(: > /dev/tcp/127.0.0.1/{port}) 2> /dev/null"
    return f"{command} for i in {{1..300}}; do {answers} && break; sleep 0.1; done; echo code $?"


@pytest.mark.slow
@pytest.mark.e2e
def test_the_outside_vouches_for_it(told: Told) -> None:
    """Four verdicts pass, the checkpoint has the lines of both witnesses and audits, the package a timestamp."""
    text, home = told.text, told.home
    package = json.loads((home / "proof.json").read_text())
    lines = package["root"]["checkpoint"].splitlines()

    for verdict in ("integrity", "position", "witnessed", "time"):
        assert re.search(rf"^    {verdict} +PASS", text, re.MULTILINE), verdict
    assert {f"— {name}" for name in WITNESSES.values()} <= {
        line.rpartition(" ")[0] for line in lines
    }
    shown = text.partition("/checkpoint\n")[2].partition("The log signed")[0]
    assert set(re.findall(r"— (\S+)", shown)) == {
        *("demo.example", *WITNESSES.values()),
        *(f"{name}/audited" for name in WITNESSES.values()),
    }
    assert "a timestamp of CN=Demo TSA proves it existed" in text
    assert len(package["anchors"]) == 1
    assert text.count("    Verification: OK") == 2
    assert "anchor_status complete" in text


@pytest.mark.slow
@pytest.mark.e2e
def test_the_fork_is_the_one_that_was_made(told: Told) -> None:
    """Each face is a whole log without fault that begins with the true one; the fork proof has a head of each."""
    home = told.home
    log = parse_vkey((home / "vkey").read_text().strip())
    fork = verify_fork((home / "fork.json").read_bytes(), log)
    heads = {head.root for head in fork.heads or ()}
    faces = {name: home / f"face-{name}" for name in WITNESSES}

    assert fork.origin == "demo.example"
    assert (
        {root_of(face, fork.heads[0].size) for face in faces.values()} == heads
        if fork.heads
        else False
    )
    with Inspection.open(home / "log", {}) as look:
        before = look.root.size
    assert {root_of(face, before) for face in faces.values()} == {root_of(home / "log", before)}
    for face in faces.values():
        with Inspection.open(face, {}) as look:
            assert look.verify(STREAM).verified
            assert look.verify_root() == []
    for name in WITNESSES:
        with beside(home / name) as store:
            assert [row.origin for row in store.all("frozen", FrozenRow)] == ["demo.example"]


def root_of(directory: Path, size: int) -> bytes:
    """The root that the root log of a directory has at a size."""
    with Inspection.open(directory, {}) as look:
        return look.reader.root_of(ROOT_LOG, size)


@pytest.mark.slow
@pytest.mark.e2e
def test_nobody_is_named_in_the_log(told: Told) -> None:
    """What the demo says of pseudonyms: no case, reviewer or decision of the model stands in the stored bytes."""
    home = told.home
    stored = (home / "log" / "log" / "data.mdb").read_bytes()

    assert b"HUMAN_REVIEW" in stored
    for secret in (b"case-", b"clinic.example", b"contributions", b"MALIGNANT"):
        assert secret not in stored, secret


@pytest.mark.parametrize("missing", ["sklearn", "pymerkle"])
def test_something_is_not_installed(
    call: Call, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """It is said what to install."""

    def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == missing else importlib.util.find_spec(name, package)

    monkeypatch.setattr(package, "find_spec", find_spec)
    answer = call("demo")

    assert answer.code == 2
    assert "pip install 'tlog[server,witness,demo]'" in answer.err


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
            for name in story.BULKY:
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
        *(story.BULKY if kept else ()),
    }


@pytest.mark.e2e
@pytest.mark.parametrize("moment", ["tlog init", "tlog serve", "Every decision"])
def test_somebody_loses_patience(tmp_path: Path, moment: str) -> None:
    """Ctrl-C, whenever it comes: no log, witness, authority or directory is left, and no traceback is printed."""
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
