"""What a process takes is counted with its children, those that ended included."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.bench.machine import cpu_seconds, fsync_ms, processes, rss_anon, sha256_rate

BURN = "import time\nwhile time.process_time() < 0.3: pass\n"
HOLD = "held = b'x' * (32 << 20)\nprint('ready', flush=True)\ninput()"
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {BURN!r}], check=True)
subprocess.run([sys.executable, "-c", {HOLD!r}], check=True)
"""


def test_children_count() -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", PARENT], **pipes) as parent:  # type: ignore[call-overload]
        assert parent.stdout.readline() == "ready\n"
        assert len(processes(parent.pid)) == 2
        assert cpu_seconds(parent.pid) >= 0.3
        assert rss_anon(parent.pid) >= 32 << 20
        parent.communicate("\n")
    assert parent.pid not in processes(os.getpid())


def test_the_machine_by_itself(tmp_path: Path) -> None:
    assert fsync_ms(tmp_path, 3) > 0
    assert not list(tmp_path.iterdir())
    assert sha256_rate(0.01) > 0.001
