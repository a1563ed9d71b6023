"""What the store keeps, one record type per database; MessagePack with member names, so that members can be added.

| database | key | value |
| --- | --- | --- |
| `meta` | `identity`, `commit` | `Identity`, `CommitRow` |
| `logs` | SHA-256 of the origin | `LogRow` |
| `latest` | SHA-256 of the origin | `LatestRow` |
| `frozen` | SHA-256 of the log's own origin | `FrozenRow` |
| `holds` | SHA-256 of the origin | `HoldRow` |
"""

from __future__ import annotations

import hashlib
from typing import TypeVar

import msgspec

from tlog.errors import CorruptStore

FORMAT = 1
_STREAMS = "/streams/"

T = TypeVar("T", bound=msgspec.Struct)

_encoder = msgspec.msgpack.Encoder()


class Identity(msgspec.Struct, frozen=True):
    """Whose store it is. `created` is in POSIX seconds; `id` are 16 random bytes that the guard repeats."""

    format: int
    id: bytes
    name: str
    created: int


class CommitRow(msgspec.Struct, frozen=True):
    """The newest commit that cosigned: its number, the chain over all of them before and after it (32 bytes each).

    `clock` is the newest time of any cosignature, in POSIX seconds. `restored` is set for ever once the store was
    found to be older than what was signed: what it does not know, it may have forgotten.
    """

    number: int
    previous: bytes
    chain: bytes
    clock: int
    restored: bool = False


class LogRow(msgspec.Struct, frozen=True):
    """A log that is cosigned. `vkeys` only grows. `url` is its prefix for reading, or empty; `qpd` requests a day, 0: any."""

    origin: str
    vkeys: tuple[str, ...]
    url: str = ""
    qpd: int = 0
    contact: str = ""
    added: int = 0


class LatestRow(msgspec.Struct, frozen=True):
    """The newest checkpoint cosigned: 32-byte root, time of the cosignature in POSIX seconds.

    `note` has the lines of the log that verified, and ours: nothing that anybody else could have put there.
    """

    origin: str
    size: int
    root: bytes
    time: int
    note: bytes


class FrozenRow(msgspec.Struct, frozen=True):
    """A log (its root log's origin) that is cosigned no more, with its streams, until the operator says so."""

    origin: str
    reason: str
    since: int


class HoldRow(msgspec.Struct, frozen=True):
    """A log whose stored state may be older than what was signed. `note` shows it, or is empty; `size` is that note's."""

    origin: str
    reason: str
    since: int
    size: int = 0
    note: bytes = b""


def encode(row: msgspec.Struct) -> bytes:
    """The row's bytes."""
    return _encoder.encode(row)


def decode(data: bytes, kind: type[T]) -> T:
    """The row. Raises: CorruptStore."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise CorruptStore(f"a row of the store is no {kind.__name__}: {error}") from error


def origin_key(origin: str) -> bytes:
    """SHA-256 of the origin, 32 bytes: keys of LMDB end at 511 bytes, origins do not."""
    return hashlib.sha256(origin.encode()).digest()


def whole_log(origin: str) -> str:
    """The origin of the log that a stream belongs to; any other origin is its own."""
    return origin.partition(_STREAMS)[0]
