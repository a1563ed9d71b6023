"""Every exception that tlog raises on purpose.

    TlogError
    ├── InvalidInput        the caller's bytes are wrong; sending them again will not help
    ├── Refused             well formed, but not allowed: authority, conflict, absence, quota
    ├── Unavailable         not now; try again after `retry_after` seconds
    ├── VerificationError   a proof, note or receipt does not verify; says nothing more, on purpose
    └── CorruptStore        stored bytes contradict themselves or the guard: nothing may be signed

A fault of the program itself is an AssertionError("tlog: …"): never caught, never shown to a client.
`kind` is the last part of the problem type `urn:tlog:problem:<kind>`; which HTTP status belongs to it is
known to `tlog.api.problems` alone.
"""

from __future__ import annotations

from typing import Any


class TlogError(Exception):
    """Base of all of them. `kind` names the problem, `detail` is one sentence for a human."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class InvalidInput(TlogError):
    """The input is wrong. `pointer` is the RFC 6901 JSON Pointer of the member at fault, or None."""

    def __init__(self, kind: str, detail: str, pointer: str | None = None) -> None:
        super().__init__(kind, detail)
        self.pointer = pointer

    def __str__(self) -> str:
        # A traceback shows this alone: "must be one of 1, 2, 3" helps nobody who does not see what must.
        return f"{self.detail} (at {self.pointer})" if self.pointer else self.detail


class Refused(TlogError):
    """Right form, not allowed. `extra` holds what the caller needs to go on, such as `expected`."""

    def __init__(self, kind: str, detail: str, pointer: str | None = None, **extra: Any) -> None:
        super().__init__(kind, detail)
        self.pointer = pointer
        self.extra = extra


class Unavailable(TlogError):
    """Temporary. `retry_after` is in seconds."""

    def __init__(self, kind: str, detail: str, retry_after: float = 1.0) -> None:
        super().__init__(kind, detail)
        self.retry_after = retry_after


class VerificationError(TlogError):
    """Something presented as proof is not. One value for every cause, so that a verifier leaks no hint."""

    def __init__(self, detail: str = "verification failed") -> None:
        super().__init__("verification-failed", detail)


class CorruptStore(TlogError):
    """The store says something that cannot be true. Reading may go on; signing must not."""

    def __init__(self, detail: str) -> None:
        super().__init__("corrupt-store", detail)
