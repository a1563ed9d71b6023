"""Where a leaf stands in the journal."""

from __future__ import annotations

from typing import Any, Protocol

from tlog.errors import CorruptStore
from tlog.store import layout
from tlog.store.environment import LogStore


class Tail(Protocol):
    """A stream's size and the positions after its last full bundle."""

    @property
    def size(self) -> int: ...

    @property
    def tail(self) -> list[int]: ...


def positions_of_bundle(
    store: LogStore, txn: Any, stream: int, bundle: int, view: Tail
) -> list[int]:
    """The positions of bundle `bundle` (leaves 256·bundle …) as far as `view` reaches."""
    if bundle == view.size // layout.TILE_WIDTH:
        return view.tail[: view.size % layout.TILE_WIDTH]
    data = txn.get(layout.index_key(stream, bundle), db=store.db["index"])
    if data is None:
        raise CorruptStore(f"the index of bundle {bundle} of stream {stream} is missing")
    return layout.decode_positions(data)


def position_of(store: LogStore, txn: Any, stream: int, index: int, view: Tail) -> int:
    """The position of leaf `index` < `view.size`."""
    if not 0 <= index < view.size:
        raise AssertionError(f"tlog: leaf {index} is outside a stream of {view.size}")
    bundle, slot = divmod(index, layout.TILE_WIDTH)
    return positions_of_bundle(store, txn, stream, bundle, view)[slot]
