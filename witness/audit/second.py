"""The second opinion: pymerkle, an implementation that is not ours, builds the same roots from the same tiles.

Source: https://github.com/fmerg/pymerkle, a tree over leaves; here its leaves are the hashes in a tile, so that it never
needs an entry. A tree whose chunks of 256 leaves are complete but for the last has the shape of a tree over these chunks
(RFC 6962 section 2.1 splits at powers of two): so each tile is a tree of its own, and only new tiles are built again.
In scope: every tile that is new since a size, and the root. Out of scope: pymerkle's proofs, which have a form of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pymerkle

from tlog.client.fetch import RemoteTree
from tlog.core.hashes import EMPTY_ROOT, HASH_SIZE, Hash
from tlog.core.tiles import TILE_HEIGHT, TILE_WIDTH

NAME = f"pymerkle {pymerkle.__version__}"


class OpinionsDiffer(Exception):
    """The two implementations disagree: one of them is wrong, and which one only a person can find out."""


class _Digests(pymerkle.BaseMerkleTree):  # type: ignore[misc, unused-ignore]
    """A tree of pymerkle's over leaf hashes that are given; it counts leaves from 1."""

    def __init__(self, digests: Sequence[Hash]) -> None:
        super().__init__(algorithm="sha256", disable_cache=True)
        self._digests = digests

    def _encode_entry(self, data: Any) -> bytes:
        raise AssertionError("tlog: nothing is appended to this tree")

    def _store_leaf(self, data: Any, digest: bytes) -> int:
        raise AssertionError("tlog: nothing is appended to this tree")

    def _get_leaf(self, index: int) -> bytes:
        return self._digests[index - 1]

    def _get_leaves(self, offset: int, width: int) -> Sequence[bytes]:
        return self._digests[offset : offset + width]

    def _get_size(self) -> int:
        return len(self._digests)


def root_of(digests: Sequence[Hash]) -> Hash:
    """The root that pymerkle gives to a tree over these hashes, at least one."""
    tree = _Digests(digests)
    # The name since its version 7; Python 3.10 gets an older one.
    root = getattr(tree, "get_root", None) or tree.get_state
    return bytes(root(len(digests)))


async def compare(tree: RemoteTree, start: int) -> int:
    """Build what is new in a verified tree since its first `start` leaves; how many tiles that were.

    Raises: OpinionsDiffer.
    """
    level, rest, built = 0, b"", 0
    while held := tree.size >> TILE_HEIGHT * level:
        full, width = divmod(held, TILE_WIDTH)
        for index in range(start >> TILE_HEIGHT * (level + 1), full):
            root = root_of(_split(await tree.tile(level, index)))
            above = _split(await tree.tile(level + 1, index >> TILE_HEIGHT))
            if root != above[index & TILE_WIDTH - 1]:
                raise _differ(tree, f"the root of tile {level}/{index}")
            built += 1
            await asyncio.sleep(0)  # a long log must not keep others waiting
        edge = _split(await tree.tile(level, full)) if width else []
        edge += [rest] if rest else []
        if edge:
            rest = root_of(edge)
            built += 1
        level += 1
    if (rest or EMPTY_ROOT) != tree.root:
        raise _differ(tree, "the root")
    return built


def _differ(tree: RemoteTree, what: str) -> OpinionsDiffer:
    return OpinionsDiffer(f"{NAME} gives {what} of {tree.origin} at size {tree.size} another hash")


def _split(data: bytes) -> list[Hash]:
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]
