"""The client: what SYEN's guide calls SYENAuditClient, and what stands behind its methods.

Source: design §4; SYEN's integration guide, sections 4 to 9.
In scope: the public methods. Out of scope: how they are carried out (`link`, `batching`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import date as Date  # noqa: N812 - the guide's parameter is called date
from datetime import datetime
from typing import Any

import orjson

from tlog.client.anchor import Anchor
from tlog.client.batching import Tuning, Writers
from tlog.client.errors import BadAnswer, ReceiptRejected
from tlog.client.link import Link
from tlog.client.models import Event, EventClass, Proof, Receipt, VerifyResult, convert
from tlog.client.outgoing import Outgoing, encode_event
from tlog.client.pins import Pins, state_directory
from tlog.client.session import Identity, LogKey, Session, check_code_hash
from tlog.client.transport import Transport, query
from tlog.core.ids import parse_event_id
from tlog.core.package import verify_package
from tlog.errors import InvalidInput, TlogError, Unavailable, VerificationError

# The log re-derives a whole stream before it answers.
_VERIFY_TIMEOUT = 3600.0
# Events put on their way before the first of them are sent.
_SLICE = 500


class AuditClient:
    """Writes events to a log and does not believe it: every receipt is verified before it is returned.

        async with AuditClient(base_url=…, tenant_id=…, agent_id=…, agent_code_hash=…) as client:
            receipt = await client.ingest(event_class=EventClass.EXECUTION, event_type=…, payload={…})

    Concurrent calls of `ingest` travel together; every event is recorded exactly once, whatever fails, as
    long as the log comes back within `retry_for` seconds. A client belongs to one event loop.
    """

    def __init__(
        self,
        base_url: str,
        tenant_id: str,
        agent_id: str,
        agent_code_hash: str,
        *,
        api_key: str | None = None,
        vkey: str | None = None,
        stream_id: str | None = None,
        instance: str | None = None,
        timeout: float = 30.0,
        retry_for: float = 120.0,
        max_batch: int = 500,
        linger: float = 0.0,
        state_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        """Nothing is sent yet.

        `agent_code_hash`: SHA-256 of what runs, 64 hex digits; `tlog.client.code_hash(path)` computes it.
        `api_key`: default $TLOG_API_KEY. `vkey`: the log's key as its operator published it, default
        $TLOG_VKEY; without one the key is believed at first use, with a warning.
        `stream_id`: default of `ingest`; the log's own default is `<tenant>:<environment>:<agent>`.
        `instance`: tells replicas of one agent apart, so that they do not compete for sequences.
        `timeout` of one request, `retry_for` of one event, `linger` before a batch: seconds.
        `state_dir`: where the pinned key, the newest head and evidence are kept; default
        $TLOG_STATE/<host_port> or ~/.local/state/tlog/<host_port>.

        Raises:
            ValueError: agent_code_hash or base_url is not of the form.
            InvalidInput: vkey is not a vkey.
        """
        identity = Identity(
            tenant_id, agent_id, check_code_hash(agent_code_hash), stream_id, instance
        )
        if not 1 <= max_batch <= 10_000:
            raise ValueError("max_batch is 1 to 10,000, the largest batch that a log takes")
        self._pins = pins = Pins(state_directory(base_url, state_dir))
        key = LogKey(vkey or os.environ.get("TLOG_VKEY") or None, pins)
        transport = Transport(base_url, timeout)
        self._link = Link(transport, identity, api_key or os.environ.get("TLOG_API_KEY"), key, pins)
        self._timeout = timeout
        self._writers = Writers(self._link, Tuning(max_batch, linger, retry_for))

    async def attest(self) -> Session:
        """Establish a session. Not needed: the first call that needs one does it.

        Raises:
            Refused, InvalidInput, Unavailable, BadAnswer: with a sentence that says what to do.
            LogKeyChanged, ForkDetected: it is not the log that it was.
        """
        return await self._link.attest()

    async def ingest(
        self,
        *,
        event_type: str,
        payload: Mapping[str, Any],
        event_class: EventClass | str | None = None,
        decision_surface: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        stream_id: str | None = None,
        model_id: str | None = None,
        severity: str | None = None,
        actor: Mapping[str, Any] | None = None,
        subject_id: str | None = None,
        tags: Sequence[str] | None = None,
        occurred_at: str | datetime | None = None,
    ) -> Receipt:
        """Record one event and return its verified receipt.

        Cancelling the call does not stop an event that is already on its way, nor any other event.

        Raises:
            InvalidInput: the event is wrong; `pointer` names the member.
            Refused: the event is right and not allowed.
            UnknownOutcome: gave up, or was refused the repetition; the event may or may not be recorded.
            Unavailable: gave up, and the event is not recorded.
            ReceiptRejected: the log's answer does not prove that this event was recorded.
            ForkDetected: the log showed two histories.
        """
        receipt = await self._submit(
            event_type=event_type,
            payload=payload,
            event_class=event_class,
            decision_surface=decision_surface,
            context=context,
            stream_id=stream_id,
            model_id=model_id,
            severity=severity,
            actor=actor,
            subject_id=subject_id,
            tags=tags,
            occurred_at=occurred_at,
        )
        return await receipt

    async def ingest_many(
        self, events: Iterable[Mapping[str, Any]], *, return_exceptions: bool = False
    ) -> list[Receipt | BaseException]:
        """Record events, each given as the arguments of `ingest`, in their order; returns the receipts.

        Not all or nothing: when some fail, the others are recorded all the same, and the first failure
        is raised, or stands in its receipt's place if `return_exceptions`.
        """
        calls: list[asyncio.Future[Receipt]] = []
        gone: Unavailable | None = None
        for number, event in enumerate(events, 1):
            try:
                if gone is not None:
                    encode_event(**event)  # a fault of its own is the greater news
                    raise gone.with_traceback(None)
                calls.append(await self._submit(**event))
            except TlogError as error:
                calls.append(asyncio.get_running_loop().create_future())
                calls[-1].set_exception(error)
                # Who waited for a session in vain did so for all: the next would wait as long again.
                gone = error if isinstance(error, Unavailable) else gone
            if number % _SLICE == 0:
                await asyncio.sleep(0)
        results = await asyncio.gather(*calls, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not return_exceptions:
                raise result
        return results

    async def _submit(self, stream_id: str | None = None, **event: Any) -> asyncio.Future[Receipt]:
        """Check an event and put it on its way; the future gets its receipt or error."""
        encoded = encode_event(stream_id=stream_id, **event)
        loop = asyncio.get_running_loop()
        outgoing = Outgoing(*encoded, loop.create_future(), loop.time())
        if not self._writers.put_now(outgoing, stream_id):
            await self._writers.put(outgoing, stream_id)
        return outgoing.future

    async def verify(
        self,
        stream_id: str | None = None,
        *,
        from_sequence: int | None = None,
        to_sequence: int | None = None,
    ) -> VerifyResult:
        """Have the log re-derive a stream (default: the session's) from its stored bytes.

        Raises: Refused, InvalidInput, Unavailable, BadAnswer; as `attest`.
        """
        params = query(stream_id=stream_id, from_sequence=from_sequence, to_sequence=to_sequence)
        answer = await self._link.get("/api/v1/verify", params, _VERIFY_TIMEOUT)
        return convert(answer, VerifyResult)

    async def get_proof(self, event_id: str, wait: str | None = None) -> Proof:
        """The proof package of an event, verified under the log's key; it never holds payload data.

        `wait`: "published" or "witnessed" waits until such a root covers the event; else `root` may be missing.

        Raises:
            Refused: there is no such event.  Unavailable: not published within `timeout`.
            ReceiptRejected: the package does not prove this event.
        """
        parse_event_id(event_id)  # it becomes part of a path
        path = f"/api/v1/proof/{event_id}"
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        while True:
            try:
                package = await self._link.get(path, query(wait=wait))
                break
            except Unavailable as error:
                if error.kind != "not-published" or loop.time() > deadline:
                    raise
        try:
            if package.get("event_id") != event_id:
                raise VerificationError
            verify_package(package, self._link.log)
        except VerificationError:
            saved = self._pins.save_evidence("proof", orjson.dumps(package))
            raise ReceiptRejected(f"the log's answer does not prove {event_id}", saved) from None
        return Proof(package, self._link.log)

    async def get_anchor(self, date: str | Date) -> Anchor:
        """The external timestamps of one UTC day, `YYYY-MM-DD`.

        Raises: Refused, InvalidInput, Unavailable, BadAnswer; as `attest`.
        """
        try:
            day = Date.fromisoformat(str(date)).isoformat()
        except ValueError:
            raise InvalidInput("invalid-value", f"{date!r} is no date like 2026-03-20") from None
        return convert(await self._link.get(f"/api/v1/anchor/{day}"), Anchor)

    async def get_event(self, event_id: str) -> Event:
        """A recorded event with its payload, as the log shows it.

        Raises: Refused, Unavailable, BadAnswer; as `attest`.
        """
        parse_event_id(event_id)
        return Event(await self._link.get(f"/api/v1/events/{event_id}"))

    async def events(
        self,
        stream_id: str | None = None,
        *,
        from_: str | datetime | None = None,
        to: str | datetime | None = None,
        event_class: EventClass | str | None = None,
        event_type: str | None = None,
        model_id: str | None = None,
        actor_id: str | None = None,
        severity: str | None = None,
        tag: str | None = None,
        page: int = 100,
    ) -> AsyncIterator[Event]:
        """Recorded events by the log's time, oldest first; `from_` is inclusive, `to` exclusive.

        Without `stream_id`, of all streams of the tenant. `page` events are fetched at a time.
        Raises: Refused, InvalidInput, Unavailable, BadAnswer; as `attest`.
        """
        params = query(
            stream_id=stream_id,
            to=to,
            event_class=event_class,
            event_type=event_type,
            model_id=model_id,
            actor_id=actor_id,
            severity=severity,
            tag=tag,
            limit=page,
            **{"from": from_},
        )
        while True:
            document = await self._link.get("/api/v1/events", params)
            found, cursor = document.get("events"), document.get("next_cursor")
            if not isinstance(found, list) or not (cursor is None or isinstance(cursor, str)):
                raise BadAnswer("the answer is not a page of events")
            for event in found:
                yield Event(event)
            if cursor is None:
                return
            params["cursor"] = cursor

    async def aclose(self) -> None:
        """Wait until every event has its receipt or error, check the heads collected, and disconnect.

        Raises: ForkDetected.
        """
        await self._writers.drain()
        await self._link.close()

    async def __aenter__(self) -> AuditClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
