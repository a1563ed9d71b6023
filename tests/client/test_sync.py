"""Proves that the blocking twin does what the other does, from any thread, and ends its own thread."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.client.server import LogProcess
from tests.client.test_end_to_end import FULL, lean
from tlog import client as asynchronous
from tlog.client import InvalidInput, Refused, sync


def blocking(log: LogProcess, state: Path, **options: Any) -> sync.AuditClient:
    made = log.client(state)
    return sync.AuditClient(
        made._link.transport.base_url,
        "acme",
        options.pop("agent_id", "blocking"),
        "5" * 64,
        api_key=log.api_key,
        vkey=log.vkey,
        state_dir=state,
        **options,
    )


def test_the_same_names() -> None:
    public = {name for name in vars(asynchronous.AuditClient) if not name.startswith("_")}
    assert public <= {name for name in vars(sync.AuditClient) if not name.startswith("_")}
    assert sync.SYENAuditClient is sync.AuditClient
    assert sync.EventClass is asynchronous.EventClass
    for name in public:
        assert not inspect.iscoroutinefunction(getattr(sync.AuditClient, name))


def test_everything_without_an_event_loop(log: LogProcess, tmp_path: Path) -> None:
    with blocking(log, tmp_path) as client:
        assert client.attest().stream_id == "acme:prod:blocking"
        receipt = client.ingest(**FULL)
        assert receipt.sequence_counter == 1
        receipts = client.ingest_many([lean(number) for number in range(20)])
        assert len(receipts) == 20
        assert client.verify().tree_size == 22
        assert client.get_event(receipt.event_id)["payload"] == FULL["payload"]
        assert client.get_proof(receipt.event_id, wait="published").verify().verified
        listed = list(client.events("acme:prod:blocking", page=6))
        assert listed[-1]["chainPosition"] == 21
        with pytest.raises(InvalidInput):
            client.ingest(event_type="x", payload={})
        with pytest.raises(Refused):
            client.get_event("evt_" + "0" * 26)
        with pytest.raises(InvalidInput):
            client.get_anchor("never")
        for event in client.events("acme:prod:blocking"):
            assert event["verified"]
            break


def test_threads_share_batches(log: LogProcess, tmp_path: Path) -> None:
    with blocking(log, tmp_path, agent_id="threads") as client, ThreadPoolExecutor(16) as pool:
        receipts = list(pool.map(lambda number: client.ingest(**lean(number)), range(200)))
    assert sorted(receipt.sequence_counter for receipt in receipts) == list(range(1, 201))
    heads = {receipt.root["tree_size"] for receipt in receipts}
    assert len(heads) < 150


def test_closing_ends_the_thread(log: LogProcess, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    client = blocking(log, tmp_path)
    assert set(threading.enumerate()) - before
    client.ingest(**lean())
    client.close()
    client.aclose()
    assert not set(threading.enumerate()) - before
    with pytest.raises(RuntimeError, match="closed"):
        client.ingest(**lean())


@pytest.mark.parametrize("closers", [1, 2])
def test_closing_leaves_no_thread_waiting(log: LogProcess, tmp_path: Path, closers: int) -> None:
    client = blocking(log, tmp_path, agent_id=f"closing{closers}")
    client.ingest(**lean())
    ends: list[BaseException] = []
    receipts: list[str] = []

    def write() -> None:
        try:
            while True:
                receipts.append(client.ingest(**lean()).event_id)
        except BaseException as error:
            ends.append(error)

    def read() -> None:
        try:
            while True:
                client.verify()
        except BaseException as error:
            ends.append(error)

    busy = [threading.Thread(target=one, daemon=True) for one in (write, write, write, read)]
    for thread in busy:
        thread.start()
    time.sleep(0.2)
    closing = [threading.Thread(target=client.close, daemon=True) for _ in range(closers)]
    for thread in closing:
        thread.start()
    for thread in (*busy, *closing):
        thread.join(20)
        assert not thread.is_alive()
    assert [type(error) for error in ends[:3]] == [RuntimeError] * 3
    with blocking(log, tmp_path, agent_id=f"closing{closers}") as reader:
        assert reader.verify().tree_size == 2 + len(receipts)


def test_it_works_beside_a_running_loop(log: LogProcess, tmp_path: Path) -> None:
    async def main() -> None:
        with blocking(log, tmp_path) as client:
            assert client.ingest(**lean()).event_id.startswith("evt_")

    asyncio.run(main())
