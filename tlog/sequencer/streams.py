"""One stream as the writer keeps it, as everybody sees it, and how its right edge is made of what is stored."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, NamedTuple

from tlog.core.hashes import Hash
from tlog.core.merkle import Edge
from tlog.errors import CorruptStore
from tlog.store import layout
from tlog.store.environment import LogStore
from tlog.store.layout import StateRow


class StreamView(NamedTuple):
    """A stream as of one commit. `tail[: size % 256]` are the positions after the last full bundle."""

    size: int
    root: Hash
    ms: int
    root_leaf: int
    tail: list[int]


class StreamState:
    """The right edge of one stream: all that appending needs."""

    __slots__ = ("edge", "ms", "number", "previous", "root_leaf", "size", "tail")

    def __init__(
        self,
        number: int,
        size: int,
        previous: str,
        ms: int,
        root_leaf: int,
        tail: list[int],
        edge: Edge,
    ) -> None:
        self.number = number
        self.size = size
        self.previous = previous  # block hash of the last entry, as text
        self.ms = ms
        self.root_leaf = root_leaf
        self.tail = tail
        self.edge = edge

    def view(self) -> StreamView:
        """An immutable picture of now; `tail` is shared because it only grows or is replaced."""
        return StreamView(self.size, self.edge.root(), self.ms, self.root_leaf, self.tail)

    def row(self) -> StateRow:
        """What a sweep stores."""
        previous = bytes.fromhex(self.previous[7:])
        return StateRow(
            self.size,
            previous,
            self.ms,
            self.root_leaf,
            layout.encode_positions(self.tail),
            self.edge.root(),
        )


def leaves_at(store: LogStore, txn: Any, positions: list[int]) -> list[Hash]:
    """The leaf hashes of the entries at these positions. HOT: of a whole tail when a stream that rested is used."""
    leaves = []
    number, chunk = -1, b""
    read = layout.read_entry
    for position in positions:
        if position >> 16 != number:
            number = position >> 16
            chunk = store.chunk(txn, number)
        leaves.append(sha256(b"\x00" + read(chunk, position & 0xFFFF)).digest())
    return leaves


def load_edge(store: LogStore, txn: Any, number: int, size: int, tail: list[int]) -> Edge:
    """The edge of a tree of `size` leaves, from its tail's entries and the roots of its full tiles."""

    def read(level: int, index: int, width: int) -> list[Hash]:
        if level == 0:
            return leaves_at(store, txn, tail[:width])
        hashes = []
        for child in range(index * layout.TILE_WIDTH, index * layout.TILE_WIDTH + width):
            tile = txn.get(layout.tile_key(number, level - 1, child), db=store.db["tiles"])
            if tile is None:
                raise CorruptStore(f"tile {level - 1}/{child} of stream {number} is missing")
            hashes.append(bytes(tile[-32:]))
        return hashes

    return Edge.load(size, read)
