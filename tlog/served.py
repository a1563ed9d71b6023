"""What the HTTP handlers may ask of a log, in every process that serves it.

`log.Log` is all of it in one process; `workers.front.Front` is one of several front ends, whose commits, keys and heads come
from another process. A handler that needs more than this (the signer, the publication, the witnesses) takes a `Log`, and the
route table says so: such a request is answered by the process that has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

from tlog.accounts import Accounts
from tlog.anchors import Anchors
from tlog.config import Config
from tlog.prepare import Preparer
from tlog.reader import Reader, Source
from tlog.sequencer.batch import Opening, Outcome, Prepared
from tlog.store.environment import LogStore
from tlog.vault import Sealer

Person = tuple[Literal["usr", "sub"], str]


class Served(Protocol):
    """A log that is served. Attributes never change while it is."""

    @property
    def directory(self) -> Path: ...
    @property
    def config(self) -> Config: ...
    @property
    def clock_ms(self) -> Callable[[], int]: ...
    @property
    def vkey(self) -> str: ...
    @property
    def accounts(self) -> Accounts: ...
    @property
    def vault(self) -> Sealer: ...
    @property
    def preparer(self) -> Preparer: ...
    @property
    def store(self) -> LogStore: ...
    @property
    def source(self) -> Source: ...
    @property
    def reader(self) -> Reader: ...
    @property
    def anchors(self) -> Anchors: ...

    @property
    def behind(self) -> bool:
        """Whether something was answered, here or elsewhere, that cannot be read here yet. HOT."""
        ...

    @property
    def introduces(self) -> bool:
        """Whether `introduce` should be called before events are prepared."""
        ...

    async def catch_up(self) -> None:
        """Wait until nothing is `behind`. Raises: Unavailable (overloaded, unknown-outcome)."""
        ...

    async def introduce(self, tenant: str, persons: Sequence[Person]) -> None:
        """Have the pseudonyms and keys of these persons at hand, which are made if need be.

        Raises: Unavailable (overloaded, unknown-outcome).
        """
        ...

    def stream_vkey(self, origin: str) -> str:
        """The verifier key of a stream, by its origin."""
        ...

    def stream_exists(self, stream_id: str) -> bool:
        """Whether a stream is open."""
        ...

    def stream_count(self, tenant: str) -> int:
        """How many streams a tenant has."""
        ...

    async def append(
        self,
        events: Sequence[Prepared],
        openings: dict[str, Opening] | None = None,
        *,
        request: bytes | None = None,
        prove: bool = False,
        array: bool = False,
    ) -> Outcome:
        """Record a batch, all or nothing; returns when it is durable and signed. See `log.Log.append`."""
        ...
