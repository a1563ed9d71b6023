"""Requests as bytes, answers as bytes: nothing is decoded, followed or completed on the way."""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

PROBLEM = "application/problem+json"
URN = "urn:tlog:problem:"
EVENT: dict[str, Any] = {
    "event_class": "EXECUTION",
    "event_type": "credit.decision.made",
    "payload": {"applicant_id": "app-991", "decision": "APPROVED", "score": 740},
}
CODE_HASH = "sha256:" + "5" * 64


@dataclass(frozen=True)
class Answer:
    """A complete answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def kind(self) -> str:
        """The kind of a problem document; checks that it is one (RFC 9457) and that its status is the answer's."""
        if self.headers["content-type"] != PROBLEM:
            raise AssertionError(f"{self.status} without a problem document: {self}")
        document = self.json()
        if document["status"] != self.status or not document["type"].startswith(URN):
            raise AssertionError(f"not a problem of this answer: {document}")
        return str(document["type"].removeprefix(URN))

    @property
    def pointer(self) -> str | None:
        """Where the fault is, as a JSON Pointer."""
        found: str | None = self.json().get("pointer")
        return found


class Web:
    """A server under a base URL, which may have a path. A path is sent exactly as it is given."""

    def __init__(self, base: str) -> None:
        parts = urlsplit(base.rstrip("/"))
        self._netloc, self._path, self._tls = parts.netloc, parts.path, parts.scheme == "https"

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own."""
        kind = http.client.HTTPSConnection if self._tls else http.client.HTTPConnection
        connection = kind(self._netloc, timeout=60)
        try:
            connection.putrequest(method, self._path + path, skip_accept_encoding=True)
            fields = dict(headers or {})
            if body is not None:
                fields["Content-Length"] = str(len(body))
            for name, value in fields.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def get(self, path: str, token: str | None = None, **query: object) -> Answer:
        """GET; members of `query` become its query, less a last underscore."""
        text = urlencode({name.rstrip("_"): str(value) for name, value in query.items()})
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.send("GET", path + ("?" + text if text else ""), None, headers)

    def post(self, path: str, token: str | None, value: object, **headers: str) -> Answer:
        """POST of JSON, or of bytes as they are."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        fields = {name.replace("_", "-"): text for name, text in headers.items()}
        fields.setdefault("Content-Type", "application/json")
        if token is not None:
            fields["Authorization"] = f"Bearer {token}"
        return self.send("POST", path, body, fields)


@dataclass
class Site(Web):
    """A log under test, and one agent that writes to it: attested once, with a stream of its own."""

    base: str
    key: str
    tenant: str
    agent: str = field(default_factory=lambda: "conformance-" + secrets.token_hex(6))

    def __post_init__(self) -> None:
        Web.__init__(self, self.base)
        answer = self.attest()
        if answer.status != 200:
            raise AssertionError(f"attest with API_KEY, TENANT={self.tenant}: {answer}")
        session = answer.json()
        self.token: str = session["token"]
        self.stream: str = session["stream_id"]
        self.prefix: str = session["log_prefix"].rstrip("/")
        self.vkey: str = session["vkey"]

    def attest(self, key: str | None = None, **members: object) -> Answer:
        """POST /attest."""
        request = {"tenant_id": self.tenant, "agent_id": self.agent, "agent_code_hash": CODE_HASH}
        return self.post("/api/v1/attest", key or self.key, {**request, **members})

    def record(self, event: object = EVENT, **headers: str) -> Answer:
        """POST /events."""
        return self.post("/api/v1/events", self.token, event, **headers)

    def batch(self, events: object, **headers: str) -> Answer:
        """POST /events/batch."""
        return self.post("/api/v1/events/batch", self.token, events, **headers)

    def size(self) -> int:
        """Leaves of the agent's stream: what a refused request must leave as it is."""
        return int(self.get("/api/v1/sth", self.token, stream_id=self.stream).json()["tree_size"])
