"""torchwood's `litewitness` cosigns our log: an older reading of the specification, whose key lives in an ssh-agent."""

from __future__ import annotations

import base64
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conformance.peers.deployment import ORIGIN, Deployment, free_port, start, stop
from conformance.peers.golang import build, go_missing
from conformance.peers.keys import COSIGNER_KEY, cosigned, new_key, vkey_of
from conformance.peers.peer import checkpoint_lines, get
from conformance.peers.table import Row

PROGRAM = "filippo.io/torchwood/cmd/litewitness"
NAME = "witness.example.org/lite"
WAIT_SECONDS = 30.0
EMPTY_ROOT = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
TOOLS = ("ssh-agent", "ssh-add", "ssh-keygen")


def check(directory: Path) -> list[Row]:
    """One row."""
    command = f"go run {PROGRAM} -db w.db -name W -key SHA256:… -ssh-agent SOCK, named in our witness_policy"
    row = Row("litewitness", command)
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    row.skipped = f"no {', '.join(absent)}" if absent else go_missing()
    if row.skipped:
        return [row]
    program, directory = build(PROGRAM), directory / "lite"
    directory.mkdir()
    deployment = Deployment(directory, TLOG_WITNESS_POLICY="witnesses.policy")
    with litewitness(program, directory, deployment.vkey) as (url, vkey):
        policy = f"log {deployment.vkey}\nwitness w1 {vkey} {url}\nquorum w1\n"
        (directory / "log" / "witnesses.policy").write_text(policy, encoding="ascii")
        with deployment as log:
            log.open_stream()
            for root, stream in ((4, 2), (60, 300), (61, 301)):
                log.grow(root, stream)
                note = _newest(log, vkey)
                if not cosigned(note, vkey):
                    row.disagreements.append(f"root of {root} is not cosigned: {note!r}")
                row.sizes.setdefault("root", []).append(root)
            row.checked = "every published root cosigned, by consistency proofs from our tiles"
            if not cosigned(note, new_key(NAME, COSIGNER_KEY)[1]):
                row.faults.append("another key than the witness's")
    return [row]


def _newest(log: Deployment, vkey: str) -> bytes:
    """The root of the size that was written, as soon as it is cosigned, or as it is after `WAIT_SECONDS`."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        _, note = get(log.url + "checkpoint")
        done = checkpoint_lines(note)[1] == log.root and cosigned(note, vkey)
        if done or time.monotonic() > deadline:
            return note
        time.sleep(0.1)


@contextmanager
def litewitness(program: Path, directory: Path, log: str) -> Iterator[tuple[str, str]]:
    """A witness that knows our log: its URL and vkey."""
    key, socket, database = directory / "key", directory / "agent", directory / "w.db"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    shown = subprocess.run(
        ["ssh-keygen", "-lf", f"{key}.pub"], check=True, capture_output=True, text=True
    )
    public = base64.b64decode(Path(f"{key}.pub").read_text(encoding="ascii").split()[1])[-32:]
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    port, process = free_port(), None
    try:
        _await(socket)
        environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
        subprocess.run(["ssh-add", "-q", str(key)], check=True, env=environment)
        arguments = ["-db", str(database), "-name", NAME, "-key", shown.stdout.split()[1]]
        arguments += ["-ssh-agent", str(socket), "-listen", f"127.0.0.1:{port}"]
        process = start([str(program), *arguments], directory / "lite.log", port)
        with sqlite3.connect(database) as rows:  # what its own `witnessctl add-log, add-key` do
            rows.execute("INSERT INTO log VALUES (?, 0, ?)", (ORIGIN, EMPTY_ROOT))
            rows.execute("INSERT INTO key VALUES (?, ?)", (ORIGIN, log))
        rows.close()
        yield f"http://127.0.0.1:{port}", vkey_of(NAME, COSIGNER_KEY, public)
    finally:
        stop(process)
        agent.terminate()
        agent.wait()


def _await(socket: Path) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not socket.exists():
        if time.monotonic() > deadline:
            raise RuntimeError("the ssh-agent did not start")
        time.sleep(0.02)
