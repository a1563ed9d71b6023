"""What is said between a process and its examiners, in frames of `tlog.messages`.

The first frame is a `Setup`; then each question gets its answer, with a `Progress` now and then before it.
"""

from __future__ import annotations

import sys
from typing import IO

import msgspec

from tlog.core.checkpoint import Checkpoint
from tlog.fsck import Report
from tlog.fsck_ranges import Part, Range
from tlog.messages import LENGTH_BYTES, Failure, length_of
from tlog.sequencer.streams import StreamView
from tlog.store.layout import StreamRow

# The module path of this process, so that the examiner runs this very program, wherever it was started. It stands back
# before it loads anything: that is half a second of work, too.
_PROGRAM = (
    "import os, sys; os.nice(int(sys.argv[1])); sys.path[:] = sys.argv[2:]; "
    "from tlog.examiners.child import main; main()"
)


class Setup(msgspec.Struct, frozen=True, tag="setup"):
    """Where the store is, and the vault with its key unless payloads stay closed."""

    store: str
    vault: tuple[str, str] | None


class Judge(msgspec.Struct, frozen=True, tag="judge"):
    """Leaves [start, end) of a stream, and its head, as of one commit: the root log of that commit, and its root."""

    origin: str
    number: int
    row: StreamRow
    view: StreamView
    root_view: StreamView
    root: Checkpoint
    start: int
    end: int | None


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """`done` of `total` leaves."""

    done: int
    total: int


class Verdict(msgspec.Struct, frozen=True, tag="verdict"):
    """The answer to a `Judge`."""

    report: Report


class Fault(msgspec.Struct, frozen=True, tag="fault"):
    """An error instead of an answer."""

    failure: Failure


Question = Setup | Range | Judge
Answer = Part | Verdict | Fault | Progress

_questions = msgspec.msgpack.Decoder(Question)
_answers = msgspec.msgpack.Decoder(Answer)


def command(nice: int = 0) -> list[str]:
    """The command line of an examiner; `nice`: by how much it stands back for others."""
    return [sys.executable, "-c", _PROGRAM, str(nice), *sys.path]


def question_of(data: bytes) -> Question:
    """The question in a frame."""
    question: Question = _questions.decode(data)
    return question


def answer_of(data: bytes) -> Answer:
    """The answer in a frame."""
    answer: Answer = _answers.decode(data)
    return answer


def read_frame(stream: IO[bytes]) -> bytes | None:
    """The next frame's message, None at the end. A frame that was cut off is the end as well: its sender is gone."""
    prefix = stream.read(LENGTH_BYTES)
    if len(prefix) < LENGTH_BYTES:
        return None
    data = stream.read(length_of(prefix))
    return data if len(data) == length_of(prefix) else None
