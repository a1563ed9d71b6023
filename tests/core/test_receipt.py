"""Receipts: written as JSON would write them; verified with every binding, and no character can be changed.

The vectors show one broken binding each, signed where the log could sign it; the exhaustive changes show that
nothing in a receipt is left unbound but the salt, which binds to the submitter's values, and `replayed`.
"""

from __future__ import annotations

import copy
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.golden import documents
from conformance.golden.honest import (
    HONEST,
    LOG,
    MS,
    NUMBER,
    PUBLIC,
    SIZE,
    STREAM,
    STREAM_ORIGIN,
    TARGET,
    Json,
    base_record,
    block,
    entry_of,
    prove,
    receipt,
)
from tests.core.documents import (
    INDEX,
    json_values,
    load,
    one_character_changes,
    places,
    vectors,
    with_value,
)
from tlog.core.binding import hashes, natural
from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import leaf_hash
from tlog.core.ids import event_id
from tlog.core.note import Verifier, parse_vkey
from tlog.core.receipt import Place, Range, batch_json, receipt_json, verify_batch, verify_receipt
from tlog.core.times import format_ms
from tlog.errors import VerificationError

KEY = parse_vkey(LOG.vkey)
GOOD = receipt(prove())

digests = st.lists(st.binary(min_size=32, max_size=32), max_size=63)


def b64(data: bytes) -> str:
    return b64encode(data).decode()


@given(
    digests,
    digests,
    st.binary(max_size=200),
    st.none() | st.binary(min_size=32, max_size=32),
    st.text(max_size=20),
    st.booleans(),
    st.booleans(),
)
def test_receipt_is_the_json_of_its_values(
    path: list[bytes],
    above: list[bytes],
    entry: bytes,
    salt: bytes | None,
    origin: str,
    flag: bool,
    replayed: bool,
) -> None:
    note = f"{origin}\n5\n\n\u2014 {origin}".encode("utf-8", "surrogatepass").decode(
        errors="replace"
    )
    origin = origin.encode("utf-8", "surrogatepass").decode(errors="replace")
    raw = receipt_json(
        event_id=event_id(MS, NUMBER, 9),
        stream_id=STREAM,
        index=9,
        timestamp=format_ms(MS),
        block_hash=block(entry),
        previous_hash=block(b""),
        leaf=leaf_hash(entry),
        velocity_flag=flag,
        replayed=replayed,
        entry=entry,
        salt=salt,
        origin=origin,
        inclusion=(12, path),
        root=Place(3, 5, above, note.encode()),
    )
    expected: Json = {
        "event_id": event_id(MS, NUMBER, 9),
        "stream_id": STREAM,
        "sequence_counter": 9,
        "timestamp": format_ms(MS),
        "block_hash": block(entry),
        "previous_hash": block(b""),
        "leaf_hash": b64(leaf_hash(entry)),
        "velocity_flag_triggered": flag,
        "replayed": replayed,
        "entry": b64(entry),
        **({} if salt is None else {"salt": b64(salt)}),
        "inclusion": {
            "origin": origin,
            "leaf_index": 9,
            "tree_size": 12,
            "hashes": [b64(digest) for digest in path],
        },
        "root": {
            "leaf_index": 3,
            "tree_size": 5,
            "hashes": [b64(digest) for digest in above],
            "checkpoint": note,
        },
    }
    assert list(json.loads(raw).items()) == list(expected.items())


def refused(verify: Callable[[Any, Verifier], object], document: Any) -> bool:
    try:
        verify(document, KEY)
    except VerificationError:
        return True
    return False


def minimal(**members: Any) -> bytes:
    return receipt_json(
        event_id=event_id(MS, NUMBER, 9),
        stream_id=STREAM,
        index=9,
        timestamp=format_ms(MS),
        block_hash=block(b""),
        previous_hash=block(b""),
        leaf=leaf_hash(b""),
        velocity_flag=False,
        replayed=False,
        **members,
    )


def test_minimal_receipt_has_neither_entry_nor_proof() -> None:
    absent = {"entry", "salt", "inclusion", "root"}
    assert absent.isdisjoint(json.loads(minimal()))
    with pytest.raises(VerificationError):
        verify_receipt(json.loads(minimal()), KEY)


def test_path_without_the_origin_of_its_tree_is_a_fault_of_the_program() -> None:
    with pytest.raises(AssertionError, match="origin"):
        minimal(inclusion=(12, []))


@given(digests, digests)
def test_batch_is_the_json_of_its_values(left: list[bytes], right: list[bytes]) -> None:
    head = Checkpoint(STREAM_ORIGIN, 12, leaf_hash(b"root"))
    place = Place(3, 5, left, b"a note\n")
    proof = Range(4, 9, 12, left, right)
    raw = batch_json([b"{}", b'{"a":1}'], {STREAM: (head, place)}, {STREAM: proof})
    assert json.loads(raw) == {
        "receipts": [{}, {"a": 1}],
        "heads": {
            STREAM: {
                "origin": STREAM_ORIGIN,
                "tree_size": 12,
                "root_hash": b64(head.root),
                "root": {
                    "leaf_index": 3,
                    "tree_size": 5,
                    "hashes": [b64(digest) for digest in left],
                    "checkpoint": "a note\n",
                },
            }
        },
        "ranges": {
            STREAM: {
                "first": 4,
                "last": 9,
                "tree_size": 12,
                "left": [b64(digest) for digest in left],
                "right": [b64(digest) for digest in right],
            }
        },
    }
    assert json.loads(batch_json([], {}, {})) == {"receipts": [], "heads": {}, "ranges": {}}


def test_verified_receipt_says_where_the_entry_is() -> None:
    verified = verify_receipt(GOOD, KEY)
    assert verified.entry.raw == HONEST[TARGET]
    assert (verified.leaf_index, verified.tree_size) == (TARGET, SIZE)
    assert verified.head == prove().head
    assert (verified.root.origin, verified.root.size) == (LOG.name, 5)
    assert verified.note.data.decode() == GOOD["root"]["checkpoint"]


@pytest.mark.parametrize("path", vectors("receipts"))
def test_vectors(path: str) -> None:
    if INDEX[path]["integrity"] == INDEX[path]["position"] == "pass":
        verify_receipt(load(path), KEY)
    else:
        with pytest.raises(VerificationError) as caught:
            verify_receipt(load(path), KEY)
        assert str(caught.value) == str(VerificationError())


def test_no_character_of_a_receipt_can_be_changed() -> None:
    for path, document in one_character_changes(GOOD):
        if path in (("salt",), ("replayed",)):
            verify_receipt(document, KEY)
        else:
            assert refused(verify_receipt, document), f"{path} can be changed"


def test_no_member_can_be_left_out() -> None:
    for path, _ in places(GOOD):
        if not path or isinstance(path[-1], int):
            continue
        document = copy.deepcopy(GOOD)
        inner: Any = document
        for name in path[:-1]:
            inner = inner[name]
        del inner[path[-1]]
        if path in (("salt",), ("replayed",)):
            verify_receipt(document, KEY)
        else:
            with pytest.raises(VerificationError):
                verify_receipt(document, KEY)


@given(st.sampled_from([path for path, _ in places(GOOD) if path]), json_values)
def test_whatever_stands_in_a_member_the_answer_is_the_same(path: Any, value: Any) -> None:
    document = with_value(GOOD, path, value)
    if document == GOOD or path[0] in ("salt", "replayed"):
        return
    with pytest.raises(VerificationError):
        verify_receipt(document, KEY)


@given(json_values)
def test_any_json_is_refused_alike(value: Any) -> None:
    with pytest.raises(VerificationError):
        verify_receipt(value, KEY)
    with pytest.raises(VerificationError):
        verify_batch(value, KEY)


def test_genesis_decides_about_the_label() -> None:
    verify_receipt(GOOD, KEY, genesis=HONEST[0])
    for name in ("stream-number", "nonce", "label"):
        other = load(f"receipts/bad/genesis-with-another-{name}.json")["entry"]
        with pytest.raises(VerificationError):
            verify_receipt(GOOD, KEY, genesis=b64decode(other))
    public = load("receipts/good/public-stream.json")
    with pytest.raises(VerificationError):
        verify_receipt(public, KEY, genesis=HONEST[0])
    # Of a schema that is not known only these bindings are looked at.
    system = base_record(0)["system"]
    not_first = base_record(1) | {"v": 2, "system": system}
    of_another = base_record(0, PUBLIC) | {"v": 2, "system": system}
    unbound = base_record(0) | {"v": 2, "organisationId": "other"}
    for record in (not_first, of_another, unbound):
        previous = "sha256:" + ("0" if record["chainPosition"] == 0 else "1") * 64
        with pytest.raises(VerificationError):
            verify_receipt(GOOD, KEY, genesis=entry_of(record, previous))
    verify_receipt(GOOD, KEY, genesis=entry_of(base_record(0) | {"v": 2}, "sha256:" + "0" * 64))
    with pytest.raises(VerificationError):  # an entry, but not the first
        verify_receipt(GOOD, KEY, genesis=HONEST[1])


def test_members_are_read_within_bounds() -> None:
    assert natural({"n": 2**63 - 1}, "n") == 2**63 - 1
    for value in (-1, 2**63, True, 1.0, "1", None):
        with pytest.raises(VerificationError):
            natural({"n": value}, "n")
    digest = b64(bytes(32))
    assert hashes({"hashes": [digest] * 63}) == [bytes(32)] * 63
    with pytest.raises(VerificationError):
        hashes({"hashes": [digest] * 64})


def test_batch_is_verified_in_its_order() -> None:
    answer = documents.batch()
    verified = verify_batch(answer, KEY)
    assert [(one.entry.record["streamId"], one.leaf_index) for one in verified] == [
        (STREAM, 1),
        (STREAM, 3),
        (STREAM, 4),
        (PUBLIC, 1),
        (PUBLIC, 2),
    ]
    assert [one.entry.raw for one in verified[:3]] == [HONEST[1], HONEST[3], HONEST[4]]
    assert verify_batch({"receipts": [], "heads": {}, "ranges": {}}, KEY) == []


@pytest.mark.parametrize("path", vectors("batches"))
def test_batch_vectors(path: str) -> None:
    if INDEX[path]["integrity"] == "fail":
        with pytest.raises(VerificationError):
            verify_batch(load(path), KEY)
    else:
        assert bool(verify_batch(load(path), KEY)) is (INDEX[path]["integrity"] == "pass")


def test_no_character_of_a_batch_can_be_changed() -> None:
    step = 1 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 23
    for path, document in one_character_changes(documents.batch(), step):
        if path[-1] == "salt":
            continue
        assert refused(verify_batch, document), f"{path} can be changed"
