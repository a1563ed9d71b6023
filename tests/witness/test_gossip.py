"""A log that shows two faces is found out within one round of gossip, with a proof that anybody can check."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.test_verifier import program
from tests.core.histories import History
from tests.evil import OTHER_STREAM, STREAM, EvilLog, add, grown
from tests.witness.ring import Member, ring, until
from tlog.core.fork import verify_fork
from tlog.core.note import parse_vkey

VIEWS = ("one", "other", "other")


def forked(at: int, one: int, other: int, name: str = "log.example.com") -> tuple[History, History]:
    """Two histories that have `at` leaves of the root log in common, and `one` and `other` leaves in all."""
    first = grown(at - 1, origin=name)
    second = first.copy()
    add(first, one - at, b"one")
    add(second, other - at, b"other")
    return first, second


def one_stream_only() -> tuple[History, History]:
    """Only one stream is forked; what the other stream has is the same."""
    first, second = forked(5, 5, 5)
    add(first, 1, b"one", STREAM)
    add(second, 1, b"other", STREAM)
    for history in (first, second):
        add(history, 3, b"same", OTHER_STREAM)
    return first, second


def tail_cut() -> tuple[History, History]:
    """One view goes on with a head of the stream that is smaller than the one before."""
    first = grown(8)
    second = first.copy()
    add(first, 2, b"more", STREAM)
    second.write(second.head(STREAM, 2).body())
    add(second, 1, b"more", OTHER_STREAM)
    return first, second


def head_withheld() -> tuple[History, History]:
    """One view never sees a commit to one stream."""
    first = grown(6)
    second = first.copy()
    add(first, 1, b"hidden", STREAM)
    for history in (first, second):
        add(history, 3, b"same", OTHER_STREAM)
    return first, second


SPLITS: dict[str, Callable[[], tuple[History, History]]] = {
    "the larger seen by many": lambda: forked(4, 6, 9),
    "the larger seen by one": lambda: forked(4, 9, 6),
    "one size": lambda: forked(4, 8, 8),
    "from the beginning": lambda: forked(1, 3, 7),
    "at the last leaf": lambda: forked(7, 8, 8),
    "beyond a tile": lambda: forked(250, 256, 262),
    "one stream only": one_stream_only,
    "a stream's tail is cut": tail_cut,
    "a stream's head is withheld": head_withheld,
}


def check_proof(member: Member, origin: str, vkey: str) -> None:
    """The member keeps a fork proof of this log, and two verifiers accept it with the vkey alone."""
    rows = [row for row in member.forks() if row.log == origin]
    assert rows
    for row in rows:
        fork = verify_fork(row.document, parse_vkey(vkey))
        assert fork.log_origin == origin
        assert program.check_fork(json.loads(row.document), program.Key(vkey, 1))


@pytest.mark.parametrize("name", SPLITS)
async def test_two_faces(name: str, tmp_path: Path) -> None:
    one, other = SPLITS[name]()
    log = EvilLog(one=one, other=other)
    async with log.served(), ring(tmp_path, log, VIEWS, one) as members:
        for member, view in zip(members, VIEWS, strict=True):
            assert (await member.call("POST", "/add-checkpoint", log.request(view))).status == 200
        for member in members:
            member.run()
        await until(lambda: all(member.frozen() for member in members))
        assert [member.gossip.rounds for member in members] <= [1, 1, 1]
        for member, view in zip(members, VIEWS, strict=True):
            check_proof(member, one.signer.name, one.signer.vkey)
            again = await member.call("POST", "/add-checkpoint", log.request(view, 0))
            assert (again.status, b"it lied" in again.body) == (403, True)


@pytest.mark.exhaustive
@pytest.mark.parametrize("first", range(1, 257, 16))
async def test_a_fork_at_every_size(tmp_path: Path, first: int) -> None:
    """256 logs, each forked at another leaf, 16 at a time: one round of gossip finds all of them."""
    log = EvilLog()
    histories = []
    for at in range(first, first + 16):
        name = f"log{at}.example.com"
        one, other = forked(at, at + 1 + at % 3, at + 1 + at % 5, name)
        log.views |= {f"one-{name}": one, f"other-{name}": other}
        histories.append(one)
    async with log.served(), ring(tmp_path, log, VIEWS, *histories) as members:
        for member in members:
            member.run()
        names = {history.signer.name for history in histories}
        await until(lambda: all(member.frozen() == names for member in members), 60.0)
        for member in members:
            assert member.gossip.rounds <= 1
            for history in histories:
                check_proof(member, history.signer.name, history.signer.vkey)


async def test_news_at_the_moment_of_stopping(tmp_path: Path) -> None:
    """A process that is told something while it stops must stop all the same."""
    one, _ = forked(2, 3, 3)
    log = EvilLog(one=one)
    async with log.served(), ring(tmp_path, log, ["one"], one) as [member]:
        task = asyncio.create_task(member.gossip.run())
        await until(lambda: member.gossip.rounds == 1)
        await asyncio.sleep(0.05)
        member.gossip.watch.news.set()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=20)
        assert task.cancelled()
