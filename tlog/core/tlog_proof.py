"""Portable proofs: a checkpoint, an index and a path, in the text that every tool of the field reads.

Source: https://c2sp.org/tlog-proof. In scope: the file `.tlog-proof`, strictly, and its verification
with a log's key, a witness policy and a leaf hash that the verifier derives from what it holds.
Out of scope: which leaf that is (`tlog.verdicts`).

    c2sp.org/tlog-proof@v1
    [extra <base64>]
    index <decimal>
    <base64 hash>                                     none to 63 lines, the leaf's sibling first

    <checkpoint with its signatures, verbatim>

Design §2.6: one event has two of them. Part `event` puts the entry under the signed note of its stream.
Part `head` puts the body of that note under a cosigned note of the root log; its `extra` holds that
body, so that the leaf hash can be derived from the file, once the body is known to be the right one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tlog.core import binding
from tlog.core.checkpoint import MAX_SIZE, Checkpoint, parse_checkpoint
from tlog.core.hashes import HASH_SIZE, Hash, leaf_hash
from tlog.core.note import MAX_NOTE_SIZE, Note, Verifier
from tlog.core.policy import Policy
from tlog.core.proofs import verify_inclusion
from tlog.core.wire import b64decode, b64encode, decimal
from tlog.errors import InvalidInput, VerificationError

# SPEC: tlog-proof "The first line MUST be the string `c2sp.org/tlog-proof@v1`."
HEADER = b"c2sp.org/tlog-proof@v1\n"
MAX_HASHES = binding.MAX_HASHES
# More than any file of ours; a Go reader takes lines of less than 64 KiB.
MAX_EXTRA = 32_768
_EXTRA, _INDEX = b"extra ", b"index "


@dataclass(frozen=True, slots=True)
class TlogProof:
    """Leaf `index`, its path of at most 63 hashes of 32 bytes, and the signed checkpoint, verbatim.

    `extra` is 1 to 32,768 bytes, or None. Nothing signs it.

    Raises:
        InvalidInput: a value that the file cannot express.
    """

    index: int
    hashes: tuple[Hash, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.index < MAX_SIZE:
            raise InvalidInput("malformed", "an index is 0 to 2^63 - 2")
        if len(self.hashes) > MAX_HASHES or any(len(one) != HASH_SIZE for one in self.hashes):
            raise InvalidInput("malformed", "a path is at most 63 hashes of 32 bytes")
        if self.extra is not None and not 0 < len(self.extra) <= MAX_EXTRA:
            raise InvalidInput("malformed", "extra data is 1 to 32,768 bytes, or left out")
        if not self.checkpoint or len(self.checkpoint) > MAX_NOTE_SIZE:
            raise InvalidInput("malformed", "the checkpoint is missing or larger than 1 MiB")


def encode_proof(proof: TlogProof) -> bytes:
    """Return the text of the file."""
    lines = [] if proof.extra is None else [_EXTRA + b64encode(proof.extra).encode()]
    lines += [b"%s%d" % (_INDEX, proof.index)]
    lines += [b64encode(one).encode() for one in proof.hashes]
    return HEADER + b"\n".join(lines) + b"\n\n" + proof.checkpoint


def parse_proof(data: bytes) -> TlogProof:
    """Parse the file, exactly as `encode_proof` writes it. The checkpoint is not looked at.

    Raises:
        InvalidInput: anything else.
    """
    if not data.startswith(HEADER):
        raise InvalidInput("malformed", "the first line is not c2sp.org/tlog-proof@v1")
    # The largest head: one line of extra data, one index, 63 hashes. What follows is the note.
    largest = MAX_EXTRA * 2 + (2 + MAX_HASHES) * 64
    head, separator, checkpoint = data[len(HEADER) :].partition(b"\n\n")
    if not separator or len(head) > largest:
        raise InvalidInput("malformed", "no empty line before the checkpoint")
    lines = head.split(b"\n")
    extra = None
    # SPEC: tlog-proof "The second line MAY start with the string `extra` followed by a space (U+0020)
    # and base64-encoded opaque extra data. If no extra data is present, this line is omitted."
    if lines[0].startswith(_EXTRA):
        extra = b64decode(lines.pop(0)[len(_EXTRA) :])
    # SPEC: tlog-proof "The next line MUST start with the string `index` followed by a space (U+0020)
    # and the zero-based index of the entry in the log, represented as an ASCII decimal with no leading
    # zeroes (unless the index is `0`)."
    if not lines or not lines[0].startswith(_INDEX):
        raise InvalidInput("malformed", "the line of the index is missing")
    index = decimal(lines[0][len(_INDEX) :])
    # Counted before they are decoded.
    if len(lines) > 1 + MAX_HASHES:
        raise InvalidInput("malformed", "a path has at most 63 hashes")
    # SPEC: tlog-proof "one SHA-256 hash per line, starting from the leaf's sibling hash up to the
    # root's child hash."
    hashes = tuple(b64decode(line, HASH_SIZE) for line in lines[1:])
    return TlogProof(index, hashes, checkpoint, extra)


def verify_proof(
    proof: TlogProof, leaf: Hash, log: Verifier, policy: Policy | None = None
) -> tuple[Checkpoint, Note]:
    """Check that `leaf` is in the tree whose checkpoint the proof carries; return that, and its note.

    `log` is the key of the one log that is accepted, its name the origin: for part `event` the stream's.

    1. The caller derived `leaf`, a leaf hash of 32 bytes, from what it holds.  2. The checkpoint is of
    the key's origin and signed by it.  3. The cosignatures of known witnesses are a quorum of the
    policy, if there is one.  4. The path, of exact length, leads from `leaf` to the root.

    Raises:
        VerificationError: for every cause.
    """
    witnesses = () if policy is None else policy.witness_verifiers
    head, note = open_proof(proof, log, witnesses)  # 2
    if policy is not None:
        policy.verify_quorum(note)  # 3
    verify_inclusion(leaf, proof.index, head.size, proof.hashes, head.root)  # 4
    return head, note


def open_proof(
    proof: TlogProof, log: Verifier, witnesses: Sequence[Verifier] = ()
) -> tuple[Checkpoint, Note]:
    """Step 2 of `verify_proof` alone. Raises: VerificationError."""
    try:
        text = proof.checkpoint.decode()
    except UnicodeDecodeError:
        raise VerificationError from None
    return binding.open_note(text, log, log.name, witnesses)


def head_proof(
    head: Checkpoint, index: int, hashes: Sequence[Hash], checkpoint: bytes
) -> TlogProof:
    """Return part `head`: the body of a stream's head as leaf `index` of the root log `checkpoint`."""
    return TlogProof(index, tuple(hashes), checkpoint, head.body())


def shown_head(proof: TlogProof) -> Checkpoint:
    """Return the head whose body a part `head` holds; what is to be shown is that it is a leaf.

    Raises:
        VerificationError: no extra data, or it is no checkpoint's body.
    """
    try:
        return parse_checkpoint(proof.extra or b"")
    except InvalidInput:
        raise VerificationError from None


def verify_head_proof(
    proof: TlogProof, log: Verifier, policy: Policy | None = None
) -> tuple[Checkpoint, Checkpoint, Note]:
    """Verify part `head`: the stream's head, the root log's checkpoint above it, and its note.

    `log` is the key of the root log. The head is one of this log: its origin lies below.

    Raises:
        VerificationError: for every cause.
    """
    head = shown_head(proof)
    binding.demand(head.origin.startswith(f"{log.name}/streams/"))
    root, note = verify_proof(proof, leaf_hash(head.body()), log, policy)
    return head, root, note
