"""One log for all tests that do not end its processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.workers.site import Keys, Run, make_log, serve


class Served(NamedTuple):
    """A run and what is needed to write to it."""

    run: Run
    keys: Keys
    token: str
    directory: Path


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Keys]:
    """A log directory that nothing opens, and its keys."""
    directory = tmp_path_factory.mktemp("workers-template") / "log"
    return directory, make_log(directory)


@pytest.fixture
def directory(template: tuple[Path, Keys], tmp_path: Path) -> Path:
    """A log directory of the test's own."""
    shutil.copytree(template[0], tmp_path / "log")
    return tmp_path / "log"


@pytest.fixture
def keys(template: tuple[Path, Keys]) -> Keys:
    """The keys of `directory`."""
    return template[1]


@pytest.fixture(scope="session")
def served(
    template: tuple[Path, Keys], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A log served by two front ends."""
    directory = tmp_path_factory.mktemp("workers") / "log"
    shutil.copytree(template[0], directory)
    with serve(directory, 2) as run:
        yield Served(run, template[1], run.attest(template[1].key), directory)
