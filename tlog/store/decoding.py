"""Rows of the log environment read back with suspicion: what is no row is the store's fault, not the program's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from tlog.errors import CorruptStore

_Row = TypeVar("_Row", bound=msgspec.Struct)


def row_decoder(kind: type[_Row]) -> Callable[[Any], _Row]:
    """The decoder of a kind of row, from msgpack. It raises CorruptStore for bytes that are no such row."""
    decode = msgspec.msgpack.Decoder(kind).decode

    def decode_row(data: Any) -> _Row:
        try:
            return decode(data)
        except msgspec.DecodeError as error:
            raise CorruptStore(f"a {kind.__name__} of the store cannot be read: {error}") from error

    return decode_row
