"""verify: re-derive a log from its stored bytes, or from its tiles over HTTP, and say where the first lie is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from tlog.errors import InvalidInput

if TYPE_CHECKING:
    from tlog.fsck import Failure, Report
    from tlog.inspection import Inspection

# Below this a check is over before a bar could be read.
_LONG = 10_000


@contextmanager
def progress_bar(title: str, least: int = _LONG) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, for work of `least` steps or more; silent where that is not a terminal."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
    tasks: list[TaskID] = []

    def update(done: int, total: int) -> None:
        if total < least or not sys.stderr.isatty():
            return
        if not tasks:
            bar.start()
            tasks.append(bar.add_task(title, total=total))
        bar.update(tasks[0], completed=done, total=total)

    try:
        yield update
    finally:
        if tasks:
            bar.stop()


@click.command()
@click.argument("source", metavar="DIR|URL")
@click.option("--stream", metavar="ID|LABEL", help="Only this stream; for a DIR by its id.")
@click.option("--vkey", envvar="TLOG_VKEY", help="The log's vkey, as you know it; or $TLOG_VKEY.")
@click.option(
    "--token", envvar="TLOG_TOKEN", help="For a URL: reads private entries; or $TLOG_TOKEN."
)
@click.option("--api-key", envvar="TLOG_API_KEY", help="For a URL: gets a token; or $TLOG_API_KEY.")
@click.option("--tenant", help="For a URL: whose API key it is, where --stream does not say it.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 1024),
    help="For a DIR: so many processes at once, where there is enough to do. Default: one a core.",
)
@click.option(
    "--full", is_flag=True, help="For a URL: check again what an earlier run has checked."
)
def verify(
    source: str, stream: str | None, vkey: str | None, jobs: int | None, **options: Any
) -> int:
    """Verify the log in DIR, or the log at URL.

    For a DIR everything is read and recomputed: entries, chain, trees, tiles, heads, published notes, the guard,
    and payloads against their commitments. The server need not be stopped, and nothing is written.

    For a URL everything is checked here, from tiles and checkpoints alone: the signature, every leaf of the root log,
    every tile of every level, every head of every stream, and every entry that may be read: of public streams, and with a
    token of private ones. Nothing is believed of the server, and no stream is made. What was verified is remembered, so
    that the next run reads what is new, and notices when a history was changed; both notes are then kept as evidence.

    \b
    Exit code 0: verified.
    Exit code 1: a lie was found; it is named: log or stream, tile or sequence, rule.
    Exit code 4: the log did not answer, or a head of it could not be confirmed yet.

    \b
    Examples:
      tlog verify ./log
      tlog verify ./log --stream acme:prod:credit-decisions
      tlog verify https://log.example.com --vkey "$(cat vkey)"
      TLOG_API_KEY=$(cat auditor.key) tlog verify https://log.example.com \\
          --vkey "$(cat vkey)" --stream acme:prod:credit-decisions
    """
    if source.startswith(("http://", "https://")):
        from tlog.cli.remote import Options, verify_url

        return verify_url(source, Options(stream, vkey, **options))
    if "://" in source:
        raise InvalidInput("usage", f"{source} is neither a directory nor an http(s) URL")
    return verify_directory(Path(source), stream, vkey, jobs)


def verify_directory(
    directory: Path, stream_id: str | None, vkey: str | None, jobs: int | None = None
) -> int:
    """Verify every stream of a directory and the root log, or one stream alone, and print a line each.

    Raises: InvalidInput for a vkey that is none, which would be no other log's either; as `Inspection`.
    """
    from tlog.core.note import parse_vkey
    from tlog.inspection import Inspection

    if vkey is not None:
        parse_vkey(vkey)
    failures: list[tuple[str, Failure]] = []
    with Inspection.open(directory, os.environ) as inspection:
        if vkey is not None and vkey != inspection.vkey:
            click.echo(f"NOT THE LOG THAT YOU KNOW: its store is signed for {inspection.vkey}")
            return 1
        names = [stream_id] if stream_id is not None else inspection.streams()
        with progress_bar(stream_id or "streams") as update:
            for name, report in inspection.verify_all(names, jobs or _cores(), update):
                click.echo(line_of(name, report))
                failures += [(name, failure) for failure in report.failures]
        if stream_id is None:
            with progress_bar("root log") as update:
                found = inspection.verify_root(update)
            verdict = "LIES" if found else "verified"
            click.echo(f"root log: {verdict}, {count(inspection.root.size, 'head')}")
            failures += [("root log", failure) for failure in found]
        _print_scope(inspection, known=vkey is not None)
    for name, failure in failures:
        click.echo(f"  {name} at sequence {failure.sequence}: {failure.check}: {failure.detail}")
    return 1 if failures else 0


def _cores() -> int:
    """Cores that this process may use; all of them where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _print_scope(inspection: Inspection, *, known: bool) -> None:
    """What the verdicts rest on, for human eyes."""
    if not known:
        click.echo(
            f"The store is signed for {inspection.vkey}: compare it with the vkey that you were given.",
            err=True,
        )
    if not inspection.has_vault:
        click.echo("There is no vault key: payloads were not compared.", err=True)
    if not inspection.has_guard:
        click.echo(
            "There is no guard: whether the newest entries were cut off was not seen.", err=True
        )


def line_of(name: str, report: Report) -> str:
    """One line on one stream."""
    if report.verified:
        withheld = (
            f", {count(report.withheld, 'payload')} not at hand or erased"
            if report.withheld
            else ""
        )
        return f"{name}: verified, {count(report.checked_count, 'entry')}{withheld}"
    return f"{name}: LIES, first at sequence {report.first_failure_sequence}"


def count(number: int, noun: str) -> str:
    """`1 entry`, `2 entries`, `3 leaves`, `1,000 heads`."""
    for end, many in (("y", "ies"), ("f", "ves"), ("sh", "shes")):
        if noun.endswith(end):
            plural = noun.removesuffix(end) + many
            break
    else:
        plural = noun + "s"
    return f"{number:,} {noun if number == 1 else plural}"
