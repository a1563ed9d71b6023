"""Every resource of a tiled log has one path, every node one home, every bundle one reading."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.paths import VECTORS
from tlog.core.merkle import Node
from tlog.core.tiles import (
    STORED_TILE_BYTES,
    TILE_BYTES,
    TileRef,
    bundle_decode,
    bundle_encode,
    entries_path,
    parse_tile_path,
    partial_width,
    stored_at,
    tile_below,
    tile_of,
    tile_path,
)
from tlog.errors import InvalidInput

PATHS = [
    ("tile/0/000", 0, 0, 256),
    ("tile/0/001", 0, 1, 256),
    ("tile/63/999", 63, 999, 256),
    ("tile/0/x001/000", 0, 1000, 256),
    ("tile/0/x001/x234/067", 0, 1234067, 256),
    ("tile/1/000.p/1", 1, 0, 1),
    ("tile/2/273.p/112", 2, 273, 112),
    ("tile/15/x123/x456/789.p/41", 15, 123456789, 41),
    ("tile/9/x100/000.p/255", 9, 100000, 255),
    ("tile/0/x036/x028/x797/x018/963", 0, 36028797018963, 256),
    ("tile/entries/000", None, 0, 256),
    ("tile/entries/000.p/8", None, 0, 8),
    ("tile/entries/x001/x000/000.p/20", None, 1000000, 20),
]


@pytest.mark.parametrize(("path", "level", "index", "width"), PATHS)
def test_paths(path: str, level: int | None, index: int, width: int) -> None:
    assert parse_tile_path(path) == TileRef(level, index, width)
    made = entries_path(index, width) if level is None else tile_path(level, index, width)
    assert made == path


references = st.builds(
    TileRef,
    st.one_of(st.none(), st.integers(0, 63)),
    st.one_of(st.integers(0, 10**7), st.integers(0, 2**63 - 1)),
    st.integers(1, 256),
)


@given(references)
def test_paths_round_trip(tile: TileRef) -> None:
    assert parse_tile_path(tile.path) == tile
    assert re.fullmatch(r"tile/(entries|\d+)/(x\d{3}/)*\d{3}(\.p/\d+)?", tile.path)


@given(st.text(alphabet="0123456789x/.p", max_size=24))
def test_what_parses_is_the_path_of_what_it_parses_to(rest: str) -> None:
    for path in ("tile/" + rest, "tile/entries/" + rest, "tile/0/" + rest):
        try:
            tile = parse_tile_path(path)
        except InvalidInput:
            continue
        assert tile.path == path


@pytest.mark.parametrize(
    "path",
    [
        *["tile/0/x000/001", "tile/0/x000/x001/000", "tile/0/0001", "tile/0/01", "tile/0/1"],
        *["tile/0/x1/000", "tile/0/x0001/000", "tile/0/001/000", "tile/0/x001", "tile/0/x001/"],
        *["tile/0/x001/x000", "tile/0/X001/000", "tile/0/x001//000", "tile/0/x001/x/000"],
        *["tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/08", "tile/0/000.p/", "tile/0/000.p"],
        *["tile/0/000.p/257", "tile/0/000.p/300", "tile/0/000.p/1000", "tile/0/000.p/-1"],
        *["tile/0/000.p/+1", "tile/0/000.p/1/", "tile/0/000.p/x001", "tile/0/000.P/1"],
        *["tile/0/000p/1", "tile/0/000/.p/1", "tile/0/000xp/1", "tile/0/000.p/1.p/1"],
        *[
            "tile/00/000",
            "tile/01/000",
            "tile/64/000",
            "tile/99/000",
            "tile/100/000",
            "tile/-1/000",
        ],
        *["tile/+1/000", "tile//000", "tile/x/000", "tile/0", "tile/0/", "tile/", "", "tile"],
        *["tile/8/0/000", "tile/data/000", "tile/Entries/000", "tile/entries", "tile/entries/"],
        *["tile/entries/x000/001", "tile/entries/000.p/256", "tile/entries/000.p/0"],
        *["/tile/0/000", "tile/0/000/", "tile/0/000 ", " tile/0/000", "tile/0/000\n", "Tile/0/000"],
        *["tile/0/000?x", "tile/0/%30%30%30", "tile/./0/000", "tile/0/../0/000", "tile/0/-01"],
        *["tile/0/٠٠١", "tile/٣/000", "tile/0/000.p/٣", "tile/0/1_0", "tile/0/0x1"],
        "tile/0/" + "x999/" * 7 + "999",
    ],
)
def test_aliases_and_other_paths_are_refused(path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_tile_path(path)
    assert caught.value.kind == "malformed"


@pytest.mark.parametrize(
    ("size", "widths"),
    [
        (0, [0, 0, 0]),
        (1, [1, 0, 0]),
        (255, [255, 0, 0]),
        (256, [0, 1, 0]),
        (257, [1, 1, 0]),
        (70000, [112, 17, 1]),
        (65536, [0, 0, 1]),
        (2**63 - 1, [255, 255, 255, 255, 255, 255, 255, 127, 0]),
    ],
)
def test_partial_widths(size: int, widths: list[int]) -> None:
    assert [partial_width(level, size) for level in range(len(widths))] == widths


@pytest.mark.parametrize(
    ("node", "place"),
    [
        ((0, 0), (0, 0, 0)),
        ((0, 255), (0, 0, 255 * 32)),
        ((0, 256), (0, 1, 0)),
        ((1, 0), (0, 0, 256 * 32)),
        ((1, 127), (0, 0, 383 * 32)),
        ((1, 128), (0, 1, 256 * 32)),
        ((7, 0), (0, 0, 508 * 32)),
        ((7, 3), (0, 1, 509 * 32)),
        ((8, 0), (1, 0, 0)),
        ((8, 300), (1, 1, 44 * 32)),
        ((9, 1), (1, 0, 257 * 32)),
        ((16, 5), (2, 0, 5 * 32)),
    ],
)
def test_the_home_of_a_node(node: Node, place: tuple[int, int, int]) -> None:
    assert tile_of(node) == place


def test_every_node_but_the_root_has_its_own_place_in_a_tile() -> None:
    offsets = [tile_of((8 + row, i)) for row in range(8) for i in range(256 >> row)]
    assert offsets == [(1, 0, 32 * i) for i in range(510)]
    assert tile_below((16, 0)) == (1, 0, 510 * 32)
    assert (TILE_BYTES, STORED_TILE_BYTES) == (256 * 32, 511 * 32)


@pytest.mark.parametrize("node", [(0, 0), (1, 0), (7, 1), (9, 0), (15, 3)])
def test_only_the_roots_of_tiles_are_below(node: Node) -> None:
    with pytest.raises(AssertionError, match="bad math"):
        tile_below(node)


@pytest.mark.parametrize(
    ("node", "size", "place"),
    [
        ((0, 0), 255, None),
        ((0, 0), 256, (0, 0, 0)),
        ((0, 256), 511, None),
        ((7, 1), 256, (0, 0, 509 * 32)),
        ((8, 0), 256, (0, 0, 510 * 32)),
        ((8, 0), 65535, (0, 0, 510 * 32)),
        ((8, 254), 65535, (0, 254, 510 * 32)),
        ((8, 255), 65535, None),
        ((8, 0), 65536, (1, 0, 0)),
        ((9, 0), 65535, None),
        ((9, 0), 65536, (1, 0, 256 * 32)),
        ((16, 0), 65536, (1, 0, 510 * 32)),
        ((16, 0), 65535, None),
        ((8, 0), 255, None),
    ],
)
def test_where_a_node_is_stored(node: Node, size: int, place: tuple[int, int, int] | None) -> None:
    assert stored_at(node, size) == place


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_bundles_round_trip(entries: list[bytes]) -> None:
    bundle = bundle_encode(entries)
    assert bundle_decode(bundle, len(entries)) == entries
    assert len(bundle) == sum(2 + len(entry) for entry in entries)


def test_bundle_bytes() -> None:
    assert bundle_encode([b"ab", b"", b"\x00" * 258]) == (
        b"\x00\x02ab" + b"\x00\x00" + b"\x01\x02" + bytes(258)
    )
    assert bundle_decode(bundle_encode([b"x"] * 256)) == [b"x"] * 256


def test_the_largest_entry_fits_and_no_larger_one() -> None:
    largest = bytes(65535)
    assert bundle_decode(bundle_encode([largest]), 1) == [largest]
    with pytest.raises(InvalidInput) as caught:
        bundle_encode([b"x", largest + b"\x00"])
    assert caught.value.kind == "entry-too-large"


def test_a_bundle_of_another_width_or_length_is_refused() -> None:
    bundle = bundle_encode([b"abc", b"", b"de"])
    wrong = [(bundle, 2), (bundle, 4), (bundle, 0), (bundle, 256), (b"", 1), (b"\x00", 0)]
    wrong += [(bundle[:cut], 3) for cut in range(len(bundle))]
    wrong += [(bundle + b"\x00", 3), (bundle + b"\x00\x00", 3), (b"\xff\xff", 1), (b"\x00", 1)]
    for data, width in wrong:
        with pytest.raises(InvalidInput) as caught:
            bundle_decode(data, width)
        assert caught.value.kind == "malformed"


@pytest.mark.parametrize("size", range(1, 16))
def test_bundles_of_the_tessera_log_encode_to_themselves(size: int) -> None:
    path = VECTORS / "tessera-log" / entries_path(0, size)
    if not path.exists():
        pytest.skip(f"no vectors at {path}: set TLOG_VECTORS")
    bundle = path.read_bytes()
    assert bundle_encode(bundle_decode(bundle, size)) == bundle
