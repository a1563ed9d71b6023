"""One open witness: settings, keys, store, guard, cosigner. Servers and the air-gapped command begin here."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from tlog.errors import CorruptStore, InvalidInput, TlogError
from witness import config
from witness.clock import Clock
from witness.cosigner import Cosigner, known_log
from witness.doubt import own_cosignature, settle_guard
from witness.guard import Guard
from witness.keys import load_keys
from witness.rows import LatestRow
from witness.setup import STORE
from witness.store import Store

logger = logging.getLogger(__name__)


class Witness:
    """The parts of one witness directory, opened to sign. `close` it; only one process may have it."""

    def __init__(self, directory: Path, clock: Clock | None = None) -> None:
        """Open DIR and explain what is stored. Raises: InvalidInput, Refused (in-use, exposed-key), CorruptStore."""
        self.directory = directory
        self.config = config.load(directory, os.environ)
        self.keys = load_keys(directory, self.config.name)
        self.clock = clock or Clock(self.config.clock_tolerance)
        self.store = Store.open(directory / STORE, exclusive=True)
        try:
            identity = self.store.identity()
            if identity.name != self.config.name:
                raise InvalidInput(
                    "config", f"the store is that of {identity.name}, not of {self.config.name}"
                )
            self._check_latest()
            self.guard = Guard.open(directory / self.config.guard, identity.id)
            agreed = settle_guard(self.store, self.guard, self.clock.now())
        except BaseException:
            self.store.close()
            raise
        if not agreed:
            logger.critical(
                "the store is not the one that the guard remembers: every log is on hold until `witness resume`"
            )
        self.cosigner = Cosigner(self.store, self.guard, self.keys.cosigner, self.clock)

    def _check_latest(self) -> None:
        """Every stored checkpoint is signed by its log and by us, and says what the row says."""
        ours = self.keys.verifiers()
        for row in self.store.all("latest", LatestRow):
            log = self.store.log(row.origin)
            try:
                shown = None if log is None else own_cosignature(row.note, known_log(log), ours)
            except TlogError:
                shown = None
            if shown != row:
                raise CorruptStore(f"the newest checkpoint of {row.origin} does not verify")

    def clock_is_right(self) -> bool:
        """Whether the clock stands where cosignatures may be given."""
        with self.store.read() as txn:
            newest = self.store.commit(txn).clock
        return self.clock.now() >= self.clock.floor(newest)

    def close(self) -> None:
        """Close the store and the guard."""
        self.guard.close()
        self.store.close()
