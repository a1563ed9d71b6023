"""serve: run the witness."""

from __future__ import annotations

import re
from pathlib import Path

import click

from tlog.errors import InvalidInput
from witness.cli.admin import DIRECTORY

_listen = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]\s]*)):([0-9]{1,5})").fullmatch


@click.command()
@DIRECTORY
@click.option(
    "--listen",
    default="127.0.0.1:7380",
    show_default=True,
    metavar="HOST:PORT",
    help="Address; without HOST every IPv4 address of the machine. Port 0: a free one, which is printed.",
)
def serve(directory: Path, listen: str) -> int:
    """Serve the witness in DIR until SIGTERM or Ctrl-C. Refuses a DIR that was not initialised.

    Put TLS in front of it. Nothing is cosigned of a log whose stored state turns out to be older than what this
    witness signed, as after a restored backup: see `witness resume`.

    \b
    Exit code 0:  stopped as asked.
    Exit code 1:  the store contradicts itself.
    Exit code 3:  another process signs from this DIR.
    Exit code 70: the writer failed and the process ended at once. No cosignature left that is not stored, and the
                  next start finds out what else was written.

    \b
    Examples:
      witness serve ./w1
      witness serve ./w1 --listen 0.0.0.0:7380
    """
    from witness.server import serve as run

    host, port = parse_listen(listen)
    return run(directory, host, port)


def parse_listen(text: str) -> tuple[str, int]:
    """HOST:PORT, [IPv6]:PORT or :PORT as host and port. Raises: InvalidInput (usage)."""
    match = _listen(text)
    if match is None or int(match[3]) > 65535:
        raise InvalidInput("usage", f"--listen wants HOST:PORT, not {text!r}")
    return match[1] or match[2] or "0.0.0.0", int(match[3])
