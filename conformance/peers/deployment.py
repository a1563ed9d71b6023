"""A real log in a process of its own, grown to exact sizes by real events over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conformance.peers.keys import vkey_under
from conformance.peers.peer import Log, checkpoint_lines, get

ORIGIN = "log.example.com"
PUBLIC = "acme:prod:register"
BATCH = 10_000  # events in one request: what the API allows
START_SECONDS = 60.0
PUBLISH_SECONDS = 30.0


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def command(*arguments: object, program: str = "tlog") -> str:
    """Run `tlog …`, or another of our programs, to its end; what it printed. Raises: RuntimeError with what it said."""
    done = subprocess.run(
        [sys.executable, "-m", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{program} {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def start(
    program: list[str], output: Path, port: int, **environment: str
) -> subprocess.Popen[bytes]:
    """Start a server, a module of ours or the path of a program, and wait until it listens.

    Raises: RuntimeError with what it said.
    """
    words = program if Path(program[0]).is_absolute() else [sys.executable, "-m", *program]
    with output.open("ab") as file:
        process = subprocess.Popen(
            words,
            stdout=file,
            stderr=file,
            env={**os.environ, **environment},
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process
        except OSError:
            time.sleep(0.05)
    process.kill()
    process.wait()
    raise RuntimeError(
        f"{' '.join(program)} did not start: {output.read_text(errors='replace')[-2000:]}"
    )


def stop(process: subprocess.Popen[bytes] | None) -> None:
    """End a server that `start` started."""
    if process is not None and process.poll() is None:
        process.terminate()
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Deployment:
    """A log with one public stream. `root` and `stream` count the leaves that `/checkpoint` must show."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.vkey = command("init", directory / "log", "--origin", ORIGIN)
        command("tenant", "create", directory / "log", "acme")
        scopes = ("--scope", "ingest", "--scope", "read", "--scope", "stream:create")
        self.key = command("key", "create", directory / "log", "acme", *scopes)
        self.root, self.stream = (
            2,
            0,
        )  # a new log has its empty head, and the head of its own stream
        self._settings = {"TLOG_PUBLISH_INTERVAL": "0.1", **settings}
        self._token = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._seen: dict[str, bytes] = {}

    def __enter__(self) -> Deployment:
        listen = f"127.0.0.1:{self.port}"
        program = ["tlog", "serve", str(self.directory / "log"), "--listen", listen]
        self._process = start(program, self.directory / "server.log", self.port, **self._settings)
        return self

    def __exit__(self, *_: object) -> None:
        stop(self._process)

    def skey(self) -> str:
        """The log's private key: what a lying operator would sign with."""
        return (self.directory / "log" / "log.key").read_text(encoding="ascii").strip()

    def open_stream(self) -> None:
        """Open the public stream: its genesis entry, and its head in the root log."""
        command("stream", "create", self.directory / "log", PUBLIC, "--public")
        self.root, self.stream = self.root + 1, 1

    def grow(self, root: int, stream: int) -> None:
        """Write events until the root log and the public stream have exactly so many leaves.

        A commit adds one root leaf for each stream that it touches, so every batch writes some events to the public stream, and
        one to each of as many others as the root log is short of.
        """
        leaves, events = root - self.root, stream - self.stream
        batches = max(1, -(-(leaves + events) // (BATCH + 1)))
        for mine, others in zip(
            _shares(events, batches), _shares(leaves - batches, batches), strict=True
        ):
            self._post(_batch(mine, others))
        self.root, self.stream = root, stream

    def _post(self, body: bytes) -> None:
        if not self._token:
            # Without its own stream named, an agent gets one, and the root log a leaf more.
            agent = {
                "tenant_id": "acme",
                "agent_id": "peers",
                "agent_code_hash": "5" * 64,
                "stream_id": PUBLIC,
            }
            answer = self._call("/api/v1/attest", json.dumps(agent).encode(), self.key)
            self._token = json.loads(answer)["token"]
        self._call("/api/v1/events/batch", body, self._token, "application/x-ndjson")

    def _call(self, path: str, body: bytes, token: str, kind: str = "application/json") -> bytes:
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": kind,
            "Prefer": "return=minimal",
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status not in (200, 201):
            raise RuntimeError(f"POST {path}: {answer.status} {data[:500]!r}")
        return data

    def logs(self) -> Iterator[Log]:
        """The root log and the public stream, as soon as they are published at the sizes they must have.

        Raises: RuntimeError when another size is served than was written.
        """
        yield self._log("root", self.url, ORIGIN, self.root)
        if self.stream:
            label = PUBLIC.replace(":", "/")
            prefix = f"{self.url}streams/{label}/"
            yield self._log("stream", prefix, f"{ORIGIN}/streams/{label}", self.stream)

    def _log(self, name: str, url: str, origin: str, size: int) -> Log:
        deadline = time.monotonic() + PUBLISH_SECONDS
        while True:
            status, note = get(url + "checkpoint")
            served = checkpoint_lines(note)[1] if status == 200 else 0
            if served == size:
                break
            if served > size or time.monotonic() > deadline:
                raise RuntimeError(
                    f"{url}checkpoint is of size {served} (status {status}), not {size}"
                )
            time.sleep(0.05)
        older, self._seen[name] = self._seen.get(name, b""), note
        if older and checkpoint_lines(older)[1] == size:
            older = b""
        vkey = vkey_under(self.vkey, origin)
        return Log(name, url, origin, vkey, size, note, older, self.directory)


def _shares(total: int, parts: int) -> list[int]:
    """`total` in `parts` shares that differ by one at most."""
    return [total // parts + (number < total % parts) for number in range(parts)]


def _batch(mine: int, others: int) -> bytes:
    """NDJSON: so many events for the public stream, and one for each of so many others."""
    if mine < 1:
        raise AssertionError("tlog: every batch is to touch the public stream")
    names = [PUBLIC] * mine + [f"acme:prod:s{number}" for number in range(others)]
    return b"\n".join(_event(name, number) for number, name in enumerate(names))


def _event(stream: str, number: int) -> bytes:
    event: dict[str, Any] = {
        "stream_id": stream,
        "event_class": "EXECUTION",
        "event_type": "credit.decision.made",
        "payload": {"n": number},
    }
    return json.dumps(event).encode()
