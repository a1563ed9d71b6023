"""proof verify: check a proof package or receipt offline."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def proof() -> None:
    """Proofs: check them without the log."""


@proof.command("verify")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--vkey", required=True, help="The log's vkey, from a source that you trust.")
@click.option(
    "--policy",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="C2SP tlog-policy file: which witnesses must have cosigned.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
def verify(file: Path, vkey: str, policy: Path | None, as_json: bool) -> int:
    """Check FILE offline and report four verdicts: integrity, position, witnessed, time.

    Exit code 0: nothing failed. Exit code 1: at least one verdict is `fail`.
    """
    from tlog.verdicts import verify_file

    verdicts = verify_file(file.read_bytes(), vkey, None if policy is None else policy.read_bytes())
    if as_json:
        click.echo(verdicts.as_json())
    else:
        for line in verdicts.lines():
            click.echo(line)
    return 1 if verdicts.failed else 0
