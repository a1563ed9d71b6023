"""`make bench-peers`: this log and Tessera's POSIX log, in turns, under the same load: ratios from one run.

Both answer when an entry is durable and in its tree; both get the same bodies, about 340 bytes, each unique. One server runs
at a time, on the same cores as the generator. tlog also validates, commits to fields, seals, chains and signs before it
answers, and its answer is the proof. What cannot be built here is said, and is no failure.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import load, until_proof
from tests.bench.figures import PEER_FLOORS, described, finish
from tests.bench.golang import Missing
from tests.bench.job import Job, post
from tests.bench.machine import fsync_ms, sha256_rate
from tests.bench.servers import Ours, check_growth, check_receipts, event, has_workers
from tests.bench.tessera_log import Tessera, program

CLIENTS = (16, 64, 256, 1024)
OPEN_CLIENTS = 256
PROOF_CLIENTS = 64
OURS, THEIRS = "tlog", "Tessera"
COMPARED = ("entries/s", "p50 ms", "p99 ms", "server µs/entry")


@dataclass(frozen=True)
class Side:
    """A server that takes its turn."""

    name: str
    server: Ours | Tessera

    def run(self, clients: int, seconds: float, rate: float) -> dict[str, float]:
        """One run of a server that is started for it; its figures, without the title."""
        server = self.server
        fsync = fsync_ms(server.folder)
        server.start()
        before, cpu = server.size(), server.cpu_seconds()
        if isinstance(server, Ours):
            template, want = post("/api/v1/events", event("lean"), token=server.token), 201
        else:
            template, want = post("/add", event("lean")), 200
        result = load.run(Job(server.port, [template], clients, seconds, rate=rate, want=want))
        cpu = server.cpu_seconds() - cpu
        result.demand_all()
        if isinstance(server, Ours):
            checked = check_receipts(result, server.verifier)
            check_growth(before, server.size(), result.events)
        else:
            checked = server.check(result, before)
        server.stop()
        return {
            "entries/s": result.rate,
            "p50 ms": result.quantile(0.5),
            "p99 ms": result.quantile(0.99),
            "p99.9 ms": result.quantile(0.999),
            "fsync ms": fsync,
            "server µs/entry": 1e6 * cpu / result.events,
            "generator µs/entry": 1e6 * result.cpu / result.events,
            "verified": checked,
        }

    def until_proof(self, clients: int, seconds: float) -> dict[str, float]:
        """From submitting to a verified proof; milliseconds by name."""
        self.server.start()
        if isinstance(self.server, Ours):
            found = until_proof.of_ours(self.server, clients, seconds)
        else:
            found = until_proof.of_tessera(self.server, clients, seconds)
        self.server.stop()
        return until_proof.quantiles(found)


def measure(folder: Path, peer: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All figures; `folder` is filled with a log of each side."""
    figures: dict[str, Any] = {}
    with ExitStack() as stack:
        sides = [Side(OURS, stack.enter_context(Ours(folder / "one")))]
        if has_workers():
            workers = stack.enter_context(Ours(folder / "workers", workers=2))
            sides.append(Side(f"{OURS} --workers 2", workers))
        sides.append(Side(THEIRS, stack.enter_context(Tessera(folder / "tessera", peer))))
        for clients in options.clients:
            title = f", {clients} clients"
            run = _closed(clients, options.seconds)
            figures |= _turns(sides, title, options.rounds, run)
        title = f", open loop of {options.rate:g}/s"
        run = _open(options.rate, options.seconds)
        figures |= _turns(sides, title, options.rounds, run)
        title = f", submit to verified proof, {PROOF_CLIENTS} clients"
        run = _proofs(options.seconds)
        figures |= _turns(sides, title, options.rounds, run)
    return figures


Runner = Callable[[Side], dict[str, float]]


def _closed(clients: int, seconds: float) -> Runner:
    return lambda side: side.run(clients, seconds, 0.0)


def _open(rate: float, seconds: float) -> Runner:
    return lambda side: side.run(OPEN_CLIENTS, seconds, rate)


def _proofs(seconds: float) -> Runner:
    return lambda side: side.until_proof(PROOF_CLIENTS, 2 * seconds)


def _turns(sides: list[Side], title: str, rounds: int, run: Runner) -> dict[str, Any]:
    """Medians of each side, and of the ratios of what stands side by side in one round."""
    print(f"{title[2:]} …", flush=True)
    found: dict[str, list[dict[str, float]]] = {side.name: [] for side in sides}
    speeds = []
    for turn in range(rounds):
        speeds.append(sha256_rate(0.2))
        for side in sides[:: -1 if turn % 2 else 1]:
            found[side.name].append(run(side))
    figures: dict[str, Any] = {}
    for name, runs in found.items():
        for what in runs[0]:
            figures[f"{name}{title}: {what}"] = statistics.median(one[what] for one in runs)
    theirs = found[THEIRS]
    for name, runs in found.items():
        for what in COMPARED if name != THEIRS else ():
            if what in runs[0]:
                pairs = zip(runs, theirs, strict=True)
                ratio = statistics.median(mine[what] / other[what] for mine, other in pairs)
                short = what.removesuffix(" ms").removesuffix("/entry")
                figures[f"{name} / {THEIRS}{title}: {short} ratio"] = ratio
    return figures | {f"machine{title}: M sha256/s": statistics.median(speeds)}


def main() -> None:
    """The whole comparison; prints tables and writes them to `.build/bench/`."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=3, help="of which medians are taken")
    parser.add_argument(
        "--clients", type=int, nargs="*", default=CLIENTS, help="of the closed loop"
    )
    parser.add_argument("--rate", type=float, default=1000.0, help="of the open loop, entries/s")
    parser.add_argument("--dir", type=Path, help="where the logs are for a while; default: $TMPDIR")
    options = parser.parse_args()
    try:
        peer = program()
    except Missing as error:
        print(f"Tessera is skipped, and with it the comparison: {error}")
        return
    facts = described({**vars(options), "dir": None})
    facts["peer"] = "github.com/transparency-dev/tessera, cmd/conformance/posix, unmodified"
    with tempfile.TemporaryDirectory(prefix="tlog-bench-", dir=options.dir) as name:
        figures = measure(Path(name), peer, options)
    finish("peers", figures, facts, PEER_FLOORS)


if __name__ == "__main__":
    main()
