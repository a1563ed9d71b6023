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
from tlog.core.tiles import tile_of
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
        size = self._edge.size
        hashes = []
        for node in nodes:
            level, index, offset = tile_of(node)
            if index < size >> 8 * (level + 1):  # a full one, which the edge has dropped
                tile = self._tiles.get((level, index)) or self._tile(level, index)
                hashes.append(bytes(tile[offset : offset + 32]))
                continue
            try:
                hashes += self._edge.read_nodes([node])
            except LookupError:
                raise CorruptStore(f"stream {self._number} has no node {node}") from None
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
