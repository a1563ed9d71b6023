"""The write path over real files: places, links, heads, exactly-once, all-or-nothing. Every test ends with the oracle."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import STREAM, Clock, TestLog, new_log
from tlog.core.hashes import leaf_hash
from tlog.core.proofs import verify_inclusion, verify_range
from tlog.errors import Refused, Unavailable
from tlog.sequencer.batch import Batch, Outcome, Placed, Replayed

OTHER = "acme:prod:other"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> Iterator[TestLog]:
    with TestLog(new_log(tmp_path / "log"), clock_after(clock)) as opened:
        yield opened


def clock_after(clock: Clock) -> Clock:
    """A clock that is not behind the genesis, which `new_log` wrote by the machine's clock."""
    from tlog.log import now_ms

    clock.ms = now_ms() + 1000
    return clock


def placed(outcome: Outcome) -> list[Placed]:
    events = [event for event in outcome.events if isinstance(event, Placed)]
    assert len(events) == len(outcome.events)
    return events


def producer(sequence: int, **event: Any) -> dict[str, Any]:
    return {"producer": {"id": "scorer", "sequence": sequence}, **event}


def test_first_event_follows_the_genesis(log: TestLog) -> None:
    """The first event of a stream is leaf 1, linked to the genesis by its hash."""
    event = placed(log.append([log.prepare()]))[0]
    genesis = log.log.reader.leaf(event.stream, 0).record.entry

    assert event.index == 1
    assert event.previous_hash == "sha256:" + hashlib.sha256(genesis).hexdigest()
    assert event.block_hash == "sha256:" + hashlib.sha256(event.entry).hexdigest()
    assert event.leaf == leaf_hash(event.entry)
    log.check()


def test_genesis_says_who_and_when_not_before(log: TestLog) -> None:
    """Leaf 0 names the stream, its number, label and key, and the root head that it came after."""
    before = log.log.sequencer.head.root
    log.append([log.prepare()])
    genesis = log.records()[0]["payload"]

    assert genesis["eventType"] == "tlog.stream.opened"
    assert genesis["eventClass"] == "INTENT"
    system = genesis["system"]
    assert system["streamId"] == STREAM
    assert system["origin"] == "log.example.com"
    assert system["keys"] == [log.log.vkey]
    assert system["visibility"] == "private"
    assert system["label"] == log.log.states.rows[system["streamNumber"]].label
    assert system["root"]["size"] == before.size
    log.check()


@pytest.mark.parametrize("count", [1, 2, 3, 255, 256, 257, 600])
def test_paths_of_one_commit_verify(log: TestLog, count: int) -> None:
    """Single events that share a commit each get a path that verifies under the commit's head."""
    log.append([log.prepare()])
    requests = [([log.prepare(payload={"n": n})], None) for n in range(count)]
    outcomes = log.submit(requests, prove=True)
    committed = outcomes[0].committed
    assert committed is not None
    assert all(outcome.committed is committed for outcome in outcomes)

    for outcome in outcomes:
        event = placed(outcome)[0]
        head = committed.heads[event.stream]
        assert outcome.path is not None
        verify_inclusion(
            event.leaf, event.index, head.checkpoint.size, outcome.path, head.checkpoint.root
        )
        body = leaf_hash(head.checkpoint.body())
        verify_inclusion(body, head.leaf_index, committed.root.size, head.path, committed.root.root)
    log.check()


def test_a_batch_over_two_streams_has_a_range_each(log: TestLog) -> None:
    """The leaves of a batch with its range proof give the head of each stream that it touches."""
    log.append([log.prepare(), log.prepare(OTHER)])
    names = [STREAM, OTHER, STREAM, STREAM, OTHER] * 120
    outcome = log.append(
        [log.prepare(name, payload={"n": n}) for n, name in enumerate(names)], prove=True
    )
    events = placed(outcome)
    assert outcome.committed is not None and outcome.ranges is not None

    assert set(outcome.ranges) == {event.stream for event in events}
    for number, one in outcome.ranges.items():
        leaves = [event.leaf for event in events if event.stream == number]
        head = outcome.committed.heads[number].checkpoint
        assert one.end - one.first == len(leaves)
        verify_range(leaves, one.first, head.size, one.left, one.right, head.root)
    log.check()


def test_root_log_gets_one_leaf_per_touched_stream_in_order(log: TestLog) -> None:
    """A commit appends the heads of the streams it touched, by stream number, and nothing else."""
    log.append([log.prepare(), log.prepare(OTHER)])
    before = log.log.sequencer.head.root.size
    outcome = log.append([log.prepare(OTHER), log.prepare(), log.prepare(OTHER)], prove=True)
    assert outcome.committed is not None
    after = log.log.sequencer.head.root.size

    assert after - before == 2
    heads = outcome.committed.heads
    assert [heads[number].leaf_index for number in sorted(heads)] == [before, before + 1]
    for head in heads.values():
        stored = log.log.reader.leaf(0, head.leaf_index).record.entry
        assert stored == head.checkpoint.body()
    log.check()


def test_producer_counts_and_replays(log: TestLog) -> None:
    """The same sequence with the same body is the same entry; another body is a conflict; a gap is refused."""
    first = placed(log.append([log.prepare(**producer(1))]))[0]
    log.append([log.prepare(**producer(2, payload={"n": 2}))])

    again = log.append([log.prepare(**producer(1))])
    assert list(again.events) == [Replayed(first.stream, first.index)]
    with pytest.raises(Refused) as conflict:
        log.append([log.prepare(**producer(1, payload={"n": 9}))])
    assert (conflict.value.kind, conflict.value.extra["expected"]) == ("conflict", 3)
    with pytest.raises(Refused) as gap:
        log.append([log.prepare(**producer(4))])
    assert (gap.value.kind, gap.value.extra["expected"]) == ("producer-gap", 3)
    assert len(log.records()) == 3
    log.check()


def test_a_batch_may_mix_replayed_and_new(log: TestLog) -> None:
    """A resent batch whose first half was recorded records only the rest, in order."""
    events = [producer(n, payload={"n": n}) for n in range(1, 7)]
    log.append([log.prepare(**event) for event in events[:3]])
    outcome = log.append([log.prepare(**event) for event in events], prove=True)

    kinds = [type(event) for event in outcome.events]
    assert kinds == [Replayed] * 3 + [Placed] * 3
    assert [event.index for event in outcome.events] == [1, 2, 3, 4, 5, 6]
    log.check()


def test_nothing_but_replays_beside_something_new(log: TestLog) -> None:
    """What is new in a commit is not of a batch that only repeats, whatever commit its events are of."""
    old, key = [producer(n) for n in (1, 2)], b"k" * 16
    log.append([log.prepare(**event) for event in old])
    log.append([log.prepare()] * 2, request=key)
    young = [producer(n) for n in (3, 4)]
    outcomes = log.submit(
        [
            ([log.prepare(**event) for event in young], None),
            ([log.prepare(**event) for event in young], None),
            ([log.prepare(**event) for event in old], None),
            ([log.prepare()] * 2, key),
        ],
        prove=True,
    )
    assert outcomes[0].committed is not None and outcomes[0].ranges is not None
    for outcome in outcomes[1:]:
        assert [type(event) for event in outcome.events] == [Replayed, Replayed]
        assert (outcome.committed, outcome.ranges) == (None, None)
    log.check()


def test_twins_in_one_commit_are_one_entry(log: TestLog) -> None:
    """Two requests with the same sequence, or the same Idempotency-Key, in one commit make one entry."""
    log.append([log.prepare()])
    twins = [([log.prepare(**producer(1))], None) for _ in range(2)]
    first, second = log.submit(twins)
    assert isinstance(first.events[0], Placed) and isinstance(second.events[0], Replayed)
    assert first.events[0].index == second.events[0].index

    key = b"k" * 16
    keyed = [([log.prepare(payload={"k": 1})], key) for _ in range(2)]
    first, second = log.submit(keyed)
    assert isinstance(first.events[0], Placed) and isinstance(second.events[0], Replayed)
    assert first.events[0].index == second.events[0].index
    assert len(log.records()) == 4
    for number, request in ((2, None), (3, b"l" * 16)):
        event = producer(number) if request is None else {"payload": {"n": 1}}
        other = {**event, "payload": {"n": 9}}
        with pytest.raises(Refused) as refused:
            log.submit([([log.prepare(**one)], request) for one in (event, other)])
        assert refused.value.kind == "conflict"
        log.append([log.prepare()])  # the refusal came before the commit was over
        assert len(log.records()) == 2 * number + 2
    log.check()


def test_idempotency_key_for_a_day(log: TestLog, clock: Clock) -> None:
    """A key replays its batch for 24 hours, refuses another body, and is forgotten afterwards."""
    key = b"q" * 16

    def request(n: int = 0) -> list[Any]:
        return [log.prepare(payload={"n": n + i}) for i in range(5)]

    log.append([log.prepare()])
    first = placed(log.append(request(), request=key))
    clock.ms += 86_400_000 - 1
    again = log.append(request(), request=key)
    assert [event.index for event in again.events] == [event.index for event in first]
    assert all(isinstance(event, Replayed) for event in again.events)
    with pytest.raises(Refused, match="another request"):
        log.append(request(1), request=key)
    with pytest.raises(Refused, match="another request"):
        log.append(request()[:4], request=key)
    clock.ms += 2
    fresh = placed(log.append(request(), request=key))
    assert fresh[0].index == first[-1].index + 1
    log.check()


def test_a_refused_batch_leaves_no_trace(log: TestLog) -> None:
    """All or nothing: the fault of the last event keeps the first out, and its stream unopened."""
    log.append([log.prepare()])
    root = log.log.sequencer.head.root
    opening = {OTHER: log.log.preparer.opening(OTHER, public=False)}
    bad = [log.prepare(OTHER), log.prepare(**producer(7))]
    with pytest.raises(Refused, match="sequence 1 next"):
        log.submit([(bad, None)], openings=opening)
    with pytest.raises(Refused, match="no stream"):
        log.append([log.prepare(), log.prepare("acme:prod:absent")], open_streams=False)

    assert log.log.sequencer.head.root == root
    assert not log.log.stream_exists(OTHER)
    log.check()


def test_a_refused_batch_does_not_hurt_its_neighbours(log: TestLog) -> None:
    """In one commit a bad batch between two good ones is refused alone."""
    log.append([log.prepare()])
    answers: list[Any] = [None] * 3
    groups = [
        [log.prepare(**producer(1))],
        [log.prepare(**producer(5))],
        [log.prepare(**producer(2))],
    ]

    def done(at: int) -> Any:
        return lambda answer: answers.__setitem__(at, answer)

    log.on_writer([Batch(group, done(at)) for at, group in enumerate(groups)])
    assert isinstance(answers[1], Refused)
    assert [answers[0].events[0].index, answers[2].events[0].index] == [2, 3]
    log.check()


def test_clock_that_goes_back(log: TestLog, clock: Clock) -> None:
    """Up to a second back, time stands still; further back, the log refuses to append."""
    first = placed(log.append([log.prepare()]))[0]
    clock.ms -= 1000
    second = log.append([log.prepare()])
    assert second.committed is not None
    times = [entry["timestamp"] for entry in log.records()]
    assert times == sorted(times) and len(set(times)) == 1
    clock.ms -= 1
    with pytest.raises(Unavailable, match="behind") as refused:
        log.append([log.prepare()])
    assert refused.value.kind == "clock"
    assert first.index == 1
    log.check()


def test_backpressure(tmp_path: Path) -> None:
    """Events beyond the limit are refused with Unavailable and nothing of them is kept."""
    new_log(tmp_path / "log")
    with TestLog(tmp_path / "log", start=False) as log:
        limit = log.log.config.max_waiting_events
        ignore: Any = lambda answer: None  # noqa: E731
        log.log.sequencer.submit(Batch([log.prepare()] * limit, ignore))
        with pytest.raises(Unavailable) as refused:
            log.log.sequencer.submit(Batch([log.prepare()], ignore))
        assert refused.value.kind == "overloaded"
        assert log.log.sequencer.waiting == limit
        log.log.start()


def test_many_streams_in_one_commit(log: TestLog) -> None:
    """A thousand streams opened and written in one commit, then once more."""
    names = [f"acme:prod:s{n}" for n in range(1000)]
    outcome = log.append([log.prepare(name) for name in names], prove=True)
    assert outcome.committed is not None and len(outcome.committed.heads) == 1000
    outcome = log.append([log.prepare(name) for name in names], prove=True)
    assert outcome.committed is not None and len(outcome.committed.heads) == 1000
    log.check()
