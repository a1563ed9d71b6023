"""Proves that whatever answers, the client is not led elsewhere, not flooded, not hung, and says what happened.

Over real sockets: an HTTP server that redirects, floods, unfolds, stalls, breaks off, or is not there.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timezone

import pytest
from aiohttp import web

from tlog.client import EventClass
from tlog.client.errors import BadAnswer, NetworkFailure
from tlog.client.transport import Transport, query
from tlog.errors import InvalidInput, Refused

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, timeout: float = 5.0) -> AsyncIterator[Transport]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    transport = Transport(f"http://{host}:{port}/", timeout)
    try:
        yield transport
    finally:
        await transport.close()
        await runner.cleanup()


async def test_a_request_and_its_answer() -> None:
    async def echo(request: web.Request) -> web.Response:
        names = ("Authorization", "Accept", "Content-Type")
        heard: dict[str, object] = {name: request.headers.get(name) for name in names}
        heard |= {"query": dict(request.query), "body": (await request.read()).decode()}
        return web.json_response(heard, status=201, headers={"Retry-After": "7"})

    async with serving(echo) as transport:
        params = {"from": "2026-03-20T14:00:00+01:00"}
        answer = await transport.request("POST", "/x", token="tok", params=params, body=b"{}")
        assert (answer.status, answer.retry_after) == (201, 7.0)
        assert answer.object() == {
            "Authorization": "Bearer tok",
            "Accept": "application/json",
            "Content-Type": "application/json",
            "query": params,
            "body": "{}",
        }


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    asked: list[str] = []

    async def redirect(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with serving(redirect) as transport:
        with pytest.raises(BadAnswer, match="redirects"):
            await transport.request("GET", "/here", token="secret")
    assert asked == ["/here"]


@pytest.mark.parametrize("packed", [False, True])
async def test_a_flood_is_cut_off(packed: bool) -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        body = b"0" * 1_000_000
        headers = {"Content-Encoding": "gzip"} if packed else {}
        return web.Response(body=gzip.compress(body) if packed else body, headers=headers)

    async with serving(flood) as transport:
        with pytest.raises(BadAnswer, match="more than 65536 bytes"):
            await transport.request("GET", "/", max_body=65536)
        answer = await transport.request("GET", "/", max_body=1_000_000)
        assert len(answer.body) == 1_000_000


@pytest.mark.parametrize("where", ["head", "body"])
async def test_a_log_that_stalls_is_given_up(where: str) -> None:
    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if where == "body":
            await response.prepare(request)
            await response.write(b"{")
        await asyncio.sleep(3)
        return response

    async with serving(stall, timeout=0.2) as transport:
        with pytest.raises(NetworkFailure, match="in time"):
            await transport.request("GET", "/")


async def test_an_answer_that_breaks_off_is_none() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"half":')
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(cut) as transport:
        with pytest.raises(NetworkFailure):
            await transport.request("GET", "/")


async def test_nobody_there() -> None:
    async def never(request: web.Request) -> web.StreamResponse:
        raise AssertionError("asked")

    async with serving(never) as transport:
        gone = Transport(transport.base_url, 5.0)
    with pytest.raises(NetworkFailure, match="no answer from http://127"):
        await gone.request("GET", "/")
    await gone.close()
    with pytest.raises(RuntimeError, match="closed"):
        await gone.request("GET", "/")


async def test_cookies_are_not_kept() -> None:
    async def bake(request: web.Request) -> web.Response:
        response = web.json_response({"cookies": dict(request.cookies)})
        response.set_cookie("follow", "me")
        return response

    async with serving(bake) as transport:
        # Of an address without a name, cookies would not be kept anyhow.
        transport.base_url = transport.base_url.replace("127.0.0.1", "localhost")
        await transport.get("/")
        assert await transport.get("/") == {"cookies": {}}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"7", b"\xff"])
async def test_an_answer_of_another_form_is_refused(body: bytes) -> None:
    async def other(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    async with serving(other) as transport:
        with pytest.raises(BadAnswer):
            await transport.get("/")


async def test_problems_become_errors() -> None:
    async def refuse(request: web.Request) -> web.Response:
        status = int(request.path[1:])
        document = {"type": "urn:tlog:problem:some-kind", "detail": "why", "pointer": "/a"}
        return web.json_response(document, status=status)

    async with serving(refuse) as transport:
        with pytest.raises(InvalidInput, match="why") as wrong:
            await transport.get("/422")
        assert (wrong.value.kind, wrong.value.pointer) == ("some-kind", "/a")
        with pytest.raises(Refused, match="why"):
            await transport.get("/404")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "log.example.com",
        "ftp://log",
        "http://",
        "file:///etc",
        "http://u@h",
        "http://h?x",
        "http://h#x",
    ],
)
def test_only_plain_addresses(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        Transport(url, 1.0)


def test_query_parameters() -> None:
    noon = datetime(2026, 3, 20, 12, tzinfo=timezone.utc)
    given = query(a=None, b=5, c="x", d=EventClass.DATA, e=noon)
    assert given == {"b": "5", "c": "x", "d": "DATA", "e": "2026-03-20T12:00:00+00:00"}
