"""What `tlog verify URL` remembers of a log: how far everything is checked, and under which signed head.

One file beside the SDK's pins (`tlog.client.pins`), one line of JSON for the log, one per stream, and the SHA-256 of them
all. It is replaced whole after each step that succeeded. Its checksum finds damage; against somebody who may write here,
nothing does but `--full` (design §7.7: who verifies must own what he configures).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from tlog.client.errors import StateUnusable
from tlog.client.fetch.audit import MemoryState, Trail
from tlog.client.fetch.entries import Checked, EntryCheck, parse_checked
from tlog.client.pins import write_durably
from tlog.core.checkpoint import Checkpoint, open_checkpoint
from tlog.core.note import Verifier
from tlog.core.root_log import StreamHead
from tlog.core.wire import b64decode, b64encode
from tlog.errors import TlogError

VERSION = 1


class FileState(MemoryState):
    """`AuditState` in a file. `note` is the newest head that was verified and extends all before; None at first.

    `entries` has what is checked of each stream's entries. A check that is under way is put into `checks`; it
    counts when the state moves past the head that it read to. `unnoted` are the streams that grew since their
    checkpoint was looked at.
    """

    def __init__(self, path: Path, log: Verifier) -> None:
        super().__init__()
        self.entries: dict[str, Checked] = {}
        self.checks: dict[str, EntryCheck] = {}
        self.unnoted: set[str] = set()
        self.note: bytes | None = None
        self._path = path
        self._log = log

    def head(self) -> Checkpoint | None:
        """The head in `note`. Raises: StateUnusable when the log's key did not sign it."""
        if self.note is None:
            return None
        try:
            return open_checkpoint(self.note, [self._log], self._log.name)[0]
        except TlogError:
            raise unusable(self._path) from None

    def advance(
        self, root: Trail, heads: Mapping[str, StreamHead], trails: Mapping[str, Trail]
    ) -> None:
        """Move to `root`, and write it down. Raises: StateUnusable when that fails."""
        super().advance(root, heads, trails)
        for label in trails:
            check = self.checks.pop(label, None)
            if check is not None:
                self.entries[label] = check.checked()
        self.unnoted |= trails.keys()
        self.save()

    def forget(self) -> None:
        """Begin anew, with nothing but `note`."""
        self.root = Trail()
        for part in (self.heads, self.trails, self.entries, self.checks, self.unnoted):
            part.clear()

    def discard(self) -> None:
        """Leave no file behind."""
        self._path.unlink(missing_ok=True)

    def save(self) -> None:
        """Replace the file: on the disk when this returns."""
        lines = b"".join(line + b"\n" for line in self._lines())
        seal = hashlib.sha256(lines).hexdigest().encode() + b"\n"
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_durably(self._path, lines + seal)
        except OSError as error:
            raise StateUnusable(f"{self._path} cannot be written: {error.strerror}") from error

    def _lines(self) -> Iterator[bytes]:
        note = None if self.note is None else b64encode(self.note)
        size, subtrees = self.root
        yield orjson.dumps([VERSION, self._log.vkey, note, size, b64encode(subtrees)])
        for label, head in self.heads.items():
            trail, entries = self.trails.get(label), self.entries.get(label)
            known = None if trail is None else [trail.size, b64encode(trail.subtrees)]
            hashed = [head.size, b64encode(head.root), head.leaf, head.opened]
            said = None if entries is None else list(entries)
            yield orjson.dumps([label, hashed, known, said, label in self.unnoted])

    @classmethod
    def load(cls, path: Path, log: Verifier) -> FileState:
        """What an earlier run left; a new state where none did.

        Raises: StateUnusable: it is no such file, was changed, or is of another key.
        """
        state = cls(path, log)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return state
        except OSError as error:
            raise StateUnusable(f"{path} cannot be read: {error.strerror}") from error
        lines, seal = data[:-65], data[-65:]
        if seal != hashlib.sha256(lines).hexdigest().encode() + b"\n":
            raise unusable(path)
        try:
            first, *rest = map(orjson.loads, lines.splitlines())
            state._read(first)
            for line in rest:
                state._read_stream(*line)
        except (TlogError, ValueError, TypeError, AttributeError):
            raise unusable(path) from None
        state.head()
        return state

    @classmethod
    def note_in(cls, path: Path, log: Verifier) -> bytes | None:
        """The note alone of what an earlier run left, None where there is none that can be believed."""
        try:
            return cls.load(path, log).note
        except StateUnusable:
            return None

    def _read(self, line: Any) -> None:
        version, vkey, note, size, subtrees = line
        if (version, vkey) != (VERSION, self._log.vkey):
            raise ValueError
        self.note = None if note is None else b64decode(note)
        self.root = _trail(size, subtrees)

    def _read_stream(self, label: str, head: Any, trail: Any, entries: Any, unnoted: Any) -> None:
        size, root, leaf, opened = head
        if not all(type(one) is int and one >= 0 for one in (size, leaf, opened)):
            raise ValueError
        self.heads[label] = StreamHead(size, b64decode(root, 32), leaf, opened)
        if trail is not None:
            self.trails[label] = _trail(*trail)
        if entries is not None:
            self.entries[label] = parse_checked(entries)
        if unnoted:
            self.unnoted.add(label)


def _trail(size: Any, subtrees: Any) -> Trail:
    trail = Trail(size, b64decode(subtrees))
    trail.root()  # the hashes are as many as the size says
    return trail


def unusable(path: Path) -> StateUnusable:
    """The error of a file that something else than this program wrote."""
    return StateUnusable(
        f"{path} is not what an earlier run wrote there: it was damaged, or changed by something else. "
        "With --full everything is checked again, without it"
    )
