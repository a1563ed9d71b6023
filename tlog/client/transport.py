"""HTTP as the SDK needs it: one request, a bounded answer, errors by their problem type.

Source: design §3; RFC 9457 (problem details).
In scope: time limits, size limits, no redirects, what a failure says. Out of scope: what to do about a failure
(`batching`), tokens (`session`).

A redirect is refused, not followed: it would hand credentials and events to an address that nobody configured
(reference: SSRF and credential forwarding).
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import orjson

import tlog
from tlog.client.errors import BadAnswer, NetworkFailure
from tlog.errors import InvalidInput, Refused, TlogError, Unavailable

URN = "urn:tlog:problem:"
MAX_BODY = 4 << 20  # bytes of an answer, unless the caller expects more
_PROBLEM = ("type", "title", "status", "detail", "pointer", "instance")
_REFUSALS = frozenset((401, 403, 404, 409, 410))


class Disconnected(NetworkFailure):
    """The connection broke. One kept from before a restart of the log breaks at its next use, and then only."""


class Answer(NamedTuple):
    """A complete answer of the API: the status, the seconds of Retry-After if given, the body."""

    status: int
    retry_after: float | None
    body: bytes

    def json(self) -> Any:
        """The body as JSON. Raises BadAnswer."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise BadAnswer("the answer is not JSON", self.status) from None

    def object(self) -> dict[str, Any]:
        """The body as a JSON object. Raises BadAnswer."""
        value = self.json()
        if not isinstance(value, dict):
            raise BadAnswer("the answer is not a JSON object", self.status)
        return value


class Transport:
    """Requests to one log. Belongs to the event loop of its first request; `close` when done."""

    def __init__(self, base_url: str, timeout: float) -> None:
        """`timeout` in seconds for a whole request. Raises ValueError for what is no http(s) URL."""
        address = urlsplit(base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f"base_url must begin with http:// or https://, not {base_url!r}")
        if address.query or address.fragment or address.username:
            raise ValueError(
                "base_url has no query, fragment or user: pass credentials as api_key="
            )
        self.base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def request(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        accept: str = "application/json",
        max_body: int = MAX_BODY,
        timeout: float | None = None,
    ) -> Answer:
        """Send one request and read the whole answer, whatever its status.

        Raises:
            NetworkFailure: no complete answer; the log may have carried out the request.
            BadAnswer: a redirect, or more than `max_body` bytes.
            InvalidInput: a token that is none, such as one with the newline of the file that it was in.
        """
        headers = {"Accept": accept}
        if token is not None:
            if not token.isprintable():
                raise InvalidInput("usage", "a key or token is one line of printable characters")
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        limit = aiohttp.ClientTimeout(total=timeout or self._timeout)
        try:
            async with self._open().request(
                method,
                self.base_url + path,
                headers=headers,
                params=params,
                data=body,
                timeout=limit,
                allow_redirects=False,
            ) as response:
                data = await _read(response, max_body)
                if 300 <= response.status < 400:
                    raise BadAnswer("the log redirects, which is not followed", response.status)
                return Answer(response.status, _retry_after(response), data)
        except asyncio.TimeoutError:
            raise NetworkFailure(f"{self.base_url} did not answer in time") from None
        except aiohttp.ClientConnectorError as error:
            raise NetworkFailure(f"no answer from {self.base_url}: {error}") from error
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            raise Disconnected(f"{self.base_url} disconnected: {error}") from error
        except (aiohttp.ClientError, OSError, UnicodeError) as error:  # last: no name that DNS has
            raise NetworkFailure(f"no answer from {self.base_url}: {error}") from error

    async def get(
        self, path: str, *, token: str | None = None, params: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """GET a JSON object. Raises what `problem` returns for other statuses than 200."""
        answer = await self.request("GET", path, token=token, params=params)
        if answer.status != 200:
            raise problem(answer)
        return answer.object()

    async def close(self) -> None:
        """Close all connections."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("this client is closed")
        if self._session is None:
            system = f"Python/{platform.python_version()}"
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"tlog/{tlog.__version__} {system}"},
            )
        return self._session


def query(**values: object) -> dict[str, str]:
    """Query parameters: those that are given, as text."""
    return {name: _text(value) for name, value in values.items() if value is not None}


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return (
        str.__str__(value) if isinstance(value, str) else str(value)
    )  # of an enum member: its value


async def _read(response: aiohttp.ClientResponse, max_body: int) -> bytes:
    # Counted after decompression: a small body may unfold into a large one.
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > max_body:
            response.close()
            raise BadAnswer(f"the answer has more than {max_body} bytes", response.status)
        chunks.append(chunk)
    return b"".join(chunks)


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    # The other form, an HTTP date, is not what this log sends.
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def problem(answer: Answer) -> TlogError:
    """The error that an answer with another status than 2xx describes.

    408, 429 and 5xx are Unavailable, 401, 403, 404, 409 and 410 Refused, other 4xx InvalidInput; BadAnswer
    when the body is no problem document of this API, such as a proxy's page, except for 5xx.
    """
    try:
        document = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        document = None
    members = document if isinstance(document, dict) else {}
    urn = members.get("type")
    known = isinstance(urn, str) and urn.startswith(URN)
    kind = str(urn)[len(URN) :] if known else f"status-{answer.status}"
    detail = members.get("detail")
    if not isinstance(detail, str):
        detail = f"the answer has status {answer.status}"
    if answer.status in (408, 429) or answer.status >= 500:
        return Unavailable(kind, detail, answer.retry_after or 0.0)
    if not known:
        return BadAnswer(f"no answer of a log: status {answer.status}", answer.status)
    pointer = members.get("pointer")
    if not isinstance(pointer, str):
        pointer = None
    if answer.status in _REFUSALS:
        extra = {name: value for name, value in members.items() if name not in _PROBLEM}
        extra = {name: value for name, value in extra.items() if name not in ("self", "kind")}
        return Refused(kind, detail, pointer, **extra)
    return InvalidInput(kind, detail, pointer)
