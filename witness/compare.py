"""Comparing two heads of one origin: can both be true? With the log's own tiles, believed only as far as they bear out a head.

In scope: the hashes [0, m) and [m, n) from the tiles of the larger head, what they show. Out of scope: which heads to
compare, what is done with the answer (`witness.gossip`).

Whoever was shown the larger head reads its tiles; the other side of a split view cannot, for it is shown other ones. So
each witness compares what it is told with what it sees, and tells the others what it found.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import NamedTuple

from tlog.client.fetch import Fetcher, RemoteTree
from tlog.core.binding import open_note
from tlog.core.checkpoint import Checkpoint
from tlog.core.fork import Fork, Statement, build, find_fork, parse, verify_fork
from tlog.core.note import Verifier, parse_vkey
from tlog.core.proofs import prefix_roots
from tlog.core.root_log import RuleBroken
from tlog.errors import InvalidInput, Refused, Unavailable, VerificationError
from witness.notes import Signed
from witness.rows import LogRow, whole_log

#: Trees of which verified tiles are kept in memory, each at most 8 MiB, of a small log a few KiB.
TREES = 16


class Answer(Enum):
    """What a comparison came to."""

    CONSISTENT = "consistent"
    FORK = "fork"
    WITHHELD = "withheld"
    UNREACHABLE = "unreachable"


class Compared(NamedTuple):
    """`document` is a fork proof, None when the heads differ but were signed by two keys of the log."""

    answer: Answer
    document: bytes | None = None
    detail: str = ""


class Comparer:
    """Reads logs; one per event loop. `close` it."""

    def __init__(self, timeout: float) -> None:
        """`timeout` in seconds for each request to a log."""
        self._timeout = timeout
        self._fetchers: dict[str, Fetcher] = {}
        self._trees: OrderedDict[tuple[str, int, bytes], RemoteTree] = OrderedDict()

    async def close(self) -> None:
        """Close all connections."""
        for fetcher in self._fetchers.values():
            await fetcher.close()
        self._fetchers.clear()
        self._trees.clear()

    def fetcher(self, log: LogRow) -> Fetcher:
        """What reads the root log. Raises: Unavailable for a log without URL."""
        if not log.url:
            raise Unavailable("no-url", f"no URL is known of {log.origin}")
        if log.url not in self._fetchers:
            self._fetchers[log.url] = Fetcher(log.url, timeout=self._timeout)
        return self._fetchers[log.url]

    def forget(self, head: Signed) -> None:
        """Read the tiles of this head again, whatever was read before."""
        self._trees.pop(head.place, None)

    async def alone(self, head: Signed) -> Compared:
        """Whether the log serves the tiles that a head implies."""
        return await self._read(head, None)

    async def compare(self, one: Signed, other: Signed) -> Compared:
        """Whether two heads of one origin are of one history."""
        small, large = sorted((one, other), key=lambda signed: signed.place[1:])
        if small.head.size == large.head.size:
            return contradiction(small, large, [])
        return await self._read(large, small)

    async def _read(self, large: Signed, small: Signed | None) -> Compared:
        try:
            tree = self._tree(large)
            if small is None:
                await tree.check()
                return Compared(Answer.CONSISTENT)
            hashes = await tree.prefix(small.head.size)
        except RuleBroken as error:
            self._trees.pop(large.place, None)
            return Compared(Answer.WITHHELD, detail=error.detail)
        except (Unavailable, InvalidInput, Refused) as error:
            return Compared(Answer.UNREACHABLE, detail=error.detail)
        return contradiction(small, large, hashes)

    def _tree(self, signed: Signed) -> RemoteTree:
        tree = self._trees.get(signed.place)
        if tree is None:
            head = signed.head
            fetcher = self.fetcher(signed.log)
            if head.origin != signed.log.origin:
                fetcher = fetcher.under(head.origin[len(signed.log.origin) + 1 :])
            tree = RemoteTree(fetcher, head.size, head.root, origin=head.origin)
        self._trees[signed.place] = tree
        self._trees.move_to_end(signed.place)
        if len(self._trees) > TREES:
            self._trees.popitem(last=False)
        return tree


def contradiction(one: Signed, other: Signed, hashes: list[bytes]) -> Compared:
    """What two heads come to, of one size, or with the hashes that the tiles of the larger one gave."""
    # In the same order whoever finds it, so that there is one document.
    small, large = sorted((one, other), key=lambda signed: signed.place[1:])
    if small.place == large.place:
        return Compared(Answer.CONSISTENT)
    for vkey in small.log.vkeys:
        try:
            document = find_fork(
                Statement(small.note), Statement(large.note), parse_vkey(vkey), hashes
            )
        except VerificationError:
            continue
        if document is not None:
            return Compared(Answer.FORK, document)
    # No one key signed both, so there is no proof for others; the two cannot both be true all the same.
    if small.head.size == large.head.size:
        return Compared(Answer.FORK)
    root, _ = prefix_roots(small.head.size, large.head.size, hashes)
    return Compared(Answer.FORK if root != small.head.root else Answer.CONSISTENT)


def accept(
    document: bytes, find: Callable[[str], LogRow | None]
) -> tuple[LogRow, Fork, bytes] | None:
    """A fork proof from anywhere: its log, what it shows, and the document without lines of unknown keys.

    None for all that does not verify under a key of a configured log. `find` gives the log of an origin.
    """
    try:
        proof = parse(document)
        log = find(whole_log(proof.first.note.partition(b"\n")[0].decode()))
    except (VerificationError, UnicodeDecodeError):
        return None
    if log is None:
        return None
    for vkey in log.vkeys:
        key = parse_vkey(vkey)
        try:
            fork = verify_fork(document, key)
            first, second = (_bare(one, key) for one in (proof.first, proof.second))
        except VerificationError:
            continue
        return log, fork, build(replace(proof, first=first, second=second))
    return None


def _bare(statement: Statement, key: Verifier) -> Statement:
    text = statement.note.decode()
    _, note = open_note(text, key, text.partition("\n")[0])
    return replace(statement, note=note.only_verified())


def named_heads(fork: Fork) -> list[Checkpoint]:
    """The heads that a fork proof is about; where it is about a place, those of the two root logs."""
    return list(fork.heads or (fork.first.signed, fork.second.signed))
