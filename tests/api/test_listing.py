"""Listing: each filter, `from` inclusive and `to` exclusive, pages to the end without loss or repetition while events are
added, and no cursor that reads what no page would show.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tlog.listing
from tests.api.deployment import EVENT, STREAM, Keys, Site, serve
from tlog.core.times import format_ms
from tlog.listing import Filter, Listing

SECOND = "acme:prod:second"


async def page(site: Site, token: str, **filters: object) -> dict[str, Any]:
    answer = await site.get("/events", token, **filters)
    assert answer.status == 200, answer
    document: dict[str, Any] = answer.json()
    return document


async def everything(site: Site, token: str, **filters: object) -> list[dict[str, Any]]:
    """All pages."""
    events: list[dict[str, Any]] = []
    cursor: dict[str, object] = {}
    while True:
        document = await page(site, token, **filters, **cursor)
        events += document["events"]
        if document["next_cursor"] is None:
            return events
        cursor = {"cursor": document["next_cursor"]}


async def fill(site: Site) -> list[dict[str, Any]]:
    """Ten events that differ in what filters look at; their receipts."""
    token = await site.token(site.keys.create)
    person = {"type": "USER", "id": "jane@example.com"}
    varied = [
        {},
        {"event_class": "OUTCOME"},
        {"event_type": "loan.approved"},
        {"event_type": 'quote " and \\ backslash'},
        {"model_id": "mdl_abc123"},
        {"severity": "ERROR"},
        {"tags": ["credit-risk", "high-value"]},
        {"actor": person},
        {"actor": {"type": "SERVICE", "id": "svc_scorer_api"}},
        {"stream_id": SECOND},
    ]
    return [await site.record({**EVENT, **one}, token) for one in varied]


FILTERS: list[tuple[dict[str, object], list[int]]] = [
    ({"event_class": "OUTCOME"}, [1]),
    ({"event_class": "EXECUTION"}, [0, 2, 3, 4, 5, 6, 7, 8, 9]),
    ({"event_type": "loan.approved"}, [2]),
    ({"event_type": 'quote " and \\ backslash'}, [3]),
    ({"event_type": "loan"}, []),
    ({"model_id": "mdl_abc123"}, [4]),
    ({"severity": "ERROR"}, [5]),
    ({"tag": "high-value"}, [6]),
    ({"tag": "high"}, []),
    # Text that stands in entries, but is no tag there.
    ({"tag": "eventType"}, []),
    ({"actor_id": "jane@example.com"}, [7]),
    ({"actor_id": "john@example.com"}, []),
    ({"actor_id": "svc_scorer_api"}, [8]),
    ({"stream_id": SECOND, "event_class": "EXECUTION"}, [9]),
    ({"severity": "INFO", "event_class": "EXECUTION", "event_type": "loan.approved"}, [2]),
    ({"severity": "ERROR", "event_class": "OUTCOME"}, []),
]


async def test_filters(site: Site) -> None:
    receipts = await fill(site)
    token = await site.token()
    for filters, expected in FILTERS:
        found = [event["id"] for event in await everything(site, token, **filters)]
        assert (filters, found) == (filters, [receipts[at]["event_id"] for at in expected])


async def test_asking_for_a_person_makes_no_pseudonym(site: Site) -> None:
    await page(site, await site.token(), actor_id="nobody@example.com")
    await site.record()
    assert site.log.vault.find_pseudonym("acme", "usr", "nobody@example.com") is None


async def test_from_is_inclusive_and_to_is_exclusive(
    template: tuple[Path, Keys], directory: Path
) -> None:
    now = time.time_ns() // 1_000_000 + 1000

    def clock() -> int:
        return now

    async with serve(directory, template[1], clock_ms=clock) as site:
        token = await site.token()
        times = []
        for _ in range(5):
            now += 10
            times.append(now)
            await site.record()
            await site.record()
        first = 1  # the genesis was earlier

        async def found(**filters: int) -> list[int]:
            texts = {f"{name}_": format_ms(ms) for name, ms in filters.items()}
            return [event["chainPosition"] for event in await everything(site, token, **texts)]

        assert await found(from_=times[1]) == list(range(first + 2, 11))
        assert await found(from_=times[1] + 1) == list(range(first + 4, 11))
        assert await found(to=times[1]) == [0, 1, 2]
        assert await found(to=times[1] + 1) == [0, 1, 2, 3, 4]
        assert await found(from_=times[1], to=times[2]) == [3, 4]
        assert await found(from_=times[1], to=times[1]) == []
        assert await found(from_=times[-1] + 1) == []
        # A cursor of a page without `from` leads nobody before `from`.
        early = (await page(site, token, limit=1))["next_cursor"]
        late = await page(site, token, from_=format_ms(times[4]), cursor=early)
        assert [event["chainPosition"] for event in late["events"]] == [9, 10]


async def test_an_offset_in_a_time(site: Site) -> None:
    await site.record()
    token = await site.token()
    for text, count in (("2000-01-01T00:00:00+01:00", 2), ("2999-01-01T00:00:00-01:00", 0)):
        assert len((await page(site, token, from_=text))["events"]) == count


@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
async def test_pages(site: Site, limit: int) -> None:
    receipts = await fill(site)
    token = await site.token()
    events = await everything(site, token, limit=limit, event_class="EXECUTION")
    wanted = [receipt["event_id"] for at, receipt in enumerate(receipts) if at != 1]
    assert [event["id"] for event in events] == wanted


async def test_pages_while_events_are_added(site: Site) -> None:
    token = await site.token()
    recorded: list[str] = []
    running = True

    async def write() -> None:
        while running:
            recorded.append((await site.record())["event_id"])

    writer = asyncio.create_task(write())
    for _ in range(5):
        await asyncio.sleep(0.1)
        before = list(recorded)
        events = await everything(site, token, limit=3, event_class="EXECUTION")
        assert all(event["verified"] for event in events)
        found = [event["id"] for event in events]
        assert len(found) == len(set(found))
        assert found[: len(before)] == before
    running = False
    await writer
    assert [e["id"] for e in await everything(site, token, event_class="EXECUTION")] == recorded


async def test_a_page_ends_when_it_has_looked_at_enough(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tlog.listing, "BUDGET", 5)
    receipts = await fill(site)
    token = await site.token()
    first = await page(site, token, event_type="loan.approved")
    assert (first["events"], first["next_cursor"] is None) == ([], False)
    events = await everything(site, token, event_type="loan.approved")
    assert [event["id"] for event in events] == [receipts[2]["event_id"]]


async def test_no_cursor_reads_what_is_no_record_or_anothers(site: Site) -> None:
    await site.record(EVENT, await site.rival())
    receipts = await fill(site)
    token = await site.token()
    mine = {receipt["event_id"] for receipt in receipts}
    last = site.log.store.commit_row().next_chunk << 16  # type: ignore[union-attr]
    for cursor in [*range(0, last + 70_000, 4999), last, 2**62, 2**63 - 1]:
        document = await page(site, token, event_class="EXECUTION", cursor=cursor)
        assert {event["id"] for event in document["events"]} <= mine
    for text in ("9223372036854775808", "99999999999999999999"):
        assert (await site.get("/events", token, cursor=text)).status in (200, 422)


async def test_an_event_is_not_listed_before_its_head_is_public(site: Site) -> None:
    receipts = [await site.record() for _ in range(3)]
    number = site.log.source.numbers[STREAM]
    view = site.log.source.view

    def earlier(wanted: int) -> Any:
        now = view(wanted)
        return now._replace(size=3) if wanted == number else now

    listing = Listing(site.log.source._replace(view=earlier))
    found = listing.page(Filter("acme"), 100)
    assert [located.index for located in found.events] == [0, 1, 2]
    assert found.next_cursor is None
    assert receipts[2]["sequence_counter"] == 3


async def test_a_long_page_gives_way_to_others(site: Site) -> None:
    await site.batch([EVENT] * 1000)
    token = await site.token()
    slow: list[float] = []

    async def watch(done: Callable[[], bool]) -> None:
        while not done():
            started = time.monotonic()
            await asyncio.sleep(0.001)
            slow.append(time.monotonic() - started)

    listing = asyncio.create_task(page(site, token, limit=1000))
    await watch(listing.done)
    assert len((await listing)["events"]) == 1000
    assert len(slow) > 10
