"""Entries by their positions: all, or None; what is wrong is for others to say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import STREAM, TestLog, new_log
from tlog.errors import CorruptStore
from tlog.reader import Reader
from tlog.store.layout import RECORD_HEADER
from tlog.store.lookup import entries_at

COUNT = 200


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestLog]:
    """A commit of one event, and one of many in several chunks."""
    with TestLog(new_log(tmp_path_factory.mktemp("log") / "log")) as log:
        log.append([log.prepare(STREAM, payload={"n": 0})])
        log.append([log.prepare(STREAM, payload={"n": n}) for n in range(1, COUNT)])
        yield log


def read(log: TestLog, first: int, positions: list[int]) -> list[bytes] | None:
    with log.log.store.read() as txn:
        return entries_at(log.log.store, txn, 2, first, positions)


def test_all_or_none(log: TestLog) -> None:
    """The entries, from chunks of one record and of many; nothing if a position is another's or leads nowhere."""
    located = Reader(log.log.source).entries(2, 0, COUNT + 1)
    positions = [one.position for one in located]
    entries = [one.record.entry for one in located]
    assert len({position >> 16 for position in positions}) > 3
    assert read(log, 0, positions) == entries
    assert read(log, 5, positions[5:9]) == entries[5:9]
    for at in (1, 2, 50, COUNT):
        swapped = [*positions[:at], positions[at - 1], *positions[at + 1 :]]
        assert read(log, 0, swapped) is None
        assert read(log, at + 1, positions[at : at + 1]) is None
        assert read(log, at + 1, positions[at : at + 2]) is None
    end = (positions[-1] & ~0xFFFF) + 0xFFFF - RECORD_HEADER.size // 2
    assert read(log, COUNT, [end]) is None
    assert read(log, COUNT - 1, [positions[-2], end]) is None
    with pytest.raises(CorruptStore, match="missing"):
        read(log, 0, [positions[0] + (1 << 40)])
