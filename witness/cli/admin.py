"""init, vkey, add-log, list-logs: commands that set a witness up. Logs can be added beside a running server."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlog.errors import InvalidInput

if TYPE_CHECKING:
    from witness.logbook import Entry

DIRECTORY = click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
DEFAULT_URL = "http://127.0.0.1:7380"


@click.command()
@DIRECTORY
@click.option(
    "--name", required=True, help="Name of the witness for ever: a URL without its scheme."
)
def init(directory: Path, name: str) -> None:
    """Create a witness in DIR: two keys, settings, store. Never overwrites anything.

    Prints both vkeys: that of the witness, and that of what it audited in full. Give them to everyone who will rely on
    this witness, and the lines for their policy files to those who run logs.

    \b
    Example:
      witness init ./w1 --name witness.example.org/w1 > vkeys
    """
    from witness.setup import init_witness

    keys = init_witness(directory, name, int(time.time()))
    click.echo(keys.cosigner.vkey)
    click.echo(keys.audited.vkey)
    click.echo(
        f"\nThe witness {name} is in {directory}. The lines above are its vkeys: publish them.\n"
        f"Keep {directory}/*.key secret; leave the guard out of backups.\n\n"
        f"For the policy file of a log (C2SP tlog-policy), with this witness's address:\n\n"
        + policy_lines(keys.cosigner.vkey, DEFAULT_URL)
        + f"\nNext: witness add-log {directory} --url URL --vkey VKEY",
        err=True,
    )


def policy_lines(vkey: str, url: str) -> str:
    """The lines of a policy file that ask for this witness: C2SP tlog-policy."""
    name = vkey.partition("+")[0]
    return f"witness {name} {vkey} {url}\nquorum {name}\n"


@click.command()
@DIRECTORY
@click.option("--policy", is_flag=True, help="Print lines for a log's policy file instead.")
@click.option(
    "--url",
    default=DEFAULT_URL,
    show_default=True,
    help="Address at which the log reaches this witness, for --policy.",
)
def vkey(directory: Path, policy: bool, url: str) -> None:
    """Print the vkeys of the witness in DIR: its own, and that of what it audited in full.

    \b
    Examples:
      witness vkey ./w1
      witness vkey ./w1 --policy --url https://witness.example.org > policy.txt
    """
    import os

    from witness import config
    from witness.keys import load_keys

    keys = load_keys(directory, config.load(directory, os.environ).name)
    if policy:
        click.echo(policy_lines(keys.cosigner.vkey, config.check_url(url)), nl=False)
    else:
        click.echo(f"{keys.cosigner.vkey}\n{keys.audited.vkey}")


@click.command("add-log")
@DIRECTORY
@click.option(
    "--url", default="", help="Where the log can be read: the prefix above `/checkpoint`."
)
@click.option("--vkey", "key", help="Public key of the log.")
@click.option("--origin", help="Origin line of its checkpoints, if it is not the key's name.")
@click.option(
    "--list",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A list of logs in the format logs/v0 instead.",
)
def add_log(
    directory: Path, url: str, key: str | None, origin: str | None, file: Path | None
) -> None:
    """Cosign another log, or trust another key of one; beside a running server too, which knows it at once.

    Nothing is ever removed, and no key replaced; a log that has moved gets its new URL. A log with a URL is also looked at for
    cosignatures of this witness that its store does not know.

    \b
    Examples:
      witness add-log ./w1 --url https://log.example.com --vkey log.example.com+8a1c…
      witness add-log ./w1 --list log-list.txt
    """
    from witness.logbook import add_logs
    from witness.setup import beside

    entries = _entries(url, key, origin, file)
    with beside(directory) as store:
        added = add_logs(store, entries, int(time.time()))
    click.echo(
        f"{added.logs} logs added, {added.keys} keys added to logs that were known, of {len(entries)}"
    )
    for name in added.moved:
        click.echo(
            f"{name} is read at the new address; a witness that runs audits it there after its next start"
        )


def _entries(url: str, key: str | None, origin: str | None, file: Path | None) -> list[Entry]:
    from witness.config import check_url
    from witness.logbook import entry, parse_list

    if (file is None) == (key is None) or (file is not None and (url or origin)):
        raise InvalidInput("usage", "add-log wants either --vkey, with --url, or --list")
    if file is not None:
        return parse_list(file.read_bytes())
    return [entry(key or "", origin=origin, url=check_url(url) if url else "")]


@click.command("list-logs")
@DIRECTORY
def list_logs(directory: Path) -> None:
    """List the logs that are cosigned: origin, newest cosigned size, state, URL; below each its keys.

    \b
    Example:
      witness list-logs ./w1
    """
    from witness.logbook import listing
    from witness.setup import beside

    with beside(directory) as store:
        for one in listing(store):
            size = "-" if one.latest is None else str(one.latest.size)
            click.echo("  ".join((one.log.origin, size, one.state, one.log.url)).rstrip())
            for text in one.log.vkeys:
                click.echo(f"    {text}")


COMMANDS = (init, vkey, add_log, list_logs)
