"""Proves that a receipt of a batch carries the proof that its event would have alone; results of other forms are refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tlog.client.anchor import Anchor
from tlog.client.errors import BadAnswer
from tlog.client.models import BatchProof, Document, Receipt, VerifyResult, convert
from tlog.core.hashes import Hash, leaf_hash
from tlog.core.merkle import Node, root_of
from tlog.core.proofs import inclusion_proof, range_proof
from tlog.core.wire import b64encode

SIZES = 18
LEAVES = [leaf_hash(b"%d" % number) for number in range(SIZES)]


class Tree:
    """`NodeReader` over LEAVES."""

    def read_nodes(self, nodes: Sequence[Node]) -> list[Hash]:
        return [root_of(LEAVES[i << level : (i + 1) << level]) for level, i in nodes]


def batch(first: int, last: int, size: int) -> BatchProof:
    left, right = range_proof(first, last + 1, size, Tree())
    head = {"origin": "log.example.com/streams/x", "root": {"leaf_index": 9}}
    sides = {
        "left": [b64encode(node) for node in left],
        "right": [b64encode(node) for node in right],
    }
    made = BatchProof(head, {"first": first, "last": last, "tree_size": size, **sides})
    made.leaves.extend(b64encode(leaf) for leaf in LEAVES[first : last + 1])
    return made


def test_the_path_of_every_leaf_of_every_range() -> None:
    for size in range(1, SIZES + 1):
        for first in range(size):
            for last in range(first, size):
                proof = batch(first, last, size)
                for index in range(first, last + 1):
                    path = [b64encode(node) for node in inclusion_proof(index, size, Tree())]
                    assert proof.inclusion(index) == {
                        "origin": "log.example.com/streams/x",
                        "leaf_index": index,
                        "tree_size": size,
                        "hashes": path,
                    }


def test_no_path_of_a_leaf_outside() -> None:
    with pytest.raises(LookupError):
        batch(4, 7, 16).inclusion(1)


def test_a_receipt_of_a_batch_is_complete(tmp_path: Path) -> None:
    document = {"event_id": "evt_1", "sequence_counter": 5, "stream_id": "a:b:c"}
    proof = batch(4, 7, 16)
    receipt = Receipt(document, log_key_pinned=True, batch=proof)
    complete = {**document, "inclusion": proof.inclusion(5), "root": {"leaf_index": 9}}
    assert receipt.raw == complete
    assert (receipt.inclusion, receipt.root) == (complete["inclusion"], complete["root"])
    receipt.save(tmp_path / "receipt.json")
    assert json.loads((tmp_path / "receipt.json").read_text()) == complete
    alone = Receipt(complete, log_key_pinned=False)
    assert alone.raw == complete
    assert (alone.inclusion, alone.root) == (receipt.inclusion, receipt.root)
    assert "evt_1" in repr(alone)


def test_results() -> None:
    lie = {"sequence": 7, "check": "chain", "detail": "", "more": 1}
    found = {"verified": False, "checked_count": 9, "tree_size": 9, "first_failure_sequence": 7}
    result = convert({**found, "failures": [lie], "withheld_count": 0}, VerifyResult)
    assert (result.verified, result.first_failure_sequence) == (False, 7)
    assert (result.failures[0].sequence, result.failures[0].check) == (7, "chain")
    day = {"date": "2026-03-20", "anchor_status": "pending", "anchor_created_at": None}
    anchor = convert(day, Anchor)
    assert (anchor.anchor_status, anchor.anchor_created_at, anchor.timestamps) == (
        "pending",
        None,
        [],
    )


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({}, VerifyResult),
        ({"verified": "yes", "checked_count": 1, "tree_size": 1}, VerifyResult),
        ({"verified": True, "checked_count": 1, "tree_size": 1, "failures": [1]}, VerifyResult),
        ({"date": "2026-03-20"}, Anchor),
        ({"date": "2026-03-20", "anchor_status": 5}, Anchor),
    ],
)
def test_results_of_another_form_are_refused(document: dict[str, Any], kind: type[Any]) -> None:
    with pytest.raises(BadAnswer, match=kind.__name__):
        convert(document, kind)


def test_documents_read_like_dicts() -> None:
    document = Document({"a": 1, "b": None})
    assert dict(document) == {"a": 1, "b": None}
    assert len(document) == 2
    assert "b" in document
    assert document.get("c") is None
