"""The decision alone: every row of the matrix, its order, its own rules, and what it can never be talked into."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.witness.harness import NOW, ORIGIN, WitnessedLog
from tests.witness.matrix import FORK, HASH, LATEST, LOG, NEVER, ROWS, Row
from tlog.core.add_checkpoint import AddCheckpoint, encode_request, parse_request
from tlog.core.checkpoint import Checkpoint, parse_checkpoint
from tlog.core.hashes import EMPTY_ROOT
from tlog.core.note import Signer, parse_vkey, sign_note
from tlog.errors import InvalidInput
from witness import state
from witness.state import Conflict, Cosign, Decision, Head, Known, Refuse, decide, forgotten

HEAD = Head(LATEST, LOG.root(LATEST), NOW - 10)
LOGS = {log.origin: log.known for log in (LOG, NEVER)}


def ask(body: bytes, latest: Head | None = HEAD, now: int = NOW, floor: int = 1) -> Decision:
    """As the cosigner does: look the log up by the note's first line, then decide."""
    request = parse_request(body)
    origin = state.origin_of(request.note)
    return decide(request, LOGS.get(origin), latest if origin == ORIGIN else None, now, floor)


def outcome(body: bytes) -> tuple[str, bytes]:
    """The kind of the decision, and the body of a 409."""
    try:
        decision = ask(body)
    except InvalidInput as error:
        return error.kind, b""
    if isinstance(decision, Conflict):
        return "conflict", b"%d\n" % decision.size
    return (decision.kind if isinstance(decision, Refuse) else "cosign"), b""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_matrix(row: Row) -> None:
    """Every row, by kind; a conflict tells the size."""
    assert outcome(row.body) == (row.kind, row.answer)


def test_every_kind_has_a_row_or_a_test_below() -> None:
    """Nothing that is refused is refused untested."""
    own = {state.FROZEN, state.HELD, state.CLOCK}
    assert {row.kind for row in ROWS} == {*state.KINDS, "cosign", "conflict"} - own


def test_what_is_cosigned_is_what_was_parsed() -> None:
    """Head, time, and a note of nothing but the text and the lines that verified."""
    impostor = Signer(ORIGIN, b"\x09" * 32)

    decision = ask(encode_request(5, LOG.proof(5, 7), LOG.note(7, impostor)))

    head = Checkpoint(ORIGIN, 7, LOG.root(7))
    assert decision == Cosign(head, NOW, LOG.note(7))


def test_several_keys_of_one_origin() -> None:
    """Either signs alone; both lines are kept; a line of either that fails refuses the note."""
    second = WitnessedLog(16, seed=7)
    both = Known(ORIGIN, (parse_vkey(LOG.vkey), parse_vkey(second.vkey)))
    text = Checkpoint(ORIGIN, 7, LOG.root(7)).body()
    proof = LOG.proof(5, 7)

    for signers in ([LOG.signer], [second.signer], [second.signer, LOG.signer]):
        note = sign_note(text, signers)
        decision = decide(AddCheckpoint(5, proof, note), both, HEAD, NOW, 1)
        assert isinstance(decision, Cosign)
        assert decision.note == note
    broken = sign_note(text, [LOG.signer]) + second.note(6).split(b"\n\n")[1]
    decision = decide(AddCheckpoint(5, proof, broken), both, HEAD, NOW, 1)
    assert isinstance(decision, Refuse)
    assert decision.kind == state.UNTRUSTED


def test_key_names_need_not_be_the_origin() -> None:
    """An old log signs under another name than its origin."""
    signer = Signer("old-name.example", b"\x05" * 32)
    note = sign_note(Checkpoint(ORIGIN, 7, LOG.root(7)).body(), [signer])
    known = Known(ORIGIN, (parse_vkey(signer.vkey),))
    assert isinstance(decide(AddCheckpoint(5, LOG.proof(5, 7), note), known, HEAD, NOW, 1), Cosign)


@pytest.mark.parametrize(
    ("known", "kind"),
    [
        (LOG.known._replace(frozen="it forked"), state.FROZEN),
        (LOG.known._replace(held="restored"), state.HELD),
        (LOG.known._replace(frozen="it forked", held="restored"), state.FROZEN),
    ],
)
def test_halted_logs(known: Known, kind: str) -> None:
    """Neither growth nor a refresh; no size is told either; what is wrong anyway is still said."""
    for request in (LOG.request(5, 7), LOG.request(5, 5), LOG.request(3, 7), FORK.request(5, 5)):
        decision = decide(request, known, HEAD, NOW, 1)
        assert isinstance(decision, Refuse)
        assert decision.kind == kind
    decision = decide(LOG.request(8, 7), known, HEAD, NOW, 1)
    assert isinstance(decision, Refuse)
    assert decision.kind == state.OLD_TOO_LARGE


@pytest.mark.parametrize(
    ("now", "floor", "time"),
    [
        (NOW, 1, NOW),
        (HEAD.time - 5, HEAD.time - 5, HEAD.time),
        (HEAD.time - 6, HEAD.time - 5, None),
        (0, 1, None),
    ],
)
def test_time_only_moves_forward(now: int, floor: int, time: int | None) -> None:
    """A clock that is a little behind stands still; one that is far behind, or not to be trusted, stops."""
    decision = ask(LOG.body(5, 7), now=now, floor=floor)
    if time is None:
        assert isinstance(decision, Refuse)
        assert decision.kind == state.CLOCK
    else:
        assert isinstance(decision, Cosign)
        assert decision.time == time


def test_evidence_goes_with_a_refusal() -> None:
    """What the log signed and cannot be true is handed on, without lines that nobody checked."""
    impostor = Signer(ORIGIN, b"\x09" * 32)
    note = FORK.note(5, impostor)
    decision = decide(AddCheckpoint(5, (), note), LOG.known, HEAD, NOW, 1)
    assert isinstance(decision, Refuse)
    assert decision.note is not None
    assert decision.note.only_verified() == FORK.note(5)


def test_another_log_than_the_note_names_is_a_fault_of_the_program() -> None:
    """The caller looks up by the first line; anything else must not be papered over."""
    with pytest.raises(AssertionError, match="another log"):
        decide(LOG.request(0, 7), Known("x.example.com", LOG.known.verifiers), None, NOW, 1)


@pytest.mark.parametrize(
    ("latest", "published", "expected"),
    [
        (None, Head(0, EMPTY_ROOT, 5), True),
        (HEAD, HEAD, False),
        (HEAD, HEAD._replace(time=HEAD.time - 1), False),
        (HEAD, HEAD._replace(time=HEAD.time + 1), True),
        (HEAD, HEAD._replace(root=HASH), True),
        (HEAD, Head(LATEST - 1, HASH, HEAD.time + 1), False),
        (HEAD, Head(LATEST + 1, HASH, 1), True),
    ],
)
def test_forgotten(latest: Head | None, published: Head, expected: bool) -> None:
    """Newer, or of the same size and not the same: then the store does not know what was signed."""
    assert forgotten(latest, published) is expected


sizes = st.integers(0, 16)
steps = st.tuples(
    st.sampled_from([LOG, FORK]), st.sampled_from([LOG, FORK]), sizes, sizes, st.integers(-90, 90)
)


@given(st.lists(steps, max_size=25))
def test_what_was_signed_is_one_history(requests: list[tuple[WitnessedLog, ...]]) -> None:
    """Whatever is asked, with whichever proof and clock: sizes and times never fall, every head is one of one log."""
    latest: Head | None = None
    signed: list[tuple[int, bytes, int]] = []
    for head_of, proof_of, old, new, drift in requests:
        request = AddCheckpoint(old, proof_of.proof(old, new), head_of.note(new))
        floor = max(1, (latest.time if latest else NOW) - 60)
        decision = decide(request, LOG.known, latest, NOW + drift, floor)
        if isinstance(decision, Conflict):
            assert decision.size == (latest.size if latest else 0) != old
        if isinstance(decision, Cosign):
            head = decision.checkpoint
            assert parse_checkpoint(decision.note.split(b"\n\n")[0] + b"\n") == head
            latest = Head(head.size, head.root, decision.time)
            signed.append((head.size, head.root, decision.time))

    assert signed == sorted(signed, key=lambda one: (one[0], one[2]))
    assert any(all(root == log.root(size) for size, root, _ in signed) for log in (LOG, FORK))
