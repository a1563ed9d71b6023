"""What the machine does by itself, beside which every figure has to be read; and what a process takes of it."""

from __future__ import annotations

import hashlib
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path


def fsync_ms(folder: Path, count: int = 50) -> float:
    """Median milliseconds of appending 4 KiB and fdatasync, on the disk of `folder`."""
    times = []
    path = folder / "fsync-probe"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        for number in range(count):
            os.pwrite(descriptor, b"x" * 4096, number * 4096)
            began = time.perf_counter()
            os.fdatasync(descriptor)
            times.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
        path.unlink()
    return 1000 * statistics.median(times)


def sha256_rate(seconds: float = 0.5) -> float:
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


def processes(pid: int) -> list[int]:
    """A process and all that come from it."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU time, user and system, of a process and those that come from it, the ended ones included."""
    ticks = 0
    for text in _all(pid, "stat"):
        ticks += sum(map(int, text.rpartition(") ")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def rss_anon(pid: int) -> int:
    """Bytes of anonymous memory of the same: what they hold themselves, without mapped files."""
    lines = [line for text in _all(pid, "status") for line in text.splitlines()]
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def _all(pid: int, name: str) -> Iterator[str]:
    """A file of /proc of each of them that has not ended."""
    for one in processes(pid):
        try:
            yield Path(f"/proc/{one}/{name}").read_text()
        except OSError:
            continue
