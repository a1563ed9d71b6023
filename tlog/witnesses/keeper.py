"""What is known of one witness: what it cosigned last, whether it answers, and what was wrong the last time.

No I/O here. The gateway's event loop writes it; the answers to health and metrics read it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tlog.core.note import VerifiedSignature, Verifier
from tlog.core.policy import Witness

# How the last exchange ended. A witness that is `ok` and lags for long is reported as `behind`.
OK, UNREACHABLE, REFUSING, LYING, AHEAD = "ok", "unreachable", "refusing", "lying", "ahead"
BEHIND = "behind"
STATUSES = (OK, BEHIND, UNREACHABLE, REFUSING, LYING, AHEAD)

_MAX_ERROR = 300


@dataclass(slots=True)
class Keeper:
    """One witness of the policy.

    `size` and `time` (POSIX seconds, the witness's clock) are of its newest cosignature, 0 before the first; `heard_at` is
    when that came in, on the monotonic clock. `waiting_since`, on the same clock, is since when a published root waits for
    its cosignature, None when none does.
    """

    name: str
    url: str
    verifier: Verifier
    size: int = 0
    time: int = 0
    heard_at: float = 0.0
    waiting_since: float | None = None
    state: str = OK
    error: str = ""
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def key(self) -> tuple[str, int]:
        """Key name and key id, as in a signature line."""
        return self.verifier.name, self.verifier.key_id

    def published(self, size: int, now: float) -> None:
        """A root of `size` is public; `now` is monotonic."""
        if size > self.size and self.waiting_since is None:
            self.waiting_since = now

    def cosigned(self, size: int, signature: VerifiedSignature, newest: int, now: float) -> None:
        """It cosigned a root of `size`; `newest` is the size of the newest published one."""
        if size < self.size:
            return
        self.size = size
        self.time = max(self.time, signature.timestamp or 0)
        self.heard_at = now
        self.waiting_since = None if size >= newest else now

    def ended(self, state: str, error: str = "") -> None:
        """An exchange ended so. `error` may hold what a stranger sent: it is cut and made printable."""
        self.state = state
        self.error = "".join(c if c.isprintable() else "?" for c in error[:_MAX_ERROR])
        self.outcomes[state] += 1

    def lag(self, now: float) -> float:
        """Seconds for which a published root has been waiting for its cosignature."""
        return 0.0 if self.waiting_since is None else max(0.0, now - self.waiting_since)

    def status(self, now: float, patience: float) -> str:
        """One of `STATUSES`; `patience` is the lag in seconds from which on it is `behind`."""
        return BEHIND if self.state == OK and self.lag(now) > patience else self.state


def keeper_of(witness: Witness) -> Keeper:
    """The keeper of a `witness` line, which has a URL."""
    if witness.url is None:
        raise AssertionError("tlog: a witness without a URL in keeper_of")
    return Keeper(
        witness.name.decode("utf-8", "backslashreplace"),
        witness.url.decode("ascii").rstrip("/"),
        witness.verifier,
    )
