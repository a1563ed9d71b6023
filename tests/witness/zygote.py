"""Servers that start at once: a process that has imported everything, opened nothing, and forks one server at a time.

For tests that start many. The child runs `witness.server.serve` as `witness serve` does.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

from tests.paths import REPOSITORY

SECONDS = 60


class Zygote:
    """One such process. `spawn`, then `wait` for the end of what was spawned."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.witness.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
            bufsize=0,
        )

    def spawn(self, directory: Path, port: int, output: Path) -> int:
        """Start a server; its process id."""
        assert self._process.stdin
        self._process.stdin.write(f"{directory}\t{port}\t{output}\n".encode())
        return self._answer()

    def wait(self) -> int:
        """The exit code of the server, once it has ended."""
        return self._answer()

    def _answer(self) -> int:
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], SECONDS)
        assert ready, f"no answer within {SECONDS} s"
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it. A server that runs is not its business any more."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def main() -> None:
    """Fork a server for every line, tell its process id, and then its exit code."""
    from witness.server import serve

    for line in sys.stdin:
        directory, port, output = line.rstrip("\n").split("\t")
        process = os.fork()
        if process == 0:
            _become(directory, port, output, serve)
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(directory: str, port: str, output: str, serve):  # type: ignore[no-untyped-def]
    code = 71
    try:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number in (1, 2):
            os.dup2(file, number)
        code = serve(Path(directory), "127.0.0.1", int(port))
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
