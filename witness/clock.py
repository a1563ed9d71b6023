"""The witness's clock: POSIX seconds, and whether they can be believed.

Two faults are told apart. A clock that stands behind the newest cosignature is seen by comparing with the store
(`state.decide`). A clock that jumps ahead would make every later cosignature late for ever, so within one run it is
compared with the time since boot, which nobody sets: after a jump nothing is signed until the clock is where it was,
or somebody has looked and started the process again.
"""

from __future__ import annotations

import time
from collections.abc import Callable


def since_boot() -> float:
    """Seconds since boot, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock:
    """Any thread may ask. `tolerance` in seconds."""

    def __init__(
        self,
        tolerance: float,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = since_boot,
    ) -> None:
        self._tolerance = tolerance
        self._wall = wall
        self._steady = steady
        self._ahead = wall() - steady()

    def now(self) -> int:
        """POSIX seconds; 0 if the clock went ahead of the time that passed by more than the tolerance."""
        wall = self._wall()
        lead = wall - self._steady() - self._ahead
        if lead > self._tolerance:
            return 0
        # Forward it may creep. A clock that was set back may be put right again, in one step.
        self._ahead += max(0.0, lead)
        return int(wall)

    def floor(self, newest: int) -> int:
        """Below this second the clock is wrong: `newest` is that of the newest cosignature."""
        return max(1, newest - int(self._tolerance))
