"""Setting a log up by command: what is printed where, what is refused, and that a second time changes nothing."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from tests.cli.conftest import ORIGIN, Call, Served
from tests.paths import REPOSITORY
from tlog.accounts import Accounts
from tlog.cli import admin
from tlog.core.note import parse_vkey
from tlog.declarations import declared
from tlog.errors import Refused
from tlog.log import Log, init_log


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


def test_init_has_what_the_variables_say(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server is often configured by variables, and finds what was made under the same ones."""
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("TLOG_GUARD", str(tmp_path / "other" / "guard"))
    monkeypatch.setenv("TLOG_VAULT_KEY", str(tmp_path / "other" / "vault.key"))

    assert call("init", tmp_path / "log", "--origin", ORIGIN).code == 0

    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == ["guard", "vault.key"]
    assert not (tmp_path / "log" / "guard").exists()
    monkeypatch.setenv("TLOG_ORIGIN", "other.example.com")
    answer = call("init", tmp_path / "second", "--origin", ORIGIN)
    assert answer.code == 2 and "TLOG_ORIGIN" in answer.err
    assert not (tmp_path / "second").exists()


def test_an_init_that_fails_leaves_nothing(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the fault is mended the same command works; what was there before is not touched."""
    guard, key = tmp_path / "guard", tmp_path / "vault.key"
    guard.write_bytes(b"of another log")
    monkeypatch.setenv("TLOG_GUARD", str(guard))
    monkeypatch.setenv("TLOG_VAULT_KEY", str(key))

    answer = call("init", tmp_path / "log", "--origin", ORIGIN)

    assert (answer.code, answer.out) == (3, "")
    assert guard.read_bytes() == b"of another log" and not key.exists()
    assert list((tmp_path / "log").iterdir()) == []
    monkeypatch.setenv("TLOG_GUARD", "guard")
    assert call("init", tmp_path / "log", "--origin", ORIGIN).code == 0


def test_an_init_without_room(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LMDB's own error is told in one line, too."""

    def full(*_: object) -> None:
        raise lmdb.DiskError("mdb_txn_commit: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("tlog.log.create_log", full)
        answer = call("init", tmp_path / "log", "--origin", ORIGIN)
    assert (answer.code, answer.out) == (4, "")
    assert answer.err.count("\n") == 1 and "room" in answer.err
    assert call("init", tmp_path / "log", "--origin", ORIGIN).code == 0


def test_no_part_of_a_log_is_served(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A creation that is cut off at its last step, the genesis of the operations stream, has left no log."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Log, "append_now", killed)
        patched.setattr("tlog.log._clear", lambda _: None)
        with pytest.raises(KeyboardInterrupt):
            init_log(tmp_path / "log", ORIGIN)
    assert (tmp_path / "log" / "log" / "data.mdb").exists()
    answer = call("stream", "create", tmp_path / "log", "acme:prod:x")
    assert answer.code == 2 and "cut off" in answer.err


def test_a_creation_that_was_cut_off_is_told(call: Call, directory: Path) -> None:
    """`tlog init` would refuse the directory, so it is not what is advised."""
    (directory / "tlog.toml").unlink()
    answer = call("verify", directory)
    assert answer.code == 2 and "tlog.toml is lost" in answer.err


@pytest.mark.parametrize("part", ["log", "keys", "accounts"])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (lmdb.ReadonlyError("Permission denied"), "must be writable"),
        (lmdb.MemoryError("Cannot allocate memory"), "cannot be opened"),
    ],
)
def test_an_environment_that_cannot_be_opened(
    call: Call,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    error: lmdb.Error,
    said: str,
) -> None:
    """Wrong owner, ulimit: a fault of the machine, told in one line that names the folder."""
    really = lmdb.open

    def refuses(path: bytes, **options: object) -> object:
        if path == os.fsencode(directory / part):
            raise error
        return really(path, **options)

    monkeypatch.setattr(lmdb, "open", refuses)
    answer = call("stream", "create", directory, "acme:prod:x")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert said in answer.err and f"{directory}/{part}" in answer.err


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"PRIVATE+KEY+x"])
def test_a_damaged_key_is_named(call: Call, directory: Path, data: bytes) -> None:
    """Which of the files in DIR it is."""
    (directory / "log.key").write_bytes(data)
    answer = call("stream", "create", directory, "acme:prod:x")
    assert answer.code == 2 and f"{directory}/log.key" in answer.err


def test_any_path_in_any_locale(tmp_path: Path) -> None:
    """A service is often started in the locale C, and file names are bytes."""
    directory = os.fsencode(tmp_path) + "/lög \u2603".encode() + b"\xff"
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for words in ([b"init", directory, b"--origin", ORIGIN.encode()], [b"key", b"list", directory]):
        command = [os.fsencode(sys.executable), b"-m", b"tlog", *words]
        done = subprocess.run(
            command, check=False, env={**os.environ, **locale}, cwd=REPOSITORY, capture_output=True
        )
        assert done.returncode == 0, done.stderr


def test_no_room_for_a_key(call: Call, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What LMDB says of a full disk is no fault of the program, and no key is shown that was not kept."""

    def full(*_: object) -> None:
        raise lmdb.DiskError("mdb_txn_commit: No space left on device")

    assert call("tenant", "create", directory, "acme").code == 0
    with monkeypatch.context() as patched:
        patched.setattr(Accounts, "_sealed", full)
        answer = call("tenant", "create", directory, "beta")
    assert (answer.code, answer.out) == (4, "")
    assert answer.err.count("\n") == 1 and "full" in answer.err
    assert len(call("key", "list", directory).out.splitlines()) == 1


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
    call("tenant", "create", directory, "acme")
    assert call("stream", "create", directory, "acme:prod:y").err == ""
    mistyped = call("stream", "create", directory, "acne:prod:x")
    assert (mistyped.code, mistyped.out) == (0, "opened acne:prod:x\n")
    assert "There is no tenant acne yet" in mistyped.err


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
