"""Streams declared beside a running server: one file per stream in DIR/declared, opened and removed by the server.

Only the writer may open a stream, and a command cannot be a second writer; so it leaves a note.
"""

from __future__ import annotations

import os
from pathlib import Path

from tlog.core.ids import parse_stream_id
from tlog.errors import InvalidInput

FOLDER = "declared"
_PUBLIC, _PRIVATE = "public", "private"


def declare(directory: Path, stream_id: str, *, public: bool) -> None:
    """Ask the server of DIR to open a stream. Raises: InvalidInput when the id is outside the grammar."""
    parse_stream_id(stream_id)
    folder = directory / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    # The name appears with its content or not at all; a leading dot is outside the grammar of ids.
    draft = folder / f".{stream_id}.{os.getpid()}"
    draft.write_text(_PUBLIC if public else _PRIVATE, encoding="ascii")
    draft.rename(folder / stream_id)


def declared(directory: Path) -> list[tuple[str, bool]]:
    """The declared streams as (id, public); what is no stream id is not looked at."""
    folder = directory / FOLDER
    if not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.iterdir()):
        try:
            parse_stream_id(path.name)
        except InvalidInput:
            continue
        found.append((path.name, path.read_text(encoding="ascii") == _PUBLIC))
    return found


def forget(directory: Path, stream_id: str) -> None:
    """The declaration is carried out."""
    (directory / FOLDER / stream_id).unlink(missing_ok=True)
