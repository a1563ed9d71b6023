"""Replies that are wrong in one way each: none is accepted. Every one is properly signed, unless that is what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.tsa.conftest import NONCE, NOTE, Liar
from tests.tsa.forge import DAY, NOW, NOW_MS, Party, certify, new_key, reply
from tlog.core import der
from tlog.core.timestamp import accept, build_request, verify_timestamp
from tlog.core.timestamp_chain import find_signer, path_of
from tlog.core.timestamp_token import parse_reply
from tlog.errors import InvalidInput, VerificationError

TIME_STAMPING, CODE_SIGNING = ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING


def check(liar: Liar, answer: bytes, **other: Any) -> None:
    accept(answer, other.pop("request", liar.request), NOTE, **{**_around(liar), **other})


def _around(liar: Liar) -> dict[str, Any]:
    return {"roots": liar.roots, "now_ms": NOW_MS, "previous_gen_time": 0, "head_ms": NOW_MS}


def test_the_good_reply_is_accepted(liar: Liar) -> None:
    """What all others differ from."""
    check(liar, reply(liar.request, liar.wish))


CHANGED: dict[str, dict[str, Any]] = {
    "version-2": {"version": 2},
    "granted-with-mods": {"status": 1},
    "rejection-with-a-token": {"status": 2},
    "waiting-with-a-token": {"status": 3},
    "granted-and-failed": {"fail_info": True},
    "imprint-of-something-else": {"imprint": bytes(32)},
    "imprint-too-short": {"imprint": bytes(31)},
    "imprint-sha512-over-32-bytes": {"imprint_algorithm": "sha512"},
    "imprint-sha1-over-32-bytes": {"imprint_algorithm": "sha1"},
    "nonce-wrong": {"nonce": NONCE + 1},
    "nonce-missing": {"nonce": None},
    "nonce-negative": {"nonce": -NONCE},
    "gen-time-an-hour-ahead": {"gen_time": "20260320130000Z"},
    "gen-time-two-years-ahead": {"gen_time": "20280320120000Z"},
    "gen-time-an-hour-ago": {"gen_time": "20260320110000Z"},
    "gen-time-before-the-certificate": {"gen_time": "20200101000000Z"},
    "gen-time-without-seconds": {"gen_time": "202603201200Z"},
    "gen-time-with-offset": {"gen_time": "20260320130000+0100"},
    "gen-time-local": {"gen_time": "20260320120000"},
    "gen-time-trailing-zero": {"gen_time": "20260320120000.10Z"},
    "gen-time-no-such-day": {"gen_time": "20260332120000Z"},
    "accuracy-a-week": {"accuracy": {"seconds": 604800}},
    "accuracy-61-s": {"accuracy": {"seconds": 60, "micros": 1}},
    "accuracy-negative": {"accuracy": {"seconds": -1}},
    "accuracy-1000-millis": {"accuracy": {"millis": 1000}},
    "critical-extension": {"extension": (True,)},
    "one-critical-among-others": {"extension": (False, True)},
    "another-name": {
        "name": asn1_x509.GeneralName("directory_name", asn1_x509.Name.build({"common_name": "X"}))
    },
    "name-that-is-no-subject": {
        "name": asn1_x509.GeneralName("dns_name", "tsa.example.com"),
    },
    "content-is-not-tstinfo": {"kind": "data"},
    "content-type-attribute-missing": {"content_type": None},
    "content-type-attribute-wrong": {"content_type": "data"},
    "content-type-attribute-twice": {"extra": ({"type": "content_type", "values": ["tst_info"]},)},
    "message-digest-missing": {"message_digest": None},
    "message-digest-wrong": {"message_digest": bytes(32)},
    "ess-missing": {"ess": ()},
    "ess-twice": {"ess": ("v2", "v2")},
    "ess-v2-of-sha1": {"ess": ("v2-sha1",)},
    "ess-of-another-serial": {"ess_serial": 5},
    "cms-digest-sha1": {"digest": "sha1"},
    "signature-named-sha1": {"signature_oid": "sha1_ecdsa"},
    "no-signed-attributes": {"signed": False},
    "no-signer": {"signers": 0},
    "two-signers": {"signers": 2},
    "certificate-omitted": {"certificates": ()},
    "imprint-altered-after-signing": {"altered": (b"\x04\x20", b"\x04\x1f")},
    "time-altered-after-signing": {"altered": (b"20260320120000Z", b"20260320120001Z")},
    "serial-altered-after-signing": {"altered": (b"\x02\x01\x4d", b"\x02\x01\x4e")},
}


@pytest.mark.parametrize("kind", CHANGED)
def test_a_member_that_is_wrong(kind: str, liar: Liar) -> None:
    answer = reply(liar.request, liar.wish, **CHANGED[kind])
    with pytest.raises(VerificationError):
        check(liar, answer)


def _rsa_1024() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)


SIGNERS: dict[str, Callable[[Party], Party]] = {
    "usage-code-signing": lambda root: certify("Lab TSA", root, usage=(CODE_SIGNING,)),
    "usage-not-critical": lambda root: certify("Lab TSA", root, critical=False),
    "usage-and-another": lambda root: certify("Lab TSA", root, usage=(TIME_STAMPING, CODE_SIGNING)),
    "usage-missing": lambda root: certify("Lab TSA", root, usage=()),
    "the-root-itself": lambda root: root,
    "expired": lambda root: certify("Lab TSA", root, end=NOW - DAY),
    "not-yet": lambda root: certify("Lab TSA", root, start=NOW + DAY),
    "self-signed": lambda root: certify("Lab TSA"),
    "root-of-the-same-name": lambda root: certify("Lab TSA", certify("Lab Root", ca=True)),
    "issuer-claimed": lambda root: certify("Lab TSA", issuer_name=root.certificate.subject),
    "below-one-that-is-no-authority": lambda root: certify("Lab TSA", certify("Mid", root)),
    "rsa-1024": lambda root: certify("Lab TSA", root, key=_rsa_1024()),
}


@pytest.mark.parametrize("kind", SIGNERS)
def test_a_signer_that_may_not(kind: str, liar: Liar) -> None:
    signer = SIGNERS[kind](liar.root)
    with pytest.raises(VerificationError):
        check(liar, reply(liar.request, liar.wish, signer=signer))


def test_it_is_not_left_to_the_library(liar: Liar) -> None:
    """What OpenSSL refuses too is refused before it is asked: its next version may see it another way."""
    for changes in ({"signers": 2}, {"signers": 0}, {"status": 1}):
        with pytest.raises(InvalidInput):
            parse_reply(reply(liar.request, liar.wish, **changes))
    for kind in ("usage-code-signing", "usage-and-another", "usage-not-critical", "rsa-1024"):
        signer = SIGNERS[kind](liar.root)
        token = parse_reply(reply(liar.request, liar.wish, signer=signer))
        with pytest.raises(VerificationError):
            find_signer(token, [signer.certificate])
    token = parse_reply(reply(liar.request, liar.wish))
    own = liar.wish.signer.certificate
    assert find_signer(token, [liar.root.certificate, own, own]) == own
    with pytest.raises(VerificationError):
        find_signer(token, [liar.root.certificate])


def test_certificates_that_do_not_belong(liar: Liar) -> None:
    """ESS and sid of another certificate; two that fit the sid; more than anybody needs."""
    other = certify("Lab TSA", liar.root)
    twin = certify("Lab TSA", liar.root, serial=liar.wish.signer.certificate.serial_number)
    mine = liar.wish.signer.der
    many = tuple(certify(f"{number}").der for number in range(65))
    for changes in (
        {"ess_of": other.der},
        {"ess_of": other.der, "ess": ("v1",)},
        {"sid": other, "certificates": (mine, other.der)},
        {"sid": other},
        {"certificates": (mine, twin.der)},
        {"certificates": (mine, *many)},
        {"certificates": (mine, Ed25519PrivateKey.generate().public_key().public_bytes_raw())},
    ):
        with pytest.raises((VerificationError, ValueError)):
            check(liar, reply(liar.request, liar.wish, **changes))


def test_a_path_that_leads_nowhere(liar: Liar) -> None:
    """To a stranger, in a circle, or to a trusted one that is no root."""
    signer = liar.wish.signer.certificate
    stranger = certify("Lab Root", ca=True)
    middle = certify("Middle", liar.root, ca=True)
    for roots in ((), (stranger.certificate,), (middle.certificate,)):
        with pytest.raises(VerificationError):
            path_of(signer, [signer, stranger.certificate], roots)
    below = certify("Lab TSA", middle).certificate
    with pytest.raises(VerificationError):
        path_of(below, [], (middle.certificate,))


def test_a_trusted_certificate_is_not_believed_because_it_came_along(liar: Liar) -> None:
    """The stranger's root in the reply, or in the chain beside it, changes nothing."""
    stranger = certify("Lab Root", ca=True)
    signer = certify("Lab TSA", stranger)
    answer = reply(liar.request, liar.wish, signer=signer, certificates=(signer.der, stranger.der))
    for chain in ((), (stranger.der,)):
        with pytest.raises(VerificationError):
            check(liar, answer, chain=chain)
    check(liar, answer, roots=(stranger.certificate,))
    check(liar, reply(liar.request, liar.wish))
    with pytest.raises(VerificationError):  # no call leaves trust behind for the next
        check(liar, answer)


def test_what_was_asked_for(liar: Liar) -> None:
    """A reply to another request, over another note, of another policy; a request that is not ours."""
    good = reply(liar.request, liar.wish)
    older = build_request(NOTE, NONCE + 1)
    wanted = build_request(NOTE, NONCE, "1.2.3")
    for request, others in (
        (older, {}),
        (wanted, {}),
        (build_request(NOTE + b"x", NONCE), {}),
        (liar.request + b"\0", {}),
        (liar.request[:-3] + b"\1\1\1", {}),
        (b"", {}),
        (b"\x30\x82\xff\xff" + bytes(1000), {}),
        (liar.request, {"policies": ("1.2.3",)}),
    ):
        with pytest.raises(VerificationError):
            check(liar, good, request=request, **others)
    check(liar, reply(wanted, liar.wish, policy="1.2.3"), request=wanted, policies=("1.2.3",))


def test_a_request_without_a_nonce_proves_too_little(liar: Liar) -> None:
    bare = der.encode(der.SEQUENCE, b"".join(one.raw for one in _members(liar) if one.tag != 2))
    with pytest.raises(VerificationError):
        check(liar, reply(liar.request, liar.wish, nonce=None), request=bare)
    for nonce in (0, 1, -5, 1 << 20):
        with pytest.raises(AssertionError):
            build_request(NOTE, nonce)
    with pytest.raises(AssertionError):
        build_request(NOTE, NONCE, "any")


def _members(liar: Liar) -> list[der.Element]:
    first, *rest = der.elements(der.parse(liar.request, der.SEQUENCE).content)
    return [first._replace(tag=0), *rest]


def test_when_it_came(liar: Liar) -> None:
    """Near our clock, not before the head nor before the last anchor; each limit and one step beyond."""
    good = reply(liar.request, liar.wish)
    for name, last, first_bad in (
        ("now_ms", NOW_MS + 300_000, NOW_MS + 300_001),
        ("now_ms", NOW_MS - 300_000, NOW_MS - 300_001),
        ("head_ms", NOW_MS + 60_000, NOW_MS + 60_001),
        ("previous_gen_time", NOW_MS, NOW_MS + 1),
    ):
        check(liar, good, **{name: last})
        with pytest.raises(VerificationError):
            check(liar, good, **{name: first_bad})


def test_bytes_that_are_no_reply(liar: Liar) -> None:
    good = reply(liar.request, liar.wish)
    empty = der.encode(der.SEQUENCE, der.encode(der.SEQUENCE, b"\2\1\0"))
    for answer in (
        b"",
        b"<html>",
        good[:-1],
        good + b"\0",
        good[:100],
        b"\x30\x80" + good[4:] + b"\0\0",
        empty,
        der.encode(der.SEQUENCE, der.encode(der.SEQUENCE, b"\2\1\2")),
        good + bytes(65536),
    ):
        with pytest.raises(VerificationError):
            check(liar, answer)


def test_no_bit_that_means_something_can_be_flipped(liar: Liar) -> None:
    """What still verifies after a flip is unsigned, and says the same: so a token's hash names nothing."""
    good = reply(liar.request, liar.wish)
    stamp = verify_timestamp(good, liar.request, NOTE, roots=liar.roots)
    for position in range(0, len(good) * 8, 29):
        flipped = bytearray(good)
        flipped[position // 8] ^= 1 << position % 8
        try:
            other = verify_timestamp(bytes(flipped), liar.request, NOTE, roots=liar.roots)
        except VerificationError:
            continue
        assert other.identity == stamp.identity


def test_an_odd_key_is_refused_and_not_a_crash(liar: Liar) -> None:
    """P-521 is fine; a curve is not what is wrong. A key kind that nothing here signs with is."""
    large = certify("Lab TSA", liar.root, key=ec.generate_private_key(ec.SECP521R1()))
    check(liar, reply(liar.request, liar.wish, signer=large))
    assert new_key() != new_key()
