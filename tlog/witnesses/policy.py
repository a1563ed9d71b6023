"""The policy file of a log: which witnesses it asks, where, and how many of them make a quorum (C2SP tlog-policy)."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from tlog.core.note import Verifier
from tlog.core.policy import MAX_POLICY_SIZE, Log, Policy, parse_policy
from tlog.errors import InvalidInput

# With the log's own line a note has room for 100.
MAX_WITNESSES = 64

_URL = re.compile(rb"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~%!$&'()*,;=:@+-]*)*")
_URL_V6 = re.compile(
    rb"https?://\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?(/[A-Za-z0-9._~%!$&'()*,;=:@+-]*)*"
)


def load_policy(path: Path, log: Verifier) -> Policy:
    """Read the policy of the log with this key. What comes back names exactly this log.

    Raises: InvalidInput (config): no such file, malformed, of another log, or with a witness that cannot be asked.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_POLICY_SIZE + 1)
    except OSError as error:
        raise _fault(path, error.strerror or "cannot be read") from error
    try:
        policy = parse_policy(text)
    except InvalidInput as error:
        raise _fault(path, error.detail) from error
    own = [line for line in policy.logs if line.verifier.vkey == log.vkey]
    if policy.logs and not own:
        raise _fault(path, f"its log lines name other logs; this one is {log.vkey}")
    if len(policy.witnesses) > MAX_WITNESSES:
        raise _fault(path, f"a log asks at most {MAX_WITNESSES} witnesses")
    for witness in policy.witnesses:
        name = witness.name.decode("utf-8", "backslashreplace")
        if witness.url is None:
            raise _fault(path, f"witness {name} has no URL, so the log cannot ask it")
        if _URL.fullmatch(witness.url) is None and _URL_V6.fullmatch(witness.url) is None:
            raise _fault(path, f"the URL of witness {name} is not a plain http or https prefix")
    return replace(policy, logs=(own[0] if own else Log(log, None),))


def _fault(path: Path, detail: str) -> InvalidInput:
    return InvalidInput("config", f"witness_policy {path}: {detail}")
