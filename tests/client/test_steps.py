"""Proves what the client does about each failure: which are tried again, renumbered, blamed on one event, or final.

Every problem kind that the log's API has a status for is classified here; a new kind fails the test until somebody decides.
"""

from __future__ import annotations

import asyncio

import pytest

from tlog.api.problems import STATUS, problem
from tlog.client import transport
from tlog.client.errors import BadAnswer, NetworkFailure, UnknownOutcome
from tlog.client.outgoing import Outgoing
from tlog.client.steps import Step, event_index, fail, may_be_recorded, next_step, pause
from tlog.client.transport import Answer
from tlog.errors import CorruptStore, InvalidInput, Refused, TlogError, Unavailable

LOGIN = ["invalid-credentials", "invalid-token"]
NUMBER = ["producer-gap", "conflict"]
REFUSED = (
    "missing-scope foreign-tenant foreign-producer too-many-streams not-found exists erased"
    " anchors-not-accepted".split()
)


def answered(error: TlogError) -> TlogError:
    """The error after it went over the wire."""
    response = problem(error)
    body = response.body
    assert isinstance(body, bytes)
    retry_after = response.headers.get("Retry-After")
    return transport.problem(
        Answer(response.status, float(retry_after) if retry_after else None, body)
    )


@pytest.mark.parametrize("kind", sorted(STATUS))
def test_every_kind_of_the_api_has_a_step(kind: str) -> None:
    status = STATUS[kind]
    extra = {"expected": 7} if kind in NUMBER else {}
    error: TlogError = Refused(kind, "detail", "/3/producer", **extra)
    if status in (429, 503):
        error = Unavailable(kind, "detail")
    step, _ = next_step(answered(error), 9)
    if kind in LOGIN:
        assert step is Step.LOGIN
    elif kind in NUMBER:
        assert step is Step.NUMBER
    elif status in (408, 429, 503):
        assert step is Step.AGAIN
    elif kind in REFUSED:
        assert step is Step.FAIL
    else:
        assert step is Step.DROP


def test_errors_keep_what_the_caller_needs() -> None:
    gap = answered(Refused("producer-gap", "send 5", "/0/producer/sequence", expected=5))
    assert isinstance(gap, Refused)
    assert (gap.kind, gap.detail, gap.pointer) == ("producer-gap", "send 5", "/0/producer/sequence")
    assert gap.extra == {"expected": 5}
    busy = answered(Unavailable("overloaded", "later", 2.5))
    assert isinstance(busy, Unavailable)
    assert (busy.kind, busy.retry_after) == ("overloaded", 3.0)
    wrong = answered(InvalidInput("invalid-time", "no time", "/17/occurred_at"))
    assert isinstance(wrong, InvalidInput)
    assert (wrong.kind, wrong.pointer) == ("invalid-time", "/17/occurred_at")
    broken = answered(CorruptStore("bits"))
    assert isinstance(broken, Unavailable)
    assert may_be_recorded(broken)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, b"<html>", BadAnswer),
        (413, b"", BadAnswer),
        (403, b'{"type":"about:blank","title":"no"}', BadAnswer),
        (422, b"[1]", BadAnswer),
        (502, b"<html>", Unavailable),
        (504, b'{"type":7,"detail":8}', Unavailable),
        (429, b"slow down", Unavailable),
    ],
)
def test_what_no_log_answered(status: int, body: bytes, kind: type[TlogError]) -> None:
    error = transport.problem(Answer(status, None, body))
    assert type(error) is kind
    assert may_be_recorded(error) == (status in (502, 504))


def test_hostile_problem_members_do_no_harm() -> None:
    body = b'{"type":"urn:tlog:problem:conflict","detail":5,"pointer":[],"expected":"9","self":1,"kind":2}'
    error = transport.problem(Answer(409, None, body))
    assert isinstance(error, Refused)
    assert (error.pointer, error.extra) == (None, {"expected": "9"})
    assert next_step(error, 3)[0] is Step.FAIL


@pytest.mark.parametrize(
    ("pointer", "count", "index"),
    [
        ("/17/payload/x", 18, 17),
        ("/17", 18, 17),
        ("/18/payload", 18, None),
        ("/payload/x", 18, None),
        ("/017/payload", 18, None),
        ("/-1", 18, None),
        ("/1_0", 18, None),
        ("", 18, None),
        (None, 18, None),
        ("17", 18, None),
        ("/payload/x", 1, 0),
        (None, 1, 0),
    ],
)
def test_which_event_is_at_fault(pointer: str | None, count: int, index: int | None) -> None:
    assert event_index(pointer, count) == index


def test_a_fault_that_names_no_event_splits_the_batch() -> None:
    assert next_step(InvalidInput("body-too-large", "too large"), 2) == (Step.SPLIT, 0)
    assert next_step(InvalidInput("body-too-large", "too large"), 1) == (Step.DROP, 0)


def test_expected_is_that_of_the_event_at_fault() -> None:
    gap = Refused("producer-gap", "", "/4/producer/sequence", expected=10)
    assert next_step(gap, 9) == (Step.NUMBER, 6)
    assert next_step(gap, 1) == (Step.NUMBER, 10)
    for expected in (None, 0, -3, True, "5", 1.5):
        error = Refused("conflict", "", "/0/producer/sequence", expected=expected)
        assert next_step(error, 9)[0] is Step.FAIL


def test_silence_may_mean_that_it_is_recorded_and_a_refusal_does_not() -> None:
    assert may_be_recorded(NetworkFailure("cut off"))
    assert may_be_recorded(Unavailable("unknown-outcome", ""))
    assert may_be_recorded(Unavailable("internal", ""))
    assert may_be_recorded(Unavailable("a-kind-of-tomorrow", ""))
    for kind in ("rate-limited", "overloaded", "disk-full", "clock", "request-timeout"):
        assert not may_be_recorded(Unavailable(kind, ""))
    assert not may_be_recorded(Refused("conflict", ""))
    assert not may_be_recorded(InvalidInput("wrong-type", ""))


def test_pauses_grow_vary_and_end() -> None:
    shortest = [pause(tries, 0, lambda low, high: low) for tries in range(40)]
    longest = [pause(tries, 0, lambda low, high: high) for tries in range(40)]
    assert shortest[0] == 0.025
    assert longest[0] == 0.05
    assert longest == sorted(longest)
    assert longest[-1] == 5.0
    assert all(low == high / 2 for low, high in zip(shortest, longest, strict=True))
    # What the log asks for is waited for, but not for ever.
    assert pause(0, 3.0, lambda low, high: low) == 3.025
    assert pause(0, 1e9, lambda low, high: low) < 60


async def test_each_event_gets_an_error_of_its_own_in_its_own_terms() -> None:
    loop = asyncio.get_running_loop()
    events = [Outgoing(b"{}", None, loop.create_future(), 0.0) for _ in range(3)]  # type: ignore[arg-type]
    events[1].future.cancel()
    for error in (
        InvalidInput("wrong-type", "must be text", "/1/tags/0"),
        Refused("not-found", "no stream", "/2/stream_id", expected=3),
        Unavailable("overloaded", "later", 2.0),
        NetworkFailure("cut off"),
        UnknownOutcome("gave up"),
        BadAnswer("a page", 404),
    ):
        for event in events:
            if not event.future.cancelled():
                event.future = loop.create_future()
        fail(events, error)
        first, last = events[0].future.exception(), events[2].future.exception()
        assert type(first) is type(error)
        assert vars(first).get("detail") == vars(error).get("detail")
        assert vars(first).get("extra") == vars(error).get("extra")
        if not isinstance(error, BadAnswer):
            assert first is not last
        if isinstance(error, InvalidInput):
            assert first is not None
            assert vars(first)["pointer"] == "/tags/0"
