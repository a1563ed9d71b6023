"""SIGKILL at random moments while cosigning: never two roots for one size, never a smaller size after a larger one.

The suite kills 10 times; `make faults` 200 times. KILLS sets the number.
"""

from __future__ import annotations

import http.client
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.witness.harness import NAME, ORIGIN, Server, WitnessedLog, new_witness, opened
from tests.witness.zygote import Zygote
from tlog.core.add_checkpoint import parse_size
from tlog.core.checkpoint import open_checkpoint
from tlog.core.note import parse_vkey
from witness.keys import load_keys

LOGS = 3
SIZE = 4096


class Feeder(threading.Thread):
    """A log that grows on one branch of two, as long as it is let, and asks for cosignatures again and again.

    It lies: at every step it shows the witness the other branch as well, as one does who hopes that a crash made it
    forget. One branch has even sizes and the other odd ones: two roots of one size would convict it, and end the game.
    """

    def __init__(self, server: Server, origin: str) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.honest = WitnessedLog(SIZE, origin=origin)
        self.other = WitnessedLog(SIZE, origin=origin, forked_at=0)
        self.stopping = threading.Event()
        self.chance = random.Random(origin)
        self.branch: WitnessedLog | None = None
        self.cosigned: list[
            bytes
        ] = []  # notes with the witness's line, in the order in which they came
        self.failed: BaseException | None = None
        self.told = 0  # the largest size that the witness said it cosigned

    def run(self) -> None:
        """Until told to stop."""
        try:
            size = 0
            while not self.stopping.is_set():
                size = self._step(size)
        except BaseException as error:
            self.failed = error

    def _step(self, size: int) -> int:
        """One attempt from `size` on each branch; the size that the witness has now, as far as it says."""
        for parity, log in self.chance.sample([(0, self.honest), (1, self.other)], 2):
            new = size + self.chance.randint(0, 3)
            new = min(new + (new + parity) % 2, SIZE - 2 + parity)
            if new < size:
                continue
            try:
                reply = self.server.add(log.body(size, new))
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
                continue
            if reply.status == 200:
                if new:
                    assert self.branch in (None, log), "the witness changed sides"
                    self.branch = log
                self.cosigned.append(log.note(new) + reply.body)
                return self._at_least(new)
            if reply.status == 409:
                return self._at_least(parse_size(reply.body))
            assert reply.status in {422, 503}, reply
        return size

    def _at_least(self, size: int) -> int:
        assert size >= self.told, f"the witness went back from {self.told} to {size}"
        self.told = size
        return size


def audit(directory: Path, feeders: list[Feeder]) -> int:
    """Everything that was ever received agrees with itself and with the store; how many cosignatures that is."""
    ours = parse_vkey(load_keys(directory, NAME).cosigner.vkey)
    witness = opened(directory)
    for feeder in feeders:
        log = feeder.honest
        roots: dict[int, bytes] = {}
        newest = (0, 0)
        for note in feeder.cosigned:
            head, opened_note = open_checkpoint(note, [parse_vkey(log.vkey)], log.origin, [ours])
            (stamp,) = [one.timestamp or 0 for one in opened_note.signatures if one.name == NAME]
            assert roots.setdefault(head.size, head.root) == head.root, "two roots for one size"
            assert (head.size, stamp) >= newest, "back in size or time"
            assert stamp >= newest[1]
            newest = (head.size, stamp)
        row = witness.store.latest(log.origin)
        assert row is not None
        assert row.size >= newest[0], "the store forgot a cosignature that left"
        assert row.size != newest[0] or row.root == roots.get(row.size, row.root)
        side = feeder.branch or log
        assert row.root == side.root(row.size), "the store is on the other branch"
    witness.close()
    return sum(len(feeder.cosigned) for feeder in feeders)


def kill(directory: Path, kills: int, zygote: Zygote | None = None) -> None:
    """Kill and restart so often under load, then look at everything."""
    chance = random.Random(20261122)
    origins = [ORIGIN, *(f"log{number}.example.com" for number in range(1, LOGS))]
    new_witness(directory, *(WitnessedLog(1, origin=origin) for origin in origins))
    with Server(directory, zygote) as server:
        feeders = [Feeder(server, origin) for origin in origins]
        for feeder in feeders:
            feeder.start()
        for _ in range(kills):
            before = sum(len(feeder.cosigned) for feeder in feeders)
            while sum(len(feeder.cosigned) for feeder in feeders) == before:
                time.sleep(0.002)
                assert not [feeder.failed for feeder in feeders if feeder.failed]
            time.sleep(chance.uniform(0.0, 0.1))
            assert server.stop(signal.SIGKILL) == -signal.SIGKILL
            server.start()
        for feeder in feeders:
            feeder.stopping.set()
        for feeder in feeders:
            feeder.join(30)
        assert server.stop() == 0
    assert not [feeder.failed for feeder in feeders if feeder.failed]
    count = audit(directory, feeders)
    print(f"\n{kills} kills, {count} cosignatures, one history each")


@pytest.mark.e2e
@pytest.mark.slow
def test_ten_kills(tmp_path: Path, zygote: Zygote) -> None:
    """In every run of the suite."""
    kill(tmp_path / "witness", 10, zygote)


@pytest.mark.faults
@pytest.mark.exhaustive
def test_kills(tmp_path: Path) -> None:
    """The long run."""
    kill(tmp_path / "witness", int(os.environ.get("KILLS", "200")))
