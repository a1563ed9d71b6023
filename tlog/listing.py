"""Listing events in log order: the journal is in that order already, so a page is a bounded scan of it.

No index is kept for filters: a canonical entry contains `"member":"value"` literally, so a byte search decides for all
but the few entries that are then parsed. A page ends at its limit or when it has looked at enough; the cursor goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from tlog.core.wire import decimal
from tlog.errors import InvalidInput
from tlog.reader import Located, Reader
from tlog.store import layout
from tlog.store.layout import CHUNK_HEADER, RECORD_HEADER, read_record

# Records that one page may look at: a few tens of milliseconds.
_BUDGET = 20_000


class Filter(NamedTuple):
    """What to list. Times are Unix milliseconds, [start, end)."""

    tenant: str
    stream: int | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    event_class: str | None = None
    event_type: str | None = None
    model_id: str | None = None
    severity: str | None = None
    tag: str | None = None
    actor_ids: tuple[str, ...] | None = None


class Page(NamedTuple):
    """Events in ascending order; `next_cursor` is None at the end."""

    events: list[Located]
    next_cursor: str | None


class Listing:
    """Lists the events of one log."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._store = reader.source.store

    def page(self, wanted: Filter, limit: int, cursor: str | None) -> Page:
        """At most `limit` events from `cursor` on. Raises: InvalidInput (invalid-value) for a bad cursor."""
        position = self._start(wanted) if cursor is None else _cursor(cursor)
        needles = _needles(wanted)
        events: list[Located] = []
        looked_at = 0
        for located, ms in self._scan(wanted, position):
            if wanted.end_ms is not None and ms >= wanted.end_ms:
                break
            looked_at += 1
            if looked_at > _BUDGET or len(events) == limit:
                return Page(events, str(located.position))
            if all(needle in located.record.entry for needle in needles) and _matches(
                wanted, located
            ):
                events.append(located)
        return Page(events, None)

    def _start(self, wanted: Filter) -> int:
        """The position of the first record that is not too early: times ascend along the journal."""
        if wanted.start_ms is None:
            return 0
        low, high = 0, self._end()
        with self._store.read() as txn:
            while low < high:
                middle = (low + high) // 2
                if CHUNK_HEADER.unpack_from(self._store.chunk(txn, middle))[3] < wanted.start_ms:
                    low = middle + 1
                else:
                    high = middle
        return low << 16

    def _end(self) -> int:
        row = self._store.commit_row()
        return 0 if row is None else row.next_chunk

    def _scan(self, wanted: Filter, position: int) -> Iterator[tuple[Located, int]]:
        numbers = self._numbers(wanted)
        number, offset = position >> 16, position & 0xFFFF
        for chunk_number in range(number, self._end()):
            with self._store.read() as txn:
                chunk = bytes(self._store.chunk(txn, chunk_number))
            ms = CHUNK_HEADER.unpack_from(chunk)[3]
            offset = max(offset, CHUNK_HEADER.size)
            while offset < len(chunk):
                try:
                    kind, stream, _, entry, extra = RECORD_HEADER.unpack_from(chunk, offset)
                except Exception as error:
                    raise InvalidInput("invalid-value", "no such cursor", "/cursor") from error
                if kind & layout.KIND_MASK != layout.HEAD and stream in numbers:
                    record, _ = read_record(chunk, offset)
                    here = chunk_number << 16 | offset
                    yield Located(stream, record.index, here, record), ms
                offset += RECORD_HEADER.size + entry + extra
            offset = 0

    def _numbers(self, wanted: Filter) -> set[int]:
        rows = self._reader.source.rows
        if wanted.stream is not None:
            return {wanted.stream}
        prefix = wanted.tenant + ":"
        return {number for number, row in list(rows.items()) if row.stream_id.startswith(prefix)}


def _cursor(text: str) -> int:
    try:
        return decimal(text)
    except InvalidInput as error:
        raise InvalidInput(
            "invalid-value", "a cursor comes from an earlier page", "/cursor"
        ) from error


def _needles(wanted: Filter) -> list[bytes]:
    """Bytes that every wanted entry contains."""
    members = {
        "eventClass": wanted.event_class,
        "eventType": wanted.event_type,
        "modelId": wanted.model_id,
        "severity": wanted.severity,
    }
    needles = [
        orjson.dumps(name) + b":" + orjson.dumps(value)
        for name, value in members.items()
        if value is not None
    ]
    if wanted.tag is not None:
        needles.append(orjson.dumps(wanted.tag))
    return needles


def _matches(wanted: Filter, located: Located) -> bool:
    record: dict[str, Any] = orjson.loads(located.record.entry)["payload"]
    expected = (
        ("eventClass", wanted.event_class),
        ("eventType", wanted.event_type),
        ("modelId", wanted.model_id),
        ("severity", wanted.severity),
    )
    if any(value is not None and record.get(name) != value for name, value in expected):
        return False
    if wanted.tag is not None and wanted.tag not in record.get("tags", ()):
        return False
    return wanted.actor_ids is None or record.get("actor", {}).get("id") in wanted.actor_ids
