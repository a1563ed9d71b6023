"""Something that goes on beside a measurement."""

from __future__ import annotations

import threading
from typing import TypeVar

T = TypeVar("T", bound="Meanwhile")


class Meanwhile:
    """Does `step` again and again in a thread of its own, from `__enter__` to `__exit__`, which raises what it raised."""

    PAUSE = 0.0  # seconds between two steps

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._fault: BaseException | None = None

    def step(self) -> None:
        """One of many."""
        raise NotImplementedError

    def _run(self) -> None:
        try:
            while not self._stop.wait(self.PAUSE):
                self.step()
        except BaseException as error:
            self._fault = error

    def __enter__(self: T) -> T:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._fault is not None:
            raise self._fault
