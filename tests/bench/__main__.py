"""`make bench`: the figures of this log on this machine, with the disk's fsync latency beside them.

Everything is on: validation, commitments, seal, both trees, signature, guard, sync. Server and generator share the machine's
cores. Only answers with the wanted status count; every hundredth is verified under the log's key.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench import audit, http, offline, streams, surface, witnesses

FLOORS = {
    "single lean, 64 clients: events/s": (8_000, "at least"),
    "single lean, 64 clients: p99 ms": (25, "at most"),
    "single full, 64 clients: events/s": (6_000, "at least"),
    "single full, 64 clients: p99 ms": (25, "at most"),
    "batch of 1000 lean: events/s": (30_000, "at least"),
    "batch of 1000 full: events/s": (20_000, "at least"),
    "verify chain and tree: entries/s": (200_000, "at least"),
    "proof at 10^6 / at 10^4: ratio": (2.0, "at most"),
    "disk in batches: bytes per byte": (1.3, "at most"),
    "disk at one event per commit: bytes per byte": (1.8, "at most"),
    "commit over 1000 streams: ms": (20, "at most"),
    "many streams, start: s": (5, "at most"),
    "many streams, start: RssAnon MB": (600, "at most"),
    "many streams, after traffic: RssAnon MB": (600, "at most"),
    "many streams, start after SIGKILL: s": (5, "at most"),
    "ingest with / without witnesses: ratio": (0.9, "at least"),
}


def fsync_ms(folder: Path, count: int = 200) -> float:
    """Median milliseconds of appending 4 KiB and fdatasync."""
    times = []
    descriptor = os.open(folder / "fsync-probe", os.O_WRONLY | os.O_CREAT)
    try:
        for number in range(count):
            os.pwrite(descriptor, b"x" * 4096, number * 4096)
            began = time.perf_counter()
            os.fdatasync(descriptor)
            times.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
    return 1000 * statistics.median(times)


def sha256_rate(seconds: float = 1.0) -> float:
    """Millions of SHA-256 of 65 bytes per second, as Python calls it: how fast this machine is now.

    3.87 on the two cores that the floors were set on. A tree is made of such calls, and nothing here changes it.
    """
    data = b"x" * 65
    done = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        for _ in range(1000):
            hashlib.sha256(data).digest()
        done += 1000
    return done / (time.perf_counter() - began) / 1e6


PARTS: dict[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {
    "http": lambda folder, options: http.measure(folder, options.seconds),
    "surface": lambda folder, options: surface.measure(folder, options.seconds),
    "offline": lambda folder, options: offline.measure(folder, options.leaves),
    "streams": lambda folder, options: streams.measure(folder, options.streams),
    "audit": lambda folder, options: audit.measure(folder, options.seconds),
    "witnesses": lambda folder, options: witnesses.measure(folder, options.seconds / 2),
}


def main() -> None:
    """Run all or the named parts; write bench-results/<time>.json and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("parts", nargs="*", help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each HTTP run")
    parser.add_argument("--leaves", type=int, default=1_000_000, help="of the large tree")
    parser.add_argument("--streams", type=int, default=100_000, help="with ten entries each")
    options = parser.parse_args()
    parts = options.parts or list(PARTS)
    if not set(parts) <= set(PARTS):
        parser.error(f"the parts are {', '.join(PARTS)}")
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="tlog-bench-") as name:
        folder = Path(name)
        figures["machine before: M sha256/s"] = sha256_rate()
        figures["fsync before: ms"] = fsync_ms(folder)
        for part in parts:
            figures |= PARTS[part](folder / part, options)
            figures[f"machine after {part}: M sha256/s"] = sha256_rate()
        figures["fsync after: ms"] = fsync_ms(folder)
    report = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "figures": figures,
    }
    target = Path("bench-results")
    target.mkdir(exist_ok=True)
    path = target / f"{time.strftime('%Y%m%dT%H%M%S')}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    print_table(figures)
    print(f"\n{report['machine']}, Python {report['python']}; written to {path}")


def print_table(figures: dict[str, Any]) -> None:
    """One line per figure, with its floor and whether it was reached."""
    for name, value in figures.items():
        floor = ""
        if name in FLOORS:
            limit, direction = FLOORS[name]
            reached = value >= limit if direction == "at least" else value <= limit
            floor = f"{direction} {limit:g}: {'reached' if reached else 'MISSED'}"
        print(f"{name:<66} {value:>14,.2f}  {floor}")


if __name__ == "__main__":
    main()
