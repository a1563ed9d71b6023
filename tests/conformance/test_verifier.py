"""Two verifiers, one of which imports nothing of ours, judge every golden vector as it must be judged.

The vectors are also written again and compared byte for byte, so that neither they nor the code that makes
receipts and packages can drift; and each bad file is shown to differ from a good one by a fault, not by luck.
"""

from __future__ import annotations

import ast
import base64
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from conformance import make_vectors
from conformance.golden.honest import HONEST, LOG, POLICY, TARGET, W1, W2, seed
from tests.paths import REPOSITORY
from tlog.core.checkpoint import open_checkpoint
from tlog.core.commitment import verify_commitment
from tlog.core.entry import parse_entry
from tlog.core.note import open_note, parse_vkey
from tlog.core.policy import parse_policy
from tlog.core.wire import parse_hash_text
from tlog.errors import InvalidInput, VerificationError
from tlog.verdicts import verify_file

ROOT = REPOSITORY / "conformance" / "vectors"
PROGRAM = REPOSITORY / "conformance" / "verifier" / "verify.py"


def load_program() -> ModuleType:
    """The independent verifier as a module; it is run as a program elsewhere in this file."""
    spec = importlib.util.spec_from_file_location("independent_verifier", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


program = load_program()
INDEX: dict[str, Any] = json.loads((ROOT / "index.json").read_bytes())
FILES: dict[str, Any] = INDEX["files"]
LOG_KEY = parse_vkey(INDEX["keys"]["log"])
POLICY_FILE = parse_policy((ROOT / "policy.txt").read_bytes())
ONLY_W1 = parse_policy(f"witness w1 {W1.vkey}\nquorum w1\n".encode())


def files(*folders: str) -> list[str]:
    return [path for path in FILES if path.partition("/")[0] in folders]


# Those that are judged with other files at hand are in `test_portable`.
ALONE = [path for path in files("receipts", "packages", "batches") if "held" not in FILES[path]]


def run(capsys: pytest.CaptureFixture[str], path: Path, *options: str) -> tuple[int, str]:
    """Run verify.py in this process: exit status and last line."""
    arguments = [str(PROGRAM), str(path), "--vkey", INDEX["keys"]["log"], *options]
    before, sys.argv = sys.argv, arguments
    try:
        status = program.main()
    finally:
        sys.argv = before
    return status, capsys.readouterr().out.strip().splitlines()[-1]


def test_vectors_are_what_the_program_writes() -> None:
    built = make_vectors.build()
    stored = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in ROOT.rglob("*")
        if path.is_file()
    }
    assert sorted(built) == sorted(stored)
    assert [path for path in built if built[path] != stored[path]] == []


def test_no_two_vectors_are_the_same() -> None:
    seen: dict[bytes, str] = {}
    for path in FILES:
        data = (ROOT / path).read_bytes()
        assert data not in seen, f"{path} is {seen[data]}"
        seen[data] = path


@pytest.mark.parametrize("path", ALONE)
def test_project_gives_the_four_verdicts(path: str) -> None:
    verdicts = verify_file((ROOT / path).read_bytes(), INDEX["keys"]["log"], POLICY_FILE).as_json()
    names = ("integrity", "position", "witnessed", "time")
    assert {name: verdicts[name]["verdict"] for name in names} == {
        name: FILES[path][name] for name in names
    }


@pytest.mark.parametrize("path", ALONE)
def test_independent_verifier_agrees(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, last = run(capsys, ROOT / path)
    assert status == FILES[path]["verify_py"], last
    assert last.startswith("NOT VERIFIED: " if status else "VERIFIED")


@pytest.mark.parametrize("path", files("notes"))
def test_notes(path: str) -> None:
    data = (ROOT / path).read_bytes()
    try:
        open_note(data, [LOG_KEY])
        ours = True
    except (InvalidInput, VerificationError):
        ours = False
    try:
        key = program.Key(INDEX["keys"]["log"], 1)
        text, signatures = program.note_signatures(data.decode(), key)
        for signature in signatures:
            key.verify(signature, text)
        theirs = True
    except (program.NotVerifiedError, UnicodeDecodeError):
        theirs = False
    assert (ours, theirs) == (FILES[path]["opens"], FILES[path]["opens"])


@pytest.mark.parametrize("path", files("checkpoints"))
def test_checkpoints(path: str) -> None:
    data = (ROOT / path).read_bytes()
    try:
        checkpoint, _ = open_checkpoint(data, [LOG_KEY], LOG_KEY.name)
        ours: Any = (checkpoint.size, checkpoint.root)
    except (InvalidInput, VerificationError):
        ours = None
    try:
        theirs = program.open_checkpoint(data.decode(), program.Key(INDEX["keys"]["log"], 1))
    except program.NotVerifiedError:
        theirs = None
    assert ours == theirs
    assert (ours is not None) == FILES[path]["opens"]


@pytest.mark.parametrize("path", files("entries"))
def test_entries(path: str) -> None:
    data = (ROOT / path).read_bytes()
    try:
        parse_entry(data)
        ours = True
    except InvalidInput:
        ours = False
    try:
        event = program.Event({"entry": base64.b64encode(data).decode()})
        program.check_entry(event)
        program.milliseconds(event.members["timestamp"])
        theirs = True
    except program.NotVerifiedError:
        theirs = False
    assert (ours, theirs) == (FILES[path]["valid"], FILES[path]["valid"])


@pytest.mark.parametrize("path", files("commitments"))
def test_commitments(path: str) -> None:
    case = json.loads((ROOT / path).read_bytes())
    salt = base64.b64decode(case["master_salt"])
    fields = [(pointer, value) for pointer, value in case["fields"]]
    root = parse_hash_text(case["commitment"]["root"])
    verify_commitment(fields, salt, case["commitment"]["fields"], root)
    event = program.Event({"entry": "e30=", "salt": case["master_salt"]})
    event.record = case
    program.check_payload(event, dict(fields))
    other = dict([*fields, ("/payload/one-more", 1)])
    with pytest.raises(program.NotVerifiedError):
        program.check_payload(event, other)
    with pytest.raises(VerificationError):
        verify_commitment(list(other.items()), salt, case["commitment"]["fields"], root)


@pytest.mark.parametrize("path", files("submissions"))
def test_submitted_values(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    good = ROOT / "receipts" / "good" / "event.json"
    status, last = run(capsys, good, "--payload", str(ROOT / path))
    assert (status == 0) == FILES[path]["commits"], last


def test_a_package_has_no_salt(capsys: pytest.CaptureFixture[str]) -> None:
    """A payload beside one is told where it belongs."""
    payload = str(ROOT / files("submissions")[0])
    status, last = run(capsys, ROOT / "packages" / "good" / "event.json", "--payload", payload)
    assert (status, "with a receipt" in last) == (1, True), last


def test_genesis_proves_the_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = ROOT / "receipts" / "good" / "event.json"
    genesis = tmp_path / "genesis.json"
    genesis.write_bytes(HONEST[0])
    assert run(capsys, good, "--genesis", str(genesis))[0] == 0
    genesis.write_bytes(HONEST[0].replace(b'"streamNumber":7', b'"streamNumber":8'))
    assert run(capsys, good, "--genesis", str(genesis))[0] == 1


def test_witnesses(capsys: pytest.CaptureFixture[str]) -> None:
    both = ("--witness", W1.vkey, "--witness", W2.vkey)
    assert run(capsys, ROOT / "packages" / "good" / "event.json", *both)[0] == 0
    bad = ROOT / "packages" / "bad"
    assert run(capsys, bad / "one-witness-of-two.json", *both)[0] == 1
    assert run(capsys, bad / "cosignature-forged.json", *both)[0] == 1


@pytest.mark.parametrize(("time", "status"), [(2**40, 0), (2**63 - 1, 0), (2**63, 1)])
def test_a_witness_whose_time_is_in_no_calendar(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], time: int, status: int
) -> None:
    """It is told as it stands, to the largest that a cosignature can have."""
    document = json.loads((ROOT / "packages" / "good" / "not-witnessed.json").read_bytes())
    note = document["root"]["checkpoint"]
    message = b"cosignature/v1\ntime %d\n" % time + note.partition("\n\n")[0].encode() + b"\n"
    signature = Ed25519PrivateKey.from_private_bytes(seed("w1")).sign(message)
    blob = W1.key_id.to_bytes(4, "big") + time.to_bytes(8, "big") + signature
    line = f"\u2014 {W1.name} {base64.b64encode(blob).decode()}\n"
    document["root"]["checkpoint"] = note + line
    file = tmp_path / "package.json"
    file.write_text(json.dumps(document))
    found, last = run(capsys, file, "--witness", W1.vkey)
    assert found == status, last
    judged = verify_file(file.read_bytes(), LOG.vkey, ONLY_W1)
    assert (judged.witnessed.verdict == "pass") == (status == 0)


def test_it_is_one_program_that_imports_nothing_of_ours(tmp_path: Path) -> None:
    tree = ast.parse(PROGRAM.read_text(encoding="utf-8"))
    names = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert names <= set(sys.stdlib_module_names) | {"cryptography"}
    arguments = [str(ROOT / "packages" / "good" / "event.json"), "--vkey", LOG.vkey]
    # -P keeps the current directory off the path where there is one; this directory is empty anyway.
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "VERIFIED"), done
    assert [line[:3] for line in done.stdout.splitlines() if line.startswith("[")] == [
        "[1]",
        "[2]",
        "[3]",
        "[4]",
        "[4]",
        "[5]",
        "[6]",
        "[7]",
        "[8]",
        "[9]",
    ]


def test_the_good_files_are_of_the_stream_that_they_say() -> None:
    """The oracle of the oracle: the vectors hold the entries of the honest stream, and its policy."""
    receipt = json.loads((ROOT / "receipts" / "good" / "event.json").read_bytes())
    assert base64.b64decode(receipt["entry"]) == HONEST[TARGET]
    assert (ROOT / "policy.txt").read_text(encoding="utf-8") == POLICY
