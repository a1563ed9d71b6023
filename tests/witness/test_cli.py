"""The commands, as a person types them: what they print, what they leave, how they end."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.witness.harness import NAME, NOW, ORIGIN, WitnessedLog, opened
from tests.witness.matrix import FORK, LATEST, LOG, NEVER, STRANGER
from tlog.core.note import open_note, parse_vkey
from tlog.core.policy import parse_policy
from tlog.errors import TlogError
from witness import cli
from witness.cli.doubt import EXIT_CODES
from witness.cli.serve import parse_listen
from witness.doubt import hold_all
from witness.keys import load_keys
from witness.setup import beside
from witness.state import KINDS


def run(*words: object) -> int:
    """The exit code."""
    return cli.main([str(word) for word in words])


def test_init_and_vkey(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The two vkeys on standard output, the rest for people; policy lines that a policy parser takes."""
    directory = tmp_path / "w"
    assert run("init", directory, "--name", NAME) == 0
    said = capsys.readouterr()
    first, second = said.out.splitlines()
    assert parse_vkey(first).name == NAME
    assert parse_vkey(second).name == NAME + "/audited"
    assert "quorum" in said.err
    assert run("init", directory, "--name", NAME) == 3
    assert "never overwritten" in capsys.readouterr().err
    assert run("vkey", directory) == 0
    assert capsys.readouterr().out.splitlines() == [first, second]
    assert run("vkey", directory, "--policy", "--url", "https://w.example/") == 0
    lines = capsys.readouterr().out
    policy = parse_policy(f"log {LOG.vkey}\n{lines}".encode())
    assert [one.url for one in policy.witnesses] == [b"https://w.example"]
    assert policy.witnesses[0].verifier.vkey == first
    assert run("vkey", tmp_path / "nothing") == 2
    assert run("init", tmp_path / "x", "--name", "a b") == 2


def test_add_and_list(directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By key, by list; the listing shows sizes, states, keys."""
    assert run("add-log", directory, "--vkey", STRANGER.vkey, "--url", "https://a.example/") == 0
    assert capsys.readouterr().out.startswith("1 logs added")
    file = tmp_path / "list"
    file.write_text(f"logs/v0\nvkey {LOG.vkey}\norigin listed.example\nqpd 5\ncontact x\n")
    assert run("add-log", directory, "--list", file) == 0
    for words in (
        (),
        ("--list", file, "--url", "https://a.example"),
        ("--list", file, "--vkey", "x"),
    ):
        assert run("add-log", directory, *words) == 2
    assert run("add-log", directory, "--vkey", "x") == 2
    assert run("add-log", directory, "--vkey", LOG.vkey, "--url", "x") == 2
    capsys.readouterr()
    assert run("list-logs", directory) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "listed.example  -  ok"
    assert lines[2:4] == [f"{ORIGIN}  5  ok", f"    {LOG.vkey}"]
    assert f"{STRANGER.origin}  -  ok  https://a.example" in lines


def test_cosign_by_file(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same store and decision as over HTTP; each outcome has its exit code; a failure leaves no file."""
    request, answer = tmp_path / "request", tmp_path / "answer"
    cases = {
        "cosign": (LOG.body(LATEST, 7), 0),
        "again": (LOG.body(LATEST, 9), 3),
        "fork": (FORK.body(7, 9), 1),
        "other root": (FORK.body(7, 7), 1),
        "unknown": (STRANGER.body(0, 1), 3),
        "malformed": (b"", 2),
        "old too large": (LOG.body(9, 7), 2),
    }
    for name, (body, code) in cases.items():
        request.write_bytes(body)
        assert run("cosign", directory, request, "-o", answer) == code, name
        assert answer.exists() == (code == 0)
        said = capsys.readouterr()
        assert said.out == ("7\n" if name == "again" else "")
        if code == 0:
            lines = answer.read_bytes()
            assert run("cosign", directory, request, "-o", answer) == 2
            assert answer.read_bytes() == lines
            answer.unlink()
            with beside(directory) as store:
                latest = store.latest(ORIGIN)
            assert latest is not None
            assert latest.note == LOG.note(7) + lines
            ours = parse_vkey(load_keys(directory, NAME).cosigner.vkey)
            assert len(open_note(latest.note, [ours]).signatures) == 1
    with beside(directory) as store:
        hold_all(store, "restored", NOW)
    request.write_bytes(LOG.body(7, 9))
    assert run("cosign", directory, request, "-o", answer) == 4
    assert set(EXIT_CODES) == set(KINDS)


def test_resume(directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By note, by what is published, by the operator's word."""
    witness = opened(directory)
    latest = witness.store.latest(ORIGIN)
    witness.close()
    assert latest is not None
    note = tmp_path / "note"
    note.write_bytes(latest.note)
    with beside(directory) as store:
        hold_all(store, "restored", NOW)
    assert run("resume", directory, ORIGIN) == 3
    assert run("resume", directory, ORIGIN, "--fetch") == 2
    assert run("resume", directory, ORIGIN, "--note", note) == 0
    assert f"{ORIGIN}: cosigning goes on from size 5" in capsys.readouterr().out
    assert run("resume", directory, ORIGIN, "--note", note) == 3
    assert run("resume", directory, NEVER.origin, "--as-stored") == 0
    assert "never cosigned" in capsys.readouterr().out


def test_errors_of_the_program_are_told_apart(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Usage, interruption, a closed pipe, a missing package, a file system's refusal, a fault."""
    assert run("no-such-command") == 2
    assert run("--version") == 0
    failures: list[tuple[BaseException, int]] = [
        (click.exceptions.Abort(), 130),
        (SystemExit(1), 141),
        (ModuleNotFoundError("x", name="lmdb"), 2),
        (ModuleNotFoundError("x", name="surprise"), 70),
        (PermissionError(13, "Permission denied", "/x"), 2),
        (ZeroDivisionError(), 70),
        (TlogError("other", "x"), 70),
    ]
    for error, code in failures:

        def failing(*_: object, error: BaseException = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(cli.cli, "main", failing)
        assert run("vkey", directory) == code
    assert "pip install 'tlog[witness]'" in capsys.readouterr().err


def test_as_a_module(directory: Path) -> None:
    """`python -m witness`."""
    done = subprocess.run(
        [sys.executable, "-m", "witness", "list-logs", str(directory)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ORIGIN in done.stdout


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:7380", ("127.0.0.1", 7380)),
        (":0", ("0.0.0.0", 0)),
        ("[::1]:80", ("::1", 80)),
        ("a:65536", None),
        ("7380", None),
    ],
)
def test_listen(text: str, expected: tuple[str, int] | None) -> None:
    """HOST:PORT in its forms."""
    if expected is None:
        with pytest.raises(TlogError):
            parse_listen(text)
    else:
        assert parse_listen(text) == expected


def test_the_hash_in_the_path_is_of_the_origin() -> None:
    """SHA-256 without a newline: what any shell computes."""
    from witness.rows import origin_key

    assert origin_key(ORIGIN) == hashlib.sha256(b"log.example.com").digest()
    assert WitnessedLog(1).origin == ORIGIN
