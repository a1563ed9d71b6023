"""The log's clock held against those of its witnesses: design section 2.1.

A clock more than 60 seconds ahead of the newest witness time, while witnesses answer, must not date entries. Only times
of verified cosignatures count, and the newest of all witnesses: one whose clock stands still stops nobody, as long as
another one answers.
"""

from __future__ import annotations

import threading
import time

MAX_AHEAD_MS = 60_000


class WitnessClock:
    """What the witnesses say the time is. `memory` is for how many seconds an answer counts. For any thread."""

    def __init__(self, memory: float) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        # Key of the witness -> (its POSIX seconds, when that came in on the monotonic clock).
        self._heard: dict[tuple[str, int], tuple[int, float]] = {}

    def heard(self, witness: tuple[str, int], seconds: int, now: float) -> None:
        """A cosignature made at POSIX `seconds` came in at `now`, monotonic."""
        with self._lock:
            self._heard[witness] = (seconds, now)

    def ahead(self, now_ms: int) -> int:
        """Milliseconds by which the log's clock is ahead of the witnesses', 0 when that is tolerable or none answers.

        Since it was given, a witness's time has gone on as fast as the monotonic clock: a clock that is set right is right
        at once, and one that jumps is wrong at once.
        """
        now = time.monotonic()
        with self._lock:
            if not self._heard:  # HOT: asked for each commit
                return 0
            times = [
                seconds + now - at
                for seconds, at in self._heard.values()
                if now - at <= self._memory
            ]
        if not times:
            return 0
        ahead = now_ms - int(max(times) * 1000)
        return ahead if ahead > MAX_AHEAD_MS else 0
