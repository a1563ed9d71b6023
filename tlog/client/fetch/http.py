"""Reading a tiled log over HTTP: https://c2sp.org/tlog-tiles.

In scope: checkpoint, tiles and entry bundles of one log; time limits, size limits, retries, what a failure says.
Out of scope: whether any of it is true (`tree`). Of a tile only the length is checked here, of a bundle that it
is exactly so many entries.

A redirect is refused, not followed: it would hand a token to an address that nobody configured. Certificates are
verified as the platform does. gzip is asked for and unpacked here, with a limit on what it may unfold to.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp

from tlog.core.hashes import HASH_SIZE
from tlog.core.note import MAX_NOTE_SIZE
from tlog.core.tiles import MAX_ENTRY_SIZE, TILE_WIDTH, TileRef, bundle_decode
from tlog.errors import InvalidInput, Refused, TlogError, Unavailable

ATTEMPTS = 4
BUNDLES = 8
"""Entry bundles, of at most 16 MiB each, that are held in memory for all who read entries through one fetcher."""
LONGEST_WAIT = 30.0
"""Seconds: a longer Retry-After is not waited for, the caller is told instead."""
_FIRST_WAIT = 0.2
_AGAIN = frozenset((408, 429, 500, 502, 503, 504))


class _Answer(NamedTuple):
    status: int
    body: bytes
    retry_after: float | None


class Fetcher:
    """One log under a URL prefix. Belongs to the event loop of its first request; `close` when done.

    Every method may raise, naming the URL: Unavailable (nothing answered, 429 or 5xx to the last attempt),
    Refused (not-found for 404 and 410, forbidden for 401 and 403), InvalidInput (bad-answer: a redirect or another
    status; malformed: not of the one length or form that it must have).
    """

    def __init__(
        self,
        prefix: str,
        *,
        token: str | None = None,
        parallel: int = 8,
        timeout: float = 10.0,
        attempts: int | None = None,
    ) -> None:
        """`parallel` requests at once at most; `timeout` in seconds for each of `attempts`, by default `ATTEMPTS`.

        Raises: InvalidInput (usage).
        """
        try:
            address = urlsplit(prefix)
            usable = address.scheme in ("http", "https") and bool(address.hostname)
        except ValueError:
            usable = False
        if not usable or address.query or address.fragment or address.username:
            detail = f"{prefix!r} is no http(s) address without query, fragment and user"
            raise InvalidInput("usage", detail)
        if token is not None and not token.isprintable():
            raise InvalidInput("usage", "a token is one line of printable characters")
        self.prefix = prefix.rstrip("/") + "/"
        self._line = _Line(token, parallel, timeout, attempts or ATTEMPTS)

    def under(self, path: str) -> Fetcher:
        """The log below this one's prefix, such as `streams/<label>`; both share connections and limits."""
        other = object.__new__(Fetcher)
        other.prefix = f"{self.prefix}{path}/"
        other._line = self._line
        return other

    @property
    def answered(self) -> float:
        """When the last request was answered with 200, by the steady clock; 0 before the first."""
        return self._line.answered

    @property
    def slots(self) -> asyncio.Semaphore:
        """One for each bundle that may be held in memory: who reads ahead takes one for each."""
        return self._line.slots

    async def checkpoint(self) -> bytes:
        """The newest signed note, at most 1 MiB; nothing of it is checked."""
        return await self._line.get(self.prefix + "checkpoint", MAX_NOTE_SIZE)

    async def resource(self, path: str, most: int) -> bytes:
        """Another resource under the prefix, of at most `most` bytes."""
        return await self._line.get(self.prefix + path, most)

    async def tile(self, level: int, index: int, width: int = TILE_WIDTH) -> bytes:
        """The first `width` hashes of a tile: exactly 32 * width bytes.

        SPEC (tlog-tiles): of a partial tile that is gone, the full one has the same hashes.
        """
        body, width_given = await self._resource(TileRef(level, index, width))
        if len(body) != HASH_SIZE * width_given:
            path = TileRef(level, index, width).path
            detail = f"{self.prefix}{path} has {len(body)} bytes, not {HASH_SIZE * width_given}"
            raise InvalidInput("malformed", detail)
        return body[: HASH_SIZE * width]

    async def entries(self, index: int, width: int = TILE_WIDTH) -> list[bytes]:
        """The first `width` entries of a bundle."""
        body, width_given = await self._resource(TileRef(None, index, width))
        try:
            return bundle_decode(body, width_given)[:width]
        except InvalidInput as error:
            path = TileRef(None, index, width).path
            raise InvalidInput("malformed", f"{self.prefix}{path}: {error.detail}") from None

    async def close(self) -> None:
        """Close all connections, also those of the fetchers under this one."""
        await self._line.close()

    async def __aenter__(self) -> Fetcher:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _resource(self, ref: TileRef) -> tuple[bytes, int]:
        """The bytes of a resource, and how wide it is: full where the partial one is not found."""
        try:
            return await self._line.get(self.prefix + ref.path, _most(ref)), ref.width
        except Refused as error:
            if error.kind != "not-found" or ref.width == TILE_WIDTH:
                raise
            full = TileRef(ref.level, ref.index)
            try:
                return await self._line.get(self.prefix + full.path, _most(full)), TILE_WIDTH
            except Refused:
                raise error from None


def _most(ref: TileRef) -> int:
    return ref.width * (HASH_SIZE if ref.level is not None else 2 + MAX_ENTRY_SIZE)


class _Line:
    """The connections to one server, and how many requests may be under way."""

    def __init__(self, token: str | None, parallel: int, timeout: float, attempts: int) -> None:
        self._headers = {"Accept-Encoding": "gzip, identity", "User-Agent": "tlog"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._parallel = parallel
        self._attempts = attempts
        self.answered = 0.0
        self._free = asyncio.Semaphore(parallel)
        self.slots = asyncio.Semaphore(BUNDLES)
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, url: str, most: int) -> bytes:
        """The body of a 200 of at most `most` bytes."""
        wait = _FIRST_WAIT
        for attempt in range(1, self._attempts + 1):
            try:
                async with self._free:
                    answer = await self._once(url, most)
            # UnicodeError: a host name that DNS cannot have.
            except (aiohttp.ClientError, OSError, asyncio.TimeoutError, UnicodeError) as error:
                # It may quote what came, at any length.
                reason = " ".join(str(error).split())[:300] or "no answer in time"
                failure, asked = Unavailable("network", f"{url}: {reason}", wait), None
            else:
                if answer.status == 200:
                    self.answered = time.monotonic()
                    return answer.body
                if answer.status not in _AGAIN:
                    raise _refusal(url, answer.status)
                asked = answer.retry_after
                detail = f"{url}: status {answer.status}"
                failure = Unavailable(f"status-{answer.status}", detail, asked or wait)
            pause = wait if asked is None else asked
            if attempt == self._attempts or pause > LONGEST_WAIT:
                raise failure
            await asyncio.sleep(pause)
            wait *= 2
        raise AssertionError("tlog: the last attempt neither returned nor raised")

    async def _once(self, url: str, most: int) -> _Answer:
        async with self._open().get(url, allow_redirects=False) as response:
            if response.status != 200:
                return _Answer(response.status, b"", _retry_after(response))
            encoding = response.headers.get("Content-Encoding", "identity").lower()
            if encoding not in ("identity", "gzip"):
                raise InvalidInput("malformed", f"{url}: Content-Encoding {encoding}")
            unpack = _Gzip(url, most) if encoding == "gzip" else _Plain(url, most)
            async for chunk in response.content.iter_any():
                unpack.take(chunk)
            return _Answer(200, unpack.end(), None)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._parallel),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
                timeout=self._timeout,
                auto_decompress=False,
            )
        return self._session


class _Plain:
    """A body of at most `most` bytes."""

    def __init__(self, url: str, most: int) -> None:
        self._url = url
        self._most = most
        self._body = bytearray()

    def take(self, chunk: bytes) -> None:
        self._body += chunk
        if len(self._body) > self._most:
            raise self._fault(f"more than {self._most} bytes")

    def end(self) -> bytes:
        return bytes(self._body)

    def _fault(self, what: str) -> InvalidInput:
        return InvalidInput("malformed", f"{self._url}: {what}")


class _Gzip(_Plain):
    """A body in gzip (RFC 1952, one or more members), counted as it unfolds."""

    def __init__(self, url: str, most: int) -> None:
        super().__init__(url, most)
        self._member = zlib.decompressobj(wbits=31)

    def take(self, chunk: bytes) -> None:
        while chunk:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=31)
            room = self._most + 1 - len(self._body)
            try:
                super().take(self._member.decompress(chunk, room))
            except zlib.error:
                raise self._fault("no gzip") from None
            chunk = self._member.unconsumed_tail or self._member.unused_data

    def end(self) -> bytes:
        if not self._member.eof:
            raise self._fault("the gzip breaks off")
        return super().end()


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def _refusal(url: str, status: int) -> TlogError:
    if status in (404, 410):
        return Refused("not-found", f"{url} is not there")
    if status in (401, 403):
        return Refused("forbidden", f"{url} asks for a token that may read it")
    if 300 <= status < 400:
        return InvalidInput("bad-answer", f"{url} redirects, which is not followed")
    return InvalidInput("bad-answer", f"{url}: status {status}")
