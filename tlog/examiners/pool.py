"""Several examiners at work on one list of ranges, for a command that waits for them."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tlog.errors import TlogError, Unavailable
from tlog.examiners.messages import (
    Answer,
    Fault,
    Progress,
    Setup,
    answer_of,
    command,
    read_frame,
)
from tlog.fsck_ranges import Part, Range
from tlog.messages import error_of, frame


class Done(NamedTuple):
    """`part` is what was proven of the range with this number in the list."""

    number: int
    part: Part


class Pool:
    """`jobs` processes. Leaving its block ends them, whatever they are doing."""

    def __init__(self, setup: Setup, jobs: int) -> None:
        self._setup = setup
        self._jobs = jobs
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Pool:
        try:
            for _ in range(self._jobs):
                # In a session of its own: Ctrl-C is for us, and we end it.
                child = subprocess.Popen(
                    command(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    start_new_session=True,
                )
                self._children.append(child)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            child.kill()
        for child in self._children:
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):  # what could not be sent any more
                        pipe.close()

    def prove(self, ranges: Sequence[Range]) -> Iterator[Done]:
        """What is proven of each, in the order in which it is. Once per pool.

        Raises: Unavailable (examiner-ended) when a process ends before it has answered; what it raised.
        """
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(len(ranges)):
            waiting.put(number)
        finished: queue.SimpleQueue[Done | BaseException] = queue.SimpleQueue()
        for child in self._children:
            threading.Thread(
                target=self._serve, args=(child, ranges, waiting, finished), daemon=True
            ).start()
        for _ in ranges:
            done = finished.get()
            if isinstance(done, BaseException):
                raise done
            yield done

    def _serve(
        self,
        child: subprocess.Popen[bytes],
        ranges: Sequence[Range],
        waiting: queue.SimpleQueue[int],
        finished: queue.SimpleQueue[Done | BaseException],
    ) -> None:
        """Give one process a range after another."""
        try:
            _send(child, frame(self._setup))
            while True:
                try:
                    number = waiting.get_nowait()
                except queue.Empty:
                    return
                _send(child, frame(ranges[number]))
                answer = _answer(child)
                if isinstance(answer, Fault):
                    raise error_of(answer.failure)
                if not isinstance(answer, Part):
                    raise AssertionError("tlog: an examiner answered another question")
                finished.put(Done(number, answer))
        except (OSError, ValueError):
            finished.put(_ended(child))
        except (TlogError, AssertionError) as error:
            finished.put(error)


def _send(child: subprocess.Popen[bytes], data: bytearray) -> None:
    if child.stdin is None:
        raise AssertionError("tlog: an examiner without standard input")
    child.stdin.write(data)
    child.stdin.flush()


def _answer(child: subprocess.Popen[bytes]) -> Answer:
    if child.stdout is None:
        raise AssertionError("tlog: an examiner without standard output")
    while (data := read_frame(child.stdout)) is not None:
        answer = answer_of(data)
        if not isinstance(answer, Progress):
            return answer
    raise _ended(child)


def _ended(child: subprocess.Popen[bytes]) -> Unavailable:
    return Unavailable(
        "examiner-ended", f"the examining process {child.pid} ended before it had answered"
    )
