"""A log that lies: several histories under one key, each shown to whom it wants, over real HTTP with C2SP tiles.

Every view has a URL of its own, so that a test says who sees what by the URL that it configures there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from tests.core.histories import History, Tree
from tlog.core.add_checkpoint import encode_request
from tlog.core.proofs import consistency_proof
from tlog.core.tiles import parse_tile_path
from tlog.errors import InvalidInput

STREAM = "acme/prod/scorer"
OTHER_STREAM = "b" * 51 + "q"


def grown(commits: int, *, origin: str = "log.example.com", key: str = "log") -> History:
    """A history of so many commits, each of one entry to one of two streams."""
    history = History(key, origin)
    add(history, commits)
    return history


def add(history: History, commits: int, mark: bytes = b"", stream: str = "") -> None:
    """More of them; `mark` makes the entries differ from those of another history."""
    for _ in range(commits):
        number = len(history.leaves)
        label = stream or (STREAM, OTHER_STREAM)[number % 2]
        history.commit(label, mark + b"%d" % number)


class EvilLog:
    """What is shown under `<url>/<view>/`; a view can be given another history at any time."""

    def __init__(self, **views: History) -> None:
        self.views = views
        #: Views that answer every request for a tile with 404.
        self.silent: set[str] = set()
        self.prefix = ""

    def url(self, view: str) -> str:
        """The prefix under which one sees this view."""
        return f"{self.prefix}/{view}"

    def request(self, view: str, old: int = 0) -> bytes:
        """An add-checkpoint request of this view."""
        history = self.views[view]
        size = len(history.leaves)
        proof = consistency_proof(old, size, history.root)  # type: ignore[arg-type]
        return encode_request(old, tuple(proof), history.note().note)

    async def answer(self, request: web.Request) -> web.Response:
        """Checkpoints and hash tiles, of the root log and of streams."""
        history = self.views[request.match_info["view"]]
        path = request.match_info["path"]
        label, streams = "", path.startswith("streams/")
        if streams:
            path = path.removeprefix("streams/")
            label = next((one for one in history.streams if path.startswith(one + "/")), "")
            path = path.removeprefix(label + "/")
        if streams and not label:
            raise web.HTTPNotFound
        if path == "checkpoint":
            return web.Response(body=history.note(label).note)
        body = (
            None if request.match_info["view"] in self.silent else tile(history.tree(label), path)
        )
        if body is None:
            raise web.HTTPNotFound
        return web.Response(body=body, content_type="application/octet-stream")

    @asynccontextmanager
    async def served(self) -> AsyncIterator[EvilLog]:
        """On a free port, until the block ends."""
        app = web.Application()
        app.router.add_get("/{view}/{path:.+}", self.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.prefix = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()


def tile(tree: Tree, path: str) -> bytes | None:
    """The bytes of a hash tile; None where the tree has none."""
    try:
        ref = parse_tile_path(path)
    except InvalidInput:
        return None
    if ref.level is None:
        return None
    first = ref.index << 8
    if (first + ref.width) << 8 * ref.level > len(tree.leaves):
        return None
    return b"".join(tree.node(8 * ref.level, first + one) for one in range(ref.width))
