"""Setting a log up by command: what is printed where, what is refused, and that a second time changes nothing."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
from pathlib import Path

import pytest

from tests.cli.conftest import ORIGIN, Call, Served
from tlog.accounts import Accounts
from tlog.cli import admin
from tlog.core.note import parse_vkey
from tlog.declarations import declared
from tlog.errors import Refused
from tlog.log import Log


@pytest.fixture
def directory(call: Call, tmp_path: Path) -> Path:
    """A new log."""
    assert call("init", tmp_path / "log", "--origin", ORIGIN).code == 0
    return tmp_path / "log"


def contents(directory: Path) -> dict[str, str]:
    """Every file and the hash of its bytes, but for LMDB's table of readers."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != "lock.mdb"
    }


def test_init_prints_the_vkey_and_nothing_else(call: Call, tmp_path: Path) -> None:
    """Standard output is the vkey alone, so that it can be redirected into a file; secrets are the owner's."""
    answer = call("init", tmp_path / "a" / "log", "--origin", ORIGIN)

    assert answer.code == 0
    assert parse_vkey(answer.out.strip()).name == ORIGIN
    assert "tenant create" in answer.err
    for secret in ("log.key", "vault.key"):
        assert (tmp_path / "a" / "log" / secret).stat().st_mode & 0o077 == 0


def test_init_never_overwrites(call: Call, directory: Path) -> None:
    """A second init is refused and leaves every byte as it was; so it is in a directory of anything else."""
    before = contents(directory)

    answer = call("init", directory, "--origin", "other.example.com")

    assert (answer.code, answer.out) == (3, "")
    assert "never overwritten" in answer.err
    assert contents(directory) == before


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "https://log.example.com",
        "log.example.com/",
        "/log",
        "Log.example.com",
        "log.example.com+1",
        "log example",
        "log.example.com\n",
        'log"x',
        "lög.example.com",
        "log.example.com//x",
        "a" * 56,
        "-log.example.com",
        "log.example.com/../x",
    ],
)
def test_init_refuses_bad_origins(call: Call, tmp_path: Path, origin: str) -> None:
    """An origin that cannot stand in a URL, a note and the settings file is refused, and nothing is made."""
    answer = call("init", tmp_path / "log", "--origin", origin)

    assert (answer.code, answer.out) == (2, "")
    assert answer.err.count("\n") == 1
    assert "origin" in answer.err
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    "origin", ["a", "log.example.com/2026/eu", "localhost:8080", "a" * 55, "x.y/_Z-~.1"]
)
def test_init_takes_good_origins(call: Call, tmp_path: Path, origin: str) -> None:
    """What is taken once is read back from the settings file as it was given."""
    assert call("init", tmp_path / "log", "--origin", origin).code == 0
    assert call("verify", tmp_path / "log").code == 0


def test_a_tenants_first_key_works(call: Call, directory: Path) -> None:
    """`tenant create` prints one key that authenticates, with the two scopes that it says."""
    answer = call("tenant", "create", directory, "acme", "--environment", "eu")

    accounts = Accounts.open(directory / "accounts")
    try:
        key = accounts.authenticate(answer.out.strip())
    finally:
        accounts.close()
    assert (key.tenant, key.environment, key.scopes) == ("acme", "eu", {"ingest", "read"})
    assert key.key_id in answer.err


@pytest.mark.parametrize(
    ("name", "code"), [("acme", 3), ("tlog", 3), ("Acme", 2), ("a b", 2), ("", 2)]
)
def test_tenants_are_refused(call: Call, directory: Path, name: str, code: int) -> None:
    """A tenant that exists, the log's own, and names outside the grammar."""
    call("tenant", "create", directory, "acme")

    answer = call("tenant", "create", directory, name)

    assert (answer.code, answer.out) == (code, "")
    assert answer.err.startswith("tlog: ")


def test_a_refused_environment_makes_no_tenant(call: Call, directory: Path) -> None:
    """A name is used for ever: after a mistyped --environment it is still there to be taken."""
    assert call("tenant", "create", directory, "acme", "--environment", "EU").code == 2
    assert call("tenant", "create", directory, "acme", "--environment", "eu").code == 0


def test_keys_are_created_listed_and_revoked(call: Call, directory: Path) -> None:
    """A key is listed without its secret; once revoked it is shown as such and does not authenticate."""
    call("tenant", "create", directory, "acme")
    made = call(
        *("key", "create", directory, "acme", "--environment", "eu"),
        *("--scope", "read", "--scope", "admin", "--name", "the auditor's"),
    )
    text = made.out.strip()
    key_id = text.removeprefix("ak_live_")[:10]

    listed = call("key", "list", directory).out
    row = next(line for line in listed.splitlines() if line.startswith(key_id))
    assert row.split("  ")[1:4] == ["acme:eu", "admin,read", "active"]
    assert row.endswith("the auditor's")
    assert text[20:] not in listed
    assert call("key", "revoke", directory, key_id).out == f"revoked {key_id}\n"
    assert f"{key_id}  acme:eu  admin,read  revoked" in call("key", "list", directory).out
    accounts = Accounts.open(directory / "accounts")
    with pytest.raises(Refused, match="not valid"):
        accounts.authenticate(text)
    accounts.close()


def test_keys_are_refused(call: Call, directory: Path) -> None:
    """No such tenant, no such key, and the key itself in place of its id, which is not echoed."""
    call("tenant", "create", directory, "acme")
    text = call("key", "create", directory, "acme").out.strip()

    assert call("key", "create", directory, "nobody").code == 3
    assert call("key", "create", directory, "acme", "--scope", "root").code == 2
    assert call("key", "revoke", directory, "aaaaaaaaaa").code == 3
    answer = call("key", "revoke", directory, text)
    assert answer.code == 3
    assert text not in answer.out + answer.err


@pytest.mark.parametrize(
    "command",
    [
        ("tenant", "create", "DIR", "acme"),
        ("key", "create", "DIR", "acme"),
        ("key", "list", "DIR"),
        ("key", "revoke", "DIR", "aaaaaaaaaa"),
        ("stream", "create", "DIR", "acme:prod:x"),
        ("serve", "DIR"),
        ("verify", "DIR"),
    ],
    ids=" ".join,
)
def test_what_is_no_log_is_said_in_one_line(
    call: Call, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """No command makes a log by accident, and none answers with a traceback."""
    empty = tmp_path / "empty"
    empty.mkdir()
    for place in (empty, tmp_path / "absent"):
        answer = call(*[str(place) if part == "DIR" else part for part in command])

        assert answer.code == 2
        assert answer.err.count("\n") == 1
        assert "tlog init" in answer.err
        assert not place.exists() or not list(place.iterdir())


def test_streams_are_opened_in_a_log_that_nobody_serves(call: Call, directory: Path) -> None:
    """The stream is there afterwards, once; the log's own tenant and bad ids are refused."""
    assert call("stream", "create", directory, "acme:prod:x").out == "opened acme:prod:x\n"
    assert "acme:prod:x: verified, 1 entry" in call("verify", directory).out
    assert call("stream", "create", directory, "acme:prod:x").code == 3
    assert call("stream", "create", directory, "tlog:log:x").code == 3
    assert call("stream", "create", directory, "acme:prod").code == 2


def test_streams_are_opened_beside_a_server(call: Call, served: Served) -> None:
    """The server opens it within the command's patience; one that exists is refused here too."""
    answer = call("stream", "create", served.directory, "acme:prod:beside")

    assert (answer.code, answer.out) == (0, "opened acme:prod:beside\n")
    assert call("stream", "create", served.directory, "acme:prod:beside").code == 3
    assert call("stream", "create", served.directory, "tlog:log:x").code == 3


def test_a_server_that_does_not_open_a_stream(
    call: Call, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 4, the declaration stays, and the next server finds it."""
    monkeypatch.setattr(admin, "OPEN_SECONDS", 0.3)
    with (directory / "log" / "writer.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as a server that hangs
        answer = call("stream", "create", directory, "acme:prod:x", "--public")

    assert answer.code == 4
    assert "not yet open" in answer.out
    log = Log(directory)
    log.start()
    try:
        asyncio.run(log.open_declared_streams())
        assert log.stream_exists("acme:prod:x")
        assert log.source.rows[log.source.numbers["acme:prod:x"]].public
    finally:
        log.close()
    assert declared(directory) == []
