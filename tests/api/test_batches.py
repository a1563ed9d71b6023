"""Batches: all or nothing, an array or lines, new and replayed events mixed, and each limit at its edge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.api.deployment import EVENT, STREAM, Answer, Keys, Site, serve
from tlog.core.receipt import verify_batch

LINES = {"Content-Type": "application/x-ndjson"}


def numbered(sequence: int, **members: object) -> dict[str, object]:
    return {**EVENT, **members, "producer": {"id": "scorer", "sequence": sequence}}


async def send(site: Site, data: bytes, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await site.call(
        "POST", "/api/v1/events/batch", await site.token(), data=data, headers=named
    )


async def test_an_array_and_lines_record_the_same(site: Site) -> None:
    events = [{**EVENT, "payload": {"n": n}} for n in range(600)]
    array = await site.batch(events)
    lines = await send(site, b"\n".join(orjson.dumps(event) for event in events) + b"\n", **LINES)
    for answer, first in ((array, 1), (lines, 601)):
        assert answer.status == 201
        verified = verify_batch(answer.json(), site.verifier)
        assert [one.leaf_index for one in verified] == list(range(first, first + 600))
    assert array.json()["ranges"][STREAM]["last"] == 600
    site.check()


async def test_one_bad_event_refuses_all(site: Site) -> None:
    await site.token()
    before = site.root
    events: list[dict[str, Any]] = [dict(EVENT) for _ in range(40)]
    events[17] = {**EVENT, "payload": {"x": 1}, "severity": "LOUD"}
    for answer in (
        await site.batch(events),
        await send(site, b"\n".join(map(orjson.dumps, events)), **LINES),
    ):
        assert (answer.status, answer.kind) == (422, "invalid-value")
        assert answer.json()["pointer"] == "/17/severity"
    assert site.root == before


@pytest.mark.parametrize(
    ("line", "kind", "pointer"),
    [
        (b'{"payload":{"x":1,"x":2}}', "duplicate-member", "/1/payload/x"),
        (b'{"payload":{"x":1e999}}', "number-out-of-range", "/1/payload/x"),
        (b"", "invalid-json", "/1"),
        (b"[]", "wrong-type", "/1"),
    ],
)
async def test_a_fault_in_a_line_or_an_item_is_pointed_at(
    site: Site, line: bytes, kind: str, pointer: str
) -> None:
    event = orjson.dumps(EVENT)
    answer = await send(site, event + b"\n" + line + b"\n" + event, **LINES)
    assert (answer.kind, answer.json()["pointer"]) == (kind, pointer)
    if kind != "invalid-json":
        answer = await send(site, b"[%b,%b,%b]" % (event, line, event))
        assert (answer.kind, answer.json()["pointer"]) == (kind, pointer)


@pytest.mark.parametrize(
    ("data", "headers", "kind"),
    [
        (b"[]", {}, "empty-batch"),
        (b"", LINES, "empty-batch"),
        (b"{}", {}, "wrong-type"),
        (b"", {}, "invalid-json"),
        (b"[" + b"1," * 10_000 + b"1]", {}, "too-many-events"),
        (b"\n" * 10_001, LINES, "too-many-events"),
    ],
)
async def test_how_many(site: Site, data: bytes, headers: dict[str, str], kind: str) -> None:
    answer = await send(site, data, **headers)
    assert answer.kind == kind
    assert answer.status == {"invalid-json": 400, "too-many-events": 413}.get(kind, 422)


@pytest.mark.parametrize(("levels", "status"), [(30, 201), (31, 400)])
async def test_an_event_is_nested_as_deep_as_alone(site: Site, levels: int, status: int) -> None:
    """Clients put events together that did not know of each other: none may be refused for its company."""
    deep: object = 1
    for _ in range(levels):
        deep = [deep]
    event = {**EVENT, "payload": {"x": deep}}
    answers = [
        await site.post(event),
        await site.batch([EVENT, event]),
        await send(site, orjson.dumps(event), **LINES),
    ]
    assert [answer.status for answer in answers] == [status] * 3
    if status == 400:
        pointers = [answer.json()["pointer"] for answer in answers]
        assert pointers == [at + "/payload/x" + "/0" * 30 for at in ("", "/1", "/0")]
        assert {answer.kind for answer in answers} == {"too-deep"}


async def test_ten_thousand_events_and_no_more(site: Site) -> None:
    event = orjson.dumps(EVENT)
    answer = await send(site, b"[" + b",".join([event] * 10_000) + b"]", Prefer="return=minimal")
    assert answer.status == 201
    assert len(answer.json()["receipts"]) == 10_000
    assert (answer.json()["heads"], answer.json()["ranges"]) == ({}, {})
    before = site.root
    answer = await send(site, b"[" + b",".join([event] * 10_001) + b"]")
    assert (answer.status, answer.kind) == (413, "too-many-events")
    assert site.root == before


async def test_sixteen_mebibytes_and_no_more(site: Site) -> None:
    event = orjson.dumps(EVENT)
    limit = 16 * 1024 * 1024
    data = b"[" + event + b"]"
    answer = await send(site, data + b" " * (limit - len(data)))
    assert answer.status == 201
    before = site.root
    answer = await send(site, data + b" " * (limit - len(data) + 1))
    assert (answer.status, answer.kind) == (413, "body-too-large")
    assert site.root == before


async def test_replayed_and_new_events_mixed(site: Site) -> None:
    first = (await site.batch([numbered(1), numbered(2), numbered(3)])).json()
    answer = await site.batch([numbered(2), numbered(3), numbered(4), EVENT, numbered(5)])
    assert answer.status == 201
    receipts = answer.json()["receipts"]
    assert [receipt["replayed"] for receipt in receipts] == [True, True, False, False, False]
    assert [receipt["sequence_counter"] for receipt in receipts] == [2, 3, 4, 5, 6]
    assert receipts[0]["event_id"] == first["receipts"][1]["event_id"]
    assert receipts[0]["salt"] == first["receipts"][1]["salt"]
    verify_batch(answer.json(), site.verifier)
    again = await site.batch([numbered(2), numbered(3)])
    assert again.status == 200
    assert all(receipt["replayed"] for receipt in again.json()["receipts"])
    verify_batch(again.json(), site.verifier)
    site.check()


async def test_a_sequence_twice_in_one_batch(site: Site) -> None:
    answer = await site.batch([numbered(1), numbered(1)])
    assert answer.status == 201
    receipts = answer.json()["receipts"]
    assert receipts[0]["event_id"] == receipts[1]["event_id"]
    assert [receipt["replayed"] for receipt in receipts] == [False, True]
    before = site.root
    conflict = await site.batch([numbered(2), numbered(2, severity="ERROR")])
    assert (conflict.status, conflict.kind) == (409, "conflict")
    assert conflict.json()["pointer"] == "/1/producer/sequence"
    gap = await site.batch([numbered(2), numbered(4)])
    assert (gap.status, gap.json()["expected"]) == (409, 3)
    assert gap.json()["pointer"] == "/1/producer/sequence"
    assert site.root == before


async def test_a_batch_of_one(site: Site) -> None:
    answer = await site.batch([EVENT])
    assert answer.status == 201
    assert len(verify_batch(answer.json(), site.verifier)) == 1
    minimal = await site.batch([EVENT], Prefer="return=minimal")
    assert minimal.json()["ranges"] == {}


async def test_a_refused_batch_leaves_no_person_behind(site: Site) -> None:
    person = {"type": "USER", "id": "jane@example.com"}
    bad = [{**EVENT, "actor": person}, {**EVENT, "severity": "LOUD"}]
    assert (await site.batch(bad)).status == 422
    await site.record()  # makes durable what is pending
    assert site.log.vault.find_pseudonym("acme", "usr", "jane@example.com") is None
    await site.record({**EVENT, "actor": person})
    assert site.log.vault.find_pseudonym("acme", "usr", "jane@example.com") is not None


async def test_settings_of_a_smaller_log(template: tuple[Path, Keys], directory: Path) -> None:
    async with serve(directory, template[1], max_batch=2, max_body=2000) as site:
        assert (await site.batch([EVENT] * 2)).status == 201
        assert (await site.batch([EVENT] * 3)).kind == "too-many-events"
        long = {**EVENT, "payload": {"x": "a" * 2000}}
        assert (await site.post(long)).kind == "body-too-large"
        assert json.loads((await site.get("/health")).body)["status"] == "ok"
