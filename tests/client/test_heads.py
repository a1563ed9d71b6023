"""Proves that a client which has seen one history of a log does not accept another.

All pairs of small sizes, forked everywhere: consistent heads pass and are kept, every fork is found, at once when the sizes
are equal, with both signed notes in the evidence; a log that cannot or will not prove is a fork, one that is away is not.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.client.trees import RootLog
from tlog.client.errors import BadAnswer, ForkDetected, NetworkFailure
from tlog.client.heads import MAX_PROOFS, HeadKeeper, spread
from tlog.client.pins import Head, Pins, fork_file
from tlog.core.hashes import Hash
from tlog.core.note import open_note
from tlog.errors import InvalidInput, TlogError, VerificationError

SIZES = 9


def keeper(log: RootLog, directory: Path, **options: object) -> HeadKeeper:
    return HeadKeeper(Pins(directory), log.verifier, log.prove, **options)  # type: ignore[arg-type]


def see(heads: HeadKeeper, head: Head) -> None:
    heads.observe(head.checkpoint, head.note)


def test_one_history_is_followed_and_kept(tmp_path: Path) -> None:
    async def follow() -> None:
        log = RootLog(SIZES)
        heads = keeper(log, tmp_path)
        assert heads.newest is None
        for size in range(SIZES + 1):
            see(heads, log.head(size))
            await heads.check()
            assert heads.newest == log.head(size)
            assert Pins(tmp_path).head(log.verifier) == log.head(size)
        assert keeper(log, tmp_path).newest == log.head(SIZES)

    asyncio.run(follow())


def test_every_fork_is_found(tmp_path: Path) -> None:
    async def cross(known: int, shown: int, forked_at: int) -> None:
        directory = tmp_path / f"{known}-{shown}-{forked_at}"
        log, fork = RootLog(SIZES), RootLog(SIZES, forked_at=forked_at)
        heads = keeper(log, directory)
        see(heads, log.head(known))
        await heads.check()
        # From now on the log answers from its other history.
        heads = HeadKeeper(Pins(directory), log.verifier, fork.prove)
        # Its proof from a smaller head to the known one fails too: it has not got the known one.
        same = forked_at >= known or shown == 0
        try:
            see(heads, fork.head(shown))
            await heads.check()
            assert same
            assert heads.newest is not None
            assert heads.newest.size == max(known, shown)
        except ForkDetected as error:
            assert not same
            check_evidence(error, log, log.head(known), fork.head(shown))
            assert Pins(directory).head(log.verifier) == log.head(known)
            check_remembered(error, log, directory)

    async def everywhere() -> None:
        for known in range(1, 7):
            for shown in range(0, 7):
                for forked_at in range(7):
                    await cross(known, shown, forked_at)

    asyncio.run(everywhere())


def check_remembered(error: ForkDetected, log: RootLog, directory: Path) -> None:
    """The next run believes neither history, until somebody decides; another log is not concerned."""
    with pytest.raises(ForkDetected) as again:
        keeper(log, directory)
    assert again.value.evidence == error.evidence
    keeper(RootLog(3, seed=9), directory)
    remembered = directory / fork_file(log.verifier)
    assert str(remembered) in str(again.value)
    remembered.unlink()
    assert keeper(log, directory).newest is not None


def check_evidence(error: ForkDetected, log: RootLog, *heads: Head) -> None:
    assert str(error.evidence) in str(error)
    document = json.loads(error.evidence.read_text())
    notes = {document["first"].encode(), document["second"].encode()}
    assert notes == {head.note for head in heads}
    for note in notes:
        open_note(note, [log.verifier])
    assert document["vkey"] == log.vkey


def test_equal_sizes_are_compared_at_once(tmp_path: Path) -> None:
    log, fork = RootLog(5), RootLog(5, forked_at=2)
    heads = keeper(log, tmp_path)
    see(heads, log.head(5))
    see(heads, log.head(5))
    with pytest.raises(ForkDetected) as caught:
        see(heads, fork.head(5))
    check_evidence(caught.value, log, log.head(5), fork.head(5))


def test_a_head_between_two_checks_is_held_to_the_same_history(tmp_path: Path) -> None:
    # One receipt under a forked head, before and after it the true history.
    async def slip_in() -> None:
        log, fork = RootLog(9), RootLog(9, forked_at=3)
        heads = keeper(log, tmp_path)
        see(heads, log.head(2))
        await heads.check()
        see(heads, fork.head(5))
        see(heads, log.head(9))
        with pytest.raises(ForkDetected):
            await heads.check()
        assert heads.newest == log.head(2)

    asyncio.run(slip_in())


@pytest.mark.parametrize(
    ("answer", "violation"),
    [
        (InvalidInput("invalid-value", "there is no such size", "/second"), True),
        (VerificationError(), True),
        (NetworkFailure("no answer"), False),
        (BadAnswer("a page of a proxy", 404), False),
    ],
)
def test_a_refused_proof_is_a_failed_one_and_silence_is_not(
    tmp_path: Path, answer: TlogError, violation: bool
) -> None:
    async def ask() -> None:
        async def refuses(first: int, second: int) -> list[Hash]:
            raise answer

        log = RootLog(5)
        heads = HeadKeeper(Pins(tmp_path), log.verifier, refuses)
        see(heads, log.head(2))
        await heads.check()
        see(heads, log.head(5))
        with pytest.raises(ForkDetected if violation else type(answer)):
            await heads.check()
        assert heads.newest == log.head(2)
        if not violation:
            assert heads.wait is not None
            heads._prove = log.prove
            await heads.check()
            assert heads.newest == log.head(5)
            assert heads.wait is None

    asyncio.run(ask())


def test_a_wrong_proof_is_a_failed_one(tmp_path: Path) -> None:
    async def lie() -> None:
        async def wrong(first: int, second: int) -> list[Hash]:
            return [bytes(32), *(await log.prove(first, second))[1:]]

        log = RootLog(7)
        heads = HeadKeeper(Pins(tmp_path), log.verifier, wrong)
        see(heads, log.head(3))
        see(heads, log.head(7))
        with pytest.raises(ForkDetected, match="sizes 3 and 7"):
            await heads.check()

    asyncio.run(lie())


def test_processes_that_share_the_directory_share_the_history(tmp_path: Path) -> None:
    async def split_view() -> None:
        log, fork = RootLog(6), RootLog(8, forked_at=4)
        mine, other = keeper(log, tmp_path), HeadKeeper(Pins(tmp_path), log.verifier, fork.prove)
        see(other, fork.head(8))
        await other.check()
        see(mine, log.head(6))
        with pytest.raises(ForkDetected):
            await mine.check()

    async def one_view() -> None:
        log = RootLog(8)
        mine, other = keeper(log, tmp_path / "one"), keeper(log, tmp_path / "one")
        see(other, log.head(8))
        await other.check()
        see(mine, log.head(6))
        await mine.check()
        assert mine.newest == log.head(8)

    asyncio.run(split_view())
    asyncio.run(one_view())


def test_checks_are_rare_and_none_is_forgotten(tmp_path: Path) -> None:
    async def count() -> None:
        asked: list[tuple[int, int]] = []
        now = 100.0

        async def prove(first: int, second: int) -> list[Hash]:
            asked.append((first, second))
            return await log.prove(first, second)

        log = RootLog(12)
        heads = HeadKeeper(Pins(tmp_path), log.verifier, prove, interval=1.0, clock=lambda: now)
        assert heads.wait is None
        for size in (3, 4, 7):
            see(heads, log.head(size))
        assert heads.wait == 1.0
        now += 0.75
        assert heads.wait == 0.25
        now += 9.0
        assert heads.wait == 0.0
        await heads.check()
        assert asked == [(3, 4), (4, 7)]
        assert heads.wait is None
        # Known heads, and older ones that were checked, are not asked for again.
        see(heads, log.head(4))
        see(heads, log.head(7))
        assert heads.wait is None
        # A request that was overtaken: its head is smaller than the newest, and must fit all the same.
        see(heads, log.head(5))
        await heads.check()
        assert asked[2:] == [(5, 7)]
        assert heads.newest == log.head(7)

    asyncio.run(count())


def test_of_very_many_heads_the_newest_is_always_checked() -> None:
    log = RootLog(100)
    heads = [log.head(size) for size in range(1, 101)]
    for count in range(1, 101):
        chosen = spread(heads[:count], MAX_PROOFS)
        sizes = [head.size for head in chosen]
        assert len(sizes) == min(count, MAX_PROOFS)
        assert sizes == sorted(set(sizes))
        assert sizes[-1] == count


def test_the_empty_tree_has_one_root(tmp_path: Path) -> None:
    log = RootLog(4)
    false = RootLog(0)
    false.root = lambda size: bytes(32)  # type: ignore[method-assign]
    heads = keeper(log, tmp_path)
    see(heads, false.head(0))
    see(heads, log.head(4))
    with pytest.raises(ForkDetected, match="empty tree"):
        asyncio.run(heads.check())


def test_only_so_many_heads_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def many() -> None:
        log, fork = RootLog(9), RootLog(9, forked_at=0)
        heads = keeper(log, tmp_path)
        for size in range(1, 10):
            see(heads, log.head(size))
            await heads.check()
        assert len(heads._seen) == 3
        # A false head of a size that is forgotten is found by the next check, not at once.
        see(heads, fork.head(1))
        with pytest.raises(ForkDetected):
            await heads.check()

    monkeypatch.setattr("tlog.client.heads._REMEMBERED", 3)
    asyncio.run(many())


def test_a_kept_head_of_the_same_size_is_compared(tmp_path: Path) -> None:
    # Forgotten here, and shown again with another root: the newest is in the chain all the same.
    log, fork = RootLog(5), RootLog(5, forked_at=1)
    heads = keeper(log, tmp_path)
    see(heads, log.head(5))
    asyncio.run(heads.check())
    heads._seen.clear()
    see(heads, fork.head(5))
    with pytest.raises(ForkDetected, match="two roots"):
        asyncio.run(heads.check())
