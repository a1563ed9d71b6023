"""Every tile and bundle of trees of many sizes, byte for byte as the definition has it; rot is never served."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import STREAM, TestLog, new_log
from tests.paths import vectors
from tests.reference import Reference
from tlog.core.hashes import leaf_hash
from tlog.core.tiles import bundle_encode
from tlog.errors import CorruptStore, Refused
from tlog.reader import Reader
from tlog.sequencer import commit as commit_module
from tlog.sequencer.streams import StreamView
from tlog.store import layout
from tlog.surface import SHELF_BYTES, Shelf, Surface

SIZES = (1, 2, 255, 256, 257, 600)
NUMBER = 2


def grow(log: TestLog, size: int) -> None:
    """Append until the stream has `size` leaves; its genesis is the first."""
    held = log.log.source.view(NUMBER).size if log.log.stream_exists(STREAM) else 0
    if not held:
        log.log.open_stream(STREAM)
        held = 1
    events = [log.prepare(payload={"n": n}) for n in range(size - held)]
    for start in range(0, len(events), 5_000):
        log.append(events[start : start + 5_000])


def entries_of(log: TestLog, number: int = NUMBER) -> list[bytes]:
    size = log.log.source.view(number).size
    return [one.record.entry for one in log.log.reader.entries(number, 0, size)]


def reference(entries: list[bytes]) -> Reference:
    tree = Reference(0)
    tree.leaves = [leaf_hash(entry) for entry in entries]
    return tree


def check_tiles(surface: Surface, number: int, tree: Reference) -> int:
    """Every width of every tile, and that nothing else is there; how many hashes were compared."""
    size, compared = len(tree.leaves), 0
    for level in range(5):
        complete = size >> 8 * level
        for index in range(complete // 256 + 2):
            held = max(0, min(256, complete - 256 * index))
            expected = b"".join(tree.node(8 * level, 256 * index + i) for i in range(held))
            for width in range(1, held + 1):
                assert surface.tile(number, level, index, width) == expected[: 32 * width]
                compared += width
            for width in {held + 1, 256} & set(range(held + 1, 257)):
                with pytest.raises(Refused, match="no such tile"):
                    surface.tile(number, level, index, width)
    return compared


def check_bundles(surface: Surface, number: int, entries: list[bytes], step: int) -> None:
    for index in range(len(entries) // 256 + 1):
        part = entries[256 * index : 256 * index + 256]
        for width in sorted({*range(1, len(part) + 1, step), *([len(part)] if part else [])}):
            assert surface.bundle(number, index, width) == bundle_encode(part[:width])
        if len(part) < 256:
            with pytest.raises(Refused, match="no such tile"):
                surface.bundle(number, index, len(part) + 1)


def test_every_byte_at_every_size(tmp_path: Path) -> None:
    """Of one growing log, with the same surface all the time and with a new one at each size."""
    with TestLog(new_log(tmp_path / "log")) as log:
        lasting = Surface(log.log.reader)
        for size in SIZES:
            grow(log, size)
            entries = entries_of(log)
            assert len(entries) == size
            fresh = Surface(log.log.reader)
            for surface in (fresh, lasting):
                compared = check_tiles(surface, NUMBER, reference(entries))
                check_bundles(surface, NUMBER, entries, step=37)
            assert compared >= size
        heads = entries_of(log, layout.ROOT_LOG)
        check_tiles(lasting, layout.ROOT_LOG, reference(heads))
        check_bundles(lasting, layout.ROOT_LOG, heads, step=1)


def test_a_resting_stream_is_looked_at_once(tmp_path: Path) -> None:
    """Old pictures serve all that they reach; for more the newest is taken, and then refused or served."""
    with TestLog(new_log(tmp_path / "log")) as log:
        grow(log, 100)
        looked: list[int] = []
        view = log.log.source.view

        def counted(number: int) -> StreamView:
            looked.append(number)
            return view(number)

        surface = Surface(Reader(log.log.source._replace(view=counted)))
        tile = surface.tile(NUMBER, 0, 0, 100)
        looked.clear()
        for width in range(1, 101):
            assert surface.tile(NUMBER, 0, 0, width) == tile[: 32 * width]
            surface.bundle(NUMBER, 0, width)
        assert looked == []
        grow(log, 300)
        assert surface.tile(NUMBER, 0, 0, 100) == tile
        assert looked == []
        assert len(surface.tile(NUMBER, 0, 1, 44)) == 44 * 32
        assert looked.pop(0) == NUMBER
        with pytest.raises(Refused):
            surface.tile(NUMBER, 0, 1, 45)


def test_an_empty_tree_has_no_tiles(tmp_path: Path) -> None:
    """Of a stream that is being opened nothing is served, and of one that is not there neither."""
    with TestLog(new_log(tmp_path / "log")) as log:
        surface = Surface(log.log.reader)
        for number in (NUMBER, 77):
            for serve in (lambda n: surface.tile(n, 0, 0, 1), lambda n: surface.bundle(n, 0, 1)):
                with pytest.raises(Refused, match="no such tile"):
                    serve(number)


@pytest.mark.slow
def test_a_tree_with_a_third_level(tmp_path: Path) -> None:
    """65,900 leaves: 257 full tiles, one full tile above them, one hash above that; from a log that was just opened."""
    size = 65_900
    new_log(tmp_path / "log")
    with TestLog(tmp_path / "log") as log:
        grow(log, size)
    with TestLog(tmp_path / "log") as log:
        surface = Surface(log.log.reader)
        tree = reference(entries_of(log))
        assert len(tree.leaves) == size
        assert surface.tile(NUMBER, 2, 0, 1) == tree.node(16, 0)
        assert surface.tile(NUMBER, 1, 1, 1) == tree.node(8, 256)
        for level, index, width in ((0, 256, 256), (0, 257, 108), (1, 0, 256), (0, 0, 256)):
            row = [tree.node(8 * level, 256 * index + i) for i in range(width)]
            assert surface.tile(NUMBER, level, index, width) == b"".join(row)
        for level, index, width in ((0, 257, 109), (1, 1, 2), (2, 0, 2), (3, 0, 1)):
            with pytest.raises(Refused):
                surface.tile(NUMBER, level, index, width)


@pytest.mark.parametrize("size", range(1, 16))
def test_the_layout_is_that_of_tessera(tmp_path: Path, size: int) -> None:
    """The bundle of another project's log, cut where we would cut it, hashes to that project's tile."""
    folder = vectors("tessera-log") / "tile"
    entries = [b"one", b"two", b"three", b"four", b"five", b"six", b"seven", b"eit", b"nain"]
    entries += [b"ten", b"ileven", b"twelf", b"threeten", b"fourten", b"fivten"]
    assert (folder / f"entries/000.p/{size}").read_bytes() == bundle_encode(entries[:size])
    tile = b"".join(map(leaf_hash, entries[:size]))
    assert (folder / f"0/000.p/{size}").read_bytes() == tile


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestLog]:
    with TestLog(new_log(tmp_path_factory.mktemp("surface") / "log")) as log:
        grow(log, 600)
        yield log


def rewrite(log: TestLog, database: str, key: bytes, change: Callable[[bytearray], Any]) -> bytes:
    """Change one stored value beneath the running log; the old one."""
    store = log.log.store
    with store.env.begin(write=True) as txn:
        old = bytes(txn.get(key, db=store.db[database]))
        new = bytearray(old)
        change(new)
        txn.put(key, bytes(new), db=store.db[database])
    return old


def flip(at: int) -> Callable[[bytearray], None]:
    def change(value: bytearray) -> None:
        value[at] ^= 1

    return change


@pytest.mark.parametrize("at", [0, 31, 32 * 77 + 5, 8191, 511 * 32 - 1])
def test_a_flipped_bit_of_a_tile_is_not_served(grown: TestLog, at: int) -> None:
    key = layout.tile_key(NUMBER, 0, 1)
    known = Surface(grown.log.reader)
    tile = known.tile(NUMBER, 0, 1)
    old = rewrite(grown, "tiles", key, flip(at))
    try:
        surface = Surface(grown.log.reader)
        for width in (1, 200, 256):
            with pytest.raises(CorruptStore):
                surface.tile(NUMBER, 0, 1, width)
            with pytest.raises(CorruptStore):
                surface.bundle(NUMBER, 1, width)
        assert known.tile(NUMBER, 0, 1) == tile
    finally:
        rewrite(grown, "tiles", key, lambda value: value.__setitem__(slice(None), old))
    assert Surface(grown.log.reader).tile(NUMBER, 0, 1) == tile


def test_a_tile_that_is_whole_but_another_is_not_served(grown: TestLog) -> None:
    """Each of two tiles hashes to its own root; in the place of the other it does not lead to the stream's."""
    store = grown.log.store
    with store.read() as txn:
        other = bytes(txn.get(layout.tile_key(NUMBER, 0, 0), db=store.db["tiles"]))
    key = layout.tile_key(NUMBER, 0, 1)
    old = rewrite(grown, "tiles", key, lambda value: value.__setitem__(slice(None), other))
    try:
        with pytest.raises(CorruptStore, match="does not lead to"):
            Surface(grown.log.reader).tile(NUMBER, 0, 1)
    finally:
        rewrite(grown, "tiles", key, lambda value: value.__setitem__(slice(None), old))


@pytest.mark.parametrize("change", [lambda value: value.pop(), lambda value: value.clear()])
def test_a_shortened_tile_is_not_served(
    grown: TestLog, change: Callable[[bytearray], object]
) -> None:
    key = layout.tile_key(NUMBER, 0, 0)
    old = rewrite(grown, "tiles", key, change)
    try:
        with pytest.raises(CorruptStore, match="another length"):
            Surface(grown.log.reader).tile(NUMBER, 0, 0, 1)
    finally:
        store = grown.log.store
        with store.env.begin(write=True) as txn:
            txn.put(key, old, db=store.db["tiles"])


@pytest.mark.parametrize("index", [3, 300, 599])
def test_a_flipped_bit_of_an_entry_is_not_served(grown: TestLog, index: int) -> None:
    """In full bundles and in the tail: the tile is right, the bundle is refused from that entry on."""
    located = grown.log.reader.leaf(NUMBER, index)
    at = (located.position & 0xFFFF) + layout.RECORD_HEADER.size + 40
    key = layout.u64(located.position >> 16)
    bundle, slot = divmod(index, 256)
    good = Surface(grown.log.reader).bundle(NUMBER, bundle, slot + 1)
    rewrite(grown, "journal", key, flip(at))
    try:
        surface = Surface(grown.log.reader)
        with pytest.raises(CorruptStore, match="are not its leaves"):
            surface.bundle(NUMBER, bundle, slot + 1)
        if slot:
            assert good.startswith(surface.bundle(NUMBER, bundle, slot))
    finally:
        rewrite(grown, "journal", key, flip(at))
    assert Surface(grown.log.reader).bundle(NUMBER, bundle, slot + 1) == good


def test_rot_from_before_the_start_is_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle stream's tree is made of its stored tail: the root that was signed contradicts a rotten one.

    Nothing is appended to it either, or the log would sign what contradicts its own heads; other streams go on.
    """
    monkeypatch.setattr(commit_module, "SWEEP_EVERY", 1)
    new_log(tmp_path / "log")
    with TestLog(tmp_path / "log") as log:
        grow(log, 20)
        position = log.log.reader.leaf(NUMBER, 7).position
    with TestLog(tmp_path / "log") as log:
        assert NUMBER not in log.log.states.views
        at = (position & 0xFFFF) + layout.RECORD_HEADER.size + 40
        rewrite(log, "journal", layout.u64(position >> 16), flip(at))
        surface = Surface(log.log.reader)
        for serve in (lambda: surface.tile(NUMBER, 0, 0, 1), lambda: surface.bundle(NUMBER, 0, 1)):
            with pytest.raises(CorruptStore, match="do not give its root"):
                serve()
        for _ in range(2):
            with pytest.raises(CorruptStore, match="do not give its root"):
                log.append([log.prepare()])
            log.append([log.prepare("acme:prod:another")])
        assert log.failures == [] and log.log.source.view(NUMBER).size == 20
        assert log.log.reader.stream_head(NUMBER)[0].size == 20


def test_a_root_that_was_not_signed_is_not_served(grown: TestLog) -> None:
    """The root log's tree has the root of the newest note, or nothing of it leaves."""
    log = grown.log
    view = log.source.view(layout.ROOT_LOG)
    assert Surface(log.reader).tile(layout.ROOT_LOG, 0, 0, 1)
    log.states.views[layout.ROOT_LOG] = view._replace(root=b"\x00" * 32)
    try:
        with pytest.raises(CorruptStore, match="was signed"):
            Surface(log.reader).tile(layout.ROOT_LOG, 0, 0, 1)
        log.states.views[layout.ROOT_LOG] = view._replace(size=view.size - 1)
        with pytest.raises(CorruptStore, match="do not give its root"):
            Surface(log.reader).tile(layout.ROOT_LOG, 0, 0, 1)
    finally:
        log.states.views[layout.ROOT_LOG] = view


def test_labels(tmp_path: Path) -> None:
    """Private ones by their hash, public ones by their name, streams opened later too; ids and the root log are no labels."""
    with TestLog(new_log(tmp_path / "log")) as log:
        labels = Surface(log.log.reader).labels
        log.log.open_stream("acme:prod:private")
        log.log.open_stream("acme:prod:public", public=True)
        rows = log.log.source.rows
        assert labels.number(rows[2].label) == 2
        assert labels.number("acme/prod/public") == 3
        assert labels.number("tlog/log/operations") == 1
        for none in ("acme/prod/private", "acme:prod:public", "", "a" * 52, rows[0].label):
            assert labels.number(none) is None


def test_the_shelf_keeps_what_is_asked_for() -> None:
    """Within its bytes; what is too large is not kept at all; the same key twice counts once."""
    shelf = Shelf(limit=160)
    for key in range(16):
        shelf.put(key, bytes([key]) * 10)
        shelf.put(key, bytes([key]) * 10)
    assert shelf.get(0) == b"\x00" * 10
    shelf.put(16, b"\x10" * 10)
    assert shelf.get(1) is None
    assert shelf.get(0) is not None
    shelf.put(17, b"x" * 11)
    assert shelf.get(17) is None
    assert sum(shelf.get(key) is not None for key in range(18)) == 16
    assert SHELF_BYTES == 64 * 2**20
