"""Both verifiers judge every C2SP tlog-proof and COSE receipt among the vectors as it must be judged."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.test_verifier import FILES, INDEX, POLICY_FILE, ROOT, files, run
from tlog.core.strict_json import loads
from tlog.core.wire import b64decode
from tlog.verdicts import Held, verify_file

NAMES = ("integrity", "position", "witnessed", "time")
PORTABLE = [path for path in FILES if "held" in FILES[path] or path in files("tlog-proofs", "cose")]


def held_bytes(path: str) -> bytes:
    """A file that is held; of a receipt its entry."""
    data = (ROOT / path).read_bytes()
    if not path.endswith(".json"):
        return data
    receipt: Any = loads(data)
    return b64decode(receipt["entry"])


@pytest.mark.parametrize("path", PORTABLE)
def test_project_gives_the_four_verdicts(path: str) -> None:
    held = {name: held_bytes(where) for name, where in FILES[path].get("held", {}).items()}
    data = (ROOT / path).read_bytes()
    verdicts = verify_file(data, INDEX["keys"]["log"], POLICY_FILE, Held(**held)).as_json()
    assert {name: verdicts[name]["verdict"] for name in NAMES} == {
        name: FILES[path][name] for name in NAMES
    }


@pytest.mark.parametrize("path", PORTABLE)
def test_independent_verifier_agrees(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        text
        for name, where in FILES[path].get("held", {}).items()
        for text in (f"--{name}", str(ROOT / where))
    ]
    status, last = run(capsys, ROOT / path, *options)
    assert status == FILES[path]["verify_py"], last
    assert last.startswith("NOT VERIFIED: " if status else ("VERIFIED", "[9]"))


def test_every_fault_is_refused_beside_good_files() -> None:
    """No fault is refused for want of an entry or a head: what is held is given."""
    for path in PORTABLE:
        bad, head = "/bad/" in path, "/head-" in path
        assert not bad or head or FILES[path]["held"].keys() & {"entry", "old", "genesis"}


def test_bad_heads_fail_beside_a_good_event(capsys: pytest.CaptureFixture[str]) -> None:
    """With event and entry at hand, the independent verifier has only the head to refuse."""
    good = ROOT / "tlog-proofs" / "good"
    entry = ("--entry", str(ROOT / "receipts" / "good" / "event.json"))
    event = str(good / "event.tlog-proof")
    heads = [path for path in PORTABLE if "/head-" in path and "held" not in FILES[path]]
    assert len(heads) > 8
    for path in heads:
        status, last = run(capsys, ROOT / event, *entry, "--head", str(ROOT / path))
        expected = 0 if FILES[path]["position"] == "pass" else 1  # quorums it does not know
        assert status == expected, (path, last)
