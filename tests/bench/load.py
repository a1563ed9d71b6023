"""Run a job: by the generator in Go where there is one, else by the one in Python."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from tests.bench import generator
from tests.bench.golang import Missing, build
from tests.bench.job import NUMBERS, Job, Result

MODULE = Path(__file__).parent / "load"


@lru_cache(maxsize=1)
def program() -> tuple[Path | None, str]:
    """The generator in Go, or None and why there is none."""
    if os.environ.get("BENCH_GENERATOR") == "python":
        return None, "BENCH_GENERATOR=python"
    try:
        return build(MODULE, ".", GOTOOLCHAIN="local", GOPROXY="off"), ""
    except Missing as error:
        return None, str(error)


def described() -> str:
    """Which generator runs, for the head of a table."""
    found, why = program()
    return "Go, one thread" if found else f"Python, one thread ({why})"


def run(job: Job) -> Result:
    """Run a job to its end. Raises: RuntimeError with what the generator said when it could not."""
    found, _ = program()
    return generator.run(job) if found is None else run_go(job, found)


def run_go(job: Job, found: Path) -> Result:
    """The same by the program `found`."""
    with tempfile.TemporaryDirectory(prefix="tlog-load-") as name:
        folder = Path(name)
        files = {
            one: str(folder / one) for one in ("templates", "latencies", "lateness", "samples")
        }
        Path(files["templates"]).write_bytes(
            b"".join(struct.pack("<I", len(text)) + text for text in job.templates)
        )
        words = {**asdict(job), **files, "address": f"127.0.0.1:{job.port}"}
        words |= {"first": NUMBERS.first, "first_client": NUMBERS.clients(job.clients)}
        (folder / "job.json").write_text(json.dumps(words))
        done = subprocess.run(
            [found, folder / "job.json"],
            capture_output=True,
            text=True,
            timeout=job.warm + job.seconds + job.grace + 60,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"the load generator: {done.stderr.strip()[-1000:]}")
        report = json.loads(done.stdout)
        NUMBERS.first = report.pop("next")
        report["statuses"] = {int(status): count for status, count in report["statuses"].items()}
        return Result(
            "go",
            job.weight,
            **report,
            latencies=_times(files["latencies"]),
            late=_times(files["lateness"]),
            samples=list(_samples(Path(files["samples"]).read_bytes())),
        )


def _times(path: str) -> array[int]:
    found = array("q")
    found.frombytes(Path(path).read_bytes())
    return found


def _samples(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place < len(data):
        parts = []
        for _ in range(2):
            (length,) = struct.unpack_from("<I", data, place)
            parts.append(data[place + 4 : place + 4 + length])
            place += 4 + length
        yield parts[0], parts[1]
