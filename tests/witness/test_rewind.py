"""A log that shows everybody the same face, another one later: rewound, rolled back, cut, or one of the same size. Three
witnesses find it in one round of gossip, each by what it kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.core.histories import History
from tests.evil import OTHER_STREAM, STREAM, EvilLog, add, grown
from tests.witness.ring import ring
from tests.witness.test_gossip import check_proof

ALL = ("one", "one", "one")


def _branch(at: int, size: int) -> History:
    """A log that parts from `grown(9)` at leaf `at`."""
    history = grown(at - 1)
    add(history, size - at, b"branch")
    return history


LATER: dict[str, tuple[Callable[[], History], str]] = {
    "rewound between publications, and grown further": (lambda: _branch(6, 14), "fork"),
    "of the same size": (lambda: _branch(6, 10), "fork"),
    "rolled back, and grown to less": (lambda: _branch(6, 8), "withheld"),
    "truncated": (lambda: grown(5), "withheld"),
}


@pytest.mark.parametrize("what", LATER)
async def test_another_face_later(what: str, tmp_path: Path) -> None:
    """Two heads of which the larger is shown prove it. Of a smaller one the tiles of the larger are asked for: no proof, but
    an alarm and both notes, and the proof with the first head that is larger again.
    """
    make, kind = LATER[what]
    first = grown(9)
    log = EvilLog(one=first)
    async with log.served(), ring(tmp_path, log, ALL, first) as members:
        for member in members:
            member.gossip.watch._second_look = 0.02
            await member.gossip.round()
        log.views["one"] = make()
        await asyncio.gather(*[member.gossip.round() for member in members])
        for member in members:
            kinds = {row.kind for row in member.gossip.watch.evidence.all()}
            assert kinds == {kind}
            assert member.gossip.watch.alarms.counts[kind] >= 1
            assert bool(member.frozen()) == (kind == "fork")
        if kind == "fork":
            check_proof(members[0], first.signer.name, first.signer.vkey)
            return
        add(log.views["one"], 8, b"other")
        await asyncio.gather(*[member.gossip.round() for member in members])
        assert all(member.frozen() for member in members)


@pytest.mark.exhaustive
@pytest.mark.parametrize("first", range(0, 256, 16))
async def test_one_stream_forked_at_every_size(tmp_path: Path, first: int) -> None:
    """256 logs, in each of which another leaf of one stream is not the same for all; all else is."""
    log = EvilLog()
    histories = []
    for at in range(first, first + 16):
        name = f"log{at}.example.com"
        one = History("log", name)
        add(one, 2, b"same", OTHER_STREAM)
        if at:
            one.commit(STREAM, *[b"%d" % number for number in range(at)])
        other = one.copy()
        one.commit(STREAM, b"one")
        other.commit(STREAM, b"other")
        for history in (one, other):
            add(history, at % 3, b"same", OTHER_STREAM)
        log.views |= {f"one-{name}": one, f"other-{name}": other}
        histories.append(one)
    async with log.served(), ring(tmp_path, log, ("one", "other", "other"), *histories) as members:
        for member in members:
            await member.gossip.round()
        await asyncio.gather(*[member.gossip.round() for member in members])
        for member in members:
            assert member.frozen() == {history.signer.name for history in histories}
