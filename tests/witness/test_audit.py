"""What is cosigned as audited was followed from leaf 0, head by head; what breaks a rule is found, named, and proven where
that can be. Real logs over real sockets, lying about one thing at a time.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable

import pytest

from tests.client.fetch.tiled import ORIGIN, SIGNER, Audited, counted
from tests.paths import REPOSITORY
from tests.witness.harness import NAME
from tests.witness.scene import LABEL, PUBLIC, Open, scene
from tlog.core.checkpoint import Checkpoint, parse_checkpoint
from tlog.core.fork import verify_fork
from tlog.core.note import open_note, parse_vkey
from tlog.core.root_log import StreamHead
from witness.audit import second, signs
from witness.audit.reports import make_crew
from witness.rows import origin_key

__all__ = ["scene"]


async def test_an_honest_log(scene: Open) -> None:
    """It grows, and all of it is audited: the note verifies under the second key, and the first has cosigned it, too."""
    async with scene() as one:
        first = await one.audited(one.log.head().size)
        assert first["status"] == "ok"
        assert first["lag"] == {"leaves": 0, "seconds": 0.0}
        assert first["checked_since_start"]["stream_heads"] == 6
        assert first["checked_since_start"]["stream_leaves"] == 9
        one.log.append(LABEL, *counted(300))
        one.log.append("b" * 51 + "q", b"x")
        report = await one.audited(one.show())
        assert report["checked_since_start"]["stream_leaves"] == 310
        assert report["checked_since_start"]["tiles_built_again"] > 0
        keys = one.served.witness.keys
        reply = await one.served.call("GET", f"/audited/{origin_key(ORIGIN).hex()}/checkpoint")
        note = open_note(reply.body, [parse_vkey(keys.audited.vkey), parse_vkey(SIGNER.vkey)])
        assert parse_checkpoint(note.text) == one.log.head()
        assert {line.name for line in note.signatures} == {f"{NAME}/audited", ORIGIN}
        published = await one.served.published(ORIGIN)
        note = open_note(published.body, [parse_vkey(keys.cosigner.vkey)])
        assert parse_checkpoint(note.text) == one.log.head()


async def test_it_goes_on_where_it_stood(scene: Open) -> None:
    """After a restart nothing is read again that was audited before."""
    async with scene() as one:
        await one.audited(7)
        await one.crew.stop()
        one.log.append(LABEL, b"later")
        one.served.service.crew = make_crew(one.served.service)
        one.crew.start()
        report = await one.audited(one.show())
        assert report["checked_since_start"]["stream_leaves"] == 1
        assert report["checked_since_start"]["root_leaves"] == 1


async def test_asked_for_both_lines(scene: Open) -> None:
    """Under /audited the answer waits for the audit and has both lines; a size that is gone past is not signed again."""
    async with scene(audit_interval=30.0) as one:
        await one.audited(7)
        one.log.append(LABEL, b"asked")
        reply = await one.served.call("POST", "/audited/add-checkpoint", one.request(7))
        assert reply.status == 200, reply.body
        keys = one.served.witness.keys.verifiers()
        note = open_note(one.log.head().body() + b"\n" + reply.body, keys)
        assert [line.name for line in note.signatures] == [NAME, f"{NAME}/audited"]
        again = await one.served.call("POST", "/audited/add-checkpoint", one.request(8))
        assert again.status == 200, again.body
        stale = await one.served.call("POST", "/audited/add-checkpoint", one.request(7))
        assert (stale.status, stale.body) == (409, b"8\n")


async def test_asked_for_what_cannot_be_audited(scene: Open) -> None:
    """The cosigner's word is given elsewhere; here it is not yet, and not for a log that is frozen."""
    async with scene(audit_wait=0.2) as one:
        await one.audited(7)
        one.log.append(LABEL, b"asked")
        one.log.lies["tile/0/000.p/8"] = 404
        one.log.lies["tile/0/000"] = 404
        reply = await one.served.call("POST", "/audited/add-checkpoint", one.request(7))
        assert reply.status == 503
        assert "Retry-After" in reply.headers
        one.served.witness.store.freeze(ORIGIN, "a test", 1)
        reply = await one.served.call("POST", "/audited/add-checkpoint", one.request(8))
        assert reply.status == 403


def _smaller(log: Audited) -> None:
    log.leaf(Checkpoint(f"{ORIGIN}/streams/{LABEL}", 2, log.stream(LABEL).root(2)).body())


def _no_extension(log: Audited) -> None:
    log.append(LABEL, b"new", root=bytes(32))


def _rewritten(log: Audited) -> None:
    """What was audited before has other leaves now, under a head that is right for them."""
    tiles = log.stream(LABEL)
    entries = [b"other", *tiles.entries[1:]]
    log.logs[f"streams/{LABEL}/"] = type(tiles)(entries)
    log.append(LABEL, b"new")


def _rewritten_at_once(log: Audited) -> None:
    log.append(LABEL, b"new")
    _rewritten(log)


PROVABLE = [_smaller, _rewritten, _rewritten_at_once]


@pytest.mark.parametrize("lie", PROVABLE)
async def test_a_lie_that_can_be_proven(scene: Open, lie: Callable[[Audited], None]) -> None:
    """It is named, what came before stays audited, and there is a proof that needs nothing but the log's key."""
    async with scene() as one:
        await one.audited(7)
        lie(one.log)
        one.show()
        await one.trouble(signs.LIE)
        report = await one.report()
        assert report["audited"]["size"] == 7
        assert report["lag"]["leaves"] > 0
        evidence = one.served.service.gossip.watch.evidence
        for _ in range(200):
            if evidence.all():
                break
            await asyncio.sleep(0.02)
        [row] = evidence.all()
        fork = verify_fork(row.document, parse_vkey(SIGNER.vkey))
        assert fork.origin == f"{ORIGIN}/streams/{LABEL}"
        with one.served.witness.store.read() as txn:
            assert one.served.witness.store.frozen(txn, ORIGIN) is not None


UNPROVABLE: dict[str, Callable[[Audited], None]] = {
    "tile": _no_extension,
    "form": lambda log: log.leaf(b"not a checkpoint\n"),
    "origin": lambda log: log.leaf(Checkpoint("log.example.org", 1, bytes(32)).body()),
    "entry": lambda log: log.lies.update({"tile/entries/000.p/7": b"\x00\x01x" * 7}),
}


@pytest.mark.parametrize("rule", UNPROVABLE)
async def test_a_lie_that_others_must_see_for_themselves(scene: Open, rule: str) -> None:
    """It is named, and nothing of it is signed as audited."""
    async with scene(start=False) as one:
        UNPROVABLE[rule](one.log)
        one.show()
        one.crew.start()
        name = signs.GARBLED if rule in {"tile", "entry"} else signs.LIE
        report = await one.until(lambda report: report["status"] == "trouble")
        [told] = [sign for sign in report["trouble"] if sign["alarmed"]]
        assert told["name"] == name
        assert f": {rule}: " in told["detail"]
        assert report["audited"] is None
        assert one.served.service.gossip.watch.alarms.counts[name] == 1


async def test_two_implementations_that_do_not_agree(
    scene: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nobody knows who is right, and nothing is signed."""
    theirs = second.root_of
    async with scene(start=False) as one:
        monkeypatch.setattr(second, "root_of", lambda digests: theirs([*digests, bytes(32)]))
        one.crew.start()
        told = await one.trouble(signs.OPINIONS_DIFFER)
        assert second.NAME in told["detail"]
        assert (await one.report())["audited"] is None
        monkeypatch.setattr(second, "root_of", theirs)
        await one.audited(7)
        assert (await one.report())["trouble"] == []


async def test_tiles_withheld(scene: Open) -> None:
    """A tile that is not there for a moment is no alarm; one that stays away is, until it is back."""
    async with scene() as one:
        await one.audited(7)
        one.log.append(LABEL, b"new")
        missing = f"streams/{LABEL}/tile/0/000"
        one.log.lies[f"{missing}.p/4"] = one.log.lies[missing] = 404
        one.show()
        told = await one.trouble(signs.WITHHELD)
        assert not told["alarmed"]
        await one.until(lambda report: any(sign["alarmed"] for sign in report["trouble"]))
        assert one.served.service.gossip.watch.alarms.counts[signs.WITHHELD] == 1
        del one.log.lies[f"{missing}.p/4"], one.log.lies[missing]
        report = await one.audited(8)
        assert report["trouble"] == []


async def test_the_face_of_the_log(scene: Open) -> None:
    """Shrinking, another key, silence, an old face: each has its name and its alarm."""
    async with scene() as one:
        await one.audited(7)
        good = one.log.lies["checkpoint"]
        one.log.sign(size=3)
        told = await one.trouble(signs.SHRUNK)
        assert "7 leaves" in told["detail"]
        one.log.lies["checkpoint"] = good.replace(b"\n7\n", b"\n8\n")
        await one.trouble(signs.UNSIGNED)
        one.log.lies["checkpoint"] = 404
        await one.until(
            lambda report: (
                (signs.UNREACHABLE, True)
                in [(sign["name"], sign["alarmed"]) for sign in report["trouble"]]
            )
        )
        one.log.lies["checkpoint"] = good
        await one.until(lambda report: report["trouble"] == [])
        one.log.append(LABEL, b"pushed")
        body = one.request(7)
        one.log.lies["checkpoint"] = good
        assert (await one.served.add(body)).status == 200
        await one.trouble(signs.STALLED)
        # What it signed is audited all the same.
        await one.audited(8)


async def test_a_log_that_falls_silent(scene: Open) -> None:
    """One that sent its checkpoints, and sends none any more; one that never sent any is only idle."""
    async with scene(audit_heartbeat=0.3) as one:
        await one.audited(7)
        await asyncio.sleep(0.5)
        assert (await one.report())["trouble"] == []
        assert (await one.served.add(one.request(7))).status == 200
        told = await one.trouble(signs.STALLED)
        assert "sent no checkpoint" in told["detail"]


async def test_the_clock_of_the_log(scene: Open) -> None:
    """It claims a time with its newest head: that time only goes forward, and not into the future."""
    async with scene(start=False) as one:
        claim = b'{"tree_size":7,"timestamp":"2026-01-01T10:00:0%d.000Z"}'
        one.log.lies["api/v1/sth"] = claim % 5
        one.crew.start()
        await one.audited(7)
        assert (await one.report())["trouble"] == []
        one.log.lies["api/v1/sth"] = claim % 3
        told = await one.trouble(signs.CLOCK_REWOUND)
        assert "back" in told["detail"]
        one.log.lies["api/v1/sth"] = b'{"tree_size":7,"timestamp":"2126-11-22T10:00:00.000Z"}'
        await one.trouble(signs.CLOCK_AHEAD)


async def test_what_is_not_followed(scene: Open) -> None:
    """An unknown log has no report, and no audited checkpoint."""
    async with scene() as one:
        assert (await one.served.call("GET", "/audit/log.example.org")).status == 404
        assert (await one.served.call("GET", f"/audited/{'0' * 64}/checkpoint")).status == 404
        assert (await one.served.call("GET", "/audited/no-hash/checkpoint")).status == 404
        await one.audited(7)
        figures = (await one.served.call("GET", "/metrics")).body.decode()
        assert f'witness_audited_size{{origin="{ORIGIN}"}} 7.0' in figures
        assert f'witness_audit_trouble{{name="lie",origin="{ORIGIN}"}} 0.0' in figures
        listed = json.loads((await one.served.call("GET", "/audit")).body)
        assert [log["origin"] for log in listed["logs"]] == [ORIGIN]


async def test_heads_are_only_written_with_the_root_log(scene: Open) -> None:
    """The state is a mapping that `advance` alone moves."""
    async with scene() as one:
        await one.audited(7)
        state = one.crew._auditors[ORIGIN].state
        assert sorted(state.heads) == sorted([ORIGIN, LABEL, PUBLIC])
        assert len(state.heads) == len(state.trails) == 3
        assert set(state.trails) == set(state.heads)
        with pytest.raises(AssertionError):
            state.heads[LABEL] = StreamHead(1, bytes(32), 1, 1)
        with pytest.raises(AssertionError):
            del state.heads[LABEL]
        with pytest.raises(KeyError):
            state.trails["b" * 52]


def test_the_readme_has_every_trouble() -> None:
    """The table of the README names the signs that there are, and no others."""
    section = (
        (REPOSITORY / "README.md")
        .read_text(encoding="utf-8")
        .split("### Audit")[1]
        .split("### ")[0]
    )
    named = [
        name
        for row in re.findall(r"^\| (`.*?) \|", section, re.M)
        for name in re.findall(r"`([^`]+)`", row)
    ]
    assert set(named) - {"trouble"} == set(signs.NAMES)
