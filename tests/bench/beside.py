"""Does a verification cost the submitter anything? Ingest alone, and while the same server verifies its stream."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import requests

from tests.bench.growth import fill
from tests.bench.http import singles
from tests.bench.meanwhile import Meanwhile
from tests.bench.servers import Ours, check_receipts
from tests.harness import STREAM

RUNS = 5
CLIENTS = 64
ENTRIES = 20_000  # in one verification: more than a server does without a process for it


class Verifying(Meanwhile):
    """Asks the server to verify the first entries of the stream, again and again; each time they must be found good."""

    def __init__(self, server: Ours) -> None:
        super().__init__()
        self._url = f"{server.url}/api/v1/verify?stream_id={STREAM}&to_sequence={ENTRIES - 1}"
        self._headers = {"Authorization": f"Bearer {server.token}"}
        self.verified = 0

    def step(self) -> None:
        answer = requests.get(self._url, headers=self._headers, timeout=300).json()
        if not answer["verified"] or answer["checked_count"] != ENTRIES:
            raise AssertionError(f"tlog: an honest stream was not verified: {answer}")
        self.verified += ENTRIES


def measure(folder: Path, seconds: float) -> dict[str, Any]:
    """Rates in turns; `folder` is filled with a log."""
    alone: list[float] = []
    beside: list[float] = []
    entries = 0
    with Ours(folder) as server:
        server.start()
        fill(server, ENTRIES)
        for turn in range(RUNS):
            # Whoever is first is no better off.
            for rates in (alone, beside)[:: 1 if turn % 2 else -1]:
                if rates is alone:
                    rates.append(_rate(server, seconds))
                    continue
                with Verifying(server) as verifying:
                    rates.append(_rate(server, seconds))
                entries += verifying.verified
        server.stop()
    return {
        "ingest alone: events/s": statistics.median(alone),
        "ingest beside verification: events/s": statistics.median(beside),
        "ingest beside verification: entries verified": entries,
        "ingest with / without verification: ratio": statistics.median(
            one / other for one, other in zip(beside, alone, strict=True)
        ),
    }


def _rate(server: Ours, seconds: float) -> float:
    result = singles(server, server.token, "lean", CLIENTS, seconds)
    check_receipts(result, server.verifier)
    return result.rate
