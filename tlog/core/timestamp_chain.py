"""Certificates of timestamp authorities: the path from signer to root, what the signer may do, what was revoked.

Source: RFC 3161 sections 2.3 and 4, RFC 5280 section 5, RFC 5035 sections 4 and 5, RFC 5816. In scope: what the library
that verifies the path at a time does not check, and the path itself, for storage. Out of scope: that verification.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from tlog.core import der
from tlog.core.der import Element, Fields
from tlog.core.timestamp_token import Token, algorithm
from tlog.errors import InvalidInput, VerificationError

SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"
SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
HASHES = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
Roots = Sequence[x509.Certificate]
MAX_CERTIFICATES = 64
MIN_RSA_BITS = 2048

# SPEC: RFC 3161 section 4: with these reasons "tokens signed by the TSA before the revocation time will be considered valid".
_MILD = frozenset(
    {
        x509.ReasonFlags.affiliation_changed,
        x509.ReasonFlags.superseded,
        x509.ReasonFlags.cessation_of_operation,
    }
)


def parse_roots(pem: bytes) -> Roots:
    """The trusted certificates of a PEM file. Raises: InvalidInput (certificates) when there is none, or not only such."""
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except (ValueError, x509.InvalidVersion):
        raise InvalidInput("certificates", "not a PEM file of certificates") from None


def find_signer(token: Token, certificates: Sequence[x509.Certificate]) -> x509.Certificate:
    """The one certificate that the token names, fit for its task. Raises: VerificationError, ValueError.

    1. Exactly one has the issuer and serial of the signer.  2. It may be used for timestamps, and for nothing else.
    3. It is the one that the signer meant: ESSCertID.  4. Its key is not too short.
    """
    found = {
        one.public_bytes(Encoding.DER): one
        for one in certificates
        if (one.issuer.public_bytes(), one.serial_number) == (token.issuer, token.signer_serial)
    }
    _demand(len(found) == 1)
    raw, signer = found.popitem()
    # SPEC: RFC 3161 section 2.3: "The corresponding certificate MUST contain only one instance of the extended key usage field
    # extension [...] with KeyPurposeID having value: id-kp-timeStamping. This extension MUST be critical."
    usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    _demand(usage.critical and list(usage.value) == [ExtendedKeyUsageOID.TIME_STAMPING])
    check_ess(token.attributes, raw, token)
    key = signer.public_key()
    _demand(not isinstance(key, RSAPublicKey) or key.key_size >= MIN_RSA_BITS)
    return signer


def check_ess(attributes: dict[str, Element], certificate: bytes, token: Token) -> None:
    """Check that each signing-certificate attribute names `certificate`, and that there is one. Raises: VerificationError.

    SPEC: RFC 3161 section 2.4.1: "The TSA MUST [...] include the ESSCertID identifier of the TSA certificate as a
    signerInfo attribute inside a SigningCertificate attribute"; RFC 5816: or an ESSCertIDv2, which may use another hash.
    """
    named = 0
    for name, default in ((SIGNING_CERTIFICATE, "sha1"), (SIGNING_CERTIFICATE_V2, "sha256")):
        if name not in attributes:
            continue
        # SPEC: RFC 5035 section 5.4: "The first certificate identified in the sequence of certificate identifiers MUST be
        # the certificate used to verify the signature."
        listed = der.elements(Fields(attributes[name]).take(der.SEQUENCE).content)
        identifier = Fields(listed[0])
        other = identifier.optional(der.SEQUENCE) if default == "sha256" else None
        hashed_by = default if other is None else HASHES[algorithm(other)]
        digest = identifier.take(der.OCTET_STRING).content
        _demand(digest == hashlib.new(hashed_by, certificate).digest())
        issuer_serial = identifier.optional(der.SEQUENCE)
        identifier.end()
        if issuer_serial is not None:
            _check_issuer(Fields(issuer_serial), token)
        named += 1
    _demand(named > 0)


def _check_issuer(fields: Fields, token: Token) -> None:
    names, serial = fields.take(der.SEQUENCE), fields.take(der.INTEGER)
    _demand(der.parse(names.content, der.context(4)).content == token.issuer)
    _demand(der.integer(serial) == token.signer_serial)


def other_names(certificate: x509.Certificate) -> list[bytes]:
    """The DER of the GeneralNames that a certificate has beside its subject."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    listed = der.parse(names.value.public_bytes(), der.SEQUENCE)
    return [one.raw for one in der.elements(listed.content)]


def path_of(
    signer: x509.Certificate,
    certificates: Sequence[x509.Certificate],
    roots: Roots,
) -> list[x509.Certificate]:
    """The shortest path from `signer` to a self-signed one of `roots`. Raises: VerificationError when there is none.

    Signatures and names alone: that the path holds at genTime is for the library to say. Each certificate is looked at
    once, so that certificates made up to lead in circles cost nothing. Only those that came along are counted: a file
    of `roots` may be a system's, with hundreds.
    """
    _demand(len(certificates) <= MAX_CERTIFICATES)
    pool = [*roots, *certificates]
    paths = [[signer]]
    for path in paths:
        last = path[-1]
        if last in roots and last.issuer == last.subject:
            return path
        above = [one for one in pool if _issued(last, one)]
        pool = [one for one in pool if one not in above]
        paths += [[*path, one] for one in above]
    raise VerificationError


def without_namesakes(roots: Roots, path: Sequence[x509.Certificate]) -> Roots:
    """The roots but those that have the name of a certificate of `path` and another key.

    Without key identifiers in certificates, OpenSSL takes any one of that name for the issuer, and looks no further.
    """
    names = {one.subject for one in path}
    keys = {(one.subject, _key(one)) for one in path}
    return [one for one in roots if one.subject not in names or (one.subject, _key(one)) in keys]


def _key(certificate: x509.Certificate) -> bytes:
    key = certificate.public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def check_not_revoked(path: Sequence[x509.Certificate], crls: Iterable[bytes], gen_ms: int) -> None:
    """Check that no list revokes a certificate of `path` in a way that reaches a token of `gen_ms` (Unix milliseconds).

    A list that no issuer of the path signed is refused: it would say nothing. SPEC: RFC 3161 section 4: without a reason
    code, or with another than the mild ones, all tokens of the authority are invalid, whenever they were made.

    Raises: VerificationError; ValueError when a list cannot be parsed.
    """
    gen_time = datetime.fromtimestamp(gen_ms / 1000, timezone.utc)
    for data in crls:
        crl = x509.load_der_x509_crl(data)
        below = [certificate for certificate, issuer in pairwise(path) if _signed(crl, issuer)]
        _demand(bool(below))
        for certificate in below:
            revoked = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
            if revoked is not None:
                _demand(_reason(revoked) in _MILD and revoked.revocation_date_utc > gen_time)


def _signed(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    return crl.issuer == issuer.subject and crl.is_signature_valid(key)  # type: ignore[arg-type]


def _reason(revoked: x509.RevokedCertificate) -> x509.ReasonFlags | None:
    try:
        return revoked.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return None


def _demand(condition: bool) -> None:
    if not condition:
        raise VerificationError
