"""GET /verify of a long stream is done by a process of its own: the same answer, one at a time, ended when nobody waits."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.api.deployment import EVENT, STREAM, Site
from tests.api.test_lies import change
from tlog.examiners import aside, messages


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.subprocess.Process]:
    """The processes that were started; every verification starts one."""
    started: list[asyncio.subprocess.Process] = []
    start = asyncio.create_subprocess_exec

    async def remember(*command: str, **more: Any) -> asyncio.subprocess.Process:
        child = await start(*command, **more)
        started.append(child)
        return child

    monkeypatch.setattr(asyncio, "create_subprocess_exec", remember)
    monkeypatch.setattr("tlog.api.verify._AT_ONCE", -1)
    return started


async def test_the_answer_is_the_same(
    site: Site,
    processes: list[asyncio.subprocess.Process],
    monkeypatch: pytest.MonkeyPatch,
    directory: Path,
) -> None:
    """Byte for byte, of a whole stream and a part, honest and not; each process has ended by then."""
    assert (await site.batch([{**EVENT, "tags": [f"tag-{n}"]} for n in range(300)])).status == 201
    token = await site.token()
    for lie in (False, True):
        if lie:
            await change(directory, "journal", b'"tag-2"', b'"tag-x"')
        for bounds in ({}, {"from_sequence": 2, "to_sequence": 270}):
            aside_answer = await site.get("/verify", token, stream_id=STREAM, **bounds)
            with monkeypatch.context() as patch:
                patch.setattr("tlog.api.verify._AT_ONCE", 10_000)
                here = await site.get("/verify", token, stream_id=STREAM, **bounds)
            assert aside_answer.status == here.status == 200
            assert aside_answer.body == here.body
            assert here.json()["verified"] is not lie
    assert len(processes) == 4
    assert {child.returncode is not None for child in processes} == {True}


async def test_a_process_that_dies_is_an_error(
    site: Site, processes: list[asyncio.subprocess.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never a verdict: try again."""
    await site.record()
    monkeypatch.setattr(aside, "command", lambda _: ["sleep", "0"])
    answer = await site.get("/verify", await site.token(), stream_id=STREAM)
    assert (answer.status, answer.kind) == (503, "busy")


async def test_an_error_of_the_process_is_the_answer(
    site: Site,
    processes: list[asyncio.subprocess.Process],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A store that it cannot open is said as it would be here."""
    await site.record()
    (tmp_path / "data.mdb").write_bytes(b"short")
    monkeypatch.setattr("tlog.api.verify._setup", lambda _: messages.Setup(str(tmp_path), None))
    answer = await site.get("/verify", await site.token(), stream_id=STREAM)
    assert (answer.status, answer.kind) == (500, "corrupt-store")


async def test_nobody_waits_any_more(
    site: Site, processes: list[asyncio.subprocess.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client hangs up: the process is ended, and the next one has its turn."""
    await site.record()
    token = await site.token()
    with monkeypatch.context() as patch:
        patch.setattr(aside, "command", lambda _: ["sleep", "600"])
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(site.get("/verify", token, stream_id=STREAM), 1)
        deadline = time.monotonic() + 20
        while processes[0].returncode is None:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
    with pytest.raises(ProcessLookupError):
        os.kill(processes[0].pid, 0)
    assert (await site.get("/verify", token, stream_id=STREAM)).json()["verified"]
