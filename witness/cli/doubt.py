"""cosign and resume: what an operator does by hand, by file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlog.errors import InvalidInput
from witness.cli.admin import DIRECTORY

if TYPE_CHECKING:
    from witness.cosigner import Answer


@click.command()
@DIRECTORY
@click.argument("request_file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="File to write the cosignature to; must not exist.",
)
def cosign(directory: Path, request_file: Path, output: Path) -> int:
    """Cosign one checkpoint by file, on a machine without a network.

    REQUEST_FILE holds what a log would send to /add-checkpoint: old size, consistency proof, checkpoint. It goes through the
    same store and the same decision as over HTTP, and FILE gets what a log would be answered: signature lines, to be
    appended to the checkpoint. When the old size is not that of the newest cosigned checkpoint, that size is printed.

    \b
    Exit code 0: cosigned.
    Exit code 1: the log contradicts what was cosigned of it; nothing was signed.
    Exit code 2: the request is malformed.
    Exit code 3: another size was cosigned last, or the log is unknown, not the signer, or frozen.
    Exit code 4: the log is on hold, or the clock is wrong.

    \b
    Example:
      witness cosign ./w1 request.txt -o cosignature.txt
    """
    from tlog.core.add_checkpoint import parse_request
    from witness.witness import Witness

    request = parse_request(request_file.read_bytes())
    # Before anything is signed: a cosignature that cannot be written down is stored, and lost.
    with output.open("xb") as file:
        try:
            witness = Witness(directory)
            try:
                (answer,) = witness.cosigner.cosign([request])
            finally:
                witness.close()
            code, lines = _told(answer)
            file.write(lines)
        except BaseException:
            output.unlink()
            raise
    if code:
        output.unlink()
    return code


def _told(answer: Answer) -> tuple[int, bytes]:
    from witness import state
    from witness.cosigner import Cosigned

    if isinstance(answer, Cosigned):
        return 0, answer.lines
    if isinstance(answer, state.Conflict):
        click.echo(str(answer.size))
        click.echo("witness: the newest cosigned checkpoint has that size", err=True)
        return 3, b""
    click.echo(f"witness: {answer.detail}", err=True)
    return EXIT_CODES[answer.kind], b""


EXIT_CODES = {
    "wrong-root": 1,
    "inconsistent": 1,
    "malformed": 2,
    "old-too-large": 2,
    "unknown-log": 3,
    "untrusted": 3,
    "frozen": 3,
    "held": 4,
    "clock": 4,
}


@click.command()
@DIRECTORY
@click.argument("origin")
@click.option(
    "--note",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A checkpoint with a cosignature of this witness; the newest counts. May be given several times.",
)
@click.option("--fetch", is_flag=True, help="Take what the log and the peers publish now as well.")
@click.option(
    "--as-stored",
    is_flag=True,
    help="Say that nothing newer than what is stored was ever cosigned.",
)
def resume(
    directory: Path, origin: str, files: tuple[Path, ...], fetch: bool, as_stored: bool
) -> None:
    """Cosign the log ORIGIN again, after its stored state was in doubt.

    A witness whose store was restored from a backup has forgotten what it signed since, and holds every log until you say
    from where to go on: from the newest checkpoint that carries a cosignature of this witness. Ask the log, those who
    rely on it, and other witnesses for it. What you give is verified; that there is nothing newer, only you can know.
    Going on from an older one can make this witness sign two histories. May run beside the server.

    \b
    Examples:
      witness resume ./w1 log.example.com --fetch
      witness resume ./w1 log.example.com --note newest.note
    """
    import asyncio
    import os

    from witness import config
    from witness.doubt import resume as resume_log
    from witness.keys import load_keys
    from witness.lookout import published
    from witness.setup import beside

    settings = config.load(directory, os.environ)
    ours = load_keys(directory, settings.name).verifiers()
    notes = [file.read_bytes() for file in files]
    with beside(directory) as store:
        if fetch:
            found = asyncio.run(published(store, origin, settings.peers, settings.check_timeout))
            notes += found
            click.echo(f"{len(found)} checkpoints fetched", err=True)
            if not found and not files:
                raise InvalidInput(
                    "nothing-published", "neither the log nor a peer publishes a checkpoint"
                )
        latest = resume_log(store, origin, ours, notes=notes, as_stored=as_stored)
    size = "never cosigned" if latest is None else f"size {latest.size}"
    click.echo(f"{origin}: cosigning goes on from {size}")


COMMANDS = (cosign, resume)
