"""One open witness: settings, keys, store, guard, and what they make together. Servers and commands begin here."""

from __future__ import annotations

import os
from pathlib import Path

from tlog.errors import InvalidInput
from witness import config
from witness.guard import Guard
from witness.keys import load_keys
from witness.setup import STORE
from witness.store import Store


class Witness:
    """The parts of one witness directory, opened to sign. `close` it; only one process may have it."""

    def __init__(self, directory: Path) -> None:
        """Open DIR. Raises: InvalidInput, Refused (in-use, exposed-key), CorruptStore."""
        self.directory = directory
        self.config = config.load(directory, os.environ)
        self.keys = load_keys(directory, self.config.name)
        self.store = Store.open(directory / STORE, exclusive=True)
        try:
            identity = self.store.identity()
            if identity.name != self.config.name:
                raise InvalidInput(
                    "config", f"the store is that of {identity.name}, not of {self.config.name}"
                )
            self.guard = Guard.open(directory / self.config.guard, identity.id)
        except BaseException:
            self.store.close()
            raise

    def close(self) -> None:
        """Close the store and the guard."""
        self.guard.close()
        self.store.close()
