"""A stream proven good in ranges, each by whoever has a core to spare, and put together again.

A range is trusted with nothing about the one before it: it reads the last entry before it for that entry's hash and time,
and whether that entry is good is proven by the range that it is in. Ranges end where tiles end, so that their trees are the
subtrees of the stream's. Like a bundle (`bundles`), a stream of which any range is doubtful is left to `fsck` to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

import msgspec

from tlog.bundles import Before, Prover, follow
from tlog.core.hashes import Hash
from tlog.errors import CorruptStore, TlogError
from tlog.fsck import GENESIS_LINK, Report
from tlog.fsck_tree import Tree, stored_tile, tile_holds
from tlog.reader import Reader
from tlog.sequencer.streams import StreamView
from tlog.store import layout
from tlog.store.environment import LogStore
from tlog.store.lookup import position_of
from tlog.vault import Vault

_BUNDLE = layout.TILE_WIDTH
RANGE = 32 * _BUNDLE  # some tens of milliseconds of work


class Range(msgspec.Struct, frozen=True, tag="range"):
    """Leaves [start, end) of a stream of `size` leaves; `start` is a multiple of 256, and so is `end` but for the last.

    `tail` are the positions after the last full bundle, where the range reaches it.
    """

    number: int
    stream_id: str
    start: int
    end: int
    size: int
    tail: list[int]


class Part(msgspec.Struct, frozen=True, tag="part"):
    """What is proven of a range. `good` False says no more than that there is a doubt.

    `tiles` are the roots of its full tiles, `rest` the leaf hashes after them; `first` and `last` the first and last
    number of each producer in it.
    """

    good: bool
    tiles: list[Hash] = []
    rest: list[Hash] = []
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    withheld: int = 0


DOUBTFUL = Part(False)


def ranges_of(number: int, stream_id: str, view: StreamView) -> Iterator[Range]:
    """The ranges of a whole stream, in order."""
    for start in range(0, view.size, RANGE):
        end = min(start + RANGE, view.size)
        tail = view.tail[: view.size % _BUNDLE] if end == view.size else []
        yield Range(number, stream_id, start, end, view.size, tail)


def prove_range(
    store: LogStore, span: Range, vault: Vault | None, tick: Callable[[int], None]
) -> Part:
    """Prove one range by itself; `tick` is told after each bundle how many leaves are done."""
    prover = Prover(store, span.number, span.stream_id, vault)
    try:
        block, time = _before(store, span)
    except CorruptStore:
        return DOUBTFUL
    tiles: list[Hash] = []
    rest: list[Hash] = []
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    withheld = 0
    for start in range(span.start, span.end, _BUNDLE):
        end = min(start + _BUNDLE, span.end)
        proven = prover.prove(start, end, span, Before(block, time, last, anywhere=True))
        if proven is None:
            return DOUBTFUL
        if end - start == _BUNDLE:
            tile = stored_tile(store, span.number, 0, start // _BUNDLE)
            if tile is None or not tile_holds(tile, proven.leaves):
                return DOUBTFUL
            tiles.append(tile[-32:])
        else:
            rest = proven.leaves
        block, time = proven.block, proven.time
        for producer, number in proven.sequences:
            first.setdefault(producer, number)
        last.update(proven.producers)
        withheld += proven.withheld
        tick(end - span.start)
    return Part(True, tiles, rest, first, last, withheld)


def _before(store: LogStore, span: Range) -> tuple[bytes, str]:
    """Block hash (64 hex digits) and time of the entry before a range."""
    if not span.start:
        return GENESIS_LINK[7:].encode(), ""
    with store.read() as txn:
        entry = store.record(txn, position_of(store, txn, span.number, span.start - 1, span)).entry
    return sha256(entry).hexdigest().encode(), entry[-26:-2].decode("ascii", "replace")


def put_together(
    reader: Reader, stream_id: str, view: StreamView, parts: Sequence[Part]
) -> Report | None:
    """The report on a stream all of whose ranges are good, and fit; None if there is any doubt."""
    number = reader.number(stream_id)
    tree = Tree(reader.source.store, number)
    last: dict[str, int] = {}
    for part in parts:
        if not part.good or follow(last, part.first.items()) is None:
            return None
        last.update(part.last)
        if any(tree.grow_by_tile(root) for root in part.tiles):
            return None
        if part.rest:
            tree.grow(part.rest)
    if tree.root() != view.root:
        return None
    try:
        reader.stream_head(number, view)
    except TlogError:
        return None
    withheld = sum(part.withheld for part in parts)
    return Report(True, view.size, None, [], view.size, view.root, withheld)
