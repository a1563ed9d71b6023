"""What a handler of the hot routes needs of a request: aiohttp's has it, and so has the lean one of `tlog.api.heads`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from aiohttp import web

T = TypeVar("T")


class Headers(Protocol):
    """Header lines, found by name in any case."""

    def __contains__(self, key: object, /) -> bool: ...
    def __getitem__(self, key: str, /) -> str: ...
    def get(self, key: str, default: str) -> str: ...
    def getall(self, key: str, default: T) -> list[str] | T: ...


class Parameters(Protocol):
    """The parameters of a query, decoded."""

    def items(self) -> Iterable[tuple[str, str]]: ...


class Address(Protocol):
    """Path and query; what is raw is as it was sent."""

    @property
    def raw_path(self) -> str: ...
    @property
    def raw_query_string(self) -> str: ...
    @property
    def query(self) -> Parameters: ...


class Content(Protocol):
    """A body that may still be arriving, with the methods of aiohttp's StreamReader.

    `readany` gives the next part, b"" at the end; `read_nowait` all that is here.
    """

    def is_eof(self) -> bool: ...
    def read_nowait(self, n: int = -1) -> bytes: ...
    async def readany(self) -> bytes: ...


class Asked(Protocol):
    """One request. `content_length` is as declared; None for a body in chunks, and for none."""

    @property
    def app(self) -> web.Application: ...
    @property
    def method(self) -> str: ...
    @property
    def rel_url(self) -> Address: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def content_length(self) -> int | None: ...
    @property
    def content(self) -> Content: ...
