"""The key of what is audited: it signs nothing that the cosigner's may not sign, and its lines put nobody in doubt."""

from __future__ import annotations

import asyncio

from tests.client.fetch.tiled import ORIGIN
from tests.witness.scene import LABEL, Open, scene
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
