"""A proxy that lies about one thing: what a verifier must notice when it reads a log through it.

    python -m conformance.faulty_proxy --target http://127.0.0.1:8080/ --fault tile-byte-flipped --listen 127.0.0.1:8081

Everything else passes unchanged, so a verifier that is content without a fault and content with one does not verify.
"""

from __future__ import annotations

import argparse
import http.client
import re
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Fault = Callable[[str, bytes], bytes]
"""(path below the log's prefix, body as the log sent it) -> body as it is passed on."""

_PASSED_ON = ("Authorization", "Content-Type", "Idempotency-Key", "Prefer", "Accept")
_tile = re.compile("tile/0/.*").fullmatch
_partial_tile = re.compile("tile/0/.*[.]p/.*").fullmatch
_bundle = re.compile("tile/entries/.*").fullmatch


def nothing(_: str, body: bytes) -> bytes:
    """No fault: what the verifier must be content with, proxy or not."""
    return body


def tile_byte_flipped(path: str, body: bytes) -> bytes:
    """One bit of the first hash of every tile of the lowest level."""
    return bytes([body[0] ^ 1]) + body[1:] if _tile(path) and body else body


def stale_partial(path: str, body: bytes) -> bytes:
    """A partial tile as it was before its last leaf came."""
    return body[:-32] if _partial_tile(path) else body


def wrong_entry(path: str, body: bytes) -> bytes:
    """One byte of the last entry of every bundle."""
    return body[:-1] + bytes([body[-1] ^ 1]) if _bundle(path) and body else body


def entry_missing(path: str, body: bytes) -> bytes:
    """A bundle whose first entry was left out."""
    return body[2 + int.from_bytes(body[:2], "big") :] if _bundle(path) else body


def forged_head(path: str, body: bytes) -> bytes:
    """A checkpoint of another size under the signature of the true one."""
    if path != "checkpoint":
        return body
    origin, size, rest = body.split(b"\n", 2)
    return b"\n".join([origin, b"%d" % (int(size) + 1), rest])


FAULTS: dict[str, Fault] = {
    "none": nothing,
    "tile-byte-flipped": tile_byte_flipped,
    "stale-partial": stale_partial,
    "wrong-entry": wrong_entry,
    "entry-missing": entry_missing,
    "forged-head": forged_head,
}


class FaultyProxy:
    """Serves `target`, a log's prefix that ends in a slash, with one fault. `altered` counts the answers that it changed."""

    def __init__(
        self, target: str, fault: Fault, listen: tuple[str, int] = ("127.0.0.1", 0)
    ) -> None:
        self.target = urlsplit(target)
        self.fault = fault
        self.altered = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                try:
                    self.relay()
                except ConnectionError:
                    self.close_connection = True  # a verifier that has seen enough hangs up

            def do_POST(self) -> None:
                self.do_GET()

            def do_HEAD(self) -> None:
                self.do_GET()

            def relay(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, kind, body = proxy.answer(
                    self.path, self.command, sent, dict(self.headers.items())
                )
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Quiet: the verifier speaks."""

        self._server = ThreadingHTTPServer(listen, Handler)
        self._server.daemon_threads = True
        self.url = f"http://{listen[0]}:{self._server.server_port}{self.target.path}"

    def answer(
        self,
        path: str,
        method: str = "GET",
        sent: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, str, bytes]:
        """Status, content type and body for one request; the target is asked for the plain bytes."""
        passed_on = {name: value for name in _PASSED_ON if (value := (headers or {}).get(name))}
        passed_on["Accept-Encoding"] = "identity"
        connection = http.client.HTTPConnection(self.target.netloc, timeout=30)
        try:
            connection.request(method, path, sent or None, passed_on)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status == 200:
            passed = self.fault(path.removeprefix(self.target.path), body)
            self.altered += passed != body
            body = passed
        return answer.status, answer.headers.get("Content-Type", "text/plain"), body

    def serve(self) -> None:
        """Serve until `close`."""
        self._server.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> FaultyProxy:
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Serve a log with one fault in it.")
    parser.add_argument("--target", required=True, help="prefix of the log, ending in a slash")
    parser.add_argument("--fault", choices=list(FAULTS), required=True)
    parser.add_argument("--listen", default="127.0.0.1:8081", metavar="HOST:PORT")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    proxy = FaultyProxy(options.target, FAULTS[options.fault], (host, int(port)))
    print(f"{proxy.url} serves {options.target} with {options.fault}")
    try:
        proxy.serve()
    except KeyboardInterrupt:
        proxy.close()


if __name__ == "__main__":
    main()
