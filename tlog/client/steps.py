"""What to do when a request failed: the decisions of `batching`, without its waiting.

Source: design §3 (problem types, exactly once). Pure but for the futures of the events that fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto

from tlog.client.errors import NetworkFailure, UnknownOutcome
from tlog.client.outgoing import Outgoing
from tlog.core.wire import decimal
from tlog.errors import InvalidInput, Refused, TlogError, Unavailable

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0
_LONGEST_RETRY_AFTER = 30.0
# Unavailable, and certainly nothing was recorded. Every other kind leaves it open.
_NO_TRACE = frozenset(
    ("rate-limited", "overloaded", "disk-full", "clock", "request-timeout", "status-429")
)


class Step(Enum):
    """What to do after a request failed."""

    AGAIN = auto()  # pause, then the same events with the same sequences
    LOGIN = auto()  # a new token, then the same
    NUMBER = auto()  # take the sequence that the log expects
    DROP = auto()  # one event is at fault: fail it, send the others
    SPLIT = auto()  # one event is at fault and which is not said
    FAIL = auto()  # it concerns all


def next_step(error: TlogError, count: int) -> tuple[Step, int]:
    """What to do after `error` answered a request of `count` events of one stream and one producer.

    The number is the sequence that the first event should have (NUMBER), or the index of the event at fault
    (DROP); else 0.
    """
    if isinstance(error, Unavailable):
        return Step.AGAIN, 0
    if isinstance(error, Refused):
        if error.kind in ("invalid-token", "invalid-credentials"):
            return Step.LOGIN, 0
        expected = error.extra.get("expected")
        if error.kind in ("conflict", "producer-gap") and type(expected) is int and expected > 0:
            # What is expected at the event at fault; those before it would have fitted.
            before = event_index(error.pointer, count) or 0
            return Step.NUMBER, max(1, expected - before)
        # Token, stream and producer are one for the batch: what is refused to one is refused to all.
        return Step.FAIL, 0
    if isinstance(error, InvalidInput):
        index = event_index(error.pointer, count)
        if index is not None:
            return Step.DROP, index
        if count > 1:
            return Step.SPLIT, 0
    return Step.FAIL, 0


def event_index(pointer: str | None, count: int) -> int | None:
    """Which of `count` events a problem's pointer names: `/17/payload/x` in a batch, any in a single request."""
    if count == 1:
        return 0
    if pointer is None or not pointer.startswith("/"):
        return None
    try:
        index = decimal(pointer[1:].partition("/")[0])
    except InvalidInput:
        return None
    return index if index < count else None


def pause(tries: int, retry_after: float, uniform: Callable[[float, float], float]) -> float:
    """Seconds to wait before try number `tries` + 1: doubling, half of it random, at least `retry_after`.

    Without the random half, the clients of a log that comes back would all call at once.
    """
    backoff = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(tries, 16))
    wait = backoff * uniform(0.5, 1.0)
    if retry_after > 0:
        wait += min(retry_after, _LONGEST_RETRY_AFTER)
    return wait


def may_be_recorded(error: TlogError) -> bool:
    """Whether a request that failed so may have been carried out."""
    return isinstance(error, Unavailable) and error.kind not in _NO_TRACE


def number(events: list[Outgoing], first: int) -> None:
    """Give the events the sequences from `first` on."""
    for sequence, event in enumerate(events, first):
        event.sequence = sequence


def fail(events: Iterable[Outgoing], error: TlogError) -> None:
    """Give each event an error of its own; a pointer into the request becomes one into the event."""
    for event in events:
        event.fail(_copy(error))


def _copy(error: TlogError) -> TlogError:
    # One exception raised by many callers would collect the tracebacks of all.
    if isinstance(error, InvalidInput):
        return InvalidInput(error.kind, error.detail, _within(error.pointer))
    if isinstance(error, Refused):
        return Refused(error.kind, error.detail, _within(error.pointer), **error.extra)
    if isinstance(error, NetworkFailure | UnknownOutcome):
        return type(error)(error.detail)
    if isinstance(error, Unavailable):
        return Unavailable(error.kind, error.detail, error.retry_after)
    return error


def _within(pointer: str | None) -> str | None:
    if pointer is None or not pointer[1:2].isdigit():
        return pointer
    return "/" + pointer[1:].partition("/")[2] if "/" in pointer[1:] else None
