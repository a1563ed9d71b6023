"""serve: run the log."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import click

from tlog.cli.admin import DIRECTORY
from tlog.errors import InvalidInput

_listen = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]\s]*)):([0-9]{1,5})").fullmatch


@click.command()
@DIRECTORY
@click.option(
    "--listen",
    default="127.0.0.1:8080",
    show_default=True,
    metavar="HOST:PORT",
    help="Address; without HOST every IPv4 address of the machine. Port 0: a free one, which is printed.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Take requests in N processes, and commit in one more. Default: one process for all.",
)
def serve(directory: Path, listen: str, workers: int | None) -> int:
    """Serve the log in DIR until SIGTERM or Ctrl-C. Refuses a DIR that was not initialised.

    With --workers, N front ends check, seal and answer events and serve reads; one process commits and signs. Use it
    where one core is not enough. A process that dies is started again; nothing that was acknowledged is lost.

    Put TLS in front of it. At start the stored state is explained or refused: a store that is older than the
    guard remembers, such as a restored backup, is not signed from, because that would fork the log.

    \b
    Exit code 0:  stopped as asked.
    Exit code 1:  the store contradicts itself or the guard; nothing was signed.
    Exit code 3:  another process serves this DIR.
    Exit code 70: the writer failed and the process ended at once. What was acknowledged is safe, and the
                  next start finds out what else was written.

    \b
    Examples:
      tlog serve ./log
      tlog serve ./log --listen 0.0.0.0:8080
      tlog serve ./log --workers 2
      TLOG_PUBLISH_INTERVAL=0.2 tlog serve ./log --listen '[::1]:0'
    """
    host, port = parse_listen(listen)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if workers is not None:
        from tlog.workers.supervisor import supervise

        return supervise(directory, host, port, workers)
    from tlog.server import serve as run

    return run(directory, host, port)


def parse_listen(text: str) -> tuple[str, int]:
    """HOST:PORT, [IPv6]:PORT or :PORT as host and port. Raises: InvalidInput (usage)."""
    match = _listen(text)
    if match is None or int(match[3]) > 65535:
        raise InvalidInput("usage", f"--listen wants HOST:PORT, not {text!r}")
    return match[1] or match[2] or "0.0.0.0", int(match[3])
