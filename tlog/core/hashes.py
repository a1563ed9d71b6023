"""The two hash functions of the tree with SHA-256: RFC 6962 section 2.1, RFC 9162 section 2.1.1.

The prefixes 0x00 and 0x01 keep leaves and nodes apart: without them the 64 bytes under a node could
be passed off as a leaf, and one root would have two trees.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TypeAlias

Hash: TypeAlias = bytes
"""A SHA-256 digest: 32 bytes."""

HASH_SIZE = 32

EMPTY_ROOT: Hash = sha256(b"").digest()
"""MTH({}): the root of the tree without leaves."""


def leaf_hash(entry: bytes) -> Hash:
    """Hash one entry: SHA-256(0x00 || entry)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: Hash, right: Hash) -> Hash:
    """Hash two subtrees into their parent: SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()
