"""The front end's part of an append: pseudonyms, commitment, seal, and the bytes of the entry save its place.

Runs on the event loop's thread. Keys and pseudonyms that it makes are pending in the vault until the writer thread
flushes them, which it does before the commit that needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from tlog.core.commitment import commit
from tlog.core.ids import parse_stream_id, public_label, stream_label
from tlog.errors import Refused
from tlog.events.again import said, unplaced
from tlog.events.splice import segments
from tlog.events.submission import Submission
from tlog.sequencer.batch import Opening, Prepared
from tlog.vault import Sealer, random_bytes


class Preparer:
    """Prepares events for the sequencer."""

    def __init__(self, vault: Sealer, clock_ms: Callable[[], int]) -> None:
        self._vault = vault
        self._clock_ms = clock_ms

    def event(
        self,
        sub: Submission,
        *,
        tenant: str,
        stream_id: str,
        agent: bytes | None,
        at: str = "",
    ) -> Prepared:
        """One event, ready but for its place.

        `agent` is canonical JSON; `at`: JSON Pointer in the request.
        Raises: InvalidInput (entry-too-large).
        """
        actor, subject = self._pseudonyms(sub, tenant)
        salt = sub.salt or random_bytes(32)
        count, root = commit(sub.fields, salt)
        parts = segments(
            sub,
            stream_id=stream_id,
            tenant=tenant,
            agent=agent,
            actor_pseudonym=actor,
            subject_pseudonym=subject,
            fields=count,
            root=root,
            at=at,
        )
        sealed = self._vault.seal(
            tenant=tenant,
            stream_id=stream_id,
            root=root,
            subject=subject,
            ms=self._clock_ms(),
            master_salt=salt,
            fields=sub.fields,
        )
        event = Prepared(
            stream_id,
            parts,
            sealed,
            salt,
            sub.velocity_flag,
            sub.occurred_ms,
            given_salt=sub.salt is not None,
        )
        if sub.producer_id is not None:
            event.producer_id, event.sequence = sub.producer_id, sub.producer_sequence or 0
        return event

    @staticmethod
    def persons(sub: Submission) -> list[tuple[Literal["usr", "sub"], str]]:
        """Kind and identifier of the persons whose pseudonyms `event` will ask for."""
        found: list[tuple[Literal["usr", "sub"], str]] = []
        if sub.actor_type == "USER" and sub.actor_id is not None:
            found.append(("usr", sub.actor_id))
        if sub.subject_id is not None:
            found.append(("sub", sub.subject_id))
        return found

    def _pseudonyms(self, sub: Submission, tenant: str) -> tuple[str | None, str | None]:
        actor = subject = None
        if sub.actor_type == "USER" and sub.actor_id is not None:
            actor = self._vault.pseudonym(tenant, "usr", sub.actor_id)
        if sub.subject_id is not None:
            subject = self._vault.pseudonym(tenant, "sub", sub.subject_id)
        return actor, subject

    def same(self, event: Prepared, entry: bytes, sealed: bytes) -> bool:
        """Whether a retry says what `entry`, with what was `sealed` beside it, says. An erased event is never the same.

        What the client did not send (place, session, a salt of the log's) may differ. Raises: CorruptStore, Unavailable.
        """
        mine, theirs = said(unplaced(event.segments)), said(entry)
        if mine.shown != theirs.shown:
            return False
        unseal = partial(
            self._vault.unseal,
            tenant=event.stream_id.partition(":")[0],
            stream_id=event.stream_id,
        )
        try:
            salt, _ = unseal(sealed, root=theirs.commitment.root)
            _, fields = unseal(event.sealed, root=mine.commitment.root)
        except Refused:
            return False
        # Equal under one salt are exactly equal fields.
        return (event.salt == salt or not event.given_salt) and commit(
            fields, salt
        ) == theirs.commitment

    def opening(self, stream_id: str, *, public: bool) -> Opening:
        """A stream to be opened. Raises: InvalidInput when the id is outside the grammar."""
        parsed = parse_stream_id(stream_id)
        nonce = random_bytes(32)
        label = public_label(stream_id) if public else stream_label(stream_id, nonce)
        salt = random_bytes(32)
        count, root = commit([], salt)
        sealed = self._vault.seal(
            tenant=parsed.tenant,
            stream_id=stream_id,
            root=root,
            subject=None,
            ms=self._clock_ms(),
            master_salt=salt,
            fields=[],
        )
        return Opening(stream_id, label, public, nonce, count, root, salt, sealed)
