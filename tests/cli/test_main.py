"""The exit code tells a lie from a fault, an error is one line, and the program is light where it can be."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import click
import pytest

from tests.cli.conftest import Call
from tests.faults.process import free_port, processes
from tests.harness import new_log
from tlog import cli as package
from tlog.cli import main, serve
from tlog.cli.demo.processes import environment
from tlog.client import BadAnswer, LogKeyChanged, StateUnusable
from tlog.errors import (
    CorruptStore,
    InvalidInput,
    Refused,
    TlogError,
    Unavailable,
    VerificationError,
)

FAILURES = [
    (VerificationError(), 1),
    (CorruptStore("x"), 1),
    (LogKeyChanged("x"), 1),
    (InvalidInput("x", "x"), 2),
    (BadAnswer("x"), 2),
    (StateUnusable("x"), 2),
    (PermissionError(13, "Permission denied", "x"), 2),
    (OSError("x"), 2),
    (OSError(errno.ENOSPC, "No space left on device"), 4),
    (ModuleNotFoundError("x", name="lmdb"), 2),
    (Refused("x", "x"), 3),
    (Unavailable("x", "x"), 4),
    (TlogError("x", "x"), 70),
    (KeyboardInterrupt(), 130),
]


def failing(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `tlog fail` a command that raises `error`."""

    @click.command("fail")
    def fail() -> None:
        raise error

    monkeypatch.setitem(package.cli.commands, "fail", fail)


@pytest.mark.parametrize(("error", "code"), FAILURES, ids=lambda value: type(value).__name__)
def test_errors_are_one_line_and_a_code(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    """No traceback for what a user can cause or mend."""
    failing(error, monkeypatch)

    answer = call("fail")

    assert (answer.code, answer.out) == (code, "")
    assert len(answer.err.strip().splitlines()) == 1


@pytest.mark.parametrize("error", [AssertionError("tlog: bad"), ModuleNotFoundError(name="y")])
def test_a_fault_of_the_program_is_not_a_lie(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Python would end with 1, which here means that a lie was found."""
    failing(error, monkeypatch)

    answer = call("fail")

    assert answer.code == 70
    assert "Traceback" in answer.err
    assert "fault of the program" in answer.err


def test_usage(call: Call) -> None:
    """Wrong usage is 2, and says how it is right; help and version are 0."""
    assert call("serve").code == 2
    assert "Usage: tlog serve" in call("serve").err
    assert call("nothing").code == 2
    assert call("--help").code == 0
    assert "tlog proof verify" in call("-h").out
    assert call("--version").out.startswith("tlog, version ")


@pytest.mark.e2e
@pytest.mark.parametrize("workers", [[], ["--workers", "1"]])
def test_no_file_of_the_store_is_a_standard_stream(tmp_path: Path, workers: list[str]) -> None:
    """A server that was started with closed descriptors has none of its files in their places, and ends well."""
    new_log(tmp_path / "log")

    port = free_port()
    words = ["serve", str(tmp_path / "log"), "--listen", f"127.0.0.1:{port}", *workers]
    closed = ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash"]
    server = subprocess.Popen([*closed, sys.executable, "-m", "tlog", *words])
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and server.poll() is None:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            time.sleep(0.05)
        pids = [server.pid, *processes(server.pid, "sequencer"), *processes(server.pid, "front")]
        for pid in pids:
            for number in range(3):
                assert os.readlink(f"/proc/{pid}/fd/{number}") == os.devnull
        server.terminate()
        assert server.wait(60) == 0
    finally:
        server.kill()
        server.wait()


@pytest.mark.e2e
def test_a_reader_that_goes_away() -> None:
    """`tlog --help | true` says nothing and does not end with the code of a lie."""
    command = f'"{sys.executable}" -m tlog --help; echo $? >&2'
    done = subprocess.run(
        ["bash", "-c", f"({command}) | true"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr.strip() in (
        "141",
        "0",
    )  # 0 when all of it was written before the reader left


def test_a_closed_pipe_is_not_a_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    """click ends with 1 when standard output is closed; that is not what 1 means here."""
    failing(BrokenPipeError(32, "Broken pipe"), monkeypatch)
    stdout, stderr = sys.stdout, sys.stderr
    try:
        assert main(["fail"]) == 141
    finally:
        sys.stdout, sys.stderr = stdout, stderr


@pytest.mark.e2e
def test_help_needs_no_server_packages() -> None:
    """A client's installation has no lmdb: the command line starts without it, checks proofs, and says what is missing."""
    script = (
        "import sys; sys.modules.update(dict.fromkeys(('lmdb', 'msgpack', 'uvloop', 'sklearn')))\n"
        "from tlog.cli import main\n"
        "import tlog.cli.remote, tlog.verdicts\n"
        "sys.exit(main(sys.argv[1:]))"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script, *arguments],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    assert run("--help").returncode == 0
    done = run("init", "x", "--origin", "log.example.com")
    assert done.returncode == 2
    assert "pip install 'tlog[server]'" in done.stderr


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        (":0", "0.0.0.0", 0),
        ("[::1]:65535", "::1", 65535),
        ("localhost:1", "localhost", 1),
    ],
)
def test_listen(text: str, host: str, port: int) -> None:
    """Addresses that are understood."""
    assert serve.parse_listen(text) == (host, port)


@pytest.mark.parametrize("text", ["8080", "x:", "x:65536", "x:-1", "::1:80", "[::1]", "a b:1", ""])
def test_bad_listen(call: Call, text: str) -> None:
    """And those that are not, before anything is opened."""
    answer = call("serve", "nowhere", "--listen", text)

    assert answer.code == 2
    assert "--listen" in answer.err
