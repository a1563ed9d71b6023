"""The background scrub finds rot in a running log, and stops when told."""

from __future__ import annotations

import time
from pathlib import Path

from tests.harness import TestLog, new_log
from tlog.scrub import Scrub
from tlog.store import layout


def wait_for_pass(scrub: Scrub, since: int | None = None) -> None:
    deadline = time.monotonic() + 30
    while scrub.completed_ms == since:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_rot_is_found_in_a_running_log(tmp_path: Path) -> None:
    """Passes over an honest log find nothing; a bit flipped beneath them is named with its sequence."""
    new_log(tmp_path / "log")
    with TestLog(tmp_path / "log") as log:
        log.append([log.prepare(payload={"n": n}) for n in range(600)])
        scrub = Scrub(log.log, pass_seconds=0.0, share=1.0)
        scrub.start()
        wait_for_pass(scrub)
        assert scrub.failures == []
        store = log.log.store
        with store.env.begin(write=True) as txn:
            key = layout.tile_key(2, 0, 1)
            tile = bytearray(txn.get(key, db=store.db["tiles"]))
            tile[32 * 5] ^= 0x80
            txn.put(key, bytes(tile), db=store.db["tiles"])
        deadline = time.monotonic() + 30
        while not scrub.failures:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        scrub.stop()
        assert scrub.failures[0].startswith("acme:prod:scorer at 261:")


def test_it_rests_and_stops_at_once(tmp_path: Path) -> None:
    """At a share of a millionth the first piece of work is followed by a long rest; stop ends it."""
    new_log(tmp_path / "log")
    with TestLog(tmp_path / "log") as log:
        log.append([log.prepare(payload={"n": n}) for n in range(600)])
        scrub = Scrub(log.log, share=1e-6)
        scrub.start()
        time.sleep(0.2)
        began = time.monotonic()
        scrub.stop()
        assert time.monotonic() - began < 5
        assert scrub.completed_ms is None
