"""RFC 6962 section 2.1 written down as it stands, recursion for recursion: slow, and only for tests.

D is a fixed list of leaf hashes and D[lo:hi] is given by its bounds, which are absolute. Nothing here
uses the code under test, its hash functions included.
"""

from __future__ import annotations

import hashlib
from functools import cache


def leaf(number: int) -> bytes:
    """The leaf hash of the entry that is `number` in decimal."""
    return hashlib.sha256(b"\x00" + b"%d" % number).digest()


def k_of(n: int) -> int:
    """The largest power of two smaller than n, n > 1."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k


class Reference:
    """The trees over the first n of `count` leaves, for every n."""

    def __init__(self, count: int) -> None:
        self.leaves = [leaf(number) for number in range(count)]
        self._cache: dict[tuple[int, int], bytes] = {}

    def MTH(self, lo: int, hi: int) -> bytes:
        """The Merkle tree hash of D[lo:hi]."""
        if lo == hi:
            return hashlib.sha256().digest()
        if hi - lo == 1:
            return self.leaves[lo]
        if (lo, hi) not in self._cache:
            k = lo + k_of(hi - lo)
            pair = self.MTH(lo, k) + self.MTH(k, hi)
            self._cache[lo, hi] = hashlib.sha256(b"\x01" + pair).digest()
        return self._cache[lo, hi]

    def root(self, n: int) -> bytes:
        """MTH(D[n])."""
        return self.MTH(0, n)

    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree."""
        return self.MTH(index << level, (index + 1) << level)

    def read_nodes(self, nodes: list[tuple[int, int]]) -> list[bytes]:
        """A NodeReader that has every node."""
        return [self.node(level, index) for level, index in nodes]

    def PATH(self, m: int, lo: int, hi: int) -> list[bytes]:
        """The audit path of leaf m in D[lo:hi]; section 2.1.1."""
        if hi - lo == 1:
            return []
        k = lo + k_of(hi - lo)
        if m < k:
            return [*self.PATH(m, lo, k), self.MTH(k, hi)]
        return [*self.PATH(m, k, hi), self.MTH(lo, k)]

    def PROOF(self, m: int, n: int) -> list[bytes]:
        """The consistency proof of D[m] and D[n], 0 < m <= n; section 2.1.2."""
        return self.SUBPROOF(m, 0, n, True)

    def SUBPROOF(self, m: int, lo: int, hi: int, b: bool) -> list[bytes]:
        """The same within D[lo:hi]; b: whether MTH(D[lo:m]) is known to the verifier."""
        if m == hi:
            return [] if b else [self.MTH(lo, hi)]
        k = lo + k_of(hi - lo)
        if m <= k:
            return [*self.SUBPROOF(m, lo, k, b), self.MTH(k, hi)]
        return [*self.SUBPROOF(m, k, hi, False), self.MTH(lo, k)]

    def subtree_proof(self, start: int, end: int, lo: int, hi: int, b: bool) -> list[bytes]:
        """SUBPROOF for a subtree [start, end) that begins anywhere: C2SP tlog-witness."""
        if (start, end) == (lo, hi):
            return [] if b else [self.MTH(lo, hi)]
        k = lo + k_of(hi - lo)
        if end <= k:
            return [*self.subtree_proof(start, end, lo, k, b), self.MTH(k, hi)]
        if start >= k:
            return [*self.subtree_proof(start, end, k, hi, b), self.MTH(lo, k)]
        return [*self.subtree_proof(k, end, k, hi, False), self.MTH(lo, k)]


@cache
def trees(count: int = 300) -> Reference:
    """The shared reference trees of up to `count` leaves."""
    return Reference(count)
