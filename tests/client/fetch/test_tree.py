"""What a stranger reads of a tree is what the tree has, at every size; each false byte is named."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from tests.client.fetch.tiled import ORIGIN, TiledLog, Tiles, counted
from tests.paths import vectors
from tests.reference import Reference
from tlog.client.fetch import Fetcher, RemoteTree, http
from tlog.client.fetch import tree as tree_module
from tlog.core.checkpoint import open_checkpoint
from tlog.core.hashes import EMPTY_ROOT
from tlog.core.note import parse_vkey
from tlog.core.proofs import prefix_roots, verify_consistency, verify_inclusion
from tlog.core.root_log import RuleBroken
from tlog.errors import InvalidInput, Refused

COUNT = 66_000
SIZES = [1, 2, 3, 255, 256, 257, 511, 512, 600, 65_535, 65_536, 65_537, COUNT]


@pytest.fixture(scope="module")
def tiles() -> Tiles:
    """A log of three levels."""
    return Tiles(counted(COUNT))


def served(tiles: Tiles) -> TiledLog:
    log = TiledLog()
    log.logs[""] = tiles
    return log


@pytest.mark.parametrize("size", SIZES)
async def test_hashes_entries_and_proofs(tiles: Tiles, size: int) -> None:
    log = served(tiles)
    root, leaves = tiles.root(size), tiles.row(0)
    lo, hi = size * 2 // 3, min(size, size * 2 // 3 + 700)
    async with log.served(), Fetcher(log.url) as fetcher:
        tree = RemoteTree(fetcher, size, root)
        assert await tree.leaf_hashes(lo, hi) == leaves[lo:hi]
        assert await tree.entries(lo, hi) == tiles.entries[lo:hi]
        for index in {0, size // 2, size - 1}:
            verify_inclusion(leaves[index], index, size, await tree.inclusion(index), root)
        for old in {0, 1, size // 3, size - 1, size}:
            old_root = tiles.root(old)
            assert await tree.root_at(old) == old_root
            verify_consistency(old, size, await tree.consistency(old), old_root, root)
            assert prefix_roots(old, size, await tree.prefix(old)) == (old_root, root)


async def test_a_walk_reads_every_tile_once(tiles: Tiles) -> None:
    log = served(tiles)
    async with log.served(), Fetcher(log.url) as fetcher:
        tree = RemoteTree(fetcher, COUNT, tiles.root())
        assert await tree.leaf_hashes(0, COUNT) == tiles.row(0)
    full, rest = divmod(COUNT, 256)
    wanted = {f"tile/0/{n:03d}" for n in range(full)} | {f"tile/0/{full:03d}.p/{rest}"}
    wanted |= {"tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1"}
    assert sorted(log.asked) == sorted(wanted)
    assert tree.tiles_read == len(wanted)


async def test_few_tiles_are_kept(tiles: Tiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_module, "CACHED_TILES", 2)
    log = served(tiles)
    async with log.served(), Fetcher(log.url) as fetcher:
        tree = RemoteTree(fetcher, COUNT, tiles.root())
        for index in (0, 1, 2, 2, 0):
            assert await tree.tile(0, index) == b"".join(tiles.row(0)[256 * index :][:256])
    assert (log.asked.count("tile/0/000"), log.asked.count("tile/0/002")) == (2, 1)


async def test_an_empty_tree(tiles: Tiles) -> None:
    log = served(Tiles([]))
    async with log.served(), Fetcher(log.url) as fetcher:
        tree = RemoteTree(fetcher, 0, EMPTY_ROOT)
        assert await tree.leaf_hashes(0, 0) == []
        assert await tree.root_at(0) == EMPTY_ROOT
        assert await tree.prefix(0) == []
    assert log.asked == []


async def test_what_no_tree_has(tiles: Tiles) -> None:
    """A caller's mistake is told apart from a lie, and nothing is fetched for it."""
    log = served(tiles)
    async with log.served(), Fetcher(log.url) as fetcher:
        tree = RemoteTree(fetcher, 300, tiles.root(300))
        for wrong in (
            tree.leaf_hashes(0, 301),
            tree.leaf_hashes(2, 1),
            tree.nodes([(9, 0)]),
            tree.tile(0, 2),
            tree.tile(2, 0),
            tree.tile(0, -1),
            tree.root_at(301),
            tree.prefix(-1),
            tree.inclusion(300),
            tree.consistency(301),
        ):
            with pytest.raises(InvalidInput):
                await wrong
    assert log.asked == []


def flipped(data: bytes | None, at: int) -> bytes:
    assert data is not None
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


LIES = [
    ("tile/0/001", "flip", "tile", "tile/0/001"),
    ("tile/0/257.p/208", "flip", "tile", "tile/0/257.p/208"),
    ("tile/1/000", "flip", "tile", "tile/1/000"),
    ("tile/1/001.p/1", "flip", "tile", "tile/1/001.p/1"),
    ("tile/2/000.p/1", "flip", "tile", "tile/2/000.p/1"),
    ("tile/entries/001", "flip", "entry", "tile/entries/001"),
    ("tile/entries/257.p/208", "flip", "entry", "tile/entries/257.p/208"),
    ("tile/0/001", "long", "malformed", "tile/0/001"),
    ("tile/0/001", "short", "malformed", "tile/0/001"),
    ("tile/0/257.p/208", "long", "malformed", "tile/0/257.p/208"),
    ("tile/entries/001", "long", "malformed", "tile/entries/001"),
    ("tile/entries/001", "short", "malformed", "tile/entries/001"),
    ("tile/0/001", "gone", "withheld", "tile/0/001"),
    ("tile/1/001.p/1", "gone", "withheld", "tile/1/001.p/1"),
    ("tile/entries/001", "gone", "withheld", "tile/entries/001"),
]


@pytest.mark.parametrize(("path", "how", "rule", "named"), LIES)
async def test_every_false_byte_is_named(
    tiles: Tiles, path: str, how: str, rule: str, named: str
) -> None:
    log = served(tiles)
    true = tiles.resource(path)
    assert true is not None
    lies: dict[str, bytes | int] = {
        "flip": flipped(true, 4),
        "long": true + b"\x00",
        "short": true[:-1],
        "gone": 404,
    }
    log.lies[path] = lies[how]
    async with log.served(), Fetcher(log.url) as fetcher:
        tree = RemoteTree(fetcher, COUNT, tiles.root(), origin=ORIGIN)
        start = COUNT - 300 if "257" in path else 0
        with pytest.raises(RuleBroken) as caught:
            await tree.entries(start, start + 300)
    assert (caught.value.rule, caught.value.resource) == (rule, named)
    assert str(caught.value).startswith(f"{ORIGIN} {named}")
    if rule == "entry":
        assert caught.value.index == int(named[13:16]) * 256


async def test_a_root_that_the_tiles_do_not_give(tiles: Tiles) -> None:
    log = served(tiles)
    async with log.served(), Fetcher(log.url) as fetcher:
        for size, root in ((300, tiles.root(299)), (256, EMPTY_ROOT), (0, tiles.root(1))):
            with pytest.raises(RuleBroken, match="do not give the root") as caught:
                await RemoteTree(fetcher, size, root).root_at(size // 2)
            assert caught.value.rule == "tile"


async def test_partial_tiles_that_are_gone(tiles: Tiles) -> None:
    """The full ones have the same hashes; a full one of other hashes does not pass for it."""
    log = served(tiles)
    gone = ["tile/0/001.p/44", "tile/entries/001.p/44", "tile/1/000.p/1"]
    log.lies |= dict.fromkeys(gone, 404)
    async with log.served(), Fetcher(log.url) as fetcher:
        assert await RemoteTree(fetcher, 300, tiles.root(300)).entries(0, 300) == counted(300)
        log.lies["tile/0/001"] = flipped(tiles.resource("tile/0/001"), 0)
        with pytest.raises(RuleBroken, match=r"tile/0/001\.p/44 at leaf 256: tile: hash 0"):
            await RemoteTree(fetcher, 300, tiles.root(300)).leaf_hashes(0, 300)


async def test_bundles_in_memory_are_few(tiles: Tiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many walk at once, and stop anywhere, no more are held than agreed, and nobody waits for ever."""
    log = served(tiles)
    held = most = 0
    entries = Fetcher.entries

    async def counted_entries(self: Fetcher, index: int, width: int = 256) -> list[bytes]:
        nonlocal held, most
        found = await entries(self, index, width)
        held += 1
        most = max(most, held)
        return found

    monkeypatch.setattr(Fetcher, "entries", counted_entries)

    async def walk(tree: RemoteTree, stop: int) -> None:
        nonlocal held
        async with aclosing(tree.walk(0, 5000, entries=True)) as chunks:
            async for chunk in chunks:
                await asyncio.sleep(0)
                held -= 1
                if chunk.first >= stop:
                    break

    async with log.served(), Fetcher(log.url) as fetcher:
        trees = [RemoteTree(fetcher, COUNT, tiles.root()) for _ in range(6)]
        await asyncio.gather(*[walk(tree, 5000) for tree in trees])
        assert (held, most <= http.BUNDLES) == (0, True)
        await asyncio.gather(*[walk(tree, 300) for tree in trees])
        for _ in range(http.BUNDLES):
            await asyncio.wait_for(fetcher.slots.acquire(), 1)


async def test_entries_that_need_a_token(tiles: Tiles) -> None:
    """They are refused, which is no lie; the hashes are there all the same, and tell a false tile."""
    log = served(tiles)
    log.lies |= {"tile/entries/000": 403, "tile/entries/001.p/44": 403}
    async with log.served(), Fetcher(log.url) as fetcher:
        tree = RemoteTree(fetcher, 300, tiles.root(300))
        with pytest.raises(Refused):
            await tree.entries(0, 300)
        assert await tree.leaf_hashes(0, 300) == tiles.row(0)[:300]
        log.lies["tile/0/001.p/44"] = flipped(tiles.resource("tile/0/001.p/44"), 0)
        with pytest.raises(RuleBroken, match="do not give the root"):
            await RemoteTree(fetcher, 300, tiles.root(300)).leaf_hashes(0, 300)


async def test_the_log_of_another_implementation() -> None:
    """Tessera's test data: signature, tiles, bundles and root at all sizes from 0 to 15."""
    folder = vectors("tessera-log")
    log = TiledLog()
    for path in folder.rglob("*"):
        if path.is_file():
            log.lies[str(path.relative_to(folder))] = path.read_bytes()
    verifier = parse_vkey(
        "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
    )
    entries: list[bytes] = []
    async with log.served(), Fetcher(log.url) as fetcher:
        for size in range(16):
            note = (folder / f"checkpoint.{size}").read_bytes()
            head, _ = open_checkpoint(note, [verifier], "example.com/log/testdata")
            tree = RemoteTree(fetcher, head.size, head.root)
            before, entries = entries, await tree.entries(0, head.size)
            assert (len(entries), entries[: len(before)]) == (size, before)
    assert entries[7:9] == [b"eit", b"nain"]


def test_the_reference_agrees() -> None:
    """The tiles of these tests give the roots of the recursive definitions."""
    for size in (0, 1, 2, 3, 7, 64, 255, 256, 257, 300):
        assert Tiles(counted(300)).root(size) == Reference(300).root(size)
