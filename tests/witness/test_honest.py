"""An honest log is accused of nothing: not when it is busy, copied by caches, restarted, of another kind, or given a new key;
and not for what is our own fault.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.client.fetch.tiled import ORIGIN, SIGNER, TiledLog, Tiles, counted
from tests.monitor.made import PUBLIC as MADE
from tests.monitor.made import made
from tests.witness.scene import LABEL, Open, Scene, scene
from tlog.core.note import Signer, sign_note
from witness.audit import signs
from witness.doubt import hold_all
from witness.logbook import add_logs, entry

__all__ = ["scene"]

OTHER_KEY = Signer(ORIGIN, bytes([9]) * 32)


def alarms(one: Scene) -> dict[str, int]:
    """Raised so far, by kind."""
    return dict(one.served.service.gossip.watch.alarms.counts)


async def test_a_busy_log(scene: Open) -> None:
    """It always signs a moment before it shows: whenever one looks, there is a head that is not shown yet."""
    async with scene() as one:
        await one.audited(7)
        for size in range(7, 37):
            old = one.log.lies["checkpoint"]
            one.log.append(LABEL, b"%d" % size)
            body = one.request(size)
            new, one.log.lies["checkpoint"] = one.log.lies["checkpoint"], old
            assert (await one.served.add(body)).status == 200
            await asyncio.sleep(0.03)
            one.log.lies["checkpoint"] = new
        assert alarms(one) == {}
        report = await one.audited(37)
        assert report["status"] == "ok"


async def test_one_head_that_stays_unseen(scene: Open) -> None:
    """The same, but it shows ever less than it owes."""
    async with scene() as one:
        await one.audited(7)
        for size in range(7, 10):
            old = one.log.lies["checkpoint"]
            one.log.append(LABEL, b"%d" % size)
            body = one.request(size)
            one.log.lies["checkpoint"] = old
            assert (await one.served.add(body)).status == 200
        await one.until(lambda report: report["status"] == "trouble")
        assert alarms(one) == {signs.STALLED: 1}


@pytest.mark.parametrize("what", ["an older copy", "an error page"])
async def test_a_cache(scene: Open, what: str) -> None:
    """A copy that is a moment old, and a page that is none, are seen, and nobody is woken."""
    async with scene(audit_patience=30.0) as one:
        await one.audited(7)
        good = one.log.lies["checkpoint"]
        one.log.sign(size=3)
        if what == "an error page":
            one.log.lies["checkpoint"] = b"<html>be right back</html>"
        told = await one.trouble(signs.SHRUNK if what == "an older copy" else signs.UNSIGNED)
        assert not told["alarmed"]
        assert (await one.report())["status"] == "ok"
        one.log.lies["checkpoint"] = good
        await one.until(lambda report: report["trouble"] == [])
        assert alarms(one) == {}


async def test_bytes_that_flip_on_the_way(scene: Open) -> None:
    """A proxy that answers for the log, once: no lie, no alarm, and then the audit goes on."""
    async with scene(audit_patience=30.0) as one:
        await one.audited(7)
        one.log.append(LABEL, b"new")
        for path in ("tile/0/000.p/8", "tile/entries/000.p/8"):
            one.log.lies[path] = b"<html>be right back</html>"
        one.show()
        assert not (await one.trouble(signs.GARBLED))["alarmed"]
        one.log.lies.pop("tile/0/000.p/8")
        one.log.lies.pop("tile/entries/000.p/8")
        report = await one.audited(8)
        assert report["trouble"] == []
        assert alarms(one) == {}


async def test_copies_of_its_time(scene: Open) -> None:
    """A tree head from a cache is older by size and time; a clock may be put right by less than a second."""
    claim = b'{"tree_size":%d,"timestamp":"2026-01-01T10:00:0%d.%d00Z"}'
    async with scene(start=False) as one:
        one.log.lies["api/v1/sth"] = claim % (7, 5, 9)
        one.crew.start()
        await one.audited(7)
        for later in ((6, 2, 0), (8, 5, 0), (8, 4, 9)):
            one.log.lies["api/v1/sth"] = claim % later
            await one.looks(3)
        assert (await one.report())["trouble"] == []
        one.log.lies["api/v1/sth"] = 404
        await one.looks(3)
        # One answer that is none does not end the watch on its clock.
        one.log.lies["api/v1/sth"] = claim % (9, 4, 8)
        await one.trouble(signs.CLOCK_REWOUND)
        one.log.lies["api/v1/sth"] = claim % (9, 6, 0)
        await one.until(lambda report: report["trouble"] == [])
        # A time in the future is not what later ones are measured by.
        one.log.lies["api/v1/sth"] = b'{"tree_size":9,"timestamp":"2126-01-01T10:00:00.000Z"}'
        await one.trouble(signs.CLOCK_AHEAD)
        one.log.lies["api/v1/sth"] = claim % (9, 7, 0)
        await one.until(lambda report: report["trouble"] == [])


@pytest.mark.parametrize(
    "answer",
    [b"[]", b"1", b'{"timestamp":5,"tree_size":1}', b'{"timestamp":null,"tree_size":1}',
     b'{"timestamp":"2026-01-01T10:00:00.000Z"}', b'{"timestamp":"now","tree_size":1}', b"\xff"],
)  # fmt: skip
async def test_what_is_no_claim(scene: Open, answer: bytes) -> None:
    """Another kind of log has something else there, or nothing."""
    async with scene(start=False) as one:
        one.log.lies["api/v1/sth"] = answer
        one.crew.start()
        await one.audited(7)
        await one.looks(2)
        assert (await one.report())["trouble"] == []


async def test_a_log_of_another_kind(scene: Open) -> None:
    """Its leaves are what its people put there. It is cosigned, not audited, and that is all that is said."""
    log: Any = TiledLog()
    log.logs[""] = Tiles(counted(300))
    async with scene(log=log) as one:
        await one.trouble(signs.OTHER_KIND)
        await one.rounds(2)
        report = await one.report()
        assert (report["status"], report["audited"]) == ("behind", None)
        assert alarms(one) == {}
        assert (await one.served.add(one.request(0))).status == 200


async def test_a_new_key(scene: Open) -> None:
    """A stream that was opened under the log's second key is no lie, nor are heads under it."""
    log = made()
    async with scene(log=log, audit_entries="true") as one:
        await one.audited(log.head().size)
        add_logs(one.served.witness.store, [entry(OTHER_KEY.vkey, origin=ORIGIN)], 1)
        await one.keys(2)
        log.open("acme:new:public", {"/system/keys": [OTHER_KEY.vkey]})
        log.lies["checkpoint"] = sign_note(log.head().body(), [OTHER_KEY])
        await one.audited(log.head().size)
        log.add(MADE, 2)
        log.lies["checkpoint"] = sign_note(log.head().body(), [SIGNER, OTHER_KEY])
        report = await one.audited(log.head().size)
        assert report["trouble"] == []


async def test_our_own_fault_is_not_its_silence(scene: Open) -> None:
    """It sends its checkpoints, and we cosign none of them."""
    async with scene(audit_heartbeat=0.3) as one:
        await one.audited(7)
        assert (await one.served.add(one.request(7))).status == 200
        hold_all(one.served.witness.store, "a test", 1)
        for _ in range(10):
            reply = await one.served.add(one.request(7))
            assert reply.status == 503
            await asyncio.sleep(0.08)
        assert (await one.report())["trouble"] == []
