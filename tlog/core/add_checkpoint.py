"""The bodies of a witness's `add-checkpoint`: what a log asks and what it is answered.

Source: https://c2sp.org/tlog-witness (main, after v1.0.0), "add-checkpoint".
In scope: the three bodies, strictly. The request:

    old <size that the witness cosigned last>
    <base64 of one hash of the consistency proof>     0 to 63 lines
    <empty line>
    <checkpoint, a signed note>

The 409 answer, one decimal and a newline, `Content-Type: text/x.tlog.size`. The 200 answer, signature lines of a note.
Out of scope: what a witness decides (`witness.state`), and `sign-subtree`, which no Ed25519 cosigner offers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tlog.core.hashes import HASH_SIZE, Hash
from tlog.core.note import VerifiedSignature, Verifier, open_note
from tlog.core.wire import b64decode, b64encode, decimal
from tlog.errors import InvalidInput, VerificationError

PATH = "/add-checkpoint"
SIZE_TYPE = "text/x.tlog.size"
# The specification gives no limit; 16 post-quantum signatures are about 55 kB.
MAX_REQUEST = 131_072
MAX_RESPONSE = 131_072
MAX_RESPONSE_LINES = 100
# SPEC: tlog-witness "The client MUST NOT send more than 63 consistency proof lines."
MAX_PROOF = 63
MAX_SIZE_BODY = 20  # the digits of 2^63 - 1, and a newline


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request. `old` is 0 to 2^63 - 1, each hash of `proof` has 32 bytes, `note` is verbatim and unverified."""

    old: int
    proof: tuple[Hash, ...]
    note: bytes


def encode_request(old: int, proof: Sequence[Hash], note: bytes) -> bytes:
    """Return the request body for a signed `note` and its consistency proof from `old` leaves (lowest level first)."""
    if old < 0 or len(proof) > MAX_PROOF or any(len(one) != HASH_SIZE for one in proof):
        raise AssertionError("tlog: bad proof in encode_request")
    lines = [f"old {old}", *(b64encode(one) for one in proof), "", ""]
    return "\n".join(lines).encode() + note


def parse_request(body: bytes) -> AddCheckpoint:
    """Parse a request body; the note is cut off, not looked into.

    Raises: InvalidInput("malformed").
    """
    if len(body) > MAX_REQUEST:
        raise InvalidInput("malformed", "the request is larger than 128 KiB")
    # The first empty line ends the header; in the note it is the last that counts.
    header, separator, note = body.partition(b"\n\n")
    if not separator:
        raise InvalidInput("malformed", "there is no empty line before the checkpoint")
    if header.count(b"\n") > MAX_PROOF:
        raise InvalidInput("malformed", "a consistency proof has at most 63 hashes")
    first, *proof = header.split(b"\n")
    # SPEC: tlog-witness "The old size line MUST consist of the string `old`, a single space (0x20), and the tree size
    # of the previous checkpoint encoded as an ASCII decimal with no leading zeroes".
    word, space, old = first.partition(b" ")
    if (word, space) != (b"old", b" "):
        raise InvalidInput("malformed", "the first line is `old`, a space and a tree size")
    # SPEC: tlog-witness "Each consistency proof line MUST encode a single hash in base64."
    hashes = tuple(b64decode(line, HASH_SIZE) for line in proof)
    request = AddCheckpoint(decimal(old), hashes, note)
    if encode_request(request.old, request.proof, request.note) != body:
        raise AssertionError("tlog: bad spelling accepted in parse_request")
    return request


def encode_size(size: int) -> bytes:
    """Return the body of a 409 answer: the size of the newest cosigned checkpoint.

    SPEC: tlog-witness "The response body MUST consist of the tree size of the latest cosigned checkpoint in decimal,
    followed by a newline (U+000A). The response MUST have a `Content-Type` of `text/x.tlog.size`."
    """
    return b"%d\n" % size


def parse_size(body: bytes) -> int:
    """Parse the body of a 409 answer.

    Raises: InvalidInput("malformed").
    """
    if len(body) > MAX_SIZE_BODY or not body.endswith(b"\n"):
        raise InvalidInput("malformed", "not a tree size and a newline")
    return decimal(body[:-1])


@dataclass(frozen=True, slots=True)
class Cosigned:
    """What an answer holds. `cosignature` is the newest of the expected key, None without one that verifies.

    `foreign` counts lines of other keys and lines that are none; `forged` counts lines under the expected name and key
    id that do not verify over the text, or state no time.
    """

    cosignature: VerifiedSignature | None
    foreign: int
    forged: int


def read_cosignatures(body: bytes, text: bytes, witness: Verifier) -> Cosigned:
    """Judge a 200 answer line by line: of what is not verified over exactly this note text nothing is kept.

    A line by itself and not the note as a whole: a line that somebody else garbled takes nothing from the good one.

    Raises: InvalidInput("malformed") for a body that is too large or has too many lines to be judged.
    """
    lines = body.split(b"\n", MAX_RESPONSE_LINES + 1)
    if len(body) > MAX_RESPONSE or len(lines) > MAX_RESPONSE_LINES + 1:
        raise InvalidInput("malformed", "the answer of the witness is too long")
    last = lines.pop()
    newest: VerifiedSignature | None = None
    foreign, forged = int(bool(last)), 0
    for line in lines:
        try:
            # SPEC: tlog-witness "the client MAY concatenate it to the checkpoint, and use a note verification function
            # configured with the witness keys it trusts."
            note = open_note(text + b"\n" + line + b"\n", [witness])
        except InvalidInput:
            foreign += 1  # not a signature line
        except VerificationError:
            ours = _names(line, witness)
            forged += ours
            foreign += not ours
        else:
            signature = note.signatures[0]
            # SPEC: tlog-witness "The cosignature MUST NOT omit the timestamp, i.e. the timestamp MUST NOT be zero."
            if not signature.timestamp:
                forged += 1
            elif newest is None or signature.timestamp > (newest.timestamp or 0):
                newest = signature
    return Cosigned(newest, foreign, forged)


def _names(line: bytes, witness: Verifier) -> bool:
    """Whether a well-formed signature line claims to be of this key."""
    _, name, blob = line.rsplit(b" ", 2)
    claimed = b64decode(blob)[:4]
    return name == witness.name.encode() and claimed == witness.key_id.to_bytes(4, "big")
