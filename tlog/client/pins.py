"""What the SDK remembers between runs: the log's key, its newest verified root head, and evidence.

One directory per log address, each file small and readable with common tools:

    vkey                       the key believed at first use; absent when the key is configured
    root-<16 hex>.note         newest root note that extends every earlier one, of the key with that hash
    fork-<16 hex>              of that key: it was caught with two histories; the path of the evidence
    lock                       held while a file is replaced: several processes may share the directory
    evidence/<time>-<what>…    what a log was caught with

A write is a new file, synced, renamed over the old one, and the directory synced: after a crash there is
the old content or the new, never a part. Directory and files are the user's alone: nobody else is to change what
is believed, and evidence holds what was sent, payloads included.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tlog.client.errors import ForkDetected, StateUnusable
from tlog.core.checkpoint import Checkpoint, open_checkpoint
from tlog.core.note import Verifier, parse_vkey
from tlog.errors import InvalidInput, VerificationError

_DEFAULT = Path("~/.local/state/tlog")


def state_directory(base_url: str, chosen: str | os.PathLike[str] | None = None) -> Path:
    """`chosen`, or the directory of this address under $TLOG_STATE or ~/.local/state/tlog."""
    if chosen is not None:
        return Path(chosen)
    root = os.environ.get("TLOG_STATE")
    address = urlsplit(base_url)
    port = address.port or (443 if address.scheme == "https" else 80)
    host = (address.hostname or "").replace(":", "_")  # of an IPv6 address
    return (Path(root) if root else _DEFAULT.expanduser()) / f"{host}_{port}"


@dataclass(frozen=True, slots=True)
class Head:
    """A root head that the log signed: the checkpoint and the bytes of its note."""

    checkpoint: Checkpoint
    note: bytes

    @property
    def size(self) -> int:
        """Leaves of the root log."""
        return self.checkpoint.size


class Pins:
    """The files of one directory. Every method blocks on the disk; it is made at the first write."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def vkey(self) -> str | None:
        """The pinned key, or None. Raises: StateUnusable when the file is no vkey."""
        data = self._read("vkey")
        if data is None:
            return None
        try:
            text = data.decode("ascii").rstrip("\n")
            parse_vkey(text)
        except (UnicodeDecodeError, InvalidInput):
            raise StateUnusable(f"{self.directory / 'vkey'} does not hold a vkey") from None
        return text

    def pin_vkey(self, vkey: str) -> str:
        """Pin `vkey` unless one is pinned already; returns the one that is pinned now."""
        with self._locked():
            pinned = self.vkey()
            if pinned is None:
                self._replace("vkey", vkey.encode() + b"\n")
                return vkey
            return pinned

    def head(self, log: Verifier) -> Head | None:
        """The newest head kept for the key `log`, its signature checked again, or None.

        Raises: StateUnusable when the file is not a note of that log.
        """
        name = head_file(log)
        data = self._read(name)
        if data is None:
            return None
        try:
            checkpoint, _ = open_checkpoint(data, [log], log.name)
        except (InvalidInput, VerificationError):
            raise StateUnusable(
                f"{self.directory / name} is not a root note of {log.name}: it was changed by "
                "something else. Removing it means to believe the log's next head unseen"
            ) from None
        return Head(checkpoint, data)

    def advance(self, log: Verifier, head: Head) -> Head | None:
        """Keep `head` unless the one kept is larger or equal. Durable when it returns.

        Returns the head that another process has kept, if that is not the smaller one: the caller must
        demand consistency with it too.
        """
        with self._locked():
            kept = self.head(log)
            if kept is not None and kept.size >= head.size:
                return kept
            self._replace(head_file(log), head.note)
            return None

    def save_fork(self, log: Verifier, data: bytes) -> Path | StateUnusable:
        """Write evidence that the key `log` signed two histories, and remember it; as `save_evidence`."""
        path = self.save_evidence("fork", data)
        try:
            if isinstance(path, Path):
                self._replace(fork_file(log), os.fsencode(path) + b"\n")
        except StateUnusable as error:
            return error
        return path

    def refuse_forked(self, log: Verifier) -> None:
        """Believe no history of the key `log` once two were seen. Raises: ForkDetected, until somebody removes the file."""
        data = self._read(fork_file(log))
        if data is not None:
            raise ForkDetected(
                f"{log.name} was caught with two histories before; to go on with whichever it shows next, "
                f"remove {self.directory / fork_file(log)}",
                Path(os.fsdecode(data).rstrip("\n")),
            )

    def save_evidence(self, what: str, data: bytes) -> Path | StateUnusable:
        """Write a new file with `data`; an existing one is never overwritten.

        Returns its path, or why it cannot be written. Raises nothing: that the log was caught is the greater news.
        """
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        name = f"evidence/{stamp}-{what}-{secrets.token_hex(4)}.json"
        try:
            self._make("evidence")
            self._replace(name, data)
        except StateUnusable as error:
            return error
        return self.directory / name

    def _read(self, name: str) -> bytes | None:
        try:
            return (self.directory / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error

    def _make(self, name: str = "") -> None:
        try:
            (self.directory / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._make()
        try:
            handle = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _replace(self, name: str, data: bytes) -> None:
        target = self.directory / name
        try:
            write_durably(target, data)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> StateUnusable:
        return StateUnusable(
            f"the state directory {self.directory} cannot be used: {error.strerror or error}. "
            "Choose another with state_dir= or TLOG_STATE"
        )


def head_file(log: Verifier) -> str:
    """The name of the file of the newest root head of one key: another key is another log."""
    return f"root-{_key_hash(log)}.note"


def fork_file(log: Verifier) -> str:
    """The name of the file that remembers a fork of one key."""
    return f"fork-{_key_hash(log)}"


def _key_hash(log: Verifier) -> str:
    return hashlib.sha256(log.vkey.encode()).hexdigest()[:16]


def write_durably(target: Path, data: bytes) -> None:
    """Replace `target` by `data`: whole or not at all, and on the disk when this returns. Mode 0600."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise
    # The rename itself is lost in a crash until the directory is synced.
    parent = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
