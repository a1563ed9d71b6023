"""What the SDK raises beyond `tlog.errors`, which carries what the log itself answered.

    TlogError
    ├── VerificationError
    │   └── Caught              the log was caught; `evidence` is the file that shows it, None if it cannot be written
    │       ├── ReceiptRejected     an answer does not prove that this event was recorded
    │       └── ForkDetected        two signed heads, or a head and a refusal, that cannot both be right
    ├── LogKeyChanged           the log shows another key than the one configured or pinned
    ├── BadAnswer               what answered is not this API: a proxy's page, a redirect, too much
    ├── StateUnusable           the files that hold pins and heads cannot be read, written or believed
    └── Unavailable
        ├── NetworkFailure      nothing answered in time; the request may or may not have been carried out
        └── UnknownOutcome      gave up, or was refused when asking again: the event may or may not be recorded

A fault of one event is `InvalidInput` with the pointer of the member, whether it was found here or by
the log; everything else that the log refuses is `Refused`.
"""

from __future__ import annotations

from pathlib import Path

from tlog.errors import TlogError, Unavailable, VerificationError


class Caught(VerificationError):
    """The log was caught. `evidence` is the file with what it said; keep it, and tell others."""

    def __init__(self, detail: str, evidence: Path | StateUnusable) -> None:
        """`evidence`: the file, or why it could not be written."""
        if isinstance(evidence, Path):
            self.evidence: Path | None = evidence
            super().__init__(f"{detail}; the evidence is in {evidence}")
        else:
            self.evidence = None
            super().__init__(f"{detail}; the evidence could not be kept: {evidence.detail}")


class ReceiptRejected(Caught):
    """An answer does not prove that this event, in every member that was set, was recorded."""


class ForkDetected(Caught):
    """The log signed heads of which one is not an extension of the other."""


class LogKeyChanged(TlogError):
    """The log shows another key than the one that is configured or was pinned at first use."""

    def __init__(self, detail: str) -> None:
        super().__init__("log-key-changed", detail)


class BadAnswer(TlogError):
    """What answered does not speak this API. `status` is the HTTP status."""

    def __init__(self, detail: str, status: int = 0) -> None:
        super().__init__("bad-answer", detail)
        self.status = status


class StateUnusable(TlogError):
    """The state directory cannot be written, or holds what was not written there by this program."""

    def __init__(self, detail: str) -> None:
        super().__init__("state-unusable", detail)


class NetworkFailure(Unavailable):
    """Nothing answered. Whether the request was carried out is not known."""

    def __init__(self, detail: str) -> None:
        super().__init__("network", detail)


class UnknownOutcome(Unavailable):
    """Gave up, or was refused when asking again. The event may or may not be recorded; a new one may be recorded twice."""

    def __init__(self, detail: str) -> None:
        super().__init__("unknown-outcome", detail)


class UnpinnedKeyWarning(UserWarning):
    """No vkey is configured: the log's key is believed at first use, and pinned to a file."""
