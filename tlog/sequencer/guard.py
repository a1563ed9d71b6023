"""The guard: one small file that remembers the newest commit, apart from the store.

A store restored from a backup, or one whose newest LMDB meta page rotted, opens without complaint as an older state; signing
from it would fork the log. The guard file holds the number of the newest commit and a hash chained over all heads of all
commits. It is written after the commit and before the signature, so at start the store may be exactly one commit ahead of
it (a crash in between), never behind and never different. Keep it on another disk than the store if you can.

File: two slots of 512 bytes, written in turn so that a torn write can spoil only the older one:
magic(8) store id(16) commit(8) root size(8) root hash(32) chain(32) SHA-256 of all before(32), zero padding.
"""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import NamedTuple

from tlog.errors import CorruptStore, Refused

_SLOT = 512
_MAGIC = b"tlogGRD1"
_BODY = struct.Struct(">8s16sQQ32s32s")
FIRST_CHAIN = bytes(32)


class GuardState(NamedTuple):
    """What the guard remembers: `chain` covers every head of every commit up to `commit`."""

    commit: int
    root_size: int
    root_hash: bytes
    chain: bytes


def chain_heads(chain: bytes, commit: int, bodies: list[bytes], root_body: bytes) -> bytes:
    """The chain after `commit`: 32 bytes. `bodies` are the checkpoint bodies of its stream heads.

    Each body is three lines, so their concatenation cannot be cut in another way.
    """
    data = b"".join((b"tlog/guard/v1\x00", chain, struct.pack(">Q", commit), *bodies, root_body))
    return hashlib.sha256(data).digest()


class Guard:
    """The open guard file. Only the writer thread advances it."""

    def __init__(self, path: Path, store_id: bytes, descriptor: int, state: GuardState) -> None:
        self.path = path
        self.state = state
        self._store_id = store_id
        self._descriptor = descriptor

    @classmethod
    def create(cls, path: Path, store_id: bytes, state: GuardState) -> Guard:
        """Make the file. Raises: Refused where one exists: deleting a guard is never routine."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError as error:
            raise Refused("exists", f"{path} exists already") from error
        guard = cls(path, store_id, descriptor, state)
        os.pwrite(descriptor, bytes(2 * _SLOT), 0)
        guard.advance(state)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return guard

    @classmethod
    def open(cls, path: Path, store_id: bytes) -> Guard:
        """Open the file. Raises: CorruptStore when it is missing, unreadable, or another store's."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise CorruptStore(
                f"the guard file {path} is missing: without it a rolled-back store cannot be told "
                "from a good one, so nothing may be signed"
            ) from error
        data = os.pread(descriptor, 2 * _SLOT, 0)
        slots = [_decode(data[start : start + _SLOT]) for start in (0, _SLOT)]
        readable = [slot for slot in slots if slot is not None]
        if not readable:
            os.close(descriptor)
            raise CorruptStore(f"the guard file {path} holds no readable slot")
        owner, state = max(readable, key=lambda slot: slot[1].commit)
        if owner != store_id:
            os.close(descriptor)
            raise CorruptStore(f"the guard file {path} belongs to another store")
        return cls(path, store_id, descriptor, state)

    def advance(self, state: GuardState) -> None:
        """Remember `state` durably. Raises: OSError, after which nothing may be signed."""
        body = _BODY.pack(_MAGIC, self._store_id, *state)
        slot = (body + hashlib.sha256(body).digest()).ljust(_SLOT, b"\x00")
        if os.pwrite(self._descriptor, slot, state.commit % 2 * _SLOT) != _SLOT:
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
    magic, owner, commit, root_size, root_hash, chain = _BODY.unpack(body)
    return (owner, GuardState(commit, root_size, root_hash, chain)) if magic == _MAGIC else None
