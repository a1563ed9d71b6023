"""Tessera's POSIX conformance server, unmodified, and a client that believes it nothing: it checks proofs from its tiles."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import requests

from conformance.peers.keys import new_key
from tests.bench import machine
from tests.bench.golang import build
from tests.bench.job import Result, body_of
from tests.faults.process import START_SECONDS, free_port
from tlog.core.checkpoint import Checkpoint, open_checkpoint
from tlog.core.hashes import HASH_SIZE, Hash, leaf_hash
from tlog.core.merkle import Node, root_of
from tlog.core.note import parse_vkey
from tlog.core.proofs import inclusion_proof, verify_inclusion
from tlog.core.tiles import tile_path

MODULE = Path(__file__).parent / "tessera"
PROGRAM = "github.com/transparency-dev/tessera/cmd/conformance/posix"
ORIGIN = "tessera.example.com"
PUBLISH_SECONDS = 30.0


def program() -> Path:
    """The server, compiled. Raises: golang.Missing."""
    return build(MODULE, PROGRAM)


class Tessera:
    """A log of its own; its process runs from `start` to `stop`."""

    def __init__(self, folder: Path, program: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._program = program
        skey, vkey = new_key(ORIGIN)
        (folder / "key").write_text(skey)
        self.verifier = parse_vkey(vkey)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start and wait until it answers; seconds. Raises: RuntimeError with what it printed."""
        words = [str(self._program), f"--storage_dir={self.folder / 'log'}"]
        words += [f"--listen=127.0.0.1:{self.port}", f"--private_key={self.folder / 'key'}"]
        began = time.monotonic()
        output = self.folder / "server.log"
        with output.open("ab") as file:
            self.process = subprocess.Popen(words, stdout=file, stderr=file)
        while not self._well():
            if self.process.poll() is not None or time.monotonic() - began > START_SECONDS:
                raise RuntimeError(f"Tessera did not start: {output.read_text()[-2000:]}")
            time.sleep(0.01)
        return time.monotonic() - began

    def _well(self) -> bool:
        try:
            return requests.get(f"{self.url}/checkpoint", timeout=30).status_code in (200, 404)
        except requests.ConnectionError:
            return False

    def stop(self) -> None:
        """End the process."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(START_SECONDS)

    def __enter__(self) -> Tessera:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def cpu_seconds(self) -> float:
        """Seconds of CPU time."""
        if self.process is None:
            raise AssertionError("tlog: a server that was not started")
        return machine.cpu_seconds(self.process.pid)

    def size(self) -> int:
        """Entries under the published checkpoint, 0 before there is one."""
        answer = requests.get(f"{self.url}/checkpoint", timeout=60)
        return 0 if answer.status_code == 404 else self.opened(answer.content).size

    def opened(self, note: bytes) -> Checkpoint:
        """A checkpoint, verified under the log's key."""
        return open_checkpoint(note, [self.verifier], ORIGIN)[0]

    def published(self, size: int) -> Checkpoint:
        """The checkpoint once it has at least so many entries. Raises: RuntimeError when it does not get there."""
        deadline = time.monotonic() + PUBLISH_SECONDS
        while time.monotonic() < deadline:
            answer = requests.get(f"{self.url}/checkpoint", timeout=60)
            if answer.status_code == 200 and (head := self.opened(answer.content)).size >= size:
                return head
            time.sleep(0.02)
        raise RuntimeError(f"Tessera has acknowledged entries up to {size} and not published them")

    def check(self, result: Result, before: int) -> int:
        """Verify every sampled entry by a proof from tiles under a published head that covers all; how many.

        Raises: VerificationError, or RuntimeError for entries that are missing or counted twice.
        """
        indexes = [int(answer) for _, answer in result.samples]
        if len(set(indexes)) != len(indexes):
            raise RuntimeError("two entries were acknowledged with one index")
        head = self.published(max(before + result.events, *indexes, 0))
        tiles = Tiles(self.url, head.size)
        for (request, _), index in zip(result.samples, indexes, strict=True):
            verify_entry(body_of(request), index, head, tiles)
        return len(indexes)


def verify_entry(body: bytes, index: int, head: Checkpoint, tiles: Tiles) -> None:
    """Check that `body` is leaf `index` under `head`. Raises: VerificationError."""
    path = inclusion_proof(index, head.size, tiles)
    verify_inclusion(leaf_hash(body), index, head.size, path, head.root)


class Tiles:
    """Nodes of a tree of `size` leaves, read from C2SP tiles (tlog-tiles); each tile is fetched once."""

    def __init__(self, url: str, size: int, session: requests.Session | None = None) -> None:
        self._url = url
        self._size = size
        self._session = session or requests.Session()
        self.tiles: dict[str, bytes] = {}

    def place(self, node: Node) -> tuple[str, str, int, int]:
        """Where the hashes are that give a node: path of the tile, of the full one, first, how many."""
        level, row = divmod(node[0], 8)
        first = node[1] << row
        index = first >> 8
        width = min(256, (self._size >> 8 * level) - 256 * index)
        return tile_path(level, index, width), tile_path(level, index), first & 255, 1 << row

    def read_nodes(self, nodes: Sequence[Node]) -> list[Hash]:
        """The hashes of `nodes`. Raises: RuntimeError when a tile is not served."""
        found = []
        for node in nodes:
            path, full, first, count = self.place(node)
            if path not in self.tiles:
                self.tiles[path] = self._fetch(path, full)
            tile = self.tiles[path]
            cut = range(first * HASH_SIZE, (first + count) * HASH_SIZE, HASH_SIZE)
            found.append(root_of([tile[at : at + HASH_SIZE] for at in cut]))
        return found

    def _fetch(self, path: str, full: str) -> bytes:
        # A partial tile may go once the full one is there (tlog-tiles).
        for one in (path, full):
            answer = self._session.get(f"{self._url}/{one}", timeout=60)
            if answer.status_code == 200:
                return answer.content
        raise RuntimeError(f"Tessera does not serve {path}: status {answer.status_code}")
