"""The two keys of a witness: the cosigner's, and the one for what it audited in full.

Source: https://c2sp.org/tlog-cosignature@v1.0.1; the file is Go's `PRIVATE+KEY+…` form, type 0x04.
Two roles want two seeds: an Ed25519 cosignature does not say under which name it was made.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from tlog.core.cosignature import CosignatureSigner, parse_cosigner_skey
from tlog.core.note import Verifier, parse_vkey
from tlog.errors import InvalidInput, Refused

COSIGNER_FILE = "witness.key"
AUDITED_FILE = "audited.key"
AUDITED = "/audited"


class Keys(NamedTuple):
    """`cosigner` signs what extends what it saw; `audited`, named `<name>/audited`, what was audited in full."""

    cosigner: CosignatureSigner
    audited: CosignatureSigner

    def verifiers(self) -> list[Verifier]:
        """Both public keys."""
        return [parse_vkey(self.cosigner.vkey), parse_vkey(self.audited.vkey)]


def create_keys(directory: Path, name: str) -> Keys:
    """Draw both seeds and write them, mode 0600. Raises: Refused where either file exists."""
    for file in (COSIGNER_FILE, AUDITED_FILE):
        if (directory / file).exists():
            raise Refused(
                "exists", f"{directory / file} exists already; a key is never overwritten"
            )
    keys = Keys(
        CosignatureSigner(name, os.urandom(32)), CosignatureSigner(name + AUDITED, os.urandom(32))
    )
    _write(directory / COSIGNER_FILE, keys.cosigner)
    _write(directory / AUDITED_FILE, keys.audited)
    return keys


def load_keys(directory: Path, name: str) -> Keys:
    """Read what `create_keys` wrote.

    Raises: InvalidInput (no-key, malformed, or the key of another witness); Refused (exposed-key).
    """
    keys = Keys(_read(directory / COSIGNER_FILE), _read(directory / AUDITED_FILE))
    for signer, wanted in ((keys.cosigner, name), (keys.audited, name + AUDITED)):
        if signer.name != wanted:
            raise InvalidInput(
                "wrong-key", f"a key of {signer.name} where that of {wanted} belongs"
            )
    # SPEC: tlog-cosignature "A cosigner operator that operates multiple Ed25519 cosigners [...] MUST use distinct
    # public keys for each cosigner."
    if keys.cosigner.public_key == keys.audited.public_key:
        raise InvalidInput("wrong-key", f"{COSIGNER_FILE} and {AUDITED_FILE} hold the same key")
    return keys


def _write(path: Path, signer: CosignatureSigner) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(signer.skey + "\n")
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> CosignatureSigner:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise InvalidInput("no-key", f"{path} is missing") from error
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_mode & 0o077:
            raise Refused("exposed-key", f"{path} is open to other users: chmod 600 {path.name}")
        text = file.read(4096)
    try:
        return parse_cosigner_skey(text.decode("ascii").rstrip("\n"))
    except (InvalidInput, UnicodeDecodeError) as error:
        # Never with a piece of the file: it may be a key in another form.
        raise InvalidInput("invalid-key", f"{path} is not a cosigner's private key") from error
