"""Digests of every tile and bundle of a log of 70,000 entries that anybody can make again from a formula."""

from __future__ import annotations

import hashlib

from conformance.golden.honest import LOG, ORIGIN, Json
from conformance.golden.vectors import Vectors, dump
from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import Hash, leaf_hash
from tlog.core.merkle import root_of
from tlog.core.note import sign_note
from tlog.core.tiles import bundle_encode, entries_path, tile_path

SIZE = 70_000
FORMULA = (
    "entry i = the first i mod 301 bytes of SHAKE-256(ASCII 'tlog/vectors/entry/' || decimal i)"
)


def entry(number: int) -> bytes:
    """Entry `number` by the formula; some are empty."""
    return hashlib.shake_256(b"tlog/vectors/entry/%d" % number).digest(number % 301)


def add_tiles(vectors: Vectors) -> None:
    """One file: checkpoint, and SHA-256 of each resource by its path."""
    entries = [entry(number) for number in range(SIZE)]
    found: dict[str, bytes] = {}
    for first in range(0, SIZE, 256):
        bundle = entries[first : first + 256]
        found[entries_path(first // 256, len(bundle))] = bundle_encode(bundle)
    row: list[Hash] = [leaf_hash(one) for one in entries]
    root, level = root_of(row), 0
    while row:
        for first in range(0, len(row), 256):
            tile = row[first : first + 256]
            found[tile_path(level, first // 256, len(tile))] = b"".join(tile)
        full = len(row) // 256
        row = [root_of(row[256 * number : 256 * (number + 1)]) for number in range(full)]
        level += 1
    document: Json = {
        "entries": FORMULA,
        "size": SIZE,
        "checkpoint": sign_note(Checkpoint(ORIGIN, SIZE, root).body(), [LOG]).decode(),
        "sha256": {path: hashlib.sha256(data).hexdigest() for path, data in found.items()},
    }
    vectors.raw("tiles/70000.json", dump(document), {"holds": True})
    last = tile_path(0, SIZE // 256, SIZE % 256)
    wrong = {**document, "sha256": {**document["sha256"], last: hashlib.sha256(b"").hexdigest()}}
    vectors.raw("tiles/70000-one-digest-altered.json", dump(wrong), {"holds": False})
