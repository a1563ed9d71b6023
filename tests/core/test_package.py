"""Proof packages: built as the vectors say, verified with every binding, and no character can be changed.

What is peculiar to packages: the stream's own note, the decision surface, a root that may be missing, and
the witnesses' quorum with its time.
"""

from __future__ import annotations

from typing import Any

import pytest

from conformance.golden.documents import AT
from conformance.golden.honest import (
    HONEST,
    LOG,
    OTHER,
    POLICY,
    SIZE,
    TARGET,
    W1,
    W2,
    Json,
    package,
    prove,
)
from tests.core.documents import INDEX, load, one_character_changes, vectors
from tlog.core.note import parse_vkey, vkey_for
from tlog.core.package import build_package, verify_package
from tlog.core.policy import Policy, parse_policy
from tlog.core.wire import b64decode
from tlog.errors import InvalidInput, VerificationError

KEY = parse_vkey(LOG.vkey)
BOTH = parse_policy(POLICY.encode())
COSIGNED = prove(cosigned=(W1.at(AT), W2.at(AT + 2)))
GOOD = package(COSIGNED)


def policy(quorum: str, log: str = f"log {LOG.vkey}\n") -> Policy:
    return parse_policy(f"{log}witness w1 {W1.vkey}\nwitness w2 {W2.vkey}\n{quorum}\n".encode())


def refused(document: Any, trusted: Policy | None = None, genesis: bytes | None = None) -> bool:
    try:
        verify_package(document, KEY, trusted, genesis)
    except VerificationError:
        return True
    return False


@pytest.mark.parametrize("index", [TARGET, 0, 3, SIZE - 1])
def test_build_writes_what_the_vectors_hold(index: int) -> None:
    proof = prove(index=index, cosigned=(W1.at(AT),))
    anchors = [{"reply": "x"}]
    built = build_package(
        entry=proof.entry,
        tree_size=proof.head.size,
        hashes=proof.path,
        checkpoint=proof.note,
        root=proof.place,
        anchors=anchors,
    )
    assert built == {**package(proof), "anchors": anchors}


def test_build_without_root_and_without_sense() -> None:
    given: Json = {"tree_size": SIZE, "hashes": COSIGNED.path, "checkpoint": COSIGNED.note}
    built = build_package(entry=COSIGNED.entry, **given)
    assert built == {name: value for name, value in GOOD.items() if name != "root"}
    with pytest.raises(InvalidInput):
        build_package(entry=COSIGNED.entry[:-1], **given)
    with pytest.raises(InvalidInput):
        build_package(entry=COSIGNED.entry, **{**given, "checkpoint": b"no note"})


def test_verified_package_says_what_is_proven() -> None:
    verified = verify_package(GOOD, KEY, BOTH, genesis=HONEST[0])
    assert verified.entry.raw == HONEST[TARGET]
    assert (verified.leaf_index, verified.head) == (TARGET, COSIGNED.head)
    assert verified.root is not None
    assert (verified.root.origin, verified.root.size) == (LOG.name, 5)
    assert verified.note is not None
    assert {signature.name for signature in verified.note.signatures} == {
        LOG.name,
        W1.name,
        W2.name,
    }
    assert verified.proven_at == AT + 2  # when the second of two had cosigned
    assert verify_package(GOOD, KEY).proven_at is None


@pytest.mark.parametrize("path", vectors("packages"))
def test_vectors(path: str) -> None:
    expected, document = INDEX[path], load(path)
    alone = expected["integrity"] == "pass" and expected["position"] in ("pass", "not shown")
    held = expected.get("held", {}).get("genesis")
    genesis = None if held is None else b64decode(load(held)["entry"])
    assert refused(document, None, genesis) == (not alone)
    witnessed = alone and expected["witnessed"] == "pass"
    assert refused(document, BOTH, genesis) == (not witnessed)


def test_no_character_of_a_package_can_be_changed() -> None:
    for path, document in one_character_changes(GOOD):
        assert refused(document, BOTH), f"{path} can be changed"


def test_unpublished_package_is_nothing_for_a_policy() -> None:
    unpublished = {name: value for name, value in GOOD.items() if name != "root"}
    verified = verify_package(unpublished, KEY)
    assert (verified.root, verified.note, verified.proven_at) == (None, None, None)
    assert refused(unpublished, BOTH)
    assert refused(unpublished, policy("quorum none"))


def test_policies() -> None:
    assert verify_package(GOOD, KEY, policy("quorum w1")).proven_at == AT
    assert verify_package(GOOD, KEY, policy("quorum w1", log="")).proven_at == AT
    assert verify_package(GOOD, KEY, policy("quorum none")).proven_at is None
    one = package(prove(cosigned=(W1.at(AT),)))
    assert not refused(one, policy("quorum w1"))
    assert refused(one, policy("quorum w2"))
    for other in (OTHER.vkey, vkey_for("log.example.org", LOG.public_key)):
        assert refused(GOOD, policy("quorum w1", log=f"log {other}\n"))


def test_another_key_or_name_of_the_log_is_another_log() -> None:
    for vkey in (OTHER.vkey, vkey_for("log.example.org", LOG.public_key)):
        with pytest.raises(VerificationError):
            verify_package(GOOD, parse_vkey(vkey))


def test_label_of_another_genesis_is_refused() -> None:
    other = HONEST[0].replace(b'"streamNumber":7', b'"streamNumber":8')
    for genesis in (other, HONEST[1], b"", b"{}"):
        with pytest.raises(VerificationError):
            verify_package(GOOD, KEY, genesis=genesis)
