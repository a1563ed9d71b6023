"""init, tenant, key, stream: commands that set a log up. Tenants, keys and streams can be changed beside a running server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tlog.accounts import Accounts
    from tlog.tokens import ApiKey

DIRECTORY = click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
SCOPES = ("ingest", "read", "admin", "stream:create")
OPEN_SECONDS = 10.0


@click.command()
@DIRECTORY
@click.option("--origin", required=True, help="Name of the log for ever: a URL without its scheme.")
def init(directory: Path, origin: str) -> None:
    """Create a log in DIR: signing key, settings, store. Never overwrites anything.

    Prints the vkey. Give it to everyone who will verify, by a way that this server does not control: it is how
    they tell this log from another.

    \b
    Example:
      tlog init ./log --origin log.example.com > vkey
    """
    from tlog.log import init_log

    vkey = init_log(directory, origin)
    click.echo(vkey)
    click.echo(
        f"\nThe log {origin} is in {directory}. The line above is its vkey: publish it.\n"
        f"Keep {directory}/log.key and {directory}/vault.key secret and backed up; leave the guard out of backups.\n"
        f"Next: tlog tenant create {directory} NAME",
        err=True,
    )


@click.group()
def tenant() -> None:
    """Organisations that write to the log."""


@tenant.command("create")
@DIRECTORY
@click.argument("name")
@click.option(
    "--environment", default="prod", show_default=True, help="Environment of its first API key."
)
def tenant_create(directory: Path, name: str, environment: str) -> None:
    """Create the tenant NAME and print its first API key (scopes ingest and read), once.

    Names are lower-case letters, digits, '.', '_' and '-', at most 63, and are never used again. A running server
    knows the tenant within a second.

    \b
    Example:
      tlog tenant create ./log acme > acme.key
    """
    from tlog.core.ids import check_name

    # First: a tenant that is made stays made, and its name is used.
    check_name(environment, "environment")
    with _accounts(directory) as accounts:
        accounts.create_tenant(name)
        text, key = accounts.create_key(name, environment, ("ingest", "read"))
    _show_new_key(text, key)


@click.group()
def key() -> None:
    """API keys: create, list, revoke."""


@key.command("create")
@DIRECTORY
@click.argument("tenant_name", metavar="TENANT")
@click.option(
    "--environment",
    default="prod",
    show_default=True,
    help="Second part of the ids of its streams.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="May be given several times. Default: ingest and read.",
)
@click.option("--name", default="", help="What the key is for; shown by `key list`.")
def key_create(
    directory: Path, tenant_name: str, environment: str, scopes: tuple[str, ...], name: str
) -> None:
    """Create an API key of TENANT and print it, once. Only its hash is kept.

    \b
    Scopes:
      ingest          write events, and open the default stream of an agent
      read            events with payloads, proofs, verification
      stream:create   open other streams by writing to them
      admin           reserved

    \b
    Example:
      tlog key create ./log acme --scope read --name "auditor, until June" > auditor.key
    """
    with _accounts(directory) as accounts:
        text, made = accounts.create_key(
            tenant_name, environment, scopes or ("ingest", "read"), name
        )
    _show_new_key(text, made)


@key.command("list")
@DIRECTORY
def key_list(directory: Path) -> None:
    """List API keys, never their secrets: id, tenant and environment, scopes, state, day of creation, name.

    \b
    Example:
      tlog key list ./log
    """
    from tlog.core.times import format_ms

    with _accounts(directory) as accounts:
        keys = accounts.list_keys()
    for one in keys:
        state = "revoked" if one.revoked_ms is not None else "active"
        scopes = ",".join(sorted(one.scopes))
        day = format_ms(one.created_ms)[:10]
        row = (one.key_id, f"{one.tenant}:{one.environment}", scopes, state, day, one.name)
        click.echo("  ".join(row).rstrip())


@key.command("revoke")
@DIRECTORY
@click.argument("key_id")
def key_revoke(directory: Path, key_id: str) -> None:
    """Revoke the API key KEY_ID and every token made with it; a running server obeys within a second.

    KEY_ID is the ten characters that `key list` shows, not the key itself.

    \b
    Example:
      tlog key revoke ./log 5yoraa7win
    """
    with _accounts(directory) as accounts:
        accounts.revoke_key(key_id)
    click.echo(f"revoked {key_id}")


@click.group()
def stream() -> None:
    """Streams: append-only logs named tenant:environment:name."""


@stream.command("create")
@DIRECTORY
@click.argument("stream_id", metavar="ID")
@click.option(
    "--public", is_flag=True, help="Entries and name may be read by anyone; cannot be undone."
)
def stream_create(directory: Path, stream_id: str, public: bool) -> int:
    """Open the stream ID. Beside a running server, the server opens it, within a second.

    A stream that an agent writes to is opened by its first event; this is for those that shall be public, and for
    agents whose key may not open them.

    \b
    Exit code 4: a server has DIR and did not open the stream within 10 seconds. It will when it can.

    \b
    Example:
      tlog stream create ./log acme:prod:credit-decisions
    """
    from tlog.opening import declare_or_open_stream
    from tlog.server import ask_witnesses

    opened = declare_or_open_stream(
        directory,
        stream_id,
        public=public,
        deadline=time.monotonic() + OPEN_SECONDS,
        before=ask_witnesses,
    )
    click.echo(f"{'opened' if opened else 'declared, not yet open:'} {stream_id}")
    tenant_name = stream_id.partition(":")[0]
    with _accounts(directory) as accounts:
        if tenant_name not in accounts.list_tenants():
            click.echo(
                f"There is no tenant {tenant_name} yet, and nobody else may write to it.", err=True
            )
    return 0 if opened else 4


@contextmanager
def _accounts(directory: Path) -> Iterator[Accounts]:
    from tlog.accounts import Accounts

    accounts = Accounts.open(directory / "accounts")
    try:
        yield accounts
    finally:
        accounts.close()


def _show_new_key(text: str, made: ApiKey) -> None:
    click.echo(text)
    click.echo(
        f"\nAPI key {made.key_id} of {made.tenant}:{made.environment}, "
        f"scopes {', '.join(sorted(made.scopes))}.\nIt is shown this once; only its hash is kept.",
        err=True,
    )


COMMANDS = (init, tenant, key, stream)
