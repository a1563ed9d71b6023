"""The offline judge of the root log.

1. Leaf 0 is the body of the root log's own empty checkpoint, every other leaf a head of a stream of this log.
2. Per origin, sizes strictly increase.
3. The leaves give the committed root, and every full tile holds their hashes at every level.
4. Every published note verifies under the log's key and names the root of its size.
5. Every stream that has a head is one that the store names: none was dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from tlog.core.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from tlog.core.hashes import EMPTY_ROOT, Hash
from tlog.core.ids import stream_origin
from tlog.core.merkle import Frontier
from tlog.core.note import Verifier, parse_vkey
from tlog.errors import TlogError
from tlog.fsck import MAX_FAILURES, Failure, Progress
from tlog.fsck_tree import Tree
from tlog.reader import Reader
from tlog.store import layout

_BUNDLE = layout.TILE_WIDTH


def verify_root_log(
    reader: Reader, vkey: str, *, progress: Progress | None = None
) -> list[Failure]:
    """Check the root log; the lies that were found, at most `MAX_FAILURES`."""
    view = reader.source.view(layout.ROOT_LOG)
    judge = _Judge(reader, parse_vkey(vkey))
    for start in range(0, view.size, _BUNDLE):
        # In a running server the log grows meanwhile; what is judged is the tree of `view`.
        for located in reader.entries(layout.ROOT_LOG, start, start + _BUNDLE, view):
            judge.leaf(located.index, located.record.entry)
        if progress is not None:
            progress(min(start + _BUNDLE, view.size), view.size)
    judge.end(view.root)
    return judge.failures


class _Judge:
    """The running check of the root log, leaf by leaf."""

    def __init__(self, reader: Reader, verifier: Verifier) -> None:
        self.failures: list[Failure] = []
        self._origin = reader.source.origin
        self._store = reader.source.store
        self._verifier = verifier
        self._rows = reader.source.rows
        self._frontier = Frontier()
        self._tree = Tree(self._store, layout.ROOT_LOG)
        self._bundle: list[Hash] = []
        self._sizes: dict[str, int] = {}
        self._notes = _published(reader)
        self._note = next(self._notes, None)

    def _fail(self, sequence: int, check: str, detail: str) -> None:
        if len(self.failures) < MAX_FAILURES:
            self.failures.append(Failure(sequence, check, detail))

    def leaf(self, index: int, body: bytes) -> None:
        """Steps 1, 2 and 4, and the tiles of 3."""
        digest = hashlib.sha256(b"\x00" + body).digest()
        self._frontier.append(digest)
        self._bundle.append(digest)
        if len(self._bundle) == _BUNDLE:
            for wrong in self._tree.grow(self._bundle):
                self._fail(index - _BUNDLE + 1 + wrong.offset, "tile", wrong.detail)
            self._bundle = []
        try:
            self._head(index, parse_checkpoint(body))
        except TlogError:
            self._fail(index, "head", "the leaf is no checkpoint body")
        while self._note is not None and self._note[0] == self._frontier.size:
            self._check_note(*self._note)
            self._note = next(self._notes, None)

    def _head(self, index: int, head: Checkpoint) -> None:
        if index == 0:
            if head != Checkpoint(self._origin, 0, EMPTY_ROOT):
                self._fail(0, "head", "leaf 0 is not the root log's own empty checkpoint")
            return
        if not head.origin.startswith(f"{self._origin}/streams/"):
            self._fail(index, "head", f"{head.origin} is no stream of this log")
        if head.size <= self._sizes.get(head.origin, 0):
            self._fail(index, "head", f"{head.origin} does not grow")
        self._sizes[head.origin] = head.size

    def _check_note(self, size: int, note: bytes) -> None:
        try:
            head, _ = open_checkpoint(note, [self._verifier], self._origin)
        except TlogError:
            self._fail(size - 1, "note", "a published note does not verify under the log's key")
            return
        if (head.size, head.root) != (size, self._frontier.root()):
            self._fail(size - 1, "note", "a published note names another root than the leaves give")

    def end(self, root: Hash) -> None:
        """Steps 3 and 5; and no note may be of a size that the log does not have."""
        named = {stream_origin(self._origin, row.label) for row in self._rows.copy().values()}
        for origin in self._sizes.keys() - named:
            self._fail(self._frontier.size - 1, "stream", f"the store does not name {origin}")
        if self._frontier.root() != root:
            self._fail(self._frontier.size - 1, "tree", "the leaves do not give the committed root")
        if self._note is not None:
            largest = max([self._note[0], *[size for size, _ in self._notes]])
            # Beside a running server the log has grown since; the note is read before the size that it must not exceed.
            now = self._store.commit_row()
            if now is None or largest > now.root_size:
                self._fail(
                    self._frontier.size - 1, "note", f"a note of size {largest} was published"
                )


def _published(reader: Reader) -> Iterator[tuple[int, bytes]]:
    store = reader.source.store
    key = b""
    while True:
        with store.read() as txn:
            cursor = txn.cursor(db=store.db["published"])
            if not cursor.set_range(key):
                return
            size, note = layout.read_u64(cursor.key()), bytes(cursor.value())
        yield size, note
        key = layout.u64(size + 1)
