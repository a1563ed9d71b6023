"""What ends a server in order, and what does not, with real signals."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_SCRIPT = """
import asyncio, sys
from {package}.stopping import on_stop

async def main():
    stop = asyncio.Event()
    on_stop(asyncio.get_running_loop(), stop)
    print("ready", flush=True)
    await stop.wait()
    print("in order", flush=True)

asyncio.run(main())
"""


@contextmanager
def waiting(package: str, *before: str) -> Iterator[subprocess.Popen[str]]:
    script = _SCRIPT.format(package=package)
    with subprocess.Popen(
        [*before, sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield process
        process.kill()


@pytest.mark.parametrize("package", ["tlog", "witness"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_each_ends_it_in_order(package: str, number: signal.Signals) -> None:
    with waiting(package) as process:
        process.send_signal(number)
        assert process.communicate(timeout=30)[0] == "in order\n"
        assert process.returncode == 0


@pytest.mark.parametrize("package", ["tlog", "witness"])
def test_what_was_told_to_outlive_its_terminal_does(package: str) -> None:
    with waiting(package, "nohup") as process:
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=30)[0] == "in order\n"
