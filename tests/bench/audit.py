"""What a witness that audits can keep up with: how fast it catches up with a log, and how far it lags behind one at full ingest.

A real `tlog serve` and a real `witness serve`, a process each, and the load generator: all on the same cores.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import requests

from tests.bench.http import singles
from tests.bench.meanwhile import Meanwhile
from tests.bench.servers import UNLIMITED, attest
from tests.faults.process import Server, free_port, prepared_log
from tests.harness import ORIGIN
from tests.witness.harness import Server as WitnessServer
from tlog.store.environment import LogStore
from witness.logbook import add_logs, entry
from witness.setup import beside, init_witness

CATCH_UP_SECONDS = 300.0


def measure(folder: Path, seconds: float) -> dict[str, Any]:
    """All figures; `folder` is filled with a log and a witness."""
    folder.mkdir()
    key = prepared_log(folder / "log")
    store = LogStore.open(folder / "log" / "log", readonly=True)
    vkey = store.log_row().vkey
    store.close()
    directory = folder / "witness"
    now = int(time.time())
    init_witness(directory, "witness.example.org/w1", now)
    with Server(folder / "log", free_port(), **UNLIMITED) as log:
        log.start()
        token = attest(log, key)
        singles(log, token, "lean", 64, seconds)
        with beside(directory) as mine:
            add_logs(mine, [entry(vkey, url=log.url)], now)
        with WitnessServer(directory, audit_interval=0.2) as witness:
            figures = _catch_up(witness.url)
            alone = singles(log, token, "lean", 64, seconds).rate
            with Lag(witness.url) as lag:
                busy = singles(log, token, "lean", 64, seconds).rate
            done = time.perf_counter()
            _wait(witness.url)
            figures |= {
                "audit, at full ingest: lag s, median": statistics.median(lag.seconds),
                "audit, at full ingest: lag s, most": max(lag.seconds),
                "audit, at full ingest: lag leaves, most": max(lag.leaves),
                "audit, after ingest: s to the end": time.perf_counter() - done,
                "audit, at full ingest: events/s": (alone + busy) / 2,
            }
            witness.stop()
        log.stop()
    return figures


def _catch_up(url: str) -> dict[str, Any]:
    began = time.perf_counter()
    report = _wait(url)
    took = time.perf_counter() - began
    checked = report["checked_since_start"]
    return {
        "audit, catching up: root leaves/s": checked["root_leaves"] / took,
        "audit, catching up: stream heads/s": checked["stream_heads"] / took,
    }


def _wait(url: str) -> dict[str, Any]:
    """The report once nothing is left to audit."""
    deadline = time.monotonic() + CATCH_UP_SECONDS
    while time.monotonic() < deadline:
        report = _report(url)
        if report and report["status"] == "ok":
            return report
        if report and report["trouble"]:
            raise AssertionError(f"tlog: an honest log is in trouble: {report['trouble']}")
        time.sleep(0.05)
    raise AssertionError("tlog: the audit did not catch up")


def _report(url: str) -> dict[str, Any] | None:
    answer = requests.get(f"{url}/audit/{ORIGIN}", timeout=30)
    return answer.json() if answer.status_code == 200 else None


class Lag(Meanwhile):
    """Asks the witness all the time how far behind it is."""

    PAUSE = 0.2

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self.seconds: list[float] = []
        self.leaves: list[int] = []

    def step(self) -> None:
        report = _report(self._url)
        if report:
            self.seconds.append(report["lag"]["seconds"])
            self.leaves.append(report["lag"]["leaves"])
