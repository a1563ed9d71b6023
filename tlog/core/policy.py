"""Trust policies: which logs, which witnesses, and how many of them must have cosigned.

Source: https://c2sp.org/tlog-policy (main, untagged).
In scope: the file format, and whether and when the cosignatures of a note reached the quorum.
Out of scope: fetching anything from a URL; freshness (the caller compares times with its clock).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tlog.core import keys
from tlog.core.checkpoint import Checkpoint, parse_checkpoint
from tlog.core.note import Note, Verifier, known_keys, open_note, parse_vkey, require_signature
from tlog.core.wire import decimal
from tlog.errors import InvalidInput, VerificationError

# SPEC: tlog-policy "It is strongly recommended that an implementation supports at least up to 32
# logs, 32 witnesses, and 32 groups." The size of the file is the only limit here.
MAX_POLICY_SIZE = 1 << 20

_NONE = b"none"
# SPEC: tlog-policy "the allowed octet values are 0x09 (tab), 0x0A (newline), 0x20-0x7E, and
# 0x80-0xFF."
_FORBIDDEN = re.compile(rb"[^\t\n\x20-\x7e\x80-\xff]")
# SPEC: tlog-policy "Log and witness keys must use a signature type approprate respective function".
_LOG_TYPES = frozenset([keys.ED25519])
_WITNESS_TYPES = frozenset([keys.ED25519_COSIGNATURE])


@dataclass(frozen=True)
class Log:
    """A `log` line. The verifier's name is the log's origin; `url` as written, or None."""

    verifier: Verifier
    url: bytes | None


@dataclass(frozen=True)
class Witness:
    """A `witness` line. `name` has a meaning inside the policy only; `url` as written, or None."""

    name: bytes
    verifier: Verifier
    url: bytes | None


@dataclass(frozen=True)
class Group:
    """A `group` line: it has witnessed what at least `threshold` of its `members` witnessed."""

    name: bytes
    threshold: int
    members: tuple[bytes, ...]


@dataclass(frozen=True)
class Policy:
    """A parsed policy; `quorum` is the name of a witness or group, None for `quorum none`.

    Groups stand in the order of the file, in which members come before their group.
    """

    logs: tuple[Log, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    quorum: bytes | None

    @property
    def log_verifiers(self) -> tuple[Verifier, ...]:
        """The keys of the logs."""
        return tuple(log.verifier for log in self.logs)

    @property
    def witness_verifiers(self) -> tuple[Verifier, ...]:
        """The keys of the witnesses."""
        return tuple(witness.verifier for witness in self.witnesses)

    def satisfied_by(self, names: Iterable[bytes]) -> bool:
        """Say whether the witnesses of these policy names are a quorum; others count nothing."""
        if self.quorum is None:
            return True
        witnessed = {witness.name for witness in self.witnesses}.intersection(names)
        # One pass in file order, not recursion: a chain of groups may be as long as the file.
        for group in self.groups:
            if len(witnessed.intersection(group.members)) >= group.threshold:
                witnessed.add(group.name)
        return self.quorum in witnessed

    def verify_quorum(self, note: Note) -> None:
        """Check that the verified cosignatures of `note` are a quorum, whatever their times.

        `note` must have been opened with `witness_verifiers` among its keys.

        Raises:
            VerificationError: they are not.
        """
        if not self.satisfied_by([name for _, name in self._cosigned(note)]):
            raise VerificationError

    def quorum_time(self, note: Note) -> int | None:
        """Return the POSIX second at which the quorum was reached, oldest cosignature first.

        None when no time is proven: the quorum is not reached, or it is `none`, or it is reached
        only with cosignatures of time 0, which state none. `verify_quorum` tells these apart.
        """
        if self.quorum is None:
            return None
        names: list[bytes] = []
        for timestamp, name in sorted(pair for pair in self._cosigned(note) if pair[0]):
            names.append(name)
            if self.satisfied_by(names):
                return timestamp
        return None

    def open_checkpoint(self, data: bytes) -> tuple[Checkpoint, Note]:
        """Verify a checkpoint of any log of this policy, and every known cosignature on it.

        The quorum is not asked for: that is `verify_quorum`, a verdict of its own.

        Raises:
            InvalidInput: not a note, or its text not a checkpoint.
            VerificationError: not signed by a log whose key name is the origin of the text.
        """
        note = open_note(data, [*self.log_verifiers, *self.witness_verifiers])
        checkpoint = parse_checkpoint(note.text)
        # SPEC: tlog-policy "This name MUST correspond to the log's origin line".
        require_signature(note, [v for v in self.log_verifiers if v.name == checkpoint.origin])
        return checkpoint, note

    def _cosigned(self, note: Note) -> list[tuple[int, bytes]]:
        """Return (time, policy name) of each witness of this policy that cosigned."""
        by_key = {(w.verifier.name, w.verifier.key_id): w.name for w in self.witnesses}
        return [
            (signature.timestamp or 0, by_key[signature.name, signature.key_id])
            for signature in note.signatures
            if (signature.name, signature.key_id) in by_key
        ]


def parse_policy(text: bytes) -> Policy:
    """Parse a policy file.

    Raises:
        InvalidInput: the fault, with the number of its line.
    """
    if len(text) > MAX_POLICY_SIZE:
        raise InvalidInput("malformed", "the policy is larger than 1 MiB")
    if _FORBIDDEN.search(text) is not None:
        raise InvalidInput("malformed", "a policy has no control characters but tab and newline")
    # SPEC: tlog-policy "each line is terminated by ASCII newline". A file cut short could otherwise
    # end in the name of another quorum.
    lines = text.split(b"\n")
    if lines.pop():
        raise InvalidInput("malformed", "the last line of the policy has no newline")
    builder = _Builder()
    for number, line in enumerate(lines, 1):
        # SPEC: tlog-policy "sequences of ASCII space and tab characters *only*"; what split() takes
        # for a space besides was refused above.
        tokens = line.split()
        # SPEC: tlog-policy "Empty lines (whitespace only) and comment lines (lines starting with
        # "#", possibly preceded by whitespace) are allowed and ignored."
        if not tokens or tokens[0].startswith(b"#"):
            continue
        try:
            builder.line(tokens[0], tokens[1:])
        except InvalidInput as fault:
            raise InvalidInput(fault.kind, f"policy line {number}: {fault.detail}") from None
    return builder.finish()


class _Builder:
    """The lines read so far."""

    def __init__(self) -> None:
        self.logs: list[Log] = []
        self.witnesses: list[Witness] = []
        self.groups: list[Group] = []
        self.names: set[bytes] = set()
        self.members: set[bytes] = set()
        self.quorum: bytes | None = None  # _NONE for `quorum none`

    def line(self, keyword: bytes, arguments: list[bytes]) -> None:
        """Take one line. Raises InvalidInput."""
        if keyword == b"log" and len(arguments) in (1, 2):
            self._log(arguments[0], *arguments[1:])
        elif keyword == b"witness" and len(arguments) in (2, 3):
            self._witness(arguments[0], arguments[1], *arguments[2:])
        # SPEC: tlog-policy "At least one member must be listed (i.e., n >= 1)."
        elif keyword == b"group" and len(arguments) >= 3:
            self._group(arguments[0], arguments[1], arguments[2:])
        elif keyword == b"quorum" and len(arguments) == 1:
            self._quorum(arguments[0])
        else:
            raise InvalidInput(
                "malformed",
                "neither a log, witness, group nor quorum line; a comment has a line of its own",
            )

    def finish(self) -> Policy:
        """Return the policy. Raises InvalidInput."""
        # SPEC: tlog-policy "A policy file must include exactly one quorum line."
        if self.quorum is None:
            raise InvalidInput("malformed", "the policy has no quorum line")
        quorum = None if self.quorum == _NONE else self.quorum
        policy = Policy(tuple(self.logs), tuple(self.witnesses), tuple(self.groups), quorum)
        known_keys([*policy.log_verifiers, *policy.witness_verifiers])
        return policy

    def _log(self, vkey: bytes, url: bytes | None = None) -> None:
        verifier = _parse_key(vkey, _LOG_TYPES)
        # SPEC: tlog-policy "Duplicate logs, i.e., multiple log lines with the same public key, are
        # not allowed." and "Two vkeys are considered *duplicate* if they wrap the same underlying
        # public key, even if they differ by key name and key id."
        if any(log.verifier.public_key == verifier.public_key for log in self.logs):
            raise InvalidInput("malformed", "a log with this public key is already listed")
        self.logs.append(Log(verifier, url))

    def _witness(self, name: bytes, vkey: bytes, url: bytes | None = None) -> None:
        verifier = _parse_key(vkey, _WITNESS_TYPES)
        # SPEC: tlog-policy "Duplicate witnesses, i.e., multiple witness lines with the same public
        # key, are not allowed."
        if any(known.verifier.public_key == verifier.public_key for known in self.witnesses):
            raise InvalidInput("malformed", "a witness with this public key is already listed")
        self._define(name)
        self.witnesses.append(Witness(name, verifier, url))

    def _group(self, name: bytes, rule: bytes, members: list[bytes]) -> None:
        for member in members:
            # SPEC: tlog-policy "a group definition can only refer to names defined on preceding
            # lines"; `none` "is invalid as a group member" and is never defined.
            if member not in self.names:
                raise InvalidInput("malformed", "a member of the group is not defined above it")
            # SPEC: tlog-policy "Each defined name can be listed as a group member at most once.
            # This ensures that each witness can contribute to a group, or to the quorum in
            # particular, in only one way."
            if member in self.members:
                raise InvalidInput("malformed", "a member of the group is a member already")
            self.members.add(member)
        # SPEC: tlog-policy "The `any` variant is a shorthand for k = 1, and the `all` variant is a
        # shorthand for k = n. If k is given numerically, it must be written in decimal, and it is
        # required that 1 <= k <= n."
        threshold = {b"any": 1, b"all": len(members)}.get(rule) or decimal(rule)
        if not 1 <= threshold <= len(members):
            raise InvalidInput("malformed", "the threshold of the group is not 1 to its members")
        self._define(name)
        self.groups.append(Group(name, threshold, tuple(members)))

    def _quorum(self, name: bytes) -> None:
        if self.quorum is not None:
            raise InvalidInput("malformed", "the policy has a quorum line already")
        # SPEC: tlog-policy "the quorum line must specify a witness or group defined earlier."
        if name != _NONE and name not in self.names:
            raise InvalidInput("malformed", "the quorum is not defined above it")
        self.quorum = name

    def _define(self, name: bytes) -> None:
        # SPEC: tlog-policy "Witnesses and groups share a single namespace. The special name `none`
        # is predefined".
        if name == _NONE or name in self.names:
            raise InvalidInput("malformed", "the name is defined already")
        self.names.add(name)


def _parse_key(vkey: bytes, types: frozenset[int]) -> Verifier:
    """Parse a vkey of one of `types`. Raises InvalidInput."""
    try:
        verifier = parse_vkey(vkey.decode())
    except UnicodeDecodeError:
        raise InvalidInput("malformed", "a vkey is UTF-8") from None
    if verifier.key_type not in types:
        raise InvalidInput("malformed", "the vkey is not of a type for this line")
    return verifier
