"""A real server process that tests may kill, and a client that keeps what it was promised."""

from __future__ import annotations

import asyncio
import base64
import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.harness import new_log
from tlog.accounts import Accounts

CODE_HASH = "5" * 64
START_SECONDS = 60.0


def processes(parent: int, role: str) -> list[int]:
    """The children of a process that were started in a role, by process id."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            status = (path / "stat").read_text().rpartition(")")[2].split()
            words = (path / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if int(status[1]) == parent and status[0] != "Z" and role.encode() in words:
            found.append(int(path.name))
    return sorted(found)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Server:
    """`tlog serve` in a process of its own; with `workers` in several."""

    def __init__(
        self, directory: Path, port: int, workers: int | None = None, **settings: object
    ) -> None:
        self.directory = directory
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._workers = [] if workers is None else ["--workers", str(workers)]
        self._settings = {f"TLOG_{name.upper()}": str(value) for name, value in settings.items()}
        self._output = (directory.parent / "server.log").open("ab")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start and wait until it listens; seconds that took. Raises: RuntimeError with its output."""
        began = time.monotonic()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tlog",
                "serve",
                self.directory,
                "--listen",
                f"127.0.0.1:{self.port}",
                *self._workers,
            ],
            stdout=self._output,
            stderr=self._output,
            env={**os.environ, **self._settings},
        )
        while time.monotonic() - began < START_SECONDS:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server did not start: {self.log()[-2000:]}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return time.monotonic() - began
        raise RuntimeError("the server did not listen in time")

    @property
    def running(self) -> bool:
        """Whether the process that was started has not ended."""
        return self.process is not None and self.process.poll() is None

    def members(self, role: str) -> list[int]:
        """Process ids of those in a role: `sequencer`, `front`."""
        assert self.process is not None
        return processes(self.process.pid, role)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal it and wait for its end; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; the exit code."""
        assert self.process is not None
        return self.process.wait(START_SECONDS)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)
        self._output.close()

    def log(self) -> str:
        """All that it printed."""
        return (self.directory.parent / "server.log").read_text(errors="replace")


def prepared_log(directory: Path) -> str:
    """A new log with a tenant; its API key."""
    new_log(directory)
    accounts = Accounts.open(directory / "accounts")
    try:
        accounts.create_tenant("acme")
        key, _ = accounts.create_key("acme", "prod", ("ingest", "read"))
    finally:
        accounts.close()
    return key


@dataclass(frozen=True)
class Promise:
    """What the log acknowledged: these bytes at this place, under this signed root."""

    producer: str
    sequence: int
    index: int
    entry: bytes
    note: bytes


class Submitter:
    """One producer that sends 1, 2, 3 … and repeats a sequence until it is acknowledged."""

    def __init__(self, url: str, key: str, name: str, promises: list[Promise]) -> None:
        self._url = url
        self._key = key
        self._producer = f"scorer/{name}"
        self._promises = promises
        self._token = ""
        self.sequence = 1
        self.repeated = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop`, and then until the last one sent is acknowledged."""
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while not stop.is_set():
                while not await self._send(session):
                    self.repeated += 1
                    await asyncio.sleep(random.uniform(0.01, 0.1))
                self.sequence += 1

    async def _send(self, session: aiohttp.ClientSession) -> bool:
        event = {
            "event_class": "EXECUTION",
            "event_type": "t",
            "payload": {"who": self._producer, "n": self.sequence},
            "subject_id": f"person-{self.sequence % 7}",
            "producer": {"id": self._producer, "sequence": self.sequence},
        }
        try:
            if not self._token:
                await self._attest(session)
            headers = {"Authorization": f"Bearer {self._token}"}
            async with session.post(
                f"{self._url}/api/v1/events", json=event, headers=headers
            ) as answer:
                body = await answer.json(content_type=None)
        except (aiohttp.ClientError, asyncio.TimeoutError, ValueError):
            return False
        if answer.status == 401:
            self._token = ""
        if answer.status in (401, 429, 500, 503):
            return False
        assert answer.status in (200, 201), body
        self._promises.append(_promise(self._producer, self.sequence, body))
        return True

    async def _attest(self, session: aiohttp.ClientSession) -> None:
        asked = {"tenant_id": "acme", "agent_id": "scorer", "agent_code_hash": CODE_HASH}
        headers = {"Authorization": f"Bearer {self._key}"}
        async with session.post(
            f"{self._url}/api/v1/attest", json=asked, headers=headers
        ) as answer:
            body = await answer.json(content_type=None)
            if answer.status == 200:
                self._token = body["token"]


def _promise(producer: str, sequence: int, body: dict[str, Any]) -> Promise:
    return Promise(
        producer,
        sequence,
        body["sequence_counter"],
        base64.b64decode(body["entry"]),
        body["root"]["checkpoint"].encode(),
    )
