"""What a log must put up with from honest witnesses: other sizes than it remembers, other habits, other paces."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import pytest
from aiohttp import web

from tests.harness import ORIGIN, new_log
from tests.witness_zoo import Witness, answering, honest, started, text_of, write_policy
from tests.witnessed_site import served, until, verifier
from tlog.core.add_checkpoint import parse_request
from tlog.core.checkpoint import open_checkpoint, parse_checkpoint
from tlog.core.hashes import EMPTY_ROOT
from tlog.core.note import parse_vkey
from tlog.errors import CorruptStore, Unavailable
from tlog.witnesses.clock import WitnessClock
from tlog.witnesses.http import Http
from tlog.witnesses.keeper import BEHIND, OK, REFUSING, UNREACHABLE


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_log(tmp_path_factory.mktemp("recovery") / "log")


@pytest.fixture
def directory(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "log")
    return tmp_path / "log"


async def test_a_witness_that_was_away_or_forgot_is_caught_up(directory: Path) -> None:
    witness = Witness(1, verifier(directory))
    async with started(witness), served(directory, [witness]) as site:
        first = await site.append()
        await site.shown(first, 1)
        await witness.stop()
        away = await site.append()
        await until(lambda: site.log.publication.keepers[0].state == UNREACHABLE)
        assert site.log.sequencer.published is not None
        await witness.start(witness.port)
        await site.shown(away, 1)
        assert witness.answers[-1] == 200
        # It comes back with an older state than it had (its own rollback), then with none.
        for older, root in ((first, site.log.reader.root_of(0, first)), (0, EMPTY_ROOT)):
            witness.size, witness.root = older, root
            witness.answers.clear()
            await site.shown(await site.append(), 1)
            assert witness.answers[:2] == [409, 200]
        assert parse_request(witness.requests[-1]).old == 0
        site.check_store()


async def test_a_first_contact_that_remembers_nothing(directory: Path) -> None:
    witness = Witness(1, verifier(directory))
    async with served(directory, [witness]) as site:  # nobody listens: the store grows alone
        await site.append()
        size = await site.append()
        root = site.log.reader.root_of(0, size)
    (directory / "policy").unlink()
    witness.size, witness.root = size, root  # it knows the log by another way, and shows nothing
    async with started(witness), served(directory, [witness]) as site:
        size = await site.append()
        await site.shown(size, 1)
        assert 409 in witness.answers and witness.answers[-1] == 200


async def test_a_witness_that_trusts_on_first_use(directory: Path) -> None:
    async def trusting(self: Witness, request: web.Request, body: bytes) -> web.Response:
        head = parse_checkpoint(text_of(body))
        return web.Response(body=self.cosign(head), content_type="text/plain")

    witness = Witness(1, verifier(directory), trusting)
    async with started(witness), served(directory, [witness]) as site:
        for _ in range(2):
            await site.shown(await site.append(), 1)
        assert set(witness.answers) == {200}


async def test_a_witness_that_follows_the_log_by_itself_may_be_faster(directory: Path) -> None:
    late = asyncio.Event()

    async def racing(self: Witness, request: web.Request, body: bytes) -> web.StreamResponse:
        """While the log asks about one root, it finds a newer one."""
        if not late.is_set():
            size = await site.append()
            self.size, self.root = size, site.log.reader.root_of(0, size)
            late.set()
        return await honest(self, request, body)

    witness = Witness(1, verifier(directory), racing)
    async with started(witness), served(directory, [witness]) as site:
        await until(late.is_set)
        await site.shown(site.log.sequencer.head.root.size, 1)
        keeper = site.log.publication.keepers[0]
        assert keeper.state == OK and "ahead" not in keeper.outcomes


async def test_one_that_forgets_what_it_told_is_refusing_and_asked_again(directory: Path) -> None:
    """409 names a size, and then another, and another."""
    told = iter(range(10_000))
    reply = answering(
        409, lambda w, b: b"%d\n" % (next(told) % 2), Content_Type="text/x.tlog.size; charset=utf-8"
    )
    witness = Witness(1, verifier(directory), reply)
    async with started(witness), served(directory, [witness]) as site:
        await until(lambda: site.log.publication.keepers[0].state == REFUSING)
        await until(lambda: len(witness.requests) > 6)
        assert site.log.failure is None


async def test_one_that_refuses_the_size_that_it_told_is_not_asked_a_third_time(
    directory: Path,
) -> None:
    reply = answering(409, lambda w, b: b"1\n", Content_Type="text/x.tlog.size")
    witness = Witness(1, verifier(directory), reply)
    async with (
        started(witness),
        served(directory, [witness], backoff=(3600.0, 3600.0)) as site,
    ):
        keeper = site.log.publication.keepers[0]
        await until(lambda: keeper.state == REFUSING)
        assert "the size that it told us, 1" in keeper.error
        assert [parse_request(body).old for body in witness.requests] == [0, 1]


async def test_when_idle_the_same_root_is_cosigned_again(directory: Path) -> None:
    witness = Witness(1, verifier(directory))
    began = int(time.time())
    ticks = iter(range(1_000_000))
    witness.clock = lambda: began + next(ticks) % 200  # each answer a second later
    async with (
        started(witness),
        served(directory, [witness], publish_idle_interval=0.1) as site,
    ):
        size = await site.append()
        await site.shown(size, 1)
        stored = site.log.reader.published(size - 1)
        before = len(witness.requests)
        await until(lambda: len(witness.requests) >= before + 3)
        request = parse_request(witness.requests[-1])
        assert (request.old, request.proof) == (size, ())
        keys = [parse_vkey(site.log.vkey)], [parse_vkey(witness.signer.vkey)]

        def time_of(note: bytes) -> int:
            return open_checkpoint(note, keys[0], ORIGIN, keys[1])[1].signatures[1].timestamp or 0

        note = await site.shown(size, 1)
        await until(lambda: site.log.reader.witnessed(size - 1) is not None)
        stored = site.log.reader.witnessed(size - 1)
        assert stored is not None and stored[0] == size
        assert time_of(note) >= time_of(stored[1]) + 2
        assert witness.answers.count(409) == 0


async def test_a_slow_witness_delays_nobody_and_its_late_line_is_merged(directory: Path) -> None:
    go_on = asyncio.Event()

    async def slow(self: Witness, request: web.Request, body: bytes) -> web.StreamResponse:
        await go_on.wait()
        return await honest(self, request, body)

    log = verifier(directory)
    witnesses = [Witness(1, log, slow), Witness(2, log), Witness(3, log)]
    async with (
        started(*witnesses),
        served(directory, witnesses, 2, witness_timeout=60.0) as site,
    ):
        await until(lambda: witnesses[0].requests)  # it holds the first request from now on
        asked_about = parse_checkpoint(text_of(witnesses[0].requests[0])).size
        for _ in range(3):
            size = await site.append()
            assert site.lines(await site.shown(size, 2)) == 2
        assert len(witnesses[0].requests) == 1  # one exchange at a time
        go_on.set()
        assert site.lines(await site.shown(size, 3)) == 3
        for covered in (asked_about, size):

            def complete(covered: int = covered) -> bool:
                row = site.log.reader.published(covered - 1)
                return row is not None and row[0] == covered and site.lines(row[1]) == 3

            await until(complete)


async def test_one_service_with_two_keys_is_asked_once(directory: Path) -> None:
    log = verifier(directory)
    fast, audited = Witness(1, log), Witness(2, log)
    audits = False

    async def both(self: Witness, request: web.Request, body: bytes) -> web.StreamResponse:
        response = await honest(self, request, body)
        if response.status == 200 and audits:
            head = parse_checkpoint(text_of(body))
            response.body = bytes(response.body) + audited.cosign(head)  # type: ignore[arg-type]
        return response

    fast.reply = both
    async with started(fast):
        audited.url = fast.url
        async with served(directory, [fast, audited]) as site:
            size = await site.append()
            await site.shown(size, 1)
            keepers = site.log.publication.keepers
            assert len(site.gateway.endpoints) == 1
            await until(lambda: keepers[1].error)
            assert (keepers[0].state, keepers[1].state) == (OK, OK)
            assert keepers[1].size == 0
            assert keepers[1].status(time.monotonic() + 3600, 60.0) == BEHIND
            audits = True  # from now on; the same root is asked about again until both are there
            await site.shown(size, 2)
            assert keepers[0].outcomes["foreign-line"] == 0
            asked = len(fast.requests)
            size = await site.append()
            await site.shown(size, 2)
            assert len(fast.requests) <= asked + 2  # the new root, maybe one before it


async def test_a_key_that_never_signs_does_not_slow_down_the_other_of_its_service(
    directory: Path,
) -> None:
    log = verifier(directory)
    good, silent = Witness(1, log), Witness(2, log)
    async with started(good):
        silent.url = good.url
        async with served(directory, [good, silent], backoff=(3600.0, 3600.0)) as site:
            for _ in range(3):
                await site.shown(await site.append(), 1)
            first, second = site.log.publication.keepers
            assert (first.state, second.state, second.size) == (OK, OK, 0)
            assert second.outcomes["ok"] == first.outcomes["ok"] >= 3


async def test_what_was_published_while_a_service_signed_in_part_is_not_left_behind(
    directory: Path,
) -> None:
    log = verifier(directory)
    good, silent = Witness(1, log), Witness(2, log)
    answer = asyncio.Event()

    async def held(self: Witness, request: web.Request, body: bytes) -> web.StreamResponse:
        await answer.wait()
        return await honest(self, request, body)

    good.reply = held
    async with started(good):
        silent.url = good.url
        async with served(
            directory, [good, silent], backoff=(3600.0, 3600.0), witness_timeout=20.0
        ) as site:
            await until(lambda: good.requests)
            size = await site.append()
            await until(lambda: (site.log.publication.newest or (0,))[0] == size)
            answer.set()
            await site.shown(size, 1)


async def test_what_health_shows_of_a_fault_is_not_the_path_to_the_witness() -> None:
    """A submission prefix may be a secret between a log and its witness; health is for everybody."""

    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    http = Http("log.example.com", 5.0)
    try:
        with pytest.raises(Unavailable) as caught:
            await http.get(f"http://127.0.0.1:{port}/s3cret/checkpoint", 100)
    finally:
        await http.close()
        server.close()
    assert caught.value.detail and "s3cret" not in caught.value.detail


@pytest.mark.parametrize(
    ("reply", "backoff"),
    [
        (answering(500, lambda w, b: b""), (3600.0, 3600.0)),
        (answering(429, lambda w, b: b"", Retry_After="3600"), (0.001, 0.001)),
        (answering(503, lambda w, b: b"", Retry_After="99999999"), (0.001, 0.001)),
    ],
)
async def test_after_a_failure_it_is_left_alone(
    directory: Path, reply: object, backoff: tuple[float, float]
) -> None:
    log = verifier(directory)
    witnesses = [Witness(1, log, reply), Witness(2, log)]  # type: ignore[arg-type]
    async with started(*witnesses), served(directory, witnesses, backoff=backoff) as site:
        await until(lambda: witnesses[0].requests)
        for _ in range(3):
            await site.shown(await site.append(), 1)
        assert len(witnesses[0].requests) == 1


async def test_a_clock_ahead_of_the_witnesses_stops_ingest_until_it_is_right(
    directory: Path,
) -> None:
    log = verifier(directory)
    wrong = Witness(1, log)
    wrong.clock = lambda: time.time() - 3600
    right = Witness(2, log)
    async with started(wrong, right):
        settings = {"publish_idle_interval": 0.1, "witness_wait": 0.05}
        async with served(directory, [wrong], **settings) as site:
            await until(lambda: site.log.sequencer.status == "clock")
            with pytest.raises(Unavailable, match="ahead of its witnesses") as caught:
                await site.append()
            assert caught.value.kind == "clock"
            wrong.clock = time.time
            await until(lambda: site.log.sequencer.status == "ok")
            await site.append()
        # The newest of all counts: with another one that is right, one that is wrong stops nobody.
        wrong.clock = lambda: time.time() - 3600
        write_policy(directory / "policy", [wrong, right], 2)
        async with served(directory, [wrong, right], **settings) as site:
            # Whichever answers first is for a moment the only one.
            await until(lambda: all(k.heard_at for k in site.log.publication.keepers))
            await until(lambda: site.log.sequencer.status == "ok")
            await site.shown(await site.append(), 2)
            assert site.log.sequencer.status == "ok"
        (directory / "policy").unlink()
        ms = lambda: time.time_ns() // 1_000_000 + 120_000  # noqa: E731
        async with served(directory, [right], clock_ms=ms, **settings) as site:
            await until(lambda: site.log.sequencer.status == "clock")


def test_what_a_silent_witness_said_is_forgotten() -> None:
    now = time.monotonic()
    clock = WitnessClock(10.0)
    assert clock.ahead(10**15) == 0
    clock.heard(("w", 1), 1_000, now - 5)
    assert clock.ahead(1_005_000 + 59_000) == 0
    assert 61_900 < clock.ahead(1_005_000 + 62_000) <= 62_000
    clock.heard(("v", 2), 1_100, now - 11)  # newer, but silent since
    assert clock.ahead(1_005_000 + 62_000) > 0
    clock.heard(("w", 1), 1_000, now - 11)
    assert clock.ahead(10**15) == 0


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (CorruptStore("tile 0/0 of stream 0 is missing"), "cannot make the proof: tile 0/0"),
        (ZeroDivisionError("oops"), "asked no more: ZeroDivisionError('oops')"),
    ],
)
async def test_our_own_faults_are_told_and_stop_nothing(
    directory: Path, fault: Exception, said: str
) -> None:
    witness = Witness(1, verifier(directory))

    async def prove(old: int, size: int) -> tuple[bytes, ...]:
        raise fault

    async with started(witness), served(directory, [witness]) as site:
        await site.shown(await site.append(), 1)
        site.gateway._knowledge = site.gateway._knowledge._replace(prove=prove)
        await site.append()
        keeper = site.log.publication.keepers[0]
        await until(lambda: said in keeper.error)
        assert keeper.status(time.monotonic(), 60.0) == BEHIND
        await site.append()
        assert site.log.sequencer.status == "ok"
