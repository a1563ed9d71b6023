"""Anchors in the store: a log of before they were, rows that changed, settings that are wrong."""

from __future__ import annotations

import hashlib
from pathlib import Path

import lmdb
import pytest

from tests.api.anchoring import current
from tests.harness import ORIGIN, TestLog, new_log
from tlog.anchors import Anchors
from tlog.config import Config
from tlog.core.timestamp import Timestamp
from tlog.errors import CorruptStore, InvalidInput
from tlog.log import Log
from tlog.store import layout
from tlog.store.environment import LogStore


def old_store(directory: Path) -> Path:
    """A log as it was made before there were anchors."""
    new_log(directory)
    env = lmdb.open(str(directory / "log"), max_dbs=20)
    with env.begin(write=True) as txn:
        for name in layout.ADDED:
            txn.drop(env.open_db(name.encode(), txn=txn))
    env.close()
    return directory


def test_a_store_of_before_is_read_as_it_is(tmp_path: Path) -> None:
    """Reading changes nothing and finds no anchors; what belongs to every store must be there."""
    directory = old_store(tmp_path / "log") / "log"
    before = (directory / "data.mdb").read_bytes()
    store = LogStore.open(directory, readonly=True)
    anchors = Anchors(store, lambda work: pytest.fail("nothing is written"))
    assert (anchors.of_day(20_000), anchors.covering(0), anchors.accepted) == ([], [], False)
    store.close()
    assert (directory / "data.mdb").read_bytes() == before


def test_a_store_of_before_is_given_what_it_lacks(tmp_path: Path) -> None:
    directory = old_store(tmp_path / "log")
    with TestLog(directory) as test:
        assert test.log.anchors.of_day(20_000) == []
        test.append([test.prepare()])
        test.check()
    store = LogStore.open(directory / "log", readonly=True)
    assert layout.ADDED <= set(store.db)
    store.close()


STAMP = Timestamp(
    1_774_008_000_000, "2026-03-20T12:00:00Z", None, "1.2.3", 1, "CN=X", bytes(32), (b"a", b"b"), 0
)  # fmt: skip


def test_a_row_that_changed_is_not_shown(tmp_path: Path) -> None:
    from tlog.anchors import Delivery

    with TestLog(new_log(tmp_path / "log")) as test:
        anchors = test.log.anchors
        delivery = Delivery(b"note", b"request", b"reply", [], [b"crl"])
        assert anchors.keep(STAMP, delivery, 5, 7).result(10) == "recorded"
        (row,) = anchors.of_day(STAMP.gen_ms // 86_400_000)
        assert (row.size, row.chain, row.crls, row.received_ms) == (5, [b"a", b"b"], [b"crl"], 7)
        assert [anchors.covering(leaf) for leaf in (0, 4, 5)] == [[row], [row], []]

        def spoil(txn: lmdb.Transaction) -> None:
            db = test.log.store.db["anchors"]
            ((key, value),) = [(bytes(k), bytes(v)) for k, v in txn.cursor(db=db)]
            assert value[:32] == hashlib.sha256(value[32:]).digest()
            txn.put(key, value[:-1] + bytes([value[-1] ^ 1]), db=db)

        test.log.sequencer.errand(spoil).result(10)
        for read in (
            lambda: anchors.of_day(STAMP.gen_ms // 86_400_000),
            lambda: anchors.covering(0),
        ):
            with pytest.raises(CorruptStore):
                read()


def test_settings(tmp_path: Path) -> None:
    """Roots that are none stop the start, with the file's name."""
    directory = new_log(tmp_path / "log")
    (directory / "bad.pem").write_text("x")
    for name in ("absent.pem", "bad.pem"):
        with pytest.raises(InvalidInput, match=name):
            Log(directory, config=Config(ORIGIN, tsa_roots=name))
    (directory / "good.pem").write_bytes(current("Root", ca=True).pem)
    log = Log(directory, config=Config(ORIGIN, tsa_roots="good.pem", tsa_policies="1.2.3 1.2.4"))
    assert log.anchors.accepted
    assert log.anchors._policies == ["1.2.3", "1.2.4"]
    log.close()
