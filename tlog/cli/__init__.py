"""The command line. One file per command group; each command parses, makes one call, prints, and sets the exit code.

Exit codes: 0 done or verified; 1 a lie was found, or the store contradicts itself; 2 wrong usage or input; 3 refused;
4 not now, try again later; 5 a fork proof holds, the log lied; 70 a fault of the program or of the writer;
130 interrupted; 141 the reader of a pipe went away.
Results go to standard output, everything for human eyes only to standard error; an error is one line.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable

import click

from tlog import __version__
from tlog.cli import admin, proof, serve, verify
from tlog.cli.demo import demo as demo_command
from tlog.errors import (
    CorruptStore,
    InvalidInput,
    Refused,
    TlogError,
    Unavailable,
    VerificationError,
)

FAULT = 70
INTERRUPTED = 130
PIPE_CLOSED = 141

_CODES = {VerificationError: 1, CorruptStore: 1, InvalidInput: 2, Refused: 3, Unavailable: 4}
# What the client alone does not install.
_SERVER_PACKAGES = (
    *("lmdb", "msgpack", "prometheus_client", "tomli", "uvloop"),
    *("rfc3161_client", "rfc3161ng"),
)
# Errors of the SDK that are of no family above: they are told by their kind, so that it is not imported for them.
_CODES_BY_KIND = {"log-key-changed": 1, "bad-answer": 2, "state-unusable": 2}


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
      tlog proof verify proof.json --vkey VKEY      checks one proof, offline

    `tlog demo` shows all of it in a minute.

    \b
    Exit codes: 0 done or verified, 1 a lie was found, 2 wrong usage or input, 3 refused,
    4 try again later, 5 a fork proof holds, 70 a fault of the program.
    """


for command in (*admin.COMMANDS, serve.serve, verify.verify, proof.proof, demo_command):
    cli.add_command(command)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return guarded(lambda: cli.main(args=argv, prog_name="tlog", standalone_mode=False))


def guarded(run: Callable[[], object]) -> int:
    """Run a command; its exit code, or that of what it raised, which is then said in one line."""
    _open_standard_streams()
    try:
        code = run()
    except click.exceptions.Abort:
        return _say("interrupted", INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return 2
    except TlogError as error:
        return _say(f"tlog: {error.detail}", exit_code(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return _say(f"tlog: {where}{error.strerror or error}", 4 if full else 2)
    except SystemExit:
        # What click makes of a closed pipe; its own code for it is 1, which here means a lie.
        return PIPE_CLOSED
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name in _SERVER_PACKAGES:
            return _say(f"tlog: {error.name} is not installed: pip install 'tlog[server]'", 2)
        traceback.print_exc()
        return _say("tlog: this is a fault of the program, not of what it was given", FAULT)
    return code if isinstance(code, int) else 0


def exit_code(error: TlogError) -> int:
    """The exit code that stands for an error."""
    by_kind = _CODES_BY_KIND.get(error.kind, FAULT)
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), by_kind)


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


if __name__ == "__main__":
    sys.exit(main())
