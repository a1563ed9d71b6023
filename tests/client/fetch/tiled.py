"""A log served as tiles, real sockets and all, that can lie about one resource at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256

from aiohttp import web
from aiohttp.test_utils import TestServer

from tlog.core.checkpoint import Checkpoint
from tlog.core.note import Signer, sign_note
from tlog.core.tiles import bundle_encode, parse_tile_path
from tlog.errors import InvalidInput

ORIGIN = "log.example.com"
SIGNER = Signer(ORIGIN, bytes([7]) * 32)

Lie = bytes | int | Callable[[web.Request], Awaitable[web.StreamResponse]]


class Tiles:
    """The tiles of a list of entries, at every size: what a partial tile or bundle of any width holds.

    Written from the specification's sentence: hash i of tile (L, N) is the tree hash of the leaves
    [(256 N + i) 256^L, (256 N + i + 1) 256^L).
    """

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.entries = list(entries)
        self._rows: dict[int, list[bytes]] = {}
        self._known: dict[tuple[int, int], bytes] = {}

    def row(self, level: int) -> list[bytes]:
        """All complete subtrees of 256 to the power of `level` leaves."""
        if level not in self._rows and level == 0:
            self._rows[0] = [sha256(b"\x00" + entry).digest() for entry in self.entries]
        if level not in self._rows:
            width = 256**level
            starts = range(0, len(self.entries) // width * width, width)
            self._rows[level] = [self._hash(start, start + width) for start in starts]
        return self._rows[level]

    def root(self, size: int | None = None) -> bytes:
        """The root of the first `size` leaves."""
        return self._hash(0, len(self.entries) if size is None else size)

    def _hash(self, lo: int, hi: int) -> bytes:
        """MTH(D[lo:hi]) of RFC 6962 section 2.1."""
        if hi - lo < 2:
            return self.row(0)[lo] if lo < hi else sha256().digest()
        if (lo, hi) not in self._known:
            k = lo + (1 << (hi - lo - 1).bit_length() - 1)
            pair = self._hash(lo, k) + self._hash(k, hi)
            self._known[lo, hi] = sha256(b"\x01" + pair).digest()
        return self._known[lo, hi]

    def grow(self, entries: Sequence[bytes]) -> None:
        """Append entries. What is known of complete subtrees and of earlier sizes stays true."""
        self.entries += entries
        self._rows.clear()

    def resource(self, path: str) -> bytes | None:
        """What is at a path below the prefix, None where nothing is."""
        try:
            ref = parse_tile_path(path)
        except InvalidInput:
            return None
        start, end = 256 * ref.index, 256 * ref.index + ref.width
        if ref.level is None:
            part = self.entries[start:end]
            return bundle_encode(part) if len(part) == ref.width else None
        hashes = self.row(ref.level)[start:end]
        return b"".join(hashes) if len(hashes) == ref.width else None


class TiledLog:
    """Logs by prefix ("" is the root log), and what is served otherwise than they have it, by path."""

    def __init__(self) -> None:
        self.logs: dict[str, Tiles] = {}
        self.lies: dict[str, Lie] = {}
        self.asked: list[str] = []
        self.url = ""

    def sign(self, prefix: str = "", size: int | None = None, root: bytes | None = None) -> bytes:
        """Publish the checkpoint of a log, signed with the test's own key; the note."""
        log = self.logs[prefix]
        size = len(log.entries) if size is None else size
        origin = f"{ORIGIN}/{prefix}".rstrip("/")
        body = Checkpoint(origin, size, log.root(size) if root is None else root).body()
        note = sign_note(body, [SIGNER.under(origin)])
        self.lies[f"{prefix}checkpoint"] = note
        return note

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        path = request.path[1:]
        self.asked.append(path)
        lie = self.lies.get(path)
        if isinstance(lie, int):
            return web.Response(status=lie)
        if lie is not None and not isinstance(lie, bytes):
            return await lie(request)
        prefix = path[: path.find("tile/")] if "tile/" in path else path
        log = self.logs.get(prefix)
        body = lie if lie is not None else log and log.resource(path[len(prefix) :])
        return web.Response(status=404) if body is None else web.Response(body=body)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[TiledLog]:
        """Serve on a free port."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self.handle)
        server = TestServer(app)
        await server.start_server()
        self.url = str(server.make_url("/"))
        try:
            yield self
        finally:
            await server.close()
            await asyncio.sleep(0)


def counted(count: int) -> list[bytes]:
    """The entries "0", "1", … of a log."""
    return [b"%d" % number for number in range(count)]


class Audited(TiledLog):
    """A whole log: streams by label, and a root log that states each head of them."""

    def __init__(self) -> None:
        super().__init__()
        self.logs[""] = Tiles([Checkpoint(ORIGIN, 0, sha256().digest()).body()])

    def stream(self, label: str) -> Tiles:
        """The tree of a stream, made at first use."""
        return self.logs.setdefault(f"streams/{label}/", Tiles([]))

    def append(self, label: str, *entries: bytes, root: bytes | None = None) -> None:
        """Append to a stream, and its new head to the root log; with another `root` the head is a lie."""
        tiles = self.stream(label)
        tiles.grow(entries)
        origin = f"{ORIGIN}/streams/{label}"
        head = Checkpoint(origin, len(tiles.entries), tiles.root() if root is None else root)
        self.leaf(head.body())

    def leaf(self, *bodies: bytes) -> None:
        """Append any leaf to the root log."""
        self.logs[""].grow(bodies)

    def head(self) -> Checkpoint:
        """The root log's head."""
        tiles = self.logs[""]
        return Checkpoint(ORIGIN, len(tiles.entries), tiles.root())
