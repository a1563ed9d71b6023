"""The client for programs without an event loop: the same names, every call blocks.

from tlog.client.sync import AuditClient, EventClass

One thread runs an event loop for each client; calls from many threads travel together as those of many tasks do.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, TypeVar

from tlog.client import client as asynchronous
from tlog.client.anchor import Anchor
from tlog.client.models import Event, EventClass, Proof, Receipt, VerifyResult
from tlog.client.session import Session, code_hash

__all__ = ["AuditClient", "EventClass", "Receipt", "SYENAuditClient", "VerifyResult", "code_hash"]

_T = TypeVar("_T")


class AuditClient:
    """`tlog.client.AuditClient` for any thread: the same parameters, results and errors.

    with AuditClient(base_url=…, tenant_id=…, agent_id=…, agent_code_hash=…) as client:
        receipt = client.ingest(event_class=EventClass.EXECUTION, event_type=…, payload={…})
    """

    def __init__(
        self, base_url: str, tenant_id: str, agent_id: str, agent_code_hash: str, **options: Any
    ) -> None:
        """As the other; the thread ends with `close`, or with the program."""
        self._client = asynchronous.AuditClient(
            base_url, tenant_id, agent_id, agent_code_hash, **options
        )
        self._loop = asyncio.new_event_loop()
        self._closing, self._calling = threading.Lock(), threading.Lock()
        self._ended = False
        self._thread = threading.Thread(target=self._run_loop, name="tlog-client", daemon=True)
        self._thread.start()

    def attest(self) -> Session:
        """Establish a session."""
        return self._call(self._client.attest())

    def ingest(self, **event: Any) -> Receipt:
        """Record one event and return its verified receipt."""
        return self._call(self._client.ingest(**event))

    def ingest_many(
        self, events: Iterable[Mapping[str, Any]], *, return_exceptions: bool = False
    ) -> list[Receipt | BaseException]:
        """Record events, each given as the arguments of `ingest`, and return their receipts."""
        return self._call(
            self._client.ingest_many(list(events), return_exceptions=return_exceptions)
        )

    def verify(self, stream_id: str | None = None, **interval: int | None) -> VerifyResult:
        """Have the log re-derive a stream from its stored bytes."""
        return self._call(self._client.verify(stream_id, **interval))

    def get_proof(self, event_id: str, wait: str | None = None) -> Proof:
        """The proof package of an event."""
        return self._call(self._client.get_proof(event_id, wait))

    def get_anchor(self, date: Any) -> Anchor:
        """The external timestamps of one UTC day."""
        return self._call(self._client.get_anchor(date))

    def get_event(self, event_id: str) -> Event:
        """A recorded event with its payload."""
        return self._call(self._client.get_event(event_id))

    def events(self, stream_id: str | None = None, **conditions: Any) -> Iterator[Event]:
        """Recorded events by the log's time, oldest first."""
        pages = self._client.events(stream_id, **conditions)
        while (event := self._call(_next(pages))) is not None:
            yield event

    def close(self) -> None:
        """Wait for every event's receipt or error, disconnect, end the thread. Twice is no fault.

        Calls of other threads that are still waiting then, for an answer to something else, end with RuntimeError.
        """
        with self._closing:
            if self._ended:
                return
            try:
                self._call(self._client.aclose())
            finally:
                with self._calling:
                    self._ended = True
                # Every call is in the loop by now or refused, and what is in the loop ends before it.
                asyncio.run_coroutine_threadsafe(_end(), self._loop).result()
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()

    aclose = close

    def __enter__(self) -> AuditClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, work: Coroutine[Any, Any, _T]) -> _T:
        with self._calling:
            if self._ended:
                work.close()
                raise RuntimeError("this client is closed")
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise RuntimeError("this client is closed") from None
        except BaseException:
            # An interrupt of the waiting thread ends the waiting, here and there.
            future.cancel()
            raise


async def _end() -> None:
    """End everything else in this loop: nobody waits for a loop that stopped."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    loop = asyncio.get_running_loop()
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()


async def _next(events: AsyncIterator[Event]) -> Event | None:
    return await anext(events, None)


SYENAuditClient = AuditClient
