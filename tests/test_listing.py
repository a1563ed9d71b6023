"""A page ends where the newest head that its reader knows ends, whatever is stored after it."""

from __future__ import annotations

from pathlib import Path

from tests.harness import STREAM, TestLog, new_log
from tlog.listing import Filter, Listing


def test_no_page_is_ahead_of_the_head(tmp_path: Path) -> None:
    """Of a commit that is not public yet, nothing is shown and nothing is passed over: its streams may be unknown."""
    with TestLog(new_log(tmp_path / "log")) as log:
        log.append([log.prepare()])
        before = log.log.sequencer.head
        known = dict(log.log.states.rows)
        log.append([log.prepare("acme:prod:new")])
        log.append([log.prepare()])
        source = log.log.source._replace(head=lambda: before, rows=known)
        page = Listing(source).page(Filter("acme"), 100)
        assert [event.index for event in page.events] == [0, 1]
        assert page.next_cursor is None
        full = Listing(log.log.source).page(Filter("acme"), 100)
        assert len(full.events) == 5
        assert log.log.states.rows[2].stream_id == STREAM
