"""A real timestamp authority on this machine: OpenSSL's, with a root of its own, behind HTTP.

`Authority` makes keys and certificates and answers requests with `openssl ts -reply`; `serve` puts it on a port as RFC 3161
section 3.4 says. For the demo and for tests. Nobody else should trust its clock: it is this machine's.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tlog.cli.demo.processes import DemoError

QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"
POLICY = "1.3.6.1.4.1.99999.1.1"
KEYS = {
    "rsa": ("rsa:2048",),
    "ec": ("ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:named_curve"),
}

_SETTINGS = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = timestamp authority
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[authority]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[ca]
default_ca = lists
[lists]
database = index.txt
default_md = sha256
[tsa]
default_tsa = replies
[replies]
serial = serial
default_policy = {policy}
digests = sha256, sha384, sha512
accuracy = secs:1
clock_precision_digits = 3
ordering = yes
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
signer_digest = sha256
"""


class Authority:
    """A timestamp authority in `directory`: `root.pem` to be trusted, `tsa.pem` and its key, and what OpenSSL keeps."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "root.pem"
        self._turn = asyncio.Lock()

    @classmethod
    def create(cls, directory: Path, name: str = "Demo TSA", key: str = "ec") -> Authority:
        """Make an authority with a key of `KEYS`. Raises: DemoError without OpenSSL, or when it fails."""
        directory.mkdir(parents=True)
        (directory / "settings.cnf").write_text(_SETTINGS.format(policy=POLICY))
        (directory / "serial").write_text("01\n")
        (directory / "index.txt").touch()
        made = cls(directory)
        common = ("-nodes", "-config", "settings.cnf", "-sha256")
        made._run(
            *("req", "-x509", "-newkey", *KEYS["ec"], *common, "-extensions", "root"),
            *("-keyout", "root.key", "-out", "root.pem", "-subj", f"/CN={name} Root"),
            *("-days", "3650"),
        )
        made._run(
            *("req", "-new", "-newkey", *KEYS[key], *common),
            *("-keyout", "tsa.key", "-out", "tsa.csr", "-subj", f"/CN={name}"),
        )
        made._run(
            *("x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key"),
            *("-CAcreateserial", "-out", "tsa.pem", "-days", "1825", "-sha256"),
            *("-extfile", "settings.cnf", "-extensions", "authority"),
        )
        return made

    def reply(self, request: bytes, *, chain: bool = False) -> bytes:
        """The TimeStampResp to a request, with the root's certificate too if `chain`. One at a time: there is one serial."""
        (self.directory / "request.tsq").write_bytes(request)
        whole = ("-chain", "root.pem") if chain else ()
        self._run(
            *("ts", "-reply", "-config", "settings.cnf", "-section", "replies"),
            *("-queryfile", "request.tsq", "-signer", "tsa.pem", "-inkey", "tsa.key"),
            *(*whole, "-out", "reply.tsr"),
        )
        return (self.directory / "reply.tsr").read_bytes()

    def revocation_list(self, *, revoke: bool = False) -> bytes:
        """The root's list of what it has revoked, DER; `revoke` puts the authority's own certificate on it first."""
        common = ("ca", "-config", "settings.cnf", "-cert", "root.pem", "-keyfile", "root.key")
        if revoke:
            self._run(*common, "-revoke", "tsa.pem", "-crl_reason", "keyCompromise")
        self._run(*common, "-gencrl", "-crldays", "30", "-out", "list.pem")
        self._run("crl", "-in", "list.pem", "-outform", "DER", "-out", "list.der")
        return (self.directory / "list.der").read_bytes()

    async def answer(self, request: web.Request) -> web.Response:
        """POST a TimeStampReq; `/chain` answers with the chain."""
        if request.content_type != QUERY:
            raise web.HTTPUnsupportedMediaType
        body, whole = await request.read(), request.path == "/chain"
        async with self._turn:
            reply = await asyncio.to_thread(self.reply, body, chain=whole)
        return web.Response(body=reply, content_type=REPLY)

    def _run(self, *arguments: str) -> None:
        openssl = shutil.which("openssl")
        if openssl is None:
            raise DemoError("a timestamp authority needs the program openssl")
        done = subprocess.run(
            [openssl, *arguments],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DemoError(f"openssl {arguments[0]} failed:\n{done.stderr}".rstrip())


@asynccontextmanager
async def serve(authority: Authority, port: int = 0) -> AsyncIterator[str]:
    """Answer on 127.0.0.1 (`port` 0: any); the URL. `URL/chain` answers with the chain."""
    app = web.Application(client_max_size=65536)
    app.router.add_post("/", authority.answer)
    app.router.add_post("/chain", authority.answer)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def main(directory: Path, port: int) -> None:
    """Serve the authority in `directory`, made if need be, until cancelled; says where, as one line."""
    made = (directory / "tsa.pem").exists()
    authority = Authority(directory) if made else Authority.create(directory)
    async with serve(authority, port) as url:
        print(f"timestamps on {url}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    import sys

    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
