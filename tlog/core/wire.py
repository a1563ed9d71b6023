"""The three spellings that everything on the wire is made of: decimal numbers, base64, hash text.

Each value has exactly one accepted form, so that what is hashed or signed cannot be respelled: a
text is matched, decoded and, where two texts could decode alike, encoded again and compared.

Source: C2SP tlog-checkpoint and signed-note (decimal, base64); RFC 4648 section 4.
"""

from __future__ import annotations

import base64
import binascii
import re

from tlog.errors import InvalidInput

MAX_DECIMAL = 2**63 - 1

# [0-9], not \d: int() and \d also take digits of other scripts, and int() takes "1_000" and " 7 ".
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_HASH_TEXT = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


def decimal(text: bytes | str) -> int:
    """Parse an ASCII decimal in [0, 2**63 - 1]: no sign, leading zero, space or underscore.

    Raises: InvalidInput("malformed").
    """
    # Latin-1 maps every byte to one character, so a byte outside ASCII simply does not match.
    digits = text.decode("latin-1") if isinstance(text, bytes) else text
    if not _DECIMAL.fullmatch(digits) or (number := int(digits)) > MAX_DECIMAL:
        raise InvalidInput("malformed", "not a decimal number of the strict form")
    return number


def b64encode(data: bytes) -> str:
    """Encode as standard base64 with padding. HOT: each hash of each proof."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def b64decode(text: str | bytes, length: int | None = None) -> bytes:
    """Decode standard base64, padded and canonical; `length` is the byte length demanded, if any.

    Raises: InvalidInput("malformed").
    """
    try:
        encoded = text.encode("ascii") if isinstance(text, str) else text
        data = base64.b64decode(encoded, validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise InvalidInput("malformed", "not base64") from None
    # The unused bits of the last character decode to nothing: only the re-encoding shows them.
    if base64.b64encode(data) != encoded:
        raise InvalidInput("malformed", "not canonical base64")
    if length is not None and len(data) != length:
        raise InvalidInput("malformed", f"base64 of other than {length} bytes")
    return data


def hash_text(digest: bytes) -> str:
    """Spell a 32-byte SHA-256 digest as `sha256:` and 64 lower-case hex digits."""
    return "sha256:" + digest.hex()


def parse_hash_text(text: str) -> bytes:
    """Parse `sha256:` and 64 lower-case hex digits, or the bare digits, into 32 bytes.

    Raises: InvalidInput("malformed").
    """
    match = _HASH_TEXT.fullmatch(text)
    if match is None:
        raise InvalidInput("malformed", "not a SHA-256 hash in lower-case hex")
    return bytes.fromhex(match[1])
