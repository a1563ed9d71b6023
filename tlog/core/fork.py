"""Fork proofs, version 1: two things that one log signed and that cannot both be true.

Source: design §2.6 (fork proof) and §2.5 (the rules of heads). In scope: the JSON document, finding a
contradiction, and the check of it with the log's vkey alone. Out of scope: where the hashes come from
(`proofs.prefix_proof`), what to do about a log that lied (`witness`).

    {"type": "fork", "version": 1,
     "rule": "history" | "growth" | "place",
     "first": STATEMENT, "second": STATEMENT,
     "hashes": [base64]}

    STATEMENT   {"checkpoint"}                                  a note of the root log or of a stream; or
                {"checkpoint", "leaf", "leaf_index", "path"}    a note of the root log, and a leaf under it:
                                                                base64 of its bytes, its inclusion proof

A statement is a *head* of a log when it is a note without a leaf, or its leaf is the head of a stream.
Each rule holds for all that an honest log ever signed, whoever was shown what and when:

    history     Two heads of one origin, sizes m <= n, are of one history. Broken: m = n with two roots,
                `hashes` empty; or m < n, and `hashes`, the maximal subtrees of [0, m) then of [m, n),
                give exactly the root of the second and for m another root than that of the first.
    growth      Of two leaves that are heads of one stream, the later has the larger size. Broken:
                first.leaf_index < second.leaf_index and the second is not larger. `hashes` empty.
    place       At one index there is one leaf. Broken: two, under whichever roots. `hashes` empty.

Why an honest log is safe: under the hash function's collision resistance its root of n leaves has
only its own subtrees below it, so they give its own root of m; a leaf has only its own place.
Cosignatures prove nothing here: they may stand in a checkpoint or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from tlog.core import binding
from tlog.core.binding import decoded, demand, member, natural
from tlog.core.canonical import canonical
from tlog.core.checkpoint import Checkpoint, parse_checkpoint
from tlog.core.hashes import HASH_SIZE, Hash, leaf_hash
from tlog.core.ids import stream_origin
from tlog.core.note import Verifier
from tlog.core.proofs import prefix_roots, verify_inclusion
from tlog.core.strict_json import loads
from tlog.core.wire import b64encode
from tlog.errors import InvalidInput, VerificationError

TYPE = "fork"
VERSION = 1
MAX_DOCUMENT = 1 << 20  # two leaves of 65,535 bytes and two notes with a hundred cosignatures

# Up from m to a power of two and down to n, at most one subtree per level each way.
MAX_HASHES = 2 * binding.MAX_HASHES

Rule: TypeAlias = Literal["history", "growth", "place"]
HISTORY: Rule = "history"
GROWTH: Rule = "growth"
PLACE: Rule = "place"
RULES: dict[str, Rule] = {rule: rule for rule in (HISTORY, GROWTH, PLACE)}


@dataclass(frozen=True, slots=True)
class Statement:
    """What a log signed: the bytes of a note; with `leaf`, that this leaf is at `index` under it.

    `path` is the inclusion proof of the leaf, at most 63 hashes, lowest first.
    """

    note: bytes
    leaf: bytes | None = None
    index: int = 0
    path: tuple[Hash, ...] = ()


@dataclass(frozen=True, slots=True)
class ForkProof:
    """The document as values, nothing of it checked but its form."""

    rule: Rule
    first: Statement
    second: Statement
    hashes: tuple[Hash, ...] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """A statement that verified. `signed` is the note's text; `leaf` and `index` as in Statement."""

    signed: Checkpoint
    leaf: bytes | None
    index: int

    def head(self, log_origin: str) -> Checkpoint:
        """Return the head that this is. Raises VerificationError: the leaf is none of a stream."""
        if self.leaf is None:
            return self.signed
        try:
            head = parse_checkpoint(self.leaf)
        except InvalidInput:
            raise VerificationError from None
        demand(_is_stream(head.origin, log_origin))
        return head


@dataclass(frozen=True, slots=True)
class Fork:
    """What a fork proof shows of the log `log_origin`. `origin`: whose history, the log's or a stream's.

    `heads` are the two heads, None for the rule `place`. `other_root` is the root that the second head
    gives to the size of the first, None when the sizes are equal or the rule is another.
    """

    rule: Rule
    log_origin: str
    origin: str
    first: Opened
    second: Opened
    heads: tuple[Checkpoint, Checkpoint] | None = None
    other_root: Hash | None = None


def build(proof: ForkProof) -> bytes:
    """Return the document in its canonical form (RFC 8785): one proof, one spelling.

    Raises:
        InvalidInput: an index beyond 2^53 - 1, or a note that is not UTF-8.
    """
    return canonical(
        {
            "type": TYPE,
            "version": VERSION,
            "rule": proof.rule,
            "first": _encode(proof.first),
            "second": _encode(proof.second),
            "hashes": _texts(proof.hashes),
        }
    )


def _encode(statement: Statement) -> dict[str, Any]:
    try:
        checkpoint = {"checkpoint": statement.note.decode()}
    except UnicodeDecodeError:
        raise InvalidInput("malformed", "a note is UTF-8") from None
    if statement.leaf is None:
        return checkpoint
    leaf, path = b64encode(statement.leaf), _texts(statement.path)
    return {**checkpoint, "leaf": leaf, "leaf_index": statement.index, "path": path}


def _texts(hashes: Iterable[Hash]) -> list[str]:
    return [b64encode(digest) for digest in hashes]


def parse(document: bytes) -> ForkProof:
    """Parse a document of at most MAX_DOCUMENT bytes; white space and order of members are free.

    Raises:
        VerificationError: not strict JSON, a member missing, unknown or of another form.
    """
    demand(len(document) <= MAX_DOCUMENT)
    try:
        value = loads(document)
    except InvalidInput:
        raise VerificationError from None
    _demand_members(value, "type", "version", "rule", "first", "second", "hashes")
    demand(value["type"] == TYPE and member(value, "version", int) == VERSION)
    rule = member(value, "rule", str)
    demand(rule in RULES)
    first, second = _decode(value["first"]), _decode(value["second"])
    return ForkProof(RULES[rule], first, second, _hashes(value, "hashes", MAX_HASHES))


def _decode(value: object) -> Statement:
    note = member(value, "checkpoint", str).encode()
    if value == {"checkpoint": note.decode()}:
        return Statement(note)
    _demand_members(value, "checkpoint", "leaf", "leaf_index", "path")
    path = _hashes(value, "path", binding.MAX_HASHES)
    return Statement(note, decoded(value, "leaf"), natural(value, "leaf_index"), path)


def _demand_members(value: object, *names: str) -> None:
    demand(isinstance(value, dict) and value.keys() == set(names))


def _hashes(container: object, name: str, most: int) -> tuple[Hash, ...]:
    texts = member(container, name, list)
    demand(len(texts) <= most)
    return tuple(decoded({name: text}, name, HASH_SIZE) for text in texts)


def verify_fork(document: bytes, log: Verifier) -> Fork:
    """Check a fork proof against the log that `log` is the key of, and return what it shows.

    1. The document has the form of one.
    2. Each note is signed by the log's key, under the origin of the log or of one of its streams.
    3. A leaf has its place under its note, which is of the root log.
    4. The rule that the document names is broken by these two, in the order in which they stand.

    Raises:
        VerificationError: for every cause.
    """
    proof = parse(document)
    return _judge(proof, log, open_statement(proof.first, log), open_statement(proof.second, log))


def find_fork(
    first: Statement, second: Statement, log: Verifier, hashes: Iterable[Hash] = ()
) -> bytes | None:
    """Return the document that two statements make, in either order; None: they can both be true.

    Without `hashes` (those of [0, m) and [m, n), m < n) two heads of different sizes are not compared.

    Raises:
        VerificationError: one of the statements is not signed.
        InvalidInput: an index beyond 2^53 - 1.
    """
    both = (first, open_statement(first, log)), (second, open_statement(second, log))
    for rule, subtrees in ((HISTORY, ()), (HISTORY, tuple(hashes)), (GROWTH, ()), (PLACE, ())):
        for (one, seen), (other, also) in (both, both[::-1]):
            proof = ForkProof(rule, one, other, subtrees)
            try:
                _judge(proof, log, seen, also)
            except VerificationError:
                continue
            return build(proof)
    return None


def open_statement(statement: Statement, log: Verifier) -> Opened:
    """Check steps 2 and 3 of `verify_fork`. Raises: VerificationError."""
    try:
        note = statement.note.decode()
    except UnicodeDecodeError:
        raise VerificationError from None
    # Only to choose the key name; what the note then says is compared with it.
    origin = note.partition("\n")[0]
    leaf = statement.leaf
    demand(origin == log.name or (leaf is None and _is_stream(origin, log.name)))
    signed, _ = binding.open_note(note, log, origin)
    if leaf is not None:
        verify_inclusion(leaf_hash(leaf), statement.index, signed.size, statement.path, signed.root)
    return Opened(signed, leaf, statement.index)


def _is_stream(origin: str, log_origin: str) -> bool:
    prefix = stream_origin(log_origin, "")
    return origin.startswith(prefix) and origin != prefix


def _judge(proof: ForkProof, log: Verifier, first: Opened, second: Opened) -> Fork:
    """Step 4 of `verify_fork`."""
    demand(proof.rule == HISTORY or not proof.hashes)
    if proof.rule == PLACE:
        demand(first.leaf is not None and second.leaf is not None)
        demand(first.index == second.index and first.leaf != second.leaf)
        return Fork(proof.rule, log.name, log.name, first, second)
    old, new = first.head(log.name), second.head(log.name)
    demand(old.origin == new.origin)
    other = None
    if proof.rule == GROWTH:
        demand(first.leaf is not None and second.leaf is not None)
        demand(first.index < second.index and old.size >= new.size)
    elif old.size == new.size:
        demand(not proof.hashes and old.root != new.root)
    else:
        other, root = prefix_roots(old.size, new.size, proof.hashes)
        demand(root == new.root and other != old.root)
    return Fork(proof.rule, log.name, old.origin, first, second, (old, new), other)
