"""Token buckets that several processes draw from: exact, however a key's requests are spread over them.

A table in a file that all map: slots of 32 bytes, found by a hash of the key and by looking at the next ones. A lock of the
file (`fcntl.lockf`) is held while one is looked for and changed. Times are of the monotonic clock, one for the whole machine.

    slot    BLAKE2b of the key (16) || level (double) || time (double), in the machine's own form
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

from tlog.api.limits import taken

_SLOT = struct.Struct("=16sdd")
SLOTS = 1 << 16
_PROBES = 32
_EMPTY = bytes(16)


class SharedBuckets:
    """Token buckets as `limits.Buckets`, of one table. One thread of each process.

    When all slots where a key may stand are others', the one that was used longest ago is given up: its bucket has most
    likely been full again for long.
    """

    def __init__(
        self,
        path: Path,
        rate: float,
        burst: float,
        *,
        slots: int = SLOTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._capacity = max(1.0, rate * burst)
        self._clock = clock
        self._slots = slots
        self._known: dict[str, tuple[bytes, int]] = {}  # where a key stood last, if it still does
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Another process may do the same at the same time: the file only ever gets this one size.
        os.ftruncate(self._file, slots * _SLOT.size)
        self._table = mmap.mmap(self._file, slots * _SLOT.size)

    def take(self, key: str, amount: float) -> None:
        """Take `amount` or raise Unavailable (rate-limited) with the seconds to wait. HOT."""
        name, at = self._known.get(key) or self._name(key)
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            now = self._clock()
            owner, level, then = _SLOT.unpack_from(self._table, at)
            if owner != name:
                at, level, then = self._find(name, now)
                self._known[key] = (name, at)
            left = taken(level, now - then, amount, self._rate, self._capacity)
            _SLOT.pack_into(self._table, at, name, left, now)
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _name(self, key: str) -> tuple[bytes, int]:
        if len(self._known) >= self._slots:
            self._known.clear()
        name = hashlib.blake2b(key.encode(), digest_size=16).digest()
        return name, int.from_bytes(name[:4], "little") % self._slots * _SLOT.size

    def _find(self, name: bytes, now: float) -> tuple[int, float, float]:
        """Where a key stands or may stand, with its level and the time of that."""
        first = int.from_bytes(name[:4], "little")
        oldest, since = 0, float("inf")
        for probe in range(_PROBES):
            at = (first + probe) % self._slots * _SLOT.size
            owner, level, then = _SLOT.unpack_from(self._table, at)
            if owner == name:
                return at, level, then
            if owner == _EMPTY:
                return at, self._capacity, now
            if then < since:
                oldest, since = at, then
        return oldest, self._capacity, now

    def close(self) -> None:
        """Release the table."""
        self._table.close()
        os.close(self._file)
