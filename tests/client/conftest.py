"""One real log for all tests that do not stop it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.server import LogProcess


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogProcess]:
    process = LogProcess(tmp_path_factory.mktemp("log") / "dir", publish_interval=0.1)
    process.start()
    yield process
    process.stop()


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TLOG_API_KEY", "TLOG_VKEY", "TLOG_STATE"):
        monkeypatch.delenv(name, raising=False)
