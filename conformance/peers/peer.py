"""What every peer has in common: the log that it is shown, and what it says of it."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / ".build" / "peers"
"""Virtual environments and Go programs, kept from run to run."""

TIMEOUT = 120.0
"""Seconds that one run of one peer may take."""


@dataclass(frozen=True)
class Log:
    """A log at a moment: nothing is written to it while peers read.

    `url` ends in a slash; `checkpoint` is the note served at `size`; `older` one served before, b"" if none was.
    `work` is a directory for the peer's files.
    """

    name: str
    url: str
    origin: str
    vkey: str
    size: int
    checkpoint: bytes
    older: bytes
    work: Path

    def at(self, url: str) -> Log:
        """The same log behind another address."""
        return replace(self, url=url)

    def older_file(self) -> Path | None:
        """The older checkpoint as a file, None if there is none."""
        if not self.older:
            return None
        path = self.work / "older-checkpoint"
        path.write_bytes(self.older)
        return path


@dataclass(frozen=True)
class Result:
    """What a peer said. `checked` names what it looked at; `fault` is "" when it agrees."""

    checked: str
    fault: str = ""


class Peer(Protocol):
    """A program that somebody else wrote, or a small one around a library that somebody else wrote.

    `command` is how a person would run it. `faults` names those of `conformance.peers.faults` that it must catch.
    `available` prepares what it needs, once: "" or why it cannot run here. `run` never raises for what the log does.
    """

    @property
    def name(self) -> str: ...

    @property
    def command(self) -> str: ...

    @property
    def faults(self) -> Sequence[str]: ...

    def available(self) -> str: ...

    def run(self, log: Log) -> Result: ...


def checkpoint_lines(note: bytes) -> tuple[str, int, bytes]:
    """Origin, size and root of a checkpoint, whoever signed it."""
    origin, size, root = note.decode().split("\n")[:3]
    return origin, int(size), base64.b64decode(root)


def get(url: str) -> tuple[int, bytes]:
    """GET without redirects: status and body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def tile_number(index: int) -> str:
    """The N of a tile path (C2SP tlog-tiles): groups of three digits, all but the last after an x."""
    text = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        text = f"x{index % 1000:03d}/{text}"
    return text


def entries(log: Log, bundle_index: int | None = None) -> list[bytes]:
    """All entries, or those of one bundle. Raises: ValueError for a bundle that is missing or malformed."""
    found: list[bytes] = []
    for index in range(-(-log.size // 256)) if bundle_index is None else [bundle_index]:
        width = min(256, log.size - 256 * index)
        path = f"tile/entries/{tile_number(index)}" + ("" if width == 256 else f".p/{width}")
        status, bundle = get(log.url + path)
        if status != 200:
            raise ValueError(f"{path}: status {status}")
        found += _cut(bundle, width, path)
    return found


def _cut(bundle: bytes, width: int, path: str) -> list[bytes]:
    found, place = [], 0
    for _ in range(width):
        end = place + 2 + int.from_bytes(bundle[place : place + 2], "big")
        found.append(bundle[place + 2 : end])
        place = end
    if place != len(bundle):
        raise ValueError(f"{path}: {len(bundle)} bytes, {place} expected")
    return found


def json_object(text: str) -> dict[str, Any]:
    """The first JSON object in what a program printed, {} if there is none."""
    import json

    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
