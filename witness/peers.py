"""What witnesses say to each other: the message of gossip, and the requests that carry it.

    {"version": 1, "notes": [note], "forks": [fork proof], "evidence": [id]}

GET /gossip answers with notes, and the ids of unresolved fork proofs; POST /gossip takes notes and fork proofs. Every
note and proof verifies under the receiver's own configuration or is dropped; an unknown member is ignored, so that members
can be added. Only configured addresses are asked; redirects are refused, bodies bounded.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import aiohttp
import orjson

from tlog.core.fork import MAX_DOCUMENT
from tlog.core.strict_json import loads
from tlog.errors import InvalidInput, Unavailable

VERSION = 1
MAX_MESSAGE = 2 << 20
MAX_NOTES = 256
MAX_FORKS = 16
MAX_IDS = 256

_id = re.compile("[0-9a-f]{64}").fullmatch


class Message(NamedTuple):
    """`notes` and `forks` are bytes that verify nowhere yet; `evidence` are ids of documents that the sender has."""

    notes: tuple[bytes, ...] = ()
    forks: tuple[bytes, ...] = ()
    evidence: tuple[str, ...] = ()


def encode(message: Message) -> bytes:
    """The JSON of a message; what is beyond the limits is left out."""
    return orjson.dumps(
        {
            "version": VERSION,
            "notes": [note.decode() for note in message.notes[:MAX_NOTES]],
            "forks": [orjson.loads(fork) for fork in message.forks[:MAX_FORKS]],
            "evidence": message.evidence[:MAX_IDS],
        }
    )


def parse(body: bytes) -> Message:
    """Parse a message of at most MAX_MESSAGE bytes. Raises: InvalidInput (malformed)."""
    if len(body) > MAX_MESSAGE:
        raise InvalidInput("malformed", f"a message has at most {MAX_MESSAGE} bytes")
    value = loads(body)
    if not isinstance(value, dict) or value.get("version") != VERSION:
        raise InvalidInput("malformed", "not gossip of version 1")
    notes = _list(value, "notes", MAX_NOTES)
    forks = _list(value, "forks", MAX_FORKS)
    ids = _list(value, "evidence", MAX_IDS)
    if not all(isinstance(one, str) for one in [*notes, *ids]):
        raise InvalidInput("malformed", "notes and ids are text")
    if not all(_id(one) for one in ids) or not all(isinstance(one, dict) for one in forks):
        raise InvalidInput("malformed", "an id has 64 hex digits, a fork proof is an object")
    return Message(
        tuple(note.encode() for note in notes),
        tuple(orjson.dumps(fork) for fork in forks),
        tuple(ids),
    )


def _list(value: dict[str, Any], name: str, most: int) -> list[Any]:
    found = value.get(name, [])
    if not isinstance(found, list) or len(found) > most:
        raise InvalidInput("malformed", f"{name} is a list of at most {most}")
    return found


class Peers:
    """The other witnesses and monitors, by URL prefix. Belongs to one event loop; `close` it."""

    def __init__(self, urls: Iterable[str], timeout: float) -> None:
        self.urls = tuple(url.rstrip("/") for url in urls)
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def pull(self, url: str) -> Message:
        """What a peer has. Raises: Unavailable, InvalidInput."""
        return parse(await self._ask("GET", f"{url}/gossip", MAX_MESSAGE))

    async def push(self, url: str, message: Message) -> None:
        """Tell a peer. Raises: Unavailable."""
        await self._ask("POST", f"{url}/gossip", MAX_MESSAGE, encode(message))

    async def document(self, url: str, identifier: str) -> bytes:
        """A document that a peer has. Raises: Unavailable."""
        return await self._ask("GET", f"{url}/evidence/{identifier}", MAX_DOCUMENT)

    async def _ask(self, method: str, url: str, most: int, body: bytes | None = None) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "witness", "Accept-Encoding": "identity"},
                auto_decompress=False,
            )
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    raise Unavailable("bad-answer", f"{url}: status {answer.status}")
                found = bytearray()
                async for part in answer.content.iter_any():
                    found += part
                    if len(found) > most:
                        raise Unavailable("bad-answer", f"{url}: more than {most} bytes")
                return bytes(found)
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            reason = str(error) or "no answer in time"
            raise Unavailable("network", f"{url}: {reason}") from None
