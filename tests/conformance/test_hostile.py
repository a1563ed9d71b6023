"""Whatever file the independent verifier is given, it ends soon and with a verdict, and with that of the project."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.golden.honest import HONEST, PUBLIC, stream_entries
from tests.conformance.test_verifier import INDEX, ROOT, program, run
from tlog.core.canonical import canonical
from tlog.core.entry import parse_entry, parse_frame
from tlog.errors import InvalidInput
from tlog.verdicts import Held, verify_file

VKEY = INDEX["keys"]["log"]
RECEIPT: dict[str, Any] = json.loads((ROOT / "receipts/good/event.json").read_bytes())
PACKAGE: dict[str, Any] = json.loads((ROOT / "packages/good/event.json").read_bytes())


def verdicts(
    capsys: pytest.CaptureFixture[str], path: Path, data: bytes, *options: str
) -> tuple[bool, bool]:
    """Whether the project and verify.py accept these bytes."""
    path.write_bytes(data)
    judged = verify_file(data, VKEY, None, Held(base64.b64decode(RECEIPT["entry"])))
    status, last = run(capsys, path, *options)
    assert last == "VERIFIED" if status == 0 else last.startswith("NOT VERIFIED: ")
    return judged.verified, status == 0


def changed(document: dict[str, Any], name: str, text: str) -> bytes:
    """The document with another JSON text as the value of a member."""
    return json.dumps({**document, name: "HERE"}).replace('"HERE"', text).encode()


@pytest.mark.parametrize("name", ["block_hash", "salt"])
@pytest.mark.parametrize("levels", [31, 32, 600, 3000])
@pytest.mark.parametrize(("left", "right"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    levels: int,
    left: str,
    right: str,
) -> None:
    data = changed(RECEIPT, name, left * levels + "1" + right * levels)
    accepted = name == "salt" and levels == 31  # the salt binds nothing until a payload is compared
    assert verdicts(capsys, tmp_path / "file", data) == (accepted, accepted)


@pytest.mark.parametrize("value", ["true", "5", "1.5", '"x"', "{}", "[[]]", "null"])
def test_anchors_of_another_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    """They are not checked here, and without roots of authorities not there: they show no time."""
    data = changed(PACKAGE, "anchors", value)
    assert verdicts(capsys, tmp_path / "file", data) == (True, True)


@pytest.mark.parametrize("last", [10**9, 2**53 - 1])
def test_a_range_that_claims_more_than_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], last: int
) -> None:
    """A list of that many numbers would fill the memory."""
    batch = json.loads((ROOT / "batches/good/two-streams-and-a-replay.json").read_bytes())
    for proof in batch["ranges"].values():
        proof["last"] = last
    data = json.dumps(batch).encode()
    assert verdicts(capsys, tmp_path / "file", data) == (False, False)


@pytest.mark.parametrize("label", [b"\x80", b"\xa0", b"\xd2\x80", b"\xf6"])
def test_cbor_labels_that_no_map_can_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], label: bytes
) -> None:
    good = (ROOT / "cose/good/event.cose").read_bytes()
    subject = good.index(b"\x02\x78")
    data = good[:subject] + label + good[subject + 1 :]
    entry = tmp_path / "entry"
    entry.write_bytes(base64.b64decode(RECEIPT["entry"]))
    assert verdicts(capsys, tmp_path / "file", data, "--entry", str(entry)) == (False, False)


@pytest.mark.parametrize("value", ["[]", '"x"', '{"payload": 5}', '{"payload": {}, "actor": []}'])
def test_a_payload_that_is_no_event(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    payload = tmp_path / "payload"
    payload.write_text(value.replace("{", '{"event_type": "x",', 1))
    status, last = run(capsys, ROOT / "receipts/good/event.json", "--payload", str(payload))
    assert (status, last[:14]) == (1, "NOT VERIFIED: ")


@pytest.mark.parametrize("name", ["absent", "."])
def test_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    status, last = run(capsys, tmp_path / name)
    assert (status, last[:14]) == (1, "NOT VERIFIED: ")


GENESIS: dict[str, Any] = json.loads(HONEST[0])
WRONG: dict[str, Any] = {
    "schema": 2,
    "keys": [],
    "root": {"size": -1, "hash": "x"},
    "more": 1,
}


def judged(
    entry: dict[str, Any], parse: Callable[[bytes], object] = parse_entry
) -> tuple[bool, bool]:
    """Whether the project and verify.py take this for an entry."""
    data = canonical(entry)
    try:
        parse(data)
        ours = True
    except InvalidInput:
        ours = False
    try:
        event = program.Event({"entry": base64.b64encode(data).decode()})
        program.check_entry(event)
        theirs = True
    except program.NotVerifiedError:
        theirs = False
    return ours, theirs


def test_the_entry_that_opens_a_stream() -> None:
    """Class and form of a genesis are part of schema 1."""
    assert judged(GENESIS) == (True, True)
    assert judged(with_record(GENESIS, eventClass="DATA")) == (False, False)
    system = GENESIS["payload"]["system"]
    for name in system:
        without = {other: value for other, value in system.items() if other != name}
        assert judged(with_record(GENESIS, system=without)) == (False, False), name
    for name, value in WRONG.items():
        wrong = with_record(GENESIS, system={**system, name: value})
        assert judged(wrong) == (False, False), name


def with_record(entry: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {**entry, "payload": {**entry["payload"], **members}}


def test_null_in_a_schema_that_came_later() -> None:
    """Only of schema 1 it is known that it has none."""
    assert judged(with_record(GENESIS, v=2, more=None), parse_frame) == (True, True)
    assert judged(with_record(GENESIS, v=2, more=1.5), parse_frame) == (False, False)
    assert judged(with_record(GENESIS, modelId=None)) == (False, False)


@pytest.mark.parametrize(
    "document", [RECEIPT, json.loads((ROOT / "receipts/good/genesis.json").read_bytes())]
)
@pytest.mark.parametrize(
    ("genesis", "good"),
    [
        (HONEST[0], True),
        (HONEST[0] + b"\n", False),
        (HONEST[1], False),
        (canonical(with_record(GENESIS, eventClass="DATA")), False),
        (canonical(with_record(GENESIS, colour="red")), False),
        (canonical({**GENESIS, "previousHash": "sha256:" + "1" * 64}), False),
        (canonical({**GENESIS, "timestamp": "2026-03-20T14:00:03.251Z"}), False),
        (
            canonical(
                with_record(
                    GENESIS, v=2, system={**GENESIS["payload"]["system"], "visibility": "x"}
                )
            ),
            True,
        ),
    ],
)
def test_a_genesis_must_be_an_entry(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    document: dict[str, Any],
    genesis: bytes,
    good: bool,
) -> None:
    """Of the genesis that is given all holds that holds of leaf 0; also when the event is leaf 0."""
    held, file = tmp_path / "genesis", tmp_path / "file"
    held.write_bytes(genesis)
    file.write_bytes(data := json.dumps(document).encode())
    judged = verify_file(data, VKEY, None, Held(genesis=genesis))
    status, last = run(capsys, file, "--genesis", str(held))
    assert (judged.verified, status) == (good, 0 if good else 1), last


@pytest.mark.parametrize(
    ("name", "genesis", "good"),
    [
        ("only-replayed", HONEST[0], True),
        ("only-replayed", HONEST[1], False),
        ("only-replayed", b"x", False),
        ("only-replayed", stream_entries(1, PUBLIC)[0], False),
        ("two-streams-and-a-replay", HONEST[0], False),
    ],
)
def test_the_genesis_of_a_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, genesis: bytes, good: bool
) -> None:
    """It is not ignored: it fits every stream in the batch."""
    held, file = tmp_path / "genesis", ROOT / f"batches/good/{name}.json"
    held.write_bytes(genesis)
    judged = verify_file(file.read_bytes(), VKEY, None, Held(genesis=genesis))
    status, last = run(capsys, file, "--genesis", str(held))
    assert (judged.verified, status) == (good, 0 if good else 1), last


@pytest.mark.parametrize(("count", "good"), [(99, True), (100, False)])
def test_a_note_with_many_signatures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int, good: bool
) -> None:
    """A note has at most 100, for all who read one."""
    document = json.loads(json.dumps(RECEIPT))
    document["root"]["checkpoint"] += "\u2014 w.example AAAAAAA=\n" * count
    data = json.dumps(document).encode()
    assert verdicts(capsys, tmp_path / "file", data) == (good, good)


@pytest.mark.parametrize("number", ["1.0", "1e0", "true", '"1"'])
def test_the_version_of_a_fork_proof(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: str
) -> None:
    """It is an integer, for `tlog proof verify` as for a witness and for verify.py."""
    good = (ROOT / "forks/good/root-log.json").read_bytes()
    assert verify_file(good, VKEY).fork
    data = good.replace(b'"version": 1,', f'"version": {number},'.encode())
    assert not verify_file(data, VKEY).fork
    assert verdicts(capsys, tmp_path / "file", data) == (False, False)
