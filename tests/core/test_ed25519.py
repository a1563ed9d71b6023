"""Ed25519 as we accept it: Wycheproof's verdicts, and no key under which anything verifies.

The eight points of small order are computed here from the curve equation, every spelling of them is
tried, and the harm that they would do with the library below us is shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tests.paths import VECTORS
from tlog.core.ed25519 import load_public_key
from tlog.core.note import Verifier, parse_vkey
from tlog.errors import InvalidInput, VerificationError

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
WYCHEPROOF = VECTORS / "wycheproof" / "ed25519_test.json"

Point = tuple[int, int]


def add(a: Point, b: Point) -> Point:
    """RFC 8032, section 5.1.4, affine."""
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + k, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - k, -1, P)
    return x % P, y % P


def recover_x(y: int) -> list[int]:
    """The x of every point with this y: RFC 8032, section 5.1.3, steps 2 and 3."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    if root * root % P != square:
        root = root * pow(2, (P - 1) // 4, P) % P
    return sorted({root, -root % P}) if root * root % P == square else []


def points_of_small_order() -> set[Point]:
    """8-torsion: the multiples of L·Q for points Q, until one has order 8."""
    order = 2**252 + 27742317777372353535851937790883648493
    for y in range(2, 100):
        for x in recover_x(y):
            torsion, base, n = (0, 1), (x, y), order
            while n:
                torsion = add(torsion, base) if n & 1 else torsion
                base, n = add(base, base), n >> 1
            group = [(0, 1)]
            while (following := add(group[-1], torsion)) != (0, 1):
                group.append(following)
            if len(group) == 8:
                return set(group)
    raise AssertionError


def spellings(points: set[Point]) -> Iterator[bytes]:
    """Every 32-byte string that a decoder without checks reads as one of these points."""
    for x, y in points:
        for value in {y, y + P}:
            if value < 2**255:
                for sign in {0, 1} if x == 0 else {x & 1}:
                    yield (value | sign << 255).to_bytes(32, "little")


SMALL = sorted(set(spellings(points_of_small_order())))


def test_there_are_eight_points_and_fourteen_spellings() -> None:
    assert len(points_of_small_order()) == 8
    assert len(SMALL) == 14


@pytest.mark.parametrize("raw", SMALL, ids=bytes.hex)
def test_a_small_order_key_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        load_public_key(raw)
    with pytest.raises(InvalidInput):
        Verifier("example.com/log", raw)
    with pytest.raises(InvalidInput):
        Verifier("example.com/witness", raw, 0x04)


def test_a_small_order_key_is_refused_in_a_vkey() -> None:
    # The identity, under a correct key id.
    with pytest.raises(InvalidInput, match="small order"):
        parse_vkey("example.com/foo+61a0818a+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")


def test_why_the_identity_is_refused() -> None:
    identity = (1).to_bytes(32, "little")
    forged = identity + bytes(32)
    for message in (b"one head\n", b"another head\n"):
        Ed25519PublicKey.from_public_bytes(identity).verify(forged, message)


@pytest.mark.parametrize("y", [P, P + 1, P + 2, P + 18, 2**255 - 1])
@pytest.mark.parametrize("sign", [0, 1])
def test_a_key_that_is_not_canonical_is_refused(y: int, sign: int) -> None:
    with pytest.raises(InvalidInput):
        load_public_key((y | sign << 255).to_bytes(32, "little"))


@pytest.mark.parametrize("y", [P - 2, 2, 3])
@pytest.mark.parametrize("sign", [0, 1])
def test_the_neighbours_of_refused_keys_are_accepted(y: int, sign: int) -> None:
    raw = (y | sign << 255).to_bytes(32, "little")
    assert load_public_key(raw).public_bytes_raw() == raw


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InvalidInput):
        load_public_key(bytes([7]) * length)


def test_bytes_that_are_no_point_verify_nothing() -> None:
    y = next(y for y in range(2, 100) if not recover_x(y))
    verifier = Verifier("example.com/log", y.to_bytes(32, "little"))
    identifier = verifier.key_id.to_bytes(4, "big")
    for signature in (bytes(64), (1).to_bytes(32, "little") + bytes(32)):
        with pytest.raises(VerificationError):
            verifier.verify(b"text\n", identifier + signature)


def wycheproof() -> list[Any]:
    if not WYCHEPROOF.exists():
        return [pytest.param(None, None, marks=pytest.mark.skip(reason="no shared test vectors"))]
    groups = json.loads(WYCHEPROOF.read_bytes())["testGroups"]
    cases = [(g["publicKey"]["pk"], test) for g in groups for test in g["tests"]]
    return [pytest.param(pk, test, id=f"tc{test['tcId']}") for pk, test in cases]


@pytest.mark.parametrize(("public_key", "case"), wycheproof())
def test_wycheproof(public_key: str, case: dict[str, Any]) -> None:
    # No difference has to be explained: the file has no "acceptable" case and no small-order key.
    assert case["result"] in ("valid", "invalid")
    verifier = Verifier("wycheproof", bytes.fromhex(public_key))
    blob = verifier.key_id.to_bytes(4, "big") + bytes.fromhex(case["sig"])
    message = bytes.fromhex(case["msg"])
    if case["result"] == "valid":
        assert verifier.verify(message, blob) is None
    else:
        with pytest.raises(VerificationError):
            verifier.verify(message, blob)


def test_a_signature_with_s_plus_l_is_refused() -> None:
    # RFC 8032, section 5.1.7: s < L. Otherwise anyone could make a second signature.
    key = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
    verifier = Verifier("example.com/log", key.public_key().public_bytes_raw())
    identifier = verifier.key_id.to_bytes(4, "big")
    signature = key.sign(b"text\n")
    verifier.verify(b"text\n", identifier + signature)
    s = int.from_bytes(signature[32:], "little") + 2**252 + 27742317777372353535851937790883648493
    with pytest.raises(VerificationError):
        verifier.verify(b"text\n", identifier + signature[:32] + s.to_bytes(32, "little"))
