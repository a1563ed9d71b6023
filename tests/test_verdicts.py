"""Four verdicts in words: each says what failed, and none claims what was not shown.

That every vector gets the verdicts it must get is shown in `tests/conformance`; here it is what they say.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.golden.documents import AT, batch
from conformance.golden.honest import LOG, POLICY, W1, W2, package, prove, receipt
from tests.core.documents import json_values, load, places, with_value
from tlog.core.note import parse_vkey
from tlog.core.policy import parse_policy
from tlog.errors import InvalidInput
from tlog.verdicts import APART_MS, Verdict, Verdicts, verify_document, verify_file

KEY = parse_vkey(LOG.vkey)
BOTH = parse_policy(POLICY.encode())
GOOD = package(prove(cosigned=(W1.at(AT), W2.at(AT + 2))))


def policy(text: str) -> Any:
    return parse_policy(f"log {LOG.vkey}\nwitness w1 {W1.vkey}\n{text}\n".encode())


def cosigned(seconds: int) -> Verdicts:
    proof = prove(cosigned=(W1.at(AT + seconds), W2.at(AT + seconds)))
    return verify_document(package(proof), KEY, BOTH)


def test_all_four_pass() -> None:
    verdicts = verify_document(GOOD, KEY, BOTH)
    assert verdicts.verified
    assert verdicts.lines() == [
        "integrity  PASS       The entry is unaltered and is number 5 of stream "
        "acme:prod:credit-decisions, counted from 0, in a tree of 7.",
        "position   PASS       The head of the stream is in the root log of log.example.com, "
        "signed at size 5.",
        "witnessed  PASS       The policy's quorum is met: cosigned by witness.example.net/w2, "
        "witness.example.org/w1.",
        "time       PASS       The log claims 2026-03-20T14:00:03.250Z; witnesses prove it existed "
        "at 2026-03-20T14:00:06.000Z.",
    ]
    assert verdicts.as_json()["time"] == {
        "verdict": "pass",
        "reason": verdicts.time.reason,
        "flagged": False,
        "claimed": "2026-03-20T14:00:03.250Z",
        "proven_by": "2026-03-20T14:00:06.000Z",
    }


@pytest.mark.parametrize("time", [253_402_300_800, 2**63 - 1])
def test_witnesses_whose_time_is_in_no_calendar_prove_none(time: int) -> None:
    """They saw the head, and that is all."""
    verdicts = cosigned(time - AT)
    assert (verdicts.witnessed.verdict, verdicts.time.verdict) == ("pass", "not shown")
    assert verdicts.verified
    assert verdicts.proven_by is None
    proof = prove(cosigned=(W1.at(AT), W2.at(time)))
    both = verify_document(package(proof), KEY, BOTH)
    assert (both.witnessed.verdict, both.time.verdict) == ("pass", "not shown")
    assert cosigned(253_402_300_799 - AT).time.flagged


def test_times_far_apart_are_flagged_and_impossible_ones_fail() -> None:
    near, far = cosigned(APART_MS // 1000 - 1), cosigned(APART_MS // 1000)
    assert (near.time.verdict, near.time.flagged) == ("pass", False)
    assert (far.time.verdict, far.time.flagged, far.verified) == ("pass", True, True)
    assert "60 s later: the claim rests on the log's word" in far.time.reason
    skewed, early = cosigned(-60), cosigned(-62)
    assert (skewed.time.verdict, skewed.time.flagged) == ("pass", False)
    assert (early.time.verdict, early.verified) == ("fail", False)
    assert "61 s before that time" in early.time.reason


def test_what_is_not_shown_is_not_claimed() -> None:
    verdicts = verify_document(GOOD, KEY)
    assert (verdicts.witnessed.verdict, verdicts.time.verdict) == ("not shown", "not shown")
    assert "No policy" in verdicts.witnessed.reason
    assert verdicts.proven_by is None
    assert verdicts.verified  # integrity and position are; the lines say what is missing
    none = verify_document(GOOD, KEY, policy("quorum none"))
    assert (none.witnessed.verdict, none.time.verdict) == ("not shown", "not shown")
    receipts = verify_document(receipt(prove()), KEY, BOTH)
    assert "No witness of the policy has cosigned" in receipts.witnessed.reason
    unpublished = verify_document({name: GOOD[name] for name in GOOD if name != "root"}, KEY, BOTH)
    assert [unpublished.position.verdict, unpublished.witnessed.verdict] == [
        "not shown",
        "not shown",
    ]
    assert "had not published" in unpublished.position.reason
    assert not unpublished.verified


def test_anchors_are_said_not_to_be_checked() -> None:
    anchored = {**GOOD, "anchors": [{}, {}]}
    reason = "2 RFC 3161 timestamp(s) in the file were not checked."
    for trusted in (BOTH, None):
        assert reason in verify_document(anchored, KEY, trusted).time.reason
        assert "RFC 3161" not in verify_document(GOOD, KEY, trusted).time.reason


@pytest.mark.parametrize(
    ("path", "verdict", "words"),
    [
        ("packages/bad/version-2", "integrity", "unknown version"),
        ("packages/bad/entry-white-space", "integrity", "one canonical form"),
        ("packages/bad/decision_surface-altered", "integrity", "is not what the entry says"),
        ("packages/bad/id-of-another-leaf-in-schema-2", "integrity", "event id does not belong"),
        ("packages/bad/inclusion-hashes-too-long", "integrity", "proof path is wrong"),
        (
            "packages/bad/checkpoint-by-another-key",
            "integrity",
            "has not signed the head of the stream",
        ),
        ("packages/bad/origin-with-short-label", "integrity", "is not one of the entry's stream"),
        ("packages/bad/root-note-by-another-key", "position", "not signed by the configured key"),
        ("packages/bad/root-leaf-of-another-root", "position", "is not in the root log"),
        ("packages/bad/one-witness-of-two", "witnessed", "no quorum"),
        ("packages/bad/cosignature-forged", "witnessed", "does not verify"),
        ("receipts/bad/event_id-altered", "integrity", "is not what the entry says"),
        ("batches/bad/chain-broken", "integrity", "does not verify as a whole"),
    ],
)
def test_the_failing_step_is_named(path: str, verdict: str, words: str) -> None:
    verdicts = verify_document(load(path + ".json"), KEY, BOTH)
    failed: Verdict = getattr(verdicts, verdict)
    assert failed.verdict == "fail"
    assert words in failed.reason
    assert not verdicts.verified


def test_policy_for_another_log_is_no_quorum() -> None:
    stranger = parse_policy(
        f"log {LOG.under('log.example.org').vkey}\nwitness w1 {W1.vkey}\nquorum w1\n".encode()
    )
    verdicts = verify_document(GOOD, KEY, stranger)
    assert verdicts.witnessed.verdict == "fail"
    assert verdicts.proven_by is None


def test_content_of_an_unknown_schema_is_not_understood() -> None:
    verdicts = verify_document(load("receipts/good/schema-2-not-understood.json"), KEY)
    assert verdicts.verified
    assert "was not understood" in verdicts.integrity.reason
    assert "understood" not in verify_document(GOOD, KEY).integrity.reason


def test_batch_stands_as_a_whole() -> None:
    verdicts = verify_document(batch(), KEY, BOTH)
    assert verdicts.verified
    assert "All 5 entries" in verdicts.integrity.reason
    assert verdicts.witnessed.verdict == "not shown"


def test_a_batch_of_nothing_shows_nothing() -> None:
    """Nothing in it is signed, so it may come from anybody."""
    verdicts = verify_document({"receipts": [], "heads": {}, "ranges": {}}, KEY, BOTH)
    assert not verdicts.verified
    assert "holds no entry" in verdicts.integrity.reason
    shown = verdicts.as_json()
    names = ("integrity", "position", "witnessed", "time")
    assert {shown[name]["verdict"] for name in names} == {"not shown"}


@pytest.mark.parametrize("data", [b"", b"[]", b"7", b'{"a":1,"a":1}', b"{}", b"\xff"])
def test_files_that_are_nothing(data: bytes) -> None:
    verdicts = verify_file(data, LOG.vkey)
    assert verdicts.integrity.verdict == "fail"
    assert {verdicts.position.verdict, verdicts.witnessed.verdict, verdicts.time.verdict} == {
        "not shown"
    }


def test_file_and_document_agree_and_the_key_must_be_one() -> None:
    data = json.dumps(GOOD).encode()
    assert verify_file(data, LOG.vkey, BOTH) == verify_document(GOOD, KEY, BOTH)
    with pytest.raises(InvalidInput):
        verify_file(data, "log.example.com+00000000+AAAA")


@given(st.sampled_from([path for path, _ in places(GOOD) if path]), json_values)
def test_nothing_in_a_file_raises(path: Any, value: Any) -> None:
    document = with_value(GOOD, path, value)
    verdicts = verify_document(document, KEY, BOTH)
    if document != GOOD and path[0] != "anchors":
        assert not verdicts.verified
    assert len(verdicts.lines()) == 4


@given(json_values)
def test_no_json_raises(value: Any) -> None:
    for document in (value, {"receipts": value}, {"version": value}, {**GOOD, "root": value}):
        assert not verify_file(json.dumps(document).encode(), LOG.vkey, BOTH).verified
