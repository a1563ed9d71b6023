"""The log's LMDB environment: create, open with suspicion, read, and write one commit at a time.

Facts this file is built on (measured on py-lmdb 3, engine 0.9): a truncated file kills the process with SIGBUS instead of
raising; an empty file opens as a new and empty database; after a failed sync the next commit reports success. So creating
is a separate act, the file's size is checked against its own page count, and any error of a commit is the caller's order
to stop the process.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from tlog.errors import CorruptStore, InvalidInput, Refused, Unavailable
from tlog.store import layout
from tlog.store.decoding import row_decoder
from tlog.store.layout import CommitRow, LogRow, StreamRow

MAP_SIZE = 1 << 40  # sparse: address space, not disk
_PAGE = 4096
# What LMDB raises where a file is not what it wrote; a file that is only too short, it does not notice.
DAMAGED = (
    *(lmdb.BadTxnError, lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError),
    *(lmdb.PanicError, lmdb.VersionMismatchError),
)

# What LMDB raises where there is no room.
DISK_FULL = lmdb.DiskError

_encode = msgspec.msgpack.Encoder().encode
_decode_log = row_decoder(LogRow)
_decode_commit = row_decoder(CommitRow)
_decode_stream = row_decoder(StreamRow)


class LogStore:
    """One process may hold it for writing; any number may read. Nothing here knows what a tree is."""

    def __init__(self, path: Path, *, readonly: bool, create: bool = False) -> None:
        self.path = path
        #: Whether the log goes on from here, in this process: then LMDB's own errors reach the writer, which stops at them.
        self.writing = False
        self._lock = None if readonly else _lock(path)
        if not create:
            check_size(path)
        self.env = _environment(path, readonly=readonly, create=create)
        self.db: dict[str, Any] = {}
        try:
            for name in layout.DATABASES:
                added = name in layout.ADDED
                if added and readonly and not self._has(name):
                    continue
                self.db[name] = self.env.open_db(
                    name.encode(), create=create or (added and not readonly)
                )
        except (lmdb.NotFoundError, lmdb.ReadonlyError) as error:
            self.close()
            raise CorruptStore(f"{path} lacks the database {name!r}: not a log store") from error
        except DAMAGED as error:
            self.close()
            raise CorruptStore(f"{path} is damaged: {error}") from error

    def _has(self, name: str) -> bool:
        """Whether the main database, where LMDB keeps their names, knows a database."""
        with self.env.begin() as txn:
            return txn.get(name.encode()) is not None

    @classmethod
    def create(cls, path: Path, row: LogRow) -> LogStore:
        """Make an empty store for the log that `row` names. Raises: Refused where one exists."""
        if (path / "data.mdb").exists():
            raise Refused("exists", f"{path} already holds a store")
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        store = cls(path, readonly=False, create=True)
        with store.env.begin(write=True) as txn:
            txn.put(b"log", _encode(row), db=store.db["meta"])
        return store

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False) -> LogStore:
        """Open an existing store. Raises: InvalidInput, CorruptStore, Refused (another writer)."""
        return cls(path, readonly=readonly)

    def close(self) -> None:
        """Close the environment and give up the writer's lock."""
        self.env.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @contextmanager
    def read(self) -> Iterator[Any]:
        """A read transaction. Short: copy out what is needed, never hold it across an `await`.

        Raises: CorruptStore for what LMDB finds damaged, in the block too; once it is `writing`, LMDB's own error.
        """
        try:
            with self.env.begin(buffers=True) as txn:
                yield txn
        except DAMAGED as error:
            if self.writing:
                raise
            raise CorruptStore(f"{self.path} is damaged: {error}") from error

    def log_row(self) -> LogRow:
        """Identity of the log. Raises: CorruptStore when the store was never created properly."""
        with self.read() as txn:
            data = txn.get(b"log", db=self.db["meta"])
            if data is None:
                raise CorruptStore(
                    f"{self.path} has no identity: not a log store, or its creation was cut off"
                )
            row = _decode_log(data)
        if row.format != layout.FORMAT:
            raise CorruptStore(
                f"{self.path} has format {row.format}, this program knows {layout.FORMAT}"
            )
        return row

    def commit_row(self) -> CommitRow | None:
        """The newest commit, None before the first."""
        with self.read() as txn:
            data = txn.get(b"commit", db=self.db["meta"])
            return None if data is None else _decode_commit(data)

    def streams(self) -> Iterator[tuple[int, StreamRow]]:
        """All streams by number."""
        with self.read() as txn:
            for key, value in txn.cursor(db=self.db["streams"]):
                yield int.from_bytes(key, "big"), _decode_stream(value)

    def chunk(self, txn: Any, number: int) -> Any:
        """The bytes of a chunk. Raises: CorruptStore when it is missing."""
        data = txn.get(layout.u64(number), db=self.db["journal"])
        if data is None:
            raise CorruptStore(f"journal chunk {number} is missing")
        return data

    def record(self, txn: Any, position: int) -> layout.Record:
        """The record at `position`."""
        return layout.read_record(self.chunk(txn, position >> 16), position & 0xFFFF)[0]

    def clear_stale_readers(self) -> int:
        """Free the reader slots of processes that were killed: a stale one keeps old pages alive."""
        cleared: int = self.env.reader_check()
        return cleared

    def disk_free(self) -> int:
        """Bytes that an unprivileged writer may still use on the store's file system."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize


def put_commit_row(txn: Any, db: Any, row: CommitRow) -> None:
    """Write the newest commit's row."""
    txn.put(b"commit", _encode(row), db=db)


def put_stream_row(txn: Any, db: Any, number: int, row: StreamRow) -> None:
    """Write a new stream's row; a number is never used twice."""
    if not txn.put(layout.u32(number), _encode(row), db=db, overwrite=False):
        raise AssertionError(f"tlog: stream {number} exists already")


def _environment(path: Path, *, readonly: bool, create: bool) -> Any:
    with told_in_our_words(path):
        return lmdb.open(
            os.fsencode(path),
            map_size=MAP_SIZE,
            max_dbs=len(layout.DATABASES),
            max_readers=256,
            readonly=readonly,
            create=create,
            subdir=True,
            readahead=False,
        )


@contextmanager
def told_in_our_words(path: Path) -> Iterator[None]:
    """Around `lmdb.open`: no error of it is a fault of the program. Raises: CorruptStore, InvalidInput, Unavailable."""
    try:
        yield
    except DAMAGED as error:
        raise CorruptStore(f"{path} is damaged: {error}") from error
    except lmdb.ReadonlyError as error:
        # LMDB's name for EACCES. Readers write too: into the table that keeps a writer from reusing what they read.
        raise InvalidInput("no-rights", f"{error}: {path} must be writable to be read") from error
    except DISK_FULL as error:
        raise Unavailable("disk-full", f"{path}: its disk is full", 30.0) from error
    except lmdb.Error as error:
        # No address space (ulimit -v), no descriptors, a directory in the place of a file.
        raise InvalidInput("cannot-open", f"{path} cannot be opened: {error}") from error


def _lock(path: Path) -> int:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path / "writer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise Refused("in-use", f"another process is writing to {path}") from error
    return descriptor


def check_size(path: Path) -> None:
    """Refuse a file shorter than its own page count: touching the missing part would be SIGBUS."""
    data = path / "data.mdb"
    if not data.exists():
        raise InvalidInput("no-store", f"{path} holds no store; `tlog init` makes one")
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
