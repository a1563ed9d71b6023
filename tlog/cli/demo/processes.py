"""The demo's processes: commands and servers, run as a user would run them."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tlog.errors import TlogError

_PACKAGE = Path(__file__).resolve().parents[3]
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
# Below the ports that systems give to outgoing connections, so that none of those takes one before its server does.
_PORTS = range(20_000, 32_000)
_serving = re.compile(r"http://\S+?:\d+").findall
# Whose settings in this process's environment are those of another log or witness.
_OTHERS = ("TLOG_", "WITNESS_")


class DemoError(TlogError):
    """The demo did not show what it has to show."""

    def __init__(self, detail: str) -> None:
        super().__init__("demo-failed", detail)


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without what configures another log, able to import this very package; and `settings`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
    paths = [str(_PACKAGE), *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), **settings}


def run(
    *arguments: str | Path,
    expect: int = 0,
    program: Sequence[str] = (sys.executable,),
    settings: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run `python ARGUMENTS`, or another program; its standard output. Raises: DemoError for another exit code."""
    done = subprocess.run(
        [*program, *map(str, arguments)],
        env=environment(**(settings or {})),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != expect:
        raise DemoError(
            f"{' '.join(map(str, arguments))} ended with {done.returncode}, not {expect}:\n"
            f"{done.stdout}{done.stderr}".rstrip()
        )
    return done.stdout


def tlog(*arguments: str | Path, expect: int = 0) -> str:
    """Run a command of tlog; as `run`."""
    return run("-m", "tlog", *arguments, expect=expect)


def free_ports() -> Iterator[int]:
    """Ports of 127.0.0.1 at which nobody listened when they were asked for, each another one."""
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port


class Process:
    """`python -m WORDS`, a server that prints where it answers. `ready` waits for that, `stop` ends it."""

    def __init__(self, words: Sequence[str], output: Path, **settings: str) -> None:
        """What it says on standard error goes to the file `output`."""
        self._name = " ".join(words[:2])
        self._output = output
        with output.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *words],
                env=environment(**settings),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.url = ""

    def ready(self) -> None:
        """Wait until it answers. Raises: DemoError when it does not start."""
        # Reading ends when the server speaks, when it ends, or when its time is over.
        watch = threading.Timer(_START_SECONDS, self._process.kill)
        watch.daemon = True
        watch.start()
        try:
            line = "" if self._process.stdout is None else self._process.stdout.readline()
        except BaseException:
            self.stop()
            raise
        finally:
            watch.cancel()
        found = _serving(line)
        if not found:
            self.stop()
            raise DemoError(f"{self._name} did not start:\n{self._output.read_text()}".rstrip())
        self.url = found[0]

    def refused(self) -> tuple[int, str]:
        """Of a server that must not start: its exit code and last words. Raises: DemoError if it does start."""
        try:
            self.ready()
        except DemoError:
            return self._process.returncode, self._output.read_text().rstrip().rpartition("\n")[2]
        raise DemoError(f"{self._name} started, and must not")

    def ask_to_stop(self) -> None:
        """End it as an operator does, without waiting."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """End it as an operator does, and wait."""
        process = self._process
        self.ask_to_stop()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


class Server(Process):
    """`tlog serve`, started. Raises: DemoError when it does not start."""

    def __init__(self, directory: Path, port: int, log_file: Path) -> None:
        words = ["tlog", "serve", str(directory), "--listen", f"127.0.0.1:{port}"]
        super().__init__(words, log_file)
        self.ready()


class Processes:
    """Servers that end together at the end of a `with` block."""

    def __init__(self) -> None:
        self._all: list[Process] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(*self._all)

    def start(self, words: Sequence[str], output: Path, **settings: str) -> Process:
        """Start one; as `Process`."""
        process = Process(words, output, **settings)
        self._all.append(process)
        return process

    def stop(self, *processes: Process) -> None:
        """End some of them, all at once."""
        for process in processes:
            process.ask_to_stop()
        for process in processes:
            process.stop()
