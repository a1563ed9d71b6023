"""EIO and ENOSPC at each write and sync of one append: the process stops or answers 5xx, and the next start is clean.

strace injects the error into one system call of the running server; all other calls go through.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
import requests

from tests.faults.audit import audit
from tests.faults.process import CODE_HASH, Promise, Server, _promise, free_port, prepared_log

CALLS = ("pwrite64", "pwritev", "fdatasync")
MOST = 12  # no append makes that many calls of one kind


def traceable() -> bool:
    """Whether strace is here and may attach to a process of ours."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode == 0


pytestmark = [
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.skipif(not traceable(), reason="strace is missing or may not trace"),
]


class Appender:
    """Sends one event at a time and repeats it until it is acknowledged."""

    def __init__(self, server: Server, key: str) -> None:
        self._server = server
        self._key = key
        self.sequence = 0
        self.promises: list[Promise] = []

    def attest(self) -> None:
        asked = {"tenant_id": "acme", "agent_id": "scorer", "agent_code_hash": CODE_HASH}
        headers = {"Authorization": f"Bearer {self._key}"}
        answer = requests.post(
            f"{self._server.url}/api/v1/attest", json=asked, headers=headers, timeout=30
        )
        assert answer.status_code == 200, answer.text
        self._headers = {"Authorization": f"Bearer {answer.json()['token']}"}

    def send(self) -> int:
        """Send the next event, or the last one again; the status, 0 for a broken connection."""
        event = {
            "event_class": "EXECUTION",
            "event_type": "t",
            # A new person each time: the vault's file is written too.
            "subject_id": f"person-{self.sequence}",
            "payload": {"n": self.sequence + 1},
            "producer": {"id": "scorer", "sequence": self.sequence + 1},
        }
        url = f"{self._server.url}/api/v1/events"
        try:
            answer = requests.post(url, json=event, headers=self._headers, timeout=30)
        except requests.RequestException:
            return 0
        if answer.status_code in (200, 201):
            self.sequence += 1
            self.promises.append(_promise("scorer", self.sequence, answer.json()))
        return answer.status_code


def inject(server: Server, call: str, error: str, nth: int, appender: Appender) -> tuple[bool, int]:
    """Append one event while the nth `call` fails; whether it did fail, and the answer's status."""
    assert server.process is not None
    trace = server.directory.parent / "trace"
    strace = subprocess.Popen(
        ["strace", "-f", "-p", str(server.process.pid), "-o", trace, "-e", f"trace={call}",
         "-e", f"inject={call}:error={error}:when={nth}"],
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert strace.stderr is not None
    assert b"attached" in strace.stderr.readline()
    time.sleep(0.3)
    status = appender.send()
    time.sleep(0.2)
    strace.terminate()
    strace.communicate()
    return "(INJECTED)" in trace.read_text(), status


def survives(server: Server, appender: Appender, call: str, error: str, nth: int) -> bool:
    """Append with the nth `call` failing, restart, retry, audit; whether there was an nth call."""
    server.start()
    appender.attest()
    time.sleep(0.1)
    hit, status = inject(server, call, error, nth, appender)
    assert status in ((0, 500, 503, 201) if hit else (200, 201)), status
    if hit and status != 201:
        # By itself: a signal that overtook the exit would hide it.
        assert server.wait() == 70, server.log()[-2000:]
    else:
        # An error in what the answer does not wait for (the old slot of a file) may pass unseen.
        assert server.stop() == 0, server.log()[-2000:]
    server.start()
    appender.attest()
    if hit and status != 201:
        assert appender.send() in (200, 201)
    assert server.stop() == 0
    assert audit(server.directory, appender.promises) == 1 + appender.sequence
    return hit


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_each_call_of_an_append_fails_once(tmp_path: Path, error: str) -> None:
    """For every write and sync in turn: an error there loses nothing that was acknowledged."""
    key = prepared_log(tmp_path / "log")
    # Publications write too; here only the append shall.
    quiet = {"publish_interval": 3600, "publish_idle_interval": 3600}
    injected = 0
    with Server(tmp_path / "log", free_port(), **quiet) as server:
        appender = Appender(server, key)
        for call in CALLS:
            for nth in range(1, MOST):
                if not survives(server, appender, call, error, nth):
                    break
                injected += 1
    # At least: data pages, data sync, meta page, guard page, guard sync; and the same for the vault.
    assert injected >= 6
    print(
        f"\n{error} injected at {injected} calls: {appender.sequence} acknowledged, 0 lost, 0 doubled"
    )
