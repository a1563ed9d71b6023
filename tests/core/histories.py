"""A log in memory that can be honest and can be forked: what it signed, and hashes from its trees.

The trees are tests/reference.py's recursion over the leaves, not the code under test.
"""

from __future__ import annotations

import random
from hashlib import sha256

from tests.reference import Reference
from tlog.core.checkpoint import Checkpoint
from tlog.core.fork import Statement
from tlog.core.hashes import EMPTY_ROOT, Hash, leaf_hash
from tlog.core.merkle import subtree_nodes
from tlog.core.note import Signer, Verifier, parse_vkey, sign_note

ORIGIN = "log.example.com"
LABELS = ("acme/prod/scorer", "b" * 52, "acme/test/scorer")


def seed_of(name: str) -> bytes:
    """A private key for tests."""
    return sha256(b"tlog/histories/" + name.encode()).digest()


class Tree(Reference):
    """The reference's trees over a list of leaf hashes that may grow."""

    def __init__(self, leaves: list[Hash]) -> None:
        super().__init__(0)
        self.leaves = leaves

    def prefix(self, old: int, new: int) -> tuple[Hash, ...]:
        """The maximal subtrees of [0, old), then of [old, new)."""
        nodes = subtree_nodes(0, old) + subtree_nodes(old, new)
        return tuple(self.node(level, index) for level, index in nodes)

    def path(self, index: int, size: int) -> tuple[Hash, ...]:
        """The audit path."""
        return tuple(self.PATH(index, 0, size))


class History:
    """One history of a log: `leaves` of the root log, and the leaf hashes of each stream by label."""

    def __init__(self, key: str = "log", origin: str = ORIGIN) -> None:
        self.signer = Signer(origin, seed_of(key))
        self.leaves = [Checkpoint(origin, 0, EMPTY_ROOT).body()]
        self.streams: dict[str, Tree] = {}
        self.root = Tree([leaf_hash(self.leaves[0])])
        self.sizes: dict[str, list[int]] = {}  # of each stream, those in the root log

    @property
    def verifier(self) -> Verifier:
        """The log's vkey, parsed."""
        return parse_vkey(self.signer.vkey)

    def copy(self) -> History:
        """Another history that begins like this one."""
        other = History.__new__(History)
        other.signer, other.leaves = self.signer, list(self.leaves)
        other.root = Tree(list(self.root.leaves))
        other.streams = {label: Tree(list(tree.leaves)) for label, tree in self.streams.items()}
        other.sizes = {label: list(sizes) for label, sizes in self.sizes.items()}
        return other

    def commit(self, label: str, *entries: bytes) -> int:
        """Append entries to a stream and its new head to the root log; the index of that leaf."""
        tree = self.streams.setdefault(label, Tree([]))
        tree.leaves += [leaf_hash(entry) for entry in entries]
        self.sizes.setdefault(label, []).append(len(tree.leaves))
        return self.write(self.head(label).body())

    def write(self, leaf: bytes) -> int:
        """Append any leaf to the root log."""
        self.leaves.append(leaf)
        self.root.leaves.append(leaf_hash(leaf))
        return len(self.leaves) - 1

    def head(self, label: str = "", size: int | None = None) -> Checkpoint:
        """The head of a stream; with label "" of the root log."""
        tree = self.streams[label] if label else self.root
        count = len(tree.leaves) if size is None else size
        origin = f"{self.signer.name}/streams/{label}" if label else self.signer.name
        return Checkpoint(origin, count, tree.root(count))

    def note(self, label: str = "", size: int | None = None) -> Statement:
        """A signed head."""
        return self.sign(self.head(label, size))

    def sign(self, head: Checkpoint) -> Statement:
        """Whatever head the log's key is made to sign."""
        return Statement(sign_note(head.body(), [self.signer.under(head.origin)]))

    def leaf(self, index: int, size: int | None = None) -> Statement:
        """A leaf of the root log under the signed root of `size`."""
        count = len(self.leaves) if size is None else size
        note = self.note("", count).note
        return Statement(note, self.leaves[index], index, self.root.path(index, count))

    def tree(self, label: str = "") -> Tree:
        """The tree of a stream; with label "" of the root log."""
        return self.streams[label] if label else self.root


def grow(history: History, dice: random.Random, commits: int, mark: bytes = b"") -> None:
    """Random commits over the streams; `mark` makes their entries differ from those of another history."""
    for _ in range(commits):
        label = dice.choice(LABELS)
        entries = [mark + b"%d" % dice.getrandbits(64) for _ in range(dice.randint(1, 4))]
        history.commit(label, *entries)


def anything(history: History, dice: random.Random) -> Statement:
    """A random statement that this history makes true."""
    if not history.streams or dice.random() < 0.3:
        return history.note("", dice.randint(0, len(history.leaves)))
    if dice.random() < 0.5:
        label = dice.choice(sorted(history.streams))
        return history.note(label, dice.choice(history.sizes[label]))
    size = dice.randint(1, len(history.leaves))
    return history.leaf(dice.randrange(size), size)
