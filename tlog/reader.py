"""The read path: entries, heads and proofs at committed sizes. It never writes, and serves no proof it has not checked.

Everything here is synchronous and short: one read transaction per call, never held across an `await`. One thread uses a
`Reader`; a second thread makes a second one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from tlog.core.checkpoint import Checkpoint, parse_checkpoint
from tlog.core.hashes import Hash, leaf_hash
from tlog.core.ids import EventId, parse_event_id, stream_origin
from tlog.core.merkle import root_hash
from tlog.core.policy import Policy
from tlog.core.proofs import consistency_proof, verify_consistency
from tlog.errors import CorruptStore, InvalidInput, Refused, VerificationError
from tlog.inclusions import Inclusions
from tlog.published import first_published, first_witnessed
from tlog.sequencer.publish import Head
from tlog.sequencer.streams import StreamView
from tlog.store import layout
from tlog.store.environment import LogStore
from tlog.store.layout import CHUNK_HEADER, Record, StreamRow, read_records
from tlog.store.lookup import position_of, positions_of_bundle
from tlog.trees import Nodes, Trees

T = TypeVar("T")


class Source(NamedTuple):
    """What a reader reads from: the store and the writer's published pictures."""

    store: LogStore
    origin: str
    rows: dict[int, StreamRow]
    numbers: dict[str, int]
    view: Callable[[int], StreamView]
    head: Callable[[], Head]
    policy: Policy | None = None


@dataclass(frozen=True, slots=True)
class Located:
    """One stored event. `position` is its place in the journal."""

    stream: int
    index: int
    position: int
    record: Record


class Inclusion(NamedTuple):
    """A checked inclusion proof: RFC 6962 section 2.1.1."""

    leaf_index: int
    tree_size: int
    root: Hash
    hashes: list[Hash]
    leaf: Hash


class Consistency(NamedTuple):
    """A checked consistency proof: RFC 6962 section 2.1.2. `size` is that of the newer tree."""

    size: int
    hashes: list[Hash]
    old_root: Hash
    new_root: Hash


class Reader:
    """Reads one log."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._store = source.store
        self.trees = Trees(source.store)
        self._inclusions = Inclusions()

    def number(self, stream_id: str) -> int:
        """The number of a stream. Raises: Refused (not-found)."""
        number = self.source.numbers.get(stream_id)
        if number is None:
            raise Refused("not-found", f"there is no stream {stream_id}")
        return number

    def origin(self, number: int) -> str:
        """The origin of a stream's tree heads; the log's own for the root log."""
        if number == layout.ROOT_LOG:
            return self.source.origin
        return stream_origin(self.source.origin, self.source.rows[number].label)

    def event(self, text: str) -> Located:
        """The event that an id names. Raises: Refused (not-found), for malformed ids too."""
        try:
            identity: EventId = parse_event_id(text)
        except InvalidInput as error:
            raise _no_event(text) from error
        if identity.stream_number not in self.source.rows or identity.stream_number == 0:
            raise _no_event(text)
        view = self.source.view(identity.stream_number)
        if identity.leaf_index >= view.size:
            raise _no_event(text)
        located = self.leaf(identity.stream_number, identity.leaf_index, view)
        if f'"id":"{text}"'.encode() not in located.record.entry:
            raise _no_event(text)
        return located

    def leaf(self, number: int, index: int, view: StreamView | None = None) -> Located:
        """Leaf `index` of a stream."""
        with self._store.read() as txn:
            position = position_of(
                self._store, txn, number, index, view or self.source.view(number)
            )
            record = self._store.record(txn, position)
        if (record.stream, record.index) != (number, index):
            raise CorruptStore(f"the index of stream {number} leads leaf {index} to another record")
        return Located(number, index, position, record)

    def entries(
        self, number: int, start: int, end: int, view: StreamView | None = None
    ) -> list[Located]:
        """Leaves [start, end) of a stream, in one transaction: keep the range small."""
        view = view or self.source.view(number)
        found = []
        with self._store.read() as txn:
            while start < min(end, view.size):
                bundle, slot = divmod(start, layout.TILE_WIDTH)
                positions = positions_of_bundle(self._store, txn, number, bundle, view)
                for position in positions[slot : slot + end - start]:
                    found.append(
                        Located(number, start, position, self._store.record(txn, position))
                    )
                    start += 1
        return found

    def commit_ms(self, position: int) -> int:
        """Unix milliseconds of the commit that wrote a record."""
        with self._store.read() as txn:
            header = CHUNK_HEADER.unpack_from(self._store.chunk(txn, position >> 16))
        return int(header[3])

    def root_of(self, number: int, size: int) -> Hash:
        """The root of the first `size` leaves."""
        return self._with_nodes(number, lambda nodes: root_hash(size, nodes))

    def inclusion(
        self, number: int, index: int, size: int | None = None, leaf: Hash | None = None
    ) -> Inclusion:
        """A checked proof that leaf `index` is in the tree of `size` (default: the newest). HOT.

        Whoever shows what the leaf is the hash of gives that hash as `leaf`; default: what the tree holds there.
        Raises: InvalidInput (tree-size, leaf-index), CorruptStore when leaf and stored hashes do not give the root.
        """
        view = self.source.view(number)
        size = self._size(view, size)
        if not 0 <= index < size:
            raise InvalidInput(
                "leaf-index", f"leaf {index} is not in a tree of {size}", "/leaf_index"
            )

        def prove(nodes: Nodes) -> Inclusion:
            shown = nodes.read_nodes([(0, index)])[0] if leaf is None else leaf
            root, hashes = self._inclusions.prove(
                number, index, size, shown, nodes, lambda: _root(nodes, size, view, number)
            )
            return Inclusion(index, size, root, hashes, shown)

        return _checked(lambda: self._with_nodes(number, prove, view), number)

    def consistency(self, number: int, old: int, new: int | None = None) -> Consistency:
        """A checked proof that the tree of `old` leaves is a prefix of that of `new` (default: the newest).

        Raises: InvalidInput (tree-size), CorruptStore.
        """
        view = self.source.view(number)
        new = self._size(view, new)
        if not 0 < old <= new:
            raise InvalidInput("tree-size", f"first must be in 1 … second ({new})", "/first")

        def prove(nodes: Nodes) -> Consistency:
            proof, old_root = consistency_proof(old, new, nodes), root_hash(old, nodes)
            new_root = _root(nodes, new, view, number)
            _checked(lambda: verify_consistency(old, new, proof, old_root, new_root), number)
            return Consistency(new, proof, old_root, new_root)

        return self._with_nodes(number, prove, view)

    def stream_head(
        self, number: int, view: StreamView | None = None
    ) -> tuple[Checkpoint, Inclusion, Head]:
        """A stream's newest head, its proof in the root log, and the signed root that covers it."""
        view = view or self.source.view(number)
        head = self.source.head()
        checkpoint = Checkpoint(self.origin(number), view.size, view.root)
        body = checkpoint.body()
        if self.leaf(layout.ROOT_LOG, view.root_leaf).record.entry != body:
            raise CorruptStore(f"the newest head of stream {number} is not what the root log holds")
        size, leaf = head.root.size, leaf_hash(body)
        return checkpoint, self.inclusion(layout.ROOT_LOG, view.root_leaf, size, leaf), head

    def first_head(self, located: Located) -> tuple[Checkpoint, int]:
        """The first head that covers an event and its leaf index in the root log."""
        origin = self.origin(located.stream)
        prefix = origin.encode() + b"\n"
        with self._store.read() as txn:
            first, last = self._commit_chunks(txn, located.position >> 16)
            for number in range(last, first - 1, -1):
                chunk = bytes(self._store.chunk(txn, number))
                # A commit of thousands of streams has thousands of heads, in a few chunks.
                for record in read_records(chunk) if prefix in chunk else ():
                    if record.kind == layout.HEAD and record.entry.startswith(prefix):
                        return parse_checkpoint(record.entry), record.index
        raise CorruptStore(f"no head of stream {located.stream} covers leaf {located.index}")

    def _commit_chunks(self, txn: Any, number: int) -> tuple[int, int]:
        first = CHUNK_HEADER.unpack_from(self._store.chunk(txn, number))[2]
        cursor = txn.cursor(db=self._store.db["journal"])
        cursor.set_key(layout.u64(number))
        last = number
        while cursor.next() and CHUNK_HEADER.unpack_from(cursor.value())[2] == first:
            last += 1
        return first, last

    def published(self, root_leaf: int) -> tuple[int, bytes] | None:
        """Size and note of the first published root that covers a leaf of the root log."""
        return first_published(self._store, root_leaf)

    def witnessed(self, root_leaf: int) -> tuple[int, bytes] | None:
        """The same of the first whose note has the quorum of the log's policy, None without policy or such a root.

        After a long outage of the witnesses it is one soon after the first.
        """
        policy = self.source.policy
        return None if policy is None else first_witnessed(self._store, policy, root_leaf)

    def find_leaf(self, number: int, wanted: Hash) -> int:
        """The index of the first leaf with this leaf hash. Raises: Refused (not-found)."""
        view = self.source.view(number)
        full = view.size // layout.TILE_WIDTH
        row_bytes = layout.TILE_WIDTH * 32
        with self._store.read() as txn:
            for tile in range(full):
                row = bytes(txn.get(layout.tile_key(number, 0, tile), db=self._store.db["tiles"]))
                at = row.find(wanted, 0, row_bytes)
                while at > 0 and at % 32:  # across two hashes
                    at = row.find(wanted, at + 1, row_bytes)
                if at >= 0:
                    return tile * layout.TILE_WIDTH + at // 32
        for located in self.entries(number, full * layout.TILE_WIDTH, view.size):
            if leaf_hash(located.record.entry) == wanted:
                return located.index
        raise Refused("not-found", "no leaf has this hash")

    def _size(self, view: StreamView, size: int | None) -> int:
        if size is None:
            return view.size
        if not 0 < size <= view.size:
            raise InvalidInput("tree-size", f"the tree has {view.size} leaves", "/tree_size")
        return size

    def _with_nodes(
        self, number: int, work: Callable[[Nodes], T], view: StreamView | None = None
    ) -> T:
        with self._store.read() as txn:
            return work(self.trees.nodes(txn, number, view or self.source.view(number)))


def _root(nodes: Nodes, size: int, view: StreamView, number: int) -> Hash:
    """The root of the first `size` leaves, shown to be a prefix of the newest tree: what is stored may have changed."""
    if size == view.size:
        return view.root
    root = root_hash(size, nodes)
    proof = consistency_proof(size, view.size, nodes)
    _checked(lambda: verify_consistency(size, view.size, proof, root, view.root), number)
    return root


def _checked(work: Callable[[], T], number: int) -> T:
    try:
        return work()
    except VerificationError as error:
        raise CorruptStore(f"stored hashes of stream {number} do not give its root") from error


def _no_event(text: str) -> Refused:
    return Refused("not-found", "there is no such event")
