"""The salted commitment to everything that an entry does not show: ours, design §2.4.

    fields = ("", null) first, then (pointer, value) sorted by UTF-8 bytes of the RFC 6901 pointer
    salts  = SHAKE-256("tlog/field-salt/v1" 00 master_salt), 18 bytes for each field
    leaf_i = JCS([base64url(salt_i), pointer_i, value_i])
    root   = RFC 6962 tree hash of leaf_0 ... leaf_n-1

Each value is hidden by a salt of its own, so that any subset can be shown later and the rest erased
for ever. The first field is always there: no entry's commitment has less than 144 bits of entropy.

In scope: the formula and its check. Out of scope: which members of an event are committed
(`tlog.events`), where salt and values are kept (`tlog.vault`).
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256, shake_256
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from tlog.core.canonical import OPTIONS, canonical, is_plain, pack
from tlog.core.hashes import Hash
from tlog.errors import InvalidInput, VerificationError

MASTER_SALT_SIZE = 32
SALT_SIZE = 18
_LABEL = b"tlog/field-salt/v1\x00"

Field = tuple[str, Any]
"""(RFC 6901 pointer in RECORD, JSON value)."""

_FIRST: Field = ("", None)
_pointer = itemgetter(0)


class Commitment(NamedTuple):
    """What an entry says of it: the number of fields, the empty first one included, and the root."""

    fields: int
    root: Hash


def pointer_escape(name: str) -> str:
    """Escape a member's name as one reference token of a JSON Pointer: RFC 6901 section 3."""
    return name.replace("~", "~0").replace("/", "~1")


def salts(master_salt: bytes, count: int) -> list[bytes]:
    """Derive the 18-byte salts of `count` fields from 32 bytes."""
    stream = _salt_stream(master_salt, count)
    return [stream[i : i + SALT_SIZE] for i in range(0, len(stream), SALT_SIZE)]


def leaf(salt: bytes, pointer: str, value: object) -> bytes:
    """The bytes under one leaf hash; `salt` has 18 bytes, so that its base64url needs no padding.

    Raises: InvalidInput, as `canonical`.
    """
    return canonical([urlsafe_b64encode(salt).decode("ascii"), pointer, value])


def commit(fields: Sequence[Field], master_salt: bytes) -> Commitment:
    """Commit to `fields`, given in any order and without the empty first one. HOT.

    `leaf` for each field and `merkle.root_of` say the same; here the encoders' doubts are settled
    once for all fields, and the hashes of the small tree are inlined.

    Raises:
        InvalidInput: a value that has no RFC 8785 form, as `canonical`.
        AssertionError: a pointer twice, an empty pointer, a master salt of other than 32 bytes.
    """
    # Code point order of str is the byte order of UTF-8.
    ordered = [_FIRST, *sorted(fields, key=_pointer)]
    count = len(ordered)
    if len(dict(ordered)) != count:
        raise AssertionError("tlog: a pointer is empty, or twice in a commitment")
    # 18 bytes are exactly 24 characters, so one encoding of all salts can be cut into theirs.
    texts = urlsafe_b64encode(_salt_stream(master_salt, count))
    hashes = []
    at = 0
    for pair in _canonical_pairs(ordered):
        hashes.append(sha256(b'\x00["' + texts[at : at + 24] + b'",' + pair[1:]).digest())
        at += 24
    while len(hashes) > 1:
        pairs = iter(hashes)
        above = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(pairs, pairs, strict=False)
        ]
        if len(hashes) & 1:
            above.append(hashes[-1])
        hashes = above
    return Commitment(count, hashes[0])


def verify_commitment(fields: Sequence[Field], master_salt: bytes, count: int, root: Hash) -> None:
    """Check that `fields`, without the empty first one, are all that (`count`, `root`) commits to.

    Raises: VerificationError.
    """
    pointers = {pointer for pointer, _ in fields} - {""}
    if len(pointers) != len(fields) or len(master_salt) != MASTER_SALT_SIZE:
        raise VerificationError
    try:
        rebuilt = commit(fields, master_salt)
    except InvalidInput:
        raise VerificationError from None
    if rebuilt != (count, root):
        raise VerificationError


def _salt_stream(master_salt: bytes, count: int) -> bytes:
    if len(master_salt) != MASTER_SALT_SIZE:
        raise AssertionError("tlog: a master salt has 32 bytes")
    return shake_256(_LABEL + master_salt).digest(SALT_SIZE * count)


def _canonical_pairs(fields: list[Field]) -> list[bytes]:
    """RFC 8785 of each [pointer, value]."""
    try:
        texts = [orjson.dumps(field, None, OPTIONS) for field in fields]
        if is_plain(b"".join(texts), pack(fields)):
            return texts
    except (TypeError, ValueError, RecursionError):
        pass  # canonical() raises the right error
    return [canonical(field) for field in fields]
