"""The log's signing key and the one signer that may use it.

Sign only what is committed: the signer looks at the guard, not at its caller. A root note is signed only for the root that
the guard remembers; a stream's note only for a head whose inclusion in that root is shown, and a COSE receipt only for the
root of such a head, of either kind. Tokens use other keys.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from tlog.core import cose
from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import Hash, leaf_hash
from tlog.core.keys import KEY_ID_SIZE
from tlog.core.note import Signer, parse_skey, sign_note, vkey_for
from tlog.core.proofs import verify_inclusion
from tlog.errors import InvalidInput, Refused, VerificationError
from tlog.keys import read_secret
from tlog.sequencer.guard import GuardState

_REMEMBERED_ROOTS = 4096
_MAX_KEY_FILE = 4096  # bytes


def create_key(path: Path, name: str) -> Signer:
    """Draw an Ed25519 seed and write it in Go's `PRIVATE+KEY+…` form, mode 0600. Raises: Refused if one exists."""
    signer = Signer(name, os.urandom(32))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise Refused("exists", f"{path} exists already; a key is never overwritten") from error
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(signer.skey + "\n")
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()  # no key, and in the way of the next one
        raise
    return signer


def load_key(path: Path) -> Signer:
    """Read what `create_key` wrote.

    Raises: InvalidInput when it is missing or malformed; Refused (exposed-key) if others may read it.
    """
    try:
        text = read_secret(path, _MAX_KEY_FILE).decode("ascii")
    except UnicodeDecodeError as error:
        raise InvalidInput("invalid-key", f"{path} is no text") from error
    try:
        return parse_skey(text.rstrip("\n"))
    except InvalidInput as error:
        raise InvalidInput(error.kind, f"{path}: {error.detail}") from error


class LogSigner:
    """Signs heads of one log, root and streams, if and only if the guard knows them."""

    def __init__(self, signer: Signer, guarded: Callable[[], GuardState]) -> None:
        self._signer = signer
        self._guarded = guarded
        # Newest roots signed by this process, size -> root, oldest first. Written by the writer thread.
        self._signed: dict[int, Hash] = {}

    @property
    def origin(self) -> str:
        """The log's origin, which is the key's name."""
        return self._signer.name

    @property
    def vkey(self) -> str:
        """The root log's verifier key."""
        return self._signer.vkey

    def stream_vkey(self, origin: str) -> str:
        """The verifier key of a stream: the same raw key under the stream's origin."""
        return vkey_for(origin, self._signer.public_key)

    def sign_root(self, head: Checkpoint) -> bytes:
        """The signed note of the root log's newest head. Raises: AssertionError if the guard disagrees."""
        state = self._guarded()
        if (head.origin, head.size, head.root) != (self.origin, state.root_size, state.root_hash):
            raise AssertionError("tlog: asked to sign a root that the guard does not hold")
        note = sign_note(head.body(), [self._signer])
        self._signed[head.size] = head.root
        if len(self._signed) > _REMEMBERED_ROOTS:
            del self._signed[next(iter(self._signed))]
        return note

    def sign_stream(
        self, head: Checkpoint, leaf_index: int, path: Sequence[Hash], root_size: int
    ) -> bytes:
        """The signed note of a stream's head that is leaf `leaf_index` of the root log.

        `path` is its inclusion proof under the root of `root_size`, one that this process signed.
        Raises: VerificationError when the head is not in the root log.
        """
        self._check_shown(head, leaf_index, path, root_size)
        return sign_note(head.body(), [self._signer.under(head.origin)])

    def sign_receipt(
        self, head: Checkpoint, place: tuple[int, Sequence[Hash], int] | None
    ) -> tuple[cose.Header, bytes]:
        """Header and signature, 64 bytes, of COSE receipts for the root of `head`.

        `place` is leaf index, path and root size of a stream's head, as for `sign_stream`; None for a head of the root log,
        which must be one that this process signed. Raises: VerificationError when it is not shown.
        """
        if place is not None:
            self._check_shown(head, *place)
        elif head.origin != self.origin or self._signed.get(head.size) != head.root:
            raise VerificationError
        header = cose.log_header(self.origin, self._signer.public_key, head.origin)
        # These bytes begin with 0x84: no note, of whatever text, has this signature.
        blob = self._signer.sign_blob(cose.to_be_signed(header, head.root))
        return header, blob[KEY_ID_SIZE:]

    def _check_shown(
        self, head: Checkpoint, leaf_index: int, path: Sequence[Hash], root_size: int
    ) -> None:
        root = self._signed.get(root_size)
        # Other leaves of the root log are its own, and reserved.
        if root is None or not head.origin.startswith(f"{self.origin}/streams/"):
            raise VerificationError
        verify_inclusion(leaf_hash(head.body()), leaf_index, root_size, path, root)
