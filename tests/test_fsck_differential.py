"""The fast way and the exact way of verification say the same of every store, honest or not."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any

import pytest

from tests.harness import STREAM, TestLog, new_log
from tlog.bundles import Before, Prover, chained
from tlog.core.entry import parse_entry
from tlog.core.ids import event_id, parse_event_id
from tlog.core.times import format_ms, parse_time
from tlog.errors import InvalidInput
from tlog.fsck import Report, chain_and_leaves, verify_stream
from tlog.fsck_ranges import RANGE, Part, put_together, ranges_of
from tlog.fsck_ranges import prove_range as prove_one
from tlog.reader import Reader
from tlog.shapes import Shape
from tlog.store import layout

SURFACE = {
    "human_decision": "APPROVE",
    "presentation_timestamp": "2026-11-22T10:14:20Z",
    "signoff_timestamp": "2026-11-22T10:14:33Z",
}


def kinds(n: int, clock: str) -> dict[str, Any]:
    """Events of many looks, several of them side by side, with every slot that a shape knows."""
    event: dict[str, Any] = {"payload": {"n": n}, "producer": {"id": "p1", "sequence": n + 1}}
    match n % 7:
        case 0:
            event |= {"actor": {"type": "USER", "id": f"u{n % 3}"}, "subject_id": f"s{n}"}
        case 1:
            event |= {"occurred_at": clock, "tags": ["a"]}
        case 2:
            event |= {"occurred_at": "2020-01-01T00:00:00Z", "actor": {"type": "AGENT", "id": "x"}}
        case 3:
            event |= {"decision_surface": SURFACE, "context": {"model_version": "1"}}
        case 4:
            event |= {"decision_surface": {"human_decision": 'say "no"'}, "subject_id": "s1"}
    return event


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestLog]:
    """1,100 events of many looks in commits of one and of many: positions of 1 to 4 digits, four full tiles and a tail."""
    directory = new_log(tmp_path_factory.mktemp("log") / "log")
    with TestLog(directory) as log:
        clock = log.records("tlog:log:operations")[0]["timestamp"]
        events = [log.prepare(**kinds(n, clock)) for n in range(1_100)]
        for event in events[:30]:
            log.append([event])
        log.append(events[30:300])
        log.append(events[300:])
    with TestLog(directory, start=False) as log:
        yield log


def both_ways(log: TestLog, monkeypatch: pytest.MonkeyPatch, start: int = 0) -> list[Report]:
    """What the two ways report of the stream as it is stored now."""
    reader = Reader(log.log.source)
    fast = verify_stream(reader, STREAM, start, vault=log.log.vault)
    with monkeypatch.context() as patch:
        patch.setattr(Prover, "prove", lambda *_: None)
        return [fast, verify_stream(reader, STREAM, start, vault=log.log.vault)]


def test_an_honest_log_needs_no_second_look(log: TestLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every bundle is proven; nearly no entry is judged by itself, and both ways count the same."""
    fast, slow = both_ways(log, monkeypatch)
    assert fast == slow
    assert fast.verified
    looked_at: list[Any] = []
    judge = Prover._judge
    with monkeypatch.context() as patch:
        patch.setattr(Prover, "_judge", lambda *a: (looked_at.append(a), judge(*a))[1])
        patch.setattr("tlog.fsck._Stream.content", lambda *_: pytest.fail("a second look"))
        assert verify_stream(Reader(log.log.source), STREAM).verified
    # The genesis, one of each look, and those with the times of a person's decision.
    assert len(looked_at) < 1_101 / 7 + 40


def places(log: TestLog) -> list[tuple[int, int, int]]:
    """Chunk, offset and length of every record of the stream."""
    reader = Reader(log.log.source)
    found = []
    for one in reader.entries(2, 0, 1_101):
        length = layout.RECORD_HEADER.size + len(one.record.entry) + len(one.record.sealed)
        found.append((one.position >> 16, one.position & 0xFFFF, length))
    return found


def changed(log: TestLog, chunk: int, offset: int, value: bytes) -> bytes:
    """Write bytes into a chunk of the journal; what stood there."""
    store = log.log.store
    with store.env.begin(write=True) as txn:
        data = bytearray(txn.get(layout.u64(chunk), db=store.db["journal"]))
        before = bytes(data[offset : offset + len(value)])
        data[offset : offset + len(value)] = value
        txn.put(layout.u64(chunk), bytes(data), db=store.db["journal"])
    return before


def test_the_findings_are_the_same(log: TestLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte anywhere in a record, its header and sealed payload included: both ways find it, and the same."""
    chance = random.Random(5)
    where = places(log)
    for _ in range(16):
        chunk, offset, length = chance.choice(where)
        # Not the two lengths: what they lead to is no record, and no way can read on.
        at = offset + chance.choice(
            [*range(11), *[chance.randrange(17, length) for _ in range(20)]]
        )
        at = min(at, offset + length - 1)
        before = changed(log, chunk, at, bytes([chance.randrange(256)]))
        fast, slow = both_ways(log, monkeypatch, chance.choice([0, 0, 0, 7]))
        changed(log, chunk, at, before)
        assert fast == slow
    assert both_ways(log, monkeypatch)[0].verified


def rechained(entries: list[bytes], at: int) -> list[bytes]:
    """The entries with every previousHash after `at` made to fit, as an operator would who lies."""
    result = entries[: at + 1]
    for entry in entries[at + 1 :]:
        block = sha256(result[-1]).hexdigest().encode()
        result.append(entry[:-105] + block + entry[-41:])
    return result


def exact(first: int, entries: Sequence[bytes], producer: int, time: str) -> bool:
    """Whether every entry is good by itself and in its place; links are looked at elsewhere."""
    for index, raw in enumerate(entries, first):
        try:
            entry = parse_entry(raw)
        except InvalidInput:
            return False
        record = entry.record
        place = (record["streamId"], record["chainPosition"], record.get("producer"))
        if place != (STREAM, index, {"id": "p1", "sequence": producer}) or entry.timestamp < time:
            return False
        if parse_event_id(record["id"]).stream_number != 2:
            return False
        producer, time = producer + 1, entry.timestamp
    return True


PIECES = (
    *(b'"', b"\\", b"0", b"9", b"a", b"A", b"g", b" ", b",", b"}", b"\x00", b"\xff", b"-", b".", b":"),
    *(b"Z", b"8", b"01", b"1e1", b"\\u0030", b'","x":"', b"false", b"null", b"I", b"usr_", b"2"),
)  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_valid_hashes_change_nothing(log: TestLog, seed: int) -> None:
    """Bytes are changed, inserted, cut; the chain is made to fit: what is proven is what is valid, no more, no less."""
    chance = random.Random(seed)
    located = Reader(log.log.source).entries(2, 0, 1_101)
    honest = [one.record.entry for one in located]
    prover = Prover(log.log.store, 2, STREAM, None)
    refused = 0
    for turn in range(150):
        first = chance.choice([1, 30, 95, 300, 990])
        entries = honest[first : first + 14]
        at = chance.randrange(14)
        raw = entries[at]
        if turn % 10:
            place = chance.randrange(len(raw))
            cut = chance.choice([0, 1, 1, 1, 2])
            entries[at] = raw[:place] + chance.choice(PIECES) + raw[place + cut :]
        entries = rechained(entries, at)
        before = honest[first - 1]
        time = before[-26:-2].decode()
        link = chained([before]).blocks[0]
        producers = {"p1": first - 1} if first > 1 else {}
        proven = prover.prove_entries(first, entries, [], Before(link, time, producers))
        _, broken, _ = chain_and_leaves(entries, "sha256:" + link.decode())
        good = not broken and exact(first, entries, first, time)
        assert (proven is not None) == good, (entries[at], raw)
        refused += not good
    assert refused > 100


SEQUENCE = rb'"sequence":[0-9]+'


def moved(raw: bytes, ms: int) -> bytes:
    """The entry as it would be `ms` later: its time, and the time in its id."""
    entry = parse_entry(raw)
    identity = parse_event_id(entry.record["id"])
    later = event_id(identity.ms + ms, identity.stream_number, identity.leaf_index)
    raw = raw.replace(entry.record["id"].encode(), later.encode())
    return raw.replace(entry.timestamp.encode(), format_ms(identity.ms + ms).encode())


def later(raw: bytes, ms: int) -> bytes:
    """The same with another time of the client."""
    at = raw.index(b'"occurredAt":"') + 14
    text = format_ms(parse_time(raw[-26:-2].decode()) + ms).encode()
    return raw[:at] + text + raw[at + 24 :]


@pytest.mark.parametrize(
    ("look", "twist"),
    [
        (0, lambda raw, _: raw.replace(b'"sequence":', b'"sequence":0')),
        (0, lambda raw, _: raw.replace(b'"sequence":', b'"sequence":-')),
        (0, lambda raw, _: re.sub(rb'"sequence":[0-9]+', b'"sequence":' + b"9" * 16, raw)),
        (0, lambda raw, _: re.sub(rb"usr_.", b"usr_8", raw)),
        (0, lambda raw, _: re.sub(rb"sub_.", b"sub_Z", raw)),
        (0, lambda raw, _: re.sub(rb"(sub_.{25}).", rb"\1U", raw)),
        (0, lambda raw, following: re.sub(SEQUENCE, re.findall(SEQUENCE, raw)[0], following)),
        (0, lambda raw, _: moved(raw, -86_400_000)),
        (0, lambda raw, _: moved(raw, 86_400_000)),
        (1, lambda raw, _: later(raw, -300_000)),
        (1, lambda raw, _: later(raw, -300_001)),
        (1, lambda raw, _: later(raw, 300_001)),
        (1, lambda raw, _: re.sub(rb'("occurredAt":".{5})..', rb"\g<1>13", raw)),
        (2, lambda raw, _: later(raw, 300_001)),
        (2, lambda raw, _: later(raw, -300_000)),
        (2, lambda raw, _: later(raw, 0)),
        (3, lambda raw, _: raw.replace(b'"dwell_ms":13000', b'"dwell_ms":13001')),
    ],
)
def test_each_slot_is_held_to_its_form(
    log: TestLog, look: int, twist: Callable[[bytes, bytes], bytes]
) -> None:
    """A value that fits its place and not its rule, in an entry like those before it, with every hash made to fit."""
    entries = [one.record.entry for one in Reader(log.log.source).entries(2, 513, 600)]
    link, time = entries[0][-105:-41], entries[0][-26:-2].decode()
    before = Before(link, time, {"p1": 512})
    prover = Prover(log.log.store, 2, STREAM, None)
    assert prover.prove_entries(513, entries, [], before) is not None
    at = next(n for n in range(30, 60) if (513 + n - 1) % 7 == look)
    entries[at] = twist(entries[at], entries[at + 1])
    if look < 3 and entries[at][-105:-41] != chained([entries[at - 1]]).blocks[0]:
        block = chained([entries[at - 1]]).blocks[0]
        entries[at] = entries[at][:-105] + block + entries[at][-41:]
    entries = rechained(entries, at)
    proven = prover.prove_entries(513, entries, [], before)
    assert (proven is not None) == exact(513, entries, 513, time)


@pytest.mark.parametrize("n", range(7))
def test_a_shape_is_of_its_own_entry(log: TestLog, n: int) -> None:
    """Cut at its slots and put together again, an entry is itself; nothing but the slots is free."""
    raw = Reader(log.log.source).leaf(2, 700 + n).record.entry
    shape = Shape.of(parse_entry(raw))
    if b"signoff_timestamp" in raw:
        assert shape is None
        return
    assert shape is not None
    assert shape.likely(raw, 3)
    assert not shape.likely(raw.replace(b"acme:prod:scorer", b"acme:prod:scores"), 3)


# --- ranges --------------------------------------------------------------------------------------


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlog.fsck_ranges.RANGE", 512)


def in_ranges(log: TestLog) -> tuple[list[Part], Report | None]:
    reader = Reader(log.log.source)
    view = log.log.source.view(2)
    parts = [
        prove_one(log.log.store, span, log.log.vault, lambda _: None)
        for span in ranges_of(2, STREAM, view)
    ]
    return parts, put_together(reader, STREAM, view, parts)


@pytest.mark.usefixtures("small_ranges")
def test_ranges_are_put_together(log: TestLog) -> None:
    """Three ranges, each proven by itself, are the report of the whole."""
    parts, report = in_ranges(log)
    assert [part.good for part in parts] == [True] * 3
    assert report == verify_stream(Reader(log.log.source), STREAM, vault=log.log.vault)
    assert RANGE % layout.TILE_WIDTH == 0


@pytest.mark.usefixtures("small_ranges")
@pytest.mark.parametrize("n", [1, 511, 512, 513, 1_023, 1_024, 1_100])
def test_no_change_slips_between_two_ranges(log: TestLog, n: int) -> None:
    """One byte of an entry on either side of every border, and at the end: there is a doubt."""
    chunk, offset, _ = places(log)[n]
    before = changed(log, chunk, offset + 60, b"~")
    try:
        assert in_ranges(log)[1] is None
    finally:
        changed(log, chunk, offset + 60, before)


@pytest.mark.usefixtures("small_ranges")
def test_a_changed_tile_is_a_doubt(log: TestLog) -> None:
    """A bit of a hash in the middle of a stored tile: its root is right, and what is below it is not."""
    store = log.log.store
    key = layout.tile_key(2, 0, 1)
    with store.env.begin(write=True) as txn:
        honest = bytes(txn.get(key, db=store.db["tiles"]))
        txn.put(key, honest[:9000] + b"~" + honest[9001:], db=store.db["tiles"])
    assert in_ranges(log)[1] is None
    with store.env.begin(write=True) as txn:
        txn.put(key, honest, db=store.db["tiles"])


@pytest.mark.usefixtures("small_ranges")
def test_what_only_the_whole_shows(log: TestLog) -> None:
    """A producer that leaves one out between two ranges, a tile's root of another, a range left out, no entries."""
    parts, report = in_ranges(log)
    assert report is not None
    reader, view = Reader(log.log.source), log.log.source.view(2)
    one, two, three = parts
    wrong: list[list[Part]] = [
        [one, Part(True, two.tiles, two.rest, {"p1": 513}, two.last), three],
        [one, Part(True, two.tiles[::-1], two.rest, two.first, two.last), three],
        [one, Part(True, two.tiles[:1], two.rest, two.first, two.last), three],
        [one, two, Part(True, [], three.rest[:-1], three.first, three.last)],
        [one, two],
        [Part(False), two, three],
    ]
    for combined in wrong:
        assert put_together(reader, STREAM, view, combined) is None
    assert put_together(reader, STREAM, view._replace(root_leaf=0), parts) is None
