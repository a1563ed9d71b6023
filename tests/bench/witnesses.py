"""Do witnesses cost the submitter anything? Ingest with and without a policy, of which three of five witnesses are bad.

Two `tlog serve` take turns under the same load: one without a policy, one whose policy names two good witnesses (`witness
serve`, a process each), one that is dead, one that sends a byte now and then, and one whose signatures are wrong.
"""

from __future__ import annotations

import asyncio
import base64
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.bench.http import singles
from tests.bench.meanwhile import Meanwhile
from tests.bench.servers import UNLIMITED, attest
from tests.bench.surface import cpu_seconds
from tests.faults.process import Server, prepared_log
from tests.harness import ORIGIN
from tests.witness.harness import Server as WitnessServer
from tests.witness.harness import free_port
from tests.witness_zoo import Witness, answering, started, text_of, trickling
from tlog.core.checkpoint import open_checkpoint
from tlog.core.note import Verifier, parse_skey, parse_vkey
from witness.logbook import add_logs, entry
from witness.setup import beside, init_witness

RUNS = 5
GOOD = 2
NOBODY = "http://127.0.0.1:1"


class Watcher(Meanwhile):
    """Fetches a server's checkpoint all the time; every line of each must verify."""

    PAUSE = 0.2

    def __init__(self, server: Server, log: Verifier, witnesses: list[Verifier]) -> None:
        super().__init__()
        self._url = server.url + "/checkpoint"
        self._log = log
        self._witnesses = witnesses
        self.seen = 0
        self.cosigned: list[int] = []  # sizes that were shown with the quorum

    def step(self) -> None:
        note = requests.get(self._url, timeout=30).content
        head, opened = open_checkpoint(note, [self._log], ORIGIN, self._witnesses)
        if opened.only_verified() != note:
            raise AssertionError(
                f"tlog: a served checkpoint has a line that does not verify: {note!r}"
            )
        self.seen += 1
        if len(opened.signatures) > GOOD and head.size not in self.cosigned:
            self.cosigned.append(head.size)


def measure(folder: Path, seconds: float) -> dict[str, Any]:
    """All figures; `folder` is filled with two logs and two witnesses."""
    folder.mkdir()
    plain, witnessed = folder / "plain" / "log", folder / "witnessed" / "log"
    keys = {}
    for directory in (plain, witnessed):
        directory.parent.mkdir()
        keys[directory] = prepared_log(directory)
    log = parse_vkey(_vkey(witnessed))
    with ExitStack() as stack:
        bad = stack.enter_context(_bad_witnesses(log))
        good = [_witness(folder / f"good{n}", witnessed) for n in range(GOOD)]
        for server, _ in good:
            stack.enter_context(server)
        lines = [(vkey, server.url) for server, vkey in good]
        lines += [(one.signer.vkey, one.url or NOBODY) for one in bad]
        _policy(witnessed / "policy", lines)
        verifiers = [parse_vkey(vkey) for vkey, _ in lines]
        sides = []
        for directory, policy in ((plain, ""), (witnessed, "policy")):
            server = stack.enter_context(
                Server(directory, free_port(), witness_policy=policy, **UNLIMITED)
            )
            server.start()
            own = parse_vkey(_vkey(directory))
            sides.append(Side(server, attest(server, keys[directory]), own, verifiers))
        return _compare(*sides, seconds)


class Side:
    """One server under load."""

    def __init__(
        self, server: Server, token: str, log: Verifier, witnesses: list[Verifier]
    ) -> None:
        self._server = server
        self._token = token
        self._log = log
        self._witnesses = witnesses
        self.rates: list[float] = []
        self.costs: list[float] = []  # microseconds of CPU for an event
        self.seen = 0
        self.cosigned: list[int] = []

    def run(self, seconds: float) -> None:
        """Load it once more."""
        with Watcher(self._server, self._log, self._witnesses) as watcher:
            before = cpu_seconds(self._server)
            result = singles(self._server, self._token, "lean", 64, seconds, warm=0.0)
            self.costs.append(1e6 * (cpu_seconds(self._server) - before) / result.events)
        self.rates.append(result.rate)
        self.seen += watcher.seen
        self.cosigned += watcher.cosigned


def _compare(plain: Side, witnessed: Side, seconds: float) -> dict[str, Any]:
    for side in (plain, witnessed):
        side.run(1.0)
        side.rates.clear()
        side.costs.clear()
    for turn in range(RUNS):
        # Whoever is first is no better off.
        for side in (plain, witnessed)[:: 1 if turn % 2 else -1]:
            side.run(seconds)
    if sorted(witnessed.cosigned) != witnessed.cosigned or len(witnessed.cosigned) < RUNS:
        raise AssertionError("tlog: the cosigned checkpoint does not grow")
    ratios = [with_ / without for with_, without in zip(witnessed.rates, plain.rates, strict=True)]
    costs = [without / with_ for with_, without in zip(witnessed.costs, plain.costs, strict=True)]
    return {
        "no witnesses: events/s": statistics.median(plain.rates),
        "two good witnesses, three bad: events/s": statistics.median(witnessed.rates),
        "ingest with / without witnesses: ratio": statistics.median(ratios),
        "the same in events per CPU second: ratio": statistics.median(costs),
        "checkpoints fetched and verified": witnessed.seen,
        "cosigned by the quorum: sizes": len(witnessed.cosigned),
    }


def _vkey(directory: Path) -> str:
    return parse_skey((directory / "log.key").read_text().strip()).vkey


def _witness(directory: Path, log: Path) -> tuple[WitnessServer, str]:
    """A good witness that knows the log, and its key."""
    keys = init_witness(directory, f"witness.example.org/{directory.name}", int(time.time()) - 1000)
    with beside(directory) as store:
        add_logs(store, [entry(_vkey(log), origin=ORIGIN)], int(time.time()))
    return WitnessServer(directory), keys.cosigner.vkey


def _policy(path: Path, witnesses: list[tuple[str, str]]) -> None:
    """Any two of them are a quorum."""
    lines = [f"witness w{n} {vkey} {url}\n" for n, (vkey, url) in enumerate(witnesses)]
    members = " ".join(f"w{n}" for n in range(len(witnesses)))
    path.write_text("".join(lines) + f"group q {GOOD} {members}\nquorum q\n")


def _wrong(witness: Witness, body: bytes) -> bytes:
    """A line whose last bit is another."""
    head, blob = witness.signer.sign_line(text_of(body), int(time.time()))[:-1].rsplit(b" ", 1)
    raw = base64.b64decode(blob)
    return head + b" " + base64.b64encode(raw[:-1] + bytes([raw[-1] ^ 1])) + b"\n"


@contextmanager
def _bad_witnesses(log: Verifier) -> Iterator[list[Witness]]:
    """A dead, a slow and a lying one, the last two behind sockets of their own."""
    dead, slow = Witness(7, log), Witness(8, log, trickling)
    lying = Witness(9, log, answering(200, _wrong))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    zoo = started(slow, lying)
    asyncio.run_coroutine_threadsafe(zoo.__aenter__(), loop).result()
    try:
        yield [dead, slow, lying]
    finally:
        asyncio.run_coroutine_threadsafe(zoo.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
