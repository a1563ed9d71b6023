"""`tlog proof verify` on fork proofs: what the log did, in plain words, and an exit code of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.conformance.test_verifier import FILES, INDEX, ROOT, files

VKEY = INDEX["keys"]["log"]


def test_a_lie_is_told_in_plain_words(call: Call) -> None:
    answer = call("proof", "verify", ROOT / "forks" / "good" / "stream.json", "--vkey", VKEY)

    assert answer.code == 5
    told, first, second = answer.out.strip().splitlines()[-3:]
    assert told.startswith("THE LOG LIED: log.example.com signed two histories of the stream log.")
    assert told.endswith("one of 5 entries, and one of 7 entries that does not begin with them.")
    assert first.startswith("  size 5, root ") and second.startswith("  size 7, root ")


def test_for_programs(call: Call) -> None:
    good = ROOT / "forks" / "good" / "one-place.json"
    answer = call("proof", "verify", good, "--vkey", VKEY, "--json")

    shown = json.loads(answer.out)
    assert (answer.code, shown["verified"], shown["kind"]) == (5, False, "fork proof")
    assert len(shown["log_lied"]) == 3
    assert shown["integrity"]["verdict"] == "not shown"


@pytest.mark.parametrize("path", files("forks"))
def test_every_golden_file(call: Call, path: str) -> None:
    """Code 5 is for what holds; what proves nothing is code 1, and says no word of a lie."""
    answer = call("proof", "verify", ROOT / path, "--vkey", VKEY)

    assert answer.code == (5 if FILES[path]["shows"] else 1)
    assert ("THE LOG LIED" in answer.out) == (answer.code == 5)


def test_another_log_is_not_accused(call: Call, tmp_path: Path) -> None:
    """Under the key of an honest log nobody else's fork proof shows anything."""
    from tests.core.histories import History

    good = ROOT / "forks" / "good" / "root-log.json"
    answer = call("proof", "verify", good, "--vkey", History("another key").signer.vkey)

    assert answer.code == 1
    assert "shows nothing" in answer.out
