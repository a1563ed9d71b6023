"""Proves what a client does whose state directory goes away under it: nobody waits for ever, nothing is hidden."""

from __future__ import annotations

import asyncio
import gc
import shutil
from pathlib import Path

import pytest

from tests.client.server import LogProcess
from tests.client.test_end_to_end import lean
from tests.client.trees import RootLog
from tlog.client import ReceiptRejected, StateUnusable
from tlog.client.heads import HeadKeeper
from tlog.client.pins import Pins
from tlog.client.session import Session
from tlog.client.transport import Answer
from tlog.core.hashes import Hash
from tlog.core.note import parse_vkey

pytestmark = pytest.mark.e2e


def lose(state: Path) -> None:
    """A file stands where the directory was."""
    shutil.rmtree(state)
    state.write_bytes(b"")


@pytest.mark.parametrize("count", [1, 3])
async def test_a_lie_is_told_without_its_evidence(
    log: LogProcess, tmp_path: Path, count: int
) -> None:
    client = log.client(tmp_path / "state")
    await client.ingest(**lean())
    await client.aclose()
    client = log.client(tmp_path / "state")
    await client.attest()
    lose(tmp_path / "state")

    async def post(session: Session, stream_id: str, events: object) -> Answer:
        return Answer(201, None, b"{}")

    client._link.post = post  # type: ignore[assignment, method-assign]
    calls = [client.ingest(**lean(number)) for number in range(count)]
    for error in await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 20):
        assert isinstance(error, ReceiptRejected)
        assert error.evidence is None
        assert "could not be kept" in str(error)
    await client.aclose()


async def test_events_go_on_and_the_end_tells(
    log: LogProcess, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = log.client(tmp_path / "state")
    await client.ingest(**lean())
    lose(tmp_path / "state")
    await asyncio.sleep(1.2)  # the heads are checked, and cannot be kept
    await client.ingest(**lean())
    with pytest.raises(StateUnusable, match="state_dir="):
        await client.aclose()
    gc.collect()
    assert not caplog.records


async def test_heads_that_could_not_be_kept_are_kept_later(tmp_path: Path) -> None:
    tree = RootLog(5)

    async def prove(first: int, second: int) -> list[Hash]:
        return tree.proof(first, second)

    state = tmp_path / "state"
    heads = HeadKeeper(Pins(state), parse_vkey(tree.vkey), prove)
    state.write_bytes(b"")
    heads.observe(tree.head(3).checkpoint, tree.head(3).note)
    with pytest.raises(StateUnusable):
        await heads.check()
    state.unlink()
    await heads.check()
    assert Pins(state).head(tree.verifier) == tree.head(3)
