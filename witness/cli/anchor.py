"""anchor now, anchor list, anchor verify: RFC 3161 timestamps over what was cosigned. Beside a running server too."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlog.errors import InvalidInput, Refused, Unavailable, VerificationError
from witness.cli.admin import DIRECTORY

if TYPE_CHECKING:
    from tlog.core.timestamp import Roots
    from witness.anchor import AnchorRow
    from witness.config import Config


@click.group()
def anchor() -> None:
    """Anchors: timestamps of other authorities over what this witness cosigned.

    \b
    Example:
      witness anchor now ./w1 && witness anchor verify ./w1
    """


@anchor.command()
@DIRECTORY
def now(directory: Path) -> None:
    """Have every log's newest cosigned root stamped by every authority now, and deliver what was not.

    \b
    Exit code 0: every one was.
    Exit code 4: some were not; what came is kept, the server tries again.

    \b
    Example:
      witness anchor now ./w1
    """
    from witness import config
    from witness.anchorer import Anchorer
    from witness.setup import beside

    settings = config.load(directory, os.environ)
    if not settings.tsa:
        raise Refused("no-authority", f"{directory}/{config.FILE} has no [[tsa]] table")

    async def once() -> list[str]:
        anchorer = Anchorer(directory, settings, store)
        try:
            return await anchorer.round(all_now=True)
        finally:
            await anchorer.close()

    with beside(directory) as store:
        failed = asyncio.run(once())
    for text in failed:
        click.echo(text, err=True)
    if failed:
        raise Unavailable("not-anchored", f"{len(failed)} of it failed")


@anchor.command("list")
@DIRECTORY
def list_anchors(directory: Path) -> None:
    """One line for each anchor: genTime, log, size, authority, and whether the log has it. Then what is missing today.

    A day without an anchor of a log by an authority is `pending` until it is over, then `missing`.

    \b
    Example:
      witness anchor list ./w1
    """
    from witness import config
    from witness.anchor import AnchorStore, days_without
    from witness.setup import beside

    settings = config.load(directory, os.environ)
    with beside(directory) as store:
        rows = AnchorStore(store).all()
        without = days_without(store, rows, settings.tsa, int(time.time() * 1000))
    for row in rows:
        state = "delivered" if row.delivered else "not delivered"
        click.echo(f"{row.gen_time}  {row.origin}  {row.size}  {row.tsa}  {state}")
    for day, origin, tsa, status in without:
        click.echo(f"{day}  {origin}  -  {tsa}  {status}")


@anchor.command()
@DIRECTORY
@click.option(
    "--roots",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="PEM file of trusted roots, for all authorities; default: those of the settings.",
)
def verify(directory: Path, roots: Path | None) -> None:
    """Verify every stored anchor again, offline: as of genTime, so that expired certificates do not matter.

    \b
    Exit code 1: some do not verify.

    \b
    Examples:
      witness anchor verify ./w1
      witness anchor verify ./w1 --roots tsa.pem
    """
    from tlog.core.timestamp import parse_roots
    from witness import config
    from witness.anchor import AnchorStore, verify_row
    from witness.setup import beside

    settings = config.load(directory, os.environ)
    given = None if roots is None else parse_roots(roots.read_bytes())
    bad = 0
    with beside(directory) as store:
        rows = AnchorStore(store).all()
        for row in rows:
            log = store.log(row.origin)
            try:
                if log is None:
                    raise VerificationError
                believed, policies = _trust(directory, settings, row, given)
                verify_row(row, log, believed, policies)
                said = "verified"
            except VerificationError:
                bad += 1
                said = "DOES NOT VERIFY"
            click.echo(f"{row.gen_time}  {row.origin}  {row.size}  {row.tsa}  {said}")
    if bad:
        raise VerificationError(f"{bad} of {len(rows)} anchors do not verify")


def _trust(
    directory: Path, settings: Config, row: AnchorRow, given: Roots | None
) -> tuple[Roots, tuple[str, ...]]:
    from witness.anchor import load_roots

    tsa = next((tsa for tsa in settings.tsa if tsa.name == row.tsa), None)
    if tsa is None and given is None:
        raise InvalidInput("config", f"no [[tsa]] table is named {row.tsa}; give --roots")
    policies = () if tsa is None else tsa.policies
    if given is not None:
        return given, policies
    return (() if tsa is None else load_roots(directory, tsa)), policies
