"""The black-box suites of `conformance/http` at our own servers, and at a witness that somebody else wrote."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from conformance.faulty_proxy import FAULTS, FaultyProxy
from conformance.peers.deployment import Deployment, command, free_port, start, stop
from conformance.peers.golang import run
from conformance.peers.peer import REPOSITORY, TIMEOUT
from conformance.peers.python import aics_missing, aics_program
from conformance.peers.table import Row

HTTP = "conformance/http"
WITNESS = f"{HTTP}/test_witness.py"
VECTORS = REPOSITORY / "conformance" / "vectors"
LOGS = VECTORS / "exchanges" / "logs.txt"
NAME = "witness.example.org/w1"

_passed = re.compile(r"\b([0-9]+) passed").search


def pytest(path: str, *options: str, **environment: str) -> tuple[str, str]:
    """Run a suite: how many checks passed, and "" or the end of what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", path, *options],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    match = _passed(done.stdout)
    fault = "" if done.returncode == 0 and match else done.stdout[-1500:] + done.stderr[-300:]
    return (match[1] if match else "0"), fault


def check(directory: Path) -> list[Row]:
    """All suites; `directory` is for their servers."""
    parts = {"api": api, "witness": our_witness, "aics": their_witness}
    return [timed(part, directory / name) for name, part in parts.items()]


def timed(part: Callable[[Path], Row], directory: Path) -> Row:
    """One part, in a directory that it makes; said at once, for a person who waits."""
    began = time.monotonic()
    row = part(directory)
    print(
        f"  {row.peer}: {row.result} ({time.monotonic() - began:.1f} s)",
        file=sys.stderr,
        flush=True,
    )
    return row


def api(directory: Path) -> Row:
    """The API contract and the tile surface at our server."""
    row = Row("HTTP suite", f"BASE_URL=… API_KEY=… pytest {HTTP}")
    directory.mkdir()
    with Deployment(directory) as log:
        keys = {
            "API_KEY": log.key,
            "RIVAL_KEY": command("tenant", "create", directory / "log", "rival"),
        }
        count, fault = pytest(HTTP, "--ignore", WITNESS, **keys, BASE_URL=log.url)
        row.checked = f"tlog serve: {count} checks of API, tiles, proofs"
        row.disagreements += [fault] if fault else []
        with FaultyProxy(log.url, FAULTS["tile-byte-flipped"]) as proxy:
            some = f"{HTTP}/test_trees.py"
            if pytest(some, "-k", "root_log", **keys, BASE_URL=proxy.url)[1] and proxy.altered:
                row.faults.append("tile-byte-flipped")
            else:
                row.disagreements.append("does not notice tile-byte-flipped")
    return row


@contextmanager
def witness_of_ours(directory: Path) -> Iterator[tuple[str, str]]:
    """A fresh witness that knows the logs of the exchanges: URL and vkeys."""
    directory.mkdir()
    vkeys = command("init", directory / "w", "--name", NAME, program="witness")
    command("add-log", directory / "w", "--list", LOGS, program="witness")
    port = free_port()
    program = ["witness", "serve", str(directory / "w"), "--listen", f"127.0.0.1:{port}"]
    process = start(program, directory / "witness.log", port)
    try:
        yield f"http://127.0.0.1:{port}", vkeys
    finally:
        stop(process)


def our_witness(directory: Path) -> Row:
    """The add-checkpoint matrix at our witness."""
    row = Row("add-checkpoint suite", f"WITNESS_URL=… pytest {WITNESS}")
    with witness_of_ours(directory) as (url, vkeys):
        _matrix(row, "witness serve", url, vkeys)
    return row


def _matrix(row: Row, whose: str, url: str, vkeys: str) -> None:
    """A wrong key first, at one exchange that is left out later: the suite must notice whose line it is."""
    other = json.loads((VECTORS / "index.json").read_bytes())["keys"]["witnesses"][1]
    if pytest(WITNESS, "-k", "forked", WITNESS_URL=url, WITNESS_VKEY=other)[1]:
        row.faults.append("another key than the witness's")
    else:
        row.disagreements.append("does not notice another key than the witness's")
    count, fault = pytest(WITNESS, "-k", "not forked", WITNESS_URL=url, WITNESS_VKEY=vkeys)
    row.checked = f"{whose}: {count} exchanges and checks"
    row.disagreements += [fault] if fault else []


def their_witness(directory: Path) -> Row:
    """The same matrix at `aics-witness`: do two implementations read the specification alike?"""
    row = Row("aics-witness, suite", f"aics-witness serve; WITNESS_URL=… pytest {WITNESS}")
    row.skipped = aics_missing()
    if row.skipped:
        return row
    directory.mkdir()
    logs = [
        line.split(" ")[1] for line in LOGS.read_text().splitlines() if line.startswith("vkey ")
    ]
    with witness_of_theirs(directory, {vkey.partition("+")[0]: vkey for vkey in logs}) as (
        url,
        vkey,
    ):
        _matrix(row, "aics-witness", url, vkey)
    return row


@contextmanager
def witness_of_theirs(directory: Path, logs: dict[str, str]) -> Iterator[tuple[str, str]]:
    """`aics-witness` with these logs, origin to vkey: its URL and its vkey."""
    program, config = aics_program("aics-witness"), str(directory / "witness.json")
    port = free_port()
    made = run(
        [program, "init", "--config", config, "--name", NAME, "--listen", f"127.0.0.1:{port}"]
    )
    vkey = next((word for word in made.stdout.split() if word.startswith(NAME + "+")), "")
    if made.returncode or not vkey:
        raise RuntimeError(f"aics-witness init: {made.stdout}{made.stderr}")
    for origin, key in logs.items():
        done = run([program, "add-log", "--config", config, "--origin", origin, "--vkey", key])
        if done.returncode:
            raise RuntimeError(f"aics-witness add-log: {done.stdout}{done.stderr}")
    process = start([str(program), "serve", "--config", config], directory / "aics.log", port)
    try:
        yield f"http://127.0.0.1:{port}", vkey
    finally:
        stop(process)
