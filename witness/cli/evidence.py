"""evidence list|show|export|resolve and monitor: what is held against logs, and watching them without a key."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from witness.cli.admin import DIRECTORY

if TYPE_CHECKING:
    from witness.evidence import EvidenceRow


@click.group()
def evidence() -> None:
    """What shows that a log lied: look at it, hand it on, decide.

    \b
    Example:
      witness evidence list ./w1
    """


@evidence.command("list")
@DIRECTORY
def list_all(directory: Path) -> int:
    """List the evidence in DIR, oldest first: id, kind, log, when it was found, whether it is resolved.

    \b
    Exit code 0: none that is unresolved.
    Exit code 1: some is: a log lied, or withholds what it signed.

    \b
    Example:
      witness evidence list ./w1
    """
    from witness.evidence import EvidenceStore
    from witness.setup import beside

    with beside(directory) as store:
        rows = EvidenceStore(store).all()
    for row in rows:
        state = "resolved" if row.resolved else "open"
        click.echo(f"{row.id[:16]}  {row.kind:8}  {state:8}  {_when(row.found)}  {row.log}")
    return 1 if any(not row.resolved for row in rows) else 0


@evidence.command()
@DIRECTORY
@click.argument("id", metavar="ID")
def show(directory: Path, id: str) -> None:
    """Say in plain words what a piece of evidence shows. ID: the first eight of its digits, or more.

    \b
    Example:
      witness evidence show ./w1 5f2d8c1e
    """
    row = _get(directory, id)
    click.echo(f"{row.kind} {row.id}\nlog {row.log}\nfound {_when(row.found)}, from {row.source}")
    for line in row.summary:
        click.echo(f"  {line}")
    if row.resolved:
        click.echo(f"resolved {_when(row.resolved)}: {row.decision}")


@evidence.command()
@DIRECTORY
@click.argument("id", metavar="ID")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; without it, standard output. Never overwrites.",
)
def export(directory: Path, id: str, output: Path | None) -> None:
    """Write a document byte for byte. A fork proof proves itself to anybody who has the log's vkey.

    \b
    Example:
      witness evidence export ./w1 5f2d8c1e -o fork.json
      tlog proof verify fork.json --vkey VKEY
    """
    row = _get(directory, id)
    if output is None:
        click.echo(row.document, nl=False)
        return
    with output.open("xb") as file:
        file.write(row.document)


@evidence.command()
@DIRECTORY
@click.argument("origin", metavar="ORIGIN")
@click.option("--reason", required=True, help="Why: it is kept with the evidence, and shown.")
def resolve(directory: Path, origin: str, reason: str) -> None:
    """Cosign the log ORIGIN again, root and streams, in spite of the evidence; beside a running server too.

    The evidence stays, and says that it was resolved. The heads that it names freeze nothing any more; another head
    of the losing history does. Ask first what happened: a log that signed two histories may do so again.

    \b
    Example:
      witness evidence resolve ./w1 log.example.com --reason "restored from a backup, see ticket 4711"
    """
    from witness.evidence import EvidenceStore
    from witness.setup import beside

    with beside(directory) as store:
        rows = EvidenceStore(store).resolve(origin, reason)
    click.echo(f"{origin} is cosigned again; resolved: {len(rows)}")


@click.command()
@DIRECTORY
@click.option("--init", "name", metavar="NAME", help="First create DIR for a monitor of that name.")
@click.option(
    "--listen",
    default="127.0.0.1:7381",
    show_default=True,
    metavar="HOST:PORT",
    help="Address; without HOST every IPv4 address of the machine. Port 0: a free one, which is printed.",
)
def monitor(directory: Path, name: str | None, listen: str) -> int:
    """Watch logs without a key: follow them, gossip with peers, keep and serve evidence. For anybody.

    With --init it makes DIR and ends. Logs are added by `witness add-log`, peers in DIR/witness.toml.

    \b
    Exit code 70: a write failed, as on a full disk, and the process ended at once.

    \b
    Examples:
      witness monitor ./monitor --init monitor.example.org/m1
      witness add-log ./monitor --url https://log.example.com --vkey VKEY
      witness monitor ./monitor
    """
    from witness.cli.serve import parse_listen
    from witness.monitor import init_monitor
    from witness.monitor import monitor as run

    if name is not None:
        init_monitor(directory, name)
        click.echo(f"Next: witness add-log {directory} --url URL --vkey VKEY", err=True)
        return 0
    return run(directory, *parse_listen(listen))


def _get(directory: Path, identifier: str) -> EvidenceRow:
    from witness.evidence import EvidenceStore
    from witness.setup import beside

    with beside(directory) as store:
        return EvidenceStore(store).get(identifier)


def _when(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


COMMANDS = (evidence, monitor)
