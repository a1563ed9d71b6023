"""Where the processes of a run meet."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tlog.errors import InvalidInput
from tlog.workers.places import Places, meeting_place


def test_it_is_private_and_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket's path has at most 108 bytes: where the temporary directory's is too long, another one is taken."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    path = meeting_place()
    assert len(os.fsencode(Places(path).questions)) < 108
    assert path.stat().st_mode & 0o777 == 0o700
    path.rmdir()
    assert not list(long.iterdir())


def test_nowhere_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is left behind."""
    made: list[Path] = []

    def make(prefix: str, dir: str | None) -> str:
        made.append(tmp_path / f"{prefix}{len(made)}{'x' * 100}")
        made[-1].mkdir()
        return str(made[-1])

    monkeypatch.setattr(tempfile, "mkdtemp", make)
    with pytest.raises(InvalidInput, match="too long"):
        meeting_place()
    assert made and not any(path.exists() for path in made)
