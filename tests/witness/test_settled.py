"""After the operator's decision, and who is told at once: the small rules of gossip, each by itself."""

from __future__ import annotations

from pathlib import Path

from tests.evil import EvilLog, add, grown
from tests.witness.ring import ring
from tests.witness.test_watch import World, branch, world
from tlog.core.fork import build, parse
from witness.compare import contradiction
from witness.evidence import EvidenceStore
from witness.notes import open_signed
from witness.rows import LatestRow, origin_key

__all__ = ["world"]  # a fixture
LOG = "log.example.com"


async def test_what_is_settled_is_settled_in_any_form(world: World) -> None:
    """The same heads in another document, and the true head of that size, freeze nothing."""
    other = branch(world.one, 4, 8)
    await world.hear(world.one.note("", 8).note, other.note().note)
    (row,) = EvidenceStore(world.store).resolve(LOG, "a mistake")
    proof = parse(row.document)
    swapped = build(type(proof)(proof.rule, proof.second, proof.first))
    assert swapped != row.document
    assert await world.watch.take_forks([swapped], "test") == 0
    add(world.one, 2)
    await world.hear(world.one.note().note, world.one.note("", 9).note)
    assert not world.frozen()


async def test_a_settled_loser_is_not_held_against_the_winner(world: World) -> None:
    """What was remembered of sizes is forgotten with the verdict."""
    other = branch(world.one, 4, 8)
    await world.hear(other.note("", 7).note)
    await world.hear(world.one.note("", 8).note, other.note().note)
    assert world.frozen()
    EvidenceStore(world.store).resolve(LOG, "a mistake")
    await world.hear(world.one.note("", 7).note, world.one.note().note)
    assert (world.frozen(), world.watch.waiting()) == (False, [])


async def test_our_own_newest_head_counts_whatever_is_settled(world: World) -> None:
    """It was cosigned: a head of another history contradicts it for ever."""
    other = branch(world.one, 4, 10)
    head = world.one.head("", 8)
    row = LatestRow(LOG, 8, head.root, 1, world.one.note("", 8).note)
    with world.store.write() as txn:
        world.store.put(txn, "latest", origin_key(LOG), row)
    await world.hear(row.note, other.note("", 8).note)
    EvidenceStore(world.store).resolve(LOG, "a mistake")
    await world.hear(row.note)
    world.log.views["one"] = other
    await world.hear(other.note().note)
    assert world.frozen()


async def test_whoever_finds_it_writes_the_same_document(world: World) -> None:
    other = branch(world.one, 4, 8)
    one = open_signed(world.one.note("", 8).note, world.store.log)
    two = open_signed(other.note().note, world.store.log)
    assert one is not None and two is not None
    document = contradiction(one, two, []).document
    assert document is not None and document == contradiction(two, one, []).document


async def test_peers_are_told_at_once(tmp_path: Path) -> None:
    """Between two rounds, as soon as a fork is found."""
    one = grown(5)
    other = one.copy()
    add(one, 1, b"one")
    add(other, 1, b"other")
    log = EvilLog(one=one, other=other)
    async with log.served(), ring(tmp_path, log, ["one", "one"], one) as [first, second]:
        await first.gossip.watch.take([one.note().note], "test")
        await first.gossip.pushed()
        assert not second.frozen()
        await first.gossip.watch.take([other.note("", 6).note, other.note().note], "test")
        await first.gossip.pushed()
        assert (first.frozen(), second.frozen()) == ({LOG}, {LOG})
