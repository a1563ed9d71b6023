"""Names and identifiers: ours, design §2.1.

    event id    evt_ + Crockford base32 of ms(48 bits) stream number(32) leaf index(48): it locates itself
    pseudonym   usr_ or sub_ + Crockford base32 of 16 random bytes
    stream id   tenant:environment:name
    label       what public paths call a stream: a salted hash of its id, or its id with slashes
    origin      <log origin>/streams/<label>

Crockford base32 here: 26 upper-case characters for 128 bits, most significant first, two zero bits
before them. Nothing is folded: an identifier in another spelling is another identifier, of nothing.
"""

from __future__ import annotations

import re
from base64 import b32encode
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Literal, NamedTuple

from tlog.errors import InvalidInput

NAME_PATTERN = r"[a-z0-9][a-z0-9._-]{0,62}"
"""One part of a stream id, for use with fullmatch."""

NONCE_SIZE = 32
MAX_STREAM_NUMBER = 2**32 - 1
MAX_LEAF_INDEX = 2**48 - 1
MAX_ID_MS = 2**48 - 1

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TO_BASE_32 = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")  # for int(..., 32)
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]  # 10 bits each

# [0-7]: two zero bits before 128 make the first of 26 characters one of eight.
_crockford = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}").fullmatch
_name = re.compile(NAME_PATTERN).fullmatch
_stream_id = re.compile(f"({NAME_PATTERN}):({NAME_PATTERN}):({NAME_PATTERN})").fullmatch


class EventId(NamedTuple):
    """Where an event is: the log's time in Unix milliseconds, the number of its stream, its leaf."""

    ms: int
    stream_number: int
    leaf_index: int


class StreamId(NamedTuple):
    """The parts of a stream id, each within NAME_PATTERN."""

    tenant: str
    environment: str
    name: str

    def __str__(self) -> str:
        return ":".join(self)


def event_id(ms: int, stream_number: int, leaf_index: int) -> str:
    """Spell an event id. HOT.

    Raises: AssertionError when a part does not fit its bits.
    """
    if not 0 <= leaf_index <= MAX_LEAF_INDEX:
        raise AssertionError("tlog: a leaf index has 48 bits")
    # The last 50 of 130 bits: the two lowest of the stream number, and the leaf index.
    low = (stream_number & 3) << 48 | leaf_index
    return (
        _event_prefix(ms, stream_number)
        + _PAIRS[low >> 40]
        + _PAIRS[low >> 30 & 1023]
        + _PAIRS[low >> 20 & 1023]
        + _PAIRS[low >> 10 & 1023]
        + _PAIRS[low & 1023]
    )


def event_ids(times: Sequence[int], stream_number: int, start: int) -> list[str]:
    """The ids of the leaves from `start` on, one for each time, up to the next multiple of 1,024 at most. HOT.

    Raises: AssertionError as `event_id`, and when there are more leaves than that.
    """
    pairs = _PAIRS[start & 1023 : (start & 1023) + len(times)]
    if len(pairs) != len(times):
        raise AssertionError("tlog: ids of leaves that have less than all but two characters alike")
    if not pairs:
        return []
    first, last = (event_id(ms, stream_number, start)[:-2] for ms in (min(times), max(times)))
    if first == last:
        return [first + pair for pair in pairs]
    # Ten characters are the time: of these the last two are the milliseconds within 1.024 s.
    middle = first[14:]
    held, prefix = -1, ""
    ids = []
    for ms, pair in zip(times, pairs, strict=True):
        if ms >> 10 != held:
            held = ms >> 10
            prefix = event_id(ms, stream_number, start)[:12]
        ids.append(prefix + _PAIRS[ms & 1023] + middle + pair)
    return ids


@lru_cache(maxsize=16_384)
def _event_prefix(ms: int, stream_number: int) -> str:
    # `evt_` and the 16 characters that all events of one stream and commit have in common.
    if not (0 <= ms <= MAX_ID_MS and 0 <= stream_number <= MAX_STREAM_NUMBER):
        raise AssertionError("tlog: an event id has 48 bits of time and 32 of stream number")
    high = ms << 30 | stream_number >> 2
    return "evt_" + "".join([_PAIRS[high >> shift & 1023] for shift in range(70, -1, -10)])


def parse_event_id(text: str) -> EventId:
    """Parse an event id in its one spelling.

    Raises: InvalidInput("malformed"); to a client it is an event that does not exist.
    """
    if not text.startswith("evt_") or _crockford(text, 4) is None:
        raise InvalidInput("malformed", "not an event id")
    number = int(text[4:].translate(_TO_BASE_32), 32)
    return EventId(number >> 80, number >> 48 & MAX_STREAM_NUMBER, number & MAX_LEAF_INDEX)


def crockford(data: bytes) -> str:
    """Spell 16 bytes as 26 characters."""
    if len(data) != 16:
        raise AssertionError("tlog: Crockford base32 here is of 16 bytes")
    number = int.from_bytes(data, "big")
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])


def parse_crockford(text: str) -> bytes:
    """Parse 26 characters in their one spelling into 16 bytes. Raises: InvalidInput("malformed")."""
    if _crockford(text) is None:
        raise InvalidInput("malformed", "not 26 characters of Crockford base32")
    return int(text.translate(_TO_BASE_32), 32).to_bytes(16, "big")


def pseudonym(kind: Literal["usr", "sub"], data: bytes) -> str:
    """Spell the pseudonym of a person (`usr` who acts, `sub` who is decided about) from 16 bytes."""
    return f"{kind}_{crockford(data)}"


def check_name(text: str, what: str) -> None:
    """Raises InvalidInput (invalid-name) for a part of a stream id outside the grammar; `what` it is, is said."""
    if _name(text) is None:
        raise InvalidInput("invalid-name", f"{what}: {NAME_PATTERN}")


def parse_stream_id(text: str) -> StreamId:
    """Parse tenant:environment:name. Raises: InvalidInput("malformed")."""
    match = _stream_id(text)
    if match is None:
        raise InvalidInput("malformed", "a stream id is tenant:environment:name, in lower case")
    return StreamId(*match.groups())


def stream_label(stream_id: str, nonce: bytes) -> str:
    """Label of a private stream: 52 characters of lower-case base32 (RFC 4648) of a SHA-256.

    `nonce` is 32 bytes, kept in the stream's genesis entry; without it the label names nobody.
    """
    if len(nonce) != NONCE_SIZE:
        raise AssertionError("tlog: a stream's nonce has 32 bytes")
    digest = sha256(b"tlog/stream-label/v1\x00" + stream_id.encode() + b"\x00" + nonce).digest()
    return b32encode(digest).decode("ascii").rstrip("=").lower()


def public_label(stream_id: str) -> str:
    """Label of a public stream: its id, with slashes."""
    return stream_id.replace(":", "/")


def stream_origin(log_origin: str, label: str) -> str:
    """Origin of a stream's tree: line 1 of its checkpoints, and the key name of its notes."""
    return f"{log_origin}/streams/{label}"
