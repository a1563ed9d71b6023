"""What a witness makes of notes from anywhere: what counts, what is compared with what, what becomes of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.core.histories import History
from tests.evil import STREAM, EvilLog, add, grown
from tlog.core.cosignature import CosignatureSigner
from tlog.core.fork import HISTORY, ForkProof, Statement, build, verify_fork
from tlog.core.note import sign_note
from witness import watch as module
from witness.alarms import Alarms
from witness.evidence import EvidenceStore
from witness.logbook import add_logs, entry
from witness.monitor import init_monitor
from witness.rows import FrozenRow
from witness.setup import STORE
from witness.store import Store
from witness.watch import Watch


class World:
    """A watch over one evil log that it sees under the view `one`."""

    def __init__(self, store: Store, log: EvilLog, history: History) -> None:
        self.store = store
        self.log = log
        self.one = history
        self.alarms = Alarms()
        self.watch = Watch(store, self.alarms, timeout=2.0, second_look=0.05)

    async def hear(self, *notes: bytes) -> int:
        """Notes arrive and are compared."""
        taken = await self.watch.take(notes, "test")
        await self.watch.settle(again=True)
        return taken

    def kinds(self) -> list[str]:
        """Of the evidence, in order."""
        return [row.kind for row in self.watch.evidence.all()]

    def frozen(self) -> bool:
        """Whether the log is cosigned no more."""
        return bool(self.store.all("frozen", FrozenRow))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A log of ten leaves; nothing heard yet."""
    history = grown(9)
    log = EvilLog(one=history)
    init_monitor(tmp_path / "m", "monitor.example.org")
    store = Store.open(tmp_path / "m" / STORE, exclusive=True)
    async with log.served():
        add_logs(store, [entry(history.signer.vkey, url=log.url("one"))], 1)
        one = World(store, log, history)
        yield one
        await one.watch.close()
    store.close()


def branch(history: History, at: int, size: int) -> History:
    """Another history of the same log, that parts at leaf `at`."""
    other = History()
    add(other, at - 1)
    assert other.leaves == history.leaves[:at]
    add(other, size - at, b"branch")
    return other


async def test_an_honest_log_gives_no_evidence(world: World) -> None:
    one = world.one
    sizes = [4, 10, 7, 1, 0, 10]
    notes = [one.note("", size).note for size in sizes]
    streams = [one.note(STREAM, size).note for size in (2, 4, 3)]
    assert await world.hear(*notes, *streams) == 9
    add(one, 300)
    await world.hear(one.note("", 290).note, one.note().note, one.note("", 5).note)
    assert (world.kinds(), world.frozen(), world.watch.waiting()) == ([], False, [])
    newest = world.watch.notes.newest("log.example.com")
    assert newest is not None and newest.size == len(one.leaves)
    assert not world.alarms.counts


async def test_another_root_for_a_known_size_needs_no_tiles(world: World) -> None:
    world.log.silent.add("one")
    other = branch(world.one, 5, 8)
    await world.watch.take([world.one.note("", 8).note, other.note("", 8).note], "test")
    (row,) = world.watch.evidence.all()
    fork = verify_fork(row.document, world.one.verifier)
    assert fork.heads is not None and {head.root for head in fork.heads} == {
        world.one.root.root(8),
        other.root.root(8),
    }
    assert world.frozen() and world.alarms.counts == {"fork": 1}
    assert row.source == "test" and row.summary[0].startswith("log.example.com signed two")


@pytest.mark.parametrize("size", [5, 6, 9])
async def test_an_older_head_of_another_history(world: World, size: int) -> None:
    await world.hear(world.one.note().note)
    await world.hear(branch(world.one, 4, size).note().note)
    assert (world.kinds(), world.frozen()) == (["fork"], True)


async def test_a_log_that_is_rewound_between_publications(world: World) -> None:
    await world.hear(world.one.note().note)
    world.log.views["one"] = other = branch(world.one, 6, 13)
    await world.hear(other.note().note)
    assert (world.kinds(), world.frozen()) == (["fork"], True)


async def test_a_stream_of_its_own_history(world: World) -> None:
    """The notes of one stream differ; the root log is not even looked at."""
    other = branch(world.one, 3, 9)
    await world.hear(world.one.note(STREAM).note)
    await world.hear(other.note(STREAM).note)
    (row,) = world.watch.evidence.all()
    assert verify_fork(row.document, world.one.verifier).origin.endswith(f"/streams/{STREAM}")
    assert world.frozen()


async def test_what_the_log_does_not_bear_out_is_withheld(world: World) -> None:
    """A head of a history that this log shows to others: no proof, but both notes are kept and an alarm is raised."""
    await world.hear(world.one.note().note)
    other = branch(world.one, 4, 12)
    for _ in range(3):
        await world.hear(other.note().note)
    (row,) = world.watch.evidence.all()
    notes = [other.note().note.decode(), world.one.note().note.decode()]
    assert (row.kind, json.loads(row.document)["checkpoints"]) == ("withheld", notes)
    assert (world.alarms.counts, world.frozen()) == ({"withheld": 1}, False)
    assert len(world.watch.waiting()) == 1
    add(world.one, 5)
    await world.hear(world.one.note().note)
    assert (world.kinds(), world.frozen()) == (["withheld", "fork"], True)


async def test_tiles_that_come_late_settle_it(world: World) -> None:
    world.log.silent.add("one")
    await world.hear(world.one.note().note)
    assert world.kinds() == ["withheld"]
    world.log.silent.clear()
    await world.hear()
    assert (world.watch.waiting(), world.frozen()) == ([], False)


async def test_a_log_that_does_not_answer_is_given_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = world.store.log("log.example.com")
    assert row is not None
    monkeypatch.setattr("tlog.client.fetch.http.ATTEMPTS", 1)
    world.log.views.clear()
    await world.hear(world.one.note().note)
    assert (world.kinds(), len(world.watch.waiting())) == ([], 1)
    monkeypatch.setattr(world.watch, "_patience", -1.0)
    await world.hear()
    assert world.kinds() == ["withheld"]


async def test_truncation_is_noticed(world: World) -> None:
    """A log that shows less than it signed must still have the tiles of what it signed."""
    log = world.store.log("log.example.com")
    assert log is not None
    await world.hear(world.one.note().note)
    await world.watch.look_back(log, world.one.note("", 6).note)
    assert world.kinds() == []
    world.log.views["one"] = cut = grown(5)
    assert cut.leaves == world.one.leaves[:6]
    await world.watch.look_back(log, cut.note().note)
    (row,) = world.watch.evidence.all()
    assert row.kind == "withheld" and row.heads[0][1] == 10


async def test_junk_changes_nothing(world: World) -> None:
    stranger = History("another key")
    unknown = History("log", "log.example.org")
    good = world.one.note().note
    junk = [
        b"",
        b"\xff\xfe",
        b"log.example.com\n",
        stranger.note().note,
        unknown.note().note,
        good.replace(b"\n10\n", b"\n11\n"),
        good[:-5],
        good + b"x" * 20_000,
        sign_note(world.one.head().body() + b"extension\n", [world.one.signer]),
        sign_note(b"log.example.com/streams/a b\n0\n" + b"A" * 44 + b"\n", [world.one.signer]),
    ]
    assert await world.hear(*junk * 50) == 0
    assert world.watch.dropped == 500
    assert (world.watch.waiting(), world.watch.notes.all(), world.kinds()) == ([], [], [])


async def test_lines_of_others_are_not_kept(world: World) -> None:
    """A line that nobody here can check could be anything: it is neither stored nor passed on."""
    witness = CosignatureSigner("w.example.org", bytes(range(32))).at(1_795_000_000)
    note = sign_note(world.one.head().body(), [witness, world.one.signer])
    await world.hear(note)
    (row,) = world.watch.notes.all()
    assert row.note == world.one.note().note


async def test_all_of_it_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that signs anything cannot fill the memory of a witness."""
    monkeypatch.setattr(module, "MOST_SEEN", 20)
    monkeypatch.setattr(module, "MOST_WAITING", 7)
    monkeypatch.setattr("witness.notes.MOST", 5)
    other = grown(60)
    await world.watch.take([other.note("", size).note for size in range(30, 61)], "test")
    assert [signed.head.size for signed in world.watch.waiting()] == list(range(54, 61))
    for number in range(9):
        label = f"acme/prod/s{number}"
        world.one.commit(label, b"x")
        await world.hear(world.one.note(label).note)
    origins = {row.origin for row in world.watch.notes.all()}
    assert len(origins) == 5
    assert f"log.example.com/streams/acme/prod/s{number}" in origins


async def test_fork_proofs_from_others(world: World) -> None:
    """A proof that holds convicts; whoever sends it, and whatever lines he added, it is one piece of evidence."""
    other = branch(world.one, 4, 8)
    hashes = world.one.root.prefix(8, 10)
    proof = ForkProof(HISTORY, other.note(), world.one.note(), hashes)
    stranger = History("another key")
    bad = ForkProof(HISTORY, world.one.note("", 8), world.one.note(), hashes)
    take = world.watch.take_forks
    assert await take([build(bad), b"{}", b"\xff"], "test") == 0
    foreign = ForkProof(HISTORY, stranger.note("", 0), stranger.note(), ())
    assert await take([build(foreign)], "test") == 0
    assert (world.frozen(), world.watch.dropped) == (False, 4)
    witness = CosignatureSigner("w.example.org", bytes(range(32))).at(1_795_000_000)
    text = other.head().body()
    cosigned = replace(proof, first=Statement(sign_note(text, [other.signer, witness])))
    assert await take([build(cosigned), build(proof), build(cosigned)], "test") == 1
    (row,) = world.watch.evidence.all()
    assert row.document == build(proof)
    assert world.frozen()


async def test_the_operator_decides(world: World) -> None:
    """Resolved evidence stays and freezes nothing again; another head of the losing history does."""
    other = branch(world.one, 4, 8)
    await world.hear(world.one.note().note, other.note().note)
    assert world.frozen()
    assert await world.hear(world.one.note("", 9).note) == 0  # a frozen log is not listened to
    (row,) = EvidenceStore(world.store).resolve("log.example.com", "a mistake")
    assert row.resolved and row.decision == "a mistake"
    assert world.watch.notes.all() == []
    add(world.one, 1)
    await world.hear(world.one.note().note, other.note().note)
    await world.watch.take_forks([row.document], "test")
    assert (world.frozen(), len(world.watch.evidence.all())) == (False, 1)
    add(other, 1, b"branch")
    await world.hear(other.note().note)
    assert (world.frozen(), len(world.watch.evidence.all())) == (True, 2)


async def test_two_keys_of_one_log(world: World) -> None:
    """No proof can be checked with one key, but two roots for one size are two roots."""
    second = History("the log's next key")
    add(second, 7, b"other")
    add_logs(world.store, [entry(second.signer.vkey)], 2)
    await world.hear(world.one.note("", 8).note, second.note("", 8).note)
    assert (world.kinds(), world.frozen()) == (["conflict"], True)


async def test_two_keys_and_two_sizes(world: World) -> None:
    """The tiles of the larger head show that the smaller one is not its beginning: no proof for others, and no doubt."""
    second = History("the log's next key")
    add(second, 5, b"other")
    add_logs(world.store, [entry(second.signer.vkey)], 2)
    await world.hear(world.one.note("", 8).note, second.note("", 6).note)
    assert (world.kinds(), world.frozen()) == (["conflict"], True)


async def test_a_log_without_a_url(world: World, tmp_path: Path) -> None:
    """What cannot be read is compared by size alone, and that it cannot be read is no alarm."""
    other = History("log", "log.example.net")
    add(other, 5)
    add_logs(world.store, [entry(other.signer.vkey)], 2)
    await world.hear(other.note("", 3).note, other.note("", 6).note)
    assert not world.alarms.counts
    fake = History("log", "log.example.net")
    add(fake, 2, b"fake")
    await world.hear(fake.note("", 3).note)
    assert (world.kinds(), world.frozen()) == (["fork"], True)
