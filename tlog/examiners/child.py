"""An examiner: a process that opens a store to read it, answers questions from its standard input, and ends with it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import BinaryIO

from tlog.errors import TlogError
from tlog.examiners.messages import (
    Answer,
    Fault,
    Judge,
    Progress,
    Question,
    Setup,
    Verdict,
    question_of,
    read_frame,
)
from tlog.fsck import verify_stream
from tlog.fsck_ranges import Range, prove_range
from tlog.keys import FileKey
from tlog.messages import failure, frame
from tlog.reader import Reader, Source
from tlog.sequencer.publish import Head
from tlog.store import layout
from tlog.store.environment import LogStore
from tlog.vault import Vault

# Also what ends an examiner whose asker was killed: it has nobody to tell.
_PROGRESS_SECONDS = 0.2


def main() -> None:
    """Answer until standard input ends."""
    answer_all(sys.stdin.buffer, sys.stdout.buffer)


def answer_all(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer every question; errors that tlog raises on purpose are answers, all else ends the process."""
    try:
        setup = _question(questions)
        if not isinstance(setup, Setup):
            return
        try:
            examiner = Examiner(setup, answers)
        except TlogError as error:
            _say(answers, Fault(failure(error)))
            return
        try:
            while (question := _question(questions)) is not None:
                _say(answers, examiner.answer(question))
        finally:
            examiner.close()
    except BrokenPipeError:
        # Nobody listens; what is left in the buffer must not be flushed when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), answers.fileno())


def _question(questions: BinaryIO) -> Question | None:
    data = read_frame(questions)
    return None if data is None else question_of(data)


def _say(answers: BinaryIO, answer: Answer) -> None:
    answers.write(frame(answer))
    answers.flush()


class Examiner:
    """One open store, and its vault."""

    def __init__(self, setup: Setup, answers: BinaryIO) -> None:
        self._answers = answers
        self._told = time.monotonic()
        self._store = LogStore.open(Path(setup.store), readonly=True)
        self._vault: Vault | None = None
        if setup.vault is not None:
            path, key = map(Path, setup.vault)
            self._vault = Vault.open(path, FileKey(key))

    def close(self) -> None:
        """Release what was opened."""
        if self._vault is not None:
            self._vault.close()
        self._store.close()

    def answer(self, question: Question) -> Answer:
        """Do what is asked; an error that tlog raises on purpose is the answer."""
        try:
            if isinstance(question, Range):
                total = question.end - question.start
                return prove_range(
                    self._store, question, self._vault, lambda done: self._tell(done, total)
                )
            if isinstance(question, Judge):
                return self._judge(question)
        except TlogError as error:
            return Fault(failure(error))
        raise AssertionError("tlog: an examiner was set up twice")

    def _judge(self, question: Judge) -> Verdict:
        views = {question.number: question.view, layout.ROOT_LOG: question.root_view}
        row, number = question.row, question.number
        head = Head(0, 0, question.root, b"")
        source = Source(
            self._store,
            question.origin,
            {number: row},
            {row.stream_id: number},
            views.__getitem__,
            lambda: head,
        )
        report = verify_stream(
            Reader(source),
            row.stream_id,
            question.start,
            question.end,
            vault=self._vault,
            progress=self._tell,
        )
        return Verdict(report)

    def _tell(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told >= _PROGRESS_SECONDS:
            self._told = now
            _say(self._answers, Progress(done, total))


if __name__ == "__main__":
    main()
