"""What is said between a process and its examiners: frames of a length (u32, big endian) and that many bytes of MessagePack.

The first frame is a `Setup`; then each question gets its answer, with a `Progress` now and then before it.
"""

from __future__ import annotations

import struct
import sys
from typing import IO

import msgspec

from tlog.core.checkpoint import Checkpoint
from tlog.errors import CorruptStore, InvalidInput, Refused, TlogError
from tlog.fsck import Report
from tlog.fsck_ranges import Part, Range
from tlog.sequencer.streams import StreamView
from tlog.store.layout import StreamRow

_LENGTH = struct.Struct(">I")

# The module path of this process, so that the examiner runs this very program, wherever it was started.
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from tlog.examiners.child import main; main()"


class Setup(msgspec.Struct, frozen=True, tag="setup"):
    """Where the store is, and the vault with its key unless payloads stay closed; by how much to stand back for others."""

    store: str
    vault: tuple[str, str] | None
    nice: int = 0


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
    """An error instead of an answer: class, kind, sentence."""

    name: str
    kind: str
    detail: str
    pointer: str | None = None


Question = Setup | Range | Judge
Answer = Part | Verdict | Fault | Progress

_encode = msgspec.msgpack.Encoder().encode
_questions = msgspec.msgpack.Decoder(Question)
_answers = msgspec.msgpack.Decoder(Answer)


def command() -> list[str]:
    """The command line of an examiner."""
    return [sys.executable, "-c", _PROGRAM, *sys.path]


def frame(message: Question | Answer) -> bytes:
    """A message as it is sent."""
    data = _encode(message)
    return _LENGTH.pack(len(data)) + data


def question_of(data: bytes) -> Question:
    """The question in a frame."""
    question: Question = _questions.decode(data)
    return question


def answer_of(data: bytes) -> Answer:
    """The answer in a frame."""
    answer: Answer = _answers.decode(data)
    return answer


def length_of(prefix: bytes) -> int:
    """The length of what follows the four bytes that begin a frame."""
    length: int = _LENGTH.unpack(prefix)[0]
    return length


def read_frame(stream: IO[bytes]) -> bytes | None:
    """The next frame's message, None at the end. A frame that was cut off is the end as well: its sender is gone."""
    prefix = stream.read(_LENGTH.size)
    if len(prefix) < _LENGTH.size:
        return None
    data = stream.read(length_of(prefix))
    return data if len(data) == length_of(prefix) else None


def fault_of(error: TlogError) -> Fault:
    """An error to be raised again on the other side."""
    return Fault(type(error).__name__, error.kind, error.detail, getattr(error, "pointer", None))


def error_of(fault: Fault) -> TlogError:
    """The error that `fault_of` was given."""
    if fault.name == "CorruptStore":
        return CorruptStore(fault.detail)
    if fault.name == "InvalidInput":
        return InvalidInput(fault.kind, fault.detail, fault.pointer)
    if fault.name == "Refused":
        return Refused(fault.kind, fault.detail, fault.pointer)
    return TlogError(fault.kind, fault.detail)
