"""One byte of the store changed by another process, under a running server: `verified` turns false, `verify` names the
sequence, and no proof is served that does not hold. Whatever byte it was, nothing is an error without a problem document.
"""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.api.deployment import EVENT, STREAM, Site
from tlog.store.layout import RECORD_HEADER

# Replaces bytes of a value of the store by others of the same length: database, old, new (hex).
CHANGE = """
import sys, lmdb
path, name, old, new = sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3]), bytes.fromhex(sys.argv[4])
assert len(old) == len(new)
with lmdb.open(path, map_size=1 << 40, max_dbs=16) as env:
    db = env.open_db(name.encode(), create=False)
    with env.begin(write=True) as txn:
        found = [(key, value) for key, value in txn.cursor(db=db) if old in value]
        assert len(found) == 1, len(found)
        key, value = found[0]
        txn.put(key, value.replace(old, new), db=db)
"""


async def change(directory: Path, database: str, old: bytes, new: bytes) -> None:
    store = str(directory / "log")
    command = [sys.executable, "-c", CHANGE, store, database, old.hex(), new.hex()]
    await asyncio.to_thread(subprocess.run, command, check=True)


async def five(site: Site, after: int = 0) -> list[dict[str, Any]]:
    """Five events of which others fill the rest of a bundle, whose hashes are then stored."""
    receipts = [
        await site.record({**EVENT, "tags": [f"tag-{n}"], "payload": {"n": n}}) for n in range(5)
    ]
    if after:
        assert (await site.batch([EVENT] * after)).status == 201
    return receipts


async def report(site: Site, **parameters: object) -> dict[str, Any]:
    answer = await site.get("/verify", await site.token(), stream_id=STREAM, **parameters)
    assert answer.status == 200
    document: dict[str, Any] = answer.json()
    return document


async def test_a_changed_entry(site: Site, directory: Path) -> None:
    receipts = await five(site, after=300)
    token = await site.token()
    assert (await report(site))["verified"] is True
    await change(directory, "journal", b'"tag-2"', b'"tag-9"')
    event = (await site.get(f"/events/{receipts[2]['event_id']}", token)).json()
    assert (event["verified"], event["tags"]) == (False, ["tag-9"])
    for other in (0, 1, 3, 4):
        shown = (await site.get(f"/events/{receipts[other]['event_id']}", token)).json()
        assert shown["verified"] is True
    found = await report(site)
    assert (found["verified"], found["first_failure_sequence"]) == (False, 3)
    assert found["failures"][0]["sequence"] == 3
    listed = (await site.get("/events", token, limit=1000)).json()["events"]
    assert [one["chainPosition"] for one in listed if not one["verified"]] == [3]
    part = await report(site, from_sequence=4)
    assert part["checked_count"] == 302


async def test_a_changed_entry_whose_hash_is_stored_nowhere_else(
    site: Site, directory: Path
) -> None:
    """After the last full bundle hashes are recomputed: then nothing there can be proven, and nothing is said to be."""
    receipts = await five(site)
    await change(directory, "journal", b'"tag-2"', b'"tag-9"')
    event = (await site.get(f"/events/{receipts[2]['event_id']}", await site.token())).json()
    assert event["verified"] is False
    assert (await report(site))["first_failure_sequence"] == 3


async def test_no_proof_of_a_changed_entry(site: Site, directory: Path) -> None:
    receipts = await five(site)
    token = await site.token()
    await change(directory, "journal", b'"tag-2"', b'"tag-9"')
    tree = {"stream_id": STREAM}
    answers = [
        await site.get(f"/proof/{receipts[2]['event_id']}", token),
        await site.get("/proof/inclusion", token, **tree, leaf_index=3),
        await site.get("/proof/inclusion", token, **tree, leaf_index=3, tree_size=4),
        await site.get("/proof/consistency", token, **tree, first=4, second=5),
    ]
    for answer in answers:
        assert (answer.status, answer.kind) == (500, "corrupt-store")
        assert "recorded" in answer.json()["detail"]


async def test_an_entry_that_is_no_json_any_more(site: Site, directory: Path) -> None:
    receipts = await five(site, after=300)
    token = await site.token()
    await change(directory, "journal", b'"tag-2"]', b'"tag-2"}')
    event = (await site.get(f"/events/{receipts[2]['event_id']}", token)).json()
    assert event == {
        "id": receipts[2]["event_id"],
        "streamId": STREAM,
        "chainPosition": 3,
        "blockHash": event["blockHash"],
        "verified": False,
        "payloadStatus": "withheld",
    }
    listed = (await site.get("/events", token, limit=1000)).json()["events"]
    assert [one["chainPosition"] for one in listed if not one["verified"]] == [3]
    filtered = (await site.get("/events", token, tag="tag-2")).json()["events"]
    assert filtered == []
    assert (await report(site))["first_failure_sequence"] == 3


async def test_a_changed_payload(site: Site, directory: Path) -> None:
    receipts = await five(site)
    located = site.log.reader.event(receipts[2]["event_id"])
    sealed = located.record.sealed
    await change(directory, "journal", sealed, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    event = (await site.get(f"/events/{receipts[2]['event_id']}", await site.token())).json()
    assert (event["verified"], event["payloadStatus"]) == (False, "withheld")
    assert "payload" not in event
    found = await report(site)
    assert [(one["sequence"], one["check"]) for one in found["failures"]] == [(3, "payload")]


async def test_a_payload_that_is_not_the_committed_one(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = await site.record()
    monkeypatch.setattr(
        site.log.vault, "unseal", lambda *_, **__: (b"\0" * 32, [("/payload/x", 1)])
    )
    event = (await site.get(f"/events/{receipt['event_id']}", await site.token())).json()
    assert event["verified"] is False


async def test_a_changed_head_in_the_root_log(site: Site, directory: Path) -> None:
    receipts = await five(site)
    body = base64.b64decode(receipts[4]["root"]["hashes"][0])
    assert len(body) == 32
    origin = site.log.reader.origin(site.log.source.numbers[STREAM])
    root = base64.b64encode(site.log.source.view(site.log.source.numbers[STREAM]).root)
    head = f"{origin}\n6\n".encode() + root
    await change(directory, "journal", head, head[:-3] + b"AA=")
    token = await site.token()
    event = (await site.get(f"/events/{receipts[0]['event_id']}", token)).json()
    assert event["verified"] is False
    listed = (await site.get("/events", token)).json()["events"]
    assert not any(one["verified"] for one in listed)
    answer = await site.get("/sth", token, stream_id=STREAM)
    assert (answer.status, answer.kind) == (500, "corrupt-store")
    assert (await report(site))["verified"] is False


async def test_an_index_that_leads_elsewhere(site: Site, directory: Path) -> None:
    receipts = await five(site)
    located = site.log.reader.event(receipts[2]["event_id"])
    record = located.record
    head = RECORD_HEADER.pack(
        0x01, record.stream, record.index, len(record.entry), len(record.sealed)
    )
    other = RECORD_HEADER.pack(0x01, record.stream, 99, len(record.entry), len(record.sealed))
    await change(directory, "journal", head + record.entry[:40], other + record.entry[:40])
    token = await site.token()
    answer = await site.get(f"/events/{receipts[2]['event_id']}", token)
    assert (answer.status, answer.kind) == (500, "corrupt-store")
    assert (await report(site))["verified"] is False
