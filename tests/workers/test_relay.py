"""Requests that are passed on: what of a head goes along, what the other side believes, and what comes back when it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from tests.harness import TestLog, new_log
from tlog.errors import Unavailable
from tlog.workers.page import Page
from tlog.workers.relay import CLIENT, TARGET, Relay, head_of, inside


def test_the_head_that_is_sent_on() -> None:
    """What concerns one connection stays behind, and so does what a client says in the front end's name."""
    given = {
        "Host": "h",
        "Authorization": "Bearer x",
        CLIENT.upper(): "203.0.113.9",
        TARGET.lower(): "/else",
        "Connection": "keep-alive",
        "Expect": "100-continue",
        "Transfer-Encoding": "chunked",
    }
    request = make_mocked_request("HEAD", "/a%2fb?c#d", headers=given)
    lines = head_of(request, chunked=True).decode().split("\r\n")
    remote = f"{CLIENT}: {request.remote or ''}"
    assert lines[0] == "GET /a%2fb?c HTTP/1.1"
    assert lines[1:-2] == [
        "Host: h",
        "Authorization: Bearer x",
        "Transfer-Encoding: chunked",
        remote,
        f"{TARGET}: /a%2fb?c#d",
    ]
    plain = head_of(make_mocked_request("POST", "/a", headers={"Host": "h"}), chunked=False)
    assert plain.decode().split("\r\n") == ["POST /a HTTP/1.1", "Host: h", remote, "", ""]
    # Of an HTTP/1.0 client that names no host; the other side would refuse a head without one.
    bare = head_of(make_mocked_request("GET", "/a"), chunked=False)
    assert bare.decode().split("\r\n") == ["GET /a HTTP/1.1", "Host: ", remote, "", ""]


@asynccontextmanager
async def relayed(directory: Path) -> AsyncIterator[tuple[Any, aiohttp.ClientSession, Relay]]:
    """An application that says what it sees, behind another one that passes everything on; its runner, a client."""

    async def say(request: web.Request) -> web.Response:
        if request.path == "/early":
            return web.Response(status=413, body=b"no")
        return web.json_response(
            [
                request.remote,
                request.raw_path,
                len(await request.read()),
                request.headers.get("X-Y"),
            ]
        )

    with TestLog(new_log(directory / "log")) as site:
        page = Page(directory / "page", create=True)
        app = web.Application(middlewares=[inside(site.log, page)])
        app.router.add_route("*", "/{tail:.*}", say)
        behind = web.AppRunner(app)
        await behind.setup()
        await web.UnixSite(behind, str(directory / "http")).start()
        relay = Relay(directory / "http")
        front = web.Application()
        front.router.add_route("*", "/{tail:.*}", relay.__call__)
        runner = web.AppRunner(front)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as http:
            yield behind, http, relay
        assert page.commit == site.log.sequencer.head.commit
        await runner.cleanup()
        relay.close()
        await behind.cleanup()
        page.close()


async def test_bodies_and_addresses_arrive(tmp_path: Path) -> None:
    """Of any size, in chunks too, many at once; the client is the one of the connection."""
    async with relayed(tmp_path) as (_, http, relay):

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(5):
                yield b"x" * 70_000
                await asyncio.sleep(0)

        async def post(data: Any, size: int) -> None:
            headers = {"X-Y": "é", CLIENT: "203.0.113.9"}
            async with http.post("/p?q=1", data=data, headers=headers) as answer:
                assert await answer.json() == ["127.0.0.1", "/p?q=1", size, "é"]

        await asyncio.gather(*(post(b"x" * n, n) for n in (0, 1, 1000, 100_000, 500_000)))
        await post(chunks(), 350_000)
        assert len(relay._idle) == 5  # connections are used again
        await post(b"x", 1)
        assert len(relay._idle) == 5


async def test_a_refusal_before_the_body(tmp_path: Path) -> None:
    """The answer is given, and the connection with the rest of the body is not used again."""
    async with relayed(tmp_path) as (_, http, relay):
        async with http.post("/early", data=b"x" * 800_000) as answer:
            assert (answer.status, await answer.read()) == (413, b"no")
        async with http.get("/next") as answer:
            assert answer.status == 200
        assert len(relay._idle) <= 1


async def test_nobody_there(tmp_path: Path) -> None:
    """Gone before the request, or with it: the outcome is unknown."""
    request = make_mocked_request("GET", "/x")
    with pytest.raises(Unavailable) as error:
        await Relay(tmp_path / "nothing")(request)
    assert error.value.kind == "unknown-outcome"

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
        writer.close()

    server = await asyncio.start_unix_server(leave, str(tmp_path / "http"))
    with pytest.raises(Unavailable):
        await Relay(tmp_path / "http")(request)
    server.close()
