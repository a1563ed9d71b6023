"""Peers in Python: `aics-tlog` in an environment of its own, and the roots of `pymerkle`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from conformance.peers.faults import ENTRIES, HEAD, SIGNED_LIE, TILES
from conformance.peers.golang import run
from conformance.peers.peer import (
    BUILD,
    REPOSITORY,
    Log,
    Result,
    checkpoint_lines,
    entries,
    json_object,
)

LOCK = Path(__file__).parent / "aics.lock"
TILES_PY = REPOSITORY / "conformance" / "verifier" / "tiles.py"
OLDEST = (3, 12)
INSTALL_SECONDS = 300.0

_missing: list[str] = []


def interpreters() -> Iterator[str]:
    """Programs that may be a Python of at least `OLDEST`: this one, those on the path, those that pyenv keeps."""
    yield sys.executable
    for minor in range(20, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            yield found
    pyenv = shutil.which("pyenv")
    if pyenv:
        root = subprocess.run(
            [pyenv, "root"], capture_output=True, text=True, check=False
        ).stdout.strip()
        for found_path in sorted(Path(root, "versions").glob("3.*/bin/python3"), reverse=True):
            yield str(found_path)


def _new_enough(program: str) -> bool:
    code = f"import ensurepip, sys, venv; sys.exit(sys.version_info < {OLDEST})"
    try:
        return (
            subprocess.run(
                [program, "-c", code], capture_output=True, check=False, timeout=20
            ).returncode
            == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def aics_missing() -> str:
    """ "" if the environment with the aics packages stands, else why not."""
    if not _missing:
        _missing.append(_install())
    return _missing[0]


def _install() -> str:
    stamp, lock = BUILD / "aics" / "installed.lock", LOCK.read_bytes()
    if stamp.is_file() and stamp.read_bytes() == lock:
        return ""
    python = next((program for program in interpreters() if _new_enough(program)), None)
    if python is None:
        return f"no Python {OLDEST[0]}.{OLDEST[1]} or newer with venv"
    shutil.rmtree(BUILD / "aics", ignore_errors=True)
    BUILD.mkdir(parents=True, exist_ok=True)
    subprocess.run([python, "-m", "venv", str(BUILD / "aics")], check=True, capture_output=True)
    pip = [str(BUILD / "aics" / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input"]
    options = ["--disable-pip-version-check", "--require-hashes", "-r", str(LOCK)]
    done = subprocess.run(
        [*pip, *options], capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS
    )
    if done.returncode == 0:
        stamp.write_bytes(lock)
        return ""
    if "HASHES" in done.stderr:
        raise RuntimeError(f"aics.lock does not fit what was downloaded: {done.stderr[-1000:]}")
    return "the pinned packages are not to be had from the registry"


def aics_program(name: str) -> Path:
    """A program of that environment: `aics-tlog` or `aics-witness`."""
    return BUILD / "aics" / "bin" / name


class AicsTlog:
    """`aics-tlog verify-checkpoint`, `verify-inclusion`, `verify-consistency`."""

    name = "aics-tlog"
    command = "aics-tlog verify-checkpoint | verify-inclusion | verify-consistency --tiles URL/ --log-key VKEY --origin ORIGIN"
    faults = ("tile-byte-flipped", "stale-partial", SIGNED_LIE, *HEAD)

    def available(self) -> str:
        """ "" once it is installed, else what is missing."""
        return aics_missing()

    def run(self, log: Log) -> Result:
        """The head; the first, a middle and the last entry; growth from an older head."""
        faults = [self._verify(log, "verify-checkpoint")]
        for index in sorted({0, log.size // 2, log.size - 1}):
            faults.append(
                self._verify(
                    log, "verify-inclusion", "--index", str(index), *self._leaf(log, index)
                )
            )
        checked = "head, entries by inclusion from tiles"
        older = log.older_file()
        if older:
            checked += f", growth from {checkpoint_lines(log.older)[1]}"
            faults.append(self._verify(log, "verify-consistency", "--old-checkpoint", str(older)))
        return Result(checked, next((fault for fault in faults if fault), ""))

    def _leaf(self, log: Log, index: int) -> tuple[str, str]:
        path = log.work / "aics-leaf"
        first = index - index % 256
        path.write_bytes(entries(log, first // 256)[index - first])
        return "--leaf", str(path)

    def _verify(self, log: Log, command: str, *options: str) -> str:
        known = ["--tiles", log.url, "--log-key", log.vkey, "--origin", log.origin]
        done = run([aics_program("aics-tlog"), command, *known, *options])
        if done.returncode == 0 and json_object(done.stdout).get("ok") is True:
            return ""
        return f"{command}: {(done.stdout + done.stderr).strip()[-300:]}"


class Pymerkle:
    """The root of all entries, by a tree that somebody else wrote. It knows no tiles and no signatures."""

    name = "pymerkle"
    command = "InmemoryTree().append_entry(…) of every entry, get_root()"
    faults = ENTRIES

    def available(self) -> str:
        """ "" if it is installed with the rest of the development packages."""
        return "" if find_spec("pymerkle") else "pymerkle is not installed"

    def run(self, log: Log) -> Result:
        """Hash all entries; compare with the root of the head."""
        from pymerkle import InmemoryTree

        tree = InmemoryTree(algorithm="sha256")
        try:
            for entry in entries(log):
                tree.append_entry(entry)
        except ValueError as error:
            return Result("", str(error))
        # Version 6, the newest for Python 3.10, has the same thing under another name.
        root = tree.get_root() if hasattr(tree, "get_root") else tree.get_state()
        _, size, expected = checkpoint_lines(log.checkpoint)
        if (size, expected) != (log.size, root):
            return Result(
                "", f"the root of {log.size} entries is {root.hex()}, not {expected.hex()}"
            )
        return Result("root of every entry")


class IndependentVerifier:
    """`verifier/tiles.py` of this repository: no peer, but what an outsider gets who has nothing but Python."""

    name = "verifier/tiles.py"
    command = "python conformance/verifier/tiles.py URL --vkey VKEY [--older NOTE]"
    faults = (*TILES, *ENTRIES, *HEAD)

    def available(self) -> str:
        """Always: it is here."""
        return ""

    def run(self, log: Log) -> Result:
        """Every entry, every tile, the root, growth."""
        older = log.older_file()
        options = ["--older", older] if older else []
        done = run([sys.executable, TILES_PY, log.url, "--vkey", log.vkey, *options])
        lines = done.stdout.splitlines()
        if (
            done.returncode
            or lines[-1:] != ["VERIFIED"]
            or f"[1] {log.size} entries, signed" not in lines
        ):
            return Result("", (done.stdout + done.stderr).strip()[-300:])
        return Result("head, every entry, every tile of every level, growth" if older else "")


PEERS = (AicsTlog(), Pymerkle(), IndependentVerifier())
