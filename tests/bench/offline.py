"""What needs no HTTP: proof cost by tree size, verification, bytes on disk, many streams in one commit."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.http import EVENTS
from tests.harness import AGENT, STREAM, TestLog, new_log
from tlog.core.merkle import Edge
from tlog.core.strict_json import loads
from tlog.events.submission import parse_event
from tlog.fsck import chain_and_leaves, verify_stream
from tlog.reader import Reader
from tlog.sequencer.batch import Prepared

BATCH = 5_000


def measure(folder: Path, leaves: int) -> dict[str, Any]:
    """All offline figures."""
    folder.mkdir()
    return {
        **_large_tree(folder, leaves),
        **_one_per_commit(folder),
        **_many_streams(folder),
    }


def prepared(log: TestLog, count: int, stream_id: str = STREAM) -> list[Prepared]:
    sub = parse_event(loads((EVENTS / "lean.json").read_bytes()))
    event = log.log.preparer.event
    return [
        event(sub, tenant="acme", stream_id=stream_id, agent=AGENT, keyed=False)
        for _ in range(count)
    ]


def _payload(log: TestLog, events: list[Prepared]) -> int:
    """Bytes of entry and sealed payload that these events make."""
    located = log.log.reader.leaf(log.log.reader.number(STREAM), 1)
    return len(events) * (len(located.record.entry) + len(located.record.sealed))


def _disk(folder: Path) -> int:
    return (folder / "log" / "data.mdb").stat().st_blocks * 512


def _large_tree(folder: Path, leaves: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    directory = new_log(folder / "large")
    with TestLog(directory) as log:
        log.append(prepared(log, 1))
        before, payload = _disk(directory), 0
        proof: dict[int, float] = {}
        for size in (10_000, leaves):
            number = log.log.reader.number(STREAM)
            while log.log.source.view(number).size < size:
                events = prepared(log, BATCH)
                log.append(events)
                payload += _payload(log, events)
            proof[size] = _proof_us(log, size)
            figures[f"proof at {size:,}: µs"] = proof[size]
        figures["proof at 10^6 / at 10^4: ratio"] = proof[leaves] / proof[10_000]
        figures["disk in batches: bytes per byte"] = (_disk(directory) - before) / payload
        figures |= _verification(log)
    return figures


def _proof_us(log: TestLog, size: int) -> float:
    """Median microseconds of a checked inclusion proof of a random leaf."""
    reader = log.log.reader
    number = reader.number(STREAM)
    chance = random.Random(1)
    reader.inclusion(number, 0)
    rounds = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(400):
            reader.inclusion(number, chance.randrange(size))
        rounds.append((time.perf_counter() - began) / 400)
    return 1e6 * statistics.median(rounds)


def _verification(log: TestLog) -> dict[str, Any]:
    reader = Reader(log.log.source)
    number = reader.number(STREAM)
    end = min(100_000, log.log.source.view(number).size)
    entries = [located.record.entry for located in reader.entries(number, 0, end)]

    def chain_and_tree() -> None:
        edge = Edge()
        previous = "sha256:" + "0" * 64
        for start in range(0, end, 256):
            part, broken, previous = chain_and_leaves(entries[start : start + 256], previous)
            edge.append(part)
            edge.full_tiles()
            edge.drop()
            if broken:
                raise AssertionError("a broken link in an honest log")
        edge.root()

    def whole() -> None:
        if not verify_stream(reader, STREAM, 0, 20_000, vault=log.log.vault).verified:
            raise AssertionError("an honest log was not verified")

    return {
        "verify chain and tree: entries/s": end / _best(chain_and_tree),
        "verify all, payloads opened: entries/s": 20_000 / _best(whole, 1),
    }


def _best(work: Callable[[], None], rounds: int = 3) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


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
