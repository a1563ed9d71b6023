"""RFC 6962 trees, C2SP notes and tile paths, in the standard library: what a stranger would write to check a log."""

from __future__ import annotations

import base64
import hashlib

EMPTY = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """RFC 6962, 2.1."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962, 2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1  # the largest power of two below size


def root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, as it is defined there."""
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return leaves[0]
    k = _split(len(leaves))
    return node_hash(root(leaves[:k]), root(leaves[k:]))


def path(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962, 2.1.1, as it is defined there."""
    if len(leaves) <= 1:
        return []
    k = _split(len(leaves))
    if index < k:
        return [*path(index, leaves[:k]), root(leaves[k:])]
    return [*path(index - k, leaves[k:]), root(leaves[:k])]


def proof(old: int, leaves: list[bytes], whole: bool = True) -> list[bytes]:
    """PROOF of RFC 6962, 2.1.2, as it is defined there."""
    if old == len(leaves):
        return [] if whole else [root(leaves)]
    k = _split(len(leaves))
    if old <= k:
        return [*proof(old, leaves[:k], whole), root(leaves[k:])]
    return [*proof(old - k, leaves[k:], False), root(leaves[:k])]


def consistency(old: int, leaves: list[bytes]) -> list[bytes]:
    """The consistency proof from `old` leaves to all; empty from the empty tree."""
    return proof(old, leaves) if old else []


def head(note: bytes) -> tuple[str, int, bytes]:
    """Origin, size and root of a checkpoint, its signatures not checked."""
    origin, size, encoded = note.decode().split("\n")[:3]
    return origin, int(size), base64.b64decode(encoded, validate=True)


def cut(bundle: bytes) -> list[bytes]:
    """The entries of a bundle (C2SP tlog-tiles): each after its length in two bytes."""
    found, at = [], 0
    while at < len(bundle):
        end = at + 2 + int.from_bytes(bundle[at : at + 2], "big")
        found.append(bundle[at + 2 : end])
        at = end
    if at != len(bundle):
        raise AssertionError("a bundle ends inside an entry")
    return found


def key_id(name: str, material: bytes) -> bytes:
    """C2SP signed-note: the first four bytes of SHA-256(name || 0x0A || type and key)."""
    return hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]


def tile_path(level: int | None, index: int, width: int) -> str:
    """Path of a tile, or of an entry bundle for level None. `index` is below 1,000 here."""
    part = "" if width == 256 else f".p/{width}"
    return f"/tile/{'entries' if level is None else level}/{index:03d}{part}"
