"""Tessera's hammer reads a log while it grows: random entries, full scans, and the consistency of every head that it sees."""

from __future__ import annotations

import hashlib
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path

from conformance.faulty_proxy import Fault, FaultyProxy
from conformance.peers.deployment import Deployment
from conformance.peers.faults import SIGNED_LIE
from conformance.peers.golang import TESSERA, build, go_missing
from conformance.peers.keys import sign
from conformance.peers.peer import TIMEOUT, Log, checkpoint_lines
from conformance.peers.table import Row

HAMMER = f"{TESSERA}/internal/hammer"
GROWTH = 3_000  # entries that are written while it reads
STEP = 300  # … in each batch
GOAL = "60s"  # how long it waits for them
BEGUN = "Will exit once tree size"  # what it says when it has seen its first head
INCONSISTENT = (
    "Last Good Checkpoint"  # what it dies with when a head does not continue the one before
)


def check(directory: Path) -> list[Row]:
    """One row."""
    row = Row(
        "tessera hammer",
        f"go run {HAMMER} --log_url=URL/ --log_public_key=VKEY --num_readers_full=2 --leaf_write_goal=N",
    )
    row.skipped = go_missing()
    if row.skipped:
        return [row]
    program = build(HAMMER)
    directory /= "hammer"
    directory.mkdir()
    with Deployment(directory) as deployment:
        deployment.open_stream()
        deployment.grow(4, 500)
        for log in list(deployment.logs())[1:]:
            fault = _read(program, log, log.url, GOAL, deployment)
            row.disagreements += [fault] if fault else []
            row.checked = (
                f"each head on the way to {deployment.stream} entries, random and full reads"
            )
            row.sizes["stream"] = [log.size, deployment.stream]
            with FaultyProxy(log.url, _lie(deployment)) as proxy:
                said = _read(program, log, proxy.url, GOAL, deployment)
            if INCONSISTENT in said and proxy.altered:
                row.faults.append(SIGNED_LIE)
            else:
                row.disagreements.append(f"follows a log that changes its history: {said}")
    return [row]


def _lie(deployment: Deployment) -> Fault:
    """From now on every new head is signed by the log, and is of another history."""
    size_now = deployment.stream

    def fault(path: str, body: bytes) -> bytes:
        if path != "checkpoint":
            return body
        origin, size, root = checkpoint_lines(body)
        if size <= size_now:
            return body
        return sign(deployment.skey(), origin, size, hashlib.sha256(root).digest())

    return fault


def _read(program: Path, log: Log, url: str, goal: str, deployment: Deployment) -> str:
    """Run it while `deployment` grows: "" or what it complained of."""
    options = [f"--log_url={url}", f"--log_public_key={log.vkey}", "--show_ui=false"]
    options += ["--num_readers_random=2", "--num_readers_full=2", "--max_read_ops=200"]
    options += [f"--leaf_write_goal={GROWTH - STEP}", f"--max_runtime={goal}"]
    process = subprocess.Popen(
        [str(program), *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    said: list[str] = []
    begun = threading.Event()

    def listen(lines: Iterable[str]) -> None:
        for line in lines:
            said.append(line)
            if BEGUN in line:
                begun.set()

    stderr = process.stderr
    if stderr is None:
        raise AssertionError("tlog: a process without its standard error")
    reader = threading.Thread(target=listen, args=(stderr,))
    reader.start()
    begun.wait(30)
    for _ in range(GROWTH // STEP):
        deployment.grow(deployment.root + 1, deployment.stream + STEP)
    status = process.wait(TIMEOUT)
    reader.join()
    # When the goal is reached it cancels what is under way, and complains of that.
    errors = [
        line.strip()
        for line in said
        if line.startswith(("E", "W", "F")) and "context canceled" not in line
    ]
    if status or errors:
        return f"exit status {status}; {errors[:3] or said[-3:]}"
    return ""
