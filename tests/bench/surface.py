"""What auditors fetch: checked tiles, packed bundles and inclusion proofs over HTTP, in a closed loop.

The server has one core for all of it and shares the machine with the generator: what it answers in a second of its own CPU
time is what a core can do. Every hundredth answer is compared with what a verified head demands.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import time
import zlib
from pathlib import Path
from typing import Any

import uvloop

from tests.bench.generator import Result, Run
from tests.bench.offline import prepared
from tests.faults.process import Server, free_port
from tests.harness import STREAM, TestLog, new_log
from tlog.core.hashes import Hash, leaf_hash
from tlog.core.proofs import verify_inclusion
from tlog.core.tiles import bundle_encode
from tlog.core.wire import b64decode
from tlog.surface import Surface

HOST = "127.0.0.1"
CLIENTS = 64
TILES = 200
BATCH = 256 * 20
PREFIX = "/streams/" + STREAM.replace(":", "/")


def measure(folder: Path, seconds: float) -> dict[str, Any]:
    """All figures of the surface; `folder` is filled with a log."""
    folder.mkdir()
    figures: dict[str, Any] = {}
    with TestLog(new_log(folder / "log")) as log:
        log.log.open_stream(STREAM, public=True)
        for _ in range(256 * TILES // BATCH):
            log.append(prepared(log, BATCH))
        entries = [one.record.entry for one in log.log.reader.entries(2, 0, 256 * TILES)]
        size = log.log.source.view(2).size
        root = log.log.source.view(2).root
        figures["first check of a tile: µs"] = _first_check_us(log)
    leaves = [leaf_hash(entry) for entry in entries]
    cut = range(0, len(entries), 256)
    tiles = {b"".join(leaves[at : at + 256]) for at in cut}
    bundles = {bundle_encode(entries[at : at + 256]) for at in cut}
    names = [f"{index:03d}" for index in range(TILES)]
    chance = random.Random(1)
    proof = f"/api/v1/proof/inclusion?stream_id={STREAM}&tree_size={size}&leaf_index="
    asked = [proof + str(chance.randrange(len(entries))) for _ in range(5_000)]
    with Server(folder / "log", free_port()) as server:
        server.start()
        served = serve_paths(server, [f"{PREFIX}/tile/0/{name}" for name in names], seconds)
        _report(figures, "tiles", served)
        _demand(set(served[0].samples) <= tiles)
        served = serve_paths(server, [f"{PREFIX}/tile/entries/{name}" for name in names], seconds)
        _report(figures, "gzip bundles", served)
        _demand({zlib.decompress(sample, 31) for sample in served[0].samples} <= bundles)
        served = serve_paths(server, asked, seconds)
        _report(figures, "inclusion proofs", served)
        for sample in served[0].samples:
            _verify(json.loads(sample), leaves, size, root)
        server.stop()
    return figures


def _first_check_us(log: TestLog) -> float:
    """Mean microseconds of a full tile that nobody asked for before."""
    surface = Surface(log.log.reader)
    surface.tile(2, 1, 0, 1)
    began = time.perf_counter()
    for index in range(TILES):
        surface.tile(2, 0, index)
    return 1e6 * (time.perf_counter() - began) / TILES


def serve_paths(
    server: Server,
    paths: list[str],
    seconds: float,
    token: str | None = None,
    clients: int = CLIENTS,
) -> tuple[Result, float]:
    """The result and the seconds of CPU that the server used meanwhile; a second of warming up before."""
    head = f" HTTP/1.1\r\nHost: {HOST}\r\nAccept-Encoding: gzip\r\n"
    if token is not None:
        head += f"Authorization: Bearer {token}\r\n"
    turn = itertools.cycle([f"GET {path}{head}\r\n".encode() for path in paths])
    for length in (1.0, seconds):
        before = cpu_seconds(server)
        run = Run(lambda _: next(turn), weight=1, clients=clients, seconds=length, want=200)
        result: Result = uvloop.run(run.go(HOST, server.port))
    return result, cpu_seconds(server) - before


def cpu_seconds(server: Server) -> float:
    """Seconds of CPU time, user and system, of all threads."""
    _demand(server.process is not None)
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(") ")[2].split()  # type: ignore[union-attr]
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _report(figures: dict[str, Any], name: str, served: tuple[Result, float]) -> None:
    result, cpu = served
    _demand(result.refused == 0)
    figures[f"{name}, {CLIENTS} clients: answers/s"] = result.rate
    figures[f"{name}, {CLIENTS} clients: answers per CPU second"] = result.events / cpu
    figures[f"{name}, {CLIENTS} clients: p99 ms"] = result.quantile(0.99)


def _verify(answer: dict[str, Any], leaves: list[Hash], size: int, root: Hash) -> None:
    index = answer["leaf_index"]
    _demand(b64decode(answer["root_hash"], 32) == root and answer["tree_size"] == size)
    path = [b64decode(node, 32) for node in answer["hashes"]]
    verify_inclusion(leaves[index], index, size, path, root)


def _demand(held: bool) -> None:
    if not held:
        raise AssertionError("tlog: the server answered what it must not")
