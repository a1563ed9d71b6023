"""The background scrub: everything stored is re-hashed again and again, slowly, so that rot is found by us first.

LMDB promises atomicity, not integrity: a flipped bit in a value is served without complaint. What is served as proof is
checked when it is served; the rest is checked here, one full pass a day, on at most a twentieth of one core.
"""

from __future__ import annotations

import logging
import threading
import time

from tlog.errors import TlogError
from tlog.fsck import verify_stream
from tlog.fsck_root import verify_root_log
from tlog.log import Log
from tlog.reader import Reader

logger = logging.getLogger(__name__)

PASS_SECONDS = 86_400.0
SHARE = 0.05


class StoppedError(Exception):
    """The scrub was told to end in the middle of a stream."""


class Scrub:
    """A thread that verifies one log over and over. `failures` are of the newest complete or running pass."""

    def __init__(
        self, log: Log, *, pass_seconds: float = PASS_SECONDS, share: float = SHARE
    ) -> None:
        self._log = log
        self._pass_seconds = pass_seconds
        self._rest = 1 / share - 1
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tlog-scrub", daemon=True)
        self._worked_since = 0.0
        self.failures: list[str] = []
        self.completed_ms: int | None = None

    def start(self) -> None:
        """Begin the first pass."""
        self._thread.start()

    def stop(self) -> None:
        """End soon, in the middle of a pass if need be."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self.failures = self._pass()
            except StoppedError:
                return
            self.completed_ms = self._log.clock_ms()
            self._stop.wait(max(0.0, self._pass_seconds - (time.monotonic() - began)))

    def _pass(self) -> list[str]:
        reader = Reader(self._log.source)
        failures: list[str] = []
        self._worked_since = time.monotonic()
        for stream_id in [name for name in list(self._log.source.numbers) if name]:
            try:
                report = verify_stream(reader, stream_id, progress=self._breathe)
            except TlogError as error:
                failures.append(f"{stream_id}: {error.detail}")
                continue
            failures += [f"{stream_id} at {f.sequence}: {f.detail}" for f in report.failures]
            self._breathe(0, 0)
        failures += [
            f"root log at {failure.sequence}: {failure.detail}"
            for failure in verify_root_log(reader, self._log.vkey, progress=self._breathe)
        ]
        for failure in failures:
            logger.critical("the scrub found a lie: %s", failure)
        return failures

    def _breathe(self, done: int, total: int) -> None:
        """Rest for nineteen times as long as the last piece of work took."""
        worked = time.monotonic() - self._worked_since
        if self._stop.wait(worked * self._rest):
            raise StoppedError
        self._worked_since = time.monotonic()
