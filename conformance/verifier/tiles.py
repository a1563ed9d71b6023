#!/usr/bin/env python3
"""Verify a whole log by its tiles (C2SP tlog-tiles), without trusting or importing tlog.

    python tiles.py URL --vkey VKEY [--token TOKEN] [--older NOTE]...     a log that is served
    python tiles.py digests FILE --vkey VKEY                              digests of a log whose entries follow a formula

URL is the prefix above `checkpoint`. VKEY is the log's key, "<origin>+<8 hex>+<base64>", from another source than the
log. Every entry is read and hashed, every tile of every level rebuilt and compared with the one that is served, byte by
byte. With --older a checkpoint that was kept before must be one of an earlier state of the same tree. Exit status 0:
all holds; 1: something is wrong, and the last line says what. Python 3.10 and `cryptography`.

  [1] head       the note carries the log's signature (C2SP signed-note, Ed25519); three lines; of the key's origin
  [2] entries    every bundle has the entries that it must have, and nothing after them
  [3] tiles      every tile of every level holds the hashes of the entries below it (RFC 6962)
  [4] root       these hashes give the root in the head
  [5] growth     the root of each older head is that of so many first entries      (if given)
"""

from __future__ import annotations

import argparse
import base64
import binascii
import gzip
import hashlib
import http.client
import io
import json
import re
import sys
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAX_BUNDLE = 256 * (2 + 65_535)
FORMULA = (
    "entry i = the first i mod 301 bytes of SHAKE-256(ASCII 'tlog/vectors/entry/' || decimal i)"
)

Reader = Callable[[str], bytes]
"""Path under the log's prefix -> the bytes there."""


class NotVerifiedError(Exception):
    """The log is not what its head says. The text tells an auditor why."""


def demand(condition: object, why: str) -> None:
    if not condition:
        raise NotVerifiedError(why)


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(hashes: list[bytes]) -> bytes:
    """RFC 6962, 2.1: pairs from the left; one that is left over goes up as it is."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    while len(hashes) > 1:
        pairs = [node_hash(a, b) for a, b in zip(hashes[::2], hashes[1::2], strict=False)]
        hashes = pairs + hashes[len(hashes) & ~1 :]
    return hashes[0]


def unbase64(text: str, length: int | None = None) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotVerifiedError("not base64") from None
    demand(base64.b64encode(data).decode() == text, "base64 in another than its canonical spelling")
    demand(length in (None, len(data)), f"base64 of other than {length} bytes")
    return data


def split_note(note: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    """The text of a note, and name and bytes of each signature, known or not. Every line must be well formed."""
    demand(len(note) <= 1 << 20, "the note has more than 1 MiB")
    try:
        text, separator, block = note.decode().rpartition("\n\n")
    except UnicodeDecodeError:
        raise NotVerifiedError("the note is not UTF-8") from None
    demand(not re.search("[\x00-\x09\x0b-\x1f]", text + block), "a control character in the note")
    demand(separator and block.endswith("\n"), "the note has no signatures")
    demand(block.count("\n") <= 100, "the note has more than 100 signatures")
    found = []
    for line in block[:-1].split("\n"):
        parts = re.fullmatch("\u2014 ([^\\s+]+) ([A-Za-z0-9+/=]+)", line)
        demand(parts, "a signature line of the note is malformed")
        blob = unbase64(parts[2])
        demand(len(blob) > 4, "a signature line of the note is too short")
        found.append((parts[1], blob))
    return (text + "\n").encode(), found


def open_checkpoint(note: bytes, vkey: str) -> tuple[int, bytes]:
    """Size and root of a checkpoint that the key of `vkey` signed, of the origin that is the key's name."""
    parts = vkey.split("+", 2)
    demand(len(parts) == 3, "the vkey is not name+id+base64")
    name, material = parts[0], unbase64(parts[2], 33)
    key_id = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
    demand(
        parts[1] == key_id.hex() and material[0] == 1, "the vkey is not an Ed25519 key of its id"
    )
    message, signatures = split_note(note)
    found = 0
    for signer, blob in signatures:
        if (signer, blob[:4]) != (name, key_id):
            continue
        try:
            Ed25519PublicKey.from_public_bytes(material[1:]).verify(blob[4:], message)
        except (InvalidSignature, ValueError):
            raise NotVerifiedError("the log's signature does not verify") from None
        found += 1
    demand(found, "the log has not signed the note")
    lines = message.decode().split("\n")
    demand(len(lines) == 4 and lines[3] == "", "the checkpoint has not exactly three lines")
    demand(lines[0] == name, "the checkpoint is of another origin")
    demand(re.fullmatch("0|[1-9][0-9]{0,18}", lines[1]), "the size in the checkpoint is malformed")
    demand(int(lines[1]) < 2**63, "the size in the checkpoint is out of range")
    return int(lines[1]), unbase64(lines[2], 32)


def path_of(level: int | str, index: int, width: int) -> str:
    """Path of a tile: its number in groups of three digits, all but the last after an x; its width if it is partial."""
    text = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        text = f"x{index % 1000:03d}/{text}"
    return f"tile/{level}/{text}" + ("" if width == 256 else f".p/{width}")


def cut(bundle: bytes, width: int, path: str) -> list[bytes]:
    """The entries of a bundle: each after its length in two bytes, big-endian."""
    found, at = [], 0
    for _ in range(width):
        end = at + 2 + int.from_bytes(bundle[at : at + 2], "big")
        demand(at + 2 <= end <= len(bundle), f"{path} ends inside an entry")
        found.append(bundle[at + 2 : end])
        at = end
    demand(at == len(bundle), f"{path} has more than its {width} entries")
    return found


def tiles_of(leaves: list[bytes]) -> Iterator[tuple[str, bytes]]:
    """Every tile that a log of these leaf hashes has, by path. A higher level holds roots of full tiles only."""
    row, level = leaves, 0
    while row:
        for first in range(0, len(row), 256):
            tile = row[first : first + 256]
            yield path_of(level, first // 256, len(tile)), b"".join(tile)
        row = [root_of(row[at : at + 256]) for at in range(0, len(row) & ~255, 256)]
        level += 1


def verify_log(read: Reader, vkey: str, older: list[bytes]) -> None:
    size, root = open_checkpoint(read("checkpoint"), vkey)
    print(f"[1] {size} entries, signed")
    leaves = []
    for first in range(0, size, 256):
        width = min(256, size - first)
        path = path_of("entries", first // 256, width)
        leaves += [hashlib.sha256(b"\x00" + one).digest() for one in cut(read(path), width, path)]
    print(f"[2] {len(leaves)} entries read")
    count = 0
    for path, data in tiles_of(leaves):
        demand(read(path) == data, f"{path} is not what its entries give")
        count += 1
    print(f"[3] {count} tiles rebuilt")
    demand(root_of(leaves) == root, "the entries do not give the root in the head")
    print("[4] the root is theirs")
    for note in older:
        earlier, before = open_checkpoint(note, vkey)
        demand(earlier <= size, f"the log had {earlier} entries, and has {size}")
        demand(root_of(leaves[:earlier]) == before, f"at {earlier} entries it was another tree")
        print(f"[5] it was this tree at {earlier} entries")
    if not older:
        print("[5] not checked: no older head given")


def verify_digests(file: Path, vkey: str) -> None:
    document = json.loads(file.read_bytes())
    size, wanted = document["size"], document["sha256"]
    demand(document["entries"] == FORMULA, "the entries follow another formula than this program's")
    named = [b"tlog/vectors/entry/%d" % number for number in range(size)]
    entries = [hashlib.shake_256(name).digest(at % 301) for at, name in enumerate(named)]
    served = {"checkpoint": document["checkpoint"].encode()}
    for first in range(0, size, 256):
        part = entries[first : first + 256]
        path = path_of("entries", first // 256, len(part))
        served[path] = b"".join(len(one).to_bytes(2, "big") + one for one in part)
    leaves = [hashlib.sha256(b"\x00" + one).digest() for one in entries]
    served |= dict(tiles_of(leaves))
    verify_log(served.__getitem__, vkey, [])
    found = {
        path: hashlib.sha256(served[path]).hexdigest() for path in served if path != "checkpoint"
    }
    demand(set(found) == set(wanted), "the file names other tiles than a log of this size has")
    for path, digest in found.items():
        demand(wanted[path] == digest, f"the digest of {path} is another")
    print(f"[6] {len(found)} digests are theirs")


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A tile has one address: an answer from elsewhere is not the log's."""

    def redirect_request(self, *_: object) -> None:
        return None


def reader(url: str, token: str | None) -> Reader:
    opener = urllib.request.build_opener(NoRedirect)
    headers = {"Accept-Encoding": "gzip, identity"}
    if token:
        headers["Authorization"] = f"Bearer {token}"

    def read(path: str) -> bytes:
        try:
            request = urllib.request.Request(url.rstrip("/") + "/" + path, headers=headers)
            with opener.open(request, timeout=30) as answer:
                body = answer.read(MAX_BUNDLE + 1)
                if answer.headers.get("Content-Encoding", "").lower() == "gzip":
                    with gzip.GzipFile(fileobj=io.BytesIO(body)) as packed:
                        body = packed.read(MAX_BUNDLE + 1)
        except (OSError, EOFError, ValueError, zlib.error, http.client.HTTPException) as error:
            raise NotVerifiedError(f"{path}: {error}") from None
        demand(len(body) <= MAX_BUNDLE, f"{path} is larger than any tile")
        return body

    return read


def main() -> int:
    parser = argparse.ArgumentParser(description="Verify a whole log by its tiles.")
    parser.add_argument("source", metavar="URL", help="prefix of the log, or the word digests")
    parser.add_argument("file", nargs="?", type=Path, help="with digests: the file")
    parser.add_argument("--vkey", required=True, help="the log's key, from a source you trust")
    parser.add_argument("--token", help="bearer token, for the entries of a private stream")
    parser.add_argument(
        "--older", action="append", default=[], type=Path, help="an older checkpoint"
    )
    options = parser.parse_args()
    try:
        if options.source == "digests":
            verify_digests(options.file, options.vkey)
        else:
            older = [path.read_bytes() for path in options.older]
            verify_log(reader(options.source, options.token), options.vkey, older)
    except (NotVerifiedError, OSError) as fault:
        print(f"NOT VERIFIED: {fault}")
        return 1
    print("VERIFIED")
    return 0


if __name__ == "__main__":
    sys.exit(main())
