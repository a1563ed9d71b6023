"""What all auditors are told, and what each one counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tlog.client.fetch.audit import Counts


class Settings(NamedTuple):
    """Of all auditors. Seconds: `interval` between two rounds, `timeout` of one request, `patience` with what may pass by
    itself, `heartbeat` of silence that is no stall yet. `parallel` requests, and streams, at once.
    """

    interval: float = 1.0
    timeout: float = 10.0
    patience: float = 30.0
    heartbeat: float = 90.0
    parallel: int = 8
    #: Whether entries are read, and the file with tokens for private ones.
    entries: bool = False
    tokens: Path | None = None


@dataclass
class Progress:
    """What an auditor did since the process started. Times in POSIX seconds, durations in seconds."""

    counts: Counts = field(default_factory=Counts)
    tiles_rebuilt: int = 0
    rounds: int = 0
    finished: float = 0.0
    seconds: float = 0.0
    behind_since: float = 0.0
