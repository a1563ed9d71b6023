"""What is wrong with a log at the moment, by name: raised once when it lasts too long, cleared when it is over.

unreachable     its checkpoint or tiles cannot be read
unsigned        what it shows as its checkpoint is not signed by a key that is known
withheld        tiles or bundles that a signed head implies are not served
stalled         it signs heads that it does not show, or sends no checkpoints any more
shrunk          it shows a smaller head than it showed before
clock-rewound   the time that it claims went back
clock-ahead     the time that it claims lies in the future
lie             a rule of its root log is broken, or what it serves is not what it signed
opinions-differ two implementations do not agree on a root: one of them is wrong
failed          the audit itself failed, by a fault of this program
state-unusable  what this auditor remembers of it contradicts itself: its own store is damaged
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

UNREACHABLE = "unreachable"
UNSIGNED = "unsigned"
WITHHELD = "withheld"
STALLED = "stalled"
SHRUNK = "shrunk"
CLOCK_REWOUND = "clock-rewound"
CLOCK_AHEAD = "clock-ahead"
LIE = "lie"
OPINIONS_DIFFER = "opinions-differ"
STATE_UNUSABLE = "state-unusable"
FAILED = "failed"
NAMES = (
    UNREACHABLE,
    UNSIGNED,
    WITHHELD,
    STALLED,
    SHRUNK,
    CLOCK_REWOUND,
    CLOCK_AHEAD,
    LIE,
    OPINIONS_DIFFER,
    STATE_UNUSABLE,
    FAILED,
)
# A server that starts again, and a copy of the newest tile that is a second old, are no reason to wake anybody.
_PATIENT = frozenset({UNREACHABLE, WITHHELD, STALLED})


class Sign(NamedTuple):
    """`since` in seconds of the steady clock; `raised`: it lasted long enough to alarm somebody."""

    name: str
    detail: str
    since: float
    raised: bool


class Signs:
    """Of one log. `alarm` is called with name and detail."""

    def __init__(
        self,
        patience: float,
        alarm: Callable[[str, str], None],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`patience` in seconds, with what may pass by itself."""
        self._patience = patience
        self._alarm = alarm
        self._steady = steady
        self._signs: dict[str, Sign] = {}

    def seen(self, name: str, detail: str) -> None:
        """It is so now."""
        now = self._steady()
        old = self._signs.get(name)
        since = now if old is None else old.since
        raised = old is not None and old.raised
        lasted = now - since >= (self._patience if name in _PATIENT else 0.0)
        if lasted and not raised:
            self._alarm(name, detail)
        self._signs[name] = Sign(name, detail, since, raised or lasted)

    def gone(self, *names: str) -> None:
        """It is not so now."""
        for name in names:
            self._signs.pop(name, None)

    def now(self) -> list[Sign]:
        """What is wrong, the oldest first."""
        return sorted(self._signs.values(), key=lambda sign: sign.since)
