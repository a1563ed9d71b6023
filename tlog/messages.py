"""What processes of one program say to each other: MessagePack after its length (u32, big endian), and errors to raise again.

Both ends are of one version: they are started together.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tlog.errors import (
    CorruptStore,
    InvalidInput,
    Refused,
    TlogError,
    Unavailable,
    VerificationError,
)

LENGTH_BYTES = 4
#: A batch request has at most 16 MiB by default; what is prepared of it has some more.
MAX_MESSAGE = 1 << 30

_encode_into = msgspec.msgpack.Encoder().encode_into
_FAMILIES: tuple[type[TlogError], ...] = (
    InvalidInput,
    Refused,
    Unavailable,
    CorruptStore,
    VerificationError,
    TlogError,
)


class Failure(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """A `TlogError` in its members."""

    family: int
    kind: str
    detail: str
    pointer: str | None = None
    retry_after: float = 0.0
    extra: dict[str, Any] = {}


def frame(message: msgspec.Struct) -> bytearray:
    """A message with its length before it. HOT."""
    buffer = bytearray(LENGTH_BYTES)
    _encode_into(message, buffer, LENGTH_BYTES)
    size = len(buffer) - LENGTH_BYTES
    if size > MAX_MESSAGE:
        raise AssertionError("tlog: a message between our own processes is too long")
    buffer[:LENGTH_BYTES] = size.to_bytes(LENGTH_BYTES, "big")
    return buffer


def length_of(prefix: bytes | memoryview) -> int:
    """The length of what follows the four bytes that begin a frame."""
    return int.from_bytes(prefix, "big")


def failure(error: TlogError) -> Failure:
    """An error for the way to another process."""
    family = next(at for at, kind in enumerate(_FAMILIES) if isinstance(error, kind))
    return Failure(
        family,
        error.kind,
        error.detail,
        getattr(error, "pointer", None),
        getattr(error, "retry_after", 0.0),
        getattr(error, "extra", {}),
    )


def error_of(failed: Failure) -> TlogError:
    """The error that was meant."""
    family = _FAMILIES[failed.family]
    if family is InvalidInput:
        return InvalidInput(failed.kind, failed.detail, failed.pointer)
    if family is Refused:
        return Refused(failed.kind, failed.detail, failed.pointer, **failed.extra)
    if family is Unavailable:
        return Unavailable(failed.kind, failed.detail, failed.retry_after)
    if family in (CorruptStore, VerificationError):
        return family(failed.detail)
    return TlogError(failed.kind, failed.detail)
