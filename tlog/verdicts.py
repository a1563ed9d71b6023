"""Four verdicts on a proof package or a receipt, in words for people who will act on them.

Source: design §2.6. The core raises one opaque error, so that a program can only accept or refuse;
this module calls the same steps one by one and says which of them failed, and what was not shown at
all. Pure: no file, clock or network. Not for programs: they call `verify_package`, `verify_receipt`.

    integrity   the entry is valid, is what the file says of it, and leads to a head of its stream
    position    that head is in the root log, whose head the configured key of the log signed
    witnessed   a quorum of the configured witnesses cosigned that root
    time        claimed by the log; proven by the cosignature that completed the quorum
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tlog.core import binding, package, receipt
from tlog.core.binding import member
from tlog.core.checkpoint import Checkpoint
from tlog.core.entry import Entry
from tlog.core.note import Note, Verifier, parse_vkey
from tlog.core.policy import Policy
from tlog.core.strict_json import loads
from tlog.core.times import format_ms, parse_time
from tlog.errors import InvalidInput, VerificationError

PASS: Literal["pass"] = "pass"
FAIL: Literal["fail"] = "fail"
NOT_SHOWN: Literal["not shown"] = "not shown"

APART_MS = 60_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """`pass`, `fail` or `not shown`, and why. `flagged`: it passes, but somebody should look at it."""

    verdict: Literal["pass", "fail", "not shown"]
    reason: str
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The four, and the two times: `claimed` by the log, `proven_by` the witnesses (None: neither)."""

    integrity: Verdict
    position: Verdict
    witnessed: Verdict
    time: Verdict
    claimed: str | None = None
    proven_by: str | None = None

    @property
    def verified(self) -> bool:
        """Whether integrity and position are shown and nothing failed. What is missing stays missing:
        without witnesses the log may show others another tree."""
        verdicts = (self.integrity, self.position, self.witnessed, self.time)
        shown = self.integrity.verdict == self.position.verdict == PASS
        return shown and all(verdict.verdict != FAIL for verdict in verdicts)

    def lines(self) -> list[str]:
        """One line for each verdict."""
        return [
            f"{name:<10} {verdict.verdict.upper():<10} {verdict.reason}"
            for name, verdict in self._named().items()
        ]

    def as_json(self) -> dict[str, Any]:
        """The same for programs that show it: `verified`, and an object for each verdict."""
        named = {
            name: {"verdict": verdict.verdict, "reason": verdict.reason, "flagged": verdict.flagged}
            for name, verdict in self._named().items()
        }
        times = {"claimed": self.claimed, "proven_by": self.proven_by}
        return {"verified": self.verified, **named, "time": {**named["time"], **times}}

    def _named(self) -> dict[str, Verdict]:
        return {
            "integrity": self.integrity,
            "position": self.position,
            "witnessed": self.witnessed,
            "time": self.time,
        }


def verify_file(data: bytes, vkey: str, policy: Policy | None = None) -> Verdicts:
    """Judge a proof package, a receipt or the answer to a batch, as the bytes of its JSON.

    `vkey` is the log's, from the verifier's own configuration; nothing in the file is trusted.

    Raises:
        InvalidInput: `vkey` is not one.
    """
    log = parse_vkey(vkey)
    try:
        document = loads(data)
    except InvalidInput as fault:
        return _failed(f"The file is not strict JSON: {fault.detail}.")
    if not isinstance(document, dict):
        return _failed("The file is neither a proof package nor a receipt.")
    return verify_document(document, log, policy)


def verify_document(
    document: Mapping[str, Any], log: Verifier, policy: Policy | None = None
) -> Verdicts:
    """Judge a parsed file. Raises nothing."""
    if "receipts" in document:
        return _judge_batch(document, log)
    integrity, entry, head = _integrity(document, log)
    if entry is None or head is None:
        return _failed(integrity.reason)
    position = _position(document, head, log)
    witnessed, note = _witnessed(document, log, policy, position)
    proven = policy.quorum_time(note) if policy is not None and note is not None else None
    time = _time(document, entry, proven)
    proven_by = None if proven is None else format_ms(proven * 1000)
    return Verdicts(integrity, position, witnessed, time, entry.timestamp, proven_by)


def _failed(reason: str) -> Verdicts:
    rest = Verdict(NOT_SHOWN, "Not examined, because the integrity of the entry is not shown.")
    return Verdicts(Verdict(FAIL, reason), rest, rest, rest)


def _holds(step: Callable[[], object]) -> bool:
    try:
        step()
    except VerificationError:
        return False
    return True


def _integrity(
    document: Mapping[str, Any], log: Verifier
) -> tuple[Verdict, Entry | None, Checkpoint | None]:
    """Steps 1 to 6 of `verify_package`, 1 to 5 of `verify_receipt`."""
    packed = "version" in document
    reason = "This is a proof package of an unknown version."
    try:
        if packed:
            package.check_version(document)
        reason = "The entry is missing, altered, or not a valid record in its one canonical form."
        entry = binding.read_entry(document)
        reason = "What the file says about the entry is not what the entry says."
        if packed:
            package.check_copies(document, entry)
        else:
            binding.check_copies(document, entry, receipt.COPIES)
        reason = (
            "The event id does not belong to the time, the position and the stream of the entry."
        )
        binding.check_identity(entry)
        reason = "The entry does not lead to a head of its stream: the proof path is wrong."
        head = binding.stream_head(document, entry)
        if packed:
            reason = "The log has not signed the head of the stream to which the entry leads."
            package.check_stream_note(document, head, log)
        reason = "The tree that holds the entry is not one of the entry's stream in this log."
        binding.check_label(head.origin, entry, log.name)
    except VerificationError:
        return Verdict(FAIL, reason), None, None
    passed = (
        f"The entry is unaltered and is number {entry.record['chainPosition']} of stream "
        f"{entry.record['streamId']}, counted from 0, in a tree of {head.size}."
    )
    if not binding.understood(entry):
        passed += " Its schema is not known here: what the entry says was not understood."
    return Verdict(PASS, passed), entry, head


def _position(document: Mapping[str, Any], head: Checkpoint, log: Verifier) -> Verdict:
    """Steps 7 and 8 of `verify_package`, without the witnesses; 6 and 7 of `verify_receipt`."""
    if "root" not in document:
        return Verdict(NOT_SHOWN, "The log had not published the entry when this file was made.")
    reason = f"The head of the root log is not signed by the configured key of {log.name}."
    try:
        place = member(document, "root", dict)
        root, _ = binding.open_note(member(place, "checkpoint", str), log, log.name)
        reason = "The head of the stream is not in the root log that was signed."
        binding.check_position(head, place, root)
    except VerificationError:
        return Verdict(FAIL, reason)
    passed = f"The head of the stream is in the root log of {log.name}, signed at size {root.size}."
    return Verdict(PASS, passed)


def _witnessed(
    document: Mapping[str, Any], log: Verifier, policy: Policy | None, position: Verdict
) -> tuple[Verdict, Note | None]:
    """Step 9 of `verify_package`; the note is returned when a quorum signed it."""
    if policy is None:
        return Verdict(NOT_SHOWN, "No policy says which witnesses to believe."), None
    if policy.quorum is None:
        return Verdict(NOT_SHOWN, "The policy asks for no witness."), None
    if position.verdict != PASS:
        return Verdict(
            NOT_SHOWN, "The position is not shown, so there is nothing to witness."
        ), None
    checkpoint = document["root"]["checkpoint"]
    reason = "A signature under the name of a witness does not verify."
    try:
        _, note = binding.open_note(checkpoint, log, log.name, policy.witness_verifiers)
        names = sorted(s.name for s in note.signatures if s.timestamp is not None)
        if not names:
            return Verdict(NOT_SHOWN, "No witness of the policy has cosigned this root."), None
        reason = f"The cosignatures are no quorum of the policy, or it is for another log: {names}."
        package.check_quorum(note, log, policy)
    except VerificationError:
        return Verdict(FAIL, reason), None
    passed = f"The policy's quorum is met: cosigned by {', '.join(names)}."
    return Verdict(PASS, passed), note


def _time(document: Mapping[str, Any], entry: Entry, proven: int | None) -> Verdict:
    """Compare the log's own time with the proven one. RFC 3161 anchors are counted, not checked."""
    anchors = document.get("anchors")
    unchecked = ""
    if isinstance(anchors, list) and anchors:
        unchecked = f" {len(anchors)} RFC 3161 timestamp(s) in the file were not checked."
    if proven is None:
        claim = f"The log claims {entry.timestamp}; nothing from outside the log proves a time."
        return Verdict(NOT_SHOWN, claim + unchecked)
    apart = proven * 1000 - parse_time(entry.timestamp)
    known = f"The log claims {entry.timestamp}; witnesses prove it existed at {format_ms(proven * 1000)}"
    if apart < -APART_MS:
        return Verdict(FAIL, f"{known}, {-apart // 1000} s before that time.{unchecked}")
    if apart > APART_MS:
        late = f"{known}, {apart // 1000} s later: the claim rests on the log's word."
        return Verdict(PASS, late + unchecked, flagged=True)
    return Verdict(PASS, f"{known}.{unchecked}")


def _judge_batch(answer: Mapping[str, Any], log: Verifier) -> Verdicts:
    """A batch is one proof: it stands or falls as a whole. Its roots are too new to be witnessed."""
    if not _holds(lambda: receipt.verify_batch(answer, log)):
        return _failed(
            "The batch does not verify as a whole; the entries may be judged one by one."
        )
    count = len(answer["receipts"])
    return Verdicts(
        Verdict(PASS, f"All {count} entries are unaltered and lead to the heads of their streams."),
        Verdict(PASS, f"These heads are in the root log, signed by {log.name}."),
        Verdict(NOT_SHOWN, "The answer to a batch carries no cosignatures."),
        Verdict(NOT_SHOWN, "Nothing from outside the log proves a time."),
    )
