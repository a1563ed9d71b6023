"""Requests of a fetcher: bounded, patient where it helps, and never anywhere else than where it was told."""

from __future__ import annotations

import asyncio
import gzip
import socket

import pytest
from aiohttp import web

from tests.client.fetch import tiled
from tests.client.fetch.tiled import TiledLog, Tiles, counted
from tlog.client.fetch import Fetcher, http
from tlog.errors import InvalidInput, Refused, Unavailable


@pytest.fixture
def log() -> TiledLog:
    found = TiledLog()
    found.logs[""] = found.logs["streams/a/b/c/"] = Tiles(counted(300))
    found.lies["checkpoint"] = b"note"
    return found


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_FIRST_WAIT", 0.001)


def reply(body: bytes = b"", status: int = 200, **headers: str) -> tiled.Lie:
    async def answer(request: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=body, status=status, headers=named)

    return answer


async def test_resources(log: TiledLog) -> None:
    tiles = log.logs[""]
    async with log.served(), Fetcher(log.url) as fetcher:
        assert await fetcher.checkpoint() == b"note"
        assert await fetcher.tile(0, 0) == b"".join(tiles.row(0)[:256])
        assert await fetcher.tile(0, 1, 44) == b"".join(tiles.row(0)[256:])
        assert await fetcher.entries(1, 44) == counted(300)[256:]
        assert await fetcher.under("streams/a/b/c").entries(0) == counted(256)
    assert log.asked[-1] == "streams/a/b/c/tile/entries/000"


async def test_a_full_tile_serves_for_the_partial_one_that_is_gone(log: TiledLog) -> None:
    log.lies |= {"tile/0/000.p/3": 404, "tile/entries/000.p/3": 404, "tile/0/001.p/44": 404}
    async with log.served(), Fetcher(log.url) as fetcher:
        assert await fetcher.tile(0, 0, 3) == b"".join(log.logs[""].row(0)[:3])
        assert await fetcher.entries(0, 3) == counted(3)
        with pytest.raises(Refused, match=r"tile/0/001\.p/44 is not there"):
            await fetcher.tile(0, 1, 44)


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (404, "not-found", Refused),
        (410, "not-found", Refused),
        (401, "forbidden", Refused),
        (403, "forbidden", Refused),
        (400, "bad-answer", InvalidInput),
        (204, "bad-answer", InvalidInput),
        (429, "status-429", Unavailable),
        (503, "status-503", Unavailable),
    ],
)
async def test_statuses(
    log: TiledLog, status: int, kind: str, error: type[InvalidInput | Refused | Unavailable]
) -> None:
    log.lies["tile/0/000"] = status
    async with log.served(), Fetcher(log.url) as fetcher:
        with pytest.raises(error, match="tile/0/000") as caught:
            await fetcher.tile(0, 0)
    assert caught.value.kind == kind
    assert len(log.asked) == (http.ATTEMPTS if error is Unavailable else 1)


async def test_a_redirect_gets_no_token(log: TiledLog) -> None:
    seen: list[str | None] = []

    async def elsewhere(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        raise web.HTTPFound("/tile/0/000")

    log.lies["tile/0/001.p/44"] = elsewhere
    async with log.served(), Fetcher(log.url, token="secret") as fetcher:
        with pytest.raises(InvalidInput, match="redirects"):
            await fetcher.tile(0, 1, 44)
    assert seen == ["Bearer secret"]
    assert log.asked == ["tile/0/001.p/44"]


async def test_busy_servers_are_asked_again_when_they_say(
    log: TiledLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    sleep = asyncio.sleep

    async def watch(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    answers = [reply(status=503, Retry_After="7"), reply(status=429, Retry_After="soon")]

    async def busy(request: web.Request) -> web.StreamResponse:
        lie = answers.pop(0)
        assert callable(lie)
        if not answers:
            del log.lies["checkpoint"]
            log.lies["checkpoint"] = b"late"
        return await lie(request)

    log.lies["checkpoint"] = busy
    async with log.served(), Fetcher(log.url) as fetcher:
        monkeypatch.setattr("tlog.client.fetch.http.asyncio.sleep", watch)
        assert await fetcher.checkpoint() == b"late"
        assert waited == [7.0, 0.002]
        log.lies["checkpoint"] = reply(status=503, Retry_After="3600")
        with pytest.raises(Unavailable) as caught:
            await fetcher.checkpoint()
    assert caught.value.retry_after == 3600


async def test_bodies_end_where_they_must(log: TiledLog) -> None:
    endless = bytes(8192 + 1)
    cases = {
        "too much": reply(endless),
        "too much when unpacked": reply(gzip.compress(bytes(50_000_000)), Content_Encoding="gzip"),
        "no gzip": reply(bytes(8192), Content_Encoding="gzip"),
        "half a gzip": reply(gzip.compress(bytes(8192))[:-4], Content_Encoding="gzip"),
        "nothing": reply(b"", Content_Encoding="gzip"),
        "another coding": reply(bytes(8192), Content_Encoding="br"),
        "too little": reply(bytes(8191)),
    }
    async with log.served(), Fetcher(log.url) as fetcher:
        for what, lie in cases.items():
            log.lies["tile/0/000"] = lie
            with pytest.raises(InvalidInput, match="tile/0/000") as caught:
                await fetcher.tile(0, 0)
            assert caught.value.kind == "malformed", what
        two = gzip.compress(bytes(8000)) + gzip.compress(b"\x01" * 192)
        log.lies["tile/0/000"] = reply(two, Content_Encoding="gzip")
        assert await fetcher.tile(0, 0) == bytes(8000) + b"\x01" * 192


async def test_nobody_answers(log: TiledLog) -> None:
    async def silent(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async def broken(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async with log.served(), Fetcher(log.url, timeout=0.05) as fetcher:
        for lie in (silent, broken):
            log.lies["checkpoint"] = lie
            with pytest.raises(Unavailable):
                await fetcher.checkpoint()
        assert len(log.asked) >= 2 * http.ATTEMPTS
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with Fetcher(f"http://127.0.0.1:{unused.getsockname()[1]}") as fetcher:
            with pytest.raises(Unavailable, match="checkpoint"):
                await fetcher.checkpoint()


async def test_a_certificate_that_nobody_vouches_for(log: TiledLog) -> None:
    """TLS is verified as the platform does; a server that speaks none is no answer either."""
    async with log.served(), Fetcher(log.url.replace("http:", "https:")) as fetcher:
        with pytest.raises(Unavailable):
            await fetcher.checkpoint()


@pytest.mark.parametrize(
    "prefix",
    ["", "log.example.com", "ftp://x/", "http://", "http://[x", "http://u:p@x/", "http://x/?q=1"],
)
def test_addresses_that_are_none(prefix: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Fetcher(prefix)
    assert caught.value.kind == "usage"


async def test_what_is_no_http_is_told_in_a_line() -> None:
    """However much of it there is."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"x\n" * 50_000)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Fetcher(f"http://127.0.0.1:{port}") as fetcher:
        with pytest.raises(Unavailable) as caught:
            await fetcher.checkpoint()
    assert len(caught.value.detail) < 400
    assert "\n" not in caught.value.detail


async def test_no_more_requests_at_once_than_agreed(log: TiledLog) -> None:
    under_way = most = 0

    async def slow(request: web.Request) -> web.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.005)
        under_way -= 1
        return web.Response(body=bytes(8192))

    log.lies |= {f"tile/0/{number:03d}": slow for number in range(20)}
    async with log.served(), Fetcher(log.url, parallel=3) as fetcher:
        await asyncio.gather(*[fetcher.tile(0, number) for number in range(20)])
    assert most == 3


def test_a_small_gzip_does_not_unfold_in_memory() -> None:
    unpack = http._Gzip("url", 100)
    with pytest.raises(InvalidInput, match="more than 100 bytes"):
        unpack.take(gzip.compress(bytes(50_000_000)))
    assert len(unpack._body) == 101
