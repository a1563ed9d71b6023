"""The command line. One file per command group; each command parses, makes one call, prints, and sets the exit code.

Exit codes: 0 done or verified; 1 a lie was found; 2 wrong usage or input; 3 refused; 4 try again later; 70 the log failed.
"""

from __future__ import annotations

import sys

import click

from tlog import __version__
from tlog.cli import admin, demo, proof, serve, verify
from tlog.errors import (
    CorruptStore,
    InvalidInput,
    Refused,
    TlogError,
    Unavailable,
    VerificationError,
)

_CODES = {VerificationError: 1, CorruptStore: 1, InvalidInput: 2, Refused: 3, Unavailable: 4}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tlog")
def cli() -> None:
    """A transparency log for the decisions of AI systems.

    \b
    A log in five commands:
      tlog init ./log --origin log.example.com      keys, settings, store; prints the vkey
      tlog tenant create ./log acme                 prints an API key, once
      tlog serve ./log                              takes events on http://127.0.0.1:8080
      tlog verify ./log                             re-derives everything from the stored bytes
      tlog demo                                     shows all of it in a minute
    """


for command in (*admin.COMMANDS, serve.serve, verify.verify, proof.proof, demo.demo):
    cli.add_command(command)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        code = cli.main(args=argv, prog_name="tlog", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except TlogError as error:
        click.echo(f"tlog: {error.detail}", err=True)
        return next((code for kind, code in _CODES.items() if isinstance(error, kind)), 70)
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
