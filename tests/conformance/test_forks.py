"""Two verifiers agree on every fork proof: the golden ones, and random ones of honest and forked logs."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from tests.conformance.test_verifier import FILES, LOG_KEY, ROOT, files, program, run
from tests.core.histories import History, anything, grow
from tests.core.test_fork_honest import RULES, fitting_hashes, respelled, tampered
from tlog.core.fork import ForkProof, build, find_fork, verify_fork
from tlog.core.note import Verifier
from tlog.errors import TlogError, VerificationError


def ours(document: bytes, key: Verifier) -> str | None:
    """The rule that a fork proof shows to be broken."""
    try:
        return verify_fork(document, key).rule
    except VerificationError:
        return None


def theirs(document: bytes, key: Verifier) -> bool:
    """Whether verify.py finds the log out."""
    try:
        proof = program.parse_json(document)
        program.demand(type(proof) is dict, "")
        return bool(program.check_fork(proof, program.Key(key.vkey, 1)))
    except program.NotVerifiedError:
        return False


@pytest.mark.parametrize("path", files("forks"))
def test_golden_fork_proofs(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ours((ROOT / path).read_bytes(), LOG_KEY) == FILES[path]["shows"]
    status, last = run(capsys, ROOT / path)
    shown = FILES[path]["shows"] is not None
    assert status == (5 if shown else 1), last
    assert last.startswith("THE LOG LIED: " if shown else "NOT VERIFIED: ")


def test_every_good_file_shows_a_lie() -> None:
    for path in files("forks"):
        assert (FILES[path]["shows"] is not None) == path.startswith("forks/good/")


def test_a_fork_proof_needs_the_right_key(capsys: pytest.CaptureFixture[str]) -> None:
    good = ROOT / "forks" / "good" / "root-log.json"
    status, last = run(capsys, good, "--vkey", History("another key").signer.vkey)
    assert (status, last.startswith("NOT VERIFIED: ")) == (1, True)


def judge(number: int) -> bool:
    """A random accusation of a log that forked: both verifiers say the same of it."""
    dice = random.Random(f"judged {number}")
    one = History()
    grow(one, dice, dice.randint(0, 5))
    other = one.copy()
    grow(one, dice, dice.randint(1, 5), b"one")
    grow(other, dice, dice.randint(1, 5), b"other")
    first, second = anything(one, dice), anything(other, dice)
    if dice.random() < 0.5:
        first = one.note("", dice.randint(1, len(one.leaves)))
        second = other.note("", dice.randint(1, len(other.leaves)))
    if dice.random() < 0.2:
        first = tampered(first, second, dice)
    document = b"{}"
    for history in (one, other):
        with suppress(ValueError, KeyError, TlogError):
            hashes = fitting_hashes(history, first, second)
            accused = build(ForkProof(dice.choice(RULES), first, second, hashes))
            found = find_fork(first, second, one.verifier, hashes)
            document = found or (accused if document == b"{}" else document)
    if document != b"{}" and dice.random() < 0.2:
        document = respelled(document, dice)
    shown = ours(document, one.verifier) is not None
    assert theirs(document, one.verifier) == shown, document
    return shown


def test_random_accusations() -> None:
    shown = [judge(number) for number in range(200)]
    assert 15 < sum(shown) < 185


@pytest.mark.exhaustive
def test_ten_thousand_accusations() -> None:
    for number in range(10_000):
        judge(number)
