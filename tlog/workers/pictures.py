"""What a front end knows of the log's streams: their names, and pictures of those that somebody asks for.

Names come from the store at start and then from commits. A picture that is not here is asked for, and kept current from then on
by what each commit says of it; where that does not follow on what is here, it is dropped and asked for again.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable

from tlog.cache import Cache
from tlog.sequencer.publish import Head
from tlog.sequencer.streams import StreamView
from tlog.store.layout import ROOT_LOG, TILE_WIDTH, StreamRow
from tlog.workers import wire
from tlog.workers.asker import Asker

_VIEWS = 4096  # up to 10 KiB each


class Pictures:
    """`view` and `head` may be asked for by any thread; commits come in on the event loop's."""

    def __init__(self, asker: Asker, welcome: wire.Welcome) -> None:
        self._asker = asker
        self._lock = threading.Lock()
        self._views: Cache[int, StreamView] = Cache(_VIEWS)  # guarded by _lock, but for `get`
        self._root = welcome.root
        self.head = welcome.head
        self.applied = welcome.committed  # all that happened up to this commit is known here
        self.rows: dict[int, StreamRow] = {}
        self.numbers: dict[str, int] = {}
        self.tenant_streams: Counter[str] = Counter()

    def add_rows(self, rows: Iterable[tuple[int, StreamRow]]) -> None:
        """Streams that exist; those known already change nothing."""
        for number, row in rows:
            if number not in self.rows:
                self.rows[number] = row
                self.numbers[row.stream_id] = number
                self.tenant_streams[row.stream_id.partition(":")[0]] += 1

    def newest(self) -> Head:
        """The newest head."""
        return self.head

    def view(self, number: int) -> StreamView:
        """The newest picture of a stream. Raises: Unavailable (unknown-outcome). HOT."""
        if number == ROOT_LOG:
            return self._root
        view = self._views.get(number)
        if view is None:
            with self._lock:
                view = self._views.find(number)
        return view or self._ask(number)

    def _ask(self, number: int) -> StreamView:
        answer = self._asker.ask(wire.ViewOf(number), wire.Picture)
        with self._lock:
            # What covers it comes first: whoever sees the stream finds its head in the root log.
            self._show(answer.head, answer.root)
            # Of a commit that came in meanwhile the picture may know nothing.
            if answer.committed >= self.applied:
                self._views.put(number, answer.view)
        return answer.view

    def _show(self, head: Head, root: StreamView) -> None:
        if root.size > self._root.size:
            self._root = root
        if head.commit > self.head.commit:
            self.head = head

    def apply(self, commit: wire.Commit) -> None:
        """A commit: its streams, then the root log and the head, then what else has grown. HOT."""
        self.add_rows(commit.opened)
        with self._lock:
            for grown in commit.grown:
                if grown.number == ROOT_LOG:
                    root = extended(self._root, grown)
                    if root is None:
                        raise AssertionError("tlog: a commit does not follow on the root log")
                    self._show(commit.head, root)
            for grown in commit.grown:
                known = None if grown.number == ROOT_LOG else self._views.find(grown.number)
                if known is not None:
                    view = extended(known, grown)
                    if view is not None:
                        self._views.put(grown.number, view)
                    else:
                        self._views.drop(grown.number)
            self.applied = commit.head.commit


def extended(view: StreamView, grown: wire.Grown) -> StreamView | None:
    """The picture after a commit; the same if it has that already, None if there is a gap between them.

    The list of positions is shared with older pictures, which look at its first ones only.
    """
    size, new = grown.size, grown.positions
    if size <= view.size:
        return view
    held = size % TILE_WIDTH
    tail = view.tail
    if len(new) == held:  # all of the bundle that is begun
        tail = list(new)
    elif (
        size // TILE_WIDTH == view.size // TILE_WIDTH and held - len(new) == view.size % TILE_WIDTH
    ):
        if len(tail) != view.size % TILE_WIDTH:  # pictures of later commits share it
            tail = tail[: view.size % TILE_WIDTH]
        tail += new
    else:
        return None
    return StreamView(size, grown.root, grown.ms, grown.root_leaf, tail)
