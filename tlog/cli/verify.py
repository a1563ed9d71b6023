"""verify: re-derive a log from its stored bytes, or ask a server to, and say where the first lie is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tlog.fsck import Failure, Report
from tlog.fsck import Progress as OnProgress


@contextmanager
def progress_bar(title: str) -> Iterator[OnProgress]:
    """A progress bar on standard error; silent where that is not a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task(title, total=None)

        def update(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield update


@click.command()
@click.argument("source", metavar="DIR|URL")
@click.option("--stream", "stream_id", help="Only this stream.")
@click.option("--api-key", envvar="TLOG_API_KEY", help="For a URL; or $TLOG_API_KEY.")
@click.option(
    "--vkey", envvar="TLOG_VKEY", help="The log's vkey, to check heads against; or $TLOG_VKEY."
)
def verify(source: str, stream_id: str | None, api_key: str | None, vkey: str | None) -> int:
    """Verify the log in DIR, or a stream of the server at URL.

    For a DIR everything is read and recomputed: entries, chain, trees, tiles, heads, published notes, and
    payloads against their commitments. The server need not be stopped. For a URL the server does the
    reading; the head that it reports is checked against its signature.

    Exit code 0: verified. Exit code 1: a lie was found; the first sequence at which it lies is printed.
    """
    if source.startswith(("http://", "https://")):
        from tlog.cli.remote import verify_url

        return verify_url(source, stream_id, api_key, vkey)
    return verify_directory(Path(source), stream_id)


def verify_directory(directory: Path, stream_id: str | None) -> int:
    """Verify every stream of a directory, or one, and print a line each."""
    from tlog.inspection import Inspection

    failures: list[tuple[str, Failure]] = []
    with Inspection.open(directory, os.environ) as inspection:
        streams = [stream_id] if stream_id is not None else inspection.streams()
        for name in streams:
            with progress_bar(name) as update:
                report = inspection.verify(name, update)
            click.echo(line_of(name, report))
            failures += [(name, failure) for failure in report.failures]
        if stream_id is None:
            with progress_bar("root log") as update:
                found = inspection.verify_root(update)
            click.echo(
                f"root log: {'verified' if not found else 'LIES'}, {inspection.root_size} heads"
            )
            failures += [("root log", failure) for failure in found]
    for name, failure in failures:
        click.echo(f"  {name} at sequence {failure.sequence}: {failure.check}: {failure.detail}")
    return 1 if failures else 0


def line_of(name: str, report: Report) -> str:
    """One line on one stream."""
    if report.verified:
        withheld = f", {report.withheld} payloads withheld" if report.withheld else ""
        return f"{name}: verified, {report.checked_count} entries{withheld}"
    return f"{name}: LIES, first at sequence {report.first_failure_sequence}"
