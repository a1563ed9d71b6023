"""The command line. Each command parses, makes one call, prints, and sets the exit code. One file per group of commands.

Exit codes: 0 done, or cosigned; 1 a lie was found, or the store contradicts itself; 2 wrong usage or input; 3 refused;
4 not now, try again later; 70 a fault of the program or of the writer; 130 interrupted; 141 the reader of a pipe went away.
Results go to standard output, everything for human eyes only to standard error; an error is one line.
"""

from __future__ import annotations

import os
import traceback

import click

from tlog.errors import (
    CorruptStore,
    InvalidInput,
    Refused,
    TlogError,
    Unavailable,
    VerificationError,
)
from witness.cli import admin, anchor, doubt, evidence, serve
from witness.version import VERSION

FAULT = 70
INTERRUPTED = 130
PIPE_CLOSED = 141

CODES = {VerificationError: 1, CorruptStore: 1, InvalidInput: 2, Refused: 3, Unavailable: 4}
# What the client alone does not install.
_PACKAGES = (
    *("lmdb", "msgpack", "prometheus_client", "pymerkle", "tomli", "uvloop"),
    *("rfc3161_client", "rfc3161ng"),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="witness")
def cli() -> None:
    """An independent witness for transparency logs: it cosigns only what extends what it has seen before.

    \b
    A witness in three commands:
      witness init ./w1 --name witness.example.org/w1                       keys, settings, store; prints the vkeys
      witness add-log ./w1 --url https://log.example.com --vkey VKEY        the logs that it cosigns
      witness serve ./w1                                                    answers on http://127.0.0.1:7380

    \b
    Exit codes: 0 done or cosigned, 1 a lie was found, 2 wrong usage or input, 3 refused,
    4 try again later, 70 a fault of the program.
    """


for command in (*admin.COMMANDS, serve.serve, *doubt.COMMANDS, *evidence.COMMANDS, anchor.anchor):
    cli.add_command(command)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    _open_standard_streams()
    try:
        code = cli.main(args=argv, prog_name="witness", standalone_mode=False)
    except click.exceptions.Abort:
        return _say("interrupted", INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return 2
    except TlogError as error:
        return _say(f"witness: {error.detail}", exit_code(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"witness: {where}{error.strerror or error}", 2)
    except SystemExit:
        # What click makes of a closed pipe; its own code for it is 1, which here means a lie.
        return PIPE_CLOSED
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name in _PACKAGES:
            return _say(f"witness: {error.name} is not installed: pip install 'tlog[witness]'", 2)
        traceback.print_exc()
        return _say("witness: this is a fault of the program, not of what it was given", FAULT)
    return code if isinstance(code, int) else 0


def exit_code(error: TlogError) -> int:
    """The exit code that stands for an error."""
    return next((code for kind, code in CODES.items() if isinstance(error, kind)), FAULT)


def _say(text: str, code: int) -> int:
    click.echo(text, err=True)
    return code


def _open_standard_streams() -> None:
    """Open descriptors 0 to 2 where whoever started us closed them.

    A file of the store would get the number otherwise, and what a library says on standard error would be written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number
