"""The lying proxy over real sockets: a verifier is content through it, and not with any of its faults."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from conformance.faulty_proxy import FAULTS, FaultyProxy
from conformance.golden.honest import LOG
from tests.conformance.test_tiles import HONEST, run


class Served(BaseHTTPRequestHandler):
    """The honest log of `test_tiles` under /log/; a POST is sent back."""

    def do_GET(self) -> None:
        body = HONEST.get(self.path.removeprefix("/log/"))
        self.reply(404 if body is None else 200, body or b"absent")

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.reply(201, self.rfile.read(length) + self.headers["Authorization"].encode())

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-test")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def target() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Served)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/log/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_verifier_notices_every_fault(
    target: str, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FaultyProxy(target, FAULTS[fault]) as proxy:
        status, last = run(capsys, proxy.url, "--vkey", LOG.vkey)
    assert (status, last == "VERIFIED", proxy.altered > 0) == (
        (0, True, False) if fault == "none" else (1, False, True)
    )


def test_what_is_not_altered_passes_as_it_is(target: str) -> None:
    with FaultyProxy(target, FAULTS["wrong-entry"]) as proxy:
        connection = http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=10)
        connection.request("GET", "/log/nothing")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (404, b"absent")
        assert answer.headers["Content-Type"] == "application/x-test"
        connection.request("POST", "/log/x", b"sent ", {"Authorization": "token"})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (201, b"sent token")
        connection.close()
        assert proxy.altered == 0


def test_an_older_head_is_kept_to(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = tmp_path / "older"
    older.write_bytes(HONEST["checkpoint"])
    status, _ = run(capsys, target, "--vkey", LOG.vkey, "--older", str(older))
    assert status == 0
