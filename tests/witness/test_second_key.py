"""The key of what is audited: it signs nothing that the cosigner's may not sign, and its lines put nobody in doubt."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import resource
from pathlib import Path

import pytest

from tests.client.fetch.tiled import ORIGIN
from tests.witness.harness import Server, WitnessedLog
from tests.witness.matrix import LATEST, LOG
from tests.witness.scene import LABEL, Open, scene
from tests.witness.zygote import Zygote
from tlog.core.checkpoint import Checkpoint
from tlog.errors import Refused
from witness.audit.face import Head
from witness.doubt import hold_all
from witness.rows import HoldRow

__all__ = ["scene"]


async def test_its_line_in_a_published_checkpoint_is_no_sign_of_a_rollback(scene: Open) -> None:
    """A head is cosigned, audited a second later, and published with both lines: that is as it should be."""
    async with scene() as one:
        await one.audited(7)
        one.log.append(LABEL, b"new")
        store = one.served.witness.store
        cosigned = await one.served.add(one.request(7))
        assert cosigned.status == 200
        row = store.latest(ORIGIN)
        line = one.served.witness.keys.audited.sign_line(one.log.head().body(), row.time + 5)
        one.log.lies["checkpoint"] = one.log.sign() + cosigned.body + line
        looked = await one.served.service.lookout.look()
        assert (looked.failed, looked.held) == (0, 0)
        assert store.all("holds", HoldRow) == []


async def test_its_line_shows_a_rollback_too(scene: Open) -> None:
    """A log may ask for the audited line alone: a head of a size that the store does not know was signed and forgotten."""
    async with scene(start=False) as one:
        one.log.append(LABEL, b"new")
        keys = one.served.witness.keys
        note = one.log.sign()
        one.log.lies["checkpoint"] = note + keys.audited.sign_line(one.log.head().body(), 1)
        looked = await one.served.service.lookout.look()
        assert looked.held == 1
        await asyncio.sleep(0)


async def test_nothing_is_audited_before_the_first_look(scene: Open) -> None:
    """As for the cosigner's key: until peers and logs were asked, the store may be yesterday's."""
    async with scene() as one:
        await one.audited(7)
        lookout = one.served.service.lookout
        one.log.append(LABEL, b"new")
        assert (await one.served.add(one.request(7))).status == 200
        lookout.ready.clear()
        await one.rounds(3)
        assert (await one.report())["audited"]["size"] == 7
        lookout.ready.set()
        await one.audited(8)


@pytest.mark.parametrize("mark", ["frozen", "held"])
async def test_a_mark_that_comes_while_it_reads(scene: Open, mark: str) -> None:
    """The log is frozen, or put on hold, between the last check of its tiles and the signature."""
    async with scene() as one:
        await one.audited(7)
        store, auditor = one.served.witness.store, one.auditor
        cosigned, marked = auditor._cosigned, []

        async def late(head: Head) -> bool:
            done = await cosigned(head)
            if head.checkpoint.size < 8:
                return done
            assert done
            marked.append(head)
            if mark == "frozen":
                store.freeze(ORIGIN, "a test", 1)
            else:
                hold_all(store, "a test", 1)
            return done

        auditor._cosigned = late
        one.log.append(LABEL, b"new")
        one.show()
        await one.seen(lambda: bool(marked))
        await one.rounds(2)
        assert (await one.report())["audited"]["size"] == 7


async def test_it_never_goes_back(scene: Open) -> None:
    """The newest audited head gives way to larger ones only; nothing is signed on the way to the refusal."""
    async with scene() as one:
        await one.audited(7)
        state, asked = one.auditor.state, []

        def sign(txn: object, newest: int) -> tuple[bytes, int]:
            asked.append(newest)
            return b"line\n", newest

        for head in (Checkpoint(ORIGIN, 6, bytes(32)), Checkpoint(ORIGIN, 7, bytes(32))):
            with pytest.raises(Refused):
                state.audited(head, b"", sign)
        assert asked == []


def test_a_write_that_fails_anywhere_ends_the_process(directory: Path, zygote: Zygote) -> None:
    """A commit of gossip or audit that failed may make the writer's next one look good: LMDB forgets the fault."""
    with Server(directory, zygote) as server:
        forked = WitnessedLog(forked_at=LATEST + 1)
        # From now on every write to a file fails, as on a disk that died.
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        notes = [one.note(LATEST + 3).decode() for one in (LOG, forked)]
        with contextlib.suppress(OSError, http.client.HTTPException):
            server.call("POST", "/gossip", json.dumps({"version": 1, "notes": notes}).encode())
        assert server.stop(0) == 70


async def test_its_time_only_goes_forward(scene: Open) -> None:
    """A clock that is a little behind gives the time of the line before; one that is wrong, none."""
    async with scene() as one:
        await one.audited(7)
        before = one.auditor.state.row.time
        clock = one.served.witness.clock
        clock.now = lambda: before - 30
        one.log.append(LABEL, b"8")
        await one.audited(one.show())
        assert one.auditor.state.row.time == before
        clock.now = lambda: before - 100

        async def known(head: Head) -> bool:
            return True

        one.auditor._cosigned = known
        one.log.append(LABEL, b"9")
        one.show()
        await one.rounds(3)
        assert one.auditor.state.row.audited == 8
