"""One spelling of the log's time; every RFC 3339 time of a client, and no other, is understood."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlog.core.times import MAX_MS, MIN_MS, format_ms, parse_rfc3339, parse_time
from tlog.errors import InvalidInput

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
YEAR_ONE = -62_135_596_800_000  # 0001-01-01, where Python's calendar begins


@given(st.integers(YEAR_ONE, MAX_MS))
def test_the_strict_form(ms: int) -> None:
    moment = EPOCH + timedelta(milliseconds=ms)
    text = f"{moment:%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
    assert format_ms(ms) == f"{moment.year:04}-{text}"
    assert parse_time(format_ms(ms)) == parse_rfc3339(format_ms(ms)) == ms


@given(st.integers(MIN_MS, YEAR_ONE - 1))
def test_year_zero_is_a_leap_year_before_year_one(ms: int) -> None:
    text = format_ms(ms)
    assert text.startswith("0000-")
    # 400 years later the calendar is the same.
    assert text[4:] == format_ms(ms + 146_097 * 86_400_000)[4:]
    assert parse_time(text) == parse_rfc3339(text) == ms


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_774_015_203_250, "2026-03-20T14:00:03.250Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (MIN_MS, "0000-01-01T00:00:00.000Z"),
        (MIN_MS + 59 * 86_400_000, "0000-02-29T00:00:00.000Z"),
        (YEAR_ONE - 1, "0000-12-31T23:59:59.999Z"),
        (MAX_MS, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_known_times(ms: int, text: str) -> None:
    assert format_ms(ms) == text
    assert parse_time(text) == parse_rfc3339(text) == ms


@pytest.mark.parametrize("ms", [MIN_MS - 1, MAX_MS + 1])
def test_beyond_the_calendar(ms: int) -> None:
    with pytest.raises(AssertionError, match="0000 to 9999"):
        format_ms(ms)


NO_DAY = [
    *[
        "2026-02-29",
        "2024-02-30",
        "1900-02-29",
        "2026-00-01",
        "2026-13-01",
        "2026-01-00",
        "2026-04-31",
    ],
    *["2026-01-32", "0000-02-30", "0000-00-00"],
]
NO_TIME = [
    "24:00:00",
    "23:60:00",
    "00:00:61",
    "1:00:00",
    "00:0:00",
    "00:00:0",
    "-1:00:00",
    "99:99:99",
]
STRICT_ONLY = [
    *["2026-03-20T14:00:03Z", "2026-03-20T14:00:03.25Z", "2026-03-20T14:00:03.2500Z"],
    *["2026-03-20t14:00:03.250Z", "2026-03-20T14:00:03.250z", "2026-03-20T14:00:03.250+00:00"],
    *["2026-06-30T23:59:60.000Z"],
]
NEITHER = [
    *[
        "",
        "Z",
        "2026-03-20",
        "14:00:03.250Z",
        "2026-03-20 14:00:03.250Z",
        "2026-03-20_14:00:03.250Z",
    ],
    *[
        "2026-03-20T14:00:03.250",
        "2026-03-20T14:00Z",
        "20260320T140003.250Z",
        "2026-079T14:00:03.250Z",
    ],
    *["2026-3-20T14:00:03.250Z", "226-03-20T14:00:03.250Z", "12026-03-20T14:00:03.250Z"],
    *["+2026-03-20T14:00:03.250Z", "-2026-03-20T14:00:03.250Z", "2026-03-20T14:00:03.Z"],
    *["2026-03-20T14:00:03,250Z", "2026-03-20T14:00:03.250Z\n", " 2026-03-20T14:00:03.250Z"],
    *["2026-03-20T14:00:03.250ZZ", "2026-03-20T14:00:03.250Z+01:00", "2026-03-20T14:00:03.٢٥٠Z"],
    *["２026-03-20T14:00:03.250Z", "2026-03-20T14:00:03.250+0100", "2026-03-20T14:00:03.250+01"],
    *[
        "2026-03-20T14:00:03.250+24:00",
        "2026-03-20T14:00:03.250+01:60",
        "2026-03-20T14:00:03.250 01:00",
    ],
    *[f"{day}T00:00:00.000Z" for day in NO_DAY],
    *[f"2026-03-20T{time}.000Z" for time in NO_TIME],
]


@pytest.mark.parametrize("text", STRICT_ONLY + NEITHER)
def test_the_log_has_one_spelling(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_time(text)
    assert caught.value.kind == "invalid-time"


@pytest.mark.parametrize(
    "text",
    [
        *NEITHER,
        "2026-03-20T14:00:03." + "0" * 44 + "Z",
        "0000-01-01T00:59:59.999+01:00",
        "9999-12-31T23:00:00-01:00",
        # A leap second anywhere but in the last minute of a day in UTC.
        *[
            "2026-06-30T23:58:60Z",
            "2026-06-30T12:59:60Z",
            "2026-06-30T23:59:60+01:00",
            "2026-07-01T00:00:60Z",
        ],
    ],
)
def test_no_time_of_a_client(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_rfc3339(text)
    assert caught.value.kind == "invalid-time"


@pytest.mark.parametrize(
    ("text", "strict"),
    [
        ("2026-03-20T14:00:03Z", "2026-03-20T14:00:03.000Z"),
        ("2026-03-20t14:00:03z", "2026-03-20T14:00:03.000Z"),
        ("2026-03-20T14:00:03.1Z", "2026-03-20T14:00:03.100Z"),
        ("2026-03-20T14:00:03.12Z", "2026-03-20T14:00:03.120Z"),
        ("2026-03-20T14:00:03.1239999999Z", "2026-03-20T14:00:03.123Z"),
        ("2026-03-20T14:00:03." + "9" * 43 + "Z", "2026-03-20T14:00:03.999Z"),
        ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
        ("2026-03-20T15:00:03+01:00", "2026-03-20T14:00:03.000Z"),
        ("2026-03-20T00:30:00+05:45", "2026-03-19T18:45:00.000Z"),
        ("2026-12-31T23:30:00.5-00:30", "2027-01-01T00:00:00.500Z"),
        ("2026-03-20T14:00:03-00:00", "2026-03-20T14:00:03.000Z"),
        ("2026-03-20T14:00:03+23:59", "2026-03-19T14:01:03.000Z"),
        ("2026-03-20T14:00:03-23:59", "2026-03-21T13:59:03.000Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999Z"),
        ("2016-12-31T23:59:60.5Z", "2016-12-31T23:59:59.999Z"),
        ("1990-12-31T15:59:60-08:00", "1990-12-31T23:59:59.999Z"),
        ("2017-01-01T08:59:60+09:00", "2016-12-31T23:59:59.999Z"),
        ("0000-01-01T00:00:00+00:00", "0000-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:60Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_times_of_clients(text: str, strict: str) -> None:
    assert format_ms(parse_rfc3339(text)) == strict


@given(
    st.datetimes(
        timezones=st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
            lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
        ),
        min_value=datetime(2, 1, 1),
        max_value=datetime(9998, 12, 31),
    )
)
def test_any_offset(moment: datetime) -> None:
    assert parse_rfc3339(moment.isoformat()) == (moment - EPOCH) // timedelta(milliseconds=1)
