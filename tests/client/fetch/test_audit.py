"""Following a log: what holds is counted, what is new alone is read, and each lie is named."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.client.fetch.tiled import ORIGIN, Audited, Tiles, counted
from tlog.client.fetch import Fetcher, http
from tlog.client.fetch.audit import MemoryState, RootFollower, Trail
from tlog.core.checkpoint import Checkpoint
from tlog.core.root_log import RuleBroken, StreamHead
from tlog.errors import InvalidInput, Refused, Unavailable

LABELS = [letter * 51 + "q" for letter in "abc"] + ["acme/prod/public"]


def grown(rounds: int = 30, seed: int = 1) -> Audited:
    """Streams that grow in turn by a few entries, one of them over several tiles."""
    log = Audited()
    chance = random.Random(seed)
    for number in range(rounds):
        label = LABELS[number % len(LABELS)]
        count = chance.choice([1, 2, 3, 260])
        log.append(label, *[b"%d %d" % (number, one) for one in range(count)])
    return log


async def follow(log: Audited, state: MemoryState, segment: int = 7) -> RootFollower:
    async with Fetcher(log.url) as fetcher:
        follower = RootFollower(fetcher, ORIGIN, state, segment=segment)
        await follower.advance(log.head())
    return follower


async def test_a_log_that_grows() -> None:
    """Everything is counted once; the state then stands for all of it."""
    log, state = grown(), MemoryState()
    async with log.served():
        first = (await follow(log, state)).counts
        assert (first.root_leaves, first.heads) == (31, 30)
        assert first.leaves == sum(len(log.stream(label).entries) for label in LABELS)
        log.asked.clear()
        log.append(LABELS[0], b"new")
        second = (await follow(log, state)).counts
    assert (second.root_leaves, second.heads, second.streams, second.leaves) == (1, 1, 1, 1)
    assert not any(LABELS[1] in path for path in log.asked)
    assert state.root == Trail(32, state.root.subtrees)
    assert state.root.root() == log.head().root
    for label in LABELS:
        tree = log.stream(label)
        assert state.trails[label].size == state.heads[label].size == len(tree.entries)
        assert state.trails[label].root() == state.heads[label].root == tree.root()


async def test_only_one_stream() -> None:
    log, state = grown(), MemoryState()
    async with log.served(), Fetcher(log.url) as fetcher:
        follower = RootFollower(fetcher, ORIGIN, state, wanted=LABELS[2].__eq__)
        await follower.advance(log.head())
        assert list(state.trails) == [LABELS[2]]
        assert set(state.heads) == {*LABELS, ORIGIN}
        await follower.visit(LABELS)
    assert follower.counts.streams == 5
    assert state.trails[LABELS[0]].size == len(log.stream(LABELS[0]).entries)


async def test_a_run_that_breaks_off_goes_on() -> None:
    """A stream that cannot be read stops it; what was checked before is not asked for again."""
    log, state = grown(), MemoryState()
    path = f"streams/{LABELS[3]}/tile/entries/000"
    size = len(log.logs[""].entries)
    late = log.stream(LABELS[1])
    log.lies[f"streams/{LABELS[1]}/tile/0/{len(late.entries) // 256:03d}"] = 404
    gone = f"streams/{LABELS[1]}/tile/0/{len(late.entries) // 256:03d}.p/{len(late.entries) % 256}"
    log.lies[gone] = 404
    async with log.served():
        with pytest.raises(RuleBroken, match="withheld"):
            await follow(log, state)
        done = state.root.size
        assert 0 < done < size
        log.lies.clear()
        counts = (await follow(log, state)).counts
    assert counts.root_leaves == size - done
    assert state.root.root() == log.head().root
    assert path not in log.asked


def lies() -> Iterator[tuple[str, str, Audited]]:
    """One log for each way to lie in a root log."""
    log = grown()
    log.append(LABELS[0], b"x", root=bytes(32))
    yield "a root that no tree has", "tile", log
    log = grown()
    log.append(LABELS[0], b"x", root=bytes(32))
    log.append(LABELS[0], b"y")
    yield "a head between that no leaves give", "extension", log
    log = grown()
    tree = log.stream(LABELS[1])
    log.logs[f"streams/{LABELS[1]}/"] = Tiles([b"other", *tree.entries[1:]])
    log.append(LABELS[1], b"x")
    yield "a stream that was written anew", "extension", log
    log = grown()
    log.leaf(Checkpoint(f"{ORIGIN}/streams/{LABELS[1]}", 1, bytes(32)).body())
    yield "a stream that shrinks", "growth", log
    log = grown()
    log.leaf(b"nonsense")
    yield "a leaf that is no head", "form", log
    log = grown()
    log.leaf(Checkpoint("other.example.com/streams/x", 1, bytes(32)).body())
    yield "a head of another log", "origin", log
    log = grown()
    log.logs[""] = Tiles(log.logs[""].entries[1:])
    yield "a root log without its first leaf", "first", log


@pytest.mark.parametrize(("rule", "log"), [pytest.param(*one[1:], id=one[0]) for one in lies()])
async def test_lies(rule: str, log: Audited) -> None:
    state = MemoryState()
    async with log.served():
        with pytest.raises(RuleBroken) as caught:
            await follow(log, state, segment=100)
    assert caught.value.rule == rule
    assert state == MemoryState()


async def test_a_history_that_changed() -> None:
    log, state = grown(), MemoryState()
    async with log.served(), Fetcher(log.url) as fetcher:
        kept = log.head()
        await RootFollower(fetcher, ORIGIN, state).advance(kept)
        log.logs[""] = grown(seed=2).logs[""]
        follower = RootFollower(fetcher, ORIGIN, state)
        with pytest.raises(RuleBroken, match="history"):
            await follower.advance(log.head(), kept)
        with pytest.raises(InvalidInput, match="are remembered"):
            await follower.advance(log.head())
        log.logs[""] = Tiles(log.logs[""].entries[:-1])
        with pytest.raises(RuleBroken, match="rollback"):
            await follower.advance(log.head(), kept)


async def test_a_state_that_something_else_changed() -> None:
    """No false word of it makes the log look verified: it is refused, or the log looks like a liar."""
    log = grown()
    async with log.served():
        good = MemoryState()
        await follow(log, good)
        log.append(LABELS[0], b"new")
        size = good.trails[LABELS[0]].size
        for trail in (
            Trail(),
            Trail(size, bytes(len(good.trails[LABELS[0]].subtrees))),
            Trail(size + 1, bytes(32 * (size + 1).bit_count())),
            Trail(size + 9, bytes(32 * (size + 9).bit_count())),
            Trail(size, b"x"),
        ):
            bad = MemoryState(good.root, dict(good.heads), {**good.trails, LABELS[0]: trail})
            if trail.size:
                with pytest.raises((InvalidInput, RuleBroken)):
                    await follow(log, bad)
            else:
                assert (await follow(log, bad)).counts.leaves == size + 1


class Notes:
    """Reads entries from `start` on, or says no."""

    def __init__(self, start: int = 0) -> None:
        self.start = start
        self.seen: list[bytes] = []

    async def take(self, first: int, entries: list[bytes]) -> None:
        assert first == self.start
        self.seen += entries
        self.start += len(entries)


@pytest.mark.parametrize("behind", [0, 3, 256, 300])
async def test_entries_are_read_from_where_their_reader_stands(behind: int) -> None:
    log, state = Audited(), MemoryState()
    log.append(LABELS[0], *counted(300))
    async with log.served(), Fetcher(log.url) as fetcher:
        await RootFollower(fetcher, ORIGIN, state).advance(log.head())
        log.append(LABELS[0], b"300", b"301")
        reader = Notes(behind)

        async def readers(label: str, newest: StreamHead) -> Notes:
            return reader

        follower = RootFollower(fetcher, ORIGIN, state, reader=readers)
        await follower.advance(log.head())
    assert reader.seen == counted(302)[behind:]
    assert (follower.counts.leaves, follower.counts.entries) == (2, 302 - behind)


async def test_what_cannot_be_read_is_no_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_FIRST_WAIT", 0.001)
    log, state = grown(), MemoryState()
    log.lies["tile/entries/000.p/31"] = 403
    async with log.served():
        with pytest.raises(Refused):
            await follow(log, state)
        url = log.url
    async with Fetcher(url) as fetcher:
        with pytest.raises(Unavailable):
            await RootFollower(fetcher, ORIGIN, state).advance(log.head())
    assert state == MemoryState()
