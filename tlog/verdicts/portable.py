"""Judge the portable forms of a proof: the two parts of a C2SP tlog-proof, and COSE receipts.

They hold no entry: whoever verifies brings it. Each shows less than a package: part `event` and a receipt
of inclusion that the entry is in a tree that the log signed, part `head` that the head of that tree is in
a cosigned root. Together they show it all.
"""

from __future__ import annotations

from collections.abc import Callable

from tlog.core import binding, cose, tlog_proof
from tlog.core.binding import demand
from tlog.core.checkpoint import Checkpoint, parse_checkpoint
from tlog.core.entry import Entry
from tlog.core.hashes import leaf_hash
from tlog.core.proofs import inclusion_root, verify_inclusion
from tlog.core.tlog_proof import TlogProof
from tlog.core.wire import b64encode
from tlog.errors import InvalidInput, VerificationError
from tlog.verdicts.model import (
    NOT_SHOWN,
    PASS,
    BrokenStep,
    Held,
    Steps,
    Trust,
    Verdict,
    Verdicts,
    failed,
)
from tlog.verdicts.shared import (
    Position,
    judge_place,
    passed,
    take_entry,
    take_identity,
    take_label,
    take_path,
)

EVENT, HEAD = "C2SP tlog-proof, part event", "C2SP tlog-proof, part head"
INCLUSION, CONSISTENCY = "COSE receipt of inclusion", "COSE receipt of consistency"

NO_ENTRY = "The file holds no entry: give it with --entry."
NO_HEAD = "This file does not show the head of the stream in the root log; part head does: give it with --head."


def judge_tlog_proof(data: bytes, trust: Trust, held: Held) -> Verdicts:
    """Judge a `.tlog-proof`: part `event`, or part `head`, which holds the body of a head."""
    steps = Steps()
    try:
        proof = tlog_proof.parse_proof(data)
    except InvalidInput as fault:
        return failed(EVENT, steps, f"The file is not a C2SP tlog-proof: {fault.detail}.")
    if proof.extra is not None:
        return _judge_head(steps, proof, trust)

    def lead(entry: Entry) -> Checkpoint:
        # Of what tree the path is, the note says; that it says so is shown next.
        claimed = _claimed(proof.checkpoint)
        demand(proof.index == entry.record["chainPosition"])
        leaf = leaf_hash(entry.raw)
        root = inclusion_root(leaf, proof.index, claimed.size, proof.hashes)
        return Checkpoint(claimed.origin, claimed.size, root)

    def sign(head: Checkpoint) -> str:
        signed, _ = binding.open_note(_text(proof.checkpoint), trust.log, head.origin)
        demand(signed == head)
        return "the log's key signed just this head of the stream"

    return _judge_event(EVENT, steps, trust, held, lead, sign)


def judge_cose(data: bytes, trust: Trust, held: Held) -> Verdicts:
    """Judge a COSE receipt, of inclusion or of consistency."""
    steps = Steps()
    try:
        receipt = cose.parse_receipt(data)
    except InvalidInput as fault:
        return failed(INCLUSION, steps, f"The file is {fault.detail}.")
    proof = receipt.proof
    if isinstance(proof, cose.Consistency):
        return _judge_consistency(steps, receipt, trust, held.old)

    def lead(entry: Entry) -> Checkpoint:
        demand(proof.leaf_index == entry.record["chainPosition"])
        leaf = leaf_hash(entry.raw)
        root = inclusion_root(leaf, proof.leaf_index, proof.tree_size, proof.hashes)
        return binding.checkpoint(receipt.header.subject, proof.tree_size, root)

    def sign(head: Checkpoint) -> str:
        del head
        # `lead` has shown that there is an entry.
        leaf = leaf_hash(held.entry or b"")
        cose.verify_inclusion_receipt(receipt, leaf, trust.log)
        return "the log's key signed just this root of the stream; its size is not signed"

    return _judge_event(INCLUSION, steps, trust, held, lead, sign)


def _judge_event(
    kind: str,
    steps: Steps,
    trust: Trust,
    held: Held,
    lead: Callable[[Entry], Checkpoint],
    sign: Callable[[Checkpoint], str],
) -> Verdicts:
    """Steps 1 to 6 with the entry that the verifier brings, and 7 to 10 with the part `head`, if brought."""
    if held.entry is None:
        steps.skip(1, NO_ENTRY)
        return failed(kind, steps, NO_ENTRY, NOT_SHOWN)
    try:
        entry = take_entry(steps, {"entry": b64encode(held.entry)})
        take_identity(steps, entry)
        head = take_path(steps, lambda: lead(entry))
        steps.take(
            5,
            lambda: sign(head),
            held=str,
            broken="The log has not signed the head of the stream to which the entry leads.",
        )
        take_label(steps, entry, head.origin, trust, held.genesis)
    except BrokenStep as fault:
        return failed(kind, steps, fault.detail)
    place: Position | str = NO_HEAD
    if held.head is not None:
        place = _place(steps, head, held.head, trust)
    return judge_place(kind, steps, passed(entry, head.size), entry, place, trust)


def _place(steps: Steps, head: Checkpoint, data: bytes, trust: Trust) -> Position:
    """Where part `head` puts just this head."""

    def read() -> TlogProof:
        proof = tlog_proof.parse_proof(data)
        demand(tlog_proof.shown_head(proof) == head)
        return proof

    def note() -> str:
        return _text(tlog_proof.parse_proof(data).checkpoint)

    def show(root: Checkpoint) -> None:
        proof = read()
        verify_inclusion(leaf_hash(head.body()), proof.index, root.size, proof.hashes, root.root)

    return Position(steps, trust, note, show)


def _judge_head(steps: Steps, proof: TlogProof, trust: Trust) -> Verdicts:
    """Part `head` alone: a head of some stream is in the root log, and cosigned. It names no entry."""
    integrity = Verdict(NOT_SHOWN, "Part head speaks of a stream's head; of the entry, part event.")
    steps.skip(1, integrity.reason)

    def show(root: Checkpoint) -> None:
        head = tlog_proof.shown_head(proof)
        demand(head.origin.startswith(f"{trust.log.name}/streams/"))
        verify_inclusion(leaf_hash(head.body()), proof.index, root.size, proof.hashes, root.root)

    place = Position(steps, trust, lambda: _text(proof.checkpoint), show)
    witnessed, _ = place.witnessed()
    position = place.verdict
    if position.verdict == PASS:
        head = tlog_proof.shown_head(proof)
        shown = f"The head of {head.size} entries of {head.origin} is in the root log."
        position = Verdict(PASS, shown)
    time = steps.note(10, Verdict(NOT_SHOWN, "A head has no time of its own."))
    return Verdicts(integrity, position, witnessed, time, kind=HEAD, steps=steps.taken)


def _judge_consistency(
    steps: Steps, receipt: cose.Receipt, trust: Trust, old: bytes | None
) -> Verdicts:
    """A receipt of consistency: the tree of a head that the verifier holds has only grown."""
    if old is None:
        reason = (
            "The file compares two heads: give the signed checkpoint of the older one with --old."
        )
        steps.skip(4, reason)
        return failed(CONSISTENCY, steps, reason, NOT_SHOWN)

    def held_head() -> Checkpoint:
        claimed = _claimed(old)
        return binding.open_note(_text(old), trust.log, claimed.origin)[0]

    try:
        before = steps.take(
            5,
            held_head,
            held=lambda head: f"the older head, of {head.size} leaves of {head.origin}, is signed",
            broken="The older head is not one that the log's key signed.",
        )
        after = steps.take(
            4,
            lambda: cose.verify_consistency_receipt(receipt, before, trust.log),
            held=lambda head: (
                f"it leads to {b64encode(head.root)}, a root that the log's key signed"
            ),
            broken="The older tree does not lead to a newer one that the log signed.",
        )
    except BrokenStep as fault:
        return failed(CONSISTENCY, steps, fault.detail)
    text = f"The tree of {after.origin} begins with the {before.size} leaves of the older head."
    if after.origin == trust.log.name:
        position = Verdict(PASS, "The tree is the root log itself; the log signed its newer root.")
    else:
        position = Verdict(NOT_SHOWN, "The file does not show the newer head in the root log.")
    rest = Verdict(NOT_SHOWN, "A COSE receipt has neither cosignatures nor a time.")
    return Verdicts(Verdict(PASS, text), position, rest, rest, kind=CONSISTENCY, steps=steps.taken)


def _claimed(note: bytes) -> Checkpoint:
    """What a note says, believed by nobody yet. Raises: InvalidInput."""
    return parse_checkpoint(note.rpartition(b"\n\n")[0] + b"\n")


def _text(note: bytes) -> str:
    try:
        return note.decode()
    except UnicodeDecodeError:
        raise VerificationError from None
