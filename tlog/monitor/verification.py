"""The whole check of a log from outside: tiles, checkpoints, and a token for private entries; nothing else of it.

Source: https://c2sp.org/tlog-tiles, verifier's part; Tessera's fsck; design §2.2, §2.3, §2.5.

1. The published root head is signed by the known key, and extends the one kept from the last run and the one that
   the SDK has kept (`tlog.client.pins`); both notes of a contradiction are saved as evidence.
2. Every leaf of the root log, and every head of every stream in it, from the streams' own leaf hashes; every tile of
   every level on the way (`tlog.client.fetch`).
3. The entries of public streams, and of those that the token may read (`tlog.client.fetch.entries`).
4. Of each stream that grew, the newest checkpoint: signed, and a head in the root log.

What was checked in an earlier run is not read again. A finding made with the help of what that run left is made again
without it before anybody is accused.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tlog.client.errors import ForkDetected
from tlog.client.fetch.audit import Progress
from tlog.client.fetch.entries import check_identities
from tlog.client.fetch.http import Fetcher
from tlog.client.fetch.tree import RemoteTree
from tlog.client.pins import Head, Pins
from tlog.core.checkpoint import Checkpoint, open_checkpoint
from tlog.core.note import Verifier
from tlog.core.root_log import RuleBroken
from tlog.errors import InvalidInput, Refused, VerificationError
from tlog.monitor.evidence import contradiction
from tlog.monitor.state import FileState
from tlog.monitor.visit import Report, Scope, Visit


class Verification:
    """One visit to a log. Belongs to one event loop."""

    def __init__(
        self,
        fetcher: Fetcher,
        log: Verifier,
        pins: Pins,
        state: FileState,
        scope: Scope,
        *,
        progress: Progress | None = None,
        patience: float = 10.0,
    ) -> None:
        """`patience` in seconds: how long a stream's newest head may take to be under the published root."""
        self._fetcher = fetcher
        self._log = log
        self._pins = pins
        self._state = state
        self._scope = scope
        self._progress = progress
        self._patience = patience

    async def run(self) -> Report:
        """Verify, and remember what was verified.

        Raises: RuleBroken for the first lie; ForkDetected, with evidence, for a history that was changed, now or when the
        log was last visited; Unavailable, Refused or InvalidInput when the log cannot be read; StateUnusable.
        """
        self._pins.refuse_forked(self._log)
        kept = self._state.head()
        note, head = await published(self._fetcher, self._log)
        await self._against_pinned(note, head)
        earlier = None if kept is None else kept.size
        fresh = self._state.root.size == 0
        try:
            return replace(await self._all(note, head), earlier=earlier)
        except (RuleBroken, InvalidInput) as error:
            if fresh or not (isinstance(error, RuleBroken) or error.kind == "state-unusable"):
                raise
        self._state.forget()
        return replace(await self._all(note, head), earlier=earlier, again=True)

    async def _against_pinned(self, note: bytes, head: Checkpoint) -> None:
        """The head that the SDK keeps may be newer than the published one; one history they must be."""
        pinned = self._pins.head(self._log)
        if pinned is None:
            return
        old, new = sorted((pinned, Head(head, note)), key=lambda one: one.size)
        tree = RemoteTree(self._fetcher, new.size, new.checkpoint.root, origin=self._log.name)
        try:
            # Two roots of one size contradict each other whatever the tiles show.
            root = new.checkpoint.root if new.size == old.size else await tree.root_at(old.size)
            if root == old.checkpoint.root:
                return
        except RuleBroken as error:
            if new is not pinned:
                raise
            detail = f"a head of {new.size} leaves was signed, and is not served any more: {error}"
            raise await self._caught("rollback", detail, pinned, old) from None
        detail = f"the heads of {old.size} and {new.size} leaves are not one history"
        raise await self._caught("history", detail, old, new)

    async def _all(self, note: bytes, head: Checkpoint) -> Report:
        state = self._state
        visit = Visit(self._fetcher, self._log, state, self._scope, self._progress)
        await self._follow(visit, note, head)
        if self._scope.label is not None and self._scope.label not in state.heads:
            state.discard()
            detail = f"no stream of this log has the label {self._scope.label}"
            if not self._scope.token:
                detail += "; a private stream's is not made of its id: name the label, or give a key that may read"
            raise Refused("not-found", detail)
        await visit.catch_up()
        opened = ((state.heads[label].opened, label, one) for label, one in state.entries.items())
        check_identities(opened, self._log.name)
        await visit.notes.fetch(state.unnoted | visit.selected)
        await self._confirm(visit)
        state.unnoted = set(visit.notes.waiting)
        state.save()
        self._pins.advance(self._log, visit.head)
        return visit.report()

    async def _follow(self, visit: Visit, note: bytes, head: Checkpoint) -> None:
        state = self._state
        kept = state.head()
        before, state.note = state.note, note
        try:
            await visit.follow(Head(head, note), kept)
        except RuleBroken as error:
            state.note = before
            if kept is None or before is None or error.rule not in ("history", "rollback"):
                raise
            old, new = Head(kept, before), Head(head, note)
            raise await self._caught(error.rule, str(error), old, new) from None
        except BaseException:
            state.note = before
            raise

    async def _confirm(self, visit: Visit) -> None:
        """Follow the log further until the streams' newest heads are under the published root, or patience ends."""
        clock = asyncio.get_running_loop().time
        end = clock() + self._patience
        while visit.notes.waiting and clock() < end:
            note, head = await published(self._fetcher, self._log)
            if head.size == visit.head.size:
                await asyncio.sleep(min(0.2, self._patience / 10))
                continue
            await self._follow(visit, note, head)

    async def _caught(self, what: str, detail: str, old: Head, new: Head) -> ForkDetected:
        document = await contradiction(self._fetcher, self._log, old, new, detail)
        if what == "history":
            return ForkDetected(detail, self._pins.save_fork(self._log, document))
        return ForkDetected(detail, self._pins.save_evidence(what, document))


async def published(fetcher: Fetcher, log: Verifier) -> tuple[bytes, Checkpoint]:
    """The published root head and its note. Raises: RuleBroken (checkpoint) unless `log` signed it."""
    note = await fetcher.checkpoint()
    try:
        return note, open_checkpoint(note, [log], log.name)[0]
    except (VerificationError, InvalidInput):
        detail = f"it is not a checkpoint of {log.name} signed by {log.vkey}"
        raise RuleBroken("checkpoint", detail, origin=log.name, resource="checkpoint") from None
