"""RFC 3161 timestamps over a note: the request, and whether a reply proves that the note existed at its time.

Source: RFC 3161, RFC 5816 (ESSCertIDv2). Pure: nonce, time, roots and policies are arguments. In scope: everything that a
reply must satisfy before it may be kept, and again years later. Out of scope: HTTP, storage, and who is asked.

No library checks all of it. rfc3161ng builds and reads requests, always with the digest given: left to itself it puts SHA-1
under the name of SHA-256. rfc3161-client verifies the signature and the path to the roots at genTime, with OpenSSL. What it
leaves out is checked here: which hash the imprint has, the signed attributes, ESSCertID, the one signer, the hash of the
signature, critical extensions, policy, accuracy, and the times around it. The bytes of a token may be changed without
breaking it (unsigned fields), so a token is never named by its hash: see `Timestamp.identity`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from rfc3161_client import VerifierBuilder, decode_timestamp_response

from tlog.core import der
from tlog.core.timestamp_chain import (
    HASHES,
    Roots,
    check_not_revoked,
    find_signer,
    other_names,
    parse_roots,
    path_of,
    without_namesakes,
)
from tlog.core.timestamp_token import MAX_REPLY, TST_INFO, Token, TokenInfo, normalise, parse_reply
from tlog.errors import TlogError, VerificationError

__all__ = [
    "Roots",
    "Timestamp",
    "accept",
    "build_request",
    "nonce_of",
    "parse_roots",
    "verify_timestamp",
]

MAX_REQUEST = 1024
MAX_ACCURACY_US = 60_000_000
MAX_CLOCK_MS = 300_000
HEAD_SKEW_MS = 60_000

_SHA256 = "2.16.840.1.101.3.4.2.1"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
# What may sign: RSA PKCS #1 v1.5 (by the key's name or with the hash) and ECDSA, with SHA-2.
_SIGNATURES = frozenset(
    {
        "1.2.840.113549.1.1.1",
        "1.2.840.113549.1.1.11",
        "1.2.840.113549.1.1.12",
        "1.2.840.113549.1.1.13",
        "1.2.840.10045.2.1",
        "1.2.840.10045.4.3.2",
        "1.2.840.10045.4.3.3",
        "1.2.840.10045.4.3.4",
    }
)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A reply that verified. `gen_ms` in Unix milliseconds, `accuracy_us` in microseconds or None, `gen_time` as told.

    `signer` is the subject of the signer's certificate (RFC 4514); `chain` the DER of the path from it to its root.
    `expires_ms`: when the first certificate of the path ends. By then, or before its algorithms break, the token must
    itself be timestamped, or its revocation data kept: the path is verified at genTime, not now.
    """

    gen_ms: int
    gen_time: str
    accuracy_us: int | None
    policy: str
    serial: int
    signer: str
    imprint: bytes
    chain: tuple[bytes, ...]
    expires_ms: int

    @property
    def identity(self) -> bytes:
        """32 bytes that name what was stamped, when, by whom, under which serial; nothing that could be respelled."""
        parts = (self.imprint.hex(), self.gen_time, str(self.serial), self.policy)
        signer = hashlib.sha256(self.chain[0]).hexdigest()
        return hashlib.sha256("\n".join((*parts, signer)).encode()).digest()


def build_request(note: bytes, nonce: int, policy: str | None = None) -> bytes:
    """The TimeStampReq over the exact bytes of `note`: SHA-256, certificates wanted. `nonce`: 64 random bits or more.

    Raises: AssertionError for a nonce that is none, or a policy that is no OID.
    """
    if nonce < 1 << 32 or (policy is not None and not policy.replace(".", "").isdigit()):
        raise AssertionError("tlog: a timestamp request needs a random nonce, and a policy an OID")
    import rfc3161ng  # a third of all that a server would load at its start

    request = rfc3161ng.make_timestamp_request(
        digest=hashlib.sha256(note).digest(),
        hashname="sha256",
        include_tsa_certificate=True,
        nonce=nonce,
        tsa_policy_id=policy,
    )
    encoded: bytes = rfc3161ng.encode_timestamp_request(request)
    return encoded


def nonce_of(request: bytes, note: bytes) -> tuple[int, str | None]:
    """Nonce and wanted policy (None: any) of a request that is just the one `build_request` makes over `note`.

    Raises: VerificationError.
    """

    def read() -> tuple[int, str | None]:
        _demand(len(request) <= MAX_REQUEST)
        import rfc3161ng

        parsed: Any = rfc3161ng.decode_timestamp_request(request)
        policy = str(parsed["reqPolicy"]) if parsed["reqPolicy"].hasValue() else None
        nonce = int(parsed["nonce"])
        _demand(build_request(note, nonce, policy) == request)
        return nonce, policy

    return _opaque(read)


def accept(
    reply: bytes,
    request: bytes,
    note: bytes,
    *,
    roots: Roots,
    policies: Collection[str] = (),
    now_ms: int,
    previous_gen_time: int,
    head_ms: int,
    chain: Iterable[bytes] = (),
    crls: Iterable[bytes] = (),
) -> Timestamp:
    """Verify a reply that just came: as `verify_timestamp`, and its time is now, after the head and the anchors before it.

    All times in Unix milliseconds: `now_ms` our clock, `previous_gen_time` of the newest anchor (0: none), `head_ms` the
    newest time that anybody gives the head. Raises: VerificationError.
    """
    stamp = verify_timestamp(
        reply, request, note, roots=roots, policies=policies, chain=chain, crls=crls
    )
    _demand(abs(stamp.gen_ms - now_ms) <= MAX_CLOCK_MS)
    _demand(stamp.gen_ms >= head_ms - HEAD_SKEW_MS)
    _demand(stamp.gen_ms >= previous_gen_time)
    return stamp


def verify_timestamp(
    reply: bytes,
    request: bytes,
    note: bytes,
    *,
    roots: Roots,
    policies: Collection[str] = (),
    chain: Iterable[bytes] = (),
    crls: Iterable[bytes] = (),
) -> Timestamp:
    """Verify that an authority under `roots` saw `note` at genTime. It holds as well after its certificates expired.

    `policies`: OIDs that are believed, none: all. `chain`: certificates that the reply may lack (DER), not trusted.
    `crls`: revocation lists (DER) to obey.

    1. The request is ours, over this note.  2. The reply grants one token with one signer: strict DER, TSTInfo version 1,
    no critical extension.  3. Imprint: SHA-256, the note's. Nonce: the request's. Policy: believed, and the one asked for.
    Accuracy: a minute at most.  4. Signed attributes: content type, digest of the content; hash and signature are SHA-2.
    5. The signer's certificate is the one meant, and for timestamps only; the name in the token is its own.
    6. Signature, and path to a root at genTime (OpenSSL); both parsers read the same.  7. Nobody revoked it.

    Raises: VerificationError for everything.
    """

    def verify() -> Timestamp:
        _demand(len(reply) <= MAX_REPLY)
        nonce, wanted = nonce_of(request, note)  # 1
        more = list(chain)
        whole = normalise(reply, more)
        token = parse_reply(whole)  # 2
        info = token.info
        _check_info(info, note, nonce)  # 3
        _demand(wanted in (None, info.policy) and (not policies or info.policy in policies))
        _check_signed(token)  # 4
        certificates = [x509.load_der_x509_certificate(one) for one in token.certificates]
        signer = find_signer(token, certificates)  # 5
        path = path_of(signer, certificates, roots)
        _verify_signature(whole, info, signer, without_namesakes(roots, path))  # 6
        check_not_revoked(path, crls, info.gen_ms)  # 7
        return _timestamp(info, signer, path)

    return _opaque(verify)


def _check_info(info: TokenInfo, note: bytes, nonce: int) -> None:
    digest = hashlib.sha256(note).digest()
    _demand((info.imprint_algorithm, info.imprint) == (_SHA256, digest))
    _demand(info.nonce == nonce)
    _demand((info.accuracy_us or 0) <= MAX_ACCURACY_US)


def _timestamp(
    info: TokenInfo, signer: x509.Certificate, path: Sequence[x509.Certificate]
) -> Timestamp:
    return Timestamp(
        gen_ms=info.gen_ms,
        gen_time=info.gen_time,
        accuracy_us=info.accuracy_us,
        policy=info.policy,
        serial=info.serial,
        signer=signer.subject.rfc4514_string(),
        imprint=info.imprint,
        chain=tuple(one.public_bytes(Encoding.DER) for one in path),
        expires_ms=min(int(one.not_valid_after_utc.timestamp()) * 1000 for one in path),
    )


def _check_signed(token: Token) -> None:
    """SPEC: RFC 5652 section 5.3: the attributes content-type, with the type of what is signed, and message-digest."""
    kind = token.attributes[_CONTENT_TYPE]
    _demand(der.oid(der.parse(kind.raw, der.OID)) == TST_INFO)
    digest = der.parse(token.attributes[_MESSAGE_DIGEST].raw, der.OCTET_STRING).content
    _demand(digest == hashlib.new(HASHES[token.digest_algorithm], token.content).digest())
    _demand(token.signature_algorithm in _SIGNATURES)


def _verify_signature(
    whole: bytes, info: TokenInfo, signer: x509.Certificate, roots: Roots
) -> None:
    """Let rfc3161-client and OpenSSL verify, with a builder of our own: its copies would share their lists of roots."""
    parsed = decode_timestamp_response(whole)
    told = parsed.tst_info
    _demand(
        (told.policy.dotted_string, told.serial_number, told.nonce, told.message_imprint.message)
        == (info.policy, info.serial, info.nonce, info.imprint)
        and int(told.gen_time.timestamp()) == info.gen_ms // 1000
    )
    verifier = VerifierBuilder(roots=list(roots), nonce=info.nonce).build()
    verifier.verify(parsed, info.imprint)
    # SPEC: RFC 3161 section 2.4.2: tsa, "If present, it MUST correspond to one of the subject names included in the
    # certificate that is to be used to verify the token." The library reads names of directories only.
    if info.name is not None and info.name not in other_names(signer):
        _demand(told.name == x509.DirectoryName(signer.subject))


def _opaque(work: Callable[[], _T]) -> _T:
    """Whatever goes wrong, in three parsers of three authors, is one refusal."""
    try:
        return work()
    except TlogError:
        raise VerificationError from None
    except Exception:
        raise VerificationError from None


def _demand(condition: bool) -> None:
    if not condition:
        raise VerificationError
