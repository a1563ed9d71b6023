"""demo: the whole story in one command, with a real server, a real classifier and real cases."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import click

from tlog.errors import InvalidInput


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    help="Empty or new directory to work in, and to keep. Default: a temporary one.",
)
@click.option("--port", default=0, show_default="a free one", type=click.IntRange(0, 65535))
@click.option("--keep", is_flag=True, help="Keep the temporary directory with the log in it.")
def demo(directory: Path | None, port: int, keep: bool) -> None:
    """Show the whole story in a minute: from an event to a checked proof, and one byte that gives itself away.

    A log is created and served by a process of its own. A classifier is trained on scikit-learn's bundled
    breast-cancer data and decides several hundred cases; every decision, review and outcome is recorded over HTTP.
    Then every proof is checked offline, the stream is verified, one stored byte is changed in a copy of the store,
    and the check has to name the entry that lies.

    A small folder with a receipt, a proof and the vkey is left behind, so that the check can be repeated with the
    commands that are printed at the end. Needs scikit-learn: pip install 'tlog[server,demo]'.

    \b
    Exit code 0: every proof verified and the change was found. Any other: not so.

    \b
    Examples:
      tlog demo
      tlog demo --dir demo-log
    """
    if find_spec("sklearn") is None:
        raise InvalidInput(
            "no-scikit-learn",
            "the demo trains a real classifier with scikit-learn, which is not installed: "
            "pip install 'tlog[server,demo]', or `make demo` in a checkout",
        )
    from tlog.cli.demo.story import BULKY, Story

    with ExitStack() as stack:
        if directory is None:
            home = Path(tempfile.mkdtemp(prefix="tlog-demo-"))
        else:
            home = directory
            home.mkdir(parents=True, exist_ok=True)
            if any(home.iterdir()):
                raise InvalidInput("usage", f"{home} is not empty; the demo wants a new directory")
        kept = keep or directory is not None
        if not kept:
            # The evidence stays, for the commands at the end; the logs are several megabytes.
            for name in BULKY:
                stack.callback(shutil.rmtree, home / name, ignore_errors=True)
        try:
            Story(home, port, kept=kept).tell()
        except KeyboardInterrupt:
            if not kept:
                stack.callback(shutil.rmtree, home, ignore_errors=True)
            raise
