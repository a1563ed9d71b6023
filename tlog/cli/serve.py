"""serve: run the log."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from tlog.cli.admin import DIRECTORY
from tlog.errors import InvalidInput


@click.command()
@DIRECTORY
@click.option("--listen", default="127.0.0.1:8080", show_default=True, metavar="HOST:PORT")
def serve(directory: Path, listen: str) -> int:
    """Serve the log in DIR until SIGTERM. Refuses a DIR that was not initialised.

    Exit code 70: the writer failed and the process ended at once; what was acknowledged is safe, and the
    next start finds out what else was written.
    """
    from tlog.server import serve as run

    host, separator, port = listen.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65535:
        raise InvalidInput("usage", "--listen wants HOST:PORT")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    return run(directory, host.strip("[]") or "0.0.0.0", int(port))
