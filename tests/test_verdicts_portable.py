"""Verdicts on the portable forms: what each shows alone, what they show together, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.golden.documents import AT
from conformance.golden.honest import (
    HONEST,
    LOG,
    ORIGIN,
    OTHER,
    POLICY,
    STREAM_ORIGIN,
    TARGET,
    W1,
    W2,
    package,
    prove,
    tree,
)
from tlog.core import cose
from tlog.core.checkpoint import Checkpoint
from tlog.core.note import Signer, sign_note
from tlog.core.policy import parse_policy
from tlog.core.proofs import consistency_proof
from tlog.core.tlog_proof import TlogProof, encode_proof, head_proof
from tlog.verdicts import Held, Verdicts, verify_file

BOTH = parse_policy(POLICY.encode())
PROOF = prove(cosigned=(W1.at(AT), W2.at(AT + 2)))
INDEX, _, PATH, ROOT_NOTE = PROOF.place
ENTRY = HONEST[TARGET]


def event_part(proof: Any = PROOF, index: int = TARGET) -> bytes:
    return encode_proof(TlogProof(index, tuple(proof.path), proof.note))


def head_part(head: Checkpoint = PROOF.head, index: int = INDEX, note: bytes = ROOT_NOTE) -> bytes:
    return encode_proof(head_proof(head, index, PATH, note))


def receipt(
    proof: cose.Inclusion | cose.Consistency,
    root: bytes = PROOF.head.root,
    subject: str = STREAM_ORIGIN,
    by: Signer = LOG,
) -> bytes:
    header = cose.log_header(ORIGIN, LOG.public_key, subject)
    signature = by.sign_blob(cose.to_be_signed(header, root))[4:]
    return cose.encode_receipt(cose.Receipt(header, proof, signature))


INCLUSION = cose.Inclusion(len(HONEST), TARGET, tuple(PROOF.path))
FORMS = {"tlog-proof": event_part(), "cose": receipt(INCLUSION)}


def outcomes(verdicts: Verdicts) -> list[str]:
    four = (verdicts.integrity, verdicts.position, verdicts.witnessed, verdicts.time)
    return [one.verdict for one in four]


def judge(data: bytes, **held: bytes) -> Verdicts:
    return verify_file(data, LOG.vkey, BOTH, Held(**held))


@pytest.mark.parametrize("form", FORMS)
def test_the_entry_and_the_head_complete_it(form: str) -> None:
    alone = judge(FORMS[form])
    assert outcomes(alone) == ["not shown"] * 4
    assert "--entry" in alone.integrity.reason
    with_entry = judge(FORMS[form], entry=ENTRY)
    assert outcomes(with_entry) == ["pass", "not shown", "not shown", "not shown"]
    assert [step.number for step in with_entry.steps] == [1, 3, 4, 5, 6, 7, 8, 9, 10]
    assert "--head" in with_entry.position.reason
    whole = judge(FORMS[form], entry=ENTRY, head=head_part())
    assert outcomes(whole) == ["pass"] * 4
    assert whole.verified
    assert (whole.claimed, whole.proven_by) == (
        "2026-03-20T14:00:03.250Z",
        "2026-03-20T14:00:06.000Z",
    )
    assert "size is not signed" in whole.steps[3].text or form != "cose"


def test_the_same_as_the_package() -> None:
    """All that the package shows of these steps, in the same words."""
    both = judge(FORMS["tlog-proof"], entry=ENTRY, head=head_part())
    packed = judge(json.dumps(package(PROOF)).encode())
    assert both.lines() == packed.lines()
    assert [step for step in packed.steps if step.number != 2][1:] == list(both.steps)
    assert both.steps[0].line() == (
        f"[1]  ok         the entry has {len(ENTRY)} bytes, is valid and canonical: "
        "EXECUTION credit.decision.made"
    )
    missing = judge(FORMS["cose"]).steps[0].line()
    assert missing.startswith("[1]  NOT SHOWN  The file holds no entry")


def test_part_head_alone() -> None:
    verdicts = judge(head_part())
    assert outcomes(verdicts) == ["not shown", "pass", "pass", "not shown"]
    assert f"7 entries of {STREAM_ORIGIN}" in verdicts.position.reason
    assert not verdicts.verified
    assert outcomes(verify_file(head_part(), LOG.vkey)) == ["not shown", "pass", *["not shown"] * 2]


OTHER_STREAM = "log.example.com/streams/acme/prod/other"
ELSEWHERE = prove(origin=OTHER_STREAM)
BAD_HEADS: dict[str, bytes] = {
    "place": head_part(index=INDEX + 1),
    "key": head_part(note=prove(signer=OTHER).place[3]),
    "not-utf8": head_part(note=b"\xff"),
    "no-body": encode_proof(TlogProof(INDEX, tuple(PATH), ROOT_NOTE, b"x")),
    "of-another-log": head_part(Checkpoint("log.example.org/streams/a/b/c", 7, bytes(32))),
    "forged-cosignature": head_part(note=ROOT_NOTE[:-8] + b"AAAAAA=\n"),
}


@pytest.mark.parametrize("name", BAD_HEADS)
def test_bad_heads(name: str) -> None:
    for verdicts in (
        judge(BAD_HEADS[name]),
        judge(FORMS["tlog-proof"], entry=ENTRY, head=BAD_HEADS[name]),
    ):
        assert "fail" in outcomes(verdicts), verdicts
        assert not verdicts.verified


def test_a_head_of_another_tree_does_not_help() -> None:
    """Each part holds on its own, and together they show nothing of this event."""
    other = prove(HONEST[:6], cosigned=(W1.at(AT), W2.at(AT)))
    index, _, path, note = other.place
    part = encode_proof(head_proof(other.head, index, path, note))
    assert judge(part).position.verdict == "pass"
    verdicts = judge(FORMS["tlog-proof"], entry=ENTRY, head=part)
    assert outcomes(verdicts)[:2] == ["pass", "fail"]
    assert judge(FORMS["tlog-proof"], entry=ENTRY, head=b"x").position.verdict == "fail"


FLIPPED = bytes([FORMS["cose"][-1] ^ 1])
BAD: dict[str, tuple[bytes, bytes]] = {
    "cut-short": (FORMS["tlog-proof"][:30], ENTRY),
    "cose-cut-short": (FORMS["cose"][:-1], ENTRY),
    "cose-bit-flipped": (FORMS["cose"][:-1] + FLIPPED, ENTRY),
    "another-entry": (FORMS["tlog-proof"], HONEST[TARGET - 1]),
    "cose-another-entry": (FORMS["cose"], HONEST[TARGET - 1]),
    "no-entry": (FORMS["tlog-proof"], b"{}"),
    "another-index": (event_part(index=TARGET - 1), ENTRY),
    "cose-another-index": (receipt(cose.Inclusion(7, 4, INCLUSION.hashes)), ENTRY),
    "by-another-key": (
        event_part(PROOF._replace(note=sign_note(PROOF.head.body(), [OTHER]))),
        ENTRY,
    ),
    "cose-by-another-key": (receipt(INCLUSION, by=OTHER), ENTRY),
    "note-not-utf8": (event_part(PROOF._replace(note=PROOF.note + b"\xff")), ENTRY),
    "note-is-none": (event_part(PROOF._replace(note=b"x")), ENTRY),
    "of-another-stream": (event_part(ELSEWHERE), ENTRY),
    "cose-of-another-stream": (receipt(INCLUSION, subject=OTHER_STREAM), ENTRY),
    "cose-subject-of-two-lines": (receipt(INCLUSION, subject="a\nb"), ENTRY),
    "of-the-root-log": (event_part(prove(origin=ORIGIN)), ENTRY),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(name: str) -> None:
    data, entry = BAD[name]
    verdicts = judge(data, entry=entry, head=head_part())
    assert outcomes(verdicts) == ["fail", "not shown", "not shown", "not shown"]


def test_the_genesis_names_the_stream() -> None:
    """A private label is random: that it is this stream's, its genesis entry shows."""
    verdicts = judge(FORMS["tlog-proof"], entry=ENTRY)
    assert "can be the stream's origin" in verdicts.steps[4].text
    verdicts = judge(FORMS["tlog-proof"], entry=ENTRY, genesis=HONEST[0])
    assert "as its genesis entry shows" in verdicts.steps[4].text
    wrong = HONEST[0].replace(b'"streamNumber":7', b'"streamNumber":8')
    verdicts = judge(FORMS["tlog-proof"], entry=ENTRY, genesis=wrong)
    assert verdicts.integrity.verdict == "fail"


# --- Consistency ------------------------------------------------------------------------------------

EDGE = tree(HONEST)
GROWN = cose.Consistency(3, 7, tuple(consistency_proof(3, 7, EDGE)))
OLD = Checkpoint(STREAM_ORIGIN, 3, tree(HONEST[:3]).root())
OLD_NOTE = sign_note(OLD.body(), [LOG.under(STREAM_ORIGIN)])


def test_consistency_of_a_stream() -> None:
    verdicts = judge(receipt(GROWN))
    assert outcomes(verdicts) == ["not shown"] * 4
    assert "--old" in verdicts.integrity.reason
    verdicts = judge(receipt(GROWN), old=OLD_NOTE)
    assert outcomes(verdicts) == ["pass", "not shown", "not shown", "not shown"]
    assert "begins with the 3 leaves" in verdicts.integrity.reason


def test_consistency_of_the_root_log() -> None:
    old = Checkpoint(ORIGIN, 3, OLD.root)
    verdicts = judge(receipt(GROWN, subject=ORIGIN), old=sign_note(old.body(), [LOG]))
    assert outcomes(verdicts) == ["pass", "pass", "not shown", "not shown"]
    assert verdicts.verified


def test_consistency_with_what_is_no_head() -> None:
    forged = Checkpoint(STREAM_ORIGIN, 3, bytes(32))
    signer = LOG.under(STREAM_ORIGIN)
    wrong = (b"x", b"\xff\n\n", OLD_NOTE[:-8] + b"AAAAAA=\n", sign_note(forged.body(), [signer]))
    for old in wrong:
        assert judge(receipt(GROWN), old=old).integrity.verdict == "fail"
    assert judge(receipt(GROWN, by=OTHER), old=OLD_NOTE).integrity.verdict == "fail"


@given(st.binary(max_size=60), st.sampled_from([*FORMS.values(), head_part(), receipt(GROWN)]))
def test_no_bytes_raise(tail: bytes, form: bytes) -> None:
    for data in (form[:-40] + tail, form[:25] + tail):
        verdicts = judge(data, entry=ENTRY, head=data, genesis=tail, old=tail)
        assert not verdicts.verified
        assert len(verdicts.lines()) == 4
