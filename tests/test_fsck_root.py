"""The judge of the root log: every rule of its leaves and of the published notes, broken alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import ORIGIN, TestLog, new_log
from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import EMPTY_ROOT
from tlog.core.note import Signer, parse_vkey, sign_note
from tlog.fsck import MAX_FAILURES
from tlog.fsck_root import _Judge, verify_root_log
from tlog.reader import Reader
from tlog.signers import load_key
from tlog.store import layout

ROOT = bytes(32)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[TestLog]:
    with TestLog(new_log(tmp_path / "log")) as opened:
        for n in range(5):
            opened.append([opened.prepare(payload={"n": n})])
        yield opened


def judged(log: TestLog, bodies: list[bytes]) -> list[tuple[int, str]]:
    judge = _Judge(Reader(log.log.source), parse_vkey(log.log.vkey))
    judge._note = None
    for index, body in enumerate(bodies):
        judge.leaf(index, body)
    return [(failure.sequence, failure.check) for failure in judge.failures]


def head(name: str, size: int) -> bytes:
    return Checkpoint(f"{ORIGIN}/streams/{name}", size, ROOT).body()


FIRST = Checkpoint(ORIGIN, 0, EMPTY_ROOT).body()


@pytest.mark.parametrize(
    ("bodies", "at"),
    [
        ([head("a", 1)], 0),
        ([Checkpoint(ORIGIN, 0, ROOT).body()], 0),
        ([FIRST, b"no checkpoint"], 1),
        ([FIRST, Checkpoint("other.example.com/streams/a", 1, ROOT).body()], 1),
        ([FIRST, head("a", 2), head("b", 1), head("a", 2)], 3),
        ([FIRST, head("a", 2), head("a", 1)], 2),
        ([FIRST, head("a", 0)], 1),
    ],
)
def test_rules_of_the_leaves(log: TestLog, bodies: list[bytes], at: int) -> None:
    """The first leaf is the empty head, the others heads of streams of this log, and each of them grows."""
    assert judged(log, [FIRST, head("a", 1), head("b", 1), head("a", 5)]) == []
    assert judged(log, bodies) == [(at, "head")]


def test_failures_are_bounded(log: TestLog) -> None:
    """A log that is nothing but lies does not fill memory with them."""
    assert len(judged(log, [b"x"] * (MAX_FAILURES + 50))) == MAX_FAILURES


def test_a_stream_that_was_dropped_is_found(log: TestLog) -> None:
    """Its heads are in the root log; without its row nobody would look at its entries."""
    reader = Reader(log.log.source)
    assert verify_root_log(reader, log.log.vkey) == []
    del reader.source.rows[2]
    (failure,) = verify_root_log(reader, log.log.vkey)
    assert failure.check == "stream"


@pytest.mark.parametrize("at", [32 * 200, 32 * 300])
def test_a_changed_tile_is_found(log: TestLog, at: int) -> None:
    """A tile of the root log that does not hold the hashes of its leaves, in whichever row."""
    while log.log.sequencer.head.root.size < 257:
        log.append([log.prepare(payload={})])
    store = log.log.store
    log.log.sequencer.stop()
    with store.env.begin(write=True, db=store.db["tiles"]) as txn:
        key = layout.tile_key(layout.ROOT_LOG, 0, 0)
        tile = bytearray(txn.get(key))
        tile[at] ^= 1
        txn.put(key, bytes(tile))
    (failure,) = verify_root_log(Reader(log.log.source), log.log.vkey)
    assert failure.check == "tile"


def published(log: TestLog, change: Callable[[Any, Any, bytes], None]) -> list[str]:
    store = log.log.store
    log.log.sequencer.stop()
    with store.env.begin(write=True) as txn:
        cursor = txn.cursor(db=store.db["published"])
        assert cursor.last()
        change(txn, store.db["published"], bytes(cursor.key()))
    return [failure.check for failure in verify_root_log(Reader(log.log.source), log.log.vkey)]


def test_a_note_under_another_key_is_found(log: TestLog) -> None:
    """A published note must be signed by the log."""
    forged = sign_note(log.log.sequencer.head.root.body(), [Signer(ORIGIN, bytes(32))])
    assert published(log, lambda txn, db, key: txn.put(key, forged, db=db)) == ["note"]


def test_a_signed_note_of_another_root_is_found(log: TestLog) -> None:
    """The operator's own signature on a root that the leaves do not give is a lie."""
    signer = load_key(log.directory / "log.key")

    def change(txn: Any, db: Any, key: bytes) -> None:
        lie = Checkpoint(ORIGIN, layout.read_u64(key), ROOT)
        txn.put(key, sign_note(lie.body(), [signer]), db=db)

    assert published(log, change) == ["note"]


def test_a_note_of_a_size_that_never_was_is_found(log: TestLog) -> None:
    """A note beyond the log's size says that the log was cut."""
    signer = load_key(log.directory / "log.key")
    note = sign_note(Checkpoint(ORIGIN, 99, ROOT).body(), [signer])
    assert published(log, lambda txn, db, key: txn.put(layout.u64(99), note, db=db)) == ["note"]


def test_a_log_that_grows_meanwhile_is_judged_as_it_was(log: TestLog) -> None:
    """The scrub of a running server rests between two bundles, and what was written then is no lie."""

    def grow(done: int, total: int) -> None:
        log.append([log.prepare(payload={"n": done})])

    names = [f"acme:prod:{n}" for n in range(260)]
    log.append([log.prepare(name) for name in names])
    assert verify_root_log(Reader(log.log.source), log.log.vkey, progress=grow) == []
    log.check()


def test_leaves_that_do_not_give_the_root_are_found(log: TestLog) -> None:
    """The committed root is what the leaves must give."""
    judge = _Judge(Reader(log.log.source), parse_vkey(log.log.vkey))
    judge._note = None
    judge.leaf(0, FIRST)
    judge.end(ROOT)
    assert [failure.check for failure in judge.failures] == ["tree"]
