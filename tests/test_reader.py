"""The read path: proofs at every size over tiles and edges, ids that locate, nothing served that does not verify."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import STREAM, TestLog, new_log
from tests.reference import Reference
from tlog.core.hashes import leaf_hash
from tlog.core.merkle import Edge
from tlog.core.proofs import verify_consistency, verify_inclusion
from tlog.errors import CorruptStore, InvalidInput, Refused
from tlog.inclusions import LEVEL, Inclusions
from tlog.reader import Reader
from tlog.store import layout

SIZE = 1 + 256 * 3 + 77


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestLog]:
    """A stream of three full tiles and a tail, in commits of many sizes."""
    chance = random.Random(5)
    with TestLog(new_log(tmp_path_factory.mktemp("reader") / "log")) as opened:
        left = SIZE - 1
        while left:
            count = min(left, chance.choice([1, 2, 7, 100, 255]))
            opened.append([opened.prepare(payload={"n": n}) for n in range(count)])
            left -= count
        yield opened


@pytest.fixture(scope="module")
def leaves(log: TestLog) -> list[bytes]:
    return [leaf_hash(one.record.entry) for one in log.log.reader.entries(2, 0, SIZE)]


def test_roots_of_every_size_are_the_rfcs(log: TestLog, leaves: list[bytes]) -> None:
    """The root of each prefix, from tiles and edge, is the recursive definition's."""
    assert len(leaves) == SIZE
    reference = Reference(0)
    reference.leaves = leaves
    for size in (1, 2, 3, 255, 256, 257, 511, 512, 513, 768, 769, SIZE - 1, SIZE):
        assert log.log.reader.root_of(2, size) == reference.root(size)


@pytest.mark.parametrize("level", [LEVEL, 6, 0])
def test_inclusion_at_many_sizes(
    log: TestLog, leaves: list[bytes], level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leaf's proof at any later size verifies under that size's root, from whatever level on its path is kept."""
    reader = log.log.reader
    monkeypatch.setattr(reader, "_inclusions", Inclusions(level))
    chance = random.Random(6)
    for _ in range(300):
        size = chance.choice([chance.randint(1, SIZE), SIZE, 768])
        index = chance.randrange(size)
        proof = reader.inclusion(2, index, size)
        assert proof.root == reader.root_of(2, size)
        verify_inclusion(leaves[index], index, size, proof.hashes, proof.root)


def test_consistency_at_many_sizes(log: TestLog) -> None:
    """Any two sizes are connected by a proof."""
    chance = random.Random(7)
    reader = log.log.reader
    for _ in range(200):
        new = chance.randint(1, SIZE)
        old = chance.randint(1, new)
        size, proof, old_root, new_root = reader.consistency(2, old, new)
        assert (old_root, new_root) == (reader.root_of(2, old), reader.root_of(2, new))
        assert size == new
        verify_consistency(old, new, proof, reader.root_of(2, old), reader.root_of(2, new))


@pytest.mark.parametrize(("index", "size"), [(SIZE, None), (0, SIZE + 1), (5, 5), (0, 0)])
def test_outside_the_tree(log: TestLog, index: int, size: int | None) -> None:
    """A leaf or size that does not exist is refused, not computed."""
    with pytest.raises(InvalidInput):
        log.log.reader.inclusion(2, index, size)


@pytest.mark.parametrize(("old", "new"), [(0, 5), (6, 5), (1, SIZE + 1)])
def test_consistency_outside_the_tree(log: TestLog, old: int, new: int) -> None:
    """First must be in 1 … second, second within the tree."""
    with pytest.raises(InvalidInput):
        log.log.reader.consistency(2, old, new)


def id_of(entry: bytes) -> str:
    return "evt_" + entry.split(b'"id":"evt_')[1][:26].decode()


def test_ids_locate(log: TestLog) -> None:
    """Every id finds its own entry; any other spelling, and ids of nothing, find nothing."""
    for located in log.log.reader.entries(2, 0, 20):
        text = id_of(located.record.entry)
        assert log.log.reader.event(text) == located
        for wrong in (
            text.lower(),
            text[:-1],
            text + "0",
            "evt_" + "7" + "Z" * 25,
            text[:4] + "0" + text[5:],
        ):
            if wrong != text:
                with pytest.raises(Refused, match="no such event"):
                    log.log.reader.event(wrong)


def test_an_id_with_another_time_is_no_ones(log: TestLog) -> None:
    """Stream and index alone do not make an id: the milliseconds must be the entry's."""
    from tlog.core.ids import event_id, parse_event_id

    located = log.log.reader.leaf(2, 3)
    identity = parse_event_id(id_of(located.record.entry))
    with pytest.raises(Refused):
        log.log.reader.event(event_id(identity.ms + 1, 2, 3))
    with pytest.raises(Refused):
        log.log.reader.event(event_id(identity.ms, 0, 1))
    with pytest.raises(Refused):
        log.log.reader.event(event_id(identity.ms, 99, 1))
    with pytest.raises(Refused):
        log.log.reader.event(event_id(identity.ms, 2, SIZE))


def test_leaves_are_found_by_hash(log: TestLog, leaves: list[bytes]) -> None:
    """In full tiles and in the tail; a hash that only straddles two others is not a leaf."""
    for index in (0, 1, 255, 256, 700, 768, SIZE - 1):
        assert log.log.reader.find_leaf(2, leaves[index]) == index
    for wanted in (bytes(32), leaves[3][16:] + leaves[4][:16]):
        with pytest.raises(Refused, match="no leaf"):
            log.log.reader.find_leaf(2, wanted)


def test_first_head_covers_the_event(log: TestLog) -> None:
    """The head of the commit that wrote an event is the first that covers it."""
    reader = log.log.reader
    sizes = []
    for index in range(0, SIZE, 13):
        head, root_leaf = reader.first_head(reader.leaf(2, index))
        assert head.size > index
        assert head.root == reader.root_of(2, head.size)
        assert reader.leaf(0, root_leaf).record.entry == head.body()
        sizes.append(head.size)
    assert sizes == sorted(sizes)


def test_a_second_reader_catches_up(tmp_path: Path) -> None:
    """A reader that proved something before goes on proving while the log grows by little and by much."""
    with TestLog(new_log(tmp_path / "log")) as log:
        log.append([log.prepare()])
        reader = Reader(log.log.source)
        for count in (1, 3, 300, 1, 2000, 5):
            reader.inclusion(2, 0)
            log.append([log.prepare(payload={"n": n}) for n in range(count)])
            size = log.log.source.view(2).size
            for index in (0, size // 2, size - 1):
                assert reader.inclusion(2, index).tree_size == size
            head, proof, signed = reader.stream_head(2)
            assert head.size == size
            verify_inclusion(
                leaf_hash(head.body()),
                proof.leaf_index,
                signed.root.size,
                proof.hashes,
                signed.root.root,
            )


def test_a_wrong_stored_hash_is_never_served(tmp_path: Path) -> None:
    """With a bit flipped in a tile, a proof through it is an error, not an answer."""
    with TestLog(new_log(tmp_path / "log")) as log:
        log.append([log.prepare(payload={"n": n}) for n in range(600)])
        store = log.log.store
        with store.env.begin(write=True) as txn:
            key = layout.tile_key(2, 0, 0)
            tile = bytearray(txn.get(key, db=store.db["tiles"]))
            tile[32 * 9] ^= 1
            txn.put(key, bytes(tile), db=store.db["tiles"])
        reader = Reader(log.log.source)
        with pytest.raises(CorruptStore, match="do not give its root"):
            reader.inclusion(2, 8)
        assert reader.inclusion(2, 300).tree_size == 601
        with store.env.begin(write=True) as txn:
            txn.delete(key, db=store.db["tiles"])
            txn.delete(layout.index_key(2, 1), db=store.db["index"])
        with pytest.raises(CorruptStore, match="missing"):
            Reader(log.log.source).inclusion(2, 8)
        with pytest.raises(CorruptStore, match="index of bundle"):
            reader.leaf(2, 300)


def test_edges_are_loaded_for_streams_not_in_memory(tmp_path: Path) -> None:
    """After a restart a stream's edge comes from its row, its tail and its tiles."""
    new_log(tmp_path / "log")
    with TestLog(tmp_path / "log") as log:
        log.append([log.prepare(payload={"n": n}) for n in range(700)])
        for _ in range(300):
            log.append([log.prepare("acme:prod:other")])
    with TestLog(tmp_path / "log") as log:
        number = log.log.reader.number(STREAM)
        assert number not in log.log.states.views
        entries = [one.record.entry for one in log.log.reader.entries(number, 0, 701)]
        edge = Edge()
        edge.append([leaf_hash(entry) for entry in entries])
        assert log.log.source.view(number).root == edge.root()
        log.append([log.prepare()])
        log.check()
