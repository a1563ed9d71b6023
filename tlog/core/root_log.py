"""The rules of the root log, leaf by leaf. Ours, design §2.5.

    leaf = body of a checkpoint: origin, size and root of one tree of this log, three lines

In scope: what each leaf must be by itself and after the leaves before it, and whether the heads of one stream
are heads of one growing tree. Out of scope: fetching leaves and proving that they are the log's own
(`tlog.client.fetch`), who is told.

What breaks a rule is told apart, unlike elsewhere in the core: an auditor checks what is public, and must
name what was found. Every finding is a `RuleBroken`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, MutableMapping
from typing import Literal, NamedTuple

from tlog.core.checkpoint import Checkpoint, parse_checkpoint
from tlog.core.hashes import EMPTY_ROOT, HASH_SIZE, Hash
from tlog.core.ids import NAME_PATTERN, stream_origin
from tlog.core.merkle import Frontier
from tlog.errors import InvalidInput, VerificationError

# A SHA-256 in base32 ends in one bit and four zeros. A public label has slashes: no text is of both kinds.
_PRIVATE = re.compile("[a-z2-7]{51}[aq]")
_PUBLIC = re.compile(f"({NAME_PATTERN})/({NAME_PATTERN})/({NAME_PATTERN})")


class RuleBroken(VerificationError):
    """A log lies: which rule is broken, of which origin, at which leaf of it or in which resource.

    `rule` is one lower-case word; `index` is the leaf index in the log `origin`, None where no single leaf is at
    fault; `resource` is the path of a tile, bundle or checkpoint under the log's prefix.
    """

    def __init__(
        self,
        rule: str,
        detail: str,
        *,
        origin: str,
        index: int | None = None,
        resource: str | None = None,
    ) -> None:
        where = origin
        where += f" {resource}" if resource is not None else ""
        where += f" at leaf {index}" if index is not None else ""
        super().__init__(f"{where}: {rule}: {detail}")
        self.rule = rule
        self.sentence = detail
        self.origin = origin
        self.index = index
        self.resource = resource


class StreamHead(NamedTuple):
    """The head of one stream that root-log leaf `leaf` states; `opened` is the leaf of its first head."""

    size: int
    root: Hash
    leaf: int
    opened: int


class Followed(NamedTuple):
    """What a leaf is. `label` is of a stream, None otherwise; `previous` is None before the first head."""

    kind: Literal["first", "head", "reserved"]
    label: str | None
    head: StreamHead
    previous: StreamHead | None


def public_stream(label: str) -> str | None:
    """The id of the stream that a public label names; None for a private label."""
    return ":".join(match.groups()) if (match := _PUBLIC.fullmatch(label)) else None


def is_label(text: str) -> bool:
    """Whether a stream can have this label (design §2.1)."""
    return _PRIVATE.fullmatch(text) is not None or _PUBLIC.fullmatch(text) is not None


class RootLogRules:
    """The running check of the leaves of the root log `origin`, in order from leaf 0.

    `heads` has the newest head of every stream by label, and of every reserved origin by that origin, which
    holds the log's own and is never a label. A caller that goes on from leaf `size` gives the same mapping
    back, or one that is backed by its store.
    """

    def __init__(
        self, origin: str, size: int = 0, heads: MutableMapping[str, StreamHead] | None = None
    ) -> None:
        self.origin = origin
        self.size = size
        self.heads: MutableMapping[str, StreamHead] = {} if heads is None else heads
        self._streams = stream_origin(origin, "")

    def follow(self, index: int, leaf: bytes) -> Followed:
        """Check leaf number `index`, which must be the next one.

        1. `form`: it is the body of a checkpoint.
        2. `first`: leaf 0 is the log's own empty checkpoint.
        3. `origin`: line 1 is the log origin or lies below it; below `/streams/` it is a label.
        4. `growth`: of one origin, sizes strictly increase; a stream's first head is not empty.

        That a commit's heads are in the order of stream numbers cannot be seen here: neither numbers nor the
        bounds of commits are in the leaves. Genesis entries have the numbers.

        Raises: RuleBroken.
        """
        if index != self.size:
            raise AssertionError("tlog: leaves of the root log are followed in order")
        try:
            body = parse_checkpoint(leaf)
        except InvalidInput as error:
            raise self._broken(index, "form", error.detail) from None
        followed = self._first(body) if index == 0 else self._later(index, body)
        self.heads[body.origin if followed.label is None else followed.label] = followed.head
        self.size += 1
        return followed

    def _first(self, body: Checkpoint) -> Followed:
        if body != Checkpoint(self.origin, 0, EMPTY_ROOT):
            raise self._broken(0, "first", "leaf 0 is not the log's own empty checkpoint")
        return Followed("first", None, StreamHead(0, body.root, 0, 0), None)

    def _later(self, index: int, body: Checkpoint) -> Followed:
        if body.origin != self.origin and not body.origin.startswith(f"{self.origin}/"):
            raise self._broken(index, "origin", f"{body.origin} is no origin of this log")
        label = None
        if body.origin.startswith(self._streams):
            label = body.origin[len(self._streams) :]
            if not is_label(label):
                raise self._broken(index, "origin", f"{body.origin} names no stream")
        previous = self.heads.get(body.origin if label is None else label)
        least = previous.size if previous is not None else 0 if label is not None else -1
        if body.size <= least:
            detail = f"{body.origin} goes from size {least} to {body.size}"
            raise self._broken(index, "growth", detail)
        opened = index if previous is None else previous.opened
        head = StreamHead(body.size, body.root, index, opened)
        return Followed("reserved" if label is None else "head", label, head, previous)

    def _broken(self, index: int, rule: str, detail: str) -> RuleBroken:
        return RuleBroken(rule, detail, origin=self.origin, index=index)


def extend(
    tree: Frontier, leaf_hashes: Iterable[Hash], heads: deque[StreamHead], origin: str
) -> None:
    """Append `leaf_hashes` to the stream's `tree`; check each head whose size is reached, and take it off `heads`.

    `heads` are ordered by size, none of them of a size that the tree has already.

    Raises: RuleBroken("extension"): the tree that the stream's leaves give has another root at that size, so the
        head extends none of the heads before; `index` is the last leaf of the stream that it covers.
    """
    for digest in leaf_hashes:
        tree.append(digest)
        if not heads or heads[0].size != tree.size:
            continue
        head = heads.popleft()
        if tree.root() != head.root:
            detail = (
                f"the head of size {head.size} in root-log leaf {head.leaf} "
                "is not the root of the stream's leaves"
            )
            raise RuleBroken("extension", detail, origin=origin, index=head.size - 1)


def pack_frontier(tree: Frontier) -> bytes:
    """The hashes of a frontier in a row, largest subtree first: 32 bytes for each bit set in its size."""
    return b"".join(tree.hashes)


def unpack_frontier(size: int, packed: bytes) -> Frontier:
    """The frontier of `size` leaves from its packed hashes. Raises: InvalidInput("malformed")."""
    if size < 0 or len(packed) != HASH_SIZE * size.bit_count():
        raise InvalidInput("malformed", "the hashes are not those of a tree of that size")
    return Frontier(size, (packed[at : at + HASH_SIZE] for at in range(0, len(packed), HASH_SIZE)))
