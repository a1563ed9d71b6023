"""What the log shows as its checkpoint: the newest published root with the cosignatures gathered for it.

A root is published when the writer has stored its note. It is *shown* as soon as the quorum of the policy has cosigned it,
or after `witness_wait` seconds with what was gathered until then; without a policy at once. Later cosignatures are merged.
Of each witness a note has one line. In the store that is the first one, which proves the earliest time; what is shown has
the newest, which says that the witness still knows no larger tree.

The writer thread tells of publications, the gateway's event loop of cosignatures, anybody asks: one lock guards all.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from tlog.core.note import VerifiedSignature, Verifier, open_note
from tlog.core.policy import Policy
from tlog.errors import CorruptStore, TlogError
from tlog.sequencer.publish import Head
from tlog.witnesses.clock import WitnessClock
from tlog.witnesses.keeper import Keeper, keeper_of

# Published roots that can still take a cosignature: minutes of them, while an exchange takes seconds.
_REMEMBERED = 256
# Lines of witnesses that the policy no longer names, kept in the store with a note that they cosigned.
_MAX_OTHERS = 32

Key = tuple[str, int]


@dataclass(slots=True)
class _Entry:
    """One published root: its note under the log's signature, and the lines of its witnesses by key."""

    size: int
    note: bytes
    show_at: float  # monotonic: shown from then on, whoever has cosigned
    first: dict[Key, VerifiedSignature] = field(default_factory=dict)
    newest: dict[Key, VerifiedSignature] = field(default_factory=dict)
    others: list[bytes] = field(default_factory=list)


class Publication:
    """The log's public face. `store` keeps a cosigned note: (root size, note)."""

    def __init__(
        self,
        policy: Policy | None,
        log: Verifier,
        *,
        witness_wait: float,
        witness_memory: float,
        patience: float = 10.0,
        store: Callable[[int, bytes], None],
    ) -> None:
        self.policy = policy
        self.keepers: tuple[Keeper, ...] = tuple(map(keeper_of, policy.witnesses if policy else ()))
        self.clock = WitnessClock(witness_memory)
        self.patience = (
            patience  # seconds after which a missing cosignature makes a witness `behind`
        )
        # Told on the writer thread of each publication, of the same root too when idle.
        self.on_publish: Callable[[], None] = lambda: None
        self._log = log
        self._wait = witness_wait if policy else 0.0
        self._store = store
        self._names = (
            {k.key: w.name for k, w in zip(self.keepers, policy.witnesses, strict=True)}
            if policy
            else {}
        )
        self._lock = threading.Lock()
        self._entries: OrderedDict[int, _Entry] = OrderedDict()  # by size, ascending
        self._shown: _Entry | None = None
        self._published = 0  # sizes, for `wait`
        self._witnessed = 0
        self._waiters: dict[asyncio.Future[None], tuple[asyncio.AbstractEventLoop, int, bool]] = {}

    def restore(self, size: int, note: bytes) -> None:
        """At start: the newest published note, as stored. Raises: CorruptStore."""
        try:
            opened = open_note(note, [self._log, *(keeper.verifier for keeper in self.keepers)])
        except TlogError as error:
            raise CorruptStore(f"the published note of size {size} does not verify") from error
        known = {(signature.name, signature.key_id): signature for signature in opened.signatures}
        own = known.pop((self._log.name, self._log.key_id), None)
        if own is None:
            raise CorruptStore(f"the published note of size {size} lacks the log's signature")
        plain = opened.text + b"\n" + own.line
        entry = _Entry(size, plain, 0.0, dict(known), dict(known))
        lines = {signature.line for signature in opened.signatures}
        block = note[len(opened.text) + 1 :].splitlines(keepends=True)
        entry.others = [line for line in block if line not in lines][:_MAX_OTHERS]
        now = time.monotonic()
        with self._lock:
            self._entries[size] = self._shown = entry
            self._published = size
            self._witnessed = size if self._has_quorum(entry) else 0
        for keeper in self.keepers:
            signature = known.get(keeper.key)
            if signature is None:
                keeper.published(size, now)
            else:
                keeper.size, keeper.time = size, signature.timestamp or 0

    def published(self, head: Head) -> None:
        """A root is public, its note is stored. On the writer thread."""
        now = time.monotonic()
        with self._lock:
            size = head.root.size
            if size not in self._entries:
                entry = self._entries[size] = _Entry(size, head.note, now + self._wait)
                if self._has_quorum(entry):
                    self._witnessed = size
                while len(self._entries) > _REMEMBERED:
                    self._entries.popitem(last=False)
            self._published = size
            for keeper in self.keepers:
                keeper.published(size, now)
        self._notify()
        self.on_publish()

    def kept(self, notes: Mapping[int, bytes]) -> None:
        """These notes are stored, by size. On the writer thread."""
        with self._lock:
            for size, note in notes.items():
                entry = self._entries.get(size)
                # A line that came in meanwhile is stored with the next note, and no proof has it before.
                if entry is not None and self._has_quorum(entry, note):
                    self._witnessed = max(self._witnessed, size)
        self._notify()

    def cosigned(self, size: int, keeper: Keeper, signature: VerifiedSignature) -> None:
        """A witness cosigned the root of `size`; the signature is verified."""
        now = time.monotonic()
        self.clock.heard(keeper.key, signature.timestamp or 0, now)
        stored: bytes | None = None
        with self._lock:
            entry = self._entries.get(size)
            if entry is not None:
                before = entry.newest.get(keeper.key)
                if before is None or (signature.timestamp or 0) > (before.timestamp or 0):
                    entry.newest[keeper.key] = signature
                if keeper.key not in entry.first:
                    entry.first[keeper.key] = signature
                    stored = self._note(entry, entry.first) + b"".join(entry.others)
            keeper.cosigned(size, signature, self._published, now)
        if stored is not None:
            self._store(size, stored)

    @property
    def newest(self) -> tuple[int, bytes] | None:
        """Size and note, under the log's signature alone, of the newest published root."""
        with self._lock:
            entry = self._entries.get(self._published)
            return None if entry is None else (entry.size, entry.note)

    @property
    def checkpoint(self) -> bytes | None:
        """The note to show; None before the first publication."""
        now = time.monotonic()
        with self._lock:
            for entry in reversed(self._entries.values()):
                if entry is self._shown:
                    break
                if entry.show_at <= now or (self.policy is not None and self._has_quorum(entry)):
                    self._shown = entry
                    break
            return None if self._shown is None else self._note(self._shown, self._shown.newest)

    async def wait(self, root_leaf: int, witnessed: bool, seconds: float) -> bool:
        """Wait until a root that covers a leaf of the root log is public, or has its quorum too and is stored with it.

        False when that did not happen within `seconds`.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._reached(witnessed) > root_leaf:
                return True
            self._waiters[future] = (loop, root_leaf, witnessed)
        try:
            await asyncio.wait_for(future, seconds)
        except asyncio.TimeoutError:
            return False
        finally:
            with self._lock:
                self._waiters.pop(future, None)
        return True

    def _reached(self, witnessed: bool) -> int:
        return self._witnessed if witnessed else self._published

    def _notify(self) -> None:
        with self._lock:
            ready = [
                (loop, future)
                for future, (loop, root_leaf, witnessed) in self._waiters.items()
                if self._reached(witnessed) > root_leaf
            ]
        for loop, future in ready:
            with suppress(RuntimeError):  # a loop that is closed waits for nothing
                loop.call_soon_threadsafe(_resolve, future)

    def _has_quorum(self, entry: _Entry, stored: bytes | None = None) -> bool:
        """Whether the lines of a root, or those of them that are in the stored note, are the policy's quorum."""
        return self.policy is not None and self.policy.satisfied_by(
            [
                self._names[key]
                for key, signature in entry.first.items()
                if stored is None or signature.line in stored
            ]
        )

    def _note(self, entry: _Entry, lines: dict[Key, VerifiedSignature]) -> bytes:
        """The note with these lines in the order of the policy, one of each witness."""
        cosigned = [lines[k.key].line for k in self.keepers if k.key in lines]
        return entry.note + b"".join(cosigned)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
