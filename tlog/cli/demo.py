"""demo."""

import click


@click.command()
def demo() -> None:
    """The whole story in one command."""
