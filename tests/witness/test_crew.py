"""The auditors as a whole: a log that hangs, one that cannot be followed, a shutdown, a decision, 10,000 questions."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from tests.client.fetch.tiled import ORIGIN, Tiles
from tests.witness.harness import WitnessedLog
from tests.witness.scene import LABEL, Open, Scene, scene
from tlog.errors import Unavailable
from witness.alarms import Alarm
from witness.audit import signs
from witness.audit.reports import Desk
from witness.logbook import add_logs, entry
from witness.rows import LogRow, origin_key

__all__ = ["scene"]


async def hanging(request: web.Request) -> web.StreamResponse:
    """Accepts, and says nothing."""
    await asyncio.sleep(60)
    raise AssertionError("nobody waits that long")


def told(one: Scene) -> list[Alarm]:
    """All alarms from now on."""
    found: list[Alarm] = []
    one.served.service.gossip.watch.alarms.observers.append(found.append)
    return found


async def test_a_log_that_cannot_be_followed(scene: Open) -> None:
    """It is told, once, and ends neither the audit of others nor that of logs that are added later."""
    async with scene(start=False) as one:
        store = one.served.witness.store
        bad = WitnessedLog(origin="bad.example.com", seed=3)
        with store.write() as txn:
            row = LogRow(bad.origin, (bad.vkey,), "ftp://127.0.0.1/")
            store.put(txn, "logs", origin_key(bad.origin), row)
        one.crew.start()
        await one.audited(7)
        late = WitnessedLog(origin="late.example.com", seed=4)
        add_logs(store, [entry(late.vkey, url=one.log.url + "elsewhere/")], 1)
        await one.seen(lambda: one.crew.report(late.origin) is not None)
        assert one.crew.report(bad.origin) is None


async def test_a_request_that_waits_when_the_audit_ends(scene: Open) -> None:
    """It is answered, and so is one that comes after it."""
    async with scene(audit_wait=60.0) as one:
        await one.audited(7)
        one.log.append(LABEL, b"asked")
        one.log.lies["tile/0/000.p/8"] = one.log.lies["tile/0/000"] = 404
        asking = asyncio.create_task(
            one.served.call("POST", "/audited/add-checkpoint", one.request(7))
        )
        await one.seen(lambda: bool(one.auditor._waiters))
        await one.crew.stop()
        assert (await asyncio.wait_for(asking, 10)).status == 503
        again = await one.served.call("POST", "/audited/add-checkpoint", one.request(8))
        assert again.status == 503


async def test_nothing_is_kept_for_who_has_left(scene: Open) -> None:
    """A log that cannot be audited, and asks and asks: each question is forgotten with its answer."""
    async with scene(audit_wait=0.05) as one:
        await one.audited(7)
        one.log.lies |= {f"tile/0/000.p/{width}": 404 for width in range(8, 20)}
        for size in range(7, 12):
            one.log.append(LABEL, b"%d" % size)
            body = one.request(size)
            two = [one.served.call("POST", "/audited/add-checkpoint", body) for _ in range(2)]
            assert {reply.status for reply in await asyncio.gather(*two)} <= {503, 409}
        assert one.auditor._waiters == {}
        assert one.auditor._wanted == {}


async def test_a_look_does_not_wait_for_a_round(scene: Open) -> None:
    """Tiles that never come hold up the audit; that the log shrank meanwhile is seen all the same."""
    async with scene(audit_timeout=30.0) as one:
        await one.audited(7)
        one.log.append(LABEL, b"new")
        one.log.lies["tile/0/000.p/8"] = hanging
        one.show()
        await one.seen(lambda: "tile/0/000.p/8" in one.log.asked)
        one.log.sign(size=3)
        report = await one.until(lambda report: report["status"] == "trouble")
        assert signs.SHRUNK in [sign["name"] for sign in report["trouble"] if sign["alarmed"]]


@pytest.mark.parametrize("path", ["checkpoint", "tile/0/000.p/8"])
async def test_a_log_that_hangs(scene: Open, path: str) -> None:
    """The time that it takes not to answer counts: the first failure that took longer than the patience is an alarm."""
    async with scene(audit_timeout=0.3, audit_patience=0.25) as one:
        await one.audited(7)
        found = told(one)
        one.log.append(LABEL, b"new")
        one.show()
        one.log.lies[path] = hanging
        await one.seen(lambda: bool(found))
        assert found[0].kind == signs.UNREACHABLE
        # Two attempts, and perhaps the next round's first one.
        assert one.log.asked.count("tile/0/000.p/8") <= 3
        reports = (await one.report())["trouble"]
        assert [sign["alarmed"] for sign in reports] == [True]


async def test_every_alarm_is_a_message_of_its_own(scene: Open) -> None:
    """The same trouble again, on another day: who drops messages that arrived before must not drop it."""
    async with scene(start=False) as one:
        found, desk = told(one), Desk(one.served.service)
        for _ in range(2):
            await desk.alarm(signs.SHRUNK, ORIGIN, "the same")
        assert len({alarm.id for alarm in found}) == 2


async def test_two_faces(scene: Open) -> None:
    """One is cosigned, the other is shown. The state stays before both: it moves to neither."""
    async with scene() as one:
        await one.audited(7)
        shared = {prefix: list(tiles.entries) for prefix, tiles in one.log.logs.items()}
        one.log.append(LABEL, b"pushed")
        old = one.log.lies["checkpoint"]
        body = one.request(7)
        one.log.lies["checkpoint"] = old
        assert (await one.served.add(body)).status == 200
        one.log.logs = {prefix: Tiles(entries) for prefix, entries in shared.items()}
        one.log.append(LABEL, b"shown")
        one.log.append(LABEL, b"shown too")
        one.show()
        await one.trouble(signs.LIE)
        row = one.auditor.state.row
        assert (row.audited, row.size) == (7, 7)


async def test_a_decision_lets_it_begin_again(scene: Open) -> None:
    """What was followed may be of the losing history: it is followed anew, and what is signed as audited stays."""
    async with scene() as one:
        await one.audited(7)
        evidence = one.served.service.gossip.watch.evidence
        evidence.freeze(ORIGIN, "a test")
        state = one.auditor.state
        before = state.begin()
        read = one.auditor.progress.counts.root_leaves
        evidence.resolve(ORIGIN, "a test")
        with pytest.raises(Unavailable):
            state.advance(state.root, {}, {})
        row = state.row
        assert row.generation == 1
        assert (row.audited, row.note) == (before.audited, before.note)
        one.log.append(LABEL, b"new")
        await one.audited(one.show())
        assert one.auditor.progress.counts.root_leaves - read >= 8
        assert one.auditor.state.row.size == 8
        assert len(state.heads) == 3


async def test_series_of_ten_thousand_logs(scene: Open) -> None:
    """Above a number of logs there are series only of those in trouble."""
    async with scene() as one:
        await one.audited(7)
        crew = one.crew
        assert [report.log.origin for report in crew.reports(1)] == [ORIGIN]
        assert crew.reports(0) == []
        one.log.lies["checkpoint"] = 404
        await one.until(lambda report: report["status"] == "trouble")
        late = WitnessedLog(origin="late.example.com", seed=4)
        add_logs(one.served.witness.store, [entry(late.vkey, url=one.log.url + "x/")], 1)
        one.log.logs["x/"] = Tiles([b"no root log"])
        await one.seen(lambda: len(crew.reports()) == 2)
        assert [report.log.origin for report in crew.reports(1)] == [ORIGIN]
