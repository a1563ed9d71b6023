"""The parts of a TimeStampResp (RFC 3161 section 2.4.2), each with its bytes, before anything of it is believed.

Source: RFC 3161, RFC 5652 (CMS) section 5, RFC 5035 (ESS) sections 4 and 5. In scope: form. Out of scope: truth
(`timestamp`). Requests are built and read by rfc3161ng; replies are not, because it gives values where bytes are signed,
and knows too few names of authorities.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tlog.core import der
from tlog.core.der import Element, Fields
from tlog.core.times import parse_rfc3339
from tlog.errors import InvalidInput

SIGNED_DATA = "1.2.840.113549.1.7.2"
TST_INFO = "1.2.840.113549.1.9.16.1.4"
MAX_REPLY = 65536

_gen_time = re.compile(
    rb"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})(\.[0-9]*[1-9])?Z"
).fullmatch


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """TSTInfo. `gen_ms` in Unix milliseconds, cut; `accuracy_us` in microseconds; `name` the DER of the authority's GeneralName.

    What is None was not told.
    """

    policy: str
    imprint_algorithm: str
    imprint: bytes
    serial: int
    gen_time: str
    gen_ms: int
    accuracy_us: int | None
    nonce: int | None
    name: bytes | None


@dataclass(frozen=True, slots=True)
class Token:
    """The one signer of a granted reply, what was signed, and what came along.

    `attributes`: signed attribute by OID, each with its only value. `issuer` is the DER of a Name.
    """

    info: TokenInfo
    content: bytes
    certificates: tuple[bytes, ...]
    issuer: bytes
    signer_serial: int
    digest_algorithm: str
    signature_algorithm: str
    attributes: dict[str, Element]


def parse_reply(reply: bytes) -> Token:
    """The token of a reply that grants it. Raises: InvalidInput for any other form, and for PKIStatus other than 0."""
    response = Fields(der.parse(reply, der.SEQUENCE))
    status = Fields(response.take(der.SEQUENCE))
    # SPEC: RFC 3161 section 2.4.2: "When the PKIStatus contains the value zero a TimeStampToken, as requested, is present."
    _demand(der.integer(status.take(der.INTEGER)) == 0)
    status.optional(der.SEQUENCE)
    status.end()
    fields = Fields(_signed_data(response.take(der.SEQUENCE)))
    response.end()
    fields.take(der.INTEGER)
    fields.take(der.SET)
    content = _content(Fields(fields.take(der.SEQUENCE)))
    certificates = fields.optional(der.context(0))
    fields.optional(der.context(1))
    signers = der.elements(fields.take(der.SET).content)
    fields.end()
    # SPEC: RFC 3161 section 2.4.2: "The time-stamp token MUST NOT contain any signatures other than the signature of the TSA."
    _demand(len(signers) == 1)
    found = () if certificates is None else der.elements(certificates.content)
    return _signer(signers[0], content, tuple(one.raw for one in found))


def normalise(reply: bytes, certificates: Iterable[bytes] = ()) -> bytes:
    """The same reply in strict DER: the SETs of certificates and revocation lists in order, and `certificates` among them.

    Neither is signed, so no signature changes. OpenSSL 3.0 writes them in the order in which it was given them.
    Raises: InvalidInput.
    """
    response = Fields(der.parse(reply, der.SEQUENCE))
    status, token = response.take(der.SEQUENCE), response.take(der.SEQUENCE)
    response.end()
    members = der.elements(_signed_data(token).content)
    parts = [one.raw for one in members[:3]]
    for tag, more in ((der.context(0), certificates), (der.context(1), ())):
        sets = b"".join(one.content for one in members[3:] if one.tag == tag)
        found = sorted({*(one.raw for one in der.elements(sets)), *more})
        parts += [der.encode(tag, b"".join(found))] if found else []
    parts += [one.raw for one in members[3:] if one.tag == der.SET]
    data = der.encode(der.SEQUENCE, b"".join(parts))
    kind = der.elements(token.content)[0].raw
    wrapped = der.encode(der.SEQUENCE, kind + der.encode(der.context(0), data))
    return der.encode(der.SEQUENCE, status.raw + wrapped)


def _signed_data(token: Element) -> Element:
    fields = Fields(token)
    _demand(der.oid(fields.take(der.OID)) == SIGNED_DATA)
    wrapped = fields.take(der.context(0))
    fields.end()
    return der.parse(wrapped.content, der.SEQUENCE)


def _content(fields: Fields) -> bytes:
    _demand(der.oid(fields.take(der.OID)) == TST_INFO)
    wrapped = fields.take(der.context(0))
    fields.end()
    return der.parse(wrapped.content, der.OCTET_STRING).content


def _signer(element: Element, content: bytes, certificates: tuple[bytes, ...]) -> Token:
    fields = Fields(element)
    # SPEC: RFC 5652 section 5.3: "If the SignerIdentifier is the CHOICE issuerAndSerialNumber, then the version MUST be 1."
    _demand(der.integer(fields.take(der.INTEGER)) == 1)
    sid = Fields(fields.take(der.SEQUENCE))
    issuer, serial = sid.take(der.SEQUENCE), sid.take(der.INTEGER)
    sid.end()
    digest = algorithm(fields.take(der.SEQUENCE))
    attributes = _attributes(fields.take(der.context(0)))
    signature = algorithm(fields.take(der.SEQUENCE))
    fields.take(der.OCTET_STRING)
    fields.optional(der.context(1))
    fields.end()
    return Token(
        parse_info(content),
        content,
        certificates,
        issuer.raw,
        der.integer(serial),
        digest,
        signature,
        attributes,
    )


def _attributes(element: Element) -> dict[str, Element]:
    """Each attribute once and with one value: the rule of RFC 5652 section 11 and RFC 5035 section 5 for all that count."""
    found: dict[str, Element] = {}
    for attribute in der.elements(element.content):
        fields = Fields(attribute)
        name = der.oid(fields.take(der.OID))
        values = der.elements(fields.take(der.SET).content)
        fields.end()
        _demand(name not in found and len(values) == 1)
        found[name] = values[0]
    return found


def algorithm(element: Element) -> str:
    """The OID of an AlgorithmIdentifier, whatever its parameters. Raises: InvalidInput."""
    return der.oid(Fields(element).take(der.OID))


def parse_info(content: bytes) -> TokenInfo:
    """The TSTInfo of a token. Raises: InvalidInput, for a critical extension too: none is known here."""
    fields = Fields(der.parse(content, der.SEQUENCE))
    _demand(der.integer(fields.take(der.INTEGER)) == 1)
    policy = der.oid(fields.take(der.OID))
    imprint = Fields(fields.take(der.SEQUENCE))
    hashed_by = algorithm(imprint.take(der.SEQUENCE))
    digest = imprint.take(der.OCTET_STRING).content
    imprint.end()
    serial = der.integer(fields.take(der.INTEGER))
    gen_time = _time(fields.take(der.GENERALIZED_TIME).content)
    accuracy = fields.optional(der.SEQUENCE)
    fields.optional(der.BOOLEAN)
    nonce = fields.optional(der.INTEGER)
    name = fields.optional(der.context(0))
    _no_critical(fields.optional(der.context(1)))
    fields.end()
    return TokenInfo(
        policy,
        hashed_by,
        digest,
        serial,
        gen_time,
        parse_rfc3339(gen_time),
        None if accuracy is None else _accuracy(Fields(accuracy)),
        None if nonce is None else der.integer(nonce),
        None if name is None else name.content,
    )


def _time(content: bytes) -> str:
    """SPEC: RFC 3161 section 2.4.2: "YYYYMMDDhhmmss[.s...]Z", and fractions without trailing zeros."""
    match = _gen_time(content)
    if match is None:
        raise InvalidInput("malformed", "not the time of a timestamp")
    year, month, day, hour, minute, second, fraction = (part.decode() for part in match.groups(b""))
    return f"{year}-{month}-{day}T{hour}:{minute}:{second}{fraction}Z"


def _accuracy(fields: Fields) -> int:
    """Microseconds. SPEC: RFC 3161 section 2.4.2: millis and micros are 1 to 999, and what is missing is zero."""
    total = 0
    for tag, unit, most in ((der.INTEGER, 1_000_000, 2**31), (0x80, 1000, 999), (0x81, 1, 999)):
        part = fields.optional(tag)
        if part is not None:
            _demand(0 <= (value := der.integer(part)) <= most)
            total += value * unit
    fields.end()
    return total


def _no_critical(extensions: Element | None) -> None:
    for extension in () if extensions is None else der.elements(extensions.content):
        fields = Fields(extension)
        fields.take(der.OID)
        _demand(fields.optional(der.BOOLEAN) is None)
        fields.take(der.OCTET_STRING)
        fields.end()


def _demand(condition: bool) -> None:
    if not condition:
        raise InvalidInput("malformed", "not a timestamp reply that grants a token")
