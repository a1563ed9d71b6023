"""The offline judge finds every planted lie and names its sequence; and the seed's own formula gives our block hash.

`compute_block_hash` and `verify_chain` are taken from the seed's text and run as they stand there.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness import STREAM, TestLog, new_log
from tests.paths import SHARED
from tlog.errors import CorruptStore
from tlog.fsck import Report, chain_and_leaves, verify_stream
from tlog.inspection import Inspection
from tlog.sequencer import integrate
from tlog.store import layout

EVENTS = 600


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 600 events: two full bundles and a tail, commits of one and of many."""
    directory = new_log(tmp_path_factory.mktemp("honest") / "log")
    with TestLog(directory) as log:
        for n in range(20):
            log.append([log.prepare(payload={"n": n}, **members(n))])
        log.append([log.prepare(payload={"n": n}, **members(n)) for n in range(20, EVENTS)])
        log.check()
    return directory


def members(n: int) -> dict[str, Any]:
    return {
        "actor": {"type": "SERVICE", "id": f"svc-{n:04d}"},
        "producer": {"id": "scorer", "sequence": n + 1},
        "model_id": f"model-{n:04d}",
    }


@pytest.fixture
def copy(honest: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(honest, tmp_path / "copy"))


def judged(directory: Path) -> Report:
    with Inspection.open(directory, {}) as inspection:
        return inspection.verify(STREAM)


def edit(directory: Path, old: bytes, new: bytes) -> None:
    """Change bytes of the store everywhere: LMDB leaves old copies of pages in the file."""
    assert len(old) == len(new)
    data = directory / "log" / "data.mdb"
    content = data.read_bytes()
    assert old in content
    data.write_bytes(content.replace(old, new))


def test_the_honest_log_is_verified(honest: Path) -> None:
    """Nothing is found where nothing is wrong, and everything was looked at."""
    report = judged(honest)
    assert report == report._replace(verified=True, failures=[], first_failure_sequence=None)
    assert report.checked_count == report.tree_size == EVENTS + 1
    with Inspection.open(honest, {}) as inspection:
        assert inspection.verify_root() == []


@pytest.mark.parametrize("n", [0, 1, 18, 19, 20, 255, 256, 300, 511, 512, 598, 599])
def test_one_changed_byte_is_named_by_its_sequence(copy: Path, n: int) -> None:
    """One character of one stored entry, wherever it is: its sequence is the first failure."""
    edit(copy, b'"svc-%04d"' % n, b'"svx-%04d"' % n)
    report = judged(copy)
    assert not report.verified
    assert report.first_failure_sequence == n + 1


@pytest.mark.parametrize("n", [0, 100, 597, 598])
def test_edited_link_is_named(copy: Path, n: int) -> None:
    """A previousHash that was edited accuses its own entry, not its predecessor."""
    with TestLog(copy, start=False) as log:
        entry = log.log.reader.leaf(2, n + 1).record.entry
    link = re.search(rb'"previousHash":"sha256:([0-9a-f]{64})"', entry)
    assert link is not None
    at = entry.index(link[1])
    old = entry[at - 20 :]
    new = entry[at - 20 : at] + (b"0" if link[1][:1] != b"0" else b"1") + entry[at + 1 :]
    edit(copy, old, new)
    assert judged(copy).first_failure_sequence == n + 1


def test_edited_genesis_link_is_found(copy: Path) -> None:
    """The zeros before the first entry are checked too."""
    edit(copy, b'"sha256:' + b"0" * 64 + b'"', b'"sha256:' + b"0" * 63 + b'1"')
    assert judged(copy).first_failure_sequence == 0


def rewritten(directory: Path, tmp_path: Path, change: Callable[[Any, Any], None]) -> Report:
    """Judge a store whose records were changed inside LMDB, without the start-up checks."""
    with TestLog(directory, start=False) as log:
        store = log.log.store
        with store.env.begin(write=True) as txn:
            change(store, txn)
    return judged(directory)


def test_cut_tail_is_found(copy: Path, tmp_path: Path) -> None:
    """The last commit of the journal is deleted: what the root log promised is missing."""

    def cut(store: Any, txn: Any) -> None:
        row = store.commit_row()
        for number in range(row.first_chunk + 1, row.next_chunk - 1):
            txn.delete(layout.u64(number), db=store.db["journal"])

    with pytest.raises(CorruptStore, match="missing"):
        rewritten(copy, tmp_path, cut)


def test_changed_tile_is_found(copy: Path, tmp_path: Path) -> None:
    """A flipped bit in a stored tile is found although every entry is whole."""

    def flip(store: Any, txn: Any) -> None:
        key = layout.tile_key(2, 0, 1)
        tile = bytearray(txn.get(key, db=store.db["tiles"]))
        tile[32 * 17] ^= 1
        txn.put(key, bytes(tile), db=store.db["tiles"])

    report = rewritten(copy, tmp_path, flip)
    assert [(f.sequence, f.check) for f in report.failures] == [(256 + 17, "tile")]


def test_changed_payload_is_found(copy: Path, tmp_path: Path) -> None:
    """A sealed payload that was replaced by another event's is not what the entry commits to."""
    with TestLog(copy, start=False) as log:
        one, two = (log.log.reader.leaf(2, n).record.sealed for n in (30, 31))
    edit(copy, one, two)
    report = judged(copy)
    assert [(f.sequence, f.check) for f in report.failures] == [(30, "payload")]


@pytest.fixture
def lying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Report]:
    """A log whose operator writes entries of his own making: every hash valid, every tree right."""

    def lie(change: Callable[[bytes], bytes]) -> Report:
        directory = new_log(tmp_path / "lying")
        honest_splice = integrate.splice
        with TestLog(directory) as log:
            log.append([log.prepare(payload={"n": n}, **members(n)) for n in range(5)])
            monkeypatch.setattr(integrate, "splice", lambda *a, **k: change(honest_splice(*a, **k)))
            log.append([log.prepare(payload={"n": 5}, **members(5))])
            monkeypatch.undo()
            log.append([log.prepare(payload={"n": n}, **members(n)) for n in range(6, 9)])
            from tlog.reader import Reader

            return verify_stream(Reader(log.log.source), STREAM, vault=log.log.vault)

    return lie


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.replace(b'"severity":"INFO"', b'"severity":"INFO","severity":"INFO"'),
        lambda entry: entry.replace(b'"payload":{', b'"payload": {', 1),
        lambda entry: entry.replace(b"INFO", b"\\u0049NFO"),
        lambda entry: entry.replace(b'"v":1', b'"v":1.0'),
        lambda entry: entry.replace(b'"v":1', b'"v":1,"x":1'),
        lambda entry: entry.replace(b'"chainPosition":6', b'"chainPosition":5'),
        lambda entry: entry.replace(b'"severity":"INFO"', b'"severity":"LOUD"'),
        lambda entry: entry.replace(b"acme:prod:scorer", b"acme:prod:scores"),
        lambda entry: entry.replace(b'"sequence":6', b'"sequence":7'),
        lambda entry: re.sub(rb'"root":"sha256:.', b'"root":"sha256:g', entry),
        lambda entry: re.sub(rb'"timestamp":"20', b'"timestamp":"19', entry),
    ],
    ids=[
        "duplicate-member", "space", "escape", "number-spelling", "unknown-member", "position",
        "unknown-severity", "other-stream", "producer-gap", "bad-root", "back-in-time",
    ],
)  # fmt: skip
def test_valid_hashes_do_not_make_an_entry_true(
    lying: Callable[..., Report], change: Callable[[bytes], bytes]
) -> None:
    """An entry that breaks the rules is a lie although chain, tree and head all fit it."""
    report = lying(change)
    assert not report.verified
    assert report.first_failure_sequence == 6


# --- Audital's formula -------------------------------------------------------------------------


def seed_functions() -> dict[str, Any]:
    """`compute_block_hash` and `verify_chain`, as the seed prints them."""
    path = SHARED / "seeds" / "audital-core-concepts.txt"
    if not path.exists():
        pytest.skip(f"the seed is not at {path}")
    text = path.read_text()
    names: dict[str, Any] = {}
    start = text.index("import hashlib")
    exec(text[start : text.index("# Example chain")], names)
    start = text.index("def verify_chain")
    exec(text[start : text.index("Evidence Packages", start)], names)
    return names


def test_their_formula_gives_our_block_hash(tmp_path: Path) -> None:
    """compute_block_hash over (previousHash, record, timestamp) of 1,000 stored entries is our blockHash."""
    compute = seed_functions()["compute_block_hash"]
    directory = new_log(tmp_path / "log")
    with TestLog(directory) as log:
        for start in range(0, 1000, 100):
            log.append(
                [log.prepare(payload={"n": n}, **members(n)) for n in range(start, start + 100)]
            )
        raws = [one.record.entry for one in log.log.reader.entries(2, 0, 1001)]
    _, _, last = chain_and_leaves(raws, "sha256:" + "0" * 64)
    entries = [json.loads(raw) for raw in raws]
    hashes = [compute(e["previousHash"], e["payload"], e["timestamp"]) for e in entries]

    assert len(hashes) == 1001
    assert hashes[:-1] == [entry["previousHash"] for entry in entries[1:]]
    assert hashes[-1] == last


def test_what_their_chain_check_misses(honest: Path, tmp_path: Path) -> None:
    """Edits that verify_chain of the seed lets pass are all found here (the tests above plant the same)."""
    verify_chain = seed_functions()["verify_chain"]
    with TestLog(Path(shutil.copytree(honest, tmp_path / "copy")), start=False) as log:
        raws = [one.record.entry for one in log.log.reader.entries(2, 0, 50)]
    blocks = []
    for raw in raws:
        entry = json.loads(raw)
        _, _, block_hash = chain_and_leaves([raw], "")
        blocks.append(
            {**entry["payload"], "previousHash": entry["previousHash"], "blockHash": block_hash}
        )
    assert verify_chain(blocks)
    edits: list[list[dict[str, Any]]] = [
        [{**block, "modelId": "other"} if n == 7 else block for n, block in enumerate(blocks)],
        [{**block, "actor": {}} if n == 7 else block for n, block in enumerate(blocks)],
        blocks[:-5],
        [{**blocks[0], "previousHash": "sha256:" + "f" * 64}, *blocks[1:]],
    ]
    assert all(verify_chain(edited) for edited in edits)
