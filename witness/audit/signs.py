"""What is wrong with a log at the moment, by name: raised once when it lasts too long, cleared when it is over.

unreachable     its checkpoint or tiles cannot be read
unsigned        what it shows as its checkpoint is not signed by a key that is known
withheld        tiles or bundles that a signed head implies are not served
stalled         it signs heads that it does not show, or sends no checkpoints any more
shrunk          it shows a smaller head than it showed before
clock-rewound   the time that it claims went back
clock-ahead     the time that it claims lies in the future
garbled         tiles or bundles that it serves are not what it signed
lie             what it signed cannot be true: a rule of its root log is broken, or an entry is none
other-kind      its leaves are not stream heads: a log of another kind, which can be cosigned but not audited
opinions-differ two implementations do not agree on a root: one of them is wrong
failed          the audit itself failed, by a fault of this program or of its settings
state-unusable  what this auditor remembers of it contradicts itself: its own store is damaged
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from tlog.core.root_log import RuleBroken

UNREACHABLE = "unreachable"
UNSIGNED = "unsigned"
WITHHELD = "withheld"
STALLED = "stalled"
SHRUNK = "shrunk"
CLOCK_REWOUND = "clock-rewound"
CLOCK_AHEAD = "clock-ahead"
GARBLED = "garbled"
LIE = "lie"
OTHER_KIND = "other-kind"
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
    GARBLED,
    LIE,
    OTHER_KIND,
    OPINIONS_DIFFER,
    STATE_UNUSABLE,
    FAILED,
)
# A server that starts again, a copy of a page that is a second old, an error page where a tile should be, a bit that flips
# on the way: none is a reason to wake anybody, nor a word against the log.
_PATIENT = frozenset({UNREACHABLE, UNSIGNED, WITHHELD, STALLED, SHRUNK, GARBLED})
_SILENT = frozenset({OTHER_KIND})


_SERVED = {"withheld": WITHHELD, "tile": GARBLED, "entry": GARBLED, "malformed": GARBLED}


def name_of(error: RuleBroken, log_origin: str) -> str:
    """What a broken rule is called. A lie is what was signed; what is served may have been garbled on the way."""
    if error.rule in _SERVED:
        return _SERVED[error.rule]
    # A root log begins with its own empty checkpoint; what begins otherwise is none.
    at_first = error.origin == log_origin and error.index == 0
    return OTHER_KIND if at_first and error.rule in {"form", "first"} else LIE


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
        self._signs: dict[tuple[str, str], Sign] = {}

    def seen(self, name: str, detail: str, *, about: str = "", since: float | None = None) -> None:
        """It is so now, and if it was not seen before, since then; `about` tells two causes of one name apart."""
        now = self._steady()
        old = self._signs.get((name, about))
        begun = old.since if old is not None else now if since is None else since
        raised = old is not None and old.raised
        lasted = now - begun >= (self._patience if name in _PATIENT else 0.0)
        lasted = lasted and name not in _SILENT
        if lasted and not raised:
            self._alarm(name, detail)
        self._signs[name, about] = Sign(name, detail, begun, raised or lasted)

    def has(self, name: str, detail: str, about: str = "") -> bool:
        """Whether exactly this was seen last."""
        sign = self._signs.get((name, about))
        return sign is not None and sign.detail == detail

    def gone(self, *names: str, about: str = "") -> None:
        """It is not so now."""
        for name in names:
            self._signs.pop((name, about), None)

    def now(self) -> list[Sign]:
        """What is wrong, the oldest first."""
        return sorted(self._signs.values(), key=lambda sign: sign.since)
