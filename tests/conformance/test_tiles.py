"""The independent judge of whole logs: digests of 70,000 entries, a log of other people, and each fault that it must name."""

from __future__ import annotations

import gzip
import importlib.util
import json
import sys
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer
from threading import Thread
from types import ModuleType
from typing import Any

import pytest

from conformance.golden.honest import LOG, ORIGIN, OTHER
from tests.paths import REPOSITORY, VECTORS
from tlog.core.checkpoint import Checkpoint, open_checkpoint
from tlog.core.hashes import leaf_hash
from tlog.core.merkle import root_of
from tlog.core.note import parse_vkey, sign_note
from tlog.core.tiles import bundle_encode, entries_path, tile_path
from tlog.errors import InvalidInput, VerificationError

PROGRAM = REPOSITORY / "conformance" / "verifier" / "tiles.py"
CHECKPOINTS = REPOSITORY / "conformance" / "vectors"
DIGESTS = CHECKPOINTS / "tiles"
INDEX: dict[str, Any] = json.loads((CHECKPOINTS / "index.json").read_bytes())["files"]
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


@pytest.mark.parametrize("path", [path for path in INDEX if path.startswith("checkpoints/")])
def test_checkpoints_are_read_as_elsewhere(path: str) -> None:
    try:
        opened = program.open_checkpoint((CHECKPOINTS / path).read_bytes(), LOG.vkey) is not None
    except program.NotVerifiedError:
        opened = False
    assert opened == INDEX[path]["opens"]


@pytest.mark.parametrize(
    ("line", "good"),
    [
        ("\u2014 w.example AAAAAAA=\n" * 99, True),
        ("\u2014 w.example AAAAAAA=\n" * 100, False),
        ("\u2014 w.example AAAA\n", False),
        ("\u2014 w.example AAAAAAB=\n", False),
        ("\u2014 w+example AAAAAAA=\n", False),
        ("\u2014 w.\x1fexample AAAAAAA=\n", False),
    ],
)
def test_lines_of_others_must_be_lines(line: str, good: bool) -> None:
    """As for `tlog verify`: a note is well formed in every line, or it is none."""
    data = note(1, bytes(32)) + line.encode()
    try:
        open_checkpoint(data, [parse_vkey(LOG.vkey)], ORIGIN)
        ours = True
    except (InvalidInput, VerificationError):
        ours = False
    try:
        program.open_checkpoint(data, LOG.vkey)
        theirs = True
    except program.NotVerifiedError:
        theirs = False
    assert (ours, theirs) == (good, good)


ANSWERS = {
    "no HTTP": b"hello\r\n\r\n",
    "cut short": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx",
    "a bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "no gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nx",
    "a broken gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    + gzip.compress(b"x")[:10]
    + b"\xff" * 9,
    "an endless header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    "nothing": b"",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_that_are_none(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a server sends, the last line says what is wrong."""

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            self.wfile.write(ANSWERS[name])

    with TCPServer(("127.0.0.1", 0), Handler) as server:
        asked = Thread(target=server.handle_request)
        asked.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        status, last = run(capsys, url, "--vkey", LOG.vkey)
        asked.join()
    assert (status, last[:14]) == (1, "NOT VERIFIED: ")


def test_files_and_addresses_that_are_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    absent = str(tmp_path / "absent")
    for arguments in (["digests", absent], ["log.example.com"], ["http://x", "--older", absent]):
        status, last = run(capsys, *arguments, "--vkey", LOG.vkey)
        assert (status, last[:14]) == (1, "NOT VERIFIED: ")


def test_the_formula_is_the_one_in_the_file() -> None:
    assert json.loads((DIGESTS / "70000.json").read_bytes())["entries"] == program.FORMULA
