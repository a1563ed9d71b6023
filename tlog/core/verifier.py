"""Public keys that verify signature lines, and the table of what each signature type does.

Source: https://c2sp.org/signed-note@v1.0.0, "Signature types" and "Verifier keys".
In scope: type 0x01 and the table; 0x04 is described in `cosignature`. Another type is another row.
Out of scope: types 0x02 and 0x05, which nothing here needs. SPEC: signed-note "implementations
SHOULD select only the one(s) required for their design".
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tlog.core import cosignature, ed25519, keys
from tlog.errors import InvalidInput, VerificationError


def _verify_ed25519(name: str, key: Ed25519PublicKey, text: bytes, signature: bytes) -> None:
    # SPEC: signed-note "Ed25519 signatures are generated according to RFC 8032 over the note text."
    del name  # bound by the key id only: origins inside the text are what tells logs apart
    ed25519.verify_signature(key, text, signature)


KEY_TYPES = {
    keys.ED25519: keys.KeyType(load=ed25519.load_public_key, verify=_verify_ed25519),
    keys.ED25519_COSIGNATURE: cosignature.ED25519_V1,
}


class Verifier:
    """A public key under a name: `name`, `key_id`, `key_type`, `public_key`. Immutable by habit."""

    __slots__ = ("_id", "_key", "_verify", "key_id", "key_type", "name", "public_key")

    def __init__(self, name: str, public_key: bytes, key_type: int = keys.ED25519) -> None:
        """Raises InvalidInput for a bad name, an unknown type, or a key that the type refuses."""
        keys.check_name(name)
        if key_type not in KEY_TYPES:
            raise InvalidInput("malformed", "the type of the key is not supported")
        self._key = KEY_TYPES[key_type].load(public_key)
        self._verify = KEY_TYPES[key_type].verify
        self.name = name
        self.key_type = key_type
        self.public_key = public_key
        self.key_id = keys.key_id(name, key_type, public_key)
        self._id = self.key_id.to_bytes(keys.KEY_ID_SIZE, "big")

    @property
    def vkey(self) -> str:
        """The key as text, `<name>+<id>+<base64>`."""
        return keys.encode_key(self.name, self.key_id, self.key_type, self.public_key)

    def verify(self, text: bytes, blob: bytes) -> int | None:
        """Check `blob`, key id (4 bytes) and signature, over the note text.

        Returns the POSIX seconds stated by a cosignature, None for types that state no time.

        Raises:
            VerificationError: for every cause.
        """
        if blob[: keys.KEY_ID_SIZE] != self._id:
            raise VerificationError
        return self._verify(self.name, self._key, text, blob[keys.KEY_ID_SIZE :])

    def __repr__(self) -> str:
        return f"Verifier({self.vkey!r})"


def parse_vkey(vkey: str) -> Verifier:
    """Return the verifier that a vkey describes.

    Raises:
        InvalidInput: not the one spelling of a vkey, a wrong id, an unknown type, or a bad key.
    """
    name, identifier, key_type, public_key = keys.decode_key(vkey)
    verifier = Verifier(name, public_key, key_type)
    # SPEC: signed-note "The key name and ID MUST match those used in the signatures."
    if verifier.key_id != identifier:
        raise InvalidInput("malformed", "the key id does not belong to the key")
    return verifier


def vkey_for(name: str, public_key: bytes, key_type: int = keys.ED25519) -> str:
    """Return the vkey of one raw public key under `name`: how a stream's vkey comes from its log's.

    Raises:
        InvalidInput: as for `Verifier`.
    """
    return Verifier(name, public_key, key_type).vkey


def known_keys(verifiers: Iterable[Verifier]) -> dict[tuple[str, int], Verifier]:
    """Return the verifiers by (key name, key id). The same key given twice is one.

    Raises:
        InvalidInput: two different keys share name and id. An id has 32 bits, so such a pair can be
            made in minutes; whoever configured it was deceived, and neither key is to be used.
    """
    known: dict[tuple[str, int], Verifier] = {}
    for verifier in verifiers:
        other = known.setdefault((verifier.name, verifier.key_id), verifier)
        if (other.key_type, other.public_key) != (verifier.key_type, verifier.public_key):
            raise InvalidInput("ambiguous-key", "two configured keys have the same name and key id")
    return known
