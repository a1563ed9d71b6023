"""The lean protocol: what it serves itself, what it leaves to aiohttp, in whatever pieces the bytes arrive.

All tests of the routes beside this file run over it as well: it is what the server's connections are.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import web

from tests.api.deployment import Keys, Site, front, serve
from tests.api.wire import BODY, EVENTS, answer, post, stream
from tlog.api.heads import HotRequest
from tlog.api.hot import _WAITING, HotConnection
from tlog.config import Config

HEALTH = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n"


async def connect(site: Site) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", site.port)


async def until(what: Callable[[], bool]) -> None:
    """Wait until it is so."""
    for _ in range(500):
        if what():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came about")


def kinds(site: Site) -> tuple[int, int]:
    """How many connections are lean, how many aiohttp's."""
    return len(front(site).lean), len(front(site).connections)


async def alone(site: Site) -> str:
    """A token; afterwards no connection is open."""
    token = await site.token()
    await site.http.close()
    await until(lambda: kinds(site) == (0, 0))
    return token


@asynccontextmanager
async def held(site: Site) -> AsyncIterator[None]:
    """Meanwhile the writer thread is busy with something else."""
    busy, over = threading.Event(), threading.Event()

    def wait(_: object) -> None:
        busy.set()
        over.wait(20)

    errand = site.log.sequencer.errand(wait)
    try:
        await until(busy.is_set)
        yield
    finally:
        over.set()
    await asyncio.wrap_future(errand)


async def test_hot_requests_stay_lean(site: Site) -> None:
    token = await alone(site)
    reader, writer = await connect(site)
    for number in range(1, 4):
        writer.write(post(token))
        one = await answer(reader)
        assert (one.status, one.json()["sequence_counter"]) == (201, number)
    writer.write(post(token, b"[" + BODY + b"]", path=EVENTS + "/batch"))
    assert (await answer(reader)).json()["receipts"][0]["sequence_counter"] == 4
    writer.write(post(token, b"{"))
    assert (await answer(reader)).kind == "invalid-json"
    assert kinds(site) == (1, 0)
    before = front(site).requests_count
    writer.write(HEALTH)
    assert (await answer(reader)).status == 200
    writer.write(post(token))
    assert (await answer(reader)).json()["sequence_counter"] == 5
    assert kinds(site) == (0, 1)
    assert front(site).requests_count == before + 2
    writer.close()
    await until(lambda: kinds(site) == (0, 0))
    site.check()


NOT_LEAN = {
    "another path": lambda token: post(token, path="/api/v1/attest"),
    "a query": lambda token: post(token, path=EVENTS + "?x=1"),
    "another spelling": lambda token: post(token, path="/api/v1/%65vents"),
    "another method": lambda token: post(token).replace(b"POST", b"PUT", 1),
    "HTTP/1.0": lambda token: post(token).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "close": lambda token: post(token, BODY, "Connection: close"),
    "chunks": lambda token: post(token, b"0\r\n\r\n", "Transfer-Encoding: chunked").replace(
        b"Content-Length: 5\r\n", b""
    ),
    "expect": lambda token: post(token, BODY, "Expect: 100-continue"),
    "upgrade": lambda token: post(token, BODY, "Connection: upgrade", "Upgrade: h2c"),
    "a long head": lambda token: post(token, BODY, "X: " + "x" * 4096),
    "a very long head": lambda token: post(token, BODY, "X: " + "x" * 9000),
    "a long head, unfinished": lambda token: post(token)[:60] + b"x" * 4096,
    "no length": lambda token: post(token).replace(b"Content-Length", b"X-Length"),
    "a large body": lambda token: post(token, b" " * (256 * 1024 + 1)),
    "two lengths": lambda token: post(token, BODY, f"Content-Length: {len(BODY)}"),
    "a folded line": lambda token: post(token, BODY, "X: a\r\n b"),
    "an empty line before": lambda token: b"\r\n" + post(token),
    "no HTTP": lambda token: b"hello",
}


@pytest.mark.parametrize("name", NOT_LEAN)
async def test_what_is_not_plain_is_aiohttps(site: Site, name: str) -> None:
    token = await alone(site)
    made: list[web.RequestHandler] = []
    plain = front(site).plain
    front(site).plain = lambda: made.append(plain()) or made[-1]  # type: ignore[method-assign, func-returns-value]
    reader, writer = await connect(site)
    writer.write(NOT_LEAN[name](token))
    if "unfinished" not in name:
        assert (await reader.readline()).startswith(b"HTTP/1.")
    await until(lambda: len(made) == 1)
    assert kinds(site)[0] == 0
    writer.close()


async def test_split_anywhere(site: Site) -> None:
    token = await alone(site)
    data = post(token)
    reader, writer = await connect(site)
    for at in range(1, len(data)):
        writer.write(data[:at])
        for _ in range(3):
            await asyncio.sleep(0)
        writer.write(data[at:])
        assert (await answer(reader)).status == 201, at
    assert kinds(site) == (1, 0)
    writer.close()
    site.check()


async def test_byte_by_byte(site: Site) -> None:
    token = await site.token()
    reader, writer = await connect(site)
    for _ in range(2):
        for byte in post(token):
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert (await answer(reader)).status == 201
    writer.close()


@pytest.mark.parametrize("cut", [-1, -len(BODY), -len(BODY) - 1, 1, 40])
async def test_what_is_slow_is_aiohttps(site: Site, cut: int) -> None:
    token = await alone(site)
    data = post(token)
    reader, writer = await connect(site)
    writer.write(data[:cut])
    await until(lambda: kinds(site) == (0, 1))
    writer.write(data[cut:])
    assert (await answer(reader)).status == 201
    writer.close()


async def test_many_in_one_packet_are_answered_in_order(site: Site) -> None:
    token = await alone(site)
    reader, writer = await connect(site)
    bad = post("at_x.y")
    writer.write((post(token) + bad) * 20 + post(token)[:-3])
    for number in range(1, 21):
        assert (await answer(reader)).json()["sequence_counter"] == number
        assert (await answer(reader)).status == 401
    assert kinds(site) == (1, 0)
    writer.write(BODY[-3:] + bad * 3000)
    assert (await answer(reader)).json()["sequence_counter"] == 21
    for _ in range(3000):
        assert (await answer(reader)).status == 401
    writer.write(post(token) + HEALTH + post(token))
    assert (await answer(reader)).json()["sequence_counter"] == 22
    assert b"version" in (await answer(reader)).body
    assert (await answer(reader)).json()["sequence_counter"] == 23
    assert kinds(site) == (0, 1)
    writer.close()
    site.check()


async def test_a_refusal_that_closes(site: Site) -> None:
    token = await alone(site)
    data = post(token, media="Content-Type: text/plain")
    before = site.root
    said = await stream(site.port, data + post(token), 5)
    assert said.startswith(b"HTTP/1.1 415 ")
    assert said.count(b"HTTP/1.1") == 1
    assert not said.endswith(b"|")
    assert site.root == before


async def test_a_client_that_reads_nothing_is_not_read_from(site: Site) -> None:
    token = await alone(site)
    with socket.socket() as small:
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        small.connect(("127.0.0.1", site.port))
        reader, writer = await asyncio.open_connection(sock=small.dup())
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    (connection,) = await lean(site)
    assert connection._transport is not None
    server_side = connection._transport.get_extra_info("socket")
    server_side.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    sent = 4000
    writer.write(post("at_x.y") * sent)
    await until(lambda: connection._held and not connection._reading)
    await asyncio.sleep(0.05)
    assert len(connection._buffer) < _WAITING + (1 << 20)
    reader._transport.resume_reading()  # type: ignore[attr-defined]
    for _ in range(sent):
        assert (await answer(reader)).status == 401
    writer.write(post(token))
    assert (await answer(reader)).status == 201
    assert kinds(site) == (1, 0)
    writer.close()


async def test_aiohttp_is_told_that_a_client_reads_nothing(site: Site) -> None:
    await alone(site)
    reader, writer = await connect(site)
    (connection,) = await lean(site)
    connection.pause_writing()
    connection._read(False)
    writer.write(post("at_x.y")[:50])
    connection.data_received(HEALTH)
    assert kinds(site) == (1, 0)
    connection._hand_over()
    (plain,) = front(site).connections
    assert plain.writing_paused
    plain.resume_writing()
    assert (await answer(reader)).status == 200
    writer.close()


async def lean(site: Site) -> list[HotConnection]:
    await until(lambda: kinds(site) == (1, 0))
    return list(front(site).lean)


async def test_a_client_that_leaves_in_the_middle(site: Site, caplog: Any) -> None:
    token = await alone(site)
    before = site.root
    for cut in (20, -20):
        _, writer = await connect(site)
        await lean(site)
        writer.write(post(token)[:cut])
        await asyncio.sleep(0.02)
        writer.transport.abort()
        await until(lambda: kinds(site) == (0, 0))
    await asyncio.sleep(0.3)
    assert kinds(site) == (0, 0)
    assert site.root == before
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_client_that_leaves_before_the_answer(site: Site, caplog: Any) -> None:
    token = await alone(site)
    _, writer = await connect(site)
    async with held(site):
        writer.write(post(token) * 2)
        await until(lambda: site.log.sequencer.waiting == 1)
        writer.transport.abort()
        await asyncio.sleep(0.05)
        assert kinds(site) == (1, 0)  # a stop would wait for it
    await until(lambda: kinds(site) == (0, 0))
    # The second request of the two had not begun.
    number = site.log.source.numbers["acme:prod:scorer"]
    assert site.log.source.view(number).size == 2
    assert site.log.sequencer.waiting == 0
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    site.check()


async def test_keep_alive(template: tuple[Path, Keys], directory: Path) -> None:
    async with serve(directory, template[1], keepalive_timeout=0.6) as site:
        token = await alone(site)
        reader, writer = await connect(site)
        until_then = time.monotonic() + 1.2
        while time.monotonic() < until_then:
            writer.write(post(token))
            assert (await answer(reader)).status == 201
            await asyncio.sleep(0.2)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_a_stop_waits_for_the_answer(template: tuple[Path, Keys], directory: Path) -> None:
    async with serve(directory, template[1], shutdown_timeout=20) as site:
        token = await alone(site)
        idle, half, busy = [await connect(site) for _ in range(3)]
        half[1].write(post(token)[:50])
        async with held(site):
            busy[1].write(post(token) * 2)
            await until(lambda: site.log.sequencer.waiting == 1)
            stopping = asyncio.create_task(site.runner.cleanup())
            assert await asyncio.wait_for(idle[0].read(), 5) == b""
            assert await asyncio.wait_for(half[0].read(), 5) == b""
            assert not stopping.done()
        assert (await answer(busy[0])).status == 201
        assert await busy[0].read() == b""
        await stopping
        for _, writer in (idle, half, busy):
            writer.close()
        with pytest.raises(ConnectionError):
            await connect(site)


async def test_a_stop_does_not_wait_for_ever(template: tuple[Path, Keys], directory: Path) -> None:
    async with serve(directory, template[1], shutdown_timeout=0.05) as site:
        token = await alone(site)
        reader, writer = await connect(site)
        async with held(site):
            writer.write(post(token))
            await until(lambda: site.log.sequencer.waiting == 1)
            await site.runner.cleanup()
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def on_uvloop(directory: Path, keys: Keys, test: Callable[[Site], Awaitable[None]]) -> None:
    async with serve(directory, keys) as site:
        await test(site)


async def _on_the_wire(site: Site) -> None:
    await test_what_is_slow_is_aiohttps(site, -1)
    reader, writer = await connect(site)
    token = await site_token(site)
    writer.write(post(token) * 3 + post(token)[:30])
    for _ in range(3):
        assert (await answer(reader)).status == 201
    writer.write(post(token)[30:] + HEALTH + post(token))
    for status in (201, 200, 201):
        assert (await answer(reader)).status == status
    writer.close()


async def site_token(site: Site) -> str:
    return await site.token()  # kept by the site: its client is closed by now


@pytest.mark.parametrize(
    "test", [_on_the_wire, test_a_client_that_reads_nothing_is_not_read_from], ids=["wire", "held"]
)
def test_on_the_servers_event_loop(
    template: tuple[Path, Keys], directory: Path, test: Callable[[Site], Awaitable[None]]
) -> None:
    uvloop.run(on_uvloop(directory, template[1], test))


async def test_a_handler_that_ends_with_no_answer(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt is passed on, and the connection is not left hanging."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    token = await alone(site)
    monkeypatch.setattr(site.log.preparer, "event", interrupt)
    reader, writer = await connect(site)
    (connection,) = await lean(site)
    with pytest.raises(KeyboardInterrupt):
        connection.data_received(post(token))
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_a_whole_body_is_not_waited_for(site: Site) -> None:
    head = front(site).heads.read(post("t").removesuffix(BODY))
    assert head is not None
    request = HotRequest(site.runner.app, head, BODY)
    assert (request.is_eof(), request.read_nowait(), request.content_length) == (
        True,
        BODY,
        len(BODY),
    )
    with pytest.raises(AssertionError, match="tlog: "):
        await request.readany()


def test_the_waiting_bytes_are_less_than_the_body_that_is_allowed() -> None:
    assert Config("x.example").max_body > _WAITING
