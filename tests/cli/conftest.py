"""A log that is served by a real process, with events in it, and the command line called in this process."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.paths import REPOSITORY
from tlog.cli import main
from tlog.cli.demo.processes import Server, environment, tlog
from tlog.client.sync import AuditClient, EventClass

ORIGIN = "log.example.com"
STREAM = "acme:prod:scorer"
PUBLIC = "acme:prod:public"
EVENTS = 5


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str


Call = Callable[..., Answer]


@dataclass(frozen=True)
class Served:
    """A running server: directory, address, vkey, keys, and where a proof and a receipt of it are."""

    directory: Path
    url: str
    vkey: str
    key: str
    proof: Path
    receipt: Path


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("TLOG_API_KEY", "TLOG_VKEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TLOG_STATE", str(tmp_path / "state"))


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command line in this process."""

    def run(*arguments: str | Path) -> Answer:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return run


def new_log(directory: Path) -> str:
    """Make a log that publishes quickly; its vkey."""
    vkey = tlog("init", directory, "--origin", ORIGIN).strip()
    with (directory / "tlog.toml").open("a") as settings:
        settings.write("publish_interval = 0.1\n")
    return vkey


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a private stream of `EVENTS` events and an empty public one."""
    home = tmp_path_factory.mktemp("served")
    directory = home / "log"
    vkey = new_log(directory)
    key = tlog("tenant", "create", directory, "acme").strip()
    server = Server(directory, 0, home / "server.log")
    try:
        tlog("stream", "create", directory, PUBLIC, "--public")
        with AuditClient(
            base_url=server.url,
            tenant_id="acme",
            agent_id="scorer",
            agent_code_hash="a" * 64,
            api_key=key,
            vkey=vkey,
            state_dir=home / "state",
        ) as client:
            for number in range(EVENTS):
                receipt = client.ingest(
                    event_class=EventClass.EXECUTION, event_type="t", payload={"n": number}
                )
            client.get_proof(receipt.event_id, wait="published").save(home / "proof.json")
            receipt.save(home / "receipt.json")
        yield Served(directory, server.url, vkey, key, home / "proof.json", home / "receipt.json")
    finally:
        server.stop()


@dataclass(frozen=True)
class Told:
    """What a run of the demo printed, and the directory that it worked in."""

    text: str
    home: Path


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """One run of the demo as a newcomer runs it, for all tests of all processes that test. Nothing in it may be changed."""
    pytest.importorskip("sklearn", reason="the demo needs scikit-learn")
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    home, text = base / "demo-home", base / "demo.txt"
    with (base / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not text.exists():
            done = subprocess.run(
                [sys.executable, "-m", "tlog", "demo", "--dir", home],
                cwd=REPOSITORY,
                env=environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert done.stderr == ""
            text.write_text(done.stdout)
    return Told(text.read_text(), home)
