"""Declared streams: one file each, whole or not at all; what is no stream id is not looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlog.declarations import FOLDER, declare, declared, forget
from tlog.errors import InvalidInput


def test_a_declaration_is_found_until_it_is_forgotten(tmp_path: Path) -> None:
    """In order of names; declared again, the last word counts; forgetting twice is no fault."""
    assert declared(tmp_path) == []
    declare(tmp_path, "acme:prod:b", public=True)
    declare(tmp_path, "acme:prod:a", public=True)
    declare(tmp_path, "acme:prod:a", public=False)

    assert declared(tmp_path) == [("acme:prod:a", False), ("acme:prod:b", True)]
    forget(tmp_path, "acme:prod:a")
    forget(tmp_path, "acme:prod:a")
    assert declared(tmp_path) == [("acme:prod:b", True)]


@pytest.mark.parametrize("name", ["", "acme:prod", "../../x:y:z", "acme:prod:A", "a:b:c/d"])
def test_what_is_no_stream_is_not_declared(tmp_path: Path, name: str) -> None:
    """Nothing is written for it, here or elsewhere."""
    with pytest.raises(InvalidInput):
        declare(tmp_path, name, public=False)
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    """A declaration that is being written, and whatever else lies there."""
    declare(tmp_path, "acme:prod:a", public=True)
    (tmp_path / FOLDER / ".acme:prod:b.17").write_text("pub")
    (tmp_path / FOLDER / "notes.txt").write_text("x")

    assert declared(tmp_path) == [("acme:prod:a", True)]
