"""The final audit: what was promised against what is stored, from the store's files alone."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from tests.faults.process import Promise
from tests.harness import ORIGIN, STREAM
from tlog.core.checkpoint import open_checkpoint
from tlog.core.note import parse_vkey
from tlog.inspection import Inspection


def audit(directory: Path, promises: list[Promise]) -> int:
    """Check every promise and the whole log; the number of entries. Raises AssertionError."""
    with Inspection.open(directory, {}) as inspection:
        for stream_id in inspection.streams():
            report = inspection.verify(stream_id)
            assert report.verified, (stream_id, report.failures)
        assert inspection.verify_root() == []
        reader = inspection.reader
        number = reader.number(STREAM)
        size = reader.source.view(number).size
        entries = [located.record.entry for located in reader.entries(number, 0, size)]
        for promise in promises:
            assert entries[promise.index] == promise.entry, (
                "an acknowledged entry was lost or moved"
            )
        places: dict[tuple[str, int], list[int]] = defaultdict(list)
        for index, entry in enumerate(entries[1:], 1):
            producer = json.loads(entry)["payload"]["producer"]
            places[producer["id"], producer["sequence"]].append(index)
        assert all(len(found) == 1 for found in places.values()), "an event was recorded twice"
        verifier = parse_vkey(inspection.vkey)
        for note in {promise.note for promise in promises}:
            head, _ = open_checkpoint(note, [verifier], ORIGIN)
            assert reader.root_of(0, head.size) == head.root, (
                "a signed head is not a prefix of the log"
            )
    return size
