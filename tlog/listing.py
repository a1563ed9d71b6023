"""Listing events in log order: the journal is in that order already, so a page is a bounded scan of it.

No index is kept for filters: a canonical entry contains `"member":"value"` literally, so a byte search decides for all
but the few entries that are then parsed. A page ends at its limit or when it has looked at enough; the cursor goes on.

One thread per call; any thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from tlog.reader import Located, Source
from tlog.store import layout
from tlog.store.layout import CHUNK_HEADER, RECORD_HEADER, StreamRow, read_record

# Records that one page may look at: a few tens of milliseconds.
BUDGET = 20_000
_OFFSET_BITS = 16


class Filter(NamedTuple):
    """What to list. Times are Unix milliseconds, [start, end). `actor_ids`: any of them."""

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
    """Events in ascending order; `next_cursor` is a position in the journal, None at the end."""

    events: list[Located]
    next_cursor: int | None


class Listing:
    """Lists the events of one log."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._store = source.store

    def page(self, wanted: Filter, limit: int, cursor: int = 0) -> Page:
        """At most `limit` events from `cursor` on, an earlier page's `next_cursor`. Raises: CorruptStore.

        A cursor that comes from nowhere stands for the next record: nothing is ever read as a record that is none.
        """
        start = max(self._start(wanted), cursor)
        streams, needles = _Streams(self._source.rows, wanted), _needles(wanted)
        sizes: dict[int, int] = {}
        events: list[Located] = []
        looked_at = 0
        for position, ms, chunk in self._scan(start):
            if wanted.end_ms is not None and ms >= wanted.end_ms:
                break
            looked_at += 1
            if looked_at > BUDGET or len(events) == limit:
                return Page(events, position)
            record = _wanted(chunk, position & 0xFFFF, streams, needles, wanted)
            if record is None:
                continue
            if record.stream not in sizes:
                sizes[record.stream] = self._source.view(record.stream).size
            # Committed a moment ago, and its head is not public yet: no page shows it before that.
            if record.index >= sizes[record.stream]:
                break
            events.append(Located(record.stream, record.index, position, record))
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
        return low << _OFFSET_BITS

    def _end(self) -> int:
        row = self._store.commit_row()
        return 0 if row is None else row.next_chunk

    def _scan(self, start: int) -> Iterator[tuple[int, int, bytes]]:
        """(position, commit's milliseconds, chunk) of every record from `start` on."""
        newest = self._source.head().commit
        for number in range(start >> _OFFSET_BITS, self._end()):
            with self._store.read() as txn:
                chunk = bytes(self._store.chunk(txn, number))
            _, commit, _, ms = CHUNK_HEADER.unpack_from(chunk)
            if commit > newest:  # stored, but not public yet; a stream that it opens may be unknown
                return
            offset = CHUNK_HEADER.size
            while offset < len(chunk):
                position = number << _OFFSET_BITS | offset
                if position >= start:
                    yield position, ms, chunk
                _, _, _, entry, extra = RECORD_HEADER.unpack_from(chunk, offset)
                offset += RECORD_HEADER.size + entry + extra


class _Streams(dict[int, bool]):
    """Which streams are wanted, by number: each is looked at when the page meets it. A log may have very many."""

    def __init__(self, rows: Mapping[int, StreamRow], wanted: Filter) -> None:
        self._rows = rows
        self._prefix = wanted.tenant + ":"
        self._only = wanted.stream

    def __missing__(self, number: int) -> bool:
        if self._only is not None:
            found = number == self._only
        else:
            row = self._rows.get(number)
            found = row is not None and row.stream_id.startswith(self._prefix)
        self[number] = found
        return found


def _members(wanted: Filter) -> dict[str, str]:
    members = {
        "eventClass": wanted.event_class,
        "eventType": wanted.event_type,
        "modelId": wanted.model_id,
        "severity": wanted.severity,
    }
    return {name: value for name, value in members.items() if value is not None}


def _needles(wanted: Filter) -> list[bytes]:
    """Bytes that every wanted entry contains."""
    needles = [
        orjson.dumps(name) + b":" + orjson.dumps(value) for name, value in _members(wanted).items()
    ]
    if wanted.tag is not None:
        needles.append(orjson.dumps(wanted.tag))
    return needles


def _wanted(
    chunk: bytes, offset: int, streams: _Streams, needles: list[bytes], wanted: Filter
) -> layout.Record | None:
    """The record at `offset`, if it is an event of these streams that the filter lets through."""
    kind, stream, _, entry_length, _ = RECORD_HEADER.unpack_from(chunk, offset)
    if kind & layout.KIND_MASK == layout.HEAD or not streams[stream]:
        return None
    start = offset + RECORD_HEADER.size
    if any(chunk.find(needle, start, start + entry_length) < 0 for needle in needles):
        return None
    record, _ = read_record(chunk, offset)
    return record if _matches(wanted, record.entry) else None


def _matches(wanted: Filter, entry: bytes) -> bool:
    members = _members(wanted)
    if not members and wanted.tag is None and wanted.actor_ids is None:
        return True
    record = _record(entry)
    return (
        all(record.get(name) == value for name, value in members.items())
        and (wanted.tag is None or wanted.tag in record.get("tags", ()))
        and (wanted.actor_ids is None or record.get("actor", {}).get("id") in wanted.actor_ids)
    )


def _record(entry: bytes) -> dict[str, Any]:
    """RECORD of a stored entry; empty for one that can no longer be read, which no filter lets through."""
    try:
        record: dict[str, Any] = orjson.loads(entry)["payload"]
    except (ValueError, TypeError, KeyError):
        return {}
    return record
