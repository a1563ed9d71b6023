"""Witnesses behind real sockets: honest ones, written on top of core by the check order of tlog-witness, and all others."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tlog.core.add_checkpoint import SIZE_TYPE, encode_size, parse_request
from tlog.core.checkpoint import Checkpoint, open_checkpoint
from tlog.core.cosignature import CosignatureSigner
from tlog.core.hashes import EMPTY_ROOT
from tlog.core.note import Verifier
from tlog.core.proofs import verify_consistency
from tlog.errors import InvalidInput, VerificationError

Reply = Callable[["Witness", web.Request, bytes], Awaitable[web.StreamResponse]]


class Witness:
    """A witness of one log. `reply` answers instead of the honest code when given; `show` is its monitoring endpoint."""

    def __init__(self, number: int, log: Verifier, reply: Reply | None = None) -> None:
        self.signer = CosignatureSigner(f"w{number}.example.org", bytes([number]) * 32)
        self.log = log
        self.reply = reply
        self.size, self.root = 0, EMPTY_ROOT
        self.note: bytes | None = None
        self.show: bytes | None = None  # instead of `note`
        self.clock: Callable[[], float] = time.time
        self.requests: list[bytes] = []
        self.answers: list[int] = []
        self.sent = 0  # bytes of an endless answer
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> None:
        """Listen on a free port, or again on the one of before."""
        app = web.Application(client_max_size=1 << 20)
        app.router.add_post("/add-checkpoint", self._post)
        app.router.add_get("/{origin}/checkpoint", self._get)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.05, handler_cancellation=True
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port, reuse_address=True)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def cosign(self, head: Checkpoint) -> bytes:
        """The line for a head that is now the newest."""
        self.size, self.root = head.size, head.root
        return self.signer.sign_line(head.body(), int(self.clock()))

    async def _post(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append(body)
        response = await (self.reply or honest)(self, request, body)
        self.answers.append(response.status)
        return response

    async def _get(self, request: web.Request) -> web.Response:
        wanted = hashlib.sha256(self.log.name.encode()).hexdigest()
        note = self.show or self.note
        if request.match_info["origin"] != wanted or note is None:
            return web.Response(status=404)
        return web.Response(body=note)


async def honest(self: Witness, request: web.Request, body: bytes) -> web.Response:
    """The rows of tlog-witness in order."""
    try:
        asked = parse_request(body)
        new, note = open_checkpoint(asked.note, [self.log], self.log.name)
    except InvalidInput as fault:
        return web.Response(status=400, text=fault.detail)
    except VerificationError:
        return web.Response(status=403)
    if asked.old > new.size:
        return web.Response(status=400)
    if asked.old != self.size:
        size = encode_size(self.size)
        return web.Response(status=409, body=size, headers={"Content-Type": SIZE_TYPE})
    try:
        if asked.old == 0:
            fine = not asked.proof
        else:
            verify_consistency(asked.old, new.size, asked.proof, self.root, new.root)
            fine = asked.old != new.size or self.root == new.root
    except VerificationError:
        fine = False
    if not fine:
        return web.Response(status=422)
    line = self.cosign(new)
    self.note = note.only_verified() + line
    return web.Response(body=line)


def text_of(body: bytes) -> bytes:
    """The checkpoint's text in a request body."""
    note = body.split(b"\n\n", 1)[1]
    return note[: note.rindex(b"\n\n") + 1]


async def silent(self: Witness, request: web.Request, body: bytes) -> web.StreamResponse:
    await asyncio.sleep(3600)
    raise AssertionError


async def trickling(self: Witness, request: web.Request, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    line = self.signer.sign_line(text_of(body), int(time.time()))
    for at in range(len(line)):
        await response.write(line[at : at + 1])
        await asyncio.sleep(0.1)
    return response


async def endless(self: Witness, request: web.Request, body: bytes) -> web.StreamResponse:
    """A gigabyte, if it is let."""
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(1 << 14):
        await response.write(bytes(1 << 16))
        self.sent += 1 << 16
    return response


async def bomb(self: Witness, request: web.Request, body: bytes) -> web.StreamResponse:
    import zlib

    packed = zlib.compress(b"\n" * (1 << 24))
    return web.Response(body=packed, headers={"Content-Encoding": "deflate"})


def answering(status: int, make: Callable[[Witness, bytes], bytes], **headers: str) -> Reply:
    """A reply of these bytes to every request."""

    async def reply(self: Witness, request: web.Request, body: bytes) -> web.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=make(self, body), headers=sent)

    return reply


@asynccontextmanager
async def started(*witnesses: Witness) -> AsyncIterator[None]:
    for witness in witnesses:
        await witness.start()
    try:
        yield
    finally:
        for witness in witnesses:
            await witness.stop()


def write_policy(path: Path, witnesses: list[Witness], quorum: int) -> None:
    """A policy of these witnesses, any `quorum` of which do."""
    lines = [
        f"witness w{n} {witness.signer.vkey} {witness.url}\n" for n, witness in enumerate(witnesses)
    ]
    members = " ".join(f"w{n}" for n in range(len(witnesses)))
    rule = f"group q {quorum} {members}\nquorum q\n" if witnesses else "quorum none\n"
    path.write_text("".join(lines) + rule)
