"""A page of memory that the process that commits writes and all front ends read: two numbers, a look at which costs nothing.

A file in the private directory of one run, mapped by all. Each number has 8 bytes and is written in one piece.
"""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path

_BYTES = 16
_COMMIT, _GENERATION = 0, 1


class Page:
    """The newest commit that may have been shown to anybody, and the vault's generation."""

    def __init__(self, path: Path, *, create: bool) -> None:
        """`create`: a new one in the place of an older run's, which nobody reads any more."""
        flags = os.O_RDWR | os.O_CLOEXEC
        if create:
            path.unlink(missing_ok=True)
            flags |= os.O_CREAT | os.O_EXCL
        descriptor = os.open(path, flags, 0o600)
        try:
            if create:
                os.ftruncate(descriptor, _BYTES)
            self._map = mmap.mmap(descriptor, _BYTES)
        finally:
            os.close(descriptor)
        self._numbers = memoryview(self._map).cast("Q")
        self._lock = threading.Lock()

    @property
    def commit(self) -> int:
        """Whoever handles a request must have at least this commit. HOT."""
        return self._numbers[_COMMIT]

    def show(self, commit: int) -> None:
        """A commit is about to be shown. Any thread of the one process that writes; it never goes back."""
        if commit > self._numbers[_COMMIT]:
            with self._lock:
                self._numbers[_COMMIT] = max(commit, self._numbers[_COMMIT])

    @property
    def generation(self) -> int:
        """What was learned of the vault in an earlier generation must be forgotten. HOT."""
        return self._numbers[_GENERATION]

    def forget(self, generation: int) -> None:
        """The vault's generation is this now."""
        self._numbers[_GENERATION] = generation

    def close(self) -> None:
        """Release the mapping."""
        self._numbers.release()
        self._map.close()
