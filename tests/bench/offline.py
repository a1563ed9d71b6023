"""What needs no HTTP: verification, bytes on disk, many streams in one commit."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.servers import EVENTS
from tests.harness import AGENT, STREAM, TestLog, new_log
from tlog.core.strict_json import loads
from tlog.events.submission import parse_event
from tlog.sequencer.batch import Prepared

BATCH = 5_000
VERIFIED = 200_000


def measure(folder: Path) -> dict[str, Any]:
    """All offline figures."""
    folder.mkdir(parents=True)
    return {
        **_verification(folder),
        **_one_per_commit(folder),
        **_many_streams(folder),
    }


def prepared(log: TestLog, count: int, stream_id: str = STREAM) -> list[Prepared]:
    sub = parse_event(loads((EVENTS / "lean.json").read_bytes()))
    event = log.log.preparer.event
    return [event(sub, tenant="acme", stream_id=stream_id, agent=AGENT) for _ in range(count)]


def _payload(log: TestLog, events: list[Prepared]) -> int:
    """Bytes of entry and sealed payload that these events make."""
    located = log.log.reader.leaf(log.log.reader.number(STREAM), 1)
    return len(events) * (len(located.record.entry) + len(located.record.sealed))


def _disk(folder: Path) -> int:
    return (folder / "log" / "data.mdb").stat().st_blocks * 512


def _verification(folder: Path) -> dict[str, Any]:
    """`tlog verify DIR` in a process of its own, less what an empty log takes: with the vault opened, and without its key."""
    idle = _verify_seconds(new_log(folder / "empty"))
    directory = new_log(folder / "verified")
    with TestLog(directory) as log:
        for _ in range(VERIFIED // BATCH):
            log.append(prepared(log, BATCH))
    cores = len(os.sched_getaffinity(0))
    opened = _verify_seconds(directory) - idle
    (directory / "vault.key").rename(folder / "vault.key")
    closed = _verify_seconds(directory) - idle
    return {
        "verify nothing: s": idle,
        "verify chain, leaves, tree, head: entries/s": VERIFIED / closed,
        "verify chain, leaves, tree, head: entries/s per core": VERIFIED / closed / cores,
        "verify, vault opened: entries/s": VERIFIED / opened,
        "verify, vault opened: entries/s per core": VERIFIED / opened / cores,
    }


def _verify_seconds(directory: Path) -> float:
    words = [sys.executable, "-m", "tlog", "verify", str(directory)]
    began = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"an honest log was not verified: {(done.stdout + done.stderr)[-500:]}")
    return time.perf_counter() - began


def _one_per_commit(folder: Path, count: int = 2_000) -> dict[str, Any]:
    directory = new_log(folder / "singles")
    with TestLog(directory) as log:
        log.append(prepared(log, 1))
        before = _disk(directory)
        events = prepared(log, count)
        began = time.perf_counter()
        for event in events:
            log.append([event])
        seconds = time.perf_counter() - began
        return {
            "disk at one event per commit: bytes per byte": (_disk(directory) - before)
            / _payload(log, events),
            "one event per commit: commits/s": count / seconds,
        }


def _many_streams(folder: Path, count: int = 1_000) -> dict[str, Any]:
    directory = new_log(folder / "streams")
    names = [f"acme:prod:s{n}" for n in range(count)]
    with TestLog(directory) as log:
        log.append([prepared(log, 1, name)[0] for name in names])
        times = []
        for _ in range(15):
            events = [prepared(log, 1, name)[0] for name in names]
            began = time.perf_counter()
            log.append(events)
            times.append(time.perf_counter() - began)
        return {"commit over 1000 streams: ms": 1000 * statistics.median(times)}
