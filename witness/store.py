"""The witness's LMDB environment: created once, opened with suspicion, one process that signs, commands beside it.

Facts this file is built on (measured on py-lmdb 3, engine 0.9): a truncated file kills the process with SIGBUS instead of
raising; an empty file opens as a new and empty database; after a failed sync the next commit reports success. So creating
is a separate act, the file's size is checked against its own page count, and any error of a commit of the signing process
is its order to stop.

A further database: add its name to DATABASES and its row types to a module of your own; older stores get it at the next
start. LMDB lets one transaction write at a time, over all processes, so a compare-and-swap inside `write()` is one.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import lmdb
import msgspec

from tlog.errors import CorruptStore, InvalidInput, Refused
from witness import rows
from witness.rows import (
    FORMAT,
    CommitRow,
    FrozenRow,
    HoldRow,
    Identity,
    LatestRow,
    LogRow,
    origin_key,
    whole_log,
)

DATABASES = (
    "meta",
    "logs",
    "latest",
    "frozen",
    "holds",
    "notes",
    "evidence",
    "audits",
    "audit_streams",
    "audit_entries",
    "anchors",
    "anchor_queue",
)
MAP_SIZE = 64 << 30  # sparse: address space, not disk
_MAX_DATABASES = 64
_PAGE = 4096
_MAKE = "`witness init` makes one, `witness monitor --init` one without keys"
_NO_STORE = (lmdb.CorruptedError, lmdb.InvalidError, lmdb.VersionMismatchError)

R = TypeVar("R", bound=msgspec.Struct)


class Store:
    """One process may hold it to sign (`exclusive`); commands may write beside it, each in a transaction of its own."""

    def __init__(self, path: Path, *, exclusive: bool, create: bool = False) -> None:
        self.path = path
        #: Why no write of this process is to be believed any more; set once, by the commit that failed.
        self.failed: BaseException | None = None
        #: Called then, on the thread of that commit.
        self.fatal: Callable[[BaseException], None] = lambda error: None
        self._lock = _lock(path) if exclusive else -1
        try:
            if not create:
                check_size(path)
            self.env = lmdb.open(
                os.fspath(path),
                map_size=MAP_SIZE,
                max_dbs=_MAX_DATABASES,
                max_readers=256,
                mode=0o600,
                create=create,
                readahead=False,
            )
        except BaseException as error:
            self._unlock()
            if isinstance(error, _NO_STORE):
                raise CorruptStore(f"{path} is damaged: {error}") from error
            if isinstance(error, lmdb.ReadonlyError):  # LMDB's name for EACCES; readers write, too
                raise InvalidInput("no-rights", f"{error}: {path} must be writable") from error
            raise
        self.db: dict[str, Any] = {}

    @classmethod
    def create(cls, path: Path, identity: Identity) -> Store:
        """Make an empty store of the witness that `identity` names. Raises: Refused where one exists."""
        if (path / "data.mdb").exists():
            raise Refused("exists", f"{path} already holds a store")
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        store = cls(path, exclusive=True, create=True)
        for name in DATABASES:
            store.db[name] = store.env.open_db(name.encode())
        first = CommitRow(0, bytes(32), bytes(32), identity.created)
        with store.write() as txn:
            txn.put(b"identity", rows.encode(identity), db=store.db["meta"])
            txn.put(b"commit", rows.encode(first), db=store.db["meta"])
        return store

    @classmethod
    def open(cls, path: Path, *, exclusive: bool = False) -> Store:
        """Open an existing store; `exclusive` for the process that signs.

        Raises: InvalidInput (no-store), CorruptStore, Refused (in-use: another process signs from it).
        """
        store = cls(path, exclusive=exclusive)
        try:
            store._open_databases()
        except BaseException:
            store.close()
            raise
        return store

    def _open_databases(self) -> None:
        # First what every store has: only a store of ours is given the databases that it lacks.
        try:
            self.db["meta"] = self.env.open_db(b"meta", create=False)
        except lmdb.NotFoundError as error:
            raise CorruptStore(
                f"{self.path} lacks the database 'meta': not a witness store"
            ) from error
        identity = self.identity()
        if identity.format != FORMAT:
            raise CorruptStore(
                f"{self.path} has format {identity.format}, this program knows {FORMAT}"
            )
        for name in DATABASES:
            self.db[name] = self.env.open_db(name.encode())

    def close(self) -> None:
        """Close the environment and give up the lock."""
        self.env.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @contextmanager
    def read(self) -> Iterator[Any]:
        """A read transaction. Short: copy out what is needed, never hold it across an `await`."""
        with self.env.begin() as txn:
            yield txn

    @contextmanager
    def write(self) -> Iterator[Any]:
        """A write transaction: durable when the block ends, no trace when it raises.

        Raises: CorruptStore after a commit that failed, whoever made it: LMDB would report the next one as good.
        """
        if self.failed is not None:
            raise CorruptStore(f"an earlier write to {self.path} failed: {self.failed}")
        txn = self.env.begin(write=True)
        try:
            yield txn
        except BaseException:
            txn.abort()
            raise
        try:
            txn.commit()
        except BaseException as error:
            self.failed = error
            self.fatal(error)
            raise

    def get(self, txn: Any, database: str, key: bytes, kind: type[R]) -> R | None:
        """The row, or None. Raises: CorruptStore."""
        data = txn.get(key, db=self.db[database])
        return None if data is None else rows.decode(data, kind)

    def put(self, txn: Any, database: str, key: bytes, row: msgspec.Struct) -> None:
        """Write the row."""
        txn.put(key, rows.encode(row), db=self.db[database])

    def all(self, database: str, kind: type[R]) -> list[R]:
        """Every row of a database, in key order, as of one moment. Raises: CorruptStore."""
        with self.read() as txn:
            return [rows.decode(value, kind) for _, value in txn.cursor(db=self.db[database])]

    def identity(self) -> Identity:
        """Whose store it is. Raises: CorruptStore when it was never created properly."""
        with self.read() as txn:
            row = self.get(txn, "meta", b"identity", Identity)
        if row is None:
            raise CorruptStore(
                f"{self.path} has no identity: not a witness store, or its creation was cut off"
            )
        return row

    def commit(self, txn: Any) -> CommitRow:
        """The newest commit. Raises: CorruptStore."""
        row = self.get(txn, "meta", b"commit", CommitRow)
        if row is None:
            raise CorruptStore(f"{self.path} lacks its commit row")
        return row

    def log(self, origin: str) -> LogRow | None:
        """The log `origin`, or None when it is not one that this witness cosigns."""
        with self.read() as txn:
            return self.get(txn, "logs", origin_key(origin), LogRow)

    def latest(self, origin: str) -> LatestRow | None:
        """The newest checkpoint cosigned of `origin`, or None."""
        with self.read() as txn:
            return self.latest_in(txn, origin)

    def latest_in(self, txn: Any, origin: str) -> LatestRow | None:
        """The same, inside a transaction."""
        return self.get(txn, "latest", origin_key(origin), LatestRow)

    def frozen(self, txn: Any, origin: str) -> FrozenRow | None:
        """The mark on the whole log that `origin` is, or is a stream of."""
        return self.get(txn, "frozen", origin_key(whole_log(origin)), FrozenRow)

    def freeze(self, origin: str, reason: str, now: int) -> FrozenRow:
        """Cosign nothing more of this log, root and streams. A mark that stands is kept as it is."""
        key = origin_key(whole_log(origin))
        with self.write() as txn:
            row = self.get(txn, "frozen", key, FrozenRow)
            if row is None:
                row = FrozenRow(whole_log(origin), reason, now)
                self.put(txn, "frozen", key, row)
        return row

    def unfreeze(self, origin: str) -> FrozenRow:
        """Take the mark away. Raises: Refused (not-frozen)."""
        key = origin_key(whole_log(origin))
        with self.write() as txn:
            row = self.get(txn, "frozen", key, FrozenRow)
            if row is None:
                raise Refused("not-frozen", f"{whole_log(origin)} is not frozen")
            txn.delete(key, db=self.db["frozen"])
        return row

    def hold(self, txn: Any, origin: str) -> HoldRow | None:
        """Why the stored state of `origin` is in doubt, or None."""
        return self.get(txn, "holds", origin_key(origin), HoldRow)

    def clear_stale_readers(self) -> int:
        """Free the reader slots of processes that were killed: a stale one keeps old pages alive."""
        cleared: int = self.env.reader_check()
        return cleared

    def disk_free(self) -> int:
        """Bytes that an unprivileged writer may still use on the store's file system."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize


def _lock(path: Path) -> int:
    try:
        descriptor = os.open(path / "writer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError as error:
        raise InvalidInput("no-store", f"{path} holds no store: {_MAKE}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise Refused("in-use", f"another process signs from {path}") from error
    return descriptor


def check_size(path: Path) -> None:
    """Refuse a file shorter than its own page count: touching the missing part would be SIGBUS.

    Raises: InvalidInput (no-store), CorruptStore.
    """
    data = path / "data.mdb"
    if not data.exists():
        raise InvalidInput("no-store", f"{path} holds no store: {_MAKE}")
    size = data.stat().st_size
    if size < 2 * _PAGE:
        raise CorruptStore(f"{data} is {size} bytes long: truncated")
    with data.open("rb") as file:
        metas = file.read(2 * _PAGE)
    newest = max((metas[:_PAGE], metas[_PAGE:]), key=_meta_txnid)
    pages = int.from_bytes(newest[_LAST_PGNO : _LAST_PGNO + 8], "little") + 1
    if size < pages * _PAGE:
        raise CorruptStore(
            f"{data} is {size} bytes long, but its newest state needs {pages * _PAGE}: truncated"
        )


# Offsets in an LMDB 0.9 meta page on a 64-bit machine: 16 bytes page header, then MDB_meta
# {magic u32, version u32, address u64, mapsize u64, 2 × MDB_db of 48 bytes, last_pgno u64, txnid u64}.
_LAST_PGNO = 16 + 4 + 4 + 8 + 8 + 2 * 48
_TXNID = _LAST_PGNO + 8


def _meta_txnid(page: bytes) -> int:
    return int.from_bytes(page[_TXNID : _TXNID + 8], "little")
