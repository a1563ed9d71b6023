"""One initialised log per run, copied for each test that wants to change it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.anchoring import lab, tsa_root
from tests.api.deployment import Keys, Site, copy, make_template, serve


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Keys]:
    """A log directory that nothing opens, and its keys."""
    directory = tmp_path_factory.mktemp("template") / "log"
    return directory, make_template(directory)


@pytest.fixture
def directory(template: tuple[Path, Keys], tmp_path: Path) -> Path:
    """A log directory of the test's own."""
    return copy(template[0], tmp_path / "log")


@pytest.fixture
async def site(template: tuple[Path, Keys], directory: Path) -> AsyncIterator[Site]:
    """That log, served with the default settings."""
    async with serve(directory, template[1]) as served:
        yield served


__all__ = ["lab", "tsa_root"]
