"""`tlog proof verify`: what is shown passes, what is wrong is 1, what is not shown yet is 4 and never 0."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import STREAM, Answer, Call, Served
from tests.paths import REPOSITORY
from tlog.cli import main
from tlog.core.cosignature import CosignatureSigner

WITNESS = "witness.example.org/w1"


def edited(source: Path, target: Path, **members: Any) -> Path:
    """The JSON object of a file with some members replaced, or left out where None."""
    document = {**json.loads(source.read_text()), **members}
    kept = {name: value for name, value in document.items() if value is not None}
    target.write_text(json.dumps(kept))
    return target


@pytest.mark.parametrize("name", ["proof", "receipt"])
def test_a_file_of_the_log_passes(call: Call, served: Served, name: str) -> None:
    """Numbered steps, four verdicts, and code 0 though nobody was asked to witness."""
    answer = call("proof", "verify", getattr(served, name), "--vkey", served.vkey)

    assert answer.code == 0
    steps, _, verdicts = answer.out.partition("\n\n")
    assert [line.split()[0] for line in verdicts.splitlines()] == [
        *("integrity", "position", "witnessed", "time")
    ]
    title, *numbered = steps.splitlines()
    assert title == {"proof": "proof package:", "receipt": "receipt:"}[name]
    numbers = [int(line.split()[0].strip("[]")) for line in numbered]
    expected = {
        "proof": [1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        "receipt": [1, 2, 3, 4, 6, 7, 8, 9, 10],
    }
    assert numbers == expected[name]
    assert {line.split()[1] for line in numbered} == {"ok", "NOT"}


def test_the_vkey_may_come_from_the_environment(
    call: Call, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """$TLOG_VKEY; without any vkey there is nothing to verify against."""
    assert call("proof", "verify", served.proof).code == 2
    monkeypatch.setenv("TLOG_VKEY", served.vkey)
    assert call("proof", "verify", served.proof).code == 0


def test_json(call: Call, served: Served) -> None:
    """The verdicts for programs."""
    answer = call("proof", "verify", served.proof, "--vkey", served.vkey, "--json")

    verdicts = json.loads(answer.out)
    assert verdicts["verified"] is True
    assert verdicts["position"]["verdict"] == "pass"
    assert verdicts["kind"] == "proof package"
    assert verdicts["steps"][-1]["step"] == 10


def test_one_changed_byte_fails(call: Call, served: Served, tmp_path: Path) -> None:
    """An entry that says something else, under the same hashes."""
    entry = base64.b64decode(json.loads(served.proof.read_text())["entry"])
    changed = base64.b64encode(entry.replace(b"EXECUTION", b"EXECUTIOM")).decode()
    file = edited(served.proof, tmp_path / "changed.json", entry=changed)

    answer = call("proof", "verify", file, "--vkey", served.vkey)

    assert answer.code == 1
    assert "\n  [1]  FAIL       The entry is missing, altered" in answer.out
    assert "\n\nintegrity  FAIL" in answer.out


@pytest.mark.parametrize("text", ["", "[]", "{", '{"version":1,"version":1}'])
def test_what_is_no_proof_fails(call: Call, served: Served, tmp_path: Path, text: str) -> None:
    """A file that is nothing of the kind proves nothing: code 1, not 2, for it was given as a proof."""
    file = tmp_path / "file"
    file.write_text(text)

    assert call("proof", "verify", file, "--vkey", served.vkey).code == 1


def test_a_proof_that_is_not_published_yet(call: Call, served: Served, tmp_path: Path) -> None:
    """Without a root nothing is wrong and the position is not shown."""
    file = edited(served.proof, tmp_path / "early.json", root=None)

    answer = call("proof", "verify", file, "--vkey", served.vkey)

    assert answer.code == 4
    assert "position   NOT SHOWN" in answer.out


def test_a_policy_asks_for_witnesses(call: Call, served: Served, tmp_path: Path) -> None:
    """Who names witnesses does not get 0 without them; a policy that asks for none changes nothing."""
    witness = CosignatureSigner(WITNESS, bytes(32)).vkey
    asking, none = tmp_path / "asking", tmp_path / "none"
    asking.write_text(f"log {served.vkey}\nwitness w1 {witness}\nquorum w1\n")
    none.write_text(f"log {served.vkey}\nquorum none\n")
    verify = ("proof", "verify", served.proof, "--vkey", served.vkey, "--policy")

    answer = call(*verify, asking)

    assert answer.code == 4
    assert "witnessed  NOT SHOWN" in answer.out
    assert call(*verify, none).code == 0


def test_bad_configuration_is_usage(call: Call, served: Served, tmp_path: Path) -> None:
    """A vkey or a policy that is none is the caller's mistake, not a lie."""
    policy = tmp_path / "policy"
    policy.write_text("quorum nobody\n")

    assert call("proof", "verify", served.proof, "--vkey", "x").code == 2
    verify = ("proof", "verify", served.proof, "--vkey", served.vkey)
    assert call(*verify, "--policy", policy).code == 2
    assert call("proof", "verify", tmp_path / "absent", "--vkey", served.vkey).code == 2


def event_of(served: Served) -> str:
    found: str = json.loads(served.proof.read_text())["event_id"]
    return found


def test_portable_forms(call: Call, served: Served, tmp_path: Path) -> None:
    """Fetched from the server, checked with nothing but the vkey and the entry of the receipt."""
    forms = ("json", "cose", "tlog-proof", "tlog-proof-head")
    for form in forms:
        got = call(
            *("proof", "get", event_of(served), "--url", served.url, "--api-key", served.key),
            *("--stream", STREAM, "--format", form, "--wait", "published", "-o", tmp_path / form),
        )
        assert got.code == 0, got.err
        assert "not verified yet" in got.err

    def verify(form: str, *more: str | Path) -> Answer:
        return call("proof", "verify", tmp_path / form, "--vkey", served.vkey, *more)

    entry, head = ("--entry", served.receipt), ("--head", tmp_path / "tlog-proof-head")
    assert verify("json").code == 0
    for form in ("cose", "tlog-proof"):
        alone = verify(form)
        assert alone.code == 4
        assert "integrity  NOT SHOWN  The file holds no entry" in alone.out
        shown = verify(form, *entry)
        assert shown.code == 4
        assert "integrity  PASS" in shown.out
        assert "position   NOT SHOWN  This file does not show" in shown.out
        assert verify(form, *entry, *head).code == 0
        assert verify(form, "--entry", served.directory / "tlog.toml").code == 1
        assert verify(form, *entry, "--head", tmp_path / form).code == 1
    only = verify("tlog-proof-head")
    assert only.code == 4
    assert "position   PASS" in only.out


def test_get_to_standard_output(served: Served) -> None:
    """The bytes as they are."""
    get = ("proof", "get", event_of(served), "--url", served.url, "--api-key", served.key)
    done = subprocess.run(
        [sys.executable, "-m", "tlog", *get, "--stream", STREAM, "--format", "cose"],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"\xd2\x84")


def test_what_get_cannot_do(call: Call, served: Served) -> None:
    """Bad input, and what the log refuses."""
    get = ("proof", "get", event_of(served), "--url")
    assert call(*get, "nowhere", "--token", "x").code == 2
    assert call(*get, served.url).code == 2
    assert call("proof", "get", "x", "--url", served.url, "--token", "x").code == 2
    assert call(*get, served.url, "--token", "x").code == 3
    assert call(*get, served.url, "--api-key", served.key, "--stream", "x").code == 2
    missing = ("proof", "get", "evt_00000000000000000000000000", "--url", served.url)
    assert call(*missing, "--api-key", served.key, "--stream", STREAM).code == 3
    waiting = call(*get, served.url, "--api-key", served.key, "--stream", STREAM, "--wait", "x")
    assert waiting.code == 2


def test_get_without_a_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """`>&-`: Python has none then; that is no fault of the program."""
    monkeypatch.setattr("tlog.cli.fetch_proof.fetch_proof", lambda *_, **__: b"{}")
    monkeypatch.setattr(sys, "stdout", None)

    assert main(["proof", "get", "x", "--url", "http://log.example.com"]) == 0
