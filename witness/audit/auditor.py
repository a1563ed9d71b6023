"""The audit of one log: every new leaf of its root log and every head of every stream, before the second key signs.

Source: design §6, "Audit", and §2.5. One round reads what the log shows, follows it (`tlog.client.fetch.audit`), lets
another implementation judge every tree (`second`), has the cosigner take the head, and signs it as `…/audited`.
In scope: the round, what becomes of a finding. Out of scope: when rounds happen (`crew`), what two notes say about each
other (gossip), how long something lasts before somebody is woken (`signs`).

Nothing is signed that was not followed from leaf 0 in one unbroken line, and nothing after a lie: the state stays before
it, so every later round finds the lie again.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

from tlog.client.fetch import Fetcher, RemoteTree
from tlog.client.fetch.audit import Reader, RootFollower
from tlog.core.add_checkpoint import AddCheckpoint
from tlog.core.checkpoint import Checkpoint
from tlog.core.root_log import RuleBroken, StreamHead
from tlog.errors import InvalidInput, Refused, TlogError, Unavailable
from witness.audit import second, signs
from witness.audit.accuse import Told, accuse
from witness.audit.deep import Deep, read_token
from witness.audit.face import Face, Head, load_keys, open_head
from witness.audit.office import HeadOffice
from witness.audit.rows import AuditRow, LogState
from witness.audit.settings import Progress, Settings
from witness.audit.signs import Signs
from witness.cosigner import Cosigned
from witness.rows import LogRow

ATTEMPTS = 2
"""For each tile; then another round asks again."""
SEGMENT = 16_384
"""Leaves of a root log that are checked together, and remembered together."""


class Auditor:
    """Follows one log; belongs to one event loop, one round at a time."""

    def __init__(
        self,
        log: LogRow,
        state: LogState,
        office: HeadOffice,
        signs_of_trouble: Signs,
        *,
        settings: Settings,
        deep: Deep | None = None,
    ) -> None:
        self.log = log
        self.state = state
        self.signs = signs_of_trouble
        self.progress = Progress()
        self._office = office
        self._keys = load_keys(log)
        self._settings = settings
        self._token: str | None = None
        self._fetcher = self._connect()
        self._deep = deep
        self._caught_up = deep is None
        if deep is not None:
            state.moved = deep.keep
        # Of the segment that is being followed: all heads of each stream, for an accusation.
        self._heads: dict[str, list[StreamHead]] = {}
        self._wanted: dict[int, Head] = {}
        self._waiters: dict[int, list[asyncio.Future[bytes | None]]] = {}
        # Its own connections, and no patience with one look: the next is soon.
        looking = Fetcher(log.url, timeout=settings.timeout, attempts=1)
        self._face = Face(log, state, office, signs_of_trouble, looking, settings.heartbeat)
        self._shown: Head | None = None

    def _connect(self) -> Fetcher:
        return Fetcher(
            self.log.url,
            token=self._token,
            timeout=self._settings.timeout,
            parallel=self._settings.parallel,
            attempts=ATTEMPTS,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._fetcher.close()
        await self._face.fetcher.close()

    def take_keys(self, log: LogRow) -> None:
        """The log was given further keys."""
        self._keys = self._face.keys = load_keys(log)
        self.log = self._face.log = log
        if self._deep is not None:
            self._deep.keys = self._keys

    def want(self, note: bytes) -> asyncio.Future[bytes | None]:
        """Sign this head too, and now: the signature line once it is stored, None if it never will be.

        Raises: InvalidInput, VerificationError.
        """
        head = open_head(note, self.log, self._keys)
        size = head.checkpoint.size
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._wanted[size] = head
        self._waiters.setdefault(size, []).append(future)
        future.add_done_callback(partial(self._left, size))
        return future

    def _left(self, size: int, future: asyncio.Future[bytes | None]) -> None:
        """Nobody waits any more: what cannot be audited must not be remembered without end."""
        waiters = [one for one in self._waiters.get(size, []) if one is not future]
        if waiters:
            self._waiters[size] = waiters
        else:
            self._waiters.pop(size, None)
            self._wanted.pop(size, None)

    async def look(self) -> bool:
        """One look at what the log shows, however long a round takes; whether it is another head than before."""
        shown = await self._face.look()
        if shown is None or (
            self._shown is not None and shown.checkpoint == self._shown.checkpoint
        ):
            return False
        self._shown = shown
        return True

    async def round(self) -> None:
        """Follow the log to what is known. Raises nothing that the log could cause: what is wrong is in `signs`."""
        began = time.monotonic()
        try:
            await self._take_token()
            await self._audit()
        except second.OpinionsDiffer as error:
            self.signs.seen(signs.OPINIONS_DIFFER, str(error))
        except RuleBroken as error:
            self.signs.seen(signs.name_of(error, self.log.origin), error.detail)
        except InvalidInput as error:
            self.signs.seen(_OURS.get(error.kind, signs.UNREACHABLE), error.detail)
        except (Unavailable, Refused) as error:
            since = max(began, self._fetcher.answered)
            self.signs.seen(signs.UNREACHABLE, error.detail, since=since)
        self.progress.rounds += 1
        self.progress.seconds = time.monotonic() - began

    async def _take_token(self) -> None:
        """Read with the token that the file has now."""
        settings = self._settings
        token = read_token(settings.tokens, self.log.origin) if self._deep is not None else None
        if token != self._token:
            old, self._token = self._fetcher, token
            self._fetcher = self._connect()
            self._caught_up = False
            await old.close()

    async def _audit(self) -> None:
        """Follow the log up to the largest head that is known, and sign all that are wanted on the way."""
        row = self.state.begin()
        heads = [head for head in self._candidates() if head.checkpoint.size >= row.audited]
        target = max(heads, key=lambda head: head.checkpoint.size, default=None)
        # Less than what was followed is no news: whether it is a lie, gossip finds out.
        if target is None or target.checkpoint.size < row.size:
            return
        news = not self._caught_up or (target.checkpoint.size, target.checkpoint.root) != (
            row.audited,
            row.root,
        )
        if news or self._wanted:
            self.progress.behind_since = self.progress.behind_since or time.time()
            tree = await self._follow(target, _audited(row), heads)
            for head in sorted(heads, key=lambda one: one.checkpoint.size):
                await self._sign(head, tree)
            self.progress.finished = time.time()
            self._forget(target.checkpoint.size)
        self.progress.behind_since = 0.0
        self.signs.gone(*_OF_READING)

    def _forget(self, size: int) -> None:
        """Nobody need wait for heads up to this size any more: they are signed, or will never be."""
        self._wanted = {one: head for one, head in self._wanted.items() if one > size}
        for old in [one for one in self._waiters if one <= size]:
            for future in self._waiters.pop(old):
                if not future.done():
                    future.set_result(None)

    def _candidates(self) -> list[Head]:
        """What was asked for, what is shown, and what was cosigned: on a busy log three heads."""
        heads = [*self._wanted.values(), *([] if self._shown is None else [self._shown])]
        latest = self._office.latest(self.log.origin)
        if latest is not None:
            heads.append(open_head(latest.note, self.log, self._keys))
        return heads

    async def _follow(self, target: Head, kept: Checkpoint | None, heads: list[Head]) -> RemoteTree:
        self._heads = {}
        if self._deep is not None:
            self._deep.begin()
        self._segment_end = self.state.root.size + SEGMENT
        follower = RootFollower(
            self._fetcher,
            self.log.origin,
            self.state,
            parallel=self._settings.parallel,
            segment=SEGMENT,
            seen=self._see,
            opinion=self._judge,
            reader=self._reader,
        )
        follower.counts = self.progress.counts
        self._follower = follower
        try:
            # All that it signed is compared before the state moves to what one of them says.
            known = [head.checkpoint for head in heads]
            tree = await follower.advance(target.checkpoint, kept, *known)
            if self._deep is not None and not self._caught_up:
                await follower.visit(self._deep.behind(self.state))
                self._caught_up = True
            return tree
        except RuleBroken as error:
            if follower.tree is not None:
                told = Told(target.note, follower.tree, target.key)
                await self._accuse(error, told)
            raise
        finally:
            self._heads = {}

    async def _reader(self, label: str, newest: StreamHead) -> Reader | None:
        deep = self._deep
        if deep is None:
            return None
        return await deep.reader(self._follower, self._fetcher, label, newest)

    def _see(self, label: str, head: StreamHead) -> None:
        if head.leaf >= self._segment_end:
            # What was seen before is checked, and in the state.
            self._heads.clear()
            self._segment_end += SEGMENT
        self._heads.setdefault(label, []).append(head)

    async def _judge(self, tree: RemoteTree, start: int) -> None:
        self.progress.tiles_rebuilt += await second.compare(tree, start)

    async def _sign(self, head: Head, tree: RemoteTree) -> None:
        """Sign a head that is in the audited tree, after the cosigner has it too; nothing if that is not to be now."""
        checkpoint, origin = head.checkpoint, self.log.origin
        if not checkpoint.size:
            return
        if await tree.root_at(checkpoint.size) != checkpoint.root:
            # Gossip has both notes, and proves it.
            detail = f"its key signed two heads of {checkpoint.size} leaves"
            raise RuleBroken("history", detail, origin=origin)
        try:
            if not await self._cosigned(head):
                return
            line = self.state.audited(checkpoint, head.note, partial(self._office.sign, checkpoint))
        except (Refused, Unavailable):
            return  # frozen, on hold, starting, stopping, or the clock is wrong: said elsewhere
        for future in self._waiters.pop(checkpoint.size, []):
            if not future.done():
                future.set_result(line)

    async def _cosigned(self, head: Head) -> bool:
        """Whether the cosigner knows this head or one that extends it; it is given the head if not."""
        checkpoint = head.checkpoint
        latest = self._office.latest(self.log.origin)
        size = 0 if latest is None else latest.size
        if latest is not None and size >= checkpoint.size:
            return size > checkpoint.size or latest.root == checkpoint.root
        tree = RemoteTree(self._fetcher, checkpoint.size, checkpoint.root, origin=checkpoint.origin)
        proof = await tree.consistency(size) if size else []
        answer = await self._office.cosign(AddCheckpoint(size, tuple(proof), head.note))
        return isinstance(answer, Cosigned)

    async def _accuse(self, error: RuleBroken, told: Told) -> None:
        """Make of a broken rule a proof for others, if it can be one."""
        try:
            document = await accuse(error, told, self._fetcher, self.state.heads, self._heads)
        except TlogError:
            return  # what it would take is withheld: the alarm stays
        if document is not None:
            self._office.convict(document)


_OURS = {"state-unusable": signs.STATE_UNUSABLE, "config": signs.FAILED}
_OF_READING = (
    signs.UNREACHABLE,
    signs.WITHHELD,
    signs.GARBLED,
    signs.LIE,
    signs.OTHER_KIND,
    signs.OPINIONS_DIFFER,
    signs.STATE_UNUSABLE,
    signs.FAILED,
)


def _audited(row: AuditRow) -> Checkpoint | None:
    """The newest head that was audited in full."""
    return Checkpoint(row.origin, row.audited, row.root) if row.audited else None
