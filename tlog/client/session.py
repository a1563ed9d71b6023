"""Who writes: identity, the key the log is known by, and the short-lived token.

Source: design §3 (POST /attest), §4, §7.7 (a log's identity comes from the verifier's configuration).
In scope: checking what the guide's parameters say before anything is sent, believing a key, attesting, sentences
for humans. Out of scope: when to attest (`link`), retries (`batching`).
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import orjson

from tlog.client.errors import BadAnswer, LogKeyChanged, NetworkFailure, UnpinnedKeyWarning
from tlog.client.pins import Pins
from tlog.client.transport import Answer, Disconnected, Transport, problem
from tlog.core.ids import parse_stream_id
from tlog.core.note import Verifier, parse_vkey
from tlog.core.times import parse_time
from tlog.core.wire import hash_text, parse_hash_text
from tlog.errors import InvalidInput, Refused, TlogError

_PRODUCER = re.compile("[A-Za-z0-9._:/+-]{1,128}")
_PRINTABLE = re.compile("[ -~]{1,128}")  # it stands in every entry
# A token is renewed when this part of its life is over: 401 in the middle of a batch costs a round trip.
_RENEW_AT = 0.8


def code_hash(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file as `sha256:` and hex: what `agent_code_hash` wants."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return hash_text(digest.digest())


def check_code_hash(text: str) -> str:
    """Return `agent_code_hash` as `sha256:` and hex. Raises ValueError that says how to compute one."""
    try:
        return hash_text(parse_hash_text(text))
    except InvalidInput:
        raise ValueError(
            f"agent_code_hash is the SHA-256 of the script or model that runs, 64 hex digits, not {text!r}: "
            "compute it with tlog.client.code_hash(__file__), or with `sha256sum FILE`"
        ) from None


@dataclass(frozen=True)
class Identity:
    """What is attested. `code_hash` is `sha256:` and hex; `stream_id` and `instance` may be None.

    `open_stream` False: a session to read with; no stream is opened for it.
    """

    tenant_id: str
    agent_id: str
    code_hash: str
    stream_id: str | None
    instance: str | None
    open_stream: bool | None = None

    def request(self) -> bytes:
        """The body of POST /attest."""
        members = {
            "tenant_id": self.tenant_id,
            "agent_id": self.agent_id,
            "agent_code_hash": self.code_hash,
            "stream_id": self.stream_id,
            "instance": self.instance,
            "open_stream": self.open_stream,
        }
        return orjson.dumps({name: value for name, value in members.items() if value is not None})


@dataclass(frozen=True)
class Session:
    """An established session. `renew_at` is on the monotonic clock; `token` is never printed."""

    session_id: str
    stream_id: str
    log_prefix: str
    vkey: str
    producer_id: str
    next_sequence: int
    expires_at: str
    renew_at: float
    token: str = field(repr=False)


class LogKey:
    """The key that this log is known by: configured, or believed at first use and pinned."""

    def __init__(self, configured: str | None, pins: Pins) -> None:
        """Raises InvalidInput for a vkey that is none."""
        self.pinned = configured is not None
        self._configured = parse_vkey(configured) if configured is not None else None
        self._pins = pins

    def accept(self, shown: str) -> Verifier:
        """Return the verifier to use, given the vkey that the log shows.

        Raises:
            LogKeyChanged: it is another key than the known one.
            StateUnusable: as in `Pins`.
        """
        if self._configured is not None:
            if shown != self._configured.vkey:
                raise LogKeyChanged(
                    f"the log shows the key {shown}, and vkey= (or TLOG_VKEY) says {self._configured.vkey}"
                )
            return self._configured
        verifier = parse_vkey(shown)
        known = self._pins.vkey()
        if known is None:
            known = self._pins.pin_vkey(shown)
            warnings.warn(
                f"no vkey is configured: believing {shown} at first use, pinned in {self._pins.directory}. "
                "Configure vkey= or TLOG_VKEY with the key that its operator published",
                UnpinnedKeyWarning,
                stacklevel=2,
            )
        if shown != known:
            raise LogKeyChanged(
                f"the log shows the key {shown}, and at first use it was {known} "
                f"(pinned in {self._pins.directory / 'vkey'}): it is not the same log"
            )
        return verifier


async def attest(transport: Transport, identity: Identity, api_key: str | None) -> Session:
    """Establish a session.

    Raises:
        Refused, InvalidInput, Unavailable, BadAnswer: with a sentence that says what to do.
    """
    if not api_key:
        raise Refused(
            "invalid-credentials",
            "no API key: give api_key= or set TLOG_API_KEY to the one you were given",
        )
    try:
        answer = await _post(transport, api_key, identity.request())
        if answer.status not in (200, 201):
            raise problem(answer)
        return _session(answer.object())
    except TlogError as error:
        sentence = _sentence(error, identity, transport.base_url)
        error.detail = sentence
        error.args = (sentence,)
        raise


async def _post(transport: Transport, api_key: str, body: bytes) -> Answer:
    try:
        return await transport.request("POST", "/api/v1/attest", token=api_key, body=body)
    except Disconnected:
        # A session too many does no harm.
        return await transport.request("POST", "/api/v1/attest", token=api_key, body=body)


def _session(document: dict[str, Any]) -> Session:
    try:
        producer = document["producer"]
        expires_at = document["expires_at"]
        left = parse_time(expires_at) / 1000 - time.time()
        # Two clocks: when ours is far ahead the token seems to be over, and is used until the log says 401.
        life = left * _RENEW_AT if left > 0 else float("inf")
        session = Session(
            document["session_id"],
            document["stream_id"],
            document["log_prefix"],
            document["vkey"],
            producer["id"],
            producer["next_sequence"],
            expires_at,
            time.monotonic() + life,
            document["token"],
        )
        parse_stream_id(session.stream_id)
        parse_vkey(session.vkey)
        fits = type(session.next_sequence) is int and session.next_sequence > 0
        fits = fits and _PRODUCER.fullmatch(session.producer_id) is not None
        fits = fits and _PRINTABLE.fullmatch(session.session_id) is not None
        fits = fits and session.token.isascii() and session.token.isprintable()
    except (KeyError, TypeError, AttributeError, InvalidInput):
        fits = False
    if not fits:
        raise BadAnswer("the answer to attest is not that of a log")
    return session


def _sentence(error: TlogError, identity: Identity, url: str) -> str:
    """What to tell the human who called attest."""
    pointer = getattr(error, "pointer", None)
    if isinstance(error, NetworkFailure):
        return f"{error.detail}. Is the log running, and is base_url right?"
    if isinstance(error, BadAnswer):
        return f"what answers at {url} is not the API of a log: {error.detail}. Is base_url right?"
    if error.kind in ("invalid-credentials", "invalid-token"):
        return f"the log at {url} does not accept this API key: it is mistyped, revoked, or of another log"
    if error.kind == "foreign-tenant":
        return f"this API key does not belong to the tenant {identity.tenant_id!r}"
    if pointer == "/agent_id":
        return f"agent_id {identity.agent_id!r} is refused: {error.detail}"
    if pointer == "/tenant_id":
        return f"tenant_id {identity.tenant_id!r} is refused: {error.detail}"
    if pointer == "/stream_id":
        return f"stream_id {identity.stream_id!r} is refused: {error.detail}"
    if error.kind == "not-found":
        return f"there is no /api/v1/attest at {url}. Is base_url right?"
    return f"the log at {url} refuses to attest: {error.detail}"
