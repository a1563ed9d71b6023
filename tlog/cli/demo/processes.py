"""The demo's processes: commands and the server, run as a user would run them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tlog.errors import TlogError

_PACKAGE = Path(__file__).resolve().parents[3]
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_serving = re.compile(r"serving \S+ on (http://\S+)").match


class DemoError(TlogError):
    """The demo did not show what it has to show."""

    def __init__(self, detail: str) -> None:
        super().__init__("demo-failed", detail)


def environment() -> dict[str, str]:
    """This process's environment without what configures another log, able to import this very package."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TLOG_")}
    paths = [str(_PACKAGE), *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths)}


def run(*arguments: str | Path, expect: int = 0) -> str:
    """Run `python ARGUMENTS` and return its standard output. Raises: DemoError for another exit code."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment(),
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


class Server:
    """`tlog serve` as a process of its own. Raises: DemoError when it does not start."""

    def __init__(self, directory: Path, port: int, log_file: Path) -> None:
        command = [sys.executable, "-m", "tlog", "serve", str(directory)]
        with log_file.open("w") as errors:
            self._process = subprocess.Popen(
                [*command, "--listen", f"127.0.0.1:{port}"],
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
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
        if found is None:
            self.stop()
            raise DemoError(f"the server did not start:\n{log_file.read_text()}".rstrip())
        self.url = found[1]

    def stop(self) -> None:
        """End it as an operator does, and wait."""
        process = self._process
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout is not None:
            process.stdout.close()
