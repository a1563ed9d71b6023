"""init, tenant, key, stream: commands that set a log up. Tenants and keys can be changed beside a running server."""

from __future__ import annotations

import time
from pathlib import Path

import click

from tlog.tokens import ApiKey

DIRECTORY = click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
SCOPES = ("ingest", "read", "admin", "stream:create")


@click.command()
@DIRECTORY
@click.option("--origin", required=True, help="Name of the log for ever: a URL without its scheme.")
def init(directory: Path, origin: str) -> None:
    """Create a log in DIR: signing key, settings, store. Never overwrites anything.

    Prints the vkey. Give it to everyone who will verify, by a way that this server does not control.
    """
    from tlog.log import init_log

    vkey = init_log(directory, origin)
    click.echo(vkey)
    click.echo(
        f"\nThe log {origin} is in {directory}. The line above is its vkey: publish it.\n"
        f"Keep {directory}/log.key and vault.key secret and backed up, the guard file out of backups.\n"
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
    """Create a tenant and print its first API key (scopes ingest and read), once."""
    from tlog.accounts import Accounts

    accounts = Accounts.open(directory / "accounts")
    try:
        accounts.create_tenant(name)
        text, key = accounts.create_key(name, environment, ("ingest", "read"))
    finally:
        accounts.close()
    _show_new_key(text, key)


@click.group()
def key() -> None:
    """API keys: create, list, revoke."""


@key.command("create")
@DIRECTORY
@click.argument("tenant_name", metavar="TENANT")
@click.option("--environment", default="prod", show_default=True)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="May be given several times.",
)
@click.option("--name", default="", help="What the key is for.")
def key_create(
    directory: Path, tenant_name: str, environment: str, scopes: tuple[str, ...], name: str
) -> None:
    """Create an API key and print it, once. Only its hash is kept."""
    from tlog.accounts import Accounts

    accounts = Accounts.open(directory / "accounts")
    try:
        text, made = accounts.create_key(
            tenant_name, environment, scopes or ("ingest", "read"), name
        )
    finally:
        accounts.close()
    _show_new_key(text, made)


@key.command("list")
@DIRECTORY
def key_list(directory: Path) -> None:
    """List API keys, never their secrets."""
    from tlog.accounts import Accounts

    accounts = Accounts.open(directory / "accounts")
    try:
        keys = accounts.list_keys()
    finally:
        accounts.close()
    for one in keys:
        state = "revoked" if one.revoked_ms is not None else "active"
        scopes = ",".join(sorted(one.scopes))
        click.echo(
            f"{one.key_id}  {one.tenant}:{one.environment}  {scopes}  {state}  {one.name}".rstrip()
        )


@key.command("revoke")
@DIRECTORY
@click.argument("key_id")
def key_revoke(directory: Path, key_id: str) -> None:
    """Revoke an API key and every token made with it; a running server obeys within a second."""
    from tlog.accounts import Accounts

    accounts = Accounts.open(directory / "accounts")
    try:
        accounts.revoke_key(key_id)
    finally:
        accounts.close()
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
def stream_create(directory: Path, stream_id: str, public: bool) -> None:
    """Open the stream ID. Beside a running server, the server opens it within a second."""
    from tlog.log import declare_or_open_stream

    opened = declare_or_open_stream(
        directory, stream_id, public=public, deadline=time.monotonic() + 10
    )
    click.echo(f"{'opened' if opened else 'declared'} {stream_id}")


def _show_new_key(text: str, made: ApiKey) -> None:
    click.echo(text)
    click.echo(
        f"\nAPI key {made.key_id} of {made.tenant}:{made.environment}, "
        f"scopes {', '.join(sorted(made.scopes))}.\nIt is shown this once; only its hash is kept.",
        err=True,
    )


COMMANDS = (init, tenant, key, stream)
