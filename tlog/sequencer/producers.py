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

    __slots__ = ("_closed", "_following", "_open", "last", "producer_id", "spill")

    def __init__(self, producer_id: str, last: int, runs: list[Run]) -> None:
        self.producer_id = producer_id
        self.last = last
        # The newest run as its first sequence and leaf, and the leaf that would make it longer.
        self._closed = runs[:-1]
        self._open = (runs[-1].first, runs[-1].leaf) if runs else (0, 0)
        self._following = runs[-1].leaf + runs[-1].length if runs else -1
        self.spill: list[list[Run]] = []

    @property
    def runs(self) -> list[Run]:
        """All runs that are not in pages, the newest last."""
        return [*self._closed, self._newest()] if self._following >= 0 else []

    def _newest(self) -> Run:
        first, leaf = self._open
        return Run(first, leaf, self._following - leaf)

    def add(self, leaf: int) -> None:
        """The next sequence stands at `leaf`. HOT."""
        self.last += 1
        if leaf == self._following:
            self._following = leaf + 1
            return
        if self._following >= 0:
            self._closed.append(self._newest())
        self._open = (self.last, leaf)
        self._following = leaf + 1
        if len(self._closed) >= _MAX_RUNS - 1:
            self.spill.append(self._closed[: layout.RUNS_PER_PAGE])
            self._closed = self._closed[layout.RUNS_PER_PAGE :]


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
