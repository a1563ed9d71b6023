"""Checkpoints: a log's origin, size and root hash as the text of a signed note.

Source: https://c2sp.org/tlog-checkpoint@v1.0.0.
In scope: the three lines, strictly; opening a signed checkpoint of one given log.
Out of scope: whether the head extends an earlier one (`proofs`), whether enough witnesses cosigned
(`policy`), and extension lines, which no log of ours writes and no witness of ours signs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tlog.core.hashes import HASH_SIZE, Hash
from tlog.core.note import Note, Verifier, open_note, require_signature
from tlog.core.wire import b64decode, b64encode, decimal
from tlog.errors import InvalidInput, VerificationError

MAX_SIZE = 2**63 - 1  # the text allows more, the int64 of the other implementations does not

# SPEC: tlog-checkpoint "The origin MUST be non-empty, and it SHOULD be a schema-less URL containing
# neither Unicode spaces nor plus (U+002B) [...]. This is only a recommendation to avoid collisions,
# and clients MUST NOT assume that the origin is following this format". What a note cannot hold,
# control characters and lone surrogates, is refused.
_ORIGIN = re.compile(r"[^\x00-\x1f\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of the log `origin`: `size` leaves, 0 to 2^63 - 1, and the 32-byte `root` hash.

    That size 0 has the root of the empty tree is not demanded here: whoever is shown another one
    must be able to say so (tlog-witness answers 422, not 400).

    Raises:
        InvalidInput: a value that a checkpoint cannot express.
    """

    origin: str
    size: int
    root: Hash

    def __post_init__(self) -> None:
        if _ORIGIN.fullmatch(self.origin) is None:
            raise InvalidInput("malformed", "an origin is one line of text, not empty")
        if not 0 <= self.size <= MAX_SIZE:
            raise InvalidInput("malformed", "a tree size is 0 to 2^63 - 1")
        if len(self.root) != HASH_SIZE:
            raise InvalidInput("malformed", "a root hash has 32 bytes")

    def body(self) -> bytes:
        """Return the note text: three lines, each with its newline. Also the root log's leaf."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root)}\n".encode()


def parse_checkpoint(text: bytes) -> Checkpoint:
    """Parse the text of a checkpoint, exactly as `body` writes it.

    Raises:
        InvalidInput: anything else, extension lines included.
    """
    lines = text.split(b"\n")
    # SPEC: tlog-checkpoint "The note text is a sequence of at least three non-empty lines,
    # separated by newlines (U+000A)." and "The use of extension lines is NOT RECOMMENDED, as they
    # are not auditable by log monitors."
    if len(lines) != 4 or lines[3]:
        raise InvalidInput("malformed", "a checkpoint has three lines")
    try:
        origin = lines[0].decode()
    except UnicodeDecodeError:
        raise InvalidInput("malformed", "an origin is UTF-8") from None
    # SPEC: tlog-checkpoint "the ASCII decimal representation of the number of leaves in the tree,
    # with no leading zeroes (unless the tree is empty, in which case the tree size is `0`)"
    size = decimal(lines[1])
    root = b64decode(lines[2], HASH_SIZE)
    checkpoint = Checkpoint(origin, size, root)
    if checkpoint.body() != text:
        raise AssertionError("tlog: bad spelling accepted in parse_checkpoint")
    return checkpoint


def open_checkpoint(
    data: bytes,
    verifiers: Iterable[Verifier],
    origin: str,
    witnesses: Iterable[Verifier] = (),
) -> tuple[Checkpoint, Note]:
    """Verify a checkpoint of the log `origin`, signed by one of its keys `verifiers`.

    1. The note opens under the keys of log and witnesses; a failing line of either refuses it.
    2. A key of the log signed: cosignatures alone are not a checkpoint of the log.
    3. The text is a checkpoint.  4. It is of this log: one key may sign for many origins.

    The key names need not equal the origin (tlog-checkpoint: SHOULD); the caller says which belong.

    Raises:
        InvalidInput: not a note, or its text not a checkpoint, or ambiguous keys.
        VerificationError: not signed by the log, a known line fails, or another log's checkpoint.
    """
    log_keys = list(verifiers)
    note = open_note(data, [*log_keys, *witnesses])
    require_signature(note, log_keys)
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.origin != origin:
        raise VerificationError
    return checkpoint, note
