"""A small LMDB environment of plain rows, shared by processes: the vault's keys and the accounts live in one each.

Commands write beside a running server, so every reader must learn of another process's commit: the transaction number in
LMDB's mapped meta page shows it (measured: 0.9 µs a look). Creating is a separate act, as in `store.environment`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from tlog.errors import CorruptStore, Refused, Unavailable
from tlog.store.environment import DAMAGED, DISK_FULL, check_size, told_in_our_words

MAP_SIZE = 64 << 30  # sparse: address space, not disk
IDENTITY = b"M"
_ZEROS = bytes(1 << 20)


class Rows:
    """One table of byte strings. Keys are 1 to 511 bytes. One write transaction at a time, each synced.

    Locks: `users.lock` is held shared by everyone who has the environment open, exclusively while the file is being
    replaced; the directory itself is the gate through which one passes to take or to convert that lock.
    """

    def __init__(self, path: Path, *, create: bool) -> None:
        self.path = path
        with _gate(path):
            self._users = os.open(path / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._users, fcntl.LOCK_SH)
            # Of a replacement that was cut off: behind the gate, none is under way.
            _discard(path / "fresh")
        try:
            if not create:
                check_size(path)
            self._env = _environment(path, create)
        except BaseException:
            os.close(self._users)
            raise
        # A process that was killed leaves its slot among the readers; there are 126.
        self._env.reader_check()
        self._seen = self._last_txnid()

    @classmethod
    def create(cls, path: Path, identity: bytes) -> Rows:
        """Make the environment; `identity` says what it is. Raises: Refused where one exists."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (path / "data.mdb").exists():
            raise Refused("exists", f"{path} already holds a store")
        rows = cls(path, create=True)
        with rows.write() as txn:
            txn.put(IDENTITY, identity)
        _sync_directory(path)
        return rows

    @classmethod
    def open(cls, path: Path, kind: bytes) -> Rows:
        """Open what `create` made with an identity that begins with `kind`.

        Raises: InvalidInput (no-store), CorruptStore (truncated, or not a store of this kind), Unavailable.
        """
        if not (path / "data.mdb").exists():
            check_size(path)  # raises the one error for it
        rows = cls(path, create=False)
        identity = rows.get(IDENTITY)
        if identity is None or not identity.startswith(kind):
            rows.close()
            raise CorruptStore(
                f"{path} has no identity of {kind.decode()}, or its creation was cut off"
            )
        return rows

    def close(self) -> None:
        """Close the environment. What was not written is gone."""
        self._env.close()
        if self._users >= 0:
            os.close(self._users)
            self._users = -1

    def get(self, key: bytes) -> bytes | None:
        """The row's value, or None. Raises: CorruptStore."""
        with self._read() as txn:
            value: bytes | None = txn.get(key)
            return value

    def scan(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Every row whose key begins with `prefix`, in key order, as of one moment. Raises: CorruptStore."""
        found: list[tuple[bytes, bytes]] = []
        with self._read() as txn, txn.cursor() as cursor:
            if cursor.set_range(prefix):
                for key, value in cursor:
                    if not key.startswith(prefix):
                        break
                    found.append((key, value))
        return found

    @contextmanager
    def _read(self) -> Iterator[Any]:
        try:
            with self._env.begin() as txn:
                yield txn
        except DAMAGED as error:
            raise CorruptStore(f"{self.path} is damaged: {error}") from error

    @contextmanager
    def write(self) -> Iterator[Any]:
        """A write transaction: durable when the block ends, no trace when it raises.

        Raises: Unavailable (disk-full).
        """
        try:
            with self._env.begin(write=True) as txn:
                number = txn.id()
                yield txn
        except DISK_FULL as error:
            raise Unavailable("disk-full", f"{self.path}: its disk is full", 30.0) from error
        # Our own commit is no news, unless somebody else's came in between.
        if self._seen == number - 1:
            self._seen = number

    def changed(self) -> bool:
        """Whether another process has committed since this was last asked."""
        last = self._last_txnid()
        if last == self._seen:
            return False
        self._seen = last
        return True

    def _last_txnid(self) -> int:
        number: int = self._env.info()["last_txnid"]
        return number

    def replace(self, without: bytes, swapping: threading.RLock) -> None:
        """Put a fresh file in the place of this one, so that no deleted row's bytes are in it.

        LMDB does not overwrite what it deletes: freed pages, and the gaps inside pages in use, keep old bytes. So rows
        are copied one by one into an empty environment; nothing that is not a row can come along, whatever the engine
        does with its pages. The row `without` is left out. The caller holds off writers; `swapping` is held only
        while the new file takes the old one's place.
        Raises: Unavailable (in-use) when another process has the environment open: it would go on writing to the
        file that was replaced.
        """
        fresh = self.path / "fresh"
        with _gate(self.path):
            self._alone()
            try:
                _copy(self._env, fresh, without)
                with swapping:
                    self._swap(fresh / "data.mdb")
            finally:
                _discard(fresh)
                fcntl.flock(self._users, fcntl.LOCK_SH)

    def _alone(self) -> None:
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            # A failed conversion may have lost the shared lock (flock(2)). Nobody can have taken
            # the exclusive one meanwhile: that needs the gate.
            fcntl.flock(self._users, fcntl.LOCK_SH)
            raise Unavailable("in-use", f"another process has {self.path} open") from error

    def _swap(self, fresh: Path) -> None:
        data = self.path / "data.mdb"
        self._env.close()
        old = os.open(data, os.O_RDWR | os.O_CLOEXEC)
        try:
            # Before this line a crash leaves the old file whole; after it, the new one. Only the
            # overwriting below can be cut off: then the old blocks are free, but not blank.
            os.replace(fresh, data)
            _sync_directory(self.path)
            self._env = _environment(self.path, False)
            self._seen = self._last_txnid()
            _blank(old)
        finally:
            os.close(old)


def _environment(path: Path, create: bool) -> Any:
    with told_in_our_words(path):
        return lmdb.open(
            os.fsencode(path), map_size=MAP_SIZE, max_dbs=0, mode=0o600, create=create, subdir=True
        )


def _copy(env: Any, fresh: Path, without: bytes) -> None:
    fresh.mkdir(mode=0o700)
    target = _environment(fresh, True)
    try:
        with env.begin() as source, target.begin(write=True) as txn, source.cursor() as cursor:
            for key, value in cursor:
                if key != without:
                    txn.put(key, value, append=True)
    finally:
        target.close()


def _blank(descriptor: int) -> None:
    """Overwrite a file that nobody will read again. On media that write elsewhere (flash, copy-on-write) this is an attempt."""
    left = os.fstat(descriptor).st_size
    os.lseek(descriptor, 0, os.SEEK_SET)
    while left > 0:
        left -= os.write(descriptor, _ZEROS[:left])
    os.fsync(descriptor)


def _discard(folder: Path) -> None:
    if (folder / "data.mdb").exists():
        descriptor = os.open(folder / "data.mdb", os.O_RDWR | os.O_CLOEXEC)
        try:
            _blank(descriptor)
        finally:
            os.close(descriptor)
    shutil.rmtree(folder, ignore_errors=True)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _gate(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
