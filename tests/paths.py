"""Where the test vectors of other projects are; they are not part of this repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"
VECTORS = Path(os.environ.get("TLOG_VECTORS", SHARED / "vectors"))


def vectors(folder: str) -> Path:
    """The folder of vectors named so, or skip the test that asked (at import: the whole file)."""
    path = VECTORS / folder
    if not path.is_dir():
        pytest.skip(f"no vectors at {path}: set TLOG_VECTORS", allow_module_level=True)
    return path
