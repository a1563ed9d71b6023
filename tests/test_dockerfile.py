"""The image, as far as it can be shown without a container engine: what it runs as, what goes in, that its commands work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.paths import REPOSITORY

# Stage, what it runs, its port.
SERVERS = [("log", "tlog", "8080"), ("witness", "witness", "7380")]
HEALTH = {"8080": "/api/v1/health", "7380": "/health"}

PIN = re.compile(r"^([a-z0-9.-]+)==(\S+)(?: ; .*?)? \\$", re.MULTILINE)


def instructions() -> list[tuple[str, str]]:
    """(INSTRUCTION, arguments), continuation lines joined, comments left out."""
    text = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [
        (words[0].upper(), words[2])
        for line in joined.splitlines()
        if (words := line.partition(" "))[0]
    ]


def stages() -> dict[str, list[tuple[str, str]]]:
    """Stage name -> its instructions, those of the stages that it is built from first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for instruction, arguments in instructions():
        if instruction == "FROM":
            base, _, name = arguments.partition(" AS ")
            found[name] = list(found.get(base, ()))
        elif found:
            found[name].append((instruction, arguments))
    return found


def last(stage: str, instruction: str) -> str:
    """The arguments that count: those of the last such instruction."""
    return [arguments for name, arguments in stages()[stage] if name == instruction][-1]


def test_default_stage_is_the_log_and_every_base_is_the_argument() -> None:
    assert list(stages())[-1] == "log"
    bases = [arguments.split()[0] for name, arguments in instructions() if name == "FROM"]
    names = list(stages())
    assert all(base == "${PYTHON}" or base in names[:i] for i, base in enumerate(bases))
    assert ("ARG", "PYTHON=python:3.12-slim") in instructions()


@pytest.mark.parametrize(("stage", "program", "port"), SERVERS)
def test_servers_run_as_nobody_in_particular(stage: str, program: str, port: str) -> None:
    user = last(stage, "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "numeric, so that runAsNonRoot can be checked"
    assert last(stage, "VOLUME") == "/data"
    assert last(stage, "EXPOSE") == port
    assert json.loads(last(stage, "ENTRYPOINT")) == [program]
    command, directory, *listen = json.loads(last(stage, "CMD"))
    assert (command, directory.rpartition("/")[0]) == ("serve", "/data")
    assert listen == ["--listen", f"0.0.0.0:{port}"]


def test_nothing_is_fetched_but_what_the_lock_pins() -> None:
    assert "ADD" not in [name for name, _ in instructions()]
    for name, arguments in instructions():
        if name == "RUN":
            assert not re.search(r"\b(curl|wget|apt-get|apt|git)\b", arguments)
            if "pip install" in arguments:
                assert "--require-hashes -r" in arguments or "--no-deps" in arguments


def test_copied_files_exist_and_are_sent_to_the_engine() -> None:
    rules = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").split("\n")
    kept = {rule[1:] for rule in rules if rule.startswith("!")}
    assert "*" in rules
    for name, arguments in instructions():
        if name == "COPY" and not arguments.startswith("--from="):
            for source in arguments.split()[:-1]:
                assert (REPOSITORY / source).exists(), source
                assert source in kept, f".dockerignore keeps {source} away"
    secrets = ["tlog.key", "log.key", ".venv/x", ".git/config", "demo-log/keys/data.mdb"]
    assert not any(fnmatch(path.split("/")[0], rule) for path in secrets for rule in kept)


def test_image_has_what_was_tested_and_all_that_it_needs() -> None:
    tested = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
    image = (REPOSITORY / "requirements-image.lock").read_text(encoding="utf-8")
    pins = PIN.findall(image)
    assert len(pins) == len(re.findall("==", re.sub(r" ; .*", "", image)))
    assert set(pins) <= set(PIN.findall(tested))
    assert set(re.findall(r"sha256:\w+", image)) <= set(re.findall(r"sha256:\w+", tested))
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    wanted = {
        re.sub(r"[\[<>=~;].*", "", quoted).strip()
        for block in re.findall(
            r"^(?:dependencies|server|witness) = \[(.*?)\]$", project, re.M | re.S
        )
        for quoted in re.findall(r'"([^"]+)"', block)
    }
    assert {"aiohttp", "lmdb", "uvloop", "pymerkle"} <= wanted
    assert wanted <= {name for name, _ in pins}
    assert "pytest" not in {name for name, _ in pins}


@contextmanager
def _server(status: int, path: str) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == path else 500)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def _health(stage: str, standard: str, port: int) -> int:
    command = json.loads(last(stage, "HEALTHCHECK").partition("CMD ")[2])
    assert command[:2] == ["python", "-c"]
    assert command[2].count(standard) == 1
    code = command[2].replace(standard, str(port))
    environ = {**os.environ, "http_proxy": "http://127.0.0.1:9"}
    run = [sys.executable, "-c", code]
    return subprocess.run(run, env=environ, capture_output=True, check=False).returncode


@pytest.mark.parametrize(("stage", "_program", "standard"), SERVERS)
def test_health_check_tells_a_healthy_server_from_another(
    stage: str, _program: str, standard: str
) -> None:
    with _server(200, HEALTH[standard]) as port:
        assert _health(stage, standard, port) == 0
    assert _health(stage, standard, port) != 0
    with _server(503, HEALTH[standard]) as port:
        assert _health(stage, standard, port) != 0


@pytest.mark.slow
def test_installed_package_is_whole(tmp_path: Path) -> None:
    """The build's own last command, into a folder; then the entry point, with the checkout out of sight."""
    (command,) = [
        arguments
        for name, arguments in stages()["build"]
        if name == "RUN" and "--no-build-isolation" in arguments
    ]
    pip = [sys.executable, "-m", *command.split(), "--quiet", "--target", str(tmp_path)]
    subprocess.run(pip, cwd=REPOSITORY, check=True)
    for package in ("tlog", "witness"):
        source = REPOSITORY / package
        for file in source.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                copy = tmp_path / package / file.relative_to(source)
                assert copy.read_bytes() == file.read_bytes()
    # Not measured: the report would look for the sources in a folder that is gone by then.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    environ["PYTHONPATH"] = str(tmp_path)
    where = subprocess.run(
        [sys.executable, "-c", "import tlog; print(tlog.__file__)"],
        cwd=tmp_path,
        env=environ,
        check=True,
        capture_output=True,
        text=True,
    )
    assert where.stdout.strip() == str(tmp_path / "tlog" / "__init__.py")
    for stage, _, _ in SERVERS:
        entry = json.loads(last(stage, "ENTRYPOINT"))
        run = [sys.executable, str(tmp_path / "bin" / entry[0]), "--help"]
        shown = subprocess.run(
            run, cwd=tmp_path, env=environ, check=True, capture_output=True, text=True
        )
        assert "serve" in shown.stdout
