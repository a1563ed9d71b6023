"""HTTP towards a witness: one answer, bounded in time and size, never redirected, never inflated."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import aiohttp

from tlog import __version__
from tlog.core.wire import decimal
from tlog.errors import InvalidInput, Unavailable

_CHUNK = 16_384
_MAX_RETRY_AFTER = 3600


class Answer(NamedTuple):
    """A complete answer. `media_type` without parameters; `retry_after` in seconds, 0 when not told."""

    status: int
    media_type: str
    body: bytes
    retry_after: int


class Http:
    """One session for all witnesses; each exchange may take `timeout` seconds from connecting to the last byte."""

    def __init__(self, origin: str, timeout: float) -> None:
        self._timeout = timeout
        self._session = aiohttp.ClientSession(
            # A dead witness must not use up the connections of the others.
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=8),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=timeout),
            auto_decompress=False,
            trust_env=False,
            headers={
                # Some witnesses want to know whom to talk to.
                "User-Agent": f"tlog/{__version__} (+https://{origin}/)",
                "Accept-Encoding": "identity",
            },
        )

    async def post(self, url: str, body: bytes, limit: int) -> Answer:
        """POST `body`. Raises: Unavailable (unreachable) when no complete answer of at most `limit` bytes came in time."""
        return await self._send("POST", url, body, limit)

    async def get(self, url: str, limit: int) -> Answer:
        """GET. Raises: as `post`."""
        return await self._send("GET", url, None, limit)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def _send(self, method: str, url: str, body: bytes | None, limit: int) -> Answer:
        try:
            async with self._session.request(
                method, url, data=body, allow_redirects=False
            ) as response:
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise _unreachable("it compressed its answer unasked")
                received = bytearray()
                async for chunk in response.content.iter_chunked(_CHUNK):
                    received += chunk
                    if len(received) > limit:
                        response.close()  # and with it the connection: the rest is not read
                        raise _unreachable(f"its answer is longer than {limit} bytes")
                return Answer(
                    response.status,
                    response.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
                    bytes(received),
                    _seconds(response.headers.get("Retry-After", "")),
                )
        except asyncio.TimeoutError as error:
            raise _unreachable(f"no answer within {self._timeout:g} s") from error
        except aiohttp.ClientResponseError as error:
            # Its text has the URL, and health shows to everybody what was wrong.
            raise _unreachable(f"no HTTP: {error.message}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _unreachable(f"{type(error).__name__}: {error}") from error


def _unreachable(detail: str) -> Unavailable:
    return Unavailable("unreachable", detail)


def _seconds(text: str) -> int:
    """A Retry-After in seconds; a date, or nonsense, counts as none."""
    try:
        return min(decimal(text), _MAX_RETRY_AFTER)
    except InvalidInput:
        return 0
