"""The guard: one small file that remembers the newest cosignatures, apart from the store.

A store restored from a backup, or one whose newest LMDB meta page rotted, opens without complaint as an older state;
cosigning from it would vouch for a fork. The guard holds the number of the newest commit and a hash chained over every head
that was ever cosigned. It is written after the commit and before any cosignature of it leaves, so at start the store may
be exactly one commit ahead of it (a crash in between), never behind and never different.

File: two slots of 512 bytes, written in turn so that a torn write can spoil only the older one:
magic(8) store id(16) number(8) chain(32) SHA-256 of all before(32), zero padding.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tlog.errors import CorruptStore, Refused
from witness.rows import CommitRow, LatestRow, origin_key

_SLOT = 512
_MAGIC = b"witnGRD1"
_BODY = struct.Struct(">8s16sQ32s")
_HEAD = struct.Struct(">32sQ32sQ")


class GuardState(NamedTuple):
    """`chain`, 32 bytes, covers every head cosigned up to commit `number`."""

    number: int
    chain: bytes


def next_commit(row: CommitRow, heads: Iterable[LatestRow]) -> CommitRow:
    """The row of the commit that cosigns `heads` after `row`."""
    number = row.number + 1
    digest = hashlib.sha256(b"witness/guard/v1\x00" + row.chain + number.to_bytes(8, "big"))
    clock = row.clock
    for head in heads:
        digest.update(_HEAD.pack(origin_key(head.origin), head.size, head.root, head.time))
        clock = max(clock, head.time)
    return CommitRow(number, row.chain, digest.digest(), clock, row.restored)


class Guard:
    """The open guard file. Only the process that signs has it; only its writer advances it."""

    def __init__(self, store_id: bytes, descriptor: int, state: GuardState | None) -> None:
        self.state = state
        self._store_id = store_id
        self._descriptor = descriptor

    @classmethod
    def create(cls, path: Path, store_id: bytes, state: GuardState) -> Guard:
        """Make the file. Raises: Refused where one exists."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError as error:
            raise Refused("exists", f"{path} exists already") from error
        guard = cls(store_id, descriptor, None)
        os.pwrite(descriptor, bytes(2 * _SLOT), 0)
        guard.advance(state)
        _sync_directory(path.parent)
        return guard

    @classmethod
    def open(cls, path: Path, store_id: bytes) -> Guard:
        """Open the file, or begin one that remembers nothing (`state` None) where it is missing or unreadable.

        That is safe because a guard that does not know the store puts every log on hold. Raises: CorruptStore when it
        is another store's: two witnesses must not share a guard.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _sync_directory(path.parent)
        data = os.pread(descriptor, 2 * _SLOT, 0)
        slots = [_decode(data[start : start + _SLOT]) for start in (0, _SLOT)]
        readable = [slot for slot in slots if slot is not None]
        if not readable:
            return cls(store_id, descriptor, None)
        owner, state = max(readable, key=lambda slot: slot[1].number)
        if owner != store_id:
            os.close(descriptor)
            raise CorruptStore(f"the guard file {path} belongs to another store")
        return cls(store_id, descriptor, state)

    def knows(self, row: CommitRow) -> bool:
        """Whether `row` is the newest commit that the guard saw, or the one right after it."""
        if self.state is None:
            return False
        return self.state in ((row.number, row.chain), (row.number - 1, row.previous))

    def advance(self, state: GuardState) -> None:
        """Remember `state` durably. Raises: OSError, after which nothing may be signed."""
        body = _BODY.pack(_MAGIC, self._store_id, *state)
        slot = (body + hashlib.sha256(body).digest()).ljust(_SLOT, b"\x00")
        if os.pwrite(self._descriptor, slot, state.number % 2 * _SLOT) != _SLOT:
            raise OSError("short write to the guard file")
        os.fdatasync(self._descriptor)
        self.state = state

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _decode(slot: bytes) -> tuple[bytes, GuardState] | None:
    body = slot[: _BODY.size]
    if slot[_BODY.size : _BODY.size + 32] != hashlib.sha256(body).digest():
        return None
    magic, owner, number, chain = _BODY.unpack(body)
    return (owner, GuardState(number, chain)) if magic == _MAGIC else None


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
