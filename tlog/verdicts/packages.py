"""Judge the JSON documents of a log: proof packages, receipts, and the answers to batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tlog.core import binding, package, receipt
from tlog.core.binding import member
from tlog.core.checkpoint import Checkpoint
from tlog.core.entry import Entry
from tlog.core.note import Verifier
from tlog.core.policy import Policy
from tlog.core.timestamp_chain import Roots
from tlog.errors import VerificationError
from tlog.verdicts.anchors import judge_anchors
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
    NO_PUBLICATION,
    Position,
    judge_place,
    passed,
    take_entry,
    take_identity,
    take_label,
    take_path,
)

PACKAGE, RECEIPT, BATCH = "proof package", "receipt", "batch"


def verify_document(
    document: Mapping[str, Any],
    log: Verifier,
    policy: Policy | None = None,
    tsa_roots: Roots | None = None,
) -> Verdicts:
    """Judge a parsed package, receipt or batch. Raises nothing."""
    trust = Trust(log, policy, tsa_roots)
    if "receipts" in document:
        return judge_batch(document, trust, Held())
    return judge_event(document, trust, Held())


def judge_event(document: Mapping[str, Any], trust: Trust, held: Held) -> Verdicts:
    """Judge a package, which has a `version`, or a receipt: the steps of `verify_package`."""
    steps = Steps()
    kind = PACKAGE if "version" in document else RECEIPT
    try:
        entry, head = _integrity(steps, document, trust, held.genesis)
    except BrokenStep as fault:
        return failed(kind, steps, fault.detail)
    place: Position | str = NO_PUBLICATION
    if "root" in document:
        place = Position(
            steps,
            trust,
            lambda: member(member(document, "root", dict), "checkpoint", str),
            lambda root: binding.check_position(head, document["root"], root),
        )
    integrity = passed(entry, head.size)
    return judge_place(
        kind, steps, integrity, entry, place, trust, judge_anchors(document, head, trust)
    )


def _integrity(
    steps: Steps, document: Mapping[str, Any], trust: Trust, genesis: bytes | None
) -> tuple[Entry, Checkpoint]:
    """Steps 1 to 6 of `verify_package`; of a receipt all but 5. Raises: BrokenStep."""
    packed = "version" in document
    if packed:
        steps.take(
            1,
            lambda: package.check_version(document),
            held=lambda _: "proof package, version 1",
            broken="This is a proof package of an unknown version.",
        )
    entry = take_entry(steps, document)

    def copies() -> None:
        if packed:
            package.check_copies(document, entry)
        else:
            binding.check_copies(document, entry, receipt.COPIES)

    steps.take(
        2,
        copies,
        held=lambda _: f"what the file repeats of it is equal: block {document['block_hash']}",
        broken="What the file says about the entry is not what the entry says.",
    )
    take_identity(steps, entry)
    head = take_path(steps, lambda: binding.stream_head(document, entry))
    if packed:
        steps.take(
            5,
            lambda: package.check_stream_note(document, head, trust.log),
            held=lambda _: "the log's key signed just this head of the stream",
            broken="The log has not signed the head of the stream to which the entry leads.",
        )
    take_label(steps, entry, head.origin, trust, genesis)
    return entry, head


def judge_batch(answer: Mapping[str, Any], trust: Trust, held: Held) -> Verdicts:
    """A batch is one proof: it stands or falls as a whole. Its roots are too new to be witnessed.

    A genesis that is given must be that of every stream in it, hence of one.
    """
    steps = Steps()
    broken = "The batch does not verify as a whole; the entries may be judged one by one."
    try:
        verified = receipt.verify_batch(answer, trust.log)
    except VerificationError:
        return failed(BATCH, steps, broken)
    try:
        for one in verified if held.genesis is not None else ():
            binding.check_label(one.head.origin, one.entry, trust.log.name, held.genesis)
    except VerificationError:
        return failed(BATCH, steps, "The genesis entry is not that of the streams in the batch.")
    if not verified:  # then nothing in it is signed, either
        return failed(BATCH, steps, "The batch holds no entry.", NOT_SHOWN)
    count, streams = len(verified), len({one.head.origin for one in verified})
    whole = f"{count} entries in {streams} stream(s)"
    for number, text in (
        (1, f"{whole}: each is valid and canonical"),
        (2, "what the file repeats of them is equal"),
        (3, "their ids locate them"),
        (4, "they are consecutive and chained, and lead to the heads of their streams"),
        (6, "the origins of the heads can be those of the streams"),
        (7, f"every root is signed by {trust.log.vkey}"),
        (8, "just these heads are leaves below the roots"),
    ):
        steps.note(number, Verdict(PASS, text))
    return Verdicts(
        Verdict(PASS, f"All {count} entries are unaltered and lead to the heads of their streams."),
        Verdict(PASS, f"These heads are in the root log, signed by {trust.log.name}."),
        steps.note(9, Verdict(NOT_SHOWN, "The answer to a batch carries no cosignatures.")),
        steps.note(10, Verdict(NOT_SHOWN, "Nothing from outside the log proves a time.")),
        kind=BATCH,
        steps=steps.taken,
    )
