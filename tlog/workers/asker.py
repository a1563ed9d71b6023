"""Questions that a thread of a front end waits for: a fifth of a millisecond, over a socket of their own.

For what is rarely missing: the picture of a stream that nobody asked for lately, a key, a pseudonym.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tlog.errors import Unavailable
from tlog.messages import LENGTH_BYTES, error_of, frame, length_of
from tlog.workers import wire

T = TypeVar("T")

# The other side answers from memory and from a mapped file: after this long it is not there any more.
_PATIENCE = 10.0


class Asker:
    """Asks the process that commits. Any thread; one question at a time."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_PATIENCE)
        self._socket.connect(str(path))
        self._closed = False

    def ask(self, question: wire.Message, kind: type[T]) -> T:
        """The answer, of the kind that belongs to the question.

        Raises: what the other side raised; Unavailable (unknown-outcome) when it is gone.
        """
        with self._lock:
            if self._closed:
                raise gone()
            try:
                self._socket.sendall(frame(question))
                answer = wire.reply(receive(self._socket.recv))
            except (OSError, EOFError):
                # An answer that comes later would be taken for that of the next question.
                self._closed = True
                self._socket.close()
                raise gone() from None
        if isinstance(answer, wire.Failed):
            raise error_of(answer.failure)
        if not isinstance(answer, kind):
            raise AssertionError("tlog: an answer to another question")
        return answer

    def close(self) -> None:
        """Ask nothing more."""
        with self._lock:
            self._closed = True
            self._socket.close()


def receive(recv: Callable[[int], bytes]) -> Any:
    """The bytes of one message. Raises: EOFError when the other end is closed; what `recv` raises."""
    size = length_of(_exactly(recv, LENGTH_BYTES))
    return _exactly(recv, size)


def _exactly(recv: Callable[[int], bytes], size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = recv(size - len(data))
        if not part:
            raise EOFError
        data = data + part if data else part
    return data


def gone() -> Unavailable:
    """What is said when the process that commits has ended while it was asked."""
    return Unavailable("unknown-outcome", "retry with the same idempotency key", 2.0)
