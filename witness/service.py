"""A running witness: what the HTTP handlers call. Decides who is answered at once and what waits for the writer."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from tlog.core.add_checkpoint import AddCheckpoint, parse_request
from tlog.errors import Unavailable
from witness.anchorer import Anchorer
from witness.audit.crew import Crew
from witness.clock import since_boot
from witness.cosigner import Answer, Cosigned
from witness.gossip import Gossip
from witness.lookout import Lookout
from witness.rows import FrozenRow, HoldRow, LatestRow
from witness.state import CLOCK, FROZEN, HELD, Cosign, Decision, Refuse, origin_of
from witness.witness import Witness
from witness.writer import Writer

logger = logging.getLogger(__name__)

_LEAST_BURST = 10.0
_DAY = 86_400.0
_BUCKETS = 100_000
#: Told of requests that a log signed and that were refused: (request, refusal). On the event loop; must be quick.
Observer = Callable[[AddCheckpoint, Refuse], None]


class Status(NamedTuple):
    """`name` is ok, or why nothing is cosigned: failed, stopping, starting, clock, disk-full."""

    name: str
    frozen: list[FrozenRow]
    held: list[HoldRow]


class Service:
    """One per process, on its event loop."""

    def __init__(self, witness: Witness, writer: Writer, lookout: Lookout, gossip: Gossip) -> None:
        self.witness = witness
        self.writer = writer
        self.lookout = lookout
        self.gossip = gossip
        self.crew: Crew | None = None  # of auditors, where logs are audited
        self.anchorer: Anchorer | None = None  # where there are timestamp authorities
        self.observers: list[Observer] = []
        self._quota = Quota()
        self._alarmed = False
        self._heard: dict[str, float] = {}

    async def add_checkpoint(self, body: bytes, *, pulled: bool = False) -> Answer:
        """Answer one request body; `pulled`: the log did not send it, our own audit made it of what the log shows.

        Raises: InvalidInput (malformed), Unavailable (try again), CorruptStore.
        """
        request = parse_request(body)
        # By the committed state most of what is refused can be refused at once; what looks good is judged again by
        # the writer, inside the transaction that stores it.
        decision = self.witness.cosigner.judge(request)
        if not pulled and _is_sign_of_life(decision):
            self._heard[origin_of(request.note)] = since_boot()
        if not isinstance(decision, Cosign):
            return self._told(request, decision)
        if not self.lookout.ready.is_set():
            raise Unavailable("starting", "this witness looks for its own cosignatures first")
        self._quota.take(*self._quota_of(request))
        return self._told(request, await self.writer.submit(request))

    def silent_for(self, origin: str) -> float:
        """Seconds since the log last sent a checkpoint; 0 if it never did while this process runs."""
        heard = self._heard.get(origin)
        return 0.0 if heard is None else since_boot() - heard

    def published(self, key: bytes) -> bytes | None:
        """The newest cosigned checkpoint of the log whose origin has this SHA-256, with the lines of log and witness."""
        with self.witness.store.read() as txn:
            row = self.witness.store.get(txn, "latest", key, LatestRow)
        return None if row is None else row.note

    def status(self) -> Status:
        """What hinders cosigning: of everything, of single logs."""
        store = self.witness.store
        return Status(
            self._hindrance(), store.all("frozen", FrozenRow), store.all("holds", HoldRow)
        )

    @property
    def failed(self) -> bool:
        """Whether a write failed, of the writer's thread or another: the process must end."""
        return self.writer.failed is not None or self.witness.store.failed is not None

    def may_sign(self) -> bool:
        """Whether anything may be signed: the first look is over, and no write failed. From any thread."""
        return self.lookout.ready.is_set() and not self.failed

    def _hindrance(self) -> str:
        if self.failed:
            return "failed"
        if self.writer.disk_full:
            return "disk-full"
        if not self.witness.clock_is_right():
            return "clock"
        return "ok" if self.lookout.ready.is_set() else "starting"

    def _told(self, request: AddCheckpoint, answer: Answer) -> Answer:
        if isinstance(answer, Cosigned):
            self._alarmed = False
            head = answer.head
            logger.debug("cosigned %s at size %d", head.origin, head.size)
        elif isinstance(answer, Refuse):
            if answer.note is not None:
                logger.warning("%s: %s", origin_of(request.note), answer.detail)
                for observer in self.observers:
                    observer(request, answer)
            if answer.kind in {CLOCK, HELD}:
                if answer.kind == CLOCK:
                    self._alarm(answer.detail)
                raise Unavailable(answer.kind, answer.detail, 30.0)
        return answer

    def _alarm(self, detail: str) -> None:
        """Say once that the clock is wrong, and again after it was right."""
        if not self._alarmed:
            logger.critical("nothing is cosigned: %s", detail)
        self._alarmed = True

    def _quota_of(self, request: AddCheckpoint) -> tuple[str, int]:
        origin = origin_of(request.note)
        row = self.witness.store.log(origin)
        return origin, 0 if row is None else row.qpd


def _is_sign_of_life(decision: Decision) -> bool:
    """Whether the log did its part: if it is not cosigned now, then for reasons of ours."""
    ours = {CLOCK, FROZEN, HELD}
    return isinstance(decision, Cosign) or (isinstance(decision, Refuse) and decision.kind in ours)


class Quota:
    """Requests per day and log, as far as its entry in a list limits them; an hour's worth may come at once."""

    def __init__(self, clock: Callable[[], float] = since_boot) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, origin: str, qpd: int) -> None:
        """Count one. Raises: Unavailable (rate-limited) with the seconds to wait. `qpd` 0 is no limit."""
        if not qpd:
            return
        rate, capacity = qpd / _DAY, max(_LEAST_BURST, qpd / 24)
        now = self._clock()
        level, then = self._buckets.get(origin, (capacity, now))
        level = min(capacity, level + (now - then) * rate)
        if level < 1:
            raise Unavailable(
                "rate-limited", f"this log may send {qpd} checkpoints a day", (1 - level) / rate
            )
        self._buckets[origin] = (level - 1, now)
        if len(self._buckets) > _BUCKETS:
            self._buckets.popitem(last=False)
