"""Very many streams: what a start, a commit and memory cost when a log has 100,000 of them.

The store is made by real commits; what is measured is a real `tlog serve` with that store, and the writer on its own.
"""

from __future__ import annotations

import itertools
import json
import random
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import requests

from tests.bench.machine import rss_anon
from tests.bench.servers import EVENTS, UNLIMITED, attest
from tests.bench.surface import cpu_seconds, serve_paths
from tests.faults.process import Server, free_port, prepared_log
from tests.harness import AGENT, TestLog
from tlog.core.strict_json import loads
from tlog.events.submission import parse_event
from tlog.sequencer.batch import Prepared
from tlog.sequencer.pool import MAX_EVENTS_PER_COMMIT

ENTRIES = 10  # in each stream
ASKED = 2_000  # streams whose heads, tiles and proofs are asked for
LEAN = parse_event(loads((EVENTS / "lean.json").read_bytes()))


def name(number: int) -> str:
    """The id of a stream."""
    return f"acme:prod:s{number:06d}"


def one_each(log: TestLog, names: Sequence[str]) -> list[Prepared]:
    """An event for each of these streams."""
    event = log.log.preparer.event
    return [event(LEAN, tenant="acme", stream_id=n, agent=AGENT) for n in names]


def build(directory: Path, streams: int) -> str:
    """A log of `streams` public streams with ENTRIES in each; its API key."""
    key = prepared_log(directory)
    events = ENTRIES - 1  # and the genesis
    step = MAX_EVENTS_PER_COMMIT // events
    with TestLog(directory) as log:
        for start in range(0, streams, step):
            names = [name(number) for number in range(start, min(streams, start + step))]
            openings = {n: log.log.preparer.opening(n, public=True) for n in names}
            log.submit([(one_each(log, names * events), None)], openings=openings)
    return key


def measure(folder: Path, streams: int) -> dict[str, Any]:
    """All figures, of at least 20,000 streams; `folder` is filled with a log."""
    folder.mkdir()
    began = time.perf_counter()
    key = build(folder / "log", streams)
    entries = streams * ENTRIES
    figures = {"many streams, built: entries/s": entries / (time.perf_counter() - began)}
    return figures | _served(folder / "log", key, streams) | _commits(folder / "log", streams)


def _served(directory: Path, key: str, streams: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    with Server(directory, free_port(), **UNLIMITED) as server:
        figures |= _start(server, "start")
        token = attest(server, key)
        write = _writer(server, token)
        figures["many streams, 10 batches over 10000 streams: s"] = _seconds(
            lambda: [write(start, 1_000) for start in range(0, min(10_000, streams), 1_000)]
        )
        for kind, paths in _paths(streams).items():
            # What takes long is asked for by few, so that the first answers, which do not count, are few.
            result, cpu = serve_paths(server, paths, 2.0, token, 4 if "pages" in kind else 64)
            figures[f"many streams, {kind}: answers per CPU second"] = result.events / cpu
        figures["many streams, after traffic: RssAnon MB"] = rss_anon(server.process.pid) / 1e6
        # As far behind the last sweep as can be: few streams again and again, in large commits.
        for turn in range(15):
            write(turn % 4 * 1_000, 1_000)
        server.stop(signal.SIGKILL)
        figures |= _start(server, "start after SIGKILL")
        server.stop()
    return figures


def _start(server: Server, name: str) -> dict[str, Any]:
    """Seconds until health answers, of the clock and of the CPU; memory then."""
    began = time.perf_counter()
    server.start()
    answer = requests.get(f"{server.url}/api/v1/health", timeout=60)
    seconds = time.perf_counter() - began
    if answer.status_code != 200:
        raise AssertionError(f"tlog: the server is not well: {answer.text}")
    return {
        f"many streams, {name}: s": seconds,
        f"many streams, {name}: CPU s": cpu_seconds(server),
        f"many streams, {name}: RssAnon MB": rss_anon(server.process.pid) / 1e6,
    }


def _writer(server: Server, token: str) -> Callable[[int, int], None]:
    event = json.loads((EVENTS / "lean.json").read_bytes())
    headers = {"Authorization": f"Bearer {token}", "Prefer": "return=minimal"}

    def write(start: int, count: int) -> None:
        batch = [{**event, "stream_id": name(number)} for number in range(start, start + count)]
        url = f"{server.url}/api/v1/events/batch"
        answer = requests.post(url, json=batch, headers=headers, timeout=60)
        if answer.status_code != 201:
            raise AssertionError(f"tlog: not recorded: {answer.text[:300]}")

    return write


def _paths(streams: int) -> dict[str, list[str]]:
    """What is asked about streams of which nearly all rest."""
    chance = random.Random(1)
    asked = [name(chance.randrange(streams)) for _ in range(min(ASKED, streams))]
    folders = ["/streams/" + one.replace(":", "/") for one in asked]
    return {
        "stream checkpoints": [f"{folder}/checkpoint" for folder in folders],
        "partial tiles": [
            f"{folder}/tile/0/000.p/{w}"
            for folder, w in zip(folders, itertools.cycle((1, 5, 10)), strict=False)
        ],
        "tree heads": [f"/api/v1/sth?stream_id={one}" for one in asked],
        "inclusion proofs": [
            f"/api/v1/proof/inclusion?stream_id={one}&leaf_index=3" for one in asked
        ],
        "pages of 100 streams": [
            f"/api/v1/streams?limit=100&cursor={chance.randrange(streams)}" for _ in range(50)
        ],
        "pages of 10 of the tenant's events": ["/api/v1/events?limit=10"],
    }


def _commits(directory: Path, streams: int) -> dict[str, Any]:
    """Milliseconds of a commit that touches so many streams, which are in memory or not."""
    figures: dict[str, Any] = {}
    with TestLog(directory) as log:
        for count, rounds in ((1, 50), (100, 20), (min(10_000, streams // 8), 5)):
            hot = [range(count)] * (rounds + 1)
            cold = [range(at, at + count) for at in range(streams // 2, streams - count, count)]
            for kind, touched in (("", hot), (" that rested", cold[: rounds + 1])):
                figures |= _commit(log, f"many streams, commit over {count}{kind}", touched)
    return figures


def _commit(log: TestLog, title: str, touched: Sequence[range]) -> dict[str, Any]:
    """Median of all but the first, by the clock and of CPU time."""
    clock, cpu = [], []
    for numbers in touched:
        events = one_each(log, list(map(name, numbers)))
        before = time.perf_counter(), time.process_time()
        log.append(events)
        clock.append(time.perf_counter() - before[0])
        cpu.append(time.process_time() - before[1])
    return {
        f"{title}: ms": 1000 * statistics.median(clock[1:]),
        f"{title}: CPU ms": 1000 * statistics.median(cpu[1:]),
    }


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
