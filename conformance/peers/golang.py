"""Peers in Go: built from the modules that `go/go.mod` and `go/go.sum` pin, unmodified."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from conformance.peers.faults import ENTRIES, HEAD, TILES
from conformance.peers.peer import BUILD, TIMEOUT, Log, Result, json_object

MODULE = Path(__file__).parent / "go"
DOWNLOAD_SECONDS = 300.0
BUILD_SECONDS = 400.0
TESSERA = "github.com/transparency-dev/tessera"

_missing: list[str] = []  # one answer for all peers: "" or why Go programs cannot be built here


def go_missing() -> str:
    """ "" if there is Go and the pinned modules are on this machine now, else why not."""
    if not _missing:
        _missing.append(_look())
    return _missing[0]


def _look() -> str:
    if shutil.which("go") is None:
        return "no go"
    done = _go("mod", "download", seconds=DOWNLOAD_SECONDS)
    if done.returncode == 0:
        return ""
    last = done.stderr.strip().splitlines()[-1:] or ["go mod download failed"]
    if "checksum mismatch" in done.stderr or "SECURITY ERROR" in done.stderr:
        raise RuntimeError(f"go.sum does not fit what was downloaded: {last[0]}")
    if "requires go" in done.stderr:
        return f"this go is too old: {last[0]}"
    return f"the Go modules are not to be had: {_without_hosts(last[0])}"


def _without_hosts(line: str) -> str:
    return " ".join(word for word in line.split() if "://" not in word)[:160]


def _go(*arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["go", *arguments],
        cwd=MODULE,
        env={**os.environ, "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def build(package: str) -> Path:
    """Compile one program; its path. Raises: RuntimeError with what the compiler said, for that is our fault."""
    target = BUILD / "bin" / package.rsplit("/", maxsplit=1)[-1]
    target.parent.mkdir(parents=True, exist_ok=True)
    done = _go("build", "-o", str(target), package, seconds=BUILD_SECONDS)
    if done.returncode:
        raise RuntimeError(f"go build {package}: {done.stderr[-2000:]}")
    return target


def run(arguments: Sequence[object]) -> subprocess.CompletedProcess[str]:
    """Run a peer's program to its end, with a time limit that counts as a fault of what it was shown."""
    words = [str(argument) for argument in arguments]
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 124, "", f"no end within {TIMEOUT:.0f} s")


class GoClient:
    """One of the small programs in `go/`, around a library that somebody else wrote."""

    def __init__(self, name: str, package: str, faults: Sequence[str]) -> None:
        self.name = name
        self.command = f"go run ./{package} -url URL/ -vkey VKEY [-old NOTE]"
        self.faults = faults
        self._package = f"./{package}"
        self._program: Path | None = None

    def available(self) -> str:
        """ "" once the program is built, else what is missing."""
        missing = go_missing()
        if not missing:
            self._program = build(self._package)
        return missing

    def run(self, log: Log) -> Result:
        """Show it a log, and an older head if there is one."""
        arguments: list[object] = [self._program, "-url", log.url, "-vkey", log.vkey]
        older = log.older_file()
        done = run([*arguments, *(("-old", older) if older else ())])
        answer = json_object(done.stdout)
        if done.returncode or answer.get("size") != log.size:
            return Result("", done.stderr.strip()[-300:] or f"reads size {answer.get('size')}")
        return Result(str(answer["checked"]))


class Fsck:
    """Tessera's `fsck`: every bundle re-hashed, every tile of every level rebuilt and compared, the root recomputed."""

    name = "tessera fsck"
    command = f"go run {TESSERA}/cmd/fsck --storage_url=URL/ --public_key=FILE --ui=false"
    faults = (*TILES, *ENTRIES, *HEAD)

    def __init__(self) -> None:
        self._program: Path | None = None

    def available(self) -> str:
        """ "" once the program is built, else what is missing."""
        missing = go_missing()
        if not missing:
            self._program = build(f"{TESSERA}/cmd/fsck")
        return missing

    def run(self, log: Log) -> Result:
        """Show it a log. It ends with status 0 whatever it finds, so what it prints is what counts."""
        key = log.work / "fsck.vkey"
        key.write_text(log.vkey, encoding="ascii")
        done = run(
            [
                self._program,
                f"--storage_url={log.url}",
                f"--public_key={key}",
                "--ui=false",
                "--N=2",
            ]
        )
        praise = f"Successfully fsck'd log with size {log.size} "
        if done.returncode or praise not in done.stderr or "fsck failed" in done.stderr:
            return Result("", done.stderr.strip()[-300:])
        return Result("head, every bundle and every tile of every level, byte by byte")


PEERS = (
    GoClient("Go sumdb note, tlog", "sumdb", (*TILES, *ENTRIES, *HEAD)),
    Fsck(),
    GoClient("tessera client", "tesseraclient", (*TILES, *ENTRIES, *HEAD)),
    GoClient("torchwood client", "torchwood", (*TILES, *ENTRIES, *HEAD)),
)
