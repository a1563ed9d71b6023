"""Four verdicts on a proof, in words for people who will act on them, and the numbered steps that led to them.

Source: design §2.6. The core raises one opaque error, so that a program can only accept or refuse;
this package calls the same steps one by one and says which of them failed, and what was not shown at
all. Pure: no file, clock or network. Not for programs: they call `verify_package`, `verify_receipt`.

    integrity   the entry is valid, is what the file says of it, and leads to a head of its stream
    position    that head is in the root log, whose head the configured key of the log signed
    witnessed   a quorum of the configured witnesses cosigned that root
    time        claimed by the log; proven by the cosignature that completed the quorum

A kind of file is one row of the table in `files`.
"""

from tlog.verdicts.files import verify_file
from tlog.verdicts.model import (
    FAIL,
    NOT_SHOWN,
    PASS,
    Held,
    Step,
    Trust,
    Verdict,
    Verdicts,
)
from tlog.verdicts.packages import verify_document
from tlog.verdicts.shared import APART_MS

__all__ = [
    "APART_MS",
    "FAIL",
    "NOT_SHOWN",
    "PASS",
    "Held",
    "Step",
    "Trust",
    "Verdict",
    "Verdicts",
    "verify_document",
    "verify_file",
]
