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
    """Show the whole story in about a minute: from an event to a checked proof, and to a log that is caught lying.

    A log, two witnesses and a timestamp authority are created and served by processes of their own. A classifier is
    trained on scikit-learn's bundled breast-cancer data and decides several hundred cases; every decision, review and
    outcome is recorded over HTTP. The witnesses cosign and audit the head of it all, the authority dates it, and
    every proof is checked offline. Then one stored byte is changed in a copy of the store, and the check has to name
    the entry that lies. At last the log signs two histories, one for each witness: they have to notice, and the file
    that convicts the log has to hold.

    A small folder with proofs in every form, the fork proof, the vkeys, the policy and the timestamp is left behind,
    so that the checks can be repeated with the commands that are printed at the end.

    Needs scikit-learn and the witness: pip install 'tlog[server,witness,demo]'. Without the program openssl there is
    no timestamp, and that is said.

    \b
    Exit code 0: every proof verified, the change was found, and so was the fork. Any other: not so.

    \b
    Examples:
      tlog demo
      tlog demo --dir demo-log
    """
    _check_installed()
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


def _check_installed() -> None:
    for module, what in (
        ("sklearn", "trains a real classifier with scikit-learn"),
        ("pymerkle", "runs real witnesses, whose second opinion is pymerkle"),
    ):
        if find_spec(module) is None:
            raise InvalidInput(
                "not-installed",
                f"the demo {what}, which is not installed: "
                "pip install 'tlog[server,witness,demo]', or `make demo` in a checkout",
            )
