"""What comes out: figures by name, `<title>: <what> <unit>`, with their floors; a table for a person, JSON, and plots."""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench import load, plots
from tests.bench.golang import BUILD, REPOSITORY

LEAST, MOST = "at least", "at most"
FLOOR_SHA256 = 3.87  # million SHA-256 of 65 bytes per second and core, where the floors were set
TIMED = ("/s", "/s per core", ": s", " ms")
FLOORS: dict[str, tuple[float, str]] = {
    "single lean, 64 clients: p99 ms": (10, MOST),
    "single full, 64 clients: p99 ms": (25, MOST),
    "batch of 1000 lean: events/s": (70_000, LEAST),
    "batch of 1000 full: events/s": (40_000, LEAST),
    "batch of 1000 lean, --workers 2: events/s": (70_000, LEAST),
    "batch of 1000 full, --workers 2: events/s": (40_000, LEAST),
    "SDK, 256 concurrent ingest: events/s": (15_000, LEAST),
    "append rate at N / at 10^4: ratio": (0.9, LEAST),
    "proof at N / at 10^4: ratio": (1.5, MOST),
    "after start at N: RssAnon MB": (300, MOST),
    "after appends at N: RssAnon MB": (300, MOST),
    "start at N: s": (2, MOST),
    "singles by producer sequence: cost ratio": (1.1, MOST),
    "singles by Idempotency-Key: cost ratio": (1.3, MOST),
    "batches by producer sequence: cost ratio": (1.1, MOST),
    "batches by Idempotency-Key: cost ratio": (1.3, MOST),
    "verify chain, leaves, tree, head: entries/s per core": (400_000, LEAST),
    "verify, vault opened: entries/s per core": (50_000, LEAST),
    "disk in batches: bytes per byte": (1.15, MOST),
    "disk at one event per commit: bytes per byte": (1.6, MOST),
    "commit over 1000 streams: ms": (20, MOST),
    "many streams, start: s": (5, MOST),
    "many streams, start: RssAnon MB": (600, MOST),
    "many streams, after traffic: RssAnon MB": (600, MOST),
    "many streams, start after SIGKILL: s": (5, MOST),
    "ingest with / without verification: ratio": (0.9, LEAST),
    "ingest with / without witnesses: ratio": (0.9, LEAST),
}
PEER_FLOORS: dict[str, tuple[float, str]] = {
    "tlog / Tessera, 16 clients: entries/s ratio": (100, LEAST),
    "tlog / Tessera, 64 clients: entries/s ratio": (100, LEAST),
    "tlog / Tessera, 256 clients: entries/s ratio": (1.2, LEAST),
    "tlog / Tessera, 1024 clients: entries/s ratio": (1.2, LEAST),
    "tlog, 64 clients: p99 ms": (10, MOST),
    "tlog, submit to verified proof, 64 clients: p50 ms": (5, MOST),
    "tlog, submit to verified proof, 64 clients: p99 ms": (20, MOST),
}


def described(options: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a run that its figures cannot be read without."""
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": _commit(),
        "machine": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "load average before": os.getloadavg()[0],
        "python": platform.python_version(),
        "generator": load.described(),
        "options": dict(options),
    }


def _commit() -> str:
    if shutil.which("git") is None:
        return "unknown"
    words = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def table(figures: Mapping[str, float]) -> str:
    """The figures of one title in one paragraph."""
    titles: dict[str, list[str]] = {}
    for name, value in figures.items():
        title, _, what = name.rpartition(": ")
        titles.setdefault(title, []).append(f"{what}\u00a0{_number(value)}".replace(" ", "\u00a0"))
    lines = []
    for title, cells in titles.items():
        shown = textwrap.wrap("   ".join(cells), 88, break_on_hyphens=False)
        for number, line in enumerate(shown):
            lines.append(f"{'' if number else title:<48} {line}".replace("\u00a0", " "))
    return "\n".join(lines)


def _number(value: float) -> str:
    if isinstance(value, int) or value >= 10_000:
        return f"{value:,.0f}"
    return f"{value:,.2f}"


def met(value: float, floor: tuple[float, str]) -> tuple[float, bool]:
    """How many times better than its floor a figure is, below 1 for worse; and whether it is met."""
    limit, direction = floor
    ratio = value / limit if direction == LEAST else limit / value if value else float("inf")
    return ratio, ratio >= 1


def speed(figures: Mapping[str, float]) -> float:
    """How fast this machine was, as a share of the one that the floors were set on: by the median of its hash rates."""
    rates = [value for name, value in figures.items() if ": M sha256/s" in name]
    return statistics.median(rates) / FLOOR_SHA256 if rates else 1.0


def floors(figures: Mapping[str, float], limits: Mapping[str, tuple[float, str]]) -> str:
    """A line for each floor whose figure was measured, and the names of the others.

    How many times better the figure is, then the same for a machine whose hash rate is this one's: of rates and times
    only. What divides one figure by another, and sizes, owe nothing to the machine.
    """
    lines = []
    here = speed(figures)
    missing = [name.rpartition(": ")[0] for name in limits if name not in figures]
    for name, floor in limits.items():
        if name in figures:
            ratio, held = met(figures[name], floor)
            limit = f"{floor[1]} {floor[0]:g}"
            equal = ratio / here if name.endswith(TIMED) else ratio
            shown = f"{name:<56} {_number(figures[name]):>12}  {limit:<16} {ratio:>6.2f} x {equal:>6.2f} x"
            lines.append(f"{shown}  {'met' if held else 'NOT MET'}")
    if missing:
        lines.append(f"Not measured: {'; '.join(dict.fromkeys(missing))}")
    return "\n".join(lines)


def finish(
    command: str,
    figures: dict[str, Any],
    facts: dict[str, Any],
    limits: Mapping[str, tuple[float, str]],
) -> None:
    """Print the tables; write them, the JSON and the plots to `.build/bench/`."""
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / f"{command}-{time.strftime('%Y%m%dT%H%M%S')}.json"
    facts["load average after"] = os.getloadavg()[0]
    head = "\n".join(f"{name}: {value}" for name, value in facts.items())
    parts = [head, table(figures)]
    parts.append(
        f"Floors, set where a core does {FLOOR_SHA256} M sha256/s and fsync takes 0.2 ms; how many times better the figure is;"
        f" and how many\ntimes at the {FLOOR_SHA256 * speed(figures):.2f} M sha256/s of this machine in this run:\n"
        + floors(figures, limits)
    )
    text = "\n\n".join(parts)
    print(text)
    path.write_text(json.dumps({**facts, "figures": figures}, indent=1, ensure_ascii=False) + "\n")
    path.with_suffix(".txt").write_text(text + "\n")
    print(f"\nWritten: {os.path.relpath(path)}, the same as .txt; {plots.draw(figures, path)}")
