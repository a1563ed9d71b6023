"""Where a leaf stands in the journal."""

from __future__ import annotations

import struct
from bisect import bisect_left
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


def entries_at(
    store: LogStore, txn: Any, stream: int, first: int, positions: list[int]
) -> list[bytes] | None:
    """The entries at these positions; None if one holds another leaf than `first`, `first` + 1 …. HOT: all of a log.

    None says that something is wrong, not what: reading the records one by one does. Raises: CorruptStore (no chunk).
    """
    entries: list[bytes] = []
    unpack, length = layout.RECORD_HEADER.unpack_from, layout.RECORD_HEADER.size
    at = 0
    while at < len(positions):
        number = positions[at] >> 16
        end = bisect_left(positions, number + 1 << 16, at)
        # One copy: slices of bytes cost half as much as those of a view.
        chunk = bytes(store.chunk(txn, number))
        if end - at == 1:
            # A commit of one event: what follows would cost more than it does.
            entry = _entry_at(chunk, positions[at] & 0xFFFF, stream, first + at)
            if entry is None:
                return None
            entries.append(entry)
            at = end
            continue
        offsets = [position & 0xFFFF for position in positions[at:end]]
        try:
            heads = [unpack(chunk, offset) for offset in offsets]
        except struct.error:
            return None
        _, streams, indexes, lengths, _ = zip(*heads, strict=True)
        if {*streams} != {stream} or indexes != (*range(first + at, first + end),):
            return None
        entries += [
            chunk[offset + length : offset + length + size]
            for offset, size in zip(offsets, lengths, strict=True)
        ]
        at = end
    return entries


def _entry_at(chunk: bytes, offset: int, stream: int, index: int) -> bytes | None:
    if len(chunk) < offset + layout.RECORD_HEADER.size:
        return None
    _, of, at, length, _ = layout.RECORD_HEADER.unpack_from(chunk, offset)
    start = offset + layout.RECORD_HEADER.size
    return chunk[start : start + length] if (of, at) == (stream, index) else None
