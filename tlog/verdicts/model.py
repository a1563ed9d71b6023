"""What a verdict is, what a step is, and what the verifier brings along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

from tlog.core.note import Verifier
from tlog.core.policy import Policy
from tlog.core.timestamp_chain import Roots
from tlog.errors import InvalidInput, VerificationError

Outcome: TypeAlias = Literal["pass", "fail", "not shown"]
PASS: Literal["pass"] = "pass"
FAIL: Literal["fail"] = "fail"
NOT_SHOWN: Literal["not shown"] = "not shown"

T = TypeVar("T")


class Trust(NamedTuple):
    """From the verifier's own configuration: the log's key, which witnesses are asked for, and whose timestamps count."""

    log: Verifier
    policy: Policy | None = None
    tsa_roots: Roots | None = None


class Held(NamedTuple):
    """What the verifier holds beside the file, as bytes.

    `entry`: the event's entry, exactly. `genesis`: leaf 0 of its stream, exactly. `head`: part `head`
    of a C2SP tlog-proof. `old`: an older signed checkpoint, for a receipt of consistency.
    """

    entry: bytes | None = None
    genesis: bytes | None = None
    head: bytes | None = None
    old: bytes | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`pass`, `fail` or `not shown`, and why. `flagged`: it passes, but somebody should look at it."""

    verdict: Outcome
    reason: str
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a verification. A number means the same in every kind of file:

    1 entry, 2 what is repeated of it, 3 event id, 4 path to the head of the stream, 5 signature of
    that head, 6 its origin, 7 signature of the root, 8 place of the head below it, 9 witnesses, 10 time.
    """

    number: int
    outcome: Outcome
    text: str

    def line(self) -> str:
        """For people: `[4]  ok         the path leads …`."""
        word = "ok" if self.outcome == PASS else self.outcome.upper()
        return f"{f'[{self.number}]':<4} {word:<10} {self.text}"


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The four, and the two times: `claimed` by the log, `proven_by` the witnesses (None: neither).

    `kind` is what the file was taken for; `steps` in the order in which they were taken. `fork`: the file
    proves that the log lied, and how; then there is no entry to be judged, and nothing is verified.
    """

    integrity: Verdict
    position: Verdict
    witnessed: Verdict
    time: Verdict
    claimed: str | None = None
    proven_by: str | None = None
    kind: str = ""
    steps: tuple[Step, ...] = ()
    fork: tuple[str, ...] = ()

    @property
    def verified(self) -> bool:
        """Whether integrity and position are shown and nothing failed. What is missing stays missing:
        without witnesses the log may show others another tree."""
        verdicts = (self.integrity, self.position, self.witnessed, self.time)
        shown = self.integrity.verdict == self.position.verdict == PASS
        return shown and all(verdict.verdict != FAIL for verdict in verdicts)

    def lines(self) -> list[str]:
        """One line for each verdict; of a fork proof, what it shows."""
        if self.fork:
            return [f"THE LOG LIED: {self.fork[0]}", *(f"  {line}" for line in self.fork[1:])]
        return [
            f"{name:<10} {verdict.verdict.upper():<10} {verdict.reason}"
            for name, verdict in self._named().items()
        ]

    def as_json(self) -> dict[str, Any]:
        """The same for programs that show it: `verified`, an object for each verdict, the steps."""
        named = {
            name: {"verdict": verdict.verdict, "reason": verdict.reason, "flagged": verdict.flagged}
            for name, verdict in self._named().items()
        }
        times = {"claimed": self.claimed, "proven_by": self.proven_by}
        steps = [{"step": s.number, "outcome": s.outcome, "text": s.text} for s in self.steps]
        shown = {"verified": self.verified, **named, "time": {**named["time"], **times}}
        lied = {"log_lied": list(self.fork)} if self.fork else {}
        return {**shown, "kind": self.kind, "steps": steps, **lied}

    def _named(self) -> dict[str, Verdict]:
        return {
            "integrity": self.integrity,
            "position": self.position,
            "witnessed": self.witnessed,
            "time": self.time,
        }


class BrokenStep(VerificationError):
    """A step that does not hold; `detail` says what that means, for people."""


class Steps:
    """Takes the steps of one verification and remembers what each showed."""

    def __init__(self) -> None:
        self._taken: list[Step] = []

    def take(
        self, number: int, step: Callable[[], T], *, held: Callable[[T], str], broken: str
    ) -> T:
        """The step's result, told by `held`. Raises: BrokenStep with the sentence `broken`."""
        try:
            result = step()
        except (VerificationError, InvalidInput):
            self._taken.append(Step(number, FAIL, broken))
            raise BrokenStep(broken) from None
        self._taken.append(Step(number, PASS, held(result)))
        return result

    def skip(self, number: int, why: str) -> None:
        """Say that a step could not be taken: it is not shown."""
        self._taken.append(Step(number, NOT_SHOWN, why))

    def note(self, number: int, verdict: Verdict) -> Verdict:
        """A step whose outcome is a verdict."""
        self._taken.append(Step(number, verdict.verdict, verdict.reason))
        return verdict

    @property
    def taken(self) -> tuple[Step, ...]:
        """All of them so far."""
        return tuple(self._taken)


def failed(kind: str, steps: Steps, reason: str, outcome: Outcome = FAIL) -> Verdicts:
    """The verdicts when integrity fails, or is not shown: nothing else is examined."""
    rest = Verdict(NOT_SHOWN, "Not examined, because the integrity of the entry is not shown.")
    return Verdicts(Verdict(outcome, reason), rest, rest, rest, kind=kind, steps=steps.taken)
