"""A log for tests: real files, a settable clock, and an oracle that re-derives everything that was committed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tlog.core.checkpoint import open_checkpoint
from tlog.core.note import parse_vkey
from tlog.errors import TlogError
from tlog.events.submission import parse_event
from tlog.fsck import verify_stream
from tlog.fsck_root import verify_root_log
from tlog.log import Log, init_log
from tlog.reader import Reader
from tlog.sequencer.batch import Batch, Outcome, Prepared

ORIGIN = "log.example.com"
TENANT = "acme"
STREAM = "acme:prod:scorer"
AGENT = (
    b'{"assurance":"self","codeHash":"sha256:'
    + b"a" * 64
    + b'","id":"scorer","session":"ses_test"}'
)


class Clock:
    """Milliseconds that move only when told to."""

    def __init__(self, ms: int = 1_795_000_000_000) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms


def new_log(directory: Path, origin: str = ORIGIN) -> Path:
    """Initialise a log in `directory`."""
    init_log(directory, origin)
    return directory


class TestLog:
    """An open log with short cuts, and `check`, the oracle that every test should end with."""

    __test__ = False

    def __init__(self, directory: Path, clock: Clock | None = None, *, start: bool = True) -> None:
        self.directory = directory
        self.failures: list[BaseException] = []
        kwargs: dict[str, Any] = {} if clock is None else {"clock_ms": clock}
        self.log = Log(directory, fatal=self.failures.append, **kwargs)
        if start:
            self.log.start()

    def __enter__(self) -> TestLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.log.close()

    def prepare(self, stream_id: str = STREAM, **event: Any) -> Prepared:
        """A prepared event; members as in POST /events, with a payload that differs by call."""
        value = {"event_class": "EXECUTION", "event_type": "t", "payload": {"n": 1}, **event}
        sub = parse_event(value)
        tenant = stream_id.partition(":")[0]
        return self.log.preparer.event(sub, tenant=tenant, stream_id=stream_id, agent=AGENT)

    def append(
        self,
        events: Sequence[Prepared],
        *,
        open_streams: bool = True,
        request: bytes | None = None,
        prove: bool = False,
    ) -> Outcome:
        """Append and wait. Raises what the sequencer refuses with."""
        names = {event.stream_id for event in events} if open_streams else set()
        openings = {
            name: self.log.preparer.opening(name, public=False)
            for name in sorted(names)
            if not self.log.stream_exists(name)
        }
        return self.submit([(events, request)], openings=openings, prove=prove)[0]

    def submit(
        self,
        requests: Sequence[tuple[Sequence[Prepared], bytes | None]],
        *,
        openings: dict[str, Any] | None = None,
        prove: bool = False,
    ) -> list[Outcome]:
        """Put several requests into one commit; raises the first refusal."""
        answers: list[Outcome | TlogError] = []
        batches = [
            Batch(events, answers.append, openings=openings, request=request, prove=prove)
            for events, request in requests
        ]
        self.on_writer(batches)
        for answer in answers:
            if isinstance(answer, TlogError):
                raise answer
        return [answer for answer in answers if not isinstance(answer, TlogError)]

    def on_writer(self, batches: list[Batch]) -> None:
        """Run one commit with these batches on the writer thread and wait for it."""
        import threading

        done = threading.Event()
        last = batches[-1].done

        def finished(answer: Outcome | TlogError) -> None:
            last(answer)
            done.set()

        batches[-1].done = finished
        self.log.sequencer.submit_together(batches)
        done.wait()

    def check(self) -> None:
        """The oracle: everything that is stored is re-derived; the newest root note verifies."""
        reader = Reader(self.log.source)
        for stream_id in self.log.states.numbers:
            if stream_id:
                report = verify_stream(reader, stream_id, vault=self.log.vault)
                assert report.verified, report.failures
        assert verify_root_log(reader, self.log.vkey) == []
        head = self.log.sequencer.head
        checkpoint, _ = open_checkpoint(head.note, [parse_vkey(self.log.vkey)], ORIGIN)
        assert checkpoint == head.root
        assert reader.root_of(0, head.root.size) == head.root.root

    def records(self, stream_id: str = STREAM) -> list[dict[str, Any]]:
        """All entries of a stream, decoded."""
        reader = Reader(self.log.source)
        number = reader.number(stream_id)
        size = self.log.source.view(number).size
        return [json.loads(one.record.entry) for one in reader.entries(number, 0, size)]


def copy_log(source: Path, target: Path) -> Path:
    """A byte copy of a closed log's directory."""
    shutil.copytree(source, target)
    return target
