"""A timestamp authority that says whatever a test wants: every field of its replies can be another, and is still signed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2026, 3, 20, 12, 0, tzinfo=timezone.utc)
NOW_MS = int(NOW.timestamp()) * 1000
DAY = timedelta(days=1)
POLICY = "1.3.6.1.4.1.99999.1.1"
HASHES = {"sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}  # fmt: skip
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Party:
    """A key and its certificate."""

    key: Key
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certify(
    name: str,
    issuer: Party | None = None,
    *,
    key: Key | None = None,
    ca: bool = False,
    usage: tuple[Any, ...] = (ExtendedKeyUsageOID.TIME_STAMPING,),
    critical: bool = True,
    start: datetime = NOW - 400 * DAY,
    end: datetime = NOW + 400 * DAY,
    serial: int | None = None,
    names: tuple[x509.GeneralName, ...] = (),
    issuer_name: x509.Name | None = None,
) -> Party:
    """A certificate by `issuer`, or a self-signed one."""
    key = key or new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    above = issuer_name or (subject if issuer is None else issuer.certificate.subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(above)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
    )
    if usage and not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=critical)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signer = key if issuer is None else issuer.key
    return Party(key, builder.sign(signer, hashes.SHA256()))


@dataclass(frozen=True)
class Wish:
    """What a reply shall say; by default, what a good one says."""

    signer: Party
    status: int = 0
    fail_info: bool = False
    version: int = 1
    policy: str = POLICY
    imprint_algorithm: str = "sha256"
    imprint: bytes | None = None
    serial: int = 77
    gen_time: str = "20260320120000Z"
    accuracy: dict[str, int] | None = field(default_factory=lambda: {"seconds": 1})
    nonce: int | None = -1  # -1: the request's
    name: asn1_x509.GeneralName | None = None
    extension: tuple[bool, ...] = ()
    kind: str = "tst_info"
    digest: str = "sha256"
    signature_oid: str | None = None
    content_type: str | None = "tst_info"
    message_digest: bytes | None = b""
    ess: tuple[str, ...] = ("v2",)
    ess_of: bytes | None = None
    ess_serial: int | None = None
    extra: tuple[Any, ...] = ()
    signed: bool = True
    certificates: tuple[bytes, ...] | None = None
    sid: Party | None = None
    signers: int = 1
    crls: tuple[bytes, ...] = ()
    altered: tuple[bytes, bytes] | None = None  # bytes of the reply to replace after it was signed


def reply(request: bytes, wish: Wish, **changes: Any) -> bytes:
    """The reply to `request` as wished."""
    wish = replace(wish, **changes)
    asked = tsp.TimeStampReq.load(request)
    content = _info(asked, wish)
    signer = _signer(content, wish)
    embedded = (wish.signer.der,) if wish.certificates is None else wish.certificates
    data: dict[str, Any] = {
        "version": "v3",
        "digest_algorithms": [{"algorithm": wish.digest}],
        "encap_content_info": {"content_type": wish.kind, "content": core.ParsableOctetString(content)},
        "signer_infos": [signer] * wish.signers,
    }  # fmt: skip
    if embedded:
        data["certificates"] = [
            cms.CertificateChoices("certificate", asn1_x509.Certificate.load(one))
            for one in embedded
        ]
    status: dict[str, Any] = {"status": wish.status}
    if wish.fail_info:
        status["fail_info"] = {"system_failure"}
    response = tsp.TimeStampResp(
        {
            "status": status,
            "time_stamp_token": {"content_type": "signed_data", "content": cms.SignedData(data)},
        }
    )
    raw: bytes = response.dump()
    if wish.altered is not None:
        assert raw.count(wish.altered[0]) >= 1 and len(wish.altered[0]) == len(wish.altered[1])
        raw = raw.replace(*wish.altered)
    return raw


def _info(asked: tsp.TimeStampReq, wish: Wish) -> bytes:
    nonce = asked["nonce"].native if wish.nonce == -1 else wish.nonce
    digest = asked["message_imprint"]["hashed_message"].native
    info: dict[str, Any] = {
        "version": wish.version,
        "policy": wish.policy,
        "message_imprint": {
            "hash_algorithm": {"algorithm": wish.imprint_algorithm},
            "hashed_message": digest if wish.imprint is None else wish.imprint,
        },
        "serial_number": wish.serial,
        "gen_time": _Time(wish.gen_time),
    }
    if wish.accuracy is not None:
        info["accuracy"] = wish.accuracy
    if nonce is not None:
        info["nonce"] = nonce
    if wish.name is not None:
        info["tsa"] = wish.name
    if wish.extension:
        info["extensions"] = [
            {"extn_id": "1.3.6.1.4.1.99999.7", "critical": one, "extn_value": b"\5\0"}
            for one in wish.extension
        ]
    raw: bytes = tsp.TSTInfo(info).dump()
    return raw


class _Time(core.GeneralizedTime):
    """A time with just these characters."""

    def set(self, value: Any) -> None:
        self._unicode = value
        self.contents = value.encode()
        self._native = None


def _signer(content: bytes, wish: Wish) -> cms.SignerInfo:
    attributes = cms.CMSAttributes([cms.CMSAttribute(one) for one in _attributes(content, wish)])
    signed = attributes.dump() if wish.signed else content
    key, hashed = wish.signer.key, HASHES[wish.digest]()
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(signed, padding.PKCS1v15(), hashed)
        algorithm = wish.signature_oid or f"{wish.digest}_rsa"
    else:
        signature = key.sign(signed, ec.ECDSA(hashed))
        algorithm = wish.signature_oid or f"{wish.digest}_ecdsa"
    named = asn1_x509.Certificate.load((wish.sid or wish.signer).der)
    info: dict[str, Any] = {
        "version": "v1",
        "sid": cms.SignerIdentifier(
            "issuer_and_serial_number",
            {"issuer": named.issuer, "serial_number": named.serial_number},
        ),
        "digest_algorithm": {"algorithm": wish.digest},
        "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": algorithm}),
        "signature": signature,
    }
    if wish.signed:
        info["signed_attrs"] = attributes
    return cms.SignerInfo(info)


def _attributes(content: bytes, wish: Wish) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if wish.content_type is not None:
        found.append({"type": "content_type", "values": [wish.content_type]})
    if wish.message_digest is not None:
        digest = wish.message_digest or hashlib.new(wish.digest, content).digest()
        found.append({"type": "message_digest", "values": [digest]})
    certificate = wish.ess_of or wish.signer.der
    parsed = asn1_x509.Certificate.load(certificate)
    for kind in wish.ess:
        version, _, algorithm = kind.partition("-")
        one: dict[str, Any] = {
            "cert_hash": hashlib.new(
                algorithm or ("sha1" if version == "v1" else "sha256"), certificate
            ).digest()
        }
        if algorithm:
            one["hash_algorithm"] = {"algorithm": algorithm}
        if wish.ess_serial is not None:
            one["issuer_serial"] = {
                "issuer": [asn1_x509.GeneralName("directory_name", parsed.issuer)],
                "serial_number": wish.ess_serial or parsed.serial_number,
            }
        name = "signing_certificate" + ("" if version == "v1" else "_v2")
        found.append({"type": name, "values": [{"certs": [one]}]})
    return [*found, *wish.extra]
