"""`make bench`: the figures of this log on this machine, with the disk's fsync latency beside every durable one.

Everything is on: validation, commitments, seal, both trees, signature, guard, sync. Server and generator share the machine's
cores. Every body is unique. Only answers with the wanted status count; every hundredth is verified under the log's key and
compared with what was sent, and the log must have grown by what it acknowledged. The peers are in `tests.bench.peers`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench import audit, beside, growth, http, offline, once, sdk, streams, surface, witnesses
from tests.bench.figures import FLOORS, described, finish
from tests.bench.machine import fsync_ms, sha256_rate

PARTS: dict[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {
    "http": lambda folder, options: http.measure(folder, options.seconds),
    "sdk": lambda folder, options: sdk.measure(folder, options.seconds),
    "once": lambda folder, options: once.measure(folder, options.seconds / 2),
    "growth": lambda folder, options: growth.measure(folder, options.seconds / 2, options.leaves),
    "offline": lambda folder, options: offline.measure(folder),
    "beside": lambda folder, options: beside.measure(folder, options.seconds / 2),
    "surface": lambda folder, options: surface.measure(folder, options.seconds),
    "streams": lambda folder, options: streams.measure(folder, options.streams),
    "audit": lambda folder, options: audit.measure(folder, options.seconds),
    "witnesses": lambda folder, options: witnesses.measure(folder, options.seconds / 2),
}


def main() -> None:
    """Run all or the named parts; print tables, and write them to `.build/bench/`."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("parts", nargs="*", help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run under load")
    parser.add_argument("--leaves", type=int, default=1_000_000, help="of the large stream (N)")
    parser.add_argument("--streams", type=int, default=100_000, help="with ten entries each")
    parser.add_argument("--dir", type=Path, help="where the logs are for a while; default: $TMPDIR")
    options = parser.parse_args()
    parts = options.parts or list(PARTS)
    if not set(parts) <= set(PARTS):
        parser.error(f"the parts are {', '.join(PARTS)}")
    if min(options.leaves, options.streams) < 20_000:
        parser.error("--leaves and --streams are at least 20,000")
    facts = described({**vars(options), "parts": parts, "dir": None})
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="tlog-bench-", dir=options.dir) as name:
        folder = Path(name)
        figures["machine: M sha256/s before"] = sha256_rate()
        figures["machine: fsync ms before"] = fsync_ms(folder, 200)
        for part in parts:
            began = time.monotonic()
            print(f"{part} …", end="", flush=True)
            figures |= PARTS[part](folder / part, options)
            print(f" {time.monotonic() - began:.0f} s", flush=True)
            figures[f"machine: M sha256/s after {part}"] = sha256_rate()
        figures["machine: fsync ms after"] = fsync_ms(folder, 200)
    finish("bench", figures, facts, FLOORS)


if __name__ == "__main__":
    main()
