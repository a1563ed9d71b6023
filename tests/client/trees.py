"""Root logs made in memory, with real signatures and real proofs; forked where a test wants it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from tlog.client.pins import Head
from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import Hash, leaf_hash
from tlog.core.merkle import Node, root_of
from tlog.core.note import Signer, parse_vkey, sign_note
from tlog.core.proofs import consistency_proof

ORIGIN = "log.example.com"


class RootLog:
    """A log of `size` leaves. Leaves from `forked_at` on differ from those of the other logs."""

    def __init__(self, size: int = 0, *, forked_at: int | None = None, seed: int = 1) -> None:
        self.signer = Signer(ORIGIN, bytes([seed]) * 32)
        self.vkey = self.signer.vkey
        self.verifier = parse_vkey(self.vkey)
        self.size = size
        self._leaves = [
            leaf_hash(b"%d %d" % (forked_at is not None and number >= forked_at, number))
            for number in range(size)
        ]

    def root(self, size: int) -> Hash:
        """The root hash of the first `size` leaves."""
        return root_of(self._leaves[:size])

    @cache  # noqa: B019 - lives as long as a test
    def head(self, size: int) -> Head:
        """The signed head of the first `size` leaves."""
        checkpoint = Checkpoint(ORIGIN, size, self.root(size))
        return Head(checkpoint, sign_note(checkpoint.body(), [self.signer]))

    def read_nodes(self, nodes: Sequence[Node]) -> list[Hash]:
        """`NodeReader`."""
        return [root_of(self._leaves[i << level : (i + 1) << level]) for level, i in nodes]

    async def prove(self, first: int, second: int) -> list[Hash]:
        """The consistency proof, as the log's API gives it."""
        return consistency_proof(first, second, self)
