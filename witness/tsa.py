"""Asking a timestamp authority: https://www.rfc-editor.org/rfc/rfc3161, section 3.4 (HTTP).

In scope: one request and its raw answer, within limits. Out of scope: whether the answer proves anything, and when to ask.
Only the configured address is asked and no redirect is followed: nothing that an authority says leads anywhere else.
"""

from __future__ import annotations

import asyncio
import logging

import aiohttp
import msgspec

from tlog.errors import InvalidInput, TlogError, Unavailable

logger = logging.getLogger(__name__)

QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"
MAX_REPLY = 65536
MAX_LIST = 196_608
#: Bytes of all lists beside one timestamp: what a log takes in one delivery.
MAX_LISTS = 500_000


class TsaConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One `[[tsa]]` table of witness.toml."""

    #: A short name, for the store and for people.
    name: str
    #: Address to which requests are posted.
    url: str
    #: Path of a PEM file, relative to DIR: the roots under which its replies must verify.
    roots: str
    #: OIDs of the policies that are believed; empty: every one of this authority's.
    policies: tuple[str, ...] = ()
    #: Addresses of revocation lists (DER) that are fetched and kept with each timestamp.
    crls: tuple[str, ...] = ()
    #: Headers of each request, such as Authorization.
    headers: dict[str, str] = {}


class TsaClient:
    """On one event loop; `close` it. `timeout` in seconds for one request, from the first byte to the last."""

    def __init__(self, timeout: float) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def stamp(self, authority: TsaConfig, request: bytes) -> bytes:
        """The raw reply, at most 64 KiB. Raises: Unavailable (nothing came), InvalidInput (bad-answer)."""
        headers = {**authority.headers, "Content-Type": QUERY}
        body, media_type = await self.send(
            "POST", authority.url, MAX_REPLY, data=request, headers=headers
        )
        if media_type != REPLY:
            raise InvalidInput("bad-answer", f"{authority.url} answered {media_type}, not {REPLY}")
        return body

    async def revocation_lists(self, authority: TsaConfig) -> list[bytes]:
        """What is configured, as far as it can be had and carried: a list that is missing must not cost the timestamp."""
        found: list[bytes] = []
        for url in authority.crls:
            try:
                data, _ = await self.send("GET", url, MAX_LIST)
            except TlogError as error:
                logger.warning("no revocation list: %s", error.detail)
                continue
            if sum(map(len, found)) + len(data) <= MAX_LISTS:
                found.append(data)
            else:
                logger.warning("%s does not fit beside the other revocation lists", url)
        return found

    async def send(
        self,
        method: str,
        url: str,
        most: int,
        *,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[bytes, str]:
        """Body and media type of a 2xx answer.

        Raises, naming the address: Unavailable, InvalidInput (bad-answer; unprocessable: 422, what was sent is at fault).
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        try:
            async with self._session.request(
                method, url, data=data, headers=sent, allow_redirects=False
            ) as answer:
                body = await _read(answer, most)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise Unavailable(
                "no-answer", f"{url}: {str(error) or type(error).__name__}", 60.0
            ) from error
        if answer.status >= 500 or answer.status in (408, 429):
            raise Unavailable("no-answer", f"{url} answered {answer.status}", 60.0)
        if not 200 <= answer.status < 300 or "Content-Encoding" in answer.headers:
            reason = body[:200].decode("ascii", "replace") if answer.status >= 400 else ""
            kind = "unprocessable" if answer.status == 422 else "bad-answer"
            raise InvalidInput(kind, f"{url} answered {answer.status} {reason}".rstrip())
        if len(body) > most:
            raise InvalidInput("bad-answer", f"{url} answered more than {most} bytes")
        return body, answer.content_type


async def _read(answer: aiohttp.ClientResponse, most: int) -> bytes:
    parts = bytearray()
    while len(parts) <= most and (part := await answer.content.readany()):
        parts += part
    return bytes(parts)
