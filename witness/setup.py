"""Making a witness's directory, and adding to it beside a running server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tlog.errors import Refused
from witness import config
from witness.guard import Guard, GuardState
from witness.keys import Keys, create_keys
from witness.rows import FORMAT, Identity
from witness.store import Store

STORE = "store"


def init_witness(directory: Path, name: str, now: int) -> Keys:
    """Make settings, keys, store and guard in DIR, which must be absent or empty; all of it or nothing.

    `now` in POSIX seconds: a cosignature is never older than the witness.

    Raises: InvalidInput for the name; Refused (exists) where DIR holds anything.
    """
    config.check_witness_name(name)
    if directory.exists() and any(directory.iterdir()):
        raise Refused("exists", f"{directory} is not empty; a witness is never overwritten")
    directory.parent.mkdir(parents=True, exist_ok=True)
    # Built beside it and moved as one: a directory that is there is whole.
    fresh = directory.with_name(f".{directory.name}.{os.getpid()}")
    fresh.mkdir(mode=0o700)
    try:
        keys = create_keys(fresh, name)
        identity = Identity(FORMAT, os.urandom(16), name, now)
        store = Store.create(fresh / STORE, identity)
        with store.read() as txn:
            row = store.commit(txn)
        store.close()
        Guard.create(fresh / "guard", identity.id, GuardState(row.number, row.chain)).close()
        (fresh / config.FILE).write_text(config.render(name), encoding="utf-8")
        os.replace(fresh, directory)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return keys


@contextmanager
def beside(directory: Path) -> Iterator[Store]:
    """The store of DIR, for a command that may run beside the server. Raises: InvalidInput, CorruptStore."""
    config.load(directory, {})  # refuses what is no witness directory
    store = Store.open(directory / STORE)
    try:
        yield store
    finally:
        store.close()
