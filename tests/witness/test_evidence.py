"""Evidence is kept durably, by the hash of its bytes, bounded, and freezes the log in the same transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.evil import STREAM, EvilLog, add, grown
from tests.witness.ring import ring
from tlog.core.checkpoint import Checkpoint
from tlog.core.fork import PLACE, ForkProof, build
from tlog.errors import Refused
from witness import compare, evidence
from witness.alarms import Alarms
from witness.evidence import EvidenceStore
from witness.logbook import add_logs, entry
from witness.monitor import init_monitor
from witness.rows import FrozenRow
from witness.setup import STORE
from witness.store import Store
from witness.watch import Watch

LOG = "log.example.com"
HEAD = Checkpoint(LOG, 3, bytes(32))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty one."""
    init_monitor(tmp_path / "m", "monitor.example.org")
    opened = Store.open(tmp_path / "m" / STORE, exclusive=True)
    yield opened
    opened.close()


def frozen(store: Store) -> list[tuple[str, str]]:
    """Logs and reasons."""
    return [(row.origin, row.reason) for row in store.all("frozen", FrozenRow)]


def test_a_finding_is_kept_and_freezes_nothing(store: Store) -> None:
    kept = EvidenceStore(store, lambda: 1000.0)
    found = kept.keep(b"{}", LOG, kind="tile", summary=["a tile is false"], source="audit")
    assert found == hashlib.sha256(b"{}").hexdigest()
    assert kept.keep(b"{}", LOG, kind="another") == found
    (row,) = kept.all()
    assert (row.kind, row.summary, row.found, row.log) == ("tile", ("a tile is false",), 1000, LOG)
    assert frozen(store) == []


def test_freezing_is_of_the_whole_log(store: Store) -> None:
    kept = EvidenceStore(store)
    kept.freeze(f"{LOG}/streams/{STREAM}", "a stream shrank")
    kept.freeze(LOG, "later")
    assert frozen(store) == [(LOG, "a stream shrank")]
    assert kept.resolve(LOG, "looked at") == []
    with pytest.raises(Refused):
        kept.resolve(LOG, "again")


def test_a_verdict_is_one_transaction(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either the document is there and the log is frozen, or neither."""
    kept = EvidenceStore(store)
    real = store.put

    def broken(txn: object, database: str, key: bytes, row: object) -> None:
        if database == "frozen":
            raise OSError("disk")
        real(txn, database, key, row)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "put", broken)
    with pytest.raises(OSError, match="disk"):
        kept.convict(b"{}", LOG)
    assert (kept.all(), frozen(store)) == ([], [])
    monkeypatch.undo()
    found, fresh = kept.convict(b"{}", f"{LOG}/streams/{STREAM}", heads=[HEAD])
    assert fresh and frozen(store) == [(LOG, f"it lied: evidence {found[:16]}")]
    kept.resolve(LOG, "a drill")
    assert kept.convict(b"{}", LOG, heads=[HEAD]) == (found, False)
    assert frozen(store) == []
    assert kept.settled(LOG) == {(LOG, 3, bytes(32))}
    assert kept.settled("log.example.org") == set()


def test_a_log_cannot_fill_the_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first documents of each kind are kept; the log is frozen all the same."""
    monkeypatch.setattr(evidence, "MOST", 3)
    kept = EvidenceStore(store)
    for number in range(9):
        kept.keep(b"%d" % number, LOG, kind="withheld")
    assert len(kept.all()) == 3
    for number in range(9, 18):
        kept.convict(b"%d" % number, LOG)
    assert len(kept.of(LOG)) == 6 and frozen(store)
    kept.keep(b"x", "log.example.org", kind="withheld")
    assert len(kept.all()) == 7 and len(kept.of(LOG)) == 6


def test_it_survives_a_restart(tmp_path: Path) -> None:
    init_monitor(tmp_path / "m", "monitor.example.org")
    store = Store.open(tmp_path / "m" / STORE, exclusive=True)
    found, _ = EvidenceStore(store).convict(b"{}", LOG)
    store.close()
    again = Store.open(tmp_path / "m" / STORE)
    assert EvidenceStore(again).get(found[:8]).document == b"{}"
    assert frozen(again)
    again.close()


async def test_who_comes_late_asks(tmp_path: Path) -> None:
    """A witness that was away learns of a fork by asking, and passes on what it is asked."""
    one = grown(5)
    other = one.copy()
    add(one, 1, b"one")
    add(other, 1, b"other")
    log = EvilLog(one=one, other=other)
    async with log.served(), ring(tmp_path, log, ["one", "one"], one) as [early, late]:
        early.gossip.peers.urls = ()
        await early.gossip.watch.take([one.note().note, other.note().note], "test")
        await late.gossip.round()
        assert late.frozen() == {LOG}
        assert [row.id for row in late.forks()] == [row.id for row in early.forks()]
        assert late.forks()[0].source == early.url
        assert late.gossip.unread == 0
        late.gossip.peers.urls = ("http://127.0.0.1:9",)
        late.gossip._told = {"http://127.0.0.1:9": set()}
        await late.gossip.round()
        assert late.gossip.unread == 1


async def test_two_receipts_are_enough(store: Store) -> None:
    """Two leaves at one place, under two roots, as receipts hold them; and only of logs that are known."""
    one = grown(5)
    other = one.copy()
    add(one, 1, b"one")
    add(other, 3, b"other")
    document = build(ForkProof(PLACE, one.leaf(6), other.leaf(6)))
    watch = Watch(store, Alarms())
    assert await watch.take_forks([document], "test") == 0
    add_logs(store, [entry(one.signer.vkey)], 1)
    assert await watch.take_forks([document], "test") == 1
    (row,) = watch.evidence.all()
    assert {head[1] for head in row.heads} == {7, 9}
    assert frozen(store)


async def test_trees_are_forgotten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verified tiles of a few heads are in memory, not of all that ever were."""
    monkeypatch.setattr(compare, "TREES", 2)
    one = grown(8)
    log = EvilLog(one=one)
    async with log.served():
        add_logs(store, [entry(one.signer.vkey, url=log.url("one"))], 1)
        watch = Watch(store, Alarms())
        for size in (3, 4, 5, 6, 2):
            await watch.take([one.note("", size).note], "test")
            await watch.settle()
        assert len(watch.comparer._trees) == 2
        await watch.close()
    assert not frozen(store)
