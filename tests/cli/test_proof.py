"""`tlog proof verify`: what is shown passes, what is wrong is 1, what is not shown yet is 4 and never 0."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call, Served
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
    """Four lines, and code 0 though nobody was asked to witness."""
    answer = call("proof", "verify", getattr(served, name), "--vkey", served.vkey)

    assert answer.code == 0
    assert [line.split()[0] for line in answer.out.splitlines()] == [
        *("integrity", "position", "witnessed", "time")
    ]


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


def test_one_changed_byte_fails(call: Call, served: Served, tmp_path: Path) -> None:
    """An entry that says something else, under the same hashes."""
    entry = base64.b64decode(json.loads(served.proof.read_text())["entry"])
    changed = base64.b64encode(entry.replace(b"EXECUTION", b"EXECUTIOM")).decode()
    file = edited(served.proof, tmp_path / "changed.json", entry=changed)

    answer = call("proof", "verify", file, "--vkey", served.vkey)

    assert answer.code == 1
    assert answer.out.startswith("integrity  FAIL")


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
