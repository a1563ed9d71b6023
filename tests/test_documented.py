"""The README is true: every route, setting, command, option and exit code in it exists, none is missing, and what it tells a
reader to type is typed here, as it stands there, where a reader stands: in a checkout.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import click
import msgspec
import pytest

import tlog.cli
from tests.paths import REPOSITORY
from tlog.api.routes import ROUTES
from tlog.cli import cli
from tlog.config import SETTINGS, Config
from tlog.core.cosignature import CosignatureSigner
from tlog.core.note import Signer, parse_vkey
from tlog.witnesses.policy import load_policy

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
_RUN = re.compile(r"^( *)<!-- run -->\n *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    """The text below `## title`, up to the next heading of that rank."""
    found = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no section {title}"
    return found[1]


def rows(title: str) -> list[list[str]]:
    """The cells of a section's tables, without heads and rules; an escaped bar stays inside its cell."""
    found = []
    for line in section(title).splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and not set(cells[0]) <= set("- "):
            found.append(cells)
    return found[1:]


def words(cell: str) -> list[str]:
    """What stands in back quotes."""
    return re.findall(r"`([^`]+)`", cell)


def scripts() -> list[str]:
    """The blocks that are marked to be run, in order, without the indentation of the list they may stand in."""
    return [
        "".join(line.removeprefix(indent) for line in body.splitlines(keepends=True))
        for indent, body in _RUN.findall(README)
    ]


def commands(group: click.Group, path: str = "tlog") -> dict[str, set[str]]:
    """Command with its arguments -> its long options, of the whole tree."""
    found: dict[str, set[str]] = {}
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found |= commands(command, f"{path} {name}")
            continue
        arguments, options = [], set()
        for parameter in command.params:
            if isinstance(parameter, click.Argument):
                arguments.append(parameter.metavar or str(parameter.name).upper())
            else:
                options |= {option for option in parameter.opts if option.startswith("--")}
        found[" ".join([path, name, *arguments])] = options
    return found


def test_routes_are_those_of_the_table() -> None:
    """Method, path and who may: both ways."""
    shown = {(row[0], words(row[1])[0], row[2]) for row in rows("HTTP API") if row[0] != "method"}
    assert shown == {(route.method, route.path, route.who) for route in ROUTES}


def test_settings_are_those_of_the_config() -> None:
    """Name and default: both ways."""
    defaults = msgspec.structs.asdict(Config("log.example.com"))
    shown = {words(row[0])[0]: (words(row[1]) or [""])[0] for row in rows("Settings")}
    assert shown == {name: "" if name == "origin" else str(defaults[name]) for name in SETTINGS}


def test_commands_are_those_of_the_tree() -> None:
    """Path, arguments and options: both ways."""
    shown = {words(row[0])[0]: set(words(row[1])) for row in rows("Commands")}
    assert shown == commands(cli)


def test_exit_codes_are_those_of_the_command_line() -> None:
    """The table has every code that `main` can return, and the module says the same ones."""
    shown = {int(row[0]) for row in rows("Operating") if row[0].isdigit()}
    returned = {0, *tlog.cli._CODES.values(), *tlog.cli._CODES_BY_KIND.values()}
    returned |= {tlog.cli.proof.LIED, tlog.cli.FAULT, tlog.cli.INTERRUPTED, tlog.cli.PIPE_CLOSED}
    assert shown == returned
    said = re.findall(r"\b(\d+) (?=[a-z])", (tlog.cli.__doc__ or "").partition("Results")[0])
    assert {int(code) for code in said} == shown


@pytest.mark.parametrize("command", sorted(commands(cli)))
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


def test_the_policy_that_is_shown_is_one(tmp_path: Path) -> None:
    """With keys in the place of `+<id>+<key>` the log takes it as it stands."""
    found = re.search(r"^```\n((?:#.*\n)*log .*?)^```$", section("Operating"), re.M | re.S)
    assert found
    log = Signer("log.example.com", bytes(32))
    text = found[1].replace(f"{log.name}+<id>+<key>", log.vkey)
    for name in re.findall(r" (\S+)\+<id>\+<key>", text):
        key = CosignatureSigner(name, hashlib.sha256(name.encode()).digest()).vkey
        text = text.replace(f"{name}+<id>+<key>", key)
    (tmp_path / "policy").write_text(text)
    policy = load_policy(tmp_path / "policy", parse_vkey(log.vkey))
    assert len(policy.witnesses) == 3 and policy.quorum == b"trusted"


def test_links_lead_somewhere() -> None:
    """Files that the README links to exist; so do the sections."""
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in {
                title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", README, re.M)
            }
        else:
            assert (REPOSITORY / target).exists(), target


@pytest.mark.slow
@pytest.mark.e2e
def test_what_the_reader_is_told_to_type(tmp_path: Path) -> None:
    """All marked blocks, one after the other, in one shell in a directory like a fresh checkout: every command succeeds."""
    for tool in ("bash", "curl", "openssl", "base64"):
        if shutil.which(tool) is None:
            pytest.skip(f"the README's commands need {tool}")
    assert len(scripts()) >= 8
    home = tmp_path / "home"
    home.mkdir()
    # `conformance` is read, and nothing that is typed may be in the way of the others.
    for folder in ("conformance", "tests", "tlog", "witness"):
        (home / folder).symlink_to(REPOSITORY / folder)
    text = "\n".join(scripts()).replace("127.0.0.1:8080", f"127.0.0.1:{_free_port()}")
    text = text.replace("127.0.0.1:7380", f"127.0.0.1:{_free_port()}")
    script = tmp_path / "script.sh"
    script.write_text(f"set -euo pipefail\ntrap 'kill $(jobs -p); wait' EXIT\n{text}")

    done = _bash(script, home, _environment(tmp_path))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "VERIFIED" in done.stdout
    assert "Signature Verified Successfully" in done.stdout
    _check_hashes(done.stdout)
    assert re.search(r"^acme:prod:credit-scorer: verified, 2 entries$", done.stdout, re.M)
    assert re.search(r"^acme:prod:credit-scorer: verified, 3 entries$", done.stdout, re.M)
    assert "1 checkpoint of streams signed and in the root log" in done.stdout
    assert "There is no guard" in done.stderr  # of the backup
    # In what the witness publishes, below the log's line.
    assert re.search("^\u2014 witness.example.org/w1 ", done.stdout, re.M)


def _check_hashes(output: str) -> None:
    """What sha256sum and openssl print are the hashes that the file says."""
    block = re.search(r'"block_hash": "sha256:([0-9a-f]{64})"', output)
    leaf = re.search(r'"leaf_hash": "([^"]+)"', output)
    assert block
    assert leaf
    assert f"{block[1]}  entry.json" in output
    assert f"\n{leaf[1]}\n" in output


def _environment(tmp_path: Path) -> dict[str, str]:
    """A reader's shell: `tlog` and `python3` of the virtual environment are found first, nothing is configured."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, command in (("tlog", "-m tlog"), ("witness", "-m witness"), ("python3", "")):
        tool = tools / name
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
        tool.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TLOG_")}
    return {
        **kept,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "TLOG_STATE": str(tmp_path / "state"),
    }


def _bash(
    script: Path, home: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    # A process group of its own: whatever is left of it when the script ends, ends too.
    process = subprocess.Popen(
        ["bash", script],
        cwd=home,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=180)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
