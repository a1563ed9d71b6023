"""A log to be witnessed, made in memory and forked where a test wants it; a witness in a directory; a server in a process."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.witness.zygote import Zygote
from tlog.core.add_checkpoint import AddCheckpoint, encode_request
from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import Hash, leaf_hash, node_hash
from tlog.core.merkle import Node, root_hash
from tlog.core.note import Signer, parse_vkey, sign_note
from tlog.core.proofs import consistency_proof
from witness.clock import Clock
from witness.logbook import add_logs, entry
from witness.rows import origin_key
from witness.setup import beside, init_witness
from witness.state import Known
from witness.witness import Witness

ORIGIN = "log.example.com"
NAME = "witness.example.org/w1"
NOW = 1_795_000_000
START_SECONDS = 30.0


class WitnessedLog:
    """A log of `size` leaves under one key. Leaves from `forked_at` on differ from those of the other logs."""

    def __init__(
        self,
        size: int = 16,
        *,
        origin: str = ORIGIN,
        forked_at: int | None = None,
        seed: int = 1,
        leaves: Sequence[Hash] | None = None,
    ) -> None:
        self.origin = origin
        self.signer = Signer(origin, bytes([seed]) * 32)
        self.vkey = self.signer.vkey
        self._leaves = list(leaves or ()) or [
            leaf_hash(b"%d %d" % (forked_at is not None and number >= forked_at, number))
            for number in range(size)
        ]
        self._nodes: dict[Node, Hash] = {}

    @property
    def known(self) -> Known:
        """As `decide` wants it."""
        return Known(self.origin, (parse_vkey(self.vkey),))

    def root(self, size: int) -> Hash:
        """The root hash of the first `size` leaves."""
        return root_hash(size, self)

    def note(self, size: int, *others: Signer) -> bytes:
        """The signed head of the first `size` leaves."""
        return sign_note(
            Checkpoint(self.origin, size, self.root(size)).body(), [self.signer, *others]
        )

    def sign(self, text: bytes) -> bytes:
        """Any text as a note of this log."""
        return sign_note(text, [self.signer])

    def read_nodes(self, nodes: Sequence[Node]) -> list[Hash]:
        """`NodeReader`."""
        return [self._node(level, index) for level, index in nodes]

    def _node(self, level: int, index: int) -> Hash:
        if level == 0:
            return self._leaves[index]
        if (level, index) not in self._nodes:
            children = (self._node(level - 1, 2 * index), self._node(level - 1, 2 * index + 1))
            self._nodes[level, index] = node_hash(*children)
        return self._nodes[level, index]

    def proof(self, old: int, new: int) -> tuple[Hash, ...]:
        """The consistency proof; empty where there is none."""
        return tuple(consistency_proof(old, new, self)) if old <= new else ()

    def request(self, old: int, new: int) -> AddCheckpoint:
        """An honest request."""
        return AddCheckpoint(old, self.proof(old, new), self.note(new))

    def body(self, old: int, new: int) -> bytes:
        """The same as it goes over the wire."""
        return encode_request(old, self.proof(old, new), self.note(new))


class Times:
    """A wall clock and a time since boot that move only when told to."""

    def __init__(self, now: float = NOW) -> None:
        self.wall = now
        self.steady = 1000.0

    def pass_(self, seconds: float) -> None:
        """Time passes, for both."""
        self.wall += seconds
        self.steady += seconds

    def clock(self, tolerance: float = 60.0) -> Clock:
        """The witness's clock over it."""
        return Clock(tolerance, lambda: self.wall, lambda: self.steady)


def new_witness(directory: Path, *logs: WitnessedLog, url: str = "") -> Path:
    """Make a witness that knows `logs`."""
    init_witness(directory, NAME, NOW - 1000)
    configure(directory, *logs, url=url)
    return directory


def configure(directory: Path, *logs: WitnessedLog, url: str = "") -> None:
    """Make the witness know `logs`, as the command does."""
    with beside(directory) as store:
        add_logs(store, [entry(log.vkey, origin=log.origin, url=url) for log in logs], NOW)


def opened(directory: Path, times: Times | None = None) -> Witness:
    """Open it to sign, by a clock that the test holds."""
    return Witness(directory, (times or Times()).clock())


class Reply(NamedTuple):
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def type(self) -> str:
        """The Content-Type as it stands there."""
        return self.headers["Content-Type"]


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Server:
    """`witness serve` in a process of its own, started anew or, for tests that do so often, by a zygote."""

    def __init__(self, directory: Path, zygote: Zygote | None = None, **settings: object) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings = {f"WITNESS_{name.upper()}": str(value) for name, value in settings.items()}
        self._file = directory.parent / f"{directory.name}.log"
        self._zygote = zygote
        self._ended: int | None = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def start(self) -> None:
        """Start and wait until it cosigns. Raises: RuntimeError with its output."""
        self._ended = None
        if self._zygote:
            self.pid = self._zygote.spawn(self.directory, self.port, self._file)
        else:
            self.process = self._popen()
            self.pid = self.process.pid
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and (not self.process or self.process.poll() is None):
            try:
                if self.get("/health").status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.01)
        raise RuntimeError(f"the witness did not start: {self.log()[-2000:]}")

    def _popen(self) -> subprocess.Popen[bytes]:
        listen = ["--listen", f"127.0.0.1:{self.port}"]
        with self._file.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "witness", "serve", str(self.directory), *listen],
                stdout=output,
                stderr=output,
                env={**os.environ, **self._settings},
            )

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal it and wait for its end; the exit code."""
        if self._ended is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            self._ended = self._zygote.wait() if self._zygote else self.wait()
        return self._ended

    def wait(self) -> int:
        """Wait for the end of a process that was started anew; the exit code."""
        assert self.process is not None
        return self.process.wait(START_SECONDS)

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)

    def log(self) -> str:
        """All that it printed."""
        return self._file.read_text(errors="replace")

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Reply:
        """GET."""
        return self.call("GET", path)

    def add(self, body: bytes) -> Reply:
        """POST /add-checkpoint."""
        return self.call("POST", "/add-checkpoint", body)

    def published(self, origin: str = ORIGIN) -> Reply:
        """The newest cosigned checkpoint."""
        return self.get(f"/{origin_key(origin).hex()}/checkpoint")
