"""Alarms: one line in the log of the process, a count, and a message to the operator's webhook, sent until it is taken.

Source of the message's form: https://www.standardwebhooks.com. The id is that of the evidence, so that a message which
arrives twice is known to. Only the configured URL is asked; redirects are refused, of the answer only the status counts.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

import aiohttp
import orjson

logger = logging.getLogger(__name__)

#: Messages that may wait for the webhook. Evidence is kept elsewhere: what is dropped here is only told later.
MOST_WAITING = 1000
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 300.0
_TIMEOUT = aiohttp.ClientTimeout(total=10.0)


class Alarm(NamedTuple):
    """`kind` is fork, withheld or another word; `lines` tell a human what was found; `id` that of the evidence."""

    kind: str
    log: str
    id: str
    lines: tuple[str, ...]


class Alarms:
    """Runs on one event loop: `raise_` there. `counts` has the alarms so far by kind."""

    def __init__(self, url: str = "", secret: str = "", first_wait: float = _FIRST_WAIT) -> None:
        """`url` of the webhook, empty for none; `secret` signs its messages, empty for unsigned ones."""
        self._url = url
        self._secret = secret.encode()
        self._first_wait = first_wait
        self._waiting: asyncio.Queue[Alarm] = asyncio.Queue(MOST_WAITING)
        self.counts: Counter[str] = Counter()
        self.delivered = 0
        #: Called with every alarm; must be quick.
        self.observers: list[Callable[[Alarm], None]] = []

    def raise_(self, kind: str, log: str, identifier: str, lines: Iterable[str]) -> None:
        """Alarm everybody, now."""
        alarm = Alarm(kind, log, identifier, tuple(lines))
        self.counts[kind] += 1
        logger.critical("%s: %s: %s (evidence %s)", kind, log, " | ".join(alarm.lines), identifier)
        for observer in self.observers:
            observer(alarm)
        if not self._url:
            return
        try:
            self._waiting.put_nowait(alarm)
        except asyncio.QueueFull:
            logger.error("the webhook does not take its messages; this one is not sent")

    async def run(self) -> None:
        """Send what waits, in order, until cancelled."""
        async with aiohttp.ClientSession(
            timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            while True:
                await self._deliver(session, await self._waiting.get())

    async def _deliver(self, session: aiohttp.ClientSession, alarm: Alarm) -> None:
        wait = self._first_wait
        body = orjson.dumps(
            {"kind": alarm.kind, "log": alarm.log, "id": alarm.id, "summary": alarm.lines}
        )
        while True:
            headers = self.headers(alarm.id, body, int(time.time()))
            try:
                async with session.post(
                    self._url, data=body, headers=headers, allow_redirects=False
                ) as answer:
                    if answer.status // 100 == 2:
                        self.delivered += 1
                        return
                    fault = f"status {answer.status}"
            except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
                fault = str(error) or "no answer in time"
            logger.error("the webhook did not take an alarm, again in %g s: %s", wait, fault)
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def headers(self, identifier: str, body: bytes, now: int) -> dict[str, str]:
        """The headers of a message: id, POSIX seconds, and with a secret `v1,<base64 of HMAC-SHA256>`."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "witness",
            "Webhook-Id": identifier,
            "Webhook-Timestamp": str(now),
        }
        if self._secret:
            signed = f"{identifier}.{now}.".encode() + body
            digest = hmac.new(self._secret, signed, hashlib.sha256).digest()
            headers["Webhook-Signature"] = "v1," + base64.b64encode(digest).decode()
        return headers
