"""Judging a fork proof: not an entry, but the log itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tlog.core.fork import TYPE, verify_fork
from tlog.core.fork_text import describe
from tlog.errors import VerificationError
from tlog.verdicts.model import NOT_SHOWN, Held, Steps, Trust, Verdict, Verdicts, failed

KIND = "fork proof"


def is_fork_proof(document: Mapping[str, Any]) -> bool:
    """Whether a JSON object says that it is one."""
    return document.get("type") == TYPE


def judge_fork(document: Mapping[str, Any], trust: Trust, held: Held) -> Verdicts:
    """Say what a fork proof shows of the log; where it shows nothing, integrity fails."""
    del held
    try:
        # Not as RFC 8785 has it, where a version 1.0 would become 1.
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        fork = verify_fork(text.encode(), trust.log)
    except VerificationError:
        reason = (
            f"This shows nothing: {trust.log.name} did not sign what is in it, or both can be true."
        )
        return failed(KIND, Steps(), reason)
    about = Verdict(NOT_SHOWN, "A fork proof is about the log, not about one entry.")
    return Verdicts(about, about, about, about, kind=KIND, fork=tuple(describe(fork)))
