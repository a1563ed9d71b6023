"""Before gossip holds anything against a log it asks twice; what the log bears out later is held against it no more; and a
log that is slow, or lies without end, is no burden for the others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256

import msgspec
import pytest
from aiohttp import web

from tests.evil import STREAM
from tests.witness.listening import listening
from tests.witness.test_watch import World, branch, world
from tlog.core.checkpoint import Checkpoint
from tlog.core.fork import Statement, find_fork
from tlog.core.note import sign_note
from tlog.errors import Refused
from witness import evidence, judge
from witness.compare import Answer, Compared, contradiction
from witness.gossip import Gossip
from witness.notes import open_signed
from witness.peers import Peers
from witness.rows import origin_key

__all__ = ["world"]


async def test_one_answer_is_none(world: World) -> None:
    """404 for a moment, as a server says that starts again: nothing is kept, nobody is woken."""
    world.log.silent.add("one")
    await world.watch.take([world.one.note().note], "test")
    asyncio.get_running_loop().call_later(0.02, world.log.silent.clear)
    await world.watch.settle()
    assert (world.kinds(), world.alarms.counts, world.watch.waiting()) == ([], {}, [])


async def test_a_shorter_head_and_one_answer(world: World) -> None:
    """A stale copy of its checkpoint, while its server starts again."""
    log = world.store.log("log.example.com")
    assert log is not None
    await world.hear(world.one.note().note)
    world.log.silent.add("one")
    asyncio.get_running_loop().call_later(0.02, world.log.silent.clear)
    await world.watch.look_back(log, world.one.note("", 6).note)
    assert world.kinds() == []


async def test_what_comes_late_clears_it(world: World) -> None:
    """The evidence stays, resolved: the log is not frozen, so nobody else would."""
    world.log.silent.add("one")
    await world.hear(world.one.note().note)
    (row,) = world.watch.evidence.all()
    assert (row.kind, row.resolved) == ("withheld", 0)
    world.log.silent.clear()
    await world.hear()
    (row,) = world.watch.evidence.all()
    assert row.resolved and "later" in row.decision
    # It is no settled lie: another history of that size is a fork still.
    await world.hear(branch(world.one, 4, 10).note().note)
    assert world.frozen()


async def test_an_operator_clears_it(world: World) -> None:
    """Also of a log that is not frozen; of one with nothing against it there is nothing to resolve."""
    kept = world.watch.evidence
    with pytest.raises(Refused):
        kept.resolve("log.example.com", "why")
    world.log.silent.add("one")
    await world.hear(world.one.note().note)
    assert [row.kind for row in kept.resolve("log.example.com", "an outage")] == ["withheld"]
    await world.hear()
    assert [row.decision for row in kept.all()] == ["an outage"]


async def test_the_same_lie_again_wakes_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond what is kept, too: anybody can send an old fork proof, as often as he likes."""
    monkeypatch.setattr(evidence, "MOST", 1)
    await world.hear(world.one.note().note)
    await world.hear(branch(world.one, 4, 10).note().note)
    (row,) = world.watch.evidence.all()
    kept = world.watch.evidence
    assert kept.convict(b"{}", "log.example.com")[1] is False
    assert kept.convict(row.document, "log.example.com")[1] is False
    assert world.alarms.counts == {"fork": 1}


async def test_a_slow_log_keeps_nobody_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It signs sixty heads and takes its time with each: one go ends in bounded time, and what was not asked waits."""
    monkeypatch.setattr(judge, "LONGEST_LOOK", 0.1)
    monkeypatch.setattr("witness.watch.LONGEST_LOOKS", 0.3)
    monkeypatch.setattr(world.watch, "_patience", -1.0)
    async with silence(world):
        notes = [world.one.note("", size).note for size in range(1, 11)]
        await world.watch.take(notes, "test")
        began = time.monotonic()
        await world.watch.settle()
        assert time.monotonic() - began < 2
        assert len(world.watch.waiting()) == 10
        # Those that were asked for too long are told of; the others had no chance yet.
        assert 1 <= len(world.kinds()) <= 4


async def test_a_slow_log_that_shows_less_keeps_nobody_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it showed before is looked for in bounded time as well."""
    monkeypatch.setattr(judge, "LONGEST_LOOK", 0.1)
    monkeypatch.setattr(world.watch.comparer, "_timeout", 600.0)  # of one request: no help
    await world.hear(world.one.note().note)
    async with silence(world):
        log = world.store.log("log.example.com")
        assert log is not None
        await asyncio.wait_for(world.watch.look_back(log, world.one.note("", 6).note), 10)
        assert world.kinds() == []


class Crowd:
    """A peer with many fork proofs, of which only the last is about a log that is known here."""

    def __init__(self, document: bytes, useless: int) -> None:
        self.documents = {sha256(b"%d" % one).hexdigest(): b"{}" for one in range(useless)}
        self.documents[sha256(document).hexdigest()] = document
        self.asked: list[str] = []
        self.seconds = 0.0
        self.lacks = ""

    async def answer(self, request: web.Request) -> web.Response:
        """Gossip and evidence."""
        if request.path == "/gossip":
            return web.json_response({"version": 1, "evidence": list(self.documents)})
        self.asked.append(request.path.rpartition("/")[2])
        await asyncio.sleep(self.seconds)
        if self.asked[-1] == self.lacks:
            raise web.HTTPNotFound
        return web.Response(body=self.documents[self.asked[-1]])


def crowd(world: World, useless: int) -> Crowd:
    """Its last document is a fork proof of the log."""
    other = branch(world.one, 4, 10).note().note
    document = find_fork(Statement(world.one.note().note), Statement(other), world.one.verifier, [])
    assert document is not None
    return Crowd(document, useless)


async def test_a_peer_that_knows_of_many_lies(world: World) -> None:
    """Most are of logs that are unknown here; the one of ours is found all the same."""
    peer = crowd(world, 40)
    async with listening(peer.answer) as url:
        gossip = Gossip(world.watch, Peers([url], 2.0))
        for _ in range(3):
            await gossip.round()
        await gossip.peers.close()
    assert world.frozen()
    assert len(peer.asked) == 3 * 16
    assert len(set(peer.asked)) == 41


async def test_a_slow_peer_keeps_nobody_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round does not wait for all that it has, and the next one goes on with the rest."""
    monkeypatch.setattr("witness.gossip._LONGEST_ASK", 0.1)
    peer = crowd(world, 2)
    peer.seconds = 0.15
    async with listening(peer.answer) as url:
        gossip = Gossip(world.watch, Peers([url], 2.0))
        for number in range(1, 4):
            await gossip.round()
            assert len(peer.asked) == number
        await gossip.peers.close()
    assert world.frozen()


async def test_a_peer_that_lacks_what_it_lists(world: World) -> None:
    """One document that cannot be had does not hide the others for ever."""
    peer = crowd(world, 1)
    peer.lacks = next(iter(peer.documents))
    async with listening(peer.answer) as url:
        gossip = Gossip(world.watch, Peers([url], 2.0))
        for frozen in (False, True):
            await gossip.round()
            assert (gossip.unread, world.frozen()) == (1, frozen)
        await gossip.peers.close()


@asynccontextmanager
async def silence(world: World) -> AsyncIterator[None]:
    """The log's address is one that accepts connections, and says nothing."""
    done = asyncio.Event()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    row = world.store.log("log.example.com")
    assert row is not None
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with world.store.write() as txn:
        world.store.put(txn, "logs", origin_key(row.origin), msgspec.structs.replace(row, url=url))
    try:
        yield
    finally:
        done.set()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("label", ["../../other", "x%2f..", "a/b", "b" * 52, STREAM])
async def test_names_that_no_stream_has(world: World, label: str) -> None:
    """A path that leads elsewhere on the log's host is asked by nobody, whoever signs it."""
    origin = f"log.example.com/streams/{label}"
    body = Checkpoint(origin, 1, bytes(32)).body()
    note = sign_note(body, [world.one.signer.under(origin)])
    assert await world.watch.take([note], "test") == (label == STREAM)


async def test_a_head_that_is_known_is_not_compared_again(world: World) -> None:
    """Nor does one head contradict itself."""
    note = world.one.note().note
    await world.hear(note)
    await world.watch.take([note, note], "test")
    assert world.watch.waiting() == []
    signed = open_signed(note, world.store.log)
    assert signed is not None
    assert contradiction(signed, signed, []) == Compared(Answer.CONSISTENT)


async def test_where_nothing_can_be_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a log without a URL heads wait for ever; it withholds nothing, for nobody asked."""
    row = world.store.log("log.example.com")
    assert row is not None
    with world.store.write() as txn:
        bare = msgspec.structs.replace(row, url="")
        world.store.put(txn, "logs", origin_key(row.origin), bare)
    monkeypatch.setattr(world.watch, "_patience", -1.0)
    await world.hear(world.one.note("", 4).note)
    await world.hear(world.one.note("", 9).note)
    assert (world.kinds(), len(world.watch.waiting())) == ([], 1)


async def test_a_fork_is_not_borne_out(world: World) -> None:
    """A log that serves one of its faces has not settled anything."""
    await world.hear(world.one.note().note)
    await world.hear(branch(world.one, 4, 10).note().note)
    (row,) = world.watch.evidence.all()
    for head in row.heads:
        world.watch.evidence.borne_out("log.example.com", head)
    assert [one.resolved for one in world.watch.evidence.all()] == [0]


async def test_a_decision_about_what_was_withheld(world: World) -> None:
    """Nothing was forked, so nothing that was heard is forgotten."""
    await world.hear(world.one.note("", 6).note)
    world.log.silent.add("one")
    await world.hear(world.one.note().note)
    world.watch.evidence.resolve("log.example.com", "an outage")
    kept = world.watch.notes.newest("log.example.com")
    assert kept is not None and kept.size == 6


async def test_what_is_told_again_at_a_start(world: World) -> None:
    """Forks that nobody has decided about, and no others."""
    await world.hear(world.one.note().note)
    await world.hear(branch(world.one, 4, 10).note().note)
    for resolved, told in ((False, 2), (True, 2)):
        if resolved:
            world.watch.evidence.resolve("log.example.com", "why")
        gossip = Gossip(world.watch, Peers([], 1.0), interval=3600.0)
        task = asyncio.create_task(gossip.run())
        while not gossip.rounds:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})
        assert world.alarms.counts["fork"] == told
