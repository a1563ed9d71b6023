"""Very many streams: what a start, a commit and memory cost when a log has 100,000 of them.

The store is made by real commits; what is measured is a real `tlog serve` with that store, and the writer on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.bench.http import EVENTS
from tests.faults.process import prepared_log
from tests.harness import AGENT, TestLog
from tlog.core.strict_json import loads
from tlog.events.submission import parse_event
from tlog.sequencer.batch import Prepared
from tlog.sequencer.pool import MAX_EVENTS_PER_COMMIT

LEAN = parse_event(loads((EVENTS / "lean.json").read_bytes()))


def name(number: int) -> str:
    """The id of a stream."""
    return f"acme:prod:s{number:06d}"


def one_each(log: TestLog, names: Sequence[str]) -> list[Prepared]:
    """An event for each of these streams."""
    event = log.log.preparer.event
    return [event(LEAN, tenant="acme", stream_id=n, agent=AGENT, keyed=False) for n in names]


def build(directory: Path, streams: int, entries: int) -> str:
    """A log of `streams` public streams with `entries` entries in all, as many in each; its API key."""
    key = prepared_log(directory)
    events = entries // streams - 1  # and the genesis
    step = MAX_EVENTS_PER_COMMIT // events
    with TestLog(directory) as log:
        for start in range(0, streams, step):
            names = [name(number) for number in range(start, min(streams, start + step))]
            openings = {n: log.log.preparer.opening(n, public=True) for n in names}
            log.submit([(one_each(log, names * events), None)], openings=openings)
    return key
