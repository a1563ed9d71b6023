"""What the API says of witnesses: health, metrics, the checkpoint, and proofs that wait for a quorum."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from tests.api.deployment import EVENT, Keys, Site, serve
from tests.witness_zoo import Witness, answering, started, write_policy
from tests.witnessed_site import NOBODY, until, verifier
from tlog.api.health_answers import Health
from tlog.core.checkpoint import open_checkpoint
from tlog.core.package import verify_package
from tlog.server import open_gateway


@asynccontextmanager
async def witnessed(
    directory: Path, keys: Keys, witnesses: list[Witness], quorum: int, **settings: Any
) -> AsyncIterator[Site]:
    """A served log that pushes to its witnesses."""
    write_policy(directory / "policy", witnesses, quorum)
    async with serve(directory, keys, witness_policy="policy", **settings) as site:
        gateway = open_gateway(site.log, backoff=(0.05, 0.2))
        gateway.start()
        try:
            yield site
        finally:
            await gateway.close()


async def health(site: Site) -> dict[str, dict[str, Any]]:
    """By name what is said of each witness."""
    answer = await site.get("/health")
    msgspec.json.decode(answer.body, type=Health)
    return {one["name"]: one for one in answer.json()["witnesses"]}


async def metrics(site: Site) -> dict[tuple[str, ...], float]:
    answer = await site.call("GET", "/metrics")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain")
    return {
        (sample.name, *(v for _, v in sorted(sample.labels.items(), reverse=True))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


async def test_health_metrics_and_checkpoint(template: tuple[Path, Keys], directory: Path) -> None:
    log = verifier(directory)
    good = Witness(1, log)
    liar = Witness(2, log, answering(403, lambda w, b: b"who are\x1b you?"))
    dead = Witness(3, log)
    dead.url = NOBODY
    async with (
        started(good, liar),
        witnessed(directory, template[1], [good, liar, dead], 1) as site,
    ):
        await site.record()
        size = site.root[0]
        await until(lambda: good.size == size)
        await until(lambda: all(k.outcomes for k in site.log.publication.keepers))
        found = await health(site)
        assert [found[name]["status"] for name in ("w0", "w1", "w2")] == [
            *["ok", "refusing", "unreachable"]
        ]
        assert (found["w0"]["tree_size"], found["w0"]["lag_leaves"]) == (size, 0)
        assert found["w0"]["lag_seconds"] == 0 and found["w0"]["timestamp"].endswith(".000Z")
        assert (found["w1"]["tree_size"], found["w1"]["lag_leaves"]) == (0, size)
        assert found["w1"]["timestamp"] is None and found["w1"]["lag_seconds"] > 0
        assert "403" in found["w1"]["error"] and "who are? you?" in found["w1"]["error"]
        assert (await site.get("/health")).status == 200  # events are taken all the same
        seen = await metrics(site)
        assert seen["tlog_published_size",] == seen["tlog_root_size",] == size
        assert seen["tlog_witness_cosigned_size", "w0"] == size
        assert seen["tlog_witness_lag_leaves", "w1"] == size
        assert seen["tlog_witness_lag_seconds", "w1"] > 0
        assert seen["tlog_witness_status", "w1", "refusing"] == 1
        assert seen["tlog_witness_status", "w1", "ok"] == 0
        assert seen["tlog_witness_pushes_total", "w0", "ok"] >= 1
        assert seen["tlog_events_total",] == 1 and seen["tlog_taking_events",] == 1
        assert seen["tlog_commits_total",] == site.log.sequencer.head.commit
        assert seen["tlog_disk_free_bytes",] > 0 and seen["tlog_waiting_events",] == 0
        assert not list(name for name in REGISTRY._names_to_collectors if name.startswith("tlog"))
        note = (await site.call("GET", "/checkpoint")).body
        keys = [k.verifier for k in site.log.publication.keepers]
        head, opened = open_checkpoint(note, [site.verifier], "log.example.com", keys)
        assert head.size == size and opened.signatures[1].name == "w1.example.org"


async def test_metrics_without_witnesses(site: Site) -> None:
    assert (await site.call("GET", "/metrics?x=1")).status == 422
    before = await metrics(site)
    await site.record()
    after = await metrics(site)
    assert after["tlog_events_total",] == before["tlog_events_total",] + 1
    assert not [key for key in after if key[0].startswith("tlog_witness")]


async def test_a_proof_waits_for_the_quorum(
    template: tuple[Path, Keys], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = verifier(directory)
    good, late = Witness(1, log), Witness(2, log)
    await late.start()
    await late.stop()
    async with (
        started(good),
        witnessed(directory, template[1], [good, late], 2) as site,
    ):
        receipt, token = await site.record(), await site.token()
        path = f"/proof/{receipt['event_id']}"
        published = await site.get(path, token, wait="published")
        assert published.status == 200 and "root" in published.json()
        monkeypatch.setattr("tlog.api.proof._WAIT_SECONDS", 0.1)
        refused = await site.get(path, token, wait="witnessed")
        assert (refused.status, refused.kind) == (503, "not-published")
        assert "cosigned by a quorum" in refused.json()["detail"]
        # The quorum will come for a later root than the first one published.
        later = (await site.record({**EVENT, "event_type": "later"}))["event_id"]
        assert (await site.get(f"/proof/{later}", token, wait="published")).status == 200
        monkeypatch.setattr("tlog.api.proof._WAIT_SECONDS", 10.0)
        waiting = asyncio.create_task(site.get(path, token, wait="witnessed"))
        await late.start(late.port)
        try:
            answer = await waiting
        finally:
            await late.stop()
        assert answer.status == 200
        verified = verify_package(answer.json(), site.verifier, site.log.policy)
        assert verified.proven_at is not None
        sizes = [one.json()["root"]["tree_size"] for one in (published, answer)]
        assert sizes[0] < sizes[1]


async def test_without_a_policy_nobody_waits(site: Site) -> None:
    receipt = await site.record()
    answer = await site.get(f"/proof/{receipt['event_id']}", await site.token(), wait="witnessed")
    assert (answer.status, answer.kind) == (422, "no-policy")
    assert answer.json()["pointer"] == "/wait"
