"""Good replies are accepted: OpenSSL's with keys of both kinds, with and without its chain, and every liberty that RFC 3161
leaves an authority. Years later too, when its certificate has long expired.
"""

from __future__ import annotations

import subprocess
from base64 import b64encode
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.tsa.conftest import NONCE, NOTE, Liar
from tests.tsa.forge import DAY, NOW, NOW_MS, Party, certify, reply
from tlog.cli.demo.processes import DemoError
from tlog.cli.demo.tsa import POLICY, Authority
from tlog.core.timestamp import Timestamp, accept, build_request, parse_roots, verify_timestamp
from tlog.errors import InvalidInput, VerificationError


def now_ms() -> int:
    return int(datetime.now(timezone.utc).timestamp() * 1000)


@pytest.mark.parametrize("chain", [False, True])
def test_openssl(authority: Authority, chain: bool, tmp_path: Path) -> None:
    """Accepted here and by `openssl ts -verify`, which needs no word of ours."""
    request = build_request(NOTE, NONCE, POLICY)
    answer = authority.reply(request, chain=chain)
    roots = parse_roots(authority.root.read_bytes())
    now = now_ms()
    stamp = accept(
        answer, request, NOTE, roots=roots, policies=[POLICY], now_ms=now,
        previous_gen_time=now - 5000, head_ms=now,
    )  # fmt: skip
    assert abs(stamp.gen_ms - now) < 5000
    assert (stamp.policy, stamp.accuracy_us, stamp.signer) == (POLICY, 1_000_000, "CN=Demo TSA")
    assert [len(stamp.chain), stamp.chain[1]] == [2, roots[0].public_bytes(Encoding.DER)]
    (tmp_path / "q").write_bytes(request)
    (tmp_path / "r").write_bytes(answer)
    done = subprocess.run(
        ["openssl", "ts", "-verify", "-queryfile", "q", "-in", "r", "-CAfile", authority.root],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Verification: OK" in done.stdout


def test_revoked(authority: Authority, tmp_path: Path) -> None:
    request = build_request(NOTE, NONCE)
    answer = authority.reply(request)
    roots = parse_roots(authority.root.read_bytes())
    verify_timestamp(answer, request, NOTE, roots=roots, crls=[authority.revocation_list()])
    crls = [authority.revocation_list(revoke=True)]
    with pytest.raises(VerificationError):
        verify_timestamp(answer, request, NOTE, roots=roots, crls=crls)
    with pytest.raises(DemoError):
        Authority(tmp_path).reply(request)


def verified(liar: Liar, answer: bytes, **more: Any) -> Timestamp:
    return verify_timestamp(answer, liar.request, NOTE, roots=liar.roots, **more)


GOOD: dict[str, dict[str, Any]] = {
    "plain": {},
    "no-accuracy": {"accuracy": None},
    "accuracy-in-all-units": {"accuracy": {"seconds": 59, "millis": 999, "micros": 999}},
    "fraction": {"gen_time": "20260320120000.123456Z"},
    "leap-year": {"gen_time": "20260228235959.5Z"},
    "serial-of-160-bits": {"serial": 2**159 + 1},
    "extension-not-critical": {"extension": (False, False)},
    "named": {
        "name": asn1_x509.GeneralName(
            "directory_name", asn1_x509.Name.build({"common_name": "Lab TSA"})
        )
    },
    "sha384": {"digest": "sha384"},
    "sha512": {"digest": "sha512"},
    "ess-v1": {"ess": ("v1",)},
    "ess-v1-and-v2": {"ess": ("v1", "v2")},
    "ess-of-sha512": {"ess": ("v2-sha512",)},
    "ess-with-serial": {"ess_serial": 0},
    "signing-time-too": {
        "extra": ({"type": "signing_time", "values": [cms.Time("utc_time", NOW)]},)
    },
}


@pytest.mark.parametrize("kind", GOOD)
def test_what_an_authority_may_do(kind: str, liar: Liar) -> None:
    stamp = verified(liar, reply(liar.request, liar.wish, **GOOD[kind]))
    assert stamp.signer == "CN=Lab TSA"


def test_what_is_told(liar: Liar) -> None:
    changes = {
        "gen_time": "20260320120000.123456Z",
        "accuracy": {"seconds": 2, "millis": 3, "micros": 4},
        "serial": 2**100,
    }
    stamp = verified(liar, reply(liar.request, liar.wish, **changes))
    assert (stamp.gen_ms, stamp.gen_time) == (NOW_MS + 123, "2026-03-20T12:00:00.123456Z")
    assert (stamp.accuracy_us, stamp.serial) == (2_003_004, 2**100)
    assert stamp.expires_ms == NOW_MS + 400 * 86_400_000


def test_names_in_the_certificate(liar: Liar) -> None:
    """The name in a token may be another of the subject's."""
    signer = certify("Lab TSA", liar.root, names=(x509.DNSName("tsa.example.com"),))
    for name in ("tsa.example.com", "other.example.com"):
        answer = reply(
            liar.request, liar.wish, signer=signer, name=asn1_x509.GeneralName("dns_name", name)
        )
        if name == "tsa.example.com":
            verified(liar, answer)
        else:
            with pytest.raises(VerificationError):
                verified(liar, answer)


def test_identity_is_what_was_said(liar: Liar) -> None:
    """The same for a token that was signed again, another for another time, serial, policy or signer."""
    first = verified(liar, reply(liar.request, liar.wish))
    again = verified(liar, reply(liar.request, liar.wish, accuracy=None))
    assert again.identity == first.identity
    other = certify("Lab TSA", liar.root)
    for changes in (
        {"gen_time": "20260320120001Z"},
        {"serial": 78},
        {"policy": "1.2.3"},
        {"signer": other},
    ):
        assert verified(liar, reply(liar.request, liar.wish, **changes)).identity != first.identity


def test_a_chain_in_parts(liar: Liar) -> None:
    """An intermediate authority: in the reply, beside it, or among the trusted; without it nothing is shown."""
    middle = certify("Lab Middle", liar.root, ca=True)
    signer = certify("Lab TSA", middle)
    alone = reply(liar.request, liar.wish, signer=signer)
    whole = reply(liar.request, liar.wish, signer=signer, certificates=(middle.der, signer.der))
    backwards = reply(liar.request, liar.wish, signer=signer, certificates=(signer.der, middle.der))
    path = (signer.der, middle.der, liar.root.der)
    assert verified(liar, whole).chain == path
    assert verified(liar, backwards).chain == path
    assert verified(liar, alone, chain=[middle.der]).chain == path
    assert verified(liar, alone, chain=path).chain == path
    both = (*liar.roots, middle.certificate)
    assert verify_timestamp(alone, liar.request, NOTE, roots=both).chain == path
    for roots, chain in ((liar.roots, ()), ((middle.certificate,), ()), ((), path)):
        with pytest.raises(VerificationError):
            verify_timestamp(alone, liar.request, NOTE, roots=roots, chain=chain)


def test_a_system_s_roots(liar: Liar) -> None:
    """A file of roots may have hundreds, and one of them more than once."""
    others = [certify(f"Root {number}", ca=True).certificate for number in range(100)]
    answer = reply(liar.request, liar.wish)
    verify_timestamp(answer, liar.request, NOTE, roots=[*others, *liar.roots, *liar.roots])
    with pytest.raises(VerificationError):
        verify_timestamp(answer, liar.request, NOTE, roots=others)


def test_two_roots_of_one_name(liar: Liar) -> None:
    """Of an authority that has a new key, or of two that were set up alike: each is believed, in whatever order."""
    other = certify("Lab Root", ca=True)
    signer = certify("Lab TSA", other)
    renewed = certify("Lab Root", ca=True, key=other.key, start=NOW - 9 * DAY)
    expired = certify("Lab Root", ca=True, key=other.key, end=NOW - 9 * DAY)
    mine = (reply(liar.request, liar.wish), liar.root.certificate)
    others = reply(liar.request, liar.wish, signer=signer)
    certificates = [liar.root.certificate, other.certificate]
    for roots in (certificates, certificates[::-1]):
        for answer, root in (mine, (others, other.certificate)):
            stamp = verify_timestamp(answer, liar.request, NOTE, roots=roots)
            assert stamp.chain[-1] == root.public_bytes(Encoding.DER)
    same_key = [one.certificate for one in (renewed, expired)]
    for roots in (same_key, same_key[::-1]):
        verify_timestamp(others, liar.request, NOTE, roots=roots)
    with pytest.raises(VerificationError):
        verify_timestamp(others, liar.request, NOTE, roots=liar.roots)


def test_years_later(liar: Liar) -> None:
    """Verified at genTime: that all certificates are expired since changes nothing; that they were, does."""
    root = certify("Old Root", ca=True, start=NOW - 9000 * DAY, end=NOW - 5000 * DAY)
    signer = certify("Old TSA", root, start=NOW - 9000 * DAY, end=NOW - 6000 * DAY)
    roots = (root.certificate,)
    then = (NOW - 7000 * DAY).strftime("%Y%m%d%H%M%SZ")
    stamp = verify_timestamp(
        reply(liar.request, liar.wish, signer=signer, gen_time=then),
        liar.request,
        NOTE,
        roots=roots,
    )
    assert stamp.expires_ms == NOW_MS - 6000 * 86_400_000
    late = (NOW - 5500 * DAY).strftime("%Y%m%d%H%M%SZ")
    with pytest.raises(VerificationError):
        verify_timestamp(
            reply(liar.request, liar.wish, signer=signer, gen_time=late),
            liar.request,
            NOTE,
            roots=roots,
        )


def revocations(
    issuer: Party, *serials: int, reason: x509.ReasonFlags | None, when: datetime = NOW + DAY
) -> bytes:
    builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, NOW, NOW + 30 * DAY)
    for serial in serials:
        one = x509.RevokedCertificateBuilder(serial, when)
        if reason is not None:
            one = one.add_extension(x509.CRLReason(reason), critical=False)
        builder = builder.add_revoked_certificate(one.build())
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_revocation(liar: Liar) -> None:
    """SPEC: RFC 3161 section 4: superseded after the token is harmless; a lost key, or no reason, is not."""
    answer = reply(liar.request, liar.wish)
    mine = liar.wish.signer.certificate.serial_number
    mild = x509.ReasonFlags.superseded
    for crl in (
        revocations(liar.root, reason=None),
        revocations(liar.root, mine + 1, reason=None),
        revocations(liar.root, mine, reason=mild),
    ):
        verified(liar, answer, crls=[crl])
    for crl in (
        revocations(liar.root, mine, reason=None),
        revocations(liar.root, mine, reason=x509.ReasonFlags.key_compromise),
        revocations(liar.root, mine, reason=mild, when=NOW - DAY),
        revocations(certify("Lab Root", ca=True), reason=None),  # says nothing about this path
        revocations(certify("Other", ca=True), reason=None),
        b"no list",
    ):
        with pytest.raises(VerificationError):
            verified(liar, answer, crls=[crl])


def test_roots() -> None:
    one, two = certify("One", ca=True), certify("Two", ca=True)
    assert parse_roots(one.pem + two.pem) == (one.certificate, two.certificate)
    version = b64encode(one.der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x34", 1))
    unknown = b"-----BEGIN CERTIFICATE-----\n%b\n-----END CERTIFICATE-----\n" % version
    for bad in (b"", b"no pem", one.pem[:-40], one.der, unknown):
        with pytest.raises(InvalidInput):
            parse_roots(bad)
