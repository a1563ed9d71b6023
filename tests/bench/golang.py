"""Programs in Go, built into `.build/bench/bin`: the load generator, which needs no modules, and peers, unmodified."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / ".build" / "bench"
BUILD_SECONDS = 400.0


class Missing(Exception):
    """What cannot be built on this machine, and why; no fault of ours."""


def build(module: Path, package: str, **environment: str) -> Path:
    """Compile one program of the module in `module`; its path.

    Raises:
        Missing: no Go, too old a Go, or modules that are not to be had.
        RuntimeError: it does not compile, or a module is not the one that go.sum names.
    """
    if shutil.which("go") is None:
        raise Missing("no go on this machine")
    target = (
        BUILD / "bin" / (package if package != "." else module.resolve().name).rpartition("/")[2]
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder) / target.name
        done = subprocess.run(
            ["go", "build", "-o", str(made), package],
            cwd=module,
            env={
                **os.environ,
                "GOFLAGS": "-mod=readonly -buildvcs=false",
                "GOWORK": "off",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
        if done.returncode:
            raise _why(package, done.stderr)
        made.replace(target)
    return target


def _why(package: str, said: str) -> Exception:
    last = (said.strip().splitlines() or ["go build failed"])[-1]
    short = " ".join(word for word in last.split() if "://" not in word)[:160]
    if "checksum mismatch" in said or "SECURITY ERROR" in said:
        return RuntimeError(f"go.sum does not fit what was downloaded: {short}")
    if "requires go" in said.lower():
        return Missing(f"this go is too old: {short}")
    if "://" in said or "module lookup disabled" in said:
        return Missing(f"the Go modules are not to be had: {short}")
    return RuntimeError(f"go build {package}: {said[-2000:]}")
