"""Tiles: https://c2sp.org/tlog-tiles, and the fuller tiles that this log stores.

In scope: paths of tiles and entry bundles, bundles themselves, where a node lies in a stored tile.
Out of scope: who serves and caches them.

A tile of the C2SP has 256 hashes: number i of tile (L, N) is node (8 L, 256 N + i). A *stored* tile
adds the levels above, up to the tile's own root: rows of 256, 128, … 1 hashes, 511 in all, so that a
proof reads each of its hashes and computes none; its first 8,192 bytes are the C2SP tile.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tlog.core.hashes import HASH_SIZE
from tlog.core.merkle import Node
from tlog.core.wire import decimal
from tlog.errors import InvalidInput

TILE_HEIGHT = 8
TILE_WIDTH = 256
TILE_BYTES = TILE_WIDTH * HASH_SIZE
"""Length of a full C2SP tile: 8,192 bytes."""
STORED_TILE_BYTES = (2 * TILE_WIDTH - 1) * HASH_SIZE
"""Length of a stored tile: 16,352 bytes."""
MAX_LEVEL = 63
MAX_ENTRY_SIZE = 65535

_PATH = re.compile(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?")


@dataclass(frozen=True)
class TileRef:
    """One resource: a tile, or with level None the entry bundle beside a tile of level 0.

    0 <= level <= 63; 1 <= width <= 256, less than 256 when partial.
    """

    level: int | None
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """The path under the log's prefix, such as `tile/0/x001/x234/067` or `tile/1/000.p/17`."""
        directory = "entries" if self.level is None else str(self.level)
        rest, name = divmod(self.index, 1000)
        number = f"{name:03d}"
        while rest:
            rest, group = divmod(rest, 1000)
            number = f"x{group:03d}/{number}"
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{directory}/{number}{partial}"


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """The path of a tile under the log's prefix."""
    return TileRef(level, index, width).path


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """The path of an entry bundle under the log's prefix."""
    return TileRef(None, index, width).path


def parse_tile_path(path: str) -> TileRef:
    """Parse the path of a tile or bundle, without leading slash; each resource has one path only.

    Raises: InvalidInput("malformed").
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise InvalidInput("malformed", "not the path of a tile")
    directory, groups, partial = match.groups()
    level = None if directory == "entries" else decimal(directory)
    index = int(groups.replace("x", "").replace("/", ""))
    width = TILE_WIDTH if partial is None else decimal(partial)
    tile = TileRef(level, index, width)
    # Formatted again: leading groups x000, and a partial width that is the full one, would alias.
    if tile.path != path or not 1 <= width <= TILE_WIDTH or (level or 0) > MAX_LEVEL:
        raise InvalidInput("malformed", "not the path of a tile")
    return tile


def partial_width(level: int, size: int) -> int:
    """The width of the partial tile of `level` in a tree of `size` leaves; 0: there is none."""
    return size >> TILE_HEIGHT * level & TILE_WIDTH - 1


def tile_of(node: Node) -> tuple[int, int, int]:
    """Where a node lies in stored tiles: (tile level, tile index, byte offset). HOT.

    A node of level 8, 16, … is in two stored tiles: in the lowest row of one, which is the answer
    here, and as the root of the tile below it, which is full long before: see `tile_below`.
    """
    level, index = node
    row = level & TILE_HEIGHT - 1
    # A row has width w = 256 >> row; the rows before it hold 512 - 2 w hashes.
    width = TILE_WIDTH >> row
    position = 2 * (TILE_WIDTH - width) + (index & width - 1)
    return level // TILE_HEIGHT, index >> TILE_HEIGHT - row, position * HASH_SIZE


def tile_below(node: Node) -> tuple[int, int, int]:
    """The stored tile whose root is `node`, of level 8, 16, …: (tile level, tile index, offset)."""
    level, index = node
    tile_level, row = divmod(level, TILE_HEIGHT)
    if row or not tile_level:
        raise AssertionError("tlog: bad math in tile_below")
    return tile_level - 1, index, STORED_TILE_BYTES - HASH_SIZE


def stored_at(node: Node, size: int) -> tuple[int, int, int] | None:
    """Where to read a node of a tree of which `size` leaves are in full stored tiles, if anywhere.

    None: only the tree's edge has it, as its tile is still partial.
    """
    tile_level, tile_index, offset = tile_of(node)
    if tile_index < size >> TILE_HEIGHT * (tile_level + 1):
        return tile_level, tile_index, offset
    level, index = node
    if level % TILE_HEIGHT == 0 and level and index < size >> level:
        return tile_below(node)
    return None


def bundle_encode(entries: Iterable[bytes]) -> bytes:
    """Join entries into a bundle: each preceded by its length, two bytes, big-endian.

    Raises: InvalidInput("entry-too-large") above 65,535 bytes.
    """
    parts: list[bytes] = []
    for entry in entries:
        # SPEC (tlog-tiles): entries are at most 65,535 bytes.
        if len(entry) > MAX_ENTRY_SIZE:
            raise InvalidInput("entry-too-large", "an entry has at most 65,535 bytes")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def bundle_decode(bundle: bytes, width: int = TILE_WIDTH) -> list[bytes]:
    """Split a bundle of exactly `width` entries. Raises: InvalidInput("malformed")."""
    entries = []
    start = 0
    for _ in range(width):
        body = start + 2
        start = body + int.from_bytes(bundle[start:body], "big")
        entries.append(bundle[body:start])
    # Past the end a slice is only shorter, but `start` moves on: this finds what is missing, too.
    if start != len(bundle):
        raise InvalidInput("malformed", f"the bundle is not exactly {width} entries")
    return entries
