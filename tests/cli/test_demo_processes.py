"""The demo's processes: they start, say where they answer, end when asked, and leave nothing of this process's settings."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import islice
from pathlib import Path

import pytest

from tests.cli.conftest import new_log
from tests.paths import REPOSITORY
from tlog.cli.demo import front, processes, stage
from tlog.cli.demo.processes import (
    DemoError,
    Process,
    Processes,
    Server,
    environment,
    free_ports,
    run,
    tlog,
)


@pytest.mark.e2e
def test_a_server_that_does_not_start(tmp_path: Path) -> None:
    """Its own words are passed on, and no process is left."""
    with pytest.raises(DemoError, match="tlog init"):
        Server(tmp_path, 0, tmp_path / "server.log")


@pytest.mark.e2e
def test_a_server_that_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says nothing is given up after a while."""
    monkeypatch.setattr(processes, "_START_SECONDS", 0.1)
    with pytest.raises(DemoError, match="did not start"):
        Server(tmp_path / "log", 0, tmp_path / "server.log")


@pytest.mark.e2e
def test_a_server_that_does_not_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed after a while; stopping twice is no fault."""
    new_log(tmp_path / "log")
    server = Server(tmp_path / "log", 0, tmp_path / "server.log")
    monkeypatch.setattr(processes.signal, "SIGTERM", processes.signal.SIGCONT)
    monkeypatch.setattr(processes, "_STOP_SECONDS", 0.1)
    server.stop()
    server.stop()
    assert server._process.returncode == -9


def test_commands_that_fail() -> None:
    """A command that ends with another code than it should ends the demo, with what it said."""
    with pytest.raises(DemoError, match=r"ended with 2, not 0:\n(.*\n)*.*Usage"):
        tlog("serve")
    assert run("-c", "print(1)") == "1\n"


def test_the_callers_log_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What configures another log does not reach the demo's processes."""
    monkeypatch.setenv("TLOG_VKEY", "x")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")

    assert "TLOG_VKEY" not in environment()
    assert environment()["PYTHONPATH"] == f"{REPOSITORY}:elsewhere"


@pytest.mark.e2e
def test_a_server_that_must_not_start(tmp_path: Path) -> None:
    """Its exit code and last words are told; one that does start is a fault, and does not stay."""
    refused = Process(["tlog", "serve", str(tmp_path / "none")], tmp_path / "refused.log")
    code, words = refused.refused()
    assert code == 2
    assert "tlog init" in words

    new_log(tmp_path / "log")
    words_of = ["tlog", "serve", str(tmp_path / "log"), "--listen", "127.0.0.1:0"]
    with Processes() as all_of_them:
        started = all_of_them.start(words_of, tmp_path / "server.log")
        with pytest.raises(DemoError, match="started, and must not"):
            started.refused()
    assert started._process.returncode == 0


def test_witnesses_settings_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does what configures another witness; what is given counts."""
    monkeypatch.setenv("WITNESS_PEERS", "http://127.0.0.1:1")

    assert "WITNESS_PEERS" not in environment()
    assert environment(WITNESS_PEERS="")["WITNESS_PEERS"] == ""


def test_ports_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is another one; one at which somebody listens is passed over."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        monkeypatch.setattr(processes, "_PORTS", range(taken, taken + 3))
        found = list(islice(free_ports(), 5))
    assert taken not in found
    assert len(set(found)) == len(found)


@pytest.mark.e2e
def test_the_front_leads_each_address_to_its_server(tmp_path: Path) -> None:
    """Two addresses, two servers, each with an answer of its own; a server that is not there closes the connection."""
    servers = [HTTPServer(("127.0.0.1", 0), _named(name)) for name in ("east", "west")]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    ports = list(islice(free_ports(), 4))
    targets = [*(server.server_address[1] for server in servers), ports[3]]
    leads = [f"{port}={target}" for port, target in zip(ports, targets, strict=False)]
    assert front.parse(leads) == dict(zip(ports, targets, strict=False))
    try:
        with Processes() as running:
            running.start(["tlog.cli.demo.front", *leads], tmp_path / "front.log").ready()
            for port, name in zip(ports, ("east", "west"), strict=False):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
                    assert json.loads(answer.read()) == {"name": name}
            with pytest.raises(OSError, match=r"closed|reset"):
                urllib.request.urlopen(f"http://127.0.0.1:{ports[2]}/", timeout=30)
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
    assert (tmp_path / "front.log").read_text() == ""


def _named(name: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"name": name}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def test_words_are_typed_as_the_shell_reads_them() -> None:
    """Names of values stay names, in quotes; what needs them gets quotes."""
    text = stage.shell(["echo", "$VKEY", "a b", "$(rm -r /)", "x"])
    assert text == """echo "$VKEY" 'a b' '$(rm -r /)' x"""
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True, env={})
    assert done.stdout == " a b $(rm -r /) x\n"
