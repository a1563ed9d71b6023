"""A real log behind real sockets, and the parts of a front end at the other end: commits, answers, pictures, keys, refusals."""

from __future__ import annotations

import asyncio
import random
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.harness import STREAM
from tests.workers.ends import both
from tlog.errors import InvalidInput, Refused, Unavailable
from tlog.messages import frame
from tlog.sequencer.batch import Placed, Replayed
from tlog.sequencer.streams import StreamView
from tlog.store.layout import ROOT_LOG
from tlog.vault import Sealer
from tlog.workers import wire
from tlog.workers.pictures import extended
from tlog.workers.ring import RemoteRing


def same(view: StreamView, other: StreamView) -> bool:
    """Whether two pictures say the same."""
    held = view.size % 256
    return (view[:4], view.tail[:held]) == (other[:4], other.tail[:held])


async def test_pictures_stay_true(tmp_path: Path) -> None:
    """Over hundreds of commits of all sizes, asked for now and then, by a front end that writes and one that does not."""
    chance = random.Random(11)
    async with both(tmp_path) as end:
        writer, asker, pictures = await end.front()
        _, other_asker, other = await end.front()
        streams = [f"acme:prod:s{n}" for n in range(4)]
        for step in range(120):
            stream = chance.choice(streams)
            outcome = await end.append(writer, chance.choice((1, 1, 2, 100, 255, 256, 300)), stream)
            assert outcome.committed.number == pictures.applied == end.page.commit
            assert outcome.committed.note == pictures.head.note == end.log.sequencer.head.note
            assert same(pictures.view(ROOT_LOG), end.log.states.view(ROOT_LOG))
            number = pictures.numbers[stream]
            assert pictures.rows[number] == end.log.states.rows[number]
            if step % 3 == 0:
                assert same(pictures.view(number), end.log.states.view(number))
            if step % 40 == 39:
                await asyncio.sleep(0.02)  # the other one is told as well
                assert other.applied == pictures.applied
                for one in other.numbers.values():
                    assert same(other.view(one), end.log.states.view(one))
        assert pictures.tenant_streams["acme"] == 4
        asker.close()
        other_asker.close()


async def test_a_picture_that_may_be_old_is_not_kept(tmp_path: Path) -> None:
    """One of before a commit that came in while it was asked for; any other is asked for once."""
    async with both(tmp_path) as end:
        link, asker, pictures = await end.front()
        assert end.page.commit == 0
        pictures.view(1)
        assert end.page.commit == end.log.sequencer.head.commit, "shown here, unknown elsewhere"
        await end.append(link, 1)
        number = pictures.numbers[STREAM]
        pictures.applied += 1
        assert same(pictures.view(number), end.log.states.view(number))
        assert pictures._views.get(number) is None
        pictures.applied -= 1
        view = pictures.view(number)
        asker.close()
        assert pictures.view(number) is view
        with pytest.raises(Unavailable):
            pictures.view(2000)


def test_a_gap_drops_the_picture() -> None:
    """Positions that do not follow on what is there are no part of it; a bundle that begins needs nothing before it."""
    view = StreamView(10, b"r" * 32, 1, 2, list(range(10)))

    def grown(size: int, positions: list[int]) -> wire.Grown:
        return wire.Grown(3, size, b"s" * 32, 4, 5, positions)

    follows = extended(view, grown(12, [10, 11]))
    assert follows == StreamView(12, b"s" * 32, 4, 5, list(range(12)))
    assert view.tail[:10] == list(range(10))
    assert extended(view, grown(12, [11])) is None
    assert extended(view, grown(258, [257])) is None
    assert extended(view, grown(268, [266, 267])) is None
    assert extended(view, grown(258, [256, 257])) == StreamView(258, b"s" * 32, 4, 5, [256, 257])
    assert extended(view, grown(512, [])) == StreamView(512, b"s" * 32, 4, 5, [])
    assert extended(view, grown(10, [9])) is view
    assert follows is not None and extended(follows, grown(11, [10])) is follows
    # The older picture's list has positions by now that are not its own.
    other = extended(view, grown(11, [77]))
    assert other is not None and other.tail == [*range(10), 77]
    assert follows.tail == list(range(12))


async def test_outcomes_are_those_of_the_log(tmp_path: Path) -> None:
    """New, repeated, refused: what one process says, word for word."""
    async with both(tmp_path) as end:
        link, asker, _ = await end.front()
        one = await end.append(link, 1)
        assert isinstance(one.events[0], Placed)
        assert one.committed.heads[one.events[0].stream].checkpoint.size == 2
        many = await end.append(link, 3)
        assert many.path is None and many.ranges is not None
        event = end.site.prepare()
        first = await link.append([event], None, request=b"k" * 16, prove=False, array=False)
        again = await link.append([event], None, request=b"k" * 16, prove=False, array=False)
        assert first.events[0].index == 5 and first.committed.heads == {}
        assert again == (([Replayed(first.events[0].stream, 5)]), None, None, None)
        other = end.site.prepare(payload={"n": 2})
        with pytest.raises(Refused, match="another request") as refused:
            await link.append([other], None, request=b"k" * 16, prove=False, array=False)
        assert refused.value.kind == "conflict"
        nowhere = end.site.prepare("acme:prod:nowhere")
        with pytest.raises(Refused) as refused:
            await link.append([nowhere], None, request=None, prove=False, array=True)
        assert (refused.value.kind, refused.value.pointer) == ("not-found", "/0")
        end.site.check()
        asker.close()


async def test_what_is_sent_together_is_answered_apart(tmp_path: Path) -> None:
    """Of many requests in one turn each has its own outcome."""
    async with both(tmp_path) as end:
        link, asker, _ = await end.front()
        await end.append(link, 1)
        bad = end.site.prepare("acme:prod:nowhere")
        options: dict[str, Any] = {"request": None, "prove": True, "array": False}
        asked = [
            link.append([end.site.prepare() if n % 2 else bad], None, **options) for n in range(40)
        ]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert [isinstance(one, Refused) for one in outcomes] == [n % 2 == 0 for n in range(40)]
        placed = [one.events[0].index for one in outcomes if not isinstance(one, BaseException)]
        assert sorted(placed) == list(range(2, 22))
        asker.close()


async def test_a_failed_writer_is_an_unknown_outcome(tmp_path: Path) -> None:
    """For what waited, and then for whoever comes."""
    async with both(tmp_path) as end:
        link, asker, _ = await end.front()

        def fail() -> None:
            raise OSError("the disk is gone")

        end.log.sequencer._flush_keys = fail
        asked = [end.append(link, 1) for _ in range(5)]
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(outcome, Unavailable) and outcome.kind == "unknown-outcome"
        with pytest.raises(Unavailable, match="stopping"):
            await end.append(link, 1)
        asker.close()


async def test_a_lost_connection_is_an_unknown_outcome(tmp_path: Path) -> None:
    """Told to everybody who waits, once; and nothing more is taken."""
    async with both(tmp_path) as end:
        link, asker, _ = await end.front()
        await end.append(link, 1)
        asked = asyncio.ensure_future(end.append(link, 1))
        await asyncio.sleep(0)
        for connection in list(end.backend.connections):
            connection.end()
        with pytest.raises(Unavailable) as error:
            await asked
        assert error.value.kind == "unknown-outcome" and error.value.retry_after == 2.0
        assert end.lost.is_set()
        with pytest.raises(Unavailable):
            await end.append(link, 1)
        asker.close()
        with pytest.raises(Unavailable):
            asker.ask(wire.ViewOf(1), wire.Picture)


async def test_a_full_connection_refuses(tmp_path: Path) -> None:
    """What cannot be sent is not collected: 503 until the other side has read."""
    async with both(tmp_path) as end:
        link, asker, _ = await end.front()
        await end.append(link, 1)
        link.pause_writing()
        with pytest.raises(Unavailable) as error:
            await end.append(link, 1)
        assert error.value.kind == "overloaded"
        link.resume_writing()
        assert (await end.append(link, 1)).events[0].index == 2
        asker.close()


async def test_who_does_not_read_is_dropped(tmp_path: Path) -> None:
    """Nothing is collected for it without limit; the others go on."""
    async with both(tmp_path) as end:
        _, asker, _ = await end.front()
        (deaf,) = end.backend.connections
        writer, other, _ = await end.front()
        deaf.pause_writing()
        assert (await end.append(writer, 1)).events[0].index == 1
        assert end.lost.is_set()
        assert deaf not in end.backend.connections and len(end.backend.connections) == 1
        asker._socket.shutdown(socket.SHUT_RDWR)
        for _ in range(2):
            with pytest.raises(Unavailable) as error:
                asker.ask(wire.ViewOf(1), wire.Picture)
            assert error.value.kind == "unknown-outcome"
        other.close()


async def test_who_sends_what_is_no_message_is_dropped(tmp_path: Path) -> None:
    """And nobody else is."""
    async with both(tmp_path) as end:
        link, asker, _ = await end.front()
        reader, writer = await asyncio.open_unix_connection(str(end.places.events))
        writer.write(b"\x00\x00\x00\x02\xc1\xc1")
        while await reader.read(4096):
            pass
        writer.close()
        assert (await end.append(link, 1)).events[0].index == 1
        asker.close()


async def test_keys_and_pseudonyms_come_from_one_ring(tmp_path: Path) -> None:
    """Found or made over there; forgotten here as soon as anything is destroyed; errors as they were raised."""
    async with both(tmp_path) as end:
        link, asker, _ = await end.front()
        ring = RemoteRing(asker, end.page)
        end.page.forget(end.log.vault.look())
        vault = Sealer(ring)
        assert vault.find_pseudonym("acme", "sub", "p") is None
        name = vault.pseudonym("acme", "sub", "p")
        assert name == end.log.vault.pseudonym("acme", "sub", "p")
        assert vault.find_pseudonym("acme", "sub", "p") == name
        about: dict[str, Any] = {"tenant": "acme", "stream_id": STREAM, "root": b"r" * 32}
        sealed = [
            vault.seal(**about, subject=subject, ms=10**12, master_salt=b"s" * 32, fields=[("/payload/x", 1)])
            for subject in (name, None)
        ]  # fmt: skip
        for one in sealed:
            assert end.log.vault.unseal(one, **about) == (b"s" * 32, [("/payload/x", 1)])
            assert RemoteRing(asker, end.page).key("acme", one[:18]).header == one[:18]
        persons: list[Any] = [("sub", "p"), ("sub", "q"), ("usr", "q"), ("sub", "q")]
        missing = ring.missing("acme", persons)
        assert missing == [("sub", "q"), ("usr", "q")]
        answer = await link.names("acme", missing)
        ring.keep(
            "acme", answer.generation, list(zip(missing, answer.names, strict=True)), answer.keys
        )
        assert ring.missing("acme", persons) == []
        asker.close()  # from here on, what is not at hand cannot be had
        assert vault.pseudonym("acme", "usr", "q") == end.log.vault.pseudonym("acme", "usr", "q")
        end.log.vault.flush()
        end.log.vault.destroy_subject("acme", name)
        end.page.forget(end.log.vault.look())
        with pytest.raises(Unavailable):
            vault.unseal(sealed[0], **about)
        ring.keep(
            "acme", answer.generation, list(zip(missing, answer.names, strict=True)), answer.keys
        )
        assert len(ring.missing("acme", persons)) == 3, "what is older than an erasure was kept"
        _, fresh, _ = await end.front()
        again = Sealer(RemoteRing(fresh, end.page))
        with pytest.raises(Refused) as erased:
            again.unseal(sealed[0], **about)
        assert erased.value.kind == "erased"
        with pytest.raises(InvalidInput):
            again.pseudonym("NO TENANT", "usr", "x")
        with pytest.raises(InvalidInput):
            await link.names("NO TENANT", [("usr", "x")])
        fresh.close()


def test_messages_may_come_in_pieces() -> None:
    """Byte by byte, and many at once."""
    asked = [wire.Persons(n, "acme", [("usr", "x" * n)]) for n in range(5)]
    stream = b"".join(map(frame, asked))
    frames = wire.Frames(wire.from_front)
    assert list(frames.feed(stream)) == asked
    found = [one for at in range(len(stream)) for one in frames.feed(stream[at : at + 1])]
    assert found == asked
