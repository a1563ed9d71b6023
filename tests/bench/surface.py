"""What auditors fetch: checked tiles, packed bundles and inclusion proofs over HTTP, in a closed loop.

The server has one core for all of it and shares the machine with the generator: what it answers in a second of its own CPU
time is what a core can do. Every hundredth answer is compared with what a verified head demands.
"""

from __future__ import annotations

import json
import random
import time
import zlib
from pathlib import Path
from typing import Any

from tests.bench import load, machine
from tests.bench.job import Job, Result, get
from tests.bench.offline import prepared
from tests.bench.servers import UNLIMITED
from tests.faults.process import Server, free_port
from tests.harness import STREAM, TestLog, new_log
from tlog.core.hashes import Hash, leaf_hash
from tlog.core.proofs import verify_inclusion
from tlog.core.tiles import bundle_encode
from tlog.core.wire import b64decode
from tlog.surface import Surface

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
    with Server(folder / "log", free_port(), **UNLIMITED) as server:
        server.start()
        served = serve_paths(server, [f"{PREFIX}/tile/0/{name}" for name in names], seconds)
        _report(figures, "tiles", served)
        _demand({answer for _, answer in served[0].samples} <= tiles)
        served = serve_paths(server, [f"{PREFIX}/tile/entries/{name}" for name in names], seconds)
        _report(figures, "gzip bundles", served)
        _demand({zlib.decompress(answer, 31) for _, answer in served[0].samples} <= bundles)
        served = serve_paths(server, asked, seconds)
        _report(figures, "inclusion proofs", served)
        for _, answer in served[0].samples:
            _verify(json.loads(answer), leaves, size, root)
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
    token: str = "",
    clients: int = CLIENTS,
) -> tuple[Result, float]:
    """The result and the seconds of CPU that the server used meanwhile, a second of warming up included in both."""
    templates = [get(path, token=token, Accept_Encoding="gzip") for path in paths]
    before = cpu_seconds(server)
    result = load.run(Job(server.port, templates, clients, seconds, want=200))
    result.demand_all()
    return result, cpu_seconds(server) - before


def cpu_seconds(server: Server) -> float:
    """Seconds of CPU time, user and system, of all threads and processes."""
    if server.process is None:
        raise AssertionError("tlog: a server that was not started")
    return machine.cpu_seconds(server.process.pid)


def _report(figures: dict[str, Any], name: str, served: tuple[Result, float]) -> None:
    result, cpu = served
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
