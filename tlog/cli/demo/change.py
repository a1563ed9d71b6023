"""One byte of a stored entry, changed behind the log's back in a copy of its store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from tlog.cli.demo.processes import DemoError
from tlog.inspection import Inspection


def copy_and_change(
    log: Path, copy: Path, stream_id: str, sequence: int, old: bytes, new: bytes
) -> int:
    """Copy the directory of a stopped log, and in the copy's data file replace `old` by `new`, of one length.

    `old` is replaced where it first stands in the entry at `sequence`. Returns the offset in the file.
    Raises: DemoError when the entry is not found.
    """
    shutil.copytree(log, copy)
    data = copy / "log" / "data.mdb"
    entry = _stored(copy, stream_id, sequence)
    within = entry.index(old)
    for start in _occurrences(data.read_bytes(), entry):
        # LMDB copies pages before it writes them, so there may be older copies that nobody reads any more.
        _write(data, start + within, new)
        if _stored(copy, stream_id, sequence) != entry:
            return start + within
        _write(data, start + within, old)
    raise DemoError(f"the entry at sequence {sequence} is not in {data}")


def _stored(directory: Path, stream_id: str, sequence: int) -> bytes:
    with Inspection.open(directory, {}) as inspection:
        return inspection.entry(stream_id, sequence)


def _occurrences(data: bytes, wanted: bytes) -> Iterator[int]:
    at = data.find(wanted)
    while at >= 0:
        yield at
        at = data.find(wanted, at + 1)


def _write(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
