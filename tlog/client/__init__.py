"""The SDK: write events to a log, hold its receipts, and let nobody take them back.

from tlog.client import AuditClient, EventClass

`tlog.client.sync` has the same for programs without an event loop.
"""

from __future__ import annotations

from tlog.client.anchor import Anchor
from tlog.client.client import AuditClient
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

SYENAuditClient = AuditClient

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
