"""Ed25519 public keys and signatures, RFC 8032, with the keys refused that verify everything.

In scope: which 32 bytes are accepted as a public key, and one opaque answer for a bad signature.
Out of scope: the arithmetic (`cryptography`, OpenSSL), private keys, key types of notes (`keys`).
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tlog.errors import InvalidInput, VerificationError

PUBLIC_KEY_SIZE = 32
SEED_SIZE = 32
SIGNATURE_SIZE = 64

_P = 2**255 - 19
_SIGN_BIT = 1 << 255
_Y8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7

# The y coordinates of the eight points whose order divides 8. Under such a key a signature proves
# nothing: with the identity as key, R = identity and S = 0 verify for every message, and a key of
# order 4 or 8 accepts a fixed signature for one message in four or eight. OpenSSL, and so
# `cryptography`, verifies under all of them; an owner of such a key could show one signed head
# to everybody and claim afterwards that he meant another. Both signs of x are refused for each y,
# which includes the second spelling of the two points with x = 0.
_SMALL_ORDER_Y = frozenset(
    [
        1,  # order 1, the identity
        _P - 1,  # order 2
        0,  # order 4, both signs of x
        _Y8,  # order 8
        _P - _Y8,  # order 8
    ]
)


def load_public_key(raw: bytes) -> Ed25519PublicKey:
    """Return the key of 32 bytes `raw` (RFC 8032, section 5.1.2), ready to verify.

    Whether the point lies on the curve is not asked: under bytes that are none nothing verifies.

    Raises:
        InvalidInput: not 32 bytes, y not below 2^255 - 19, or a point of small order.
    """
    if len(raw) != PUBLIC_KEY_SIZE:
        raise InvalidInput("malformed", "an Ed25519 public key has 32 bytes")
    y = int.from_bytes(raw, "little") & ~_SIGN_BIT
    # RFC 8032, section 5.1.3: "If the resulting value is >= p, decoding fails." OpenSSL reduces it
    # instead, so that one key would have two spellings and therefore two key ids.
    if y >= _P:
        raise InvalidInput("malformed", "the Ed25519 public key is not canonical")
    if y in _SMALL_ORDER_Y:
        raise InvalidInput("malformed", "the Ed25519 public key has small order")
    return Ed25519PublicKey.from_public_bytes(raw)


def verify_signature(key: Ed25519PublicKey, message: bytes, signature: bytes) -> None:
    """Check the 64 bytes `signature` over `message` (RFC 8032, section 5.1.7).

    Raises:
        VerificationError: for every cause.
    """
    try:
        key.verify(signature, message)
    except InvalidSignature:
        raise VerificationError from None
