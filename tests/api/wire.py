"""Requests as bytes, and the answers on a connection, one after the other."""

from __future__ import annotations

import asyncio
import re

import orjson

from tests.api.deployment import EVENT, Answer

BODY = orjson.dumps(EVENT)
JSON = "Content-Type: application/json"
EVENTS = "/api/v1/events"


def post(
    token: str, body: bytes = BODY, *lines: str, path: str = EVENTS, media: str = JSON
) -> bytes:
    """A plain request, and `lines` as they are."""
    head = [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", media]
    head += [f"Content-Length: {len(body)}", *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


async def answer(reader: asyncio.StreamReader) -> Answer:
    """The next answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    start, *lines = head[:-4].decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    body = await reader.readexactly(int(headers["Content-Length"]))
    return Answer(int(start.split(" ")[1]), headers, body)


async def stream(port: int, data: bytes, seconds: float) -> bytes:
    """All that a server says to these bytes until it closes, or is silent for `seconds`: at first, for four times that."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said = b""
    try:
        writer.write(data)
        while part := await asyncio.wait_for(
            reader.read(1 << 16), seconds if said else 4 * seconds
        ):
            said += part
    except (asyncio.TimeoutError, ConnectionError):
        said += b"|"  # not closed, or reset
    finally:
        writer.close()
    return said


_PLACE = re.compile(
    rb'("(?:event_id|sequence_counter|timestamp|block_hash|previous_hash|leaf_hash|entry|salt'
    rb'|leaf_index|tree_size|first|last|root_hash|checkpoint)":)(?:"[^"]*"|[0-9]+)'
)
_LISTS = re.compile(rb'("(?:hashes|left|right)":)\[[^\]]*\]')


def without_place(said: bytes) -> bytes:
    """Answers without what depends on the time and on an event's place in the log."""
    said = re.sub(rb"Date: [^\r]*", b"Date:", said)
    if re.search(rb"HTTP/[0-9.]+ 20", said):
        said = re.sub(rb"Content-Length: [0-9]+", b"Content-Length:", said)
    return _LISTS.sub(rb"\1", _PLACE.sub(rb"\1", said))
