"""The same between real processes: `tlog serve` and `witness serve`, killed, restored and started again."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from tests.faults.process import Server, free_port
from tests.harness import ORIGIN, TestLog, new_log
from tests.witness_zoo import Witness, honest, started, write_policy
from tests.witnessed_site import served, verifier
from tlog.core.checkpoint import open_checkpoint
from tlog.core.note import parse_vkey
from tlog.log import Log
from tlog.published import newest

SETTINGS = {"witness_policy": "policy", "publish_interval": 0.05, "witness_wait": 20.0}


def witness(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "witness", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


@contextmanager
def witness_served(directory: Path, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "witness", "serve", str(directory)]
    process = subprocess.Popen(
        [*command, "--listen", f"127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


def shown(url: str) -> bytes:
    with urllib.request.urlopen(url + "/checkpoint", timeout=10) as response:
        return bytes(response.read())


def wait_for(url: str, size: int, lines: int) -> bytes:
    deadline = time.monotonic() + 60
    while True:
        try:
            note = shown(url)
        except OSError:
            note = b""
        if note.count(b"\n\xe2\x80\x94 ") == lines and int(note.split(b"\n")[1]) >= size:
            return note
        assert time.monotonic() < deadline, note
        time.sleep(0.02)


def grow(directory: Path) -> int:
    """One more stream, while no server runs."""
    log = Log(directory)
    log.start()
    log.open_stream(f"acme:prod:s{len(log.states.numbers)}")
    size = log.sequencer.head.root.size
    log.close()
    return size


def test_a_real_witness_cosigns_and_convicts_a_restored_backup(tmp_path: Path) -> None:
    directory = new_log(tmp_path / "log")
    key = verifier(directory)
    printed = witness("init", tmp_path / "witness", "--name", "witness.example.org/w1")
    vkeys = [parse_vkey(word) for word in printed.split() if "+" in word]
    own = next(one for one in vkeys if one.name == "witness.example.org/w1")
    port = free_port()
    policy = f"witness w1 {own.vkey} http://127.0.0.1:{port}\nquorum w1\n"
    (directory / "policy").write_text(policy)
    with Server(directory, free_port(), **SETTINGS) as server:
        witness("add-log", tmp_path / "witness", "--url", server.url, "--vkey", key.vkey)
        with witness_served(tmp_path / "witness", port):
            server.start()
            open_checkpoint(wait_for(server.url, 1, 2), [key], ORIGIN, [own])
            server.stop()
            shutil.copytree(directory, tmp_path / "backup")
            size = grow(directory)
            server.start()
            note = wait_for(server.url, size, 2)
            assert len(open_checkpoint(note, [key], ORIGIN, [own])[1].signatures) == 2
            server.stop()
            shutil.rmtree(directory)
            shutil.copytree(tmp_path / "backup", directory)  # the guard too
            with pytest.raises(RuntimeError, match="witness w1 shows a root of size"):
                server.start()
            assert server.process is not None and server.process.wait() == 1


def test_killed_between_publication_and_cosignature(tmp_path: Path) -> None:
    directory = new_log(tmp_path / "log")
    one = Witness(1, verifier(directory))

    async def run(server: Server) -> None:
        async def deadly(self: Witness, request: web.Request, body: bytes) -> web.StreamResponse:
            """It cosigns, and the log dies before it hears of it."""
            response = await honest(self, request, body)
            assert server.process is not None
            server.process.kill()
            self.reply = None
            return response

        one.reply = deadly
        async with started(one):
            write_policy(directory / "policy", [one], 1)
            with suppress(RuntimeError):  # it may not have listened yet
                await asyncio.to_thread(server.start)
            assert await asyncio.to_thread(server.wait) == -signal.SIGKILL
            assert _stored(directory).count(b"w1.example.org") == 0
            await asyncio.to_thread(server.start)
            note = await asyncio.to_thread(wait_for, server.url, one.size, 2)
            assert b"w1.example.org" in note
            await asyncio.to_thread(server.stop)

    with Server(directory, free_port(), **SETTINGS) as server:
        asyncio.run(run(server))
    assert _stored(directory).count(b"w1.example.org") == 1


def _stored(directory: Path) -> bytes:
    """The newest published note; everything in the store verifies."""
    with TestLog(directory, start=False) as log:
        log.check()
        row = newest(log.log.store)
    assert row is not None
    open_checkpoint(row[1], [verifier(directory)], ORIGIN)
    return row[1]


def test_evidence_that_comes_later_ends_the_process(tmp_path: Path) -> None:
    """Exit code 70, and the reason in its output."""
    directory = new_log(tmp_path / "log")
    one = Witness(1, verifier(directory))

    async def run(server: Server) -> None:
        await one.start()
        write_policy(directory / "policy", [one], 1)
        shutil.copytree(directory, tmp_path / "backup")
        grow(directory)
        async with served(directory, [one]) as site:  # in this process
            await site.shown(site.log.sequencer.head.root.size, 1)
        await one.stop()
        shutil.rmtree(directory)
        shutil.copytree(tmp_path / "backup", directory)
        await asyncio.to_thread(server.start)
        await one.start(one.port)
        assert await asyncio.to_thread(server.wait) == 70
        await one.stop()

    with Server(directory, free_port(), **SETTINGS) as server:
        asyncio.run(run(server))
        assert "witness w0 shows a root of size" in server.log()
