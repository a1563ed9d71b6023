"""A whole log behind a real socket: two tenants with keys of every kind, and a client that says what it means."""

from __future__ import annotations

import asyncio
import hashlib
import io
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
import orjson
from aiohttp import web

from tests.paths import REPOSITORY
from tlog.accounts import Accounts
from tlog.api.answers import Problem
from tlog.api.app import make_runner
from tlog.api.hot import LeanServer
from tlog.config import Config
from tlog.core.note import Verifier, parse_vkey
from tlog.core.receipt import verify_batch, verify_receipt
from tlog.fsck import verify_stream
from tlog.fsck_root import verify_root_log
from tlog.log import Log, init_log
from tlog.reader import Reader

ORIGIN = "log.example.com"
CODE_HASH = "sha256:" + hashlib.sha256(b"agent").hexdigest()
STREAM = "acme:prod:scorer"
EVENT = {
    "event_class": "EXECUTION",
    "event_type": "credit.decision.made",
    "payload": {"applicant_id": "app-991", "decision": "APPROVED", "score": 740},
}
NO_EVENT = "evt_00000000000000000000000000"


class Answer(NamedTuple):
    """A complete answer."""

    status: int
    headers: Any
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def kind(self) -> str:
        """The kind of a problem; checks that it is one."""
        assert self.headers["Content-Type"] == "application/problem+json", self
        document = msgspec.json.decode(self.body, type=Problem)
        assert document.status == self.status, self
        return document.type.removeprefix("urn:tlog:problem:")


class Keys(NamedTuple):
    """API keys made with the template."""

    both: str
    ingest: str
    read: str
    create: str
    rival: str


def make_template(directory: Path) -> Keys:
    """A log with the tenants acme and rival."""
    init_log(directory, ORIGIN)
    accounts = Accounts.open(directory / "accounts")
    try:
        for tenant in ("acme", "rival"):
            accounts.create_tenant(tenant)
        create = accounts.create_key
        return Keys(
            create("acme")[0],
            create("acme", scopes=["ingest"])[0],
            create("acme", scopes=["read"])[0],
            create("acme", scopes=["ingest", "read", "stream:create"])[0],
            create("rival")[0],
        )
    finally:
        accounts.close()


class Site:
    """A served log. `log` is the open one behind the socket."""

    def __init__(
        self, log: Log, http: aiohttp.ClientSession, runner: web.AppRunner, keys: Keys
    ) -> None:
        self.log = log
        self.runner = runner
        self.http = http
        self.port = runner.addresses[0][1]
        self.keys = keys
        self.tokens: dict[str, str] = {}

    @property
    def verifier(self) -> Verifier:
        return parse_vkey(self.log.vkey)

    @property
    def root(self) -> tuple[int, bytes]:
        """The newest root: what a failed request must leave as it is."""
        head = self.log.sequencer.head.root
        return head.size, head.root

    async def call(
        self,
        method: str,
        path: str,
        token: str | None = None,
        value: object = None,
        *,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        params: Any = None,
    ) -> Answer:
        """One request; `value` is sent as JSON."""
        sent = dict(headers or {})
        if value is not None:
            data = orjson.dumps(value)
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        large = data is not None and len(data) > 1 << 19  # aiohttp's client wants these as files
        async with self.http.request(
            method,
            path,
            data=io.BytesIO(data or b"") if large else data,
            headers=sent,
            params=params,
            allow_redirects=False,
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, token: str | None = None, **params: object) -> Answer:
        wanted = {name.rstrip("_"): str(value) for name, value in params.items()}
        return await self.call("GET", "/api/v1" + path, token, params=wanted)

    async def attest(self, key: str | None = None, **members: object) -> Answer:
        request = {"tenant_id": "acme", "agent_id": "scorer", "agent_code_hash": CODE_HASH}
        return await self.call(
            "POST", "/api/v1/attest", key or self.keys.both, {**request, **members}
        )

    async def token(self, key: str | None = None, **members: object) -> str:
        """A token; one per key and agent."""
        name = f"{key}{members}"
        if name not in self.tokens:
            answer = await self.attest(key, **members)
            assert answer.status == 200, answer
            self.tokens[name] = answer.json()["token"]
        return self.tokens[name]

    async def rival(self) -> str:
        """A token of the other tenant."""
        return await self.token(self.keys.rival, tenant_id="rival")

    async def post(self, event: object = EVENT, token: str | None = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        token = token or await self.token()
        return await self.call("POST", "/api/v1/events", token, event, headers=named)

    async def batch(self, events: object, token: str | None = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        token = token or await self.token()
        return await self.call("POST", "/api/v1/events/batch", token, events, headers=named)

    async def record(self, event: object = EVENT, token: str | None = None) -> dict[str, Any]:
        """Record one new event; its receipt, verified."""
        answer = await self.post(event, token)
        assert answer.status == 201, answer
        receipt: dict[str, Any] = answer.json()
        verify_receipt(receipt, self.verifier)
        return receipt

    async def published(self) -> None:
        """Wait until all that was recorded is covered by the public checkpoint."""
        wanted = self.root[0]
        for _ in range(500):
            answer = await self.call("GET", "/checkpoint")
            if answer.status == 200 and int(answer.body.split(b"\n")[1]) >= wanted:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("nothing is published")

    def check(self) -> None:
        """The oracle: every stream and the root log re-derived."""
        reader = Reader(self.log.source)
        for row in list(self.log.source.rows.values())[1:]:
            report = verify_stream(reader, row.stream_id, vault=self.log.vault)
            assert report.verified, report
        assert verify_root_log(reader, self.log.vkey) == []


@asynccontextmanager
async def serve(directory: Path, keys: Keys, **settings: Any) -> AsyncIterator[Site]:
    """Serve a log; settings of `Config` by name, `clock_ms`, and those of `make_runner`."""
    clock = {name: settings.pop(name) for name in ("clock_ms",) if name in settings}
    options: dict[str, Any] = {"shutdown_timeout": 0.1}
    for name in ("shutdown_timeout", "keepalive_timeout", "lean"):
        if name in settings:
            options[name] = settings.pop(name)
    settings.setdefault("publish_interval", 0.05)
    log = Log(directory, config=Config(ORIGIN, **settings), **clock)
    log.start()
    runner = make_runner(log, **options)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            yield Site(log, http, runner, keys)
    finally:
        await runner.cleanup()
        log.close()


def copy(template: Path, directory: Path) -> Path:
    """A log of its own for one test."""
    shutil.copytree(template, directory)
    return directory


def front(site: Site) -> LeanServer:
    """What accepts the connections of a site: `lean` are the lean ones, `connections` aiohttp's."""
    server = site.runner.server
    assert isinstance(server, LeanServer)
    return server


async def raw(port: int, data: bytes, *, wait: float = 5.0) -> bytes:
    """Send bytes as they are, and read until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(), wait)
    finally:
        writer.close()


def judge(path: Path, document: bytes, vkey: str) -> subprocess.CompletedProcess[str]:
    """What the independent verifier of `conformance/` says about an answer."""
    path.write_bytes(document)
    script = REPOSITORY / "conformance" / "verifier" / "verify.py"
    command = [sys.executable, str(script), str(path), "--vkey", vkey]
    return subprocess.run(command, capture_output=True, text=True, check=False)


__all__ = ["verify_batch", "verify_receipt"]
