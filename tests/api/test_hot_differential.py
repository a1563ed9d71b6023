"""The lean protocol against aiohttp alone, over one log: the same bytes get the same answer, header by header."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from tests.api.deployment import EVENT, Keys, Site, serve
from tests.api.wire import BODY, EVENTS, post, stream, without_place
from tlog.api.app import make_runner

SECONDS = 0.8  # of silence, after which a server has nothing more to say
TIMEOUT = 0.3  # for a body


@asynccontextmanager
async def both(directory: Path, keys: Keys) -> AsyncIterator[tuple[Site, int]]:
    """A log behind lean connections, and the port where aiohttp alone serves it."""
    async with serve(directory, keys, request_timeout=TIMEOUT, max_body=20_000) as site:
        runner = make_runner(site.log, shutdown_timeout=0.1, lean=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield site, runner.addresses[0][1]
        finally:
            await runner.cleanup()


async def compare(site: Site, plain: int, requests: list[bytes]) -> list[bytes]:
    """Send each to both, each on a connection of its own; what both said."""
    lean, expected = await asyncio.gather(_all(site.port, requests), _all(plain, requests))
    for at, request in enumerate(requests):
        if without_place(lean[at]) != without_place(expected[at]):
            # Silence is judged by the clock: ask again, with patience and nothing beside.
            lean[at], expected[at] = [
                await stream(port, request, 10 * SECONDS) for port in (site.port, plain)
            ]
        assert without_place(lean[at]) == without_place(expected[at]), request
    return lean


async def _all(port: int, requests: list[bytes]) -> list[bytes]:
    said: list[bytes] = []
    for at in range(0, len(requests), 200):
        part = requests[at : at + 200]
        said += await asyncio.gather(*(stream(port, one, SECONDS) for one in part))
    return said


HEADS = [
    "Content-Length: 5",
    f"Content-Length: {len(BODY)}",
    "Content-Length: +5",
    "Content-Length:",
    "Content-Length: 5,5",
    "content-length : 5",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: xchunked",
    "transfer-encoding:\tchunked",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: Keep-Alive, close",
    "Connection: upgrade",
    "Upgrade: websocket",
    "Expect: 100-continue",
    "Expect: pony",
    "TE: trailers",
    "Trailer: X",
    "Host: y",
    "X-A: a\r\n b",
    "X-A : b",
    " X-A: b",
    "X-A: a\rb",
    "X-A: a\nb",
    "X-A: a\x00b",
    "X-A: \x7f",
    "X-A: \xe9",
    "X-A",
    ": b",
    "X-\u00c9: b",
    "Content-Encoding: gzip",
    "Content-Encoding: identity",
    "Content-Type: application/json",
    "Prefer: return=minimal",
    "Prefer: x, return=minimal; y=1",
    "Idempotency-Key:",
    "Idempotency-Key: \u00e9",
    "Authorization: Bearer x",
    "Sec-WebSocket-Key1: x",
    "X: " + "x" * 5000,
    "X: " + "x" * 9000,
    "\r\n".join(f"X-{number}: y" for number in range(130)),
]
LENGTHS = [
    "0",
    "1",
    "00135",
    str(len(BODY) - 1),
    str(len(BODY) + 1),
    "-1",
    "+135",
    " 135 ",
    "135 135",
    "1_3",
    "0x87",
    "1e2",
    "١٣٥",
    "²",
    "19999999",
    "9" * 40,
]
LINES = [
    "POST /api/v1/events  HTTP/1.1",
    "POST  /api/v1/events HTTP/1.1",
    "POST /api/v1/events HTTP/1.1 ",
    "POST /api/v1/events HTTP/1.0",
    "POST /api/v1/events HTTP/1.2",
    "POST /api/v1/events HTTP/2.0",
    "POST /api/v1/events http/1.1",
    "POST /api/v1/events",
    "post /api/v1/events HTTP/1.1",
    "POST http://x/api/v1/events HTTP/1.1",
    "POST /api/v1/events? HTTP/1.1",
    "POST /api/v1/events?a=b HTTP/1.1",
    "POST /api/v1/events#a HTTP/1.1",
    "POST /api/v1/events/ HTTP/1.1",
    "POST //api/v1/events HTTP/1.1",
    "POST /api/v1/../v1/events HTTP/1.1",
    "POST /api/v1/events/batch HTTP/1.1",
    "DELETE /api/v1/events HTTP/1.1",
    "\r\nPOST /api/v1/events HTTP/1.1",
]


async def test_what_smugglers_and_others_send(template: tuple[Path, Keys], directory: Path) -> None:
    async with both(directory, template[1]) as (site, plain):
        token = await site.token()
        whole = post(token)
        first = b"POST /api/v1/events HTTP/1.1"
        length = b"Content-Length: %d" % len(BODY)
        requests = [
            *(post(token, BODY, line) for line in HEADS),
            *(whole.replace(length, line.encode(), 1) for line in HEADS),
            *(whole.replace(b"%d" % len(BODY), one.encode(), 1) for one in LENGTHS),
            *(whole.replace(first, line.encode(), 1) for line in LINES),
            whole.replace(b"\r\n", b"\n"),
            whole.replace(b"\r\n\r\n", b"\n\n"),
            whole.replace(b"\r\n\r\n", b"\r\n\n"),
            whole.replace(b"\r\n\r\n", b"\r\r\n\r\n"),
            whole.replace(b"Host: x\r\n", b""),
            post(token, b"").replace(b"Content-Length: 0\r\n", b""),
            whole[:-1],
            whole[:-20] + whole,
            whole + b"\r\n" + whole,
            whole + b"\x00" + whole,
            whole + b"G" * 10,
        ]
        said = await compare(site, plain, requests)
        statuses = {one[9:12] for one in said}
        assert statuses >= {b"201", b"400", b"401", b"404", b"408", b"411", b"413", b"415", b"422"}


async def test_answers_byte_for_byte(template: tuple[Path, Keys], directory: Path) -> None:
    """Of each kind that a hot route has, and on connections that stay."""
    async with both(directory, template[1]) as (site, plain):
        token, read = await site.token(), await site.token(site.keys.read)
        keyed = {**EVENT, "producer": {"id": "scorer", "sequence": 1}}
        await site.record(keyed)
        many = b"[" + b",".join([BODY] * 3) + b"]"
        batch = f"{EVENTS}/batch"
        ndjson = "Content-Type: application/x-ndjson"
        requests = [
            post(token),
            post(token, BODY, "Prefer: return=minimal"),
            post(token, orjson.dumps(keyed), "Prefer: return=minimal"),
            post(token, orjson.dumps({**keyed, "severity": "ERROR"})),
            post(token, orjson.dumps({**keyed, "producer": {"id": "scorer", "sequence": 9}})),
            post(read),
            post("at_x.y"),
            post(token, b'{"a":1,"a":2}'),
            post(token, b"[" * 40),
            post(token, b'{"x":"' + b'\\u0041"' + b',"x":1' * 2000 + b"}"),
            post(token, orjson.dumps({**EVENT, "stream_id": "rival:prod:x"})),
            post(token, orjson.dumps({**EVENT, "stream_id": "acme:prod:y"})),
            post(token, b"x" * 20_001),
            post(token, media="Content-Type: text/plain"),
            post(token, many, path=batch),
            post(token, many, "Prefer: return=minimal", path=batch),
            post(token, BODY + b"\n" + BODY, path=batch, media=ndjson),
            post(token, BODY + b"\n" + b'{"a":1,"a":2}', path=batch, media=ndjson),
            post(token, b"[]", path=batch),
            post(token, b"{}", path=batch),
        ]
        said = await compare(site, plain, requests)
        assert [int(one[9:12]) for one in said] == [
            *[201, 201, 200, 409, 409, 403, 401, 422, 400, 422, 404, 403, 413, 415],
            *[201, 201, 201, 422, 422, 422],
        ]
        for one in await compare(site, plain, [one + one for one in requests]):
            again = one.count(b"HTTP/1.1 ") == 2
            assert again == (one[9:12] not in (b"413", b"415")), one


@pytest.mark.parametrize("seed", range(3))
async def test_mutations(template: tuple[Path, Keys], directory: Path, seed: int) -> None:
    """Bytes taken out, put in, changed and doubled, mostly in the head."""
    chance = random.Random(seed)
    async with both(directory, template[1]) as (site, plain):
        token = await site.token()
        requests = [mutated(chance, post(token, BODY, "X-Trace: a, b;c=d")) for _ in range(150)]
        said = await compare(site, plain, requests)
        assert len({one[9:12] for one in said}) >= 5


def mutated(chance: random.Random, data: bytes) -> bytes:
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        end = len(data) if chance.random() < 0.2 else data.find(b"\r\n\r\n") + 4
        at = chance.randrange(max(1, end))
        other = bytes([chance.choice(b' \t\r\n\x00:;,0159azZ/?#%-\x7f\x80\xff{}"')])
        if chance.random() < 0.3:  # lines as a whole
            lines = data.split(b"\r\n")
            one = chance.randrange(len(lines))
            lines.insert(one, lines[chance.randrange(len(lines))])
            data = b"\r\n".join(lines)
            continue
        part = data[at : at + chance.randrange(1, 12)]
        data = chance.choice(
            (
                data[:at] + data[at + 1 :],
                data[:at] + other + data[at:],
                data[:at] + other + data[at + 1 :],
                data[:at] + part + data[at:],
                data[:at] + part.swapcase() + data[at + len(part) :],
            )
        )
    return data
