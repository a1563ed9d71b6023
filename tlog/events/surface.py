"""The decision surface: what a human was shown, when, and what they decided.

Source: design §2.3, velocity flag; SYEN's integration guide, sections 5 and 11.
In scope: normalised times, the time between them, the flag. Out of scope: whether the client's
times are true; they are its own, and a client can feign time to think.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from msgspec import UNSET

from tlog.core.record import velocity_flag
from tlog.core.times import format_ms, parse_rfc3339
from tlog.errors import InvalidInput
from tlog.events.input import DecisionSurface

_tail = re.compile(r"(?:\.([0-9]{3}))?Z").fullmatch


def client_time(text: str, pointer: str) -> tuple[int, str]:
    """Unix milliseconds of an RFC 3339 time given by a client, and the form that the log writes.

    HOT for UTC, whole seconds or milliseconds, as nearly every client writes.

    Raises: InvalidInput("invalid-time") at `pointer`.
    """
    try:
        tail = _tail(text, 19)
        # A leap second is cut to the millisecond before it, whatever its fraction.
        if tail is not None and text[17:19] != "60":
            ms, form = _whole_second(text[:19])
            millis = tail[1] or "000"
            return ms + int(millis), f"{form}{millis}Z"
        ms = parse_rfc3339(text)
    except InvalidInput as error:
        raise InvalidInput("invalid-time", error.detail, pointer) from None
    return ms, format_ms(ms)


@lru_cache(maxsize=4096)
def _whole_second(text: str) -> tuple[int, str]:
    # The times of a busy log lie within minutes of each other.
    ms = parse_rfc3339(text + "Z")
    return ms, format_ms(ms)[:20]


def plain_surface(
    surface: DecisionSurface, fields: list[tuple[str, Any]], pointer: str
) -> dict[str, str | int | bool]:
    """The members of the entry, in canonical order; what is committed is appended to `fields`.

    `pointer` is that of the surface. `dwell_ms` (which may be negative) and `velocity_flag` exist
    when both times do.

    Raises: InvalidInput("invalid-time").
    """
    shown = signed = None
    if surface.presentation_timestamp is not UNSET:
        at = pointer + "/presentation_timestamp"
        shown = client_time(surface.presentation_timestamp, at)
    if surface.signoff_timestamp is not UNSET:
        signed = client_time(surface.signoff_timestamp, pointer + "/signoff_timestamp")
    if surface.explainability_artifact_hash is not UNSET:
        name = "/decisionSurface/explainability_artifact_hash"
        fields.append((name, surface.explainability_artifact_hash))

    tier = surface.decision_complexity_tier
    plain: dict[str, str | int | bool] = {"decision_complexity_tier": tier}
    dwell_ms = None if shown is None or signed is None else signed[0] - shown[0]
    if dwell_ms is not None:
        plain["dwell_ms"] = dwell_ms
    if surface.human_decision is not UNSET:
        plain["human_decision"] = surface.human_decision
    if shown is not None:
        plain["presentation_timestamp"] = shown[1]
    if signed is not None:
        plain["signoff_timestamp"] = signed[1]
    if dwell_ms is not None:
        plain["velocity_flag"] = velocity_flag(tier, dwell_ms)
    return plain
