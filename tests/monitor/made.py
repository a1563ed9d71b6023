"""A whole log made in memory, entries, chain, heads and all, signed by the test's own key: honest until a test edits it."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.client.fetch.tiled import ORIGIN, SIGNER, Audited
from tests.core.records import changed
from tlog.client.fetch import Fetcher
from tlog.client.pins import Pins
from tlog.core.chain import GENESIS_PREVIOUS, block_hash
from tlog.core.entry import entry_bytes
from tlog.core.ids import event_id, public_label, stream_label
from tlog.core.note import parse_vkey
from tlog.core.times import format_ms
from tlog.monitor.state import FileState
from tlog.monitor.verification import Verification
from tlog.monitor.visit import Report, Scope

LOG = parse_vkey(SIGNER.vkey)
PUBLIC = "acme:prod:public"
PRIVATE = "acme:prod:private"
START = 1_774_015_203_250

Edits = dict[str, Any]


@dataclass
class Stream:
    """What the next entry of a stream needs."""

    stream_id: str
    number: int
    label: str
    size: int = 0
    previous: str = GENESIS_PREVIOUS


class MadeLog(Audited):
    """`edits` are JSON Pointers in RECORD and the values that stand there instead of the true ones."""

    def __init__(self) -> None:
        super().__init__()
        self.streams: dict[str, Stream] = {}
        self.ms = START

    def open(self, stream_id: str, edits: Edits | None = None, *, label: str | None = None) -> None:
        """Open a stream; public if its name says so. Under another `label` its genesis does not fit."""
        public, number = stream_id.endswith("public"), len(self.streams) + 1
        nonce = bytes([number]) * 32
        true = public_label(stream_id) if public else stream_label(stream_id, nonce)
        stream = Stream(stream_id, number, true if label is None else label)
        self.streams[stream_id] = stream
        root = self.logs[""]
        system = {
            "origin": ORIGIN,
            "streamId": stream_id,
            "streamNumber": number,
            "label": true,
            "nonce": b64encode(nonce).decode(),
            "visibility": "public" if public else "private",
            "schema": 1,
            "keys": [SIGNER.vkey],
            "root": {"size": len(root.entries), "hash": b64encode(root.root()).decode()},
        }
        kind = {"eventClass": "INTENT", "eventType": "tlog.stream.opened", "system": system}
        self.commit(stream_id, [self.entry(stream, kind, edits)])

    def add(self, stream_id: str, count: int = 1, edits: Edits | None = None) -> None:
        """One commit of `count` events of one producer; the edits are of the last one."""
        stream = self.streams[stream_id]
        kind = {"eventClass": "EXECUTION", "eventType": "INFERENCE"}
        entries = []
        for number in range(count):
            producer = {"producer": {"id": "scorer", "sequence": stream.size}}
            last = edits if number == count - 1 else None
            entries.append(self.entry(stream, kind | producer, last))
        self.commit(stream_id, entries)

    def entry(self, stream: Stream, kind: dict[str, Any], edits: Edits | None) -> bytes:
        """The next entry of a stream."""
        edits = dict(edits or {})
        previous, ms = edits.pop("previousHash", stream.previous), edits.pop("ms", self.ms)
        number, index = edits.pop("number", stream.number), edits.pop("index", stream.size)
        record = kind | {
            "v": 1,
            "id": event_id(ms, number, index),
            "streamId": stream.stream_id,
            "chainPosition": index,
            "organisationId": stream.stream_id.partition(":")[0],
            "severity": "INFO",
            "commitment": {"fields": 1, "root": "sha256:" + "cd" * 32},
        }
        for pointer, value in edits.items():
            record = changed(record, pointer, value)
        entry = entry_bytes(record, previous, format_ms(ms))
        stream.size, stream.previous = stream.size + 1, block_hash(entry)
        self.ms += 1
        return entry

    def commit(self, stream_id: str, entries: list[bytes]) -> None:
        """Append to stream and root log, and publish both."""
        label = self.streams[stream_id].label
        self.append(label, *entries)
        self.sign(f"streams/{label}/")
        self.sign()

    def label(self, stream_id: str) -> str:
        """The label that a stream has in the root log."""
        return self.streams[stream_id].label

    def under(self, stream_id: str, path: str = "") -> str:
        """The path of a stream's resource."""
        return f"streams/{self.label(stream_id)}/{path}"

    def hide(self, stream_id: str) -> None:
        """Answer for a private stream's entries as a log does to who has no token for it."""
        for index in range(len(self.stream(self.label(stream_id)).entries) // 256 + 1):
            for width in range(256):
                partial = f".p/{width}" if width else ""
                self.lies[self.under(stream_id, f"tile/entries/{index:03d}{partial}")] = 404


def made() -> MadeLog:
    """A public stream over two tiles, and a private one, grown in turn."""
    log = MadeLog()
    log.open(PUBLIC)
    log.open(PRIVATE)
    for count in (3, 250, 20, 1):
        log.add(PUBLIC, count)
        log.add(PRIVATE, 2)
    return log


async def verify(
    log: MadeLog,
    home: Path,
    *,
    label: str | None = None,
    stream_id: str | None = None,
    token: bool = False,
    patience: float = 0.0,
    url: str | None = None,
) -> Report:
    """One run of `tlog verify URL`, its state in `home`."""
    pins, path = Pins(home), home / f"verify{len(label or '')}.state"
    state = FileState.load(path, LOG)
    scope = Scope(label, stream_id, token)
    async with Fetcher(log.url if url is None else url) as fetcher:
        return await Verification(fetcher, LOG, pins, state, scope, patience=patience).run()
