"""The steps that every kind of proof of an event has: its entry, and where the head of its stream stands."""

from __future__ import annotations

from collections.abc import Callable

from tlog.core import binding, package
from tlog.core.checkpoint import Checkpoint
from tlog.core.entry import Entry
from tlog.core.note import Note
from tlog.core.policy import Policy
from tlog.core.times import MAX_MS, format_ms, parse_time
from tlog.core.wire import b64encode
from tlog.errors import VerificationError
from tlog.verdicts.anchors import Anchored, Proven
from tlog.verdicts.model import (
    FAIL,
    NOT_SHOWN,
    PASS,
    BrokenStep,
    Steps,
    Trust,
    Verdict,
    Verdicts,
)

APART_MS = 60_000
NO_ANCHORS = Anchored()

NO_PUBLICATION = "The log had not published the entry when this file was made."


def take_entry(steps: Steps, document: object) -> Entry:
    """Step 1: the `entry` of a JSON object is valid. Raises: BrokenStep."""
    return steps.take(
        1,
        lambda: binding.read_entry(document),
        held=_describe,
        broken="The entry is missing, altered, or not a valid record in its one canonical form.",
    )


def _describe(entry: Entry) -> str:
    size = f"the entry has {len(entry.raw)} bytes, is valid and canonical"
    if not binding.understood(entry):
        return f"{size}; its schema is not known here"
    return f"{size}: {entry.record['eventClass']} {entry.record['eventType']}"


def take_identity(steps: Steps, entry: Entry) -> None:
    """Step 3: the id locates the entry. Raises: BrokenStep."""
    record = entry.record
    steps.take(
        3,
        lambda: binding.check_identity(entry),
        held=lambda _: (
            f"{record['id']} is number {record['chainPosition']} of {record['streamId']}"
        ),
        broken="The event id does not belong to the time, the position and the stream of the entry.",
    )


def take_path(steps: Steps, lead: Callable[[], Checkpoint]) -> Checkpoint:
    """Step 4: entry and path lead to a head of the stream. Raises: BrokenStep."""
    return steps.take(
        4,
        lead,
        held=lambda head: f"its path leads to {b64encode(head.root)}, root of {head.size} entries",
        broken="The entry does not lead to a head of its stream: the proof path is wrong.",
    )


def take_label(
    steps: Steps, entry: Entry, origin: str, trust: Trust, genesis: bytes | None
) -> None:
    """Step 6: the origin can be, or is, the stream's. Raises: BrokenStep."""
    label = origin.rpartition("/streams/")[2]
    if genesis is not None or entry.record["chainPosition"] == 0:
        held = f"{origin} is the stream's origin, as its genesis entry shows"
    elif "/" in label:
        held = f"{origin} is the stream's origin: its label is public"
    else:
        held = (
            f"{origin} can be the stream's origin; which stream the label hides, its genesis shows"
        )
    steps.take(
        6,
        lambda: binding.check_label(origin, entry, trust.log.name, genesis),
        held=lambda _: held,
        broken="The tree that holds the entry is not one of the entry's stream in this log.",
    )


def passed(entry: Entry, size: int) -> Verdict:
    """Integrity, when steps 1 to 6 hold."""
    text = (
        f"The entry is unaltered and is number {entry.record['chainPosition']} of stream "
        f"{entry.record['streamId']}, counted from 0, in a tree of {size}."
    )
    if not binding.understood(entry):
        text += " Its schema is not known here: what the entry says was not understood."
    return Verdict(PASS, text)


class Position:
    """Steps 7 to 10: the root note, the place of a head below it, the witnesses, and the times.

    `note()` gives the note of the root log; `show(root)` checks that the head is a leaf below it. Both
    may raise VerificationError.
    """

    def __init__(
        self,
        steps: Steps,
        trust: Trust,
        note: Callable[[], str],
        show: Callable[[Checkpoint], None],
    ) -> None:
        self._steps, self._trust = steps, trust
        self._note = ""
        self.verdict = self._judge(note, show)

    def _judge(self, note: Callable[[], str], show: Callable[[Checkpoint], None]) -> Verdict:
        log = self._trust.log

        def opened() -> Checkpoint:
            self._note = note()
            return binding.open_note(self._note, log, log.name)[0]

        try:
            root = self._steps.take(
                7,
                opened,
                held=lambda root: (
                    f"the root log's head of {root.size} leaves is signed by {log.vkey}"
                ),
                broken=f"The head of the root log is not signed by the configured key of {log.name}.",
            )
            self._steps.take(
                8,
                lambda: show(root),
                held=lambda _: "just this head of the stream is a leaf below it",
                broken="The head of the stream is not in the root log that was signed.",
            )
        except BrokenStep as fault:
            return Verdict(FAIL, fault.detail)
        text = (
            f"The head of the stream is in the root log of {log.name}, signed at size {root.size}."
        )
        return Verdict(PASS, text)

    def witnessed(self) -> tuple[Verdict, int | None]:
        """Step 9, and the Unix second at which the quorum was complete, if it is."""
        verdict, note = self._quorum()
        policy = self._trust.policy
        proven = policy.quorum_time(note) if policy is not None and note is not None else None
        if proven is not None and proven * 1000 > MAX_MS:
            proven = None  # a clock beyond the calendar: no later than that is no news
        return self._steps.note(9, verdict), proven

    def _quorum(self) -> tuple[Verdict, Note | None]:
        log, policy, _ = self._trust
        absent = no_quorum(policy)
        if policy is None or absent is not None:
            return absent or _NO_POLICY, None
        if self.verdict.verdict != PASS:
            return _NOTHING_TO_WITNESS, None
        reason = "A signature under the name of a witness does not verify."
        try:
            _, note = binding.open_note(self._note, log, log.name, policy.witness_verifiers)
            names = sorted(s.name for s in note.signatures if s.timestamp is not None)
            if not names:
                return Verdict(NOT_SHOWN, "No witness of the policy has cosigned this root."), None
            reason = (
                f"The cosignatures are no quorum of the policy, or it is for another log: {names}."
            )
            package.check_quorum(note, log, policy)
        except VerificationError:
            return Verdict(FAIL, reason), None
        return Verdict(PASS, f"The policy's quorum is met: cosigned by {', '.join(names)}."), note


_NO_POLICY = Verdict(NOT_SHOWN, "No policy says which witnesses to believe.")
_NOTHING_TO_WITNESS = Verdict(
    NOT_SHOWN, "The position is not shown, so there is nothing to witness."
)


def no_quorum(policy: Policy | None) -> Verdict | None:
    """The verdict when no witness is asked for; None when some are."""
    if policy is None:
        return _NO_POLICY
    return Verdict(NOT_SHOWN, "The policy asks for no witness.") if policy.quorum is None else None


def judge_place(
    kind: str,
    steps: Steps,
    integrity: Verdict,
    entry: Entry,
    place: Position | str,
    trust: Trust,
    anchored: Anchored = NO_ANCHORS,
) -> Verdicts:
    """All four, once integrity is shown. `place` is the position, or why none is shown."""
    if isinstance(place, str):
        steps.skip(7, place)
        steps.skip(8, place)
        position = Verdict(NOT_SHOWN, place)
        witnessed, proven = steps.note(9, no_quorum(trust.policy) or _NOTHING_TO_WITNESS), None
    else:
        position = place.verdict
        witnessed, proven = place.witnessed()
    proofs = list(anchored.proven)
    if proven is not None:
        proofs.insert(0, Proven(proven * 1000, "witnesses prove"))
    first = min(proofs, key=lambda proof: proof.ms, default=None)
    time = steps.note(10, _time(entry, first, anchored))
    proven_by = None if first is None else format_ms(first.ms)
    return Verdicts(
        integrity, position, witnessed, time, entry.timestamp, proven_by, kind, steps.taken
    )


def _time(entry: Entry, proven: Proven | None, anchored: Anchored) -> Verdict:
    """Compare the log's own time with the earliest one that somebody else proves."""
    if anchored.broken:
        return Verdict(FAIL, f"The log claims {entry.timestamp}. {anchored.broken}")
    if proven is None:
        claim = f"The log claims {entry.timestamp}; nothing from outside the log proves a time."
        return Verdict(NOT_SHOWN, claim + anchored.remark)
    apart = proven.ms - parse_time(entry.timestamp)
    known = f"The log claims {entry.timestamp}; {proven.by} it existed at {format_ms(proven.ms)}"
    if apart < -APART_MS:
        return Verdict(FAIL, f"{known}, {-apart // 1000} s before that time.{anchored.remark}")
    if apart > APART_MS:
        late = f"{known}, {apart // 1000} s later: the claim rests on the log's word."
        return Verdict(PASS, late + anchored.remark, flagged=True)
    return Verdict(PASS, f"{known}.{anchored.remark}")
