"""The connection to one log: a session, a known key, requests, and the check of everything that comes back.

In scope: when to attest, what is checked when, what is kept when the log is caught.
Out of scope: what a check is (`answers`, `heads`), when to retry (`batching`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import orjson

from tlog.client.answers import open_answer
from tlog.client.errors import BadAnswer, Caught, ForkDetected, ReceiptRejected, StateUnusable
from tlog.client.heads import HeadKeeper
from tlog.client.outgoing import Outgoing
from tlog.client.pins import Pins
from tlog.client.session import Identity, LogKey, Session, attest
from tlog.client.transport import Answer, Transport, problem
from tlog.core import binding
from tlog.core.checkpoint import Checkpoint, open_checkpoint
from tlog.core.hashes import Hash
from tlog.core.note import Verifier
from tlog.errors import InvalidInput, Refused, Unavailable, VerificationError

# An entry is below 64 KiB, in base64 below 88, and its receipt has at most 200 hashes beside it.
_MAX_RECEIPT = 128 << 10


class Link:
    """One log as one agent sees it. Belongs to one event loop."""

    def __init__(
        self, transport: Transport, identity: Identity, api_key: str | None, key: LogKey, pins: Pins
    ) -> None:
        self.transport = transport
        self._identity = identity
        self._api_key = api_key
        self._key = key
        self._pins = pins
        self._attesting = asyncio.Lock()
        self._session: Session | None = None
        self._log: Verifier | None = None
        self._heads: HeadKeeper | None = None
        self._checking: asyncio.Task[None] | None = None
        self._fork: ForkDetected | None = None
        self._fork_told = False

    @property
    def log(self) -> Verifier:
        """The key of the log; known once a session was established."""
        if self._log is None:
            raise AssertionError("tlog: the key of the log was asked for before attesting")
        return self._log

    def usable(self) -> Session | None:
        """The current session, None when there is none or it should be renewed.

        Raises: ForkDetected, ever after one was detected.
        """
        if self._fork is not None:
            self._fork_told = True
            raise self._fork
        session = self._session
        return session if session is not None and time.monotonic() < session.renew_at else None

    async def session(self) -> Session:
        """A usable session; attests if there is none. Raises as `attest`."""
        session = self.usable()
        if session is not None:
            return session
        async with self._attesting:
            # Somebody may have attested while this waited.
            return self.usable() or await self._attest()

    async def attest(self) -> Session:
        """Establish a session, believe the key, and demand that the newest head extends the one kept.

        Raises:
            Refused, InvalidInput, Unavailable, BadAnswer: with a sentence for humans.
            LogKeyChanged, ForkDetected, Caught, StateUnusable.
        """
        async with self._attesting:
            self.usable()
            return await self._attest()

    def discard(self, session: Session) -> None:
        """Forget `session`, whose token was refused, unless it was replaced already."""
        if self._session is session:
            self._session = None

    async def _attest(self) -> Session:
        session = await attest(self.transport, self._identity, self._api_key)
        log = self._key.accept(session.vkey)
        try:
            if self._heads is None:
                self._heads = HeadKeeper(self._pins, log, self._prove)
                self._log = log
            await self._look(log, self._heads)
        except ForkDetected as error:
            self._fork, self._fork_told = error, True
            raise
        self._session = session
        return session

    async def _look(self, log: Verifier, heads: HeadKeeper) -> None:
        """Fetch the newest head and check it and all that were collected."""
        document = await self.transport.get("/api/v1/sth")
        try:
            note = binding.member(document, "checkpoint", str).encode()
            checkpoint, _ = open_checkpoint(note, [log], log.name)
        except (VerificationError, InvalidInput):
            path = self._pins.save_evidence("head", orjson.dumps(document))
            raise Caught("the log's newest head is not signed by its key", path) from None
        heads.observe(checkpoint, note)
        await heads.check()

    async def _prove(self, first: int, second: int) -> list[Hash]:
        sizes = {"first": str(first), "second": str(second)}
        return binding.hashes(await self.transport.get("/api/v1/proof/consistency", params=sizes))

    async def get(
        self, path: str, params: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> dict[str, Any]:
        """GET a JSON object with the session's token, attesting again once if it is refused.

        Raises: Refused, InvalidInput, Unavailable, BadAnswer; as `attest`.
        """
        for last in (False, True):
            session = await self.session()
            answer = await self.transport.request(
                "GET", path, token=session.token, params=params, timeout=timeout
            )
            if answer.status == 401 and not last:
                self.discard(session)
                continue
            if answer.status != 200:
                raise problem(answer)
            return answer.object()
        raise AssertionError("tlog: a request was given up silently")

    async def post(self, session: Session, stream_id: str, events: list[Outgoing]) -> Answer:
        """Send events, one alone or several as a batch. Raises TlogError unless it was 2xx."""
        bodies = [event.body(stream_id, session.producer_id) for event in events]
        path, body = "/api/v1/events", bodies[0]
        if len(bodies) > 1:
            path, body = "/api/v1/events/batch", b"[" + b",".join(bodies) + b"]"
        answer = await self.transport.request(
            "POST", path, token=session.token, body=body, max_body=len(events) * _MAX_RECEIPT
        )
        if answer.status not in (200, 201):
            raise problem(answer)
        return answer

    async def settle(self, session: Session, events: list[Outgoing], answer: Answer) -> None:
        """Verify the answer and give each event its receipt or its error. Raises nothing."""
        try:
            opened = open_answer(
                answer.body, events, self.log, self._identity, session, pinned=self._key.pinned
            )
            for checkpoint, note in opened.heads:
                self._observe(checkpoint, note)
        except Caught as error:
            for event in events:
                event.fail(error)
            return
        except Exception as error:
            reason = None if isinstance(error, VerificationError) else error
            self._reject(session, events, events, answer, reason)
            return
        pairs = list(zip(events, opened.receipts, strict=True))
        others = [event for event, receipt in pairs if receipt is None]
        if others:
            self._reject(session, events, others, answer)
        for event, receipt in pairs:
            if receipt is not None and not event.future.done():
                event.future.set_result(receipt)

    def _observe(self, checkpoint: Checkpoint, note: bytes) -> None:
        if self._heads is None:
            raise AssertionError("tlog: a receipt came before a session")
        try:
            self._heads.observe(checkpoint, note)
        except ForkDetected as error:
            self._fork, self._fork_told = error, True
            raise
        if self._checking is None:
            loop = asyncio.get_running_loop()
            self._checking = loop.create_task(self._check_in_time(self._heads))

    async def _check_in_time(self, heads: HeadKeeper) -> None:
        try:
            while (wait := heads.wait) is not None:
                await asyncio.sleep(wait)
                try:
                    await heads.check()
                except (Unavailable, BadAnswer, StateUnusable):
                    # Tried again an interval later; until then the kept head stays the old one. What is wrong with the
                    # directory is told by the next `attest`, or by `close`.
                    continue
        except ForkDetected as error:
            self._fork = error
        finally:
            self._checking = None

    def _reject(
        self,
        session: Session,
        sent: list[Outgoing],
        rejected: list[Outgoing],
        answer: Answer,
        reason: BaseException | None = None,
    ) -> None:
        requests = [
            event.body(event.submission.stream_id or "", session.producer_id) for event in sent
        ]
        document = {
            "vkey": self.log.vkey,
            "sent": [request.decode() for request in requests],
            "status": answer.status,
            "answer": answer.body.decode(errors="replace"),
        }
        path = self._pins.save_evidence(
            "receipt", orjson.dumps(document, option=orjson.OPT_INDENT_2)
        )
        for event in rejected:
            error = ReceiptRejected(
                "the log's answer does not prove that this event was recorded", path
            )
            error.__cause__ = reason
            event.fail(error)

    async def close(self) -> None:
        """Check the heads that were collected, if the log still answers, and close the connections.

        Raises: ForkDetected; StateUnusable when the newest head cannot be kept.
        """
        try:
            if self._checking is not None:
                self._checking.cancel()
                await asyncio.wait([self._checking])
            if self._heads is not None and self._fork is None:
                await self._heads.check()
        except (Unavailable, BadAnswer, Refused):
            # Nothing false is believed: the next run demands consistency from the head that was kept.
            pass
        finally:
            await self.transport.close()
        if self._fork is not None and not self._fork_told:
            raise self._fork
