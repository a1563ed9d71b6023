"""Where the audit could go wrong without a word: nothing to sign, a head behind the state, entries of all that are hidden."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.client.fetch.tiled import ORIGIN, SIGNER
from tests.monitor.made import PUBLIC as MADE
from tests.monitor.made import made
from tests.witness.scene import LABEL, Open, scene
from tlog.core.checkpoint import Checkpoint
from tlog.core.fork import verify_fork
from tlog.core.note import parse_vkey, sign_note
from tlog.core.root_log import StreamHead
from witness.audit import auditor, second, signs
from witness.doubt import hold_all
from witness.rows import origin_key

__all__ = ["scene"]


async def test_an_empty_log(scene: Open) -> None:
    """There is nothing in it to be audited, and nothing is signed."""
    async with scene(start=False) as one:
        one.log.sign(size=0)
        one.crew.start()
        await one.seen(lambda: ORIGIN in one.crew._auditors)
        await one.rounds(3)
        assert (await one.report())["trouble"] == []
        reply = await one.served.call("GET", f"/audited/{origin_key(ORIGIN).hex()}/checkpoint")
        assert reply.status == 404
        await one.audited(one.show())


async def test_a_head_behind_what_was_followed(scene: Open) -> None:
    """What was followed could not be signed, and a cache shows an older head: that is no damage of our store."""
    async with scene(audit_patience=30.0) as one:
        await one.audited(7)
        hold_all(one.served.witness.store, "a test", 1)
        one.log.append(LABEL, b"8")
        one.log.append(LABEL, b"9")
        one.show()
        await one.seen(lambda: one.auditor.state.row.size == 9)
        one.log.sign(size=8)
        await one.trouble(signs.SHRUNK)
        await one.rounds(3)
        report = await one.report()
        assert [sign["name"] for sign in report["trouble"]] == [signs.SHRUNK]
        assert report["audited"]["size"] == 7


async def test_entries_that_all_may_read(scene: Open) -> None:
    """A public stream's entries are anybody's: where they are not there, they are withheld, token or not."""
    log = made()
    async with scene(log=log, audit_entries="true") as one:
        await one.audited(log.head().size)
        log.add(MADE, 2)
        prefix = log.under(MADE, "tile/entries/")
        log.lies |= {f"{prefix}{number:03}": 404 for number in range(3)}
        log.lies |= {
            f"{prefix}{number:03}.p/{width}": 404 for number in range(3) for width in range(1, 256)
        }
        await one.trouble(signs.WITHHELD)
        log.lies = {path: lie for path, lie in log.lies.items() if "entries" not in path}
        await one.audited(log.head().size)


async def test_a_file_of_tokens_that_is_not_there(scene: Open, tmp_path: Path) -> None:
    """It is our fault, and said to be."""
    async with scene(audit_entries="true", audit_tokens=tmp_path / "absent") as one:
        await one.trouble(signs.FAILED)
        assert [sign["name"] for sign in (await one.report())["trouble"]] == [signs.FAILED]


async def test_heads_in_memory(scene: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one segment; and what a lie contradicts is found beyond it, too."""
    monkeypatch.setattr(auditor, "SEGMENT", 2)
    most = []
    see = auditor.Auditor._see

    def counted(self: auditor.Auditor, label: str, head: StreamHead) -> None:
        see(self, label, head)
        most.append(sum(len(heads) for heads in self._heads.values()))

    monkeypatch.setattr(auditor.Auditor, "_see", counted)
    async with scene(start=False) as one:
        for number in range(20):
            one.log.append(LABEL, b"%d" % number)
        smaller = one.log.stream(LABEL).root(5)
        one.log.leaf(Checkpoint(f"{ORIGIN}/streams/{LABEL}", 5, smaller).body())
        one.show()
        one.crew.start()
        await one.trouble(signs.LIE)
        assert max(most) <= 2
        evidence = one.served.service.gossip.watch.evidence
        await one.seen(lambda: bool(evidence.all()))
        assert verify_fork(evidence.all()[0].document, parse_vkey(SIGNER.vkey)).rule == "growth"


async def test_a_checkpoint_of_another_log(scene: Open) -> None:
    """Its key signed it, but it is none of this log: it is not gone by."""
    async with scene() as one:
        await one.audited(7)
        body = Checkpoint("log.example.org", 9, bytes(32)).body()
        one.log.lies["checkpoint"] = sign_note(body, [SIGNER])
        await one.trouble(signs.UNSIGNED)
        await one.looks(2)
        assert [sign["name"] for sign in (await one.report())["trouble"]] == [signs.UNSIGNED]


async def test_news_is_told_once(scene: Open) -> None:
    """Gossip is not given the same note with every look."""
    async with scene() as one:
        await one.audited(7)
        watch = one.served.service.gossip.watch
        await one.seen(lambda: watch.looked_at > 0)
        heard = watch.looked_at
        await one.looks(5)
        assert watch.looked_at == heard


async def test_opinions_on_one_tile(scene: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full tile is a tree of its own to the other implementation, and it must agree on each."""
    theirs = second.root_of

    def wrong(digests: Sequence[bytes]) -> bytes:
        return bytes(32) if len(digests) == 256 else theirs(digests)

    async with scene() as one:
        await one.audited(7)
        monkeypatch.setattr(second, "root_of", wrong)
        one.log.append(LABEL, *[b"%d" % number for number in range(300)])
        one.show()
        told = await one.trouble(signs.OPINIONS_DIFFER)
        assert "tile 0/0" in told["detail"]
        monkeypatch.setattr(second, "root_of", theirs)
        await one.audited(8)
