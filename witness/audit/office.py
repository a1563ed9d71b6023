"""What auditors ask of the witness that they belong to: the cosigner, the second key, somebody to tell.

Auditors run in a thread of their own; the cosigner, gossip and alarms live on the event loop of the process. What crosses
over is here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from tlog.core.add_checkpoint import AddCheckpoint, encode_request
from tlog.core.checkpoint import Checkpoint
from tlog.core.cosignature import CosignatureSigner
from tlog.errors import Refused, Unavailable
from witness.clock import Clock
from witness.cosigner import Answer
from witness.rows import LatestRow
from witness.store import Store

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Listener(Protocol):
    """Who is told of what auditors find. Called on the event loop that made the crew."""

    async def cosign(self, body: bytes) -> Answer:
        """An `add-checkpoint` request for the cosigner."""
        ...

    async def notes(self, notes: list[bytes]) -> None:
        """Notes that a log showed."""
        ...

    async def fork(self, document: bytes) -> None:
        """A fork proof."""
        ...

    async def alarm(self, name: str, origin: str, detail: str) -> None:
        """Something is wrong with a log: see `signs`."""
        ...

    def may_sign(self) -> bool:
        """Whether anything may be signed now; from any thread."""
        ...

    def silent_for(self, origin: str) -> float:
        """Seconds since a log that sends checkpoints sent one; from any thread."""
        ...


class HeadOffice:
    """Any thread may call; the second key is used here alone."""

    def __init__(
        self,
        store: Store,
        signer: CosignatureSigner,
        clock: Clock,
        listener: Listener,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock
        self._listener = listener
        self._loop = loop

    def latest(self, origin: str) -> LatestRow | None:
        """The newest checkpoint of `origin` that was cosigned."""
        return self._store.latest(origin)

    def sign(self, head: Checkpoint, txn: Any, newest: int) -> tuple[bytes, int]:
        """The auditor's signature line on a head, and its POSIX second, never before `newest`.

        `txn` is the transaction that stores the line, so that no freeze comes in between.
        Raises: Refused (frozen, held), Unavailable (starting, clock).
        """
        if not self._listener.may_sign():
            raise Unavailable("starting", "this witness looks for its own cosignatures first")
        origin = head.origin
        frozen, hold = self._store.frozen(txn, origin), self._store.hold(txn, origin)
        floor = self._clock.floor(max(newest, self._store.commit(txn).clock))
        if frozen is not None or hold is not None:
            raise Refused("frozen", f"{origin} is not cosigned now")
        now = self._clock.now()
        if now < floor:
            raise Unavailable("clock", "the clock of this witness is wrong", 30.0)
        at = max(now, newest)
        return self._signer.sign_line(head.body(), at), at

    async def cosign(self, request: AddCheckpoint) -> Answer:
        """Have the cosigner take a head. Raises: Unavailable."""
        body = encode_request(request.old, request.proof, request.note)
        return await asyncio.wrap_future(self._over(self._listener.cosign(body)))

    def convict(self, document: bytes) -> None:
        """Have a fork proof kept, the log frozen, everybody told."""
        self._over(self._listener.fork(document))

    def silent_for(self, origin: str) -> float:
        """Seconds since a log that sends checkpoints sent one, 0 for others."""
        return self._listener.silent_for(origin)

    def tell(self, notes: list[bytes]) -> None:
        """Hand notes to gossip, which compares them with all that it knows."""
        self._over(self._listener.notes(notes))

    def alarm(self, name: str, origin: str, detail: str) -> None:
        """Wake somebody."""
        self._over(self._listener.alarm(name, origin, detail))

    def _over(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        future.add_done_callback(_report)
        return future


def _report(future: Future[Any]) -> None:
    """Nobody may be waiting: what went wrong is logged here."""
    error = None if future.cancelled() else future.exception()
    if error is not None and not isinstance(error, Unavailable):
        logger.error("what an auditor found could not be passed on", exc_info=error)
