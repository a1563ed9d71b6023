"""Proves that every event is recorded exactly once and in order, whatever the network, the log and the callers do.

The log of these tests is a model of the law of producer sequences (design section 3) and fails on command; the real one is in
`test_faults.py`. Random runs lose requests and answers, refuse events and tokens, and let another client interfere.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from tlog.client import batching
from tlog.client.batching import StreamWriter, Tuning, Writers
from tlog.client.errors import BadAnswer, NetworkFailure, UnknownOutcome
from tlog.client.outgoing import Outgoing, encode_event
from tlog.client.session import Session
from tlog.client.transport import Answer
from tlog.errors import InvalidInput, Refused, TlogError, Unavailable

STREAM = "acme:prod:scorer"


def session(token: str = "t", next_sequence: int = 1) -> Session:
    return Session("s", STREAM, "/", "v", "scorer", next_sequence, "", 1e18, token)


def event(name: object = "x", **members: Any) -> Any:
    loop = asyncio.get_running_loop()
    raw, sub = encode_event(event_type="t", event_class="DATA", payload={"name": name}, **members)
    return Outgoing(raw, sub, loop.create_future(), loop.time())


class ModelLog:
    """The law: sequences 1, 2, 3 … per producer; a request all or not at all; the same event again is replayed.

    `fault(request)` may raise before anything is recorded, or return an error to be raised afterwards.
    """

    def __init__(self) -> None:
        self.recorded: list[tuple[Any, str]] = []  # name, salt; the sequence is the index + 1
        self.requests: list[list[Any]] = []
        self.flying = 0
        self.fault: Callable[[list[Any]], Any] = lambda request: None
        self.gate: Callable[[], Awaitable[Any]] = lambda: asyncio.sleep(0)
        self.token = "t"

    def usable(self) -> Session | None:
        return session(self.token)

    async def session(self) -> Session:
        return session(self.token)

    def discard(self, used: Session) -> None:
        assert used.token != self.token

    async def post(self, used: Session, stream_id: str, events: list[Outgoing]) -> Answer:
        self.flying += 1
        try:
            assert self.flying == 1, "one request in flight per producer"
            request = [orjson.loads(one.body(stream_id, used.producer_id)) for one in events]
            self.requests.append(request)
            await self.gate()
            if used.token != self.token:
                raise Refused("invalid-token", "over")
            after = self.fault(request)
            answer = self.admit(request)
            if after is not None:
                raise after
            return Answer(201, None, answer)
        finally:
            self.flying -= 1

    def admit(self, request: list[Any]) -> bytes:
        recorded = list(self.recorded)
        at = []
        for index, value in enumerate(request):
            sequence, mine = (
                value["producer"]["sequence"],
                (value["payload"]["name"], value["salt"]),
            )
            pointer = f"/{index}/producer/sequence" if len(request) > 1 else "/producer/sequence"
            if sequence == len(recorded) + 1:
                recorded.append(mine)
            elif sequence > len(recorded):
                raise Refused("producer-gap", "gap", pointer, expected=len(recorded) + 1)
            elif recorded[sequence - 1] != mine:
                raise Refused("conflict", "used", pointer, expected=len(recorded) + 1)
            at.append(sequence)
        self.recorded = recorded
        return orjson.dumps(at)

    async def settle(self, used: Session, events: list[Outgoing], answer: Answer) -> None:
        for one, sequence in zip(events, orjson.loads(answer.body), strict=True):
            if not one.future.done():
                one.future.set_result(sequence)

    @property
    def names(self) -> list[Any]:
        return [name for name, _ in self.recorded]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "pause", lambda tries, retry_after, uniform: 0.0)


def writer(log: ModelLog, first: int = 1, **tuning: Any) -> StreamWriter:
    return StreamWriter(log, STREAM, first, Tuning(**tuning))


async def results(events: list[Outgoing]) -> list[Any]:
    return await asyncio.gather(*[one.future for one in events], return_exceptions=True)


async def test_what_arrives_during_a_request_is_the_next_batch() -> None:
    log, opened = ModelLog(), asyncio.Event()
    log.gate = opened.wait
    stream = writer(log, max_batch=4)
    events = [event(number) for number in range(12)]
    for one in events[:3]:
        stream.put(one)
    await asyncio.sleep(0)
    for one in events[3:]:
        stream.put(one)
    opened.set()
    assert await results(events) == list(range(1, 13))
    sent = [[value["payload"]["name"] for value in request] for request in log.requests]
    assert sent == [[0, 1, 2], [3, 4, 5, 6], [7, 8, 9, 10], [11]]
    assert all(value["stream_id"] == STREAM for request in log.requests for value in request)


async def test_a_batch_ends_before_it_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MAX_BYTES", 3000)
    log = ModelLog()
    stream = writer(log)
    events = [event("x" * size) for size in (1000, 1000, 1000, 5000, 10, 10)]
    for one in events:
        stream.put(one)
    assert await results(events) == list(range(1, 7))
    assert [len(request) for request in log.requests] == [2, 1, 1, 2]


async def test_linger_collects(monkeypatch: pytest.MonkeyPatch) -> None:
    log = ModelLog()
    stream = writer(log, linger=0.05)
    events = [event(number) for number in range(3)]
    for one in events:
        stream.put(one)
        await asyncio.sleep(0.005)
    await results(events)
    assert [len(request) for request in log.requests] == [3]


async def test_a_lost_answer_is_asked_for_again_with_the_same_sequences() -> None:
    log = ModelLog()
    failures: list[TlogError] = [NetworkFailure("cut off"), Unavailable("unknown-outcome", "")]
    log.fault = lambda request: failures.pop() if failures else None
    stream = writer(log)
    events = [event(number) for number in range(3)]
    for one in events:
        stream.put(one)
    assert await results(events) == [1, 2, 3]
    assert len(log.requests) == 3
    assert log.requests[0] == log.requests[1] == log.requests[2]
    assert log.names == [0, 1, 2]


async def test_a_wrong_guess_of_the_sequence_costs_one_round_trip() -> None:
    for first in (1, 2, 9, 10, 400):
        log = ModelLog()
        log.recorded = [("old", str(number)) for number in range(9)]
        stream = writer(log, first)
        events = [event("new") for _ in range(5)]
        for one in events:
            stream.put(one)
        assert await results(events) == [10, 11, 12, 13, 14]
        assert len(log.requests) == (1 if first == 10 else 2)


async def test_a_faulty_event_fails_alone() -> None:
    log = ModelLog()

    def refuse(request: list[Any]) -> None:
        for index, value in enumerate(request):
            if value["payload"]["name"] in (0, 3, 4, 7):
                pointer = f"/{index}/payload/name" if len(request) > 1 else "/payload/name"
                raise InvalidInput("invalid-value", "no", pointer)

    log.fault = refuse
    stream = writer(log)
    events = [event(number) for number in range(8)]
    for one in events:
        stream.put(one)
    got = await results(events)
    assert [got[number] for number in (1, 2, 5, 6)] == [1, 2, 3, 4]
    for number in (0, 3, 4, 7):
        assert isinstance(got[number], InvalidInput)
        assert got[number].pointer == "/payload/name"
    assert log.names == [1, 2, 5, 6]


async def test_a_fault_without_a_pointer_is_found_by_halves() -> None:
    log = ModelLog()

    def refuse(request: list[Any]) -> None:
        if any(value["payload"]["name"] == 5 for value in request):
            raise InvalidInput("body-too-large", "too large")

    log.fault = refuse
    stream = writer(log)
    events = [event(number) for number in range(8)]
    for one in events:
        stream.put(one)
    got = await results(events)
    assert isinstance(got[5], InvalidInput)
    assert log.names == [0, 1, 2, 3, 4, 6, 7]
    assert [one for one in got if not isinstance(one, InvalidInput)] == list(range(1, 8))


async def test_a_log_replaced_by_a_stricter_one_records_nothing_twice() -> None:
    # The answer is lost, and then the event in the middle, recorded already, is refused.
    for recorded_first in (True, False):
        log = ModelLog()
        steps_taken: list[str] = []

        def stricter(
            request: list[Any],
            taken: list[str] = steps_taken,
            recorded_first: bool = recorded_first,
        ) -> TlogError | None:
            taken.append("")
            if len(taken) == 1:
                lost = NetworkFailure("lost")
                if recorded_first:
                    return lost
                raise lost
            for index, value in enumerate(request):
                if value["payload"]["name"] == 1:
                    raise InvalidInput("invalid-value", "no", f"/{index}/payload/name")
            return None

        log.fault = stricter
        stream = writer(log)
        events = [event(number) for number in range(4)]
        for one in events:
            stream.put(one)
        got = await results(events)
        assert isinstance(got[1], InvalidInput)
        assert log.names == ([0, 1, 2, 3] if recorded_first else [0, 2, 3])
        late = event("late")
        stream.put(late)
        await results([late])
        assert log.names[-1] == "late"
        assert len(set(log.recorded)) == len(log.recorded)


async def test_a_refused_token_is_renewed_and_the_events_go_on() -> None:
    log = ModelLog()

    async def expires() -> None:
        if len(log.requests) in (1, 3):
            log.token += "'"

    log.gate = expires
    stream = writer(log)
    for number in range(3):
        one = event(number)
        stream.put(one)
        assert await one.future == number + 1
    assert len(log.requests) == 5
    assert log.names == [0, 1, 2]


async def test_a_token_that_is_always_refused_ends() -> None:
    class Stubborn(ModelLog):
        async def post(self, used: Session, stream_id: str, events: list[Outgoing]) -> Answer:
            raise Refused("invalid-token", "never")

        def discard(self, used: Session) -> None:
            self.requests.append([])

    log = Stubborn()
    stream = writer(log)
    one = event()
    stream.put(one)
    (error,) = await results([one])
    assert isinstance(error, Refused)
    assert error.kind == "invalid-token"
    assert len(log.requests) < 10


async def test_giving_up_says_whether_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "pause", lambda tries, retry_after, uniform: 0.02)
    for failure, kind in (
        (NetworkFailure("cut off"), UnknownOutcome),
        (Unavailable("disk-full", "no room", 1.0), Unavailable),
    ):
        log = ModelLog()

        def always(request: list[Any], failure: TlogError = failure) -> None:
            raise failure

        log.fault = always
        stream = writer(log, retry_for=0.1)
        events = [event(0), event(1)]
        for one in events:
            stream.put(one)
        got = await results(events)
        assert [type(one) for one in got] == [kind, kind]
        assert 3 <= len(log.requests) <= 6
        # The place of what was given up is free, if it is.
        log.fault = lambda request: None
        later = event("later")
        stream.put(later)
        assert await later.future == 1


@pytest.mark.parametrize(
    "refusal",
    [Refused("forbidden", "revoked"), BadAnswer("a page", 404)],
)
async def test_a_refusal_after_a_lost_answer_does_not_say_unrecorded(refusal: TlogError) -> None:
    for lost in (True, False):
        log = ModelLog()
        asked = [lost]

        def revoked(request: list[Any], asked: list[bool] = asked) -> TlogError | None:
            if asked.pop() if asked else False:
                return NetworkFailure("answer lost")
            raise refusal

        log.fault = revoked
        stream = writer(log)
        one = event("one")
        stream.put(one)
        (error,) = await results([one])
        assert log.names == (["one"] if lost else [])
        assert isinstance(error, UnknownOutcome if lost else type(refusal))
        assert refusal.args[0] in str(error)


async def test_giving_up_what_was_recorded_after_all_costs_no_place() -> None:
    log = ModelLog()
    log.fault = lambda request: NetworkFailure("answer lost")
    stream = writer(log, retry_for=-1.0)
    first = event("first")
    stream.put(first)
    (error,) = await results([first])
    assert isinstance(error, UnknownOutcome)
    log.fault = lambda request: None
    stream._tuning = Tuning()
    second = event("second")
    stream.put(second)
    assert await second.future == 2
    assert log.names == ["first", "second"]


async def test_cancelling_one_call_touches_no_other() -> None:
    log, opened = ModelLog(), asyncio.Event()
    log.gate = opened.wait
    stream = writer(log)
    events = [event(number) for number in range(6)]
    for one in events[:3]:
        stream.put(one)
    await asyncio.sleep(0)
    for one in events[3:]:
        stream.put(one)
    events[1].future.cancel()  # on its way: it cannot be taken back
    events[4].future.cancel()  # not sent yet: it never is
    opened.set()
    got = await results(events)
    assert log.names == [0, 1, 2, 3, 5]
    assert [one for one in got if isinstance(one, int)] == [1, 3, 4, 5]


async def test_a_program_fault_leaves_nobody_waiting() -> None:
    class Faulty(ModelLog):
        async def post(self, used: Session, stream_id: str, events: list[Outgoing]) -> Answer:
            raise AssertionError("tlog: bad")

    handled: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: handled.append(context))
    stream = writer(Faulty(), max_batch=1)
    events = [event(0), event(1)]
    for one in events:
        stream.put(one)
    assert [type(one) for one in await results(events)] == [AssertionError, AssertionError]


async def test_drain_waits_for_every_event() -> None:
    log = ModelLog()
    writers = Writers(log, Tuning(max_batch=2))
    events = [event(number) for number in range(7)]
    for number, one in enumerate(events):
        await writers.put(one, STREAM if number % 2 else None)
    await writers.drain()
    assert all(one.future.done() for one in events)
    assert log.names == list(range(7))


async def test_an_event_that_waits_for_the_first_session_is_flushed_too() -> None:
    class Slow(ModelLog):
        ready = False

        def usable(self) -> Session | None:
            return session() if self.ready else None

        async def session(self) -> Session:
            if not self.ready:
                await asyncio.sleep(0)
                self.ready = True
                raise NetworkFailure("not yet")
            return session()

    log = Slow()
    writers = Writers(log, Tuning())
    one = event("early")
    task = asyncio.ensure_future(writers.put(one, None))
    await asyncio.sleep(0)
    await writers.drain()
    assert await one.future == 1
    await task


@pytest.mark.parametrize("seed", range(60))
async def test_random_faults(seed: int) -> None:
    chance = random.Random(seed)
    log = ModelLog()
    accepted, refused = [], []

    def fault(request: list[Any]) -> TlogError | None:
        roll = chance.random()
        if roll < 0.15:
            raise NetworkFailure("request lost")
        for index, value in enumerate(request):
            if value["payload"]["name"] in bad:
                pointer: str | None = f"/{index}/payload/name"
                if len(request) == 1 or chance.random() < 0.3:
                    pointer = None
                raise InvalidInput("invalid-value", "no", pointer)
        if roll < 0.30:
            return chance.choice(
                [
                    NetworkFailure("answer lost"),
                    Unavailable("unknown-outcome", ""),
                    Unavailable("internal", ""),
                ]
            )
        if roll < 0.35:
            raise Unavailable("overloaded", "later", 1.0)
        if roll < 0.40:
            log.token += "'"
            raise Refused("invalid-token", "over")
        if roll < 0.5:
            # Another client with the same producer.
            log.recorded.append(("other", str(chance.random())))
        return None

    log.fault = fault
    stream = writer(log, first=chance.choice([1, 5]), max_batch=chance.choice([1, 3, 50]))
    bad = {number for number in range(60) if chance.random() < 0.05}
    events = []
    for number in range(60):
        one = event(number)
        events.append(one)
        stream.put(one)
        if chance.random() < 0.2:
            await asyncio.sleep(0)
    got = await results(events)
    for number, result in enumerate(got):
        if isinstance(result, InvalidInput):
            refused.append(number)
        else:
            assert isinstance(result, int), result
            accepted.append(number)
            assert log.recorded[result - 1] == (number, events[number].submission.source["salt"])
    assert set(refused) == bad
    assert [name for name in log.names if name != "other"] == accepted
    assert len(set(log.recorded)) == len(log.recorded)
