"""A log that is served by several processes, its processes by role, and a client that opens a connection for each request."""

from __future__ import annotations

import atexit
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.process import processes
from tests.harness import new_log
from tlog.accounts import Accounts
from tlog.core.note import Verifier, parse_vkey

CODE_HASH = "sha256:" + "5" * 64
EVENT: dict[str, Any] = {
    "event_class": "EXECUTION",
    "event_type": "credit.decision.made",
    "payload": {"applicant_id": "app-991", "decision": "APPROVED", "score": 740},
}
STREAM = "acme:prod:scorer"
PATIENCE = 30.0


class Answer(NamedTuple):
    """A complete answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def kind(self) -> str:
        """The kind of a problem."""
        return str(self.json()["type"]).removeprefix("urn:tlog:problem:")


class Keys(NamedTuple):
    """API keys."""

    key: str
    key_id: str
    rival: str


def make_log(directory: Path) -> Keys:
    """A log with the tenants acme and rival."""
    new_log(directory)
    accounts = Accounts.open(directory / "accounts")
    try:
        accounts.create_tenant("acme")
        accounts.create_tenant("rival")
        key, kept = accounts.create_key("acme", "prod", ("ingest", "read", "stream:create"))
        return Keys(key, kept.key_id, accounts.create_key("rival")[0])
    finally:
        accounts.close()


class Run:
    """A running `tlog serve`, with `workers` in several processes."""

    def __init__(self, directory: Path, workers: int | None = 2, **settings: object) -> None:
        self.directory = directory
        self._log = directory.parent / f"{directory.name}-{time.monotonic_ns()}.log"
        settings = {"publish_interval": 0.1, **settings}
        more = [] if workers is None else ["--workers", str(workers)]
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tlog",
                    "serve",
                    directory,
                    "--listen",
                    "127.0.0.1:0",
                    *more,
                ],
                stdout=output,
                stderr=output,
                env=_environment(settings),
            )

    def wait_until_ready(self) -> Run:
        """Until all accept connections. Raises: AssertionError with what it said, if it ends."""
        began = time.monotonic()
        while "vkey " not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() - began < 60, self.said()
            time.sleep(0.02)
        found = re.search(r"serving \S+ on http://(\S+)\nvkey (\S+)", self.said())
        assert found
        self.netloc, self.vkey = found[1], found[2]
        self.url = "http://" + self.netloc
        return self

    @property
    def verifier(self) -> Verifier:
        return parse_vkey(self.vkey)

    def said(self) -> str:
        """All that its processes printed."""
        return self._log.read_text(errors="replace")

    def processes(self, role: str) -> list[int]:
        """Process ids by role: `sequencer`, `front`."""
        return processes(self.process.pid, role)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal the supervisor and wait for its end; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)

    # ---- requests, each on a connection of its own -------------------------------------------------

    def call(
        self,
        method: str,
        path: str,
        token: str | None = None,
        value: object = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own; `value` is sent as JSON, bytes as they are."""
        connection = http.client.HTTPConnection(self.netloc, timeout=60)
        fields = dict(headers or {})
        if token is not None:
            fields["Authorization"] = f"Bearer {token}"
        body = None
        if value is not None:
            body = value if isinstance(value, bytes) else json.dumps(value).encode()
            fields.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, fields)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def attest(self, key: str, tenant: str = "acme", agent: str = "scorer", **more: object) -> str:
        """A token."""
        asked = {"tenant_id": tenant, "agent_id": agent, "agent_code_hash": CODE_HASH, **more}
        answer = self.call("POST", "/api/v1/attest", key, asked)
        assert answer.status == 200, answer
        return str(answer.json()["token"])

    def post(self, token: str, event: object = EVENT, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("POST", "/api/v1/events", token, event, named)

    def batch(self, token: str, events: object, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("POST", "/api/v1/events/batch", token, events, named)


# Compiled once for all runs: most of what a process does here is to start.
_COMPILED = tempfile.mkdtemp(prefix="tlog-compiled-")
atexit.register(shutil.rmtree, _COMPILED, ignore_errors=True)


def _environment(settings: Mapping[str, object]) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    ours = {f"TLOG_{name.upper()}": str(value) for name, value in settings.items()}
    return {**kept, **ours, "PYTHONPYCACHEPREFIX": _COMPILED}


@contextmanager
def serve(directory: Path, workers: int | None = 2, **settings: object) -> Iterator[Run]:
    """A ready run; killed at the end if it is still there."""
    run = Run(directory, workers, **settings)
    try:
        yield run.wait_until_ready()
    finally:
        run.stop()


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(check: Callable[[], bool], why: str) -> None:
    """Wait until something is so."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() - began < PATIENCE, why
        time.sleep(0.02)
