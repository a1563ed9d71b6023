"""A real log in a process of its own: `tlog init`, `tlog tenant create`, `tlog serve`, and kill -9."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.paths import REPOSITORY
from tlog.client import AuditClient

CODE_HASH = "sha256:" + "5" * 64
TENANT = "acme"


def tlog(*arguments: str | Path) -> str:
    """Run a command of the command line; what it printed."""
    command = [sys.executable, "-m", "tlog", *map(str, arguments)]
    return subprocess.run(
        command, cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout


class LogProcess:
    """One log in `directory` on a port of its own; `start`, `kill` and `stop` as often as a test wants."""

    def __init__(self, directory: Path, **settings: object) -> None:
        """`settings` are those of tlog.toml."""
        self.directory = directory
        self.vkey = tlog("init", directory, "--origin", "log.example.com").strip()
        self.api_key = tlog("tenant", "create", directory, TENANT).split()[0]
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environ = {f"TLOG_{name.upper()}": str(value) for name, value in settings.items()}
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the server; returns when it serves."""
        command = [sys.executable, "-m", "tlog", "serve", str(self.directory)]
        process = subprocess.Popen(
            [*command, "--listen", f"127.0.0.1:{self.port}"],
            cwd=REPOSITORY,
            env={**os.environ, **self._environ},
            stdout=subprocess.PIPE,
            text=True,
        )
        self._process = process
        if process.stdout is None or "serving" not in process.stdout.readline():
            raise RuntimeError(f"the server did not start: {process.wait()}")

    def kill(self) -> None:
        """SIGKILL, with no time to say or write anything."""
        self._end(9)

    def stop(self) -> None:
        """SIGTERM."""
        self._end(15)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(30)
            if process.stdout is not None:
                process.stdout.close()

    def client(self, state: Path, **options: Any) -> AuditClient:
        """A client whose key is configured, unless `options` say otherwise."""
        options = {
            "base_url": self.url,
            "tenant_id": TENANT,
            "agent_id": "scorer",
            "agent_code_hash": CODE_HASH,
            "api_key": self.api_key,
            "vkey": self.vkey,
            "state_dir": state,
            **options,
        }
        return AuditClient(**options)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(true: Any, seconds: float = 10.0) -> None:
    """Wait until `true()` is."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError("it never came true")
        time.sleep(0.01)
