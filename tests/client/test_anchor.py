"""Section 9 of SYEN's guide as it stands, against a log that was anchored by a real authority; and that what the log tells an
auditor to type, says OK, and does not when a byte was changed.
"""

from __future__ import annotations

import asyncio
import builtins
import shutil
import subprocess
import textwrap
import urllib.request
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.client.server import LogProcess
from tests.client.test_guide import GUIDE, sections
from tlog.cli.demo.tsa import Authority
from tlog.client import Anchor
from tlog.client.errors import BadAnswer
from tlog.core.timestamp import build_request
from tlog.core.wire import b64encode


def deliver(log: LogProcess, authority: Authority) -> str:
    """What a witness does: stamp the newest checkpoint, hand it in. The UTC day on which it was."""
    with urllib.request.urlopen(f"{log.url}/checkpoint") as answer:
        note: bytes = answer.read()
    request = build_request(note, (1 << 63) + 1)
    reply = authority.reply(request, chain=True)
    body = {"checkpoint": note.decode(), "request": b64encode(request), "reply": b64encode(reply)}
    sent = urllib.request.Request(
        f"{log.url}/api/v1/anchors",
        orjson.dumps(body),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(sent) as answer:
        assert answer.status == 201
        date: str = orjson.loads(answer.read())["date"]
    return date


def openssl(command: str, directory: Path) -> bool:
    done = subprocess.run(
        command, shell=True, cwd=directory, capture_output=True, text=True, check=False
    )
    return done.returncode == 0 and "Verification: OK" in done.stdout


def test_the_guide_and_the_commands(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("timestamps by OpenSSL need the program openssl")
    code = "\n".join(
        line for line in sections()[9].splitlines() if line.startswith(("anchor =", "print("))
    )
    assert code.count("\n") == 2
    authority = Authority.create(tmp_path / "tsa")
    log = LogProcess(tmp_path / "log", tsa_roots=authority.root, publish_interval=0.05)
    log.start()
    try:
        before = datetime.now(timezone.utc)
        date = deliver(log, authority)
        printed: list[Any] = []

        def show(value: Any) -> None:
            printed.append(value)
            builtins.print(value)

        async def run() -> Anchor:
            async with log.client(tmp_path / "state") as client:
                scope: dict[str, Any] = {"print": show, "client": client}
                body = textwrap.indent(code.replace("2026-03-20", date), "    ")
                exec(compile(f"async def guide():\n{body}\n    return anchor", GUIDE.name, "exec"), scope)  # fmt: skip
                anchor: Anchor = await scope["guide"]()
                return anchor

        anchor = asyncio.run(run())
    finally:
        log.stop()
    status, created = printed
    assert status == "complete"
    assert abs(datetime.fromisoformat(created[:-1] + "+00:00") - before).total_seconds() < 60
    check_commands(anchor, authority, tmp_path / "audit")


def check_commands(anchor: Anchor, authority: Authority, directory: Path) -> None:
    """Each command says OK with the authority's root, also when run as if now were later; and fails for any change."""
    directory.mkdir()
    commands = anchor.save(directory)
    shutil.copy(authority.root, directory / "tsa-roots.pem")
    assert len(commands) == 2
    for command in commands:
        assert openssl(command, directory)
        # Valid ten years on, because the time of the check is genTime; the certificate ends after five.
        head, _, epoch = command.rpartition(" ")
        assert not openssl(f"{head} {int(epoch) + 10 * 366 * 86400}", directory)
    note, request = (next(directory.glob(f"*.{kind}")) for kind in ("note", "tsq"))
    note.write_bytes(note.read_bytes() + b"\n")
    assert [openssl(command, directory) for command in commands] == [False, True]
    request.write_bytes(build_request(b"another", (1 << 63) + 1))
    assert not openssl(commands[1], directory)


STAMP = {
    "checkpoint": "note\n",
    "request": "AA==",
    "reply": "AA==",
    "chain": ["AA=="],
    "files": {
        "checkpoint": "anchor-2026-03-20-1.note",
        "request": "anchor-2026-03-20-1.tsq",
        "reply": "anchor-2026-03-20-1.tsr",
        "chain": "anchor-2026-03-20-1.pem",
    },
    "verify": [
        "openssl ts -verify -data anchor-2026-03-20-1.note -in anchor-2026-03-20-1.tsr"
        " -CAfile tsa-roots.pem -untrusted anchor-2026-03-20-1.pem -attime 1774008000"
    ],
}


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {**STAMP["files"], "reply": "../x.tsr"}},  # type: ignore[dict-item]
        {"files": {**STAMP["files"], "reply": "anchor-2026-03-20-1.tsr\n"}},  # type: ignore[dict-item]
        {"files": {}},
        {"files": None},
        {"reply": "*"},
        {"chain": ["*"]},
        {"checkpoint": 5},
        {"verify": ["rm -r ."]},
        {"verify": [f"{STAMP['verify'][0]}; true"]},
        {"verify": [5]},
    ],
)
def test_a_log_that_tells_something_else(changes: dict[str, Any], tmp_path: Path) -> None:
    """Names lead nowhere else, commands are those; and nothing is written of an answer that is not."""
    good = Anchor("2026-03-20", "complete", timestamps=[STAMP])
    bad = Anchor("2026-03-20", "complete", timestamps=[STAMP, {**STAMP, **changes}])
    with pytest.raises(BadAnswer):
        bad.save(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert good.save(tmp_path) == STAMP["verify"]
    assert len(list(tmp_path.iterdir())) == 4
    assert good.save(tmp_path / "new" / "audit") == STAMP["verify"]
    assert len(list((tmp_path / "new" / "audit").iterdir())) == 4
    assert Anchor("2026-03-20", "missing").save(tmp_path) == []
