"""From a broken rule to a fork proof: what the audit found, as a document that anybody can check with the log's vkey alone.

Source: design §2.6, `tlog.core.fork`. In scope: leaves of one root log that cannot all be true. Out of scope: two
notes that cannot both be true, which gossip compares; findings that only whoever reads the log can see again (`withheld`,
`tile`, `entry`), and leaves that are malformed: for these the auditor's word must do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tlog.client.fetch import Fetcher, RemoteTree
from tlog.core.checkpoint import parse_checkpoint
from tlog.core.fork import Statement, find_fork
from tlog.core.ids import stream_origin
from tlog.core.note import Verifier
from tlog.core.root_log import RuleBroken, StreamHead


class Told(NamedTuple):
    """A note of the root log that a key of it signed, and the tree under it."""

    note: bytes
    tree: RemoteTree
    key: Verifier


async def accuse(
    error: RuleBroken,
    told: Told,
    fetcher: Fetcher,
    before: Mapping[str, StreamHead],
    seen: Mapping[str, list[StreamHead]],
) -> bytes | None:
    """A fork proof from a broken rule, None where there can be none. Raises: as `RemoteTree`.

    `before` has the newest head of each stream by label that was checked earlier, `seen` all that came after it.
    """
    prefix = stream_origin(told.tree.origin, "")
    label = error.origin.removeprefix(prefix)
    if error.rule == "extension":
        heads = [*([before[label]] if label in before else []), *seen.get(label, [])]
        tree = RemoteTree(
            fetcher.under(f"streams/{label}"), heads[-1].size, heads[-1].root, origin=error.origin
        )
        return await contradiction(told, heads, tree)
    if error.rule == "growth" and error.index is not None:
        [leaf] = await told.tree.entries(error.index, error.index + 1)
        body = parse_checkpoint(leaf)
        label = body.origin.removeprefix(prefix)
        last = seen[label][-1] if seen.get(label) else before.get(label)
        if last is not None:
            now = StreamHead(body.size, body.root, error.index, last.opened)
            return await contradiction(told, [last, now])
    return None


async def contradiction(
    told: Told, heads: Iterable[StreamHead], stream: RemoteTree | None = None
) -> bytes | None:
    """A fork proof from stream heads in one root log, None when they can all be true.

    `heads` are all of one stream, in the order of the root log. `stream` is its tree under the last of them; without
    it only what the heads themselves say is compared. Raises: as `RemoteTree`.
    """
    ordered = list(heads)
    last = ordered[-1]
    accused = await statement(told, last.leaf)
    for head in reversed(ordered[:-1]):
        hashes: list[bytes] = []
        if stream is not None and head.size < last.size:
            if await stream.root_at(head.size) == head.root:
                continue
            hashes = await stream.prefix(head.size)
        document = find_fork(await statement(told, head.leaf), accused, told.key, hashes)
        if document is not None:
            return document
    return None


async def statement(told: Told, index: int) -> Statement:
    """A leaf of the root log with its inclusion proof under the note."""
    [leaf] = await told.tree.entries(index, index + 1)
    path = await told.tree.inclusion(index)
    return Statement(told.note, leaf, index, tuple(path))
