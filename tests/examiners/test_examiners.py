"""Verification in processes of its own: the same reports, every lie, and no process that is left or missed."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import STREAM, TestLog, new_log
from tlog.cli.demo.change import copy_and_change
from tlog.errors import InvalidInput, Unavailable
from tlog.examiners.child import answer_all
from tlog.examiners.messages import (
    Answer,
    Fault,
    Judge,
    Setup,
    Verdict,
    answer_of,
    command,
    read_frame,
)
from tlog.examiners.pool import Pool
from tlog.fsck import verify_stream
from tlog.fsck_ranges import Part, Range, ranges_of
from tlog.inspection import Inspection
from tlog.messages import frame

EVENTS = 1_300
OTHER = "acme:prod:other"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = new_log(tmp_path_factory.mktemp("log") / "log")
    with TestLog(directory) as log:
        log.append([log.prepare(payload={"n": n}, tags=["A"]) for n in range(EVENTS)])
        log.append([log.prepare(OTHER, payload={"n": n}) for n in range(3)])
    return directory


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of 512 leaves, and processes for any log."""
    monkeypatch.setattr("tlog.fsck_ranges.RANGE", 512)
    monkeypatch.setattr("tlog.inspection._WORTH_PROCESSES", 1)


def setup_of(directory: Path, *, vault: bool = True) -> Setup:
    keys = (str(directory / "keys"), str(directory / "vault.key"))
    return Setup(str(directory / "log"), keys if vault else None)


def test_two_processes_report_what_one_does(directory: Path) -> None:
    """All streams, in order, with progress up to the last leaf."""
    with Inspection.open(directory, {}) as inspection:
        names = inspection.streams()
        seen: list[tuple[int, int]] = []
        reports = list(inspection.verify_all(names, 2, lambda *done: seen.append(done)))
        assert reports == [(name, inspection.verify(name)) for name in names]
        assert [report.verified for _, report in reports] == [True] * 3
        assert seen[-1][0] == seen[-1][1] == 1 + EVENTS + 1 + 4
        alone: list[tuple[int, int]] = []
        assert list(inspection.verify_all(names, 1, lambda *done: alone.append(done))) == reports
        assert alone[-1] == seen[-1]


@pytest.mark.parametrize("sequence", [1, 511, 512, 513, 1_023, 1_024, EVENTS])
def test_a_lie_in_any_range_is_named(directory: Path, tmp_path: Path, sequence: int) -> None:
    """What several processes find is what one finds."""
    copy = tmp_path / "copy"
    copy_and_change(directory, copy, STREAM, sequence, b'"tags":["A"]', b'"tags":["B"]')
    with Inspection.open(copy, {}) as inspection:
        ((_, report),) = inspection.verify_all([STREAM], 2)
        assert not report.verified
        assert report == inspection.verify(STREAM)
        assert report.first_failure_sequence == sequence


def ranges(directory: Path) -> tuple[Setup, list[Range]]:
    with Inspection.open(directory, {}) as inspection:
        view = inspection.reader.source.view(2)
    return setup_of(directory), list(ranges_of(2, STREAM, view))


def test_a_dead_process_is_an_error(directory: Path) -> None:
    """One process is killed before it has answered: the whole fails, nothing passes silently; none is left."""
    setup, spans = ranges(directory)
    with Pool(setup, 2) as pool:
        children = pool._children
        os.kill(children[0].pid, signal.SIGKILL)
        with pytest.raises(Unavailable, match="ended before it had answered"):
            list(pool.prove(spans * 50))
    assert all(child.returncode is not None for child in children)


def test_what_a_process_raises_is_raised_here(directory: Path, tmp_path: Path) -> None:
    """A store that is not there is an error of its own kind, with its sentence."""
    _, spans = ranges(directory)
    with Pool(Setup(str(tmp_path), None), 1) as pool, pytest.raises(InvalidInput, match="no store"):
        list(pool.prove(spans))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left(directory: Path, number: signal.Signals) -> None:
    """Ctrl-C in the middle ends the command and its processes; when it is killed they end by themselves."""
    script = (
        "import sys\n"
        "from tlog.examiners.pool import Pool\n"
        "from tests.examiners.test_examiners import ranges\n"
        "from pathlib import Path\n"
        "setup, spans = ranges(Path(sys.argv[1]))\n"
        "with Pool(setup, 2) as pool:\n"
        "    print(*[child.pid for child in pool._children], flush=True)\n"
        "    list(pool.prove(spans * 100_000))\n"
    )
    command = [sys.executable, "-c", script, str(directory)]
    asker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert asker.stdout is not None
    pids = [int(word) for word in asker.stdout.readline().split()]
    assert len(pids) == 2
    asker.send_signal(number)
    _, trace = asker.communicate(timeout=30)
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in trace
        assert not any(map(alive, pids))
    deadline = time.monotonic() + 30
    while any(map(alive, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


# --- the examiner itself ---------------------------------------------------------------------------


def asked(*questions: bytes) -> Iterator[Answer]:
    answers = io.BytesIO()
    answer_all(io.BytesIO(b"".join(questions)), answers)
    answers.seek(0)
    while (data := read_frame(answers)) is not None:
        yield answer_of(data)


def judge(directory: Path, start: int = 0, end: int | None = None) -> Judge:
    with Inspection.open(directory, {}) as inspection:
        source = inspection.reader.source
        return Judge(
            source.origin,
            2,
            source.rows[2],
            source.view(2),
            source.view(0),
            source.head().root,
            start,
            end,
        )


def test_it_judges_as_this_process_does(directory: Path) -> None:
    """The whole stream and a part of it: the report is the one that is made here."""
    for start, end in ((0, None), (300, 700)):
        *_, answer = asked(frame(setup_of(directory)), frame(judge(directory, start, end)))
        with Inspection.open(directory, {}) as inspection:
            here = verify_stream(inspection.reader, STREAM, start, end, vault=inspection._vault)
        assert answer == Verdict(here)
    assert here.checked_count == 400


def test_it_tells_how_far_it_is(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress comes before the answer."""
    monkeypatch.setattr("tlog.examiners.child._PROGRESS_SECONDS", 0.0)
    _, spans = ranges(directory)
    *progress, part = asked(frame(setup_of(directory, vault=False)), frame(spans[0]))
    assert isinstance(part, Part)
    assert part.good
    assert [(one.done, one.total) for one in progress] == [(256, 512), (512, 512)]  # type: ignore[union-attr]


def test_errors_are_answers(directory: Path) -> None:
    """What is wrong with a question or a store comes back as it would have been raised."""
    (answer,) = asked(frame(setup_of(directory)), frame(judge(directory, 5, 99_999)))
    assert isinstance(answer, Fault)
    assert answer.failure.kind == "range"
    assert list(asked()) == []
    assert list(asked(frame(judge(directory)))) == []
    with pytest.raises(AssertionError, match="twice"):
        list(asked(frame(setup_of(directory)), frame(setup_of(directory))))


def test_a_frame_that_was_cut_off_is_the_end() -> None:
    """Of a sender that was killed in the middle of a word."""
    whole = bytes(frame(Setup("a", None)))
    assert read_frame(io.BytesIO(whole)) == whole[4:]
    for cut in (0, 3, 4, len(whole) - 1):
        assert read_frame(io.BytesIO(whole[:cut])) is None


def test_it_stands_back_before_it_loads_anything(directory: Path) -> None:
    """The priority is there while the modules that do the work are not."""
    words = command(7)
    at = words[2].index("from tlog")
    words[2] = words[2][:at] + "import time; time.sleep(600); " + words[2][at:]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as child:
        try:
            deadline = time.monotonic() + 20
            while os.getpriority(os.PRIO_PROCESS, child.pid) != 7:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert "_msgspec" not in Path(f"/proc/{child.pid}/maps").read_text()
        finally:
            child.kill()
