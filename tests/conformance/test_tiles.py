"""The independent judge of whole logs: digests of 70,000 entries, a log of other people, and each fault that it must name."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from conformance.golden.honest import LOG, ORIGIN, OTHER
from tests.paths import REPOSITORY, VECTORS
from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import leaf_hash
from tlog.core.merkle import root_of
from tlog.core.note import sign_note
from tlog.core.tiles import bundle_encode, entries_path, tile_path

PROGRAM = REPOSITORY / "conformance" / "verifier" / "tiles.py"
DIGESTS = REPOSITORY / "conformance" / "vectors" / "tiles"
TESSERA = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
ENTRIES = [b"entry %d" % number for number in range(300)]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("independent_tiles", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


program = load()


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    before, sys.argv = sys.argv, [str(PROGRAM), *arguments]
    try:
        status = program.main()
    finally:
        sys.argv = before
    return status, capsys.readouterr().out.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("70000", "VERIFIED"),
        ("70000-one-digest-altered", "NOT VERIFIED: the digest of tile/0/273.p/112 is another"),
    ],
)
def test_digests(name: str, last: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(capsys, "digests", str(DIGESTS / f"{name}.json"), "--vkey", LOG.vkey)
    assert found == (int(last != "VERIFIED"), last)


def test_a_log_of_other_people() -> None:
    log = VECTORS / "tessera-log"
    if not log.is_dir():
        pytest.skip(f"no vectors at {log}: set TLOG_VECTORS")

    def read(path: str) -> bytes:
        return (log / path).read_bytes()

    older = [(log / f"checkpoint.{size}").read_bytes() for size in range(16)]
    program.verify_log(read, TESSERA, older)


def log_of(entries: list[bytes]) -> dict[str, bytes]:
    """All that a log of up to 65,535 entries serves."""
    leaves = [leaf_hash(entry) for entry in entries]
    served = {}
    for first in range(0, len(entries), 256):
        part = entries[first : first + 256]
        served[entries_path(first // 256, len(part))] = bundle_encode(part)
        served[tile_path(0, first // 256, len(part))] = b"".join(leaves[first : first + 256])
    full = [root_of(leaves[at : at + 256]) for at in range(0, len(leaves) // 256 * 256, 256)]
    if full:
        served[tile_path(1, 0, len(full))] = b"".join(full)
    served["checkpoint"] = note(len(entries), root_of(leaves))
    return served


def note(size: int, root: Any) -> bytes:
    return sign_note(Checkpoint(ORIGIN, size, root).body(), [LOG])


HONEST = log_of(ENTRIES)
HEAD = Checkpoint(ORIGIN, 300, root_of([leaf_hash(entry) for entry in ENTRIES]))
OTHERS = log_of([*ENTRIES[:17], b"another", *ENTRIES[18:]])
OLD = note(200, root_of([leaf_hash(entry) for entry in ENTRIES[:200]]))
FAULTS: dict[str, tuple[str, bytes]] = {
    "another key": ("checkpoint", sign_note(HEAD.body(), [OTHER])),
    "a signature altered": (
        "checkpoint",
        HONEST["checkpoint"].replace(b"\n300\n", b"\n301\n"),
    ),
    "an extension line": ("checkpoint", sign_note(HEAD.body() + b"x\n", [LOG])),
    "another root": ("checkpoint", OTHERS["checkpoint"]),
    "another entry": ("tile/entries/000", OTHERS["tile/entries/000"]),
    "an entry missing": ("tile/entries/001.p/44", bundle_encode(ENTRIES[256:299])),
    "an entry too many": ("tile/entries/001.p/44", bundle_encode([*ENTRIES[256:], b""])),
    "another tile": ("tile/0/000", OTHERS["tile/0/000"]),
    "a stale tile": ("tile/0/001.p/44", HONEST["tile/0/001.p/44"][:-32]),
    "another tile above": ("tile/1/000.p/1", OTHERS["tile/1/000.p/1"]),
}


def test_an_honest_log() -> None:
    program.verify_log(HONEST.__getitem__, LOG.vkey, [OLD, note(300, HEAD.root)])
    program.verify_log(log_of([]).__getitem__, LOG.vkey, [])


@pytest.mark.parametrize("name", FAULTS)
def test_faults(name: str) -> None:
    path, data = FAULTS[name]
    assert HONEST[path] != data
    with pytest.raises(program.NotVerifiedError):
        program.verify_log({**HONEST, path: data}.__getitem__, LOG.vkey, [])


def test_a_history_that_changed() -> None:
    for older in (note(200, HEAD.root), note(301, HEAD.root), sign_note(b"x\n1\ny\n", [LOG])):
        with pytest.raises(program.NotVerifiedError):
            program.verify_log(HONEST.__getitem__, LOG.vkey, [older])


def test_what_does_not_answer(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, last = run(capsys, (tmp_path / "none").as_uri(), "--vkey", LOG.vkey)
    assert (status, last[:26]) == (1, "NOT VERIFIED: checkpoint: ")


def test_the_formula_is_the_one_in_the_file() -> None:
    assert json.loads((DIGESTS / "70000.json").read_bytes())["entries"] == program.FORMULA
