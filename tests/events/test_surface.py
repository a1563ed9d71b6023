"""The decision surface: both thresholds of each tier to the millisecond, and what is recorded when a part is missing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tlog.core.times import format_ms, parse_rfc3339
from tlog.errors import InvalidInput
from tlog.events.submission import Submission, parse_event
from tlog.events.surface import client_time


def submit(**surface: Any) -> Submission:
    return parse_event(
        {"event_class": "EXECUTION", "event_type": "x", "payload": {}, "decision_surface": surface}
    )


@pytest.mark.parametrize(
    ("tier", "signoff", "dwell_ms", "flag"),
    [
        (1, "14:00:00.499", 499, True),
        (1, "14:00:00.500", 500, False),
        (2, "14:00:01.999", 1999, True),
        (2, "14:00:02.000", 2000, False),
        (3, "14:00:09.999", 9999, True),
        (3, "14:00:10.000", 10000, False),
        (1, "14:00:00", 0, True),
        (1, "13:59:59.999", -1, True),
        (3, "13:00:00", -3_600_000, True),
        # The fraction is cut to milliseconds, as the entry shows it.
        (2, "14:00:01.9999999", 1999, True),
    ],
)
def test_velocity(tier: int, signoff: str, dwell_ms: int, flag: bool) -> None:
    sub = submit(
        presentation_timestamp="2026-03-20T14:00:00Z",
        signoff_timestamp=f"2026-03-20T{signoff}Z",
        decision_complexity_tier=tier,
    )
    assert sub.surface is not None
    assert (sub.surface["dwell_ms"], sub.surface["velocity_flag"]) == (dwell_ms, flag)
    assert sub.velocity_flag is flag


def test_the_tier_is_two_when_none_is_given() -> None:
    assert submit().surface == {"decision_complexity_tier": 2}
    times = {
        "presentation_timestamp": "2026-03-20T14:00:00Z",
        "signoff_timestamp": "2026-03-20T14:00:01.5Z",
    }
    assert submit(**times).velocity_flag is True
    assert submit(**times, decision_complexity_tier=1).velocity_flag is False


@pytest.mark.parametrize("member", ["presentation_timestamp", "signoff_timestamp"])
def test_one_time_alone_gives_no_flag(member: str) -> None:
    sub = submit(**{member: "2026-03-20T15:00:00+01:00"})
    assert sub.surface == {"decision_complexity_tier": 2, member: "2026-03-20T14:00:00.000Z"}
    assert sub.velocity_flag is False


def test_times_of_two_zones_are_compared_as_instants() -> None:
    sub = submit(
        presentation_timestamp="2026-03-20T23:59:59.000-02:00",
        signoff_timestamp="2026-03-21T03:00:00.250+01:00",
    )
    assert sub.surface is not None
    assert sub.surface["dwell_ms"] == 1250
    assert list(sub.surface) == sorted(sub.surface)


_GOOD = st.datetimes().map(lambda moment: moment.isoformat(timespec="seconds")) | st.sampled_from(
    ["2024-02-29T23:59:59", "2016-12-31T23:59:60", "0000-01-01T00:00:00"]
)
_TAIL = st.sampled_from(
    [
        "Z",
        "z",
        ".123Z",
        ".12Z",
        ".1234Z",
        ".000Z",
        "+00:00",
        "-05:30",
        ".999+01:00",
        "",
        "Z\n",
        ".123",
    ]
)


@given(
    st.builds(lambda head, tail: head + tail, _GOOD, _TAIL),
    st.none() | st.tuples(st.integers(0, 24), st.sampled_from("0369TtWZ- :.\n٣")),
)
@example("2016-12-31T23:59:60Z", None)
@example("2016-12-31T23:59:60.123Z", None)
@example("2016-12-31T23:59:59.999Z", None)
@example("2016-12-31t23:59:59Z", None)
def test_the_short_way_to_read_a_time_is_the_long_way(
    text: str, change: tuple[int, str] | None
) -> None:
    if change is not None:
        text = text[: change[0]] + change[1] + text[change[0] + 1 :]
    try:
        ms = parse_rfc3339(text)
    except InvalidInput:
        with pytest.raises(InvalidInput) as caught:
            client_time(text, "/at")
        assert (caught.value.kind, caught.value.pointer) == ("invalid-time", "/at")
    else:
        assert client_time(text, "/at") == (ms, format_ms(ms))
