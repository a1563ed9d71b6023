"""Making a witness's directory, and adding to it beside a running server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    with whole(directory) as fresh:
        keys = create_keys(fresh, name)
        identity = Identity(FORMAT, os.urandom(16), name, now)
        store = Store.create(fresh / STORE, identity)
        with store.read() as txn:
            row = store.commit(txn)
        store.close()
        Guard.create(fresh / "guard", identity.id, GuardState(row.number, row.chain)).close()
        (fresh / config.FILE).write_text(config.render(name), encoding="utf-8")
    return keys


@contextmanager
def whole(directory: Path) -> Iterator[Path]:
    """A directory in which to make what `directory` shall hold, which must be absent or empty: all comes in, or nothing.

    It is made inside: `directory` may be the working directory, a mount point, a link. The settings come in last,
    because without them nothing takes it for a witness.

    Raises: Refused (exists) where `directory` holds anything.
    """
    if directory.exists() and any(directory.iterdir()):
        raise _not_empty(directory)
    made = not directory.exists()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = directory / f".new.{os.getpid()}"
    fresh.mkdir(mode=0o700)
    try:
        # Two that begin at once see each other here.
        if any(path != fresh for path in directory.iterdir()):
            raise _not_empty(directory)
        yield fresh
        for part in sorted(fresh.iterdir(), key=lambda path: path.name == config.FILE):
            os.replace(part, directory / part.name)
        fresh.rmdir()
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        if made:
            with suppress(OSError):
                directory.rmdir()
        raise


def _not_empty(directory: Path) -> Refused:
    return Refused("exists", f"{directory} is not empty; it is never overwritten")


@contextmanager
def beside(directory: Path) -> Iterator[Store]:
    """The store of DIR, for a command that may run beside the server. Raises: InvalidInput, CorruptStore."""
    config.load(directory, {})  # refuses what is no witness directory
    store = Store.open(directory / STORE)
    try:
        yield store
    finally:
        store.close()
