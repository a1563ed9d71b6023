"""The newest checkpoint of each stream: signed under the stream's origin, and a head that is in the root log.

The root log is followed first, so a stream's checkpoint is at least as new as its newest head there. One that is newer
waits until the root log is followed further: the log shows nobody a head that is not in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tlog.client.fetch.audit import each
from tlog.client.fetch.http import Fetcher
from tlog.core.checkpoint import Checkpoint, open_checkpoint
from tlog.core.ids import stream_origin
from tlog.core.note import Verifier
from tlog.core.root_log import RuleBroken, StreamHead
from tlog.errors import InvalidInput, Refused, VerificationError

PARALLEL = 8


class StreamNotes:
    """The checkpoints of streams, judged by their newest `heads` in the root log.

    `waiting` has those that are newer than the root log that was followed; `checked` counts the others.
    """

    def __init__(self, fetcher: Fetcher, log: Verifier, heads: Mapping[str, StreamHead]) -> None:
        self.waiting: dict[str, Checkpoint] = {}
        self.checked = 0
        self._fetcher = fetcher
        self._log = log
        self._heads = heads

    async def fetch(self, labels: Iterable[str]) -> None:
        """Get and judge the checkpoints of streams that have a head.

        Raises RuleBroken: `checkpoint` (not signed, of another origin, another root than in the root log), `rollback`
        (older than the root log says), `withheld`.
        """
        await each(labels, self._fetch, PARALLEL)

    async def _fetch(self, label: str) -> None:
        origin = stream_origin(self._log.name, label)
        try:
            note = await self._fetcher.under(f"streams/{label}").checkpoint()
            key = Verifier(origin, self._log.public_key, self._log.key_type)
            shown, _ = open_checkpoint(note, [key], origin)
        except Refused as error:
            if error.kind != "not-found":
                raise
            raise _lie(
                "withheld", "not served, although the stream is in the root log", origin
            ) from None
        except (VerificationError, InvalidInput) as error:
            if error.kind == "bad-answer":
                raise
            detail = "it is not a checkpoint of this stream signed by the log's key"
            raise _lie("checkpoint", detail, origin) from None
        newest = self._heads[label]
        if shown.size < newest.size:
            detail = f"it has {shown.size} leaves, and the root log says {newest.size}"
            raise _lie("rollback", detail, origin)
        self.waiting[label] = shown
        self.seen(label, newest)

    def seen(self, label: str, head: StreamHead) -> None:
        """Take a head that the root log has, in its order. Raises: RuleBroken (checkpoint)."""
        shown = self.waiting.get(label)
        if shown is None or head.size < shown.size:
            return
        if (head.size, head.root) != (shown.size, shown.root):
            detail = f"a head of {shown.size} leaves is signed that the root log does not have"
            raise _lie("checkpoint", detail, shown.origin)
        del self.waiting[label]
        self.checked += 1


def _lie(rule: str, detail: str, origin: str) -> RuleBroken:
    return RuleBroken(rule, detail, origin=origin, resource="checkpoint")
