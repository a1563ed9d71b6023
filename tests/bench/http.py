"""The server under load: single events and batches over HTTP, closed loop, durable answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import requests
import uvloop

from tests.bench.generator import Result, Run, batches, post, unique
from tests.faults.process import CODE_HASH, Server, free_port, prepared_log
from tlog.core.note import parse_vkey
from tlog.core.receipt import verify_batch, verify_receipt
from tlog.store.environment import LogStore

EVENTS = Path(__file__).parent / "events"
KINDS = ("lean", "full")
HOST = "127.0.0.1"


def measure(folder: Path, seconds: float) -> dict[str, Any]:
    """All HTTP figures; `folder` is filled with a log."""
    folder.mkdir()
    key = prepared_log(folder / "log")
    store = LogStore.open(folder / "log" / "log", readonly=True)
    vkey = store.log_row().vkey
    store.close()
    figures: dict[str, Any] = {}
    with Server(folder / "log", free_port()) as server:
        server.start()
        token = attest(server, key)
        for kind in KINDS:
            for clients in (64, 256):
                result = singles(server, token, kind, clients, seconds)
                _report(figures, f"single {kind}, {clients} clients", result)
                _verify(result, vkey, batch=False)
            result = _batches(server, token, kind, seconds)
            _report(figures, f"batch of 1000 {kind}", result)
            _verify(result, vkey, batch=True)
        figures["server RssAnon: MB"] = rss_anon(server) / 1e6
        server.stop()
    return figures


def attest(server: Server, key: str) -> str:
    """A bearer token of the agent `scorer`."""
    asked = {"tenant_id": "acme", "agent_id": "scorer", "agent_code_hash": CODE_HASH}
    headers = {"Authorization": f"Bearer {key}"}
    answer = requests.post(f"{server.url}/api/v1/attest", json=asked, headers=headers, timeout=30)
    token: str = answer.json()["token"]
    return token


def _template(kind: str) -> bytes:
    return (EVENTS / f"{kind}.json").read_bytes().strip()


def singles(
    server: Server, token: str, kind: str, clients: int, seconds: float, *, warm: float = 1.0
) -> Result:
    """Single events by `clients` connections for `seconds`, after `warm` seconds that do not count."""
    template = _template(kind)
    numbers = iter(range(10**12))

    def make(_: int) -> bytes:
        return post("/api/v1/events", token, unique(template, next(numbers)), HOST)

    for length in (warm, seconds) if warm else (seconds,):
        run = Run(make, weight=1, clients=clients, seconds=length)
        result: Result = uvloop.run(run.go(HOST, server.port))
    return result


def _batches(server: Server, token: str, kind: str, seconds: float) -> Result:
    bodies = batches(_template(kind), 1000)

    def make(_: int) -> bytes:
        return post("/api/v1/events/batch", token, next(bodies), HOST)

    for length in (1.0, seconds):
        run = Run(make, weight=1000, clients=4, seconds=length, sample_every=10)
        result: Result = uvloop.run(run.go(HOST, server.port))
    return result


def _report(figures: dict[str, Any], name: str, result: Result) -> None:
    figures[f"{name}: events/s"] = result.rate
    for share, label in ((0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")):
        figures[f"{name}: {label} ms"] = result.quantile(share)
    if result.refused:
        figures[f"{name}: refused"] = result.refused


def _verify(result: Result, vkey: str, *, batch: bool) -> None:
    log = parse_vkey(vkey)
    for sample in result.samples:
        answer = json.loads(sample)
        if batch:
            verify_batch(answer, log)
        else:
            verify_receipt(answer, log)


def rss_anon(server: Server) -> int:
    """Bytes of anonymous memory: what the process itself holds, without mapped files."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024
