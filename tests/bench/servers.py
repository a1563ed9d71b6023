"""The log under load: a real `tlog serve`, its key, and what is asked of it to know that it did the work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path

import requests

from tests.bench import machine
from tests.bench.job import Result, body_of
from tests.faults.process import CODE_HASH, START_SECONDS, Server, free_port, prepared_log
from tests.harness import STREAM
from tlog.client.receipts import check_submission
from tlog.core.checkpoint import open_checkpoint
from tlog.core.note import Verifier, parse_skey, parse_vkey
from tlog.core.receipt import verify_batch, verify_receipt
from tlog.core.strict_json import loads
from tlog.events.submission import parse_event

EVENTS = Path(__file__).parent / "events"
KINDS = ("lean", "full")
UNLIMITED = {"rate_requests": 1_000_000, "rate_events": 10_000_000, "token_lifetime": 86_400}
"""Settings: one API key and one token stand for everybody here. Nothing else differs from the defaults."""
BATCHES_IN_FULL = 3


def event(kind: str) -> bytes:
    """The fixed event `lean` or `full`, with the mark that makes it unique."""
    return (EVENTS / f"{kind}.json").read_bytes().strip()


@lru_cache(maxsize=1)
def has_workers() -> bool:
    """Whether `tlog serve` can run several processes."""
    words = [sys.executable, "-m", "tlog", "serve", "--help"]
    return "--workers" in subprocess.run(words, capture_output=True, text=True, check=True).stdout


class Ours(Server):
    """`tlog serve` of a log that is made with it, without limits of rate; `workers` 0 is the default of the program.

    Its process runs from `start` to `stop`; the log stays.
    """

    def __init__(self, folder: Path, workers: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.api_key = prepared_log(folder / "log")
        super().__init__(folder / "log", free_port(), **UNLIMITED)
        self._workers = workers
        self.verifier = parse_vkey(vkey(folder / "log"))
        self.token = ""

    def start(self) -> float:
        """Start, wait until it answers, and get a fresh token; seconds until it answered.

        Raises: RuntimeError with what it printed.
        """
        words = [sys.executable, "-m", "tlog", "serve", str(self.directory)]
        words += ["--listen", f"127.0.0.1:{self.port}"]
        words += ["--workers", str(self._workers)] if self._workers else []
        began = time.monotonic()
        with (self.folder / "server.log").open("ab") as output:
            self.process = subprocess.Popen(
                words, stdout=output, stderr=output, env={**os.environ, **self._settings}
            )
        while not self._well():
            if self.process.poll() is not None or time.monotonic() - began > START_SECONDS:
                raise RuntimeError(f"the server did not start: {self.log()[-2000:]}")
            time.sleep(0.01)
        took = time.monotonic() - began
        self.token = attest(self, self.api_key)
        return took

    def _well(self) -> bool:
        try:
            return requests.get(f"{self.url}/api/v1/health", timeout=30).status_code == 200
        except requests.ConnectionError:
            return False

    @property
    def pid(self) -> int:
        """Of the process that was started. Raises: AssertionError when there is none."""
        if self.process is None:
            raise AssertionError("tlog: a server that was not started")
        return self.process.pid

    def size(self, stream_id: str = STREAM) -> int:
        """Entries in a stream, 0 before it is there, under a head that the log signed."""
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"{self.url}/api/v1/sth?stream_id={stream_id}"
        answer = requests.get(url, headers=headers, timeout=60)
        if answer.status_code == 404:
            return 0
        shown = answer.json()
        head, _ = open_checkpoint(
            shown["checkpoint"].encode(),
            [Verifier(shown["origin"], self.verifier.public_key)],
            shown["origin"],
        )
        if head.size != shown["tree_size"]:
            raise AssertionError("tlog: a head of another size than its note")
        return head.size

    def cpu_seconds(self) -> float:
        """Seconds of CPU time of all its processes."""
        return machine.cpu_seconds(self.pid)

    def rss_anon(self) -> int:
        """Bytes of anonymous memory of all its processes."""
        return machine.rss_anon(self.pid)


def vkey(directory: Path) -> str:
    """The vkey of the log in `directory`."""
    return parse_skey((directory / "log.key").read_text().strip()).vkey


def attest(server: Server, key: str) -> str:
    """A bearer token of the agent `scorer`."""
    asked = {"tenant_id": "acme", "agent_id": "scorer", "agent_code_hash": CODE_HASH}
    headers = {"Authorization": f"Bearer {key}"}
    answer = requests.post(f"{server.url}/api/v1/attest", json=asked, headers=headers, timeout=30)
    token: str = answer.json()["token"]
    return token


def check_receipts(result: Result, log: Verifier) -> int:
    """Verify every sampled receipt: proven under the log's key, and of the very event that was sent; how many.

    Raises: VerificationError, or RuntimeError when two requests got the same event.
    """
    seen = set()
    for request, answer in result.samples:
        receipt = json.loads(answer)
        verified = verify_receipt(receipt, log)
        check_submission(receipt, parse_event(loads(body_of(request))), entry=verified.entry)
        seen.add(receipt["event_id"])
    return _distinct(seen, len(result.samples))


def check_batches(result: Result, log: Verifier) -> int:
    """The same for batches; the first few are compared with what was sent event by event."""
    seen = set()
    for number, (request, answer) in enumerate(result.samples):
        batch = json.loads(answer)
        verified = verify_batch(batch, log)
        if len(verified) != result.weight:
            raise RuntimeError(f"{len(verified)} receipts for {result.weight} events")
        seen |= {receipt["event_id"] for receipt in batch["receipts"]}
        if number < BATCHES_IN_FULL:
            sent = loads(body_of(request))
            for receipt, one, value in zip(batch["receipts"], verified, sent, strict=True):
                check_submission(receipt, parse_event(value), entry=one.entry)
    return _distinct(seen, len(result.samples) * result.weight)


def _distinct(seen: set[str], wanted: int) -> int:
    if len(seen) != wanted:
        raise RuntimeError(f"{wanted} events were acknowledged as {len(seen)}")
    return wanted


def check_growth(before: int, after: int, events: int) -> None:
    """Raises: RuntimeError when a log did not grow by what it acknowledged."""
    if after - before < events:
        raise RuntimeError(f"{events} events acknowledged, and the log grew by {after - before}")
