"""Times: one strict form for the log (design §2.1), any RFC 3339 date-time for clients.

    YYYY-MM-DDTHH:MM:SS.mmmZ     24 characters; UTC, in the proleptic Gregorian calendar

Time is a count of Unix milliseconds, without leap seconds (POSIX); it is negative before 1970. Years
are 0000 to 9999, as RFC 3339 has them; Python's begin at 1. In scope: texts. Out of scope: clocks.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

from tlog.errors import InvalidInput

MIN_MS = -62_167_219_200_000
"""0000-01-01T00:00:00.000Z."""
MAX_MS = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z."""

_DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1).toordinal()
# The calendar repeats every 400 years, so year 0 is computed as year 400.
_CYCLE_DAYS = 146_097
_MAX_TEXT = 64  # bounds the digits of a fraction

# [0-9], not \d, which also takes the digits of other scripts.
_strict = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T"
    r"([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])\.([0-9]{3})Z"
).fullmatch
# RFC 3339 section 5.6, "T" and "Z" in either case. Its blank instead of "T" is an option that
# applications may take; this one does not.
_rfc3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]"
    r"([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]|60)(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
).fullmatch


@lru_cache(maxsize=4096)
def format_ms(ms: int) -> str:
    """Spell Unix milliseconds in the strict form. HOT, cached.

    Raises: AssertionError outside of [MIN_MS, MAX_MS].
    """
    if not MIN_MS <= ms <= MAX_MS:
        raise AssertionError("tlog: a time outside of the years 0000 to 9999")
    days, rest = divmod(ms, _DAY_MS)
    seconds, millis = divmod(rest, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    ordinal = days + _EPOCH
    if ordinal >= 1:
        day = date.fromordinal(ordinal).isoformat()
    else:
        day = "0000" + date.fromordinal(ordinal + _CYCLE_DAYS).isoformat()[4:]
    return f"{day}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"


@lru_cache(maxsize=1024)
def parse_time(text: str) -> int:
    """Parse the strict form into Unix milliseconds. Raises: InvalidInput("invalid-time")."""
    match = _strict(text)
    if match is None:
        raise InvalidInput("invalid-time", "not of the form YYYY-MM-DDTHH:MM:SS.mmmZ")
    day, hour, minute, second, millis = match.groups()
    return _day_ms(day) + (int(hour) * 60 + int(minute)) * 60_000 + int(second + millis)


def parse_rfc3339(text: str) -> int:
    """Parse an RFC 3339 date-time into Unix milliseconds; a longer fraction is cut.

    The leap second 23:59:60 UTC, which Unix time has no number for, becomes the last millisecond
    before it. `-00:00` (local offset unknown) is UTC.

    Raises: InvalidInput("invalid-time").
    """
    match = _rfc3339(text) if len(text) <= _MAX_TEXT else None
    if match is None:
        raise InvalidInput("invalid-time", "not an RFC 3339 date-time with offset")
    day, hour, minute, second, fraction, sign, offset_hour, offset_minute = match.groups()
    minutes = int(hour) * 60 + int(minute)
    if sign is not None:
        offset = int(offset_hour) * 60 + int(offset_minute)
        minutes += offset if sign == "-" else -offset
    millis = int(second) * 1000 + int(((fraction or "") + "000")[:3])
    if second == "60":
        # SPEC: RFC 3339 section 5.7: at the end of a month in UTC; which month only tables know.
        if minutes % 1440 != 1439:
            raise InvalidInput("invalid-time", "a leap second is 23:59:60 UTC")
        millis = 59_999
    ms = _day_ms(day) + minutes * 60_000 + millis
    if not MIN_MS <= ms <= MAX_MS:
        raise InvalidInput("invalid-time", "the offset leads out of the years 0000 to 9999")
    return ms


@lru_cache(maxsize=1024)
def _day_ms(text: str) -> int:
    """Unix milliseconds at the beginning of YYYY-MM-DD."""
    year = int(text[:4])
    try:
        ordinal = date(year or 400, int(text[5:7]), int(text[8:])).toordinal()
    except ValueError:
        raise InvalidInput("invalid-time", "no such day in the calendar") from None
    return (ordinal - _EPOCH - (0 if year else _CYCLE_DAYS)) * _DAY_MS
