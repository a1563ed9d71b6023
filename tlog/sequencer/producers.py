"""Where a producer's sequences stand in a stream: a few runs while it writes alone, pages of them where many take turns."""

from __future__ import annotations

import hashlib
from bisect import bisect_right

import msgspec

from tlog.store import layout
from tlog.store.environment import LogStore
from tlog.store.layout import Run

_decode_runs = msgspec.msgpack.Decoder(list[Run]).decode
_MAX_RUNS = 2 * layout.RUNS_PER_PAGE


class ProducerState:
    """Which leaves a producer's sequences stand at: runs in memory, older ones in pages."""

    __slots__ = ("last", "producer_id", "runs", "spill")

    def __init__(self, producer_id: str, last: int, runs: list[Run]) -> None:
        self.producer_id = producer_id
        self.last = last
        self.runs = runs
        self.spill: list[list[Run]] = []

    def add(self, leaf: int) -> None:
        """The next sequence stands at `leaf`."""
        self.last += 1
        if self.runs:
            first, start, length = self.runs[-1]
            if start + length == leaf:
                self.runs[-1] = Run(first, start, length + 1)
                return
        self.runs.append(Run(self.last, leaf, 1))
        if len(self.runs) >= _MAX_RUNS:
            self.spill.append(self.runs[: layout.RUNS_PER_PAGE])
            self.runs = self.runs[layout.RUNS_PER_PAGE :]


def find_run(runs: list[Run], sequence: int) -> int | None:
    """The leaf of a sequence, if it is in these runs."""
    at = bisect_right(runs, sequence, key=lambda run: run.first) - 1
    if at < 0:
        return None
    run = runs[at]
    return run.leaf + sequence - run.first if sequence < run.first + run.length else None


def find_in_pages(store: LogStore, key: bytes, sequence: int) -> int | None:
    """The leaf of a sequence, if it is in a stored page of the producer with this key."""
    with store.read() as txn:
        cursor = txn.cursor(db=store.db["runs"])
        found = cursor.set_range(key + layout.u64(sequence + 1))
        if cursor.prev() if found else cursor.last():
            at, page = cursor.item()
            if bytes(at[:-8]) == key:
                return find_run(_decode_runs(page), sequence)
    return None


def producer_key(number: int, producer_id: str) -> bytes:
    """The key of a producer's row in a stream."""
    digest = hashlib.sha256(producer_id.encode()).digest()[:16]
    return layout.producer_key(number, digest)
