"""The SDK: write events to a log, hold its receipts, and let nobody take them back.

from tlog.client import AuditClient, EventClass

`tlog.client.sync` has the same for programs without an event loop.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlog.client.anchor import Anchor
    from tlog.client.client import AuditClient
    from tlog.client.client import AuditClient as SYENAuditClient
    from tlog.client.errors import (
        BadAnswer,
        Caught,
        ForkDetected,
        LogKeyChanged,
        NetworkFailure,
        ReceiptRejected,
        StateUnusable,
        UnknownOutcome,
        UnpinnedKeyWarning,
    )
    from tlog.client.models import Event, EventClass, Failure, Proof, Receipt, VerifyResult
    from tlog.client.session import Session, code_hash
    from tlog.errors import InvalidInput, Refused, TlogError, Unavailable, VerificationError

__all__ = [
    "Anchor",
    "AuditClient",
    "BadAnswer",
    "Caught",
    "Event",
    "EventClass",
    "Failure",
    "ForkDetected",
    "InvalidInput",
    "LogKeyChanged",
    "NetworkFailure",
    "Proof",
    "Receipt",
    "ReceiptRejected",
    "Refused",
    "SYENAuditClient",
    "Session",
    "StateUnusable",
    "TlogError",
    "Unavailable",
    "UnknownOutcome",
    "UnpinnedKeyWarning",
    "VerificationError",
    "VerifyResult",
    "code_hash",
]

_HOMES = {
    "Anchor": "tlog.client.anchor",
    "AuditClient": "tlog.client.client",
    "SYENAuditClient": "tlog.client.client",
    **dict.fromkeys(
        ("Event", "EventClass", "Failure", "Proof", "Receipt", "VerifyResult"), "tlog.client.models"
    ),
    **dict.fromkeys(("Session", "code_hash"), "tlog.client.session"),
    **dict.fromkeys(
        ("InvalidInput", "Refused", "TlogError", "Unavailable", "VerificationError"), "tlog.errors"
    ),
}


def __getattr__(name: str) -> object:
    # Found when asked for: who only wants `tlog.client.fetch`, such as a witness, does not wait for the whole SDK.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(_HOMES.get(name, "tlog.client.errors"))
    value: object = getattr(home, "AuditClient" if name == "SYENAuditClient" else name)
    globals()[name] = value
    return value
