"""Overload is told, never silent: 429 and 503 with Retry-After, by key, and each counted limit at its edge."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.api.deployment import EVENT, STREAM, Answer, Keys, Site, serve
from tlog.api.context import GATE
from tlog.api.limits import Buckets, Slices, StreamQuota, Turnstile, neighbourhood
from tlog.core.strict_json import loads
from tlog.errors import Refused, Unavailable


def told_to_wait(answer: Answer, status: int, kind: str) -> int:
    assert (answer.status, answer.kind) == (status, kind)
    return int(answer.headers["Retry-After"])


class Ticks:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_fills_again() -> None:
    ticks = Ticks()
    buckets = Buckets(10, 2, ticks)
    for _ in range(20):
        buckets.take("a", 1)
    with pytest.raises(Unavailable) as caught:
        buckets.take("a", 1)
    assert caught.value.retry_after == pytest.approx(0.1)
    buckets.take("b", 20)  # another key
    ticks.now += 0.1
    buckets.take("a", 1)
    with pytest.raises(Unavailable):
        buckets.take("a", 1)
    ticks.now += 1000
    for _ in range(20):  # and not more than it holds
        buckets.take("a", 1)
    with pytest.raises(Unavailable):
        buckets.take("a", 1)


def test_more_than_a_bucket_holds_is_paid_for_afterwards() -> None:
    ticks = Ticks()
    buckets = Buckets(10, 2, ticks)
    buckets.take("a", 100)
    ticks.now += 8
    with pytest.raises(Unavailable) as caught:
        buckets.take("a", 1)
    assert caught.value.retry_after == pytest.approx(0.1)
    ticks.now += 0.1
    buckets.take("a", 1)


def test_buckets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlog.api.limits._BUCKETS", 10)
    buckets = Buckets(1, 1, Ticks())
    for number in range(100):
        buckets.take(str(number), 1)
    assert len(buckets._buckets) == 10


def test_streams_are_counted_as_they_appear() -> None:
    streams = Counter({"acme": 2, "rival": 1})
    quota = StreamQuota(streams.__getitem__, 3)
    quota.check("acme", 1, "/stream_id")
    with pytest.raises(Refused):
        quota.check("acme", 2, "/stream_id")
    streams["acme"] += 1
    with pytest.raises(Refused):
        quota.check("acme", 1, "/stream_id")
    quota.check("rival", 2, "/stream_id")


async def test_long_work_one_at_a_time() -> None:
    turnstile = Turnstile(2)
    inside = most = 0

    async def work() -> None:
        nonlocal inside, most
        async with turnstile.turn():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1

    results = await asyncio.gather(*[work() for _ in range(5)], return_exceptions=True)
    assert most == 1
    assert [getattr(result, "kind", None) for result in results] == [None] * 3 + ["busy"] * 2
    await work()  # and it is free again


async def test_requests_per_key(template: tuple[Path, Keys], directory: Path) -> None:
    async with serve(directory, template[1], rate_requests=1.0, rate_burst=5.0) as site:
        token = await site.token()
        answers = [await site.get("/events", token) for _ in range(6)]
        limited = [answer for answer in answers if answer.status == 429]
        assert limited
        assert told_to_wait(limited[0], 429, "rate-limited") >= 1
        # Another key of the tenant, and another tenant, have their own.
        assert (await site.get("/events", await site.token(site.keys.read))).status == 200
        assert (await site.get("/events", await site.rival())).status == 200
        # What needs no key is never limited by one.
        assert (await site.get("/sth")).status == 200


async def test_events_per_key(template: tuple[Path, Keys], directory: Path) -> None:
    async with serve(directory, template[1], rate_events=10.0, rate_burst=2.0) as site:
        assert (await site.batch([EVENT] * 20)).status == 201
        before = site.root
        wait = told_to_wait(await site.batch([EVENT] * 20), 429, "rate-limited")
        assert wait == 2
        told_to_wait(await site.post(EVENT), 429, "rate-limited")
        assert site.root == before


async def test_attest_counts_for_its_key(template: tuple[Path, Keys], directory: Path) -> None:
    async with serve(directory, template[1], rate_requests=1.0, rate_burst=2.0) as site:
        answers = [await site.attest() for _ in range(4)]
        told_to_wait(answers[-1], 429, "rate-limited")


async def test_streams_per_tenant(template: tuple[Path, Keys], directory: Path) -> None:
    async with serve(directory, template[1], max_streams_per_tenant=3) as site:
        token = await site.token(site.keys.create)  # the first
        two = [{**EVENT, "stream_id": f"acme:prod:{name}"} for name in "abc"]
        before = site.root
        refused = await site.batch(two, token)
        assert (refused.status, refused.kind) == (403, "too-many-streams")
        assert refused.json()["pointer"] == "/2/stream_id"
        assert site.root == before
        assert (await site.batch(two[:2], token)).status == 201
        refused = await site.attest(agent_id="another")
        assert (refused.status, refused.kind) == (403, "too-many-streams")
        assert (await site.attest(site.keys.rival, tenant_id="rival")).status == 200
        assert (await site.record())["stream_id"] == STREAM


async def test_too_many_waiting(template: tuple[Path, Keys], directory: Path) -> None:
    async with serve(directory, template[1], max_waiting_events=10) as site:
        await site.token()
        answers = await asyncio.gather(*[site.batch([EVENT] * 9) for _ in range(40)])
        refused = [answer for answer in answers if answer.status != 201]
        for answer in refused:
            told_to_wait(answer, 503, "overloaded")
        taken = 9 * (len(answers) - len(refused))
        assert (await site.record())["sequence_counter"] == taken + 1
        site.check()


async def test_a_full_disk(
    template: tuple[Path, Keys], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(directory, template[1]) as site:
        receipt = await site.record()
        free = [0]
        monkeypatch.setattr(site.log.store, "disk_free", lambda: free[0])
        await asyncio.sleep(1.1)
        assert told_to_wait(await site.post(), 503, "disk-full") == 30
        health = await site.get("/health")
        assert (health.status, health.json()["status"]) == (503, "disk-full")
        assert health.headers["Retry-After"] == "5"
        # Reading goes on, and with room again so does the rest.
        token = await site.token()
        assert (await site.get(f"/events/{receipt['event_id']}", token)).status == 200
        free[0] = 1 << 40
        await asyncio.sleep(1.1)
        assert (await site.get("/health")).status == 200
        await site.record()


async def test_a_clock_that_went_back(template: tuple[Path, Keys], directory: Path) -> None:
    import time

    now = time.time_ns() // 1_000_000 + 10_000
    async with serve(directory, template[1], clock_ms=lambda: now) as site:
        await site.record()
        now -= 2000
        told_to_wait(await site.post(), 503, "clock")
        now += 1500
        await site.record()
        site.check()


async def test_a_log_that_is_stopping(site: Site) -> None:
    token = await site.token()
    await asyncio.to_thread(site.log.sequencer.stop)
    told_to_wait(await site.post(EVENT, token), 503, "stopping")
    health = await site.get("/health")
    assert (health.status, health.json()["status"]) == (503, "stopping")


async def test_a_proof_that_is_not_published_yet(
    template: tuple[Path, Keys], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlog.api.proof._WAIT_SECONDS", 0.2)
    settings = {"publish_interval": 3600.0, "publish_idle_interval": 3600.0}
    async with serve(directory, template[1], **settings) as site:
        receipt = await site.record()
        path, token = f"/proof/{receipt['event_id']}", await site.token()
        package = await site.get(path, token)
        assert package.status == 200
        if "root" not in package.json():
            told_to_wait(await site.get(path, token, wait="published"), 503, "not-published")
        late = await site.record()
        path = f"/proof/{late['event_id']}"
        assert "root" not in (await site.get(path, token)).json()
        told_to_wait(await site.get(path, token, wait="published"), 503, "not-published")


async def test_one_stranger_does_not_keep_the_others_from_delivering_anchors(site: Site) -> None:
    async def deliver(address: str) -> Answer:
        connector = aiohttp.TCPConnector(local_addr=(address, 0), limit=1)
        url = f"http://127.0.0.1:{site.port}/api/v1/anchors"
        async with aiohttp.ClientSession(connector=connector) as http:
            async with http.post(url, json={}) as answer:
                return Answer(answer.status, answer.headers, await answer.read())

    refused = [answer async for answer in _until_told_to_wait(lambda: deliver("127.0.0.1"))]
    assert len(refused) >= 20
    assert (await deliver("127.0.0.2")).status == 422  # its body is looked at
    assert (
        neighbourhood("2001:db8::1")
        == neighbourhood("2001:db8::ffff")
        != neighbourhood("2001:db8:0:1::")
    )
    assert (
        neighbourhood("::ffff:192.0.2.1")
        == neighbourhood("192.0.2.1")
        != neighbourhood("192.0.2.2")
    )
    assert neighbourhood(None) == neighbourhood("unix:") == ""  # a socket without addresses


async def _until_told_to_wait(
    request: Callable[[], Awaitable[Answer]],
) -> AsyncIterator[Answer]:
    for _ in range(200):
        answer = await request()
        if answer.status == 429:
            told_to_wait(answer, 429, "rate-limited")
            return
        yield answer
    raise AssertionError("nobody is told to wait")


async def test_strangers_cannot_take_the_turns_of_tenants(site: Site) -> None:
    """Who searches the public trees for a hash, as often as he likes, waits among strangers alone."""
    await site.record()
    token = await site.token()
    gate = site.runner.app[GATE]  # type: ignore[union-attr]
    missing = base64.b64encode(bytes(32)).decode()
    async with gate.public_reads.turn():  # one search that takes long
        search = [
            asyncio.create_task(site.get("/proof/inclusion", hash=missing)) for _ in range(40)
        ]
        done, _ = await asyncio.wait(search, return_when=asyncio.FIRST_COMPLETED)
        told_to_wait(done.pop().result(), 503, "busy")
        assert (await site.get("/verify", token)).json()["verified"]
        mine = await site.get("/proof/inclusion", token, stream_id=STREAM, hash=missing)
        assert (mine.status, mine.kind) == (404, "not-found")
    assert {answer.status for answer in await asyncio.gather(*search)} == {404, 503}


@pytest.mark.parametrize("way", ["event", "array", "lines", "attest"])
async def test_a_fault_at_the_end_of_a_long_body_holds_up_nobody(
    site: Site, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """To say where the fault is takes seconds per MiB: it is done beside the event loop, one at a time."""
    begun, end = threading.Event(), threading.Event()

    def slow(*arguments: Any, **more: Any) -> Any:
        begun.set()
        assert end.wait(10)
        return loads(*arguments, **more)

    monkeypatch.setattr("tlog.api.context.loads", slow)
    bad = b"[" + b"0," * 3000 + b"NaN]"
    token = await site.token()
    path, credential, media = {
        "event": ("/events", token, "application/json"),
        "array": ("/events/batch", token, "application/json"),
        "lines": ("/events/batch", token, "application/x-ndjson"),
        "attest": ("/attest", site.keys.both, "application/json"),
    }[way]
    headers = {"Content-Type": media}
    judged = asyncio.create_task(
        site.call("POST", "/api/v1" + path, credential, data=bad, headers=headers)
    )
    assert await asyncio.get_running_loop().run_in_executor(None, begun.wait, 10)
    await site.record()
    assert not judged.done()
    end.set()
    assert (await judged).kind == "invalid-json"


async def test_an_anchor_of_a_million_parts_is_not_looked_at(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlog.api.context.attempt", None)
    for body in (b'{"chain":[' + b"0," * 2000 + b"NaN]}", b"[" * 2000, b'{"a":' * 2000):
        answer = await site.call("POST", "/api/v1/anchors", data=body)
        assert (answer.status, answer.kind) == (422, "invalid-value")


async def test_streams_that_one_may_not_see_hold_up_nobody(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.record()
    rows = site.log.source.rows
    private = rows[site.log.source.numbers[STREAM]]
    rows.update({number: private for number in range(len(rows), 3000)})
    breaths = []

    class Counted(Slices):
        async def breathe(self) -> None:
            breaths.append(self)

    monkeypatch.setattr("tlog.api.sth.Slices", Counted)
    answer = await site.get("/streams")
    assert [one["stream_id"] for one in answer.json()["streams"]] == ["tlog:log:operations"]
    assert len(breaths) >= 11


async def test_verifications_wait_for_one_another(site: Site) -> None:
    await site.batch([EVENT] * 500)
    token = await site.token()
    answers = await asyncio.gather(*[site.get("/verify", token) for _ in range(40)])
    statuses = {answer.status for answer in answers}
    assert statuses <= {200, 503}
    for answer in answers:
        if answer.status == 503:
            told_to_wait(answer, 503, "busy")
    assert all(answer.json()["verified"] for answer in answers if answer.status == 200)
