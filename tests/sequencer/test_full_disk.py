"""A disk that others fill: nothing is written, nothing fails, and all goes on when there is room again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import TestLog, new_log
from tlog.errors import TlogError, Unavailable
from tlog.sequencer.batch import Batch, Outcome

ROOM = 1 << 40


def within(seconds: float, happens: Callable[[], bool]) -> bool:
    """Whether it happens in time."""
    until = time.monotonic() + seconds
    while not happens() and time.monotonic() < until:
        time.sleep(0.02)
    return happens()


def test_nothing_is_written_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a published root: LMDB would fail in the middle, and that is the writer's end."""
    with TestLog(new_log(tmp_path / "log")) as test:
        sequencer, free = test.log.sequencer, [ROOM]
        monkeypatch.setattr(test.log.store, "disk_free", lambda: free[0])
        assert within(5, lambda: sequencer.published is not None)
        test.append([test.prepare()])
        free[0] = 0
        size = sequencer.head.root.size

        time.sleep(2.5)

        assert sequencer.published is not None and sequencer.published.root.size < size
        assert sequencer.status == "disk-full"
        assert test.failures == []
        free[0] = ROOM
        assert within(
            5, lambda: sequencer.published is not None and sequencer.published.root.size == size
        )
        assert sequencer.status == "ok"
        test.append([test.prepare()])
        test.check()


def test_what_was_taken_in_before_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is looked at when a commit begins, too: the look at the door may be a second old."""
    with TestLog(new_log(tmp_path / "log"), start=False) as test:
        answers: list[Outcome | TlogError] = []
        test.log.sequencer.submit(
            Batch(
                [test.prepare()],
                answers.append,
                openings={
                    "acme:prod:scorer": test.log.preparer.opening("acme:prod:scorer", public=False)
                },
            )
        )
        monkeypatch.setattr(test.log.store, "disk_free", lambda: 0)
        test.log.start()
        assert within(5, lambda: bool(answers))
        assert isinstance(answers[0], Unavailable) and answers[0].kind == "disk-full"
        assert test.failures == []
