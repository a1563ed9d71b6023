"""The reader's own right edges: any complete subtree of a stream, from memory or from a stored tile.

The sequencer's edges belong to the writer thread. A reader keeps edges of its own for the streams it is asked about and
lets them catch up from the journal; a node that an edge has dropped is in a full tile.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from tlog.core.hashes import Hash
from tlog.core.merkle import Edge, Node
from tlog.errors import CorruptStore
from tlog.sequencer.streams import StreamView, leaves_at, load_edge
from tlog.store import layout
from tlog.store.environment import LogStore
from tlog.store.lookup import positions_of_bundle

_EDGES = 1024  # streams whose right edge is kept, about 4 KiB each
_CATCH_UP = 4 * layout.TILE_WIDTH


class Nodes:
    """Complete subtrees of one stream: from the edge where it still has them, else from a full tile."""

    def __init__(self, store: LogStore, txn: Any, number: int, edge: Edge) -> None:
        self._store = store
        self._txn = txn
        self._number = number
        self._edge = edge
        self._tiles: dict[tuple[int, int], Any] = {}

    def read_nodes(self, nodes: Sequence[Node]) -> list[Hash]:
        """The hashes of `nodes`. Raises: CorruptStore when one is missing. HOT: once per proof."""
        edge = self._edge
        size = edge.size
        hashes = []
        at, tile = (-1, -1), b""
        for level, index in nodes:
            # As `tile_of`; a path climbs through one tile before it enters the next.
            row = level & 7
            above = level >> 3, index >> 8 - row
            if above[1] >= size >> 8 * (above[0] + 1):
                try:
                    hashes.append(edge.node(level, index))
                except LookupError:
                    node = (level, index)
                    raise CorruptStore(f"stream {self._number} has no node {node}") from None
                continue
            # A full one, which the edge has dropped.
            if above != at:
                at, tile = above, self._tiles.get(above) or self._tile(*above)
            width = layout.TILE_WIDTH >> row
            offset = 32 * (2 * (layout.TILE_WIDTH - width) + (index & width - 1))
            hashes.append(bytes(tile[offset : offset + 32]))
        return hashes

    def _tile(self, level: int, index: int) -> Any:
        key = layout.tile_key(self._number, level, index)
        tile = self._txn.get(key, db=self._store.db["tiles"])
        if tile is None:
            raise CorruptStore(f"tile {level}/{index} of stream {self._number} is missing")
        self._tiles[level, index] = tile
        return tile


class Trees:
    """The trees of one log as one thread sees them."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._edges: OrderedDict[int, Edge] = OrderedDict()

    def nodes(self, txn: Any, number: int, view: StreamView) -> Nodes:
        """All complete subtrees of the first `view.size` leaves."""
        return Nodes(self._store, txn, number, self.edge(txn, number, view))

    def edge(self, txn: Any, number: int, view: StreamView) -> Edge:
        """An edge of at least `view.size` leaves: caught up from the journal, or loaded."""
        edge = self._edges.pop(number, None)
        if edge is None or view.size - edge.size > _CATCH_UP:
            if edge is None or edge.size < view.size:
                edge = load_edge(self._store, txn, number, view.size, view.tail[: view.size % 256])
        elif edge.size < view.size:
            leaves: list[Hash] = []
            at = edge.size
            while at < view.size:
                bundle, slot = divmod(at, layout.TILE_WIDTH)
                new = positions_of_bundle(self._store, txn, number, bundle, view)[slot:]
                leaves += leaves_at(self._store, txn, new)
                at += len(new)
            edge.append(leaves)
            edge.full_tiles()
            edge.drop()
        self._edges[number] = edge
        if len(self._edges) > _EDGES:
            self._edges.popitem(last=False)
        return edge
