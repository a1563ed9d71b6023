"""The edge of HTTP: methods, media types, lengths, transfer codings, slow and compressed bodies, over a raw socket where a
client library would not send them. Nothing but a problem document comes back, and nothing is left behind.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import TransferEncodingError
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict
from yarl import URL

from tests.api.deployment import EVENT, Answer, Keys, Site, raw, serve
from tlog.api.body import read_body
from tlog.api.routes import ROUTES
from tlog.errors import InvalidInput

BODY = orjson.dumps(EVENT)


def path_of(path: str) -> str:
    """One of these paths."""
    path = path.replace("{event_id}", "evt_x").replace("{date}", "2026-03-20")
    return path.replace("<label>", "a" * 52).replace("<L>", "0").replace("<N>[.p/<W>]", "000.p/7")


PATHS = sorted({path_of(route.path) for route in ROUTES})


def allowed(path: str) -> set[str]:
    methods = {r.method for r in ROUTES if path_of(r.path) == path}
    return methods | ({"HEAD"} if "GET" in methods else set())


@pytest.mark.parametrize("path", PATHS)
async def test_other_methods(site: Site, path: str) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
        if method in allowed(path):
            continue
        answer = await site.call(method, path, await site.token())
        assert (method, answer.status, answer.kind) == (method, 405, "method-not-allowed")
        assert set(answer.headers["Allow"].split(",")) == allowed(path)


async def test_no_route(site: Site) -> None:
    for path in (
        "/",
        "/api/v1",
        "/api/v1/",
        "/api/v1/events/",
        "/api/v2/health",
    ):
        answer = await site.call("GET", path)
        assert (path, answer.status, answer.kind) == (path, 404, "not-found")


MEDIA = {
    "application/json": 201,
    "application/json; charset=utf-8": 201,
    'application/json;charset="UTF-8"': 201,
    "APPLICATION/JSON": 201,
    "application/json; charset=utf-16": 415,
    "application/json; charset=utf-7": 415,
    "application/json; charset=latin-1": 415,
    "application/json; charset=": 415,
    "text/plain": 415,
    "text/plain; charset=utf-8": 415,
    "application/x-www-form-urlencoded": 415,
    "multipart/form-data; boundary=x": 415,
    "application/x-ndjson": 415,
    "application/cloudevents+json": 415,
    "": 415,
    "json": 415,
}


@pytest.mark.parametrize("media_type", MEDIA)
async def test_media_types(site: Site, media_type: str) -> None:
    answer = await site.post(EVENT, Content_Type=media_type)
    assert answer.status == MEDIA[media_type]
    if answer.status == 415:
        assert answer.kind == "unsupported-media-type"
        assert answer.headers["Connection"] == "close"


def head(token: str, *lines: str, path: str = "/api/v1/events") -> bytes:
    """The head of a POST, `lines` as they are."""
    fixed = [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", *lines]
    return "\r\n".join(fixed).encode() + b"\r\n\r\n"


def parse(data: bytes) -> Answer:
    start, _, body = data.partition(b"\r\n\r\n")
    lines = start.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return Answer(int(lines[0].split()[1]), headers, body)


JSON = "Content-Type: application/json"
CLOSE = "Connection: close"


async def exchange(site: Site, data: bytes, wait: float = 5.0) -> Answer:
    return parse(await raw(site.port, data, wait=wait))


async def test_no_content_type(site: Site) -> None:
    token = await site.token()
    length = f"Content-Length: {len(BODY)}"
    assert (await exchange(site, head(token, length) + BODY)).status == 415
    two = head(token, length, JSON, "Content-Type: text/plain") + BODY
    assert (await exchange(site, two)).status in (400, 415)
    two = head(token, length, "Content-Type: text/plain", JSON) + BODY
    assert (await exchange(site, two)).status in (400, 415)


async def test_no_length(site: Site) -> None:
    answer = await exchange(site, head(await site.token(), JSON))
    assert (answer.status, answer.kind) == (411, "length-required")


async def test_an_empty_body(site: Site) -> None:
    answer = await exchange(site, head(await site.token(), JSON, "Content-Length: 0", CLOSE))
    assert (answer.status, answer.kind) == (400, "invalid-json")


async def test_chunks(site: Site) -> None:
    data = head(await site.token(), JSON, "Transfer-Encoding: chunked", CLOSE)
    for at in range(0, len(BODY), 50):
        part = BODY[at : at + 50]
        data += b"%x\r\n%b\r\n" % (len(part), part)
    assert (await exchange(site, data + b"0\r\n\r\n")).status == 201


async def test_broken_chunks(site: Site) -> None:
    token = await site.token()
    before = site.root
    for junk in (b"zz\r\n", b"5\r\nabcdefgh\r\n", b"-1\r\n", b"5;\n{}\r\n"):
        data = head(token, JSON, "Transfer-Encoding: chunked", CLOSE) + junk
        assert (junk, (await exchange(site, data)).status) == (junk, 400)
    assert site.root == before


async def test_chunks_that_break_later(template: tuple[Path, Keys], directory: Path) -> None:
    """aiohttp's C parser does not tell the handler, whose time limit then ends it."""
    async with serve(directory, template[1], request_timeout=0.5) as site:
        token = await site.token()
        before = site.root
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(head(token, JSON, "Transfer-Encoding: chunked", CLOSE) + b"5\r\n" + BODY[:5])
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.write(b"\r\nzz\r\n")
        answer = parse(await asyncio.wait_for(reader.read(), 10))
        writer.close()
        assert answer.kind in ("request-timeout", "invalid-request")
        assert site.root == before


async def test_a_body_whose_transfer_coding_breaks() -> None:
    """As aiohttp's Python parser tells it."""
    protocol = BaseProtocol(asyncio.get_running_loop())
    content = StreamReader(protocol, 2**16)
    headers = CIMultiDict({"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
    request = make_mocked_request("POST", "/", headers=headers, payload=content)
    content.set_exception(TransferEncodingError("bad chunk"))
    with pytest.raises(InvalidInput) as caught:
        await read_body(request, limit=10, seconds=1)
    assert caught.value.kind == "invalid-request"


async def test_a_chunked_body_that_arrives_at_once_and_is_too_large(
    template: tuple[Path, Keys], directory: Path
) -> None:
    async with serve(directory, template[1], max_body=1000) as site:
        data = head(await site.token(), JSON, "Transfer-Encoding: chunked")
        answer = await exchange(site, data + b"3e9\r\n" + b" " * 1001 + b"\r\n0\r\n\r\n")
        assert (answer.status, answer.kind) == (413, "body-too-large")


SMUGGLED = {
    "two lengths": ["Content-Length: 5", "Content-Length: 6"],
    "length and chunked": ["Content-Length: 5", "Transfer-Encoding: chunked"],
    "folded": ["X-A: a\r\n b"],
    "two hosts": ["Host: y"],
    "negative length": ["Content-Length: -1"],
    "length with plus": ["Content-Length: +5"],
    "bare CR": ["X-A: a\rb"],
    "space before colon": ["X-A : b"],
    "NUL": ["X-A: a\x00b"],
}


@pytest.mark.parametrize("name", SMUGGLED)
async def test_what_smugglers_send(site: Site, name: str, caplog: Any) -> None:
    token = await site.token()
    before = site.root
    data = head(token, JSON, *SMUGGLED[name]) + BODY
    answer = await exchange(site, data)
    assert (answer.status, answer.kind) == (400, "invalid-request")
    assert site.root == before


@pytest.mark.parametrize(
    "data",
    [
        b"GRAB /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/v1/events?cursor=" + b"1" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /api/v1/health HTTP/1.1\r\n\r\n",
    ],
    ids=["method", "target", "header", "no host"],
)
async def test_what_is_no_request_is_answered_as_every_error(site: Site, data: bytes) -> None:
    answer = await exchange(site, data)
    assert (answer.status, answer.kind) == (400, "invalid-request")


async def test_a_declared_length_that_is_too_large(site: Site) -> None:
    started = time.monotonic()
    declared = f"Content-Length: {16 * 1024 * 1024 + 1}"
    answer = await exchange(site, head(await site.token(), JSON, declared), wait=10)
    assert (answer.status, answer.kind) == (413, "body-too-large")
    assert answer.headers["Connection"] == "close"
    assert time.monotonic() - started < 8


async def test_chunks_that_never_end(template: tuple[Path, Keys], directory: Path) -> None:
    async with serve(directory, template[1], max_body=100_000) as site:
        data = head(await site.token(), JSON, "Transfer-Encoding: chunked")
        chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
        answer = await exchange(site, data + chunk * 8, wait=10)
        assert (answer.status, answer.kind) == (413, "body-too-large")


async def test_a_body_that_does_not_come(template: tuple[Path, Keys], directory: Path) -> None:
    async with serve(directory, template[1], request_timeout=0.3) as site:
        token = await site.token()
        before = site.root
        for part in (b"", BODY[:10]):
            answer = await exchange(site, head(token, JSON, "Content-Length: 100") + part, wait=10)
            assert (answer.status, answer.kind) == (408, "request-timeout")
            assert answer.headers["Connection"] == "close"
        assert site.root == before


async def test_slow_bodies_do_not_delay_others(
    template: tuple[Path, Keys], directory: Path
) -> None:
    async with serve(directory, template[1], request_timeout=2.0) as site:
        token = await site.token()
        lazy = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(300)]
        for _, writer in lazy:
            writer.write(head(token, JSON, "Content-Length: 100") + b"{")
        started = time.monotonic()
        for _ in range(20):
            await site.record()
        assert time.monotonic() - started < 2.0
        for reader, writer in lazy:
            assert (await asyncio.wait_for(reader.readline(), 10)).split()[1] == b"408"
            writer.close()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, identity"])
async def test_compressed_bodies_are_refused_unread(site: Site, coding: str) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    answer = await site.call(
        "POST",
        "/api/v1/events",
        await site.token(),
        data=bomb,
        headers={"Content-Encoding": coding},
    )
    assert (answer.status, answer.kind) == (415, "unsupported-media-type")
    assert answer.headers["Accept-Encoding"] == "identity"


async def test_a_client_that_leaves(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    token = await site.token()
    before = site.root
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(head(token, JSON, "Content-Length: 100") + b"{")
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.transport.abort()
    await asyncio.sleep(0.1)
    assert site.root == before
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_expect(site: Site) -> None:
    token = await site.token()
    length = f"Content-Length: {len(BODY)}"
    data = await raw(site.port, head(token, JSON, length, "Expect: 100-continue", CLOSE) + BODY)
    assert data.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201")
    answer = await exchange(site, head(token, JSON, length, "Expect: a-pony", CLOSE) + BODY)
    assert (answer.status, answer.kind) == (417, "expectation-failed")


async def test_http_1_0_expects_nothing(site: Site) -> None:
    lines = [JSON, f"Content-Length: {len(BODY)}", "Expect: 100-continue"]
    data = head(await site.token(), *lines).replace(b"HTTP/1.1", b"HTTP/1.0", 1) + BODY
    assert (await exchange(site, data)).status == 201


async def test_pipelined_requests(site: Site) -> None:
    token = await site.token()
    one = head(token, JSON, f"Content-Length: {len(BODY)}") + BODY
    last = head(token, JSON, f"Content-Length: {len(BODY)}", CLOSE) + BODY
    data = await raw(site.port, one * 9 + last)
    assert data.count(b"HTTP/1.1 201") == 10


async def test_a_fault_of_our_own_is_told_to_the_log_not_to_the_client(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    token = await site.token()

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret in here")

    monkeypatch.setattr(site.log.preparer, "event", fail)
    answer = await site.call("POST", "/api/v1/events", token, EVENT)
    assert (answer.status, answer.kind) == (500, "internal")
    assert b"secret" not in answer.body
    assert "secret in here" in caplog.text


async def test_a_log_line_is_one_line(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("tlog.api.lookup.own_event", fail)
    path = "/api/v1/events/evt_%0d%0aFORGED%1b[31m?x=%0aFORGED"
    token = await site.token()
    await site.call("GET", URL(path.split("?", maxsplit=1)[0], encoded=True), token)  # type: ignore[arg-type]
    (record,) = [one for one in caplog.records if one.name == "tlog.api.problems"]
    assert "\n" not in record.getMessage()
    assert "\x1b" not in record.getMessage()
