"""The README is true of the witness: every route, setting, command and option in it exists, and none is missing."""

from __future__ import annotations

import re

import click
import msgspec
import pytest

from tests.test_documented import README, commands, words
from witness.api.routes import ROUTES
from witness.cli import cli
from witness.config import SETTINGS, Config

COMMANDS = commands(cli, "witness")


def rows(title: str) -> list[list[str]]:
    """The cells of the one table below `### title`, without its head and rule."""
    found = re.search(rf"^### {title}$(.*?)(?=^##)", README, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no section {title}"
    lines = [line for line in found[1].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def test_routes_are_those_of_the_table() -> None:
    """Method, path and what for: both ways."""
    shown = {(row[0], words(row[1])[0], row[2]) for row in rows("Witness routes")}
    assert shown == {(route.method, route.path, route.summary) for route in ROUTES}


def test_settings_are_those_of_the_config() -> None:
    """Name and default: both ways."""
    defaults = msgspec.to_builtins(Config(""))
    shown = {words(row[0])[0]: (words(row[1]) or [""])[0] for row in rows("Witness settings")}
    assert shown == {
        name: str(list(value) if isinstance(value, tuple) else value)
        for name, value in ((name, defaults[name]) for name in SETTINGS)
    }


def test_commands_are_those_of_the_tree() -> None:
    """Path, arguments and options: both ways."""
    shown = {words(row[0])[0]: set(words(row[1])) for row in rows("Witness commands")}
    assert shown == COMMANDS


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_teaches(command: str) -> None:
    """Every command says what it does, explains every option, and shows an example of itself."""
    name = [word for word in command.split() if word.islower()]
    found: click.Command = cli
    for word in name[1:]:
        assert isinstance(found, click.Group)
        found = found.commands[word]
    assert re.search(rf"Examples?:\n(.*\n)*  .*{' '.join(name)}\b", found.help or ""), found.help
    for parameter in found.params:
        if isinstance(parameter, click.Option):
            assert parameter.help or parameter.show_default, f"{command} {parameter.opts}"
