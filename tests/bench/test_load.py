"""The instrument counts what was answered and nothing else, waits for nobody in an open loop, and believes no answer."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from array import array
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.bench import generator, golang, load
from tests.bench.job import Job, Result, Template, body_of, get, post, quantile
from tests.bench.servers import Ours, check_batches, check_growth, check_receipts, event
from tests.faults.process import free_port
from tlog.errors import VerificationError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
BODY = b'{"n":"app-000000000000","of":"client-000000","sequence":000000000000}'
GO, WHY = load.program()
GENERATORS = [
    pytest.param(generator.run, id="python"),
    pytest.param(
        lambda job: load.run_go(job, GO) if GO else None,
        id="go",
        marks=pytest.mark.skipif(GO is None, reason=WHY),
    ),
]
Runner = Callable[[Job], Result]


@contextmanager
def serving(handler: Handler) -> Iterator[int]:
    """An aiohttp server for every path in a thread of its own; its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    port = free_port()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(_app(handler), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield port
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _app(handler: Handler) -> web.Application:
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", handler)
    return app


def counting(port: int, count: int, clients: int = 3, **more: object) -> Job:
    """So many requests, however long they take; no answer is left out of the samples."""
    words = {"warm": 0.0, "sample_every": 1, "grace": 5.0, "seconds": 60.0, **more}
    return Job(port, [post("/", BODY)], clients, count=count, **words)  # type: ignore[arg-type]


async def echo(request: web.Request) -> web.Response:
    """201 with what was sent."""
    return web.Response(status=201, body=await request.read())


@pytest.mark.parametrize("run", GENERATORS)
def test_every_body_is_another(run: Runner) -> None:
    with serving(echo) as port:
        first, second = run(counting(port, 50)), run(counting(port, 50))
    bodies = [body_of(request) for one in (first, second) for request, _ in one.samples]
    assert bodies == [answer for one in (first, second) for _, answer in one.samples]
    values = [json.loads(body) for body in bodies]
    assert len({value["n"] for value in values}) == 100
    for result, own in ((first, values[:50]), (second, values[50:])):
        assert (result.answered, result.sent, result.refused) == (50, 50, 0)
        clients = {value["of"] for value in own}
        assert len(clients) == 3
        for client in clients:
            sequences = sorted(value["sequence"] for value in own if value["of"] == client)
            assert sequences == list(range(1, len(sequences) + 1))
    assert not {value["of"] for value in values[:50]} & {value["of"] for value in values[50:]}


@pytest.mark.parametrize("run", GENERATORS)
def test_only_the_wanted_status_counts(run: Runner) -> None:
    turn = itertools.count()

    async def failing(_: web.Request) -> web.Response:
        status = 500 if next(turn) % 4 == 3 else 201
        return web.Response(status=status, text="out of order" if status == 500 else "{}")

    with serving(failing) as port:
        result = run(counting(port, 40, clients=1))
    assert result.statuses == {201: 30, 500: 10}
    assert (result.answered, result.completed, len(result.latencies)) == (30, 30, 30)
    assert result.refused == 10
    assert {answer for _, answer in result.samples} == {b"{}"}
    with pytest.raises(RuntimeError, match=r"10 of 40 requests were refused.*out of order"):
        result.demand_all()


@pytest.mark.parametrize("run", GENERATORS)
def test_a_connection_that_ends_is_no_answer(run: Runner) -> None:
    turn = itertools.count()

    async def hanging_up(request: web.Request) -> web.StreamResponse:
        number = next(turn)
        if number % 5 == 4 and request.transport is not None:
            request.transport.abort()
        answer = web.Response(status=201, text="x" * 100_000)
        if number % 5 == 2:
            answer.force_close()
        return answer

    with serving(hanging_up) as port:
        result = run(counting(port, 20, clients=2))
    assert (result.answered, result.broken, result.refused) == (16, 4, 4)
    assert {answer for _, answer in result.samples} == {b"x" * 100_000}


@pytest.mark.parametrize("run", GENERATORS)
def test_large_bodies_arrive_whole(run: Runner) -> None:
    async def length(request: web.Request) -> web.Response:
        return web.json_response(len(await request.read()), status=201)

    body = b"[" + b",".join([BODY] * 60_000) + b"]"
    with serving(length) as port:
        result = run(
            Job(port, [post("/", body)], 1, 30.0, warm=0.0, count=2, sample_every=1, weight=60_000)
        )
    assert [json.loads(answer) for _, answer in result.samples] == [len(body)] * 2
    assert result.events == 120_000


@pytest.mark.parametrize("run", GENERATORS)
def test_an_open_loop_counts_from_when_a_request_was_due(run: Runner) -> None:
    """One connection, 40 requests due within 0.2 s, each answered after 20 ms: the last one waits for all the others."""

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.02)
        return web.Response(status=201)

    with serving(slow) as port:
        closed = run(counting(port, 40, clients=1))
        opened = run(Job(port, [post("/", BODY)], 1, 0.2, warm=0.0, rate=200.0))
    assert opened.sent == opened.answered == len(opened.latencies) == 40
    # 40 answers take 40 times 20 ms at least, and the last request was due after 0.195 s.
    assert opened.quantile(1.0) >= 40 * 20 - 195
    assert opened.quantile(0.5) >= 20 * 20 - 100
    assert closed.quantile(0.0) >= 20
    assert closed.quantile(0.5) < opened.quantile(0.5)


@pytest.mark.parametrize("run", GENERATORS)
def test_what_is_never_answered_is_in_the_tail(run: Runner) -> None:
    turn = itertools.count()
    stop = asyncio.Event()

    async def stuck(_: web.Request) -> web.Response:
        if next(turn) >= 5:
            await stop.wait()
        return web.Response(status=201)

    with serving(stuck) as port:
        rate = {"rate": 100.0, "count": 0, "seconds": 0.1, "grace": 0.3}
        result = run(counting(port, clients=1, **rate))  # type: ignore[arg-type]
    assert (result.answered, result.unanswered, len(result.latencies)) == (5, 5, 10)
    assert result.quantile(1.0) >= 300
    with pytest.raises(RuntimeError, match="5 of 6"):
        result.demand_all()


@pytest.mark.parametrize("run", GENERATORS)
def test_warming_up_does_not_count(run: Runner) -> None:
    with serving(echo) as port:
        result = run(Job(port, [get("/a"), get("/b")], 2, 0.2, warm=0.3, sample_every=1))
    assert 0 < len(result.latencies) < result.answered
    assert result.completed < result.answered
    assert result.seconds == 0.2
    assert {request.split()[1] for request, _ in result.samples} == {b"/a", b"/b"}
    assert result.rate == result.completed / 0.2


@pytest.mark.parametrize("run", GENERATORS)
def test_without_a_server_it_says_so(run: Runner) -> None:
    with pytest.raises((RuntimeError, OSError), match=r"refused|Connect call failed"):
        run(counting(free_port(), 1))


def test_a_run_in_which_nothing_was_sent_says_so() -> None:
    with pytest.raises(RuntimeError, match="too short"):
        Result("slow", sent=1, answered=1, statuses={201: 1}).demand_all()


def test_quantiles_are_exact() -> None:
    values = array("q", [5, 1, 4, 2, 3])
    assert [quantile(values, share) for share in (0.0, 0.2, 0.21, 0.5, 0.99, 1.0)] == [
        1,
        1,
        2,
        3,
        5,
        5,
    ]
    assert quantile(range(1, 1001), 0.999) == 999
    assert quantile([7], 0.5) == 7
    with pytest.raises(ValueError, match="nothing"):
        quantile([], 0.5)


def test_sequences_are_json() -> None:
    """A leading zero would not be."""
    request = Template(BODY).request(itertools.count(7), 12, itertools.count(1))
    assert request == b'{"n":"app-000000000007","of":"client-000012","sequence":           1}'


def test_without_go_the_fallback_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    load.program.cache_clear()
    try:
        assert load.described() == "Python, one thread (no go on this machine)"
        with serving(echo) as port:
            assert load.run(counting(port, 2)).generator == "python"
        with pytest.raises(golang.Missing, match="no go"):
            golang.build(load.MODULE, ".")
    finally:
        load.program.cache_clear()


@pytest.mark.skipif(GO is None, reason=WHY)
def test_go_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_GENERATOR", raising=False)
    with serving(echo) as port:
        assert load.run(counting(port, 2)).generator == "go"


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ours, Result, Result]]:
    """A real log, and what a run of single events and one of batches got from it."""
    with Ours(tmp_path_factory.mktemp("bench")) as server:
        server.start()
        batch = b"[" + b",".join([event("full")] * 5) + b"]"
        words = {"warm": 0.0, "sample_every": 1, "count": 6}
        results = [
            load.run(Job(server.port, [post(path, body, token=server.token)], 3, 60.0, **more))
            for path, body, more in (
                ("/api/v1/events", event("full"), words),
                ("/api/v1/events/batch", batch, {**words, "weight": 5}),
            )
        ]
        yield server, *results


@pytest.mark.e2e
def test_a_real_log_passes(honest: tuple[Ours, Result, Result]) -> None:
    server, singles, batches = honest
    singles.demand_all()
    assert check_receipts(singles, server.verifier) == 6
    assert check_batches(batches, server.verifier) == 30
    assert server.size() == 1 + 6 + 30
    check_growth(1, server.size(), singles.events + batches.events)
    with pytest.raises(RuntimeError, match="36 events acknowledged, and the log grew by 35"):
        check_growth(1, server.size() - 1, 36)
    assert server.cpu_seconds() > 0
    assert server.rss_anon() > 1 << 20


@pytest.mark.e2e
def test_receipts_of_other_events_are_noticed(honest: tuple[Ours, Result, Result]) -> None:
    """A server that proves something else, the same twice, or nothing."""
    server, singles, batches = honest
    (first, receipt), (other, _) = singles.samples[:2]
    for lie in (
        [(other, receipt)],
        [(first, receipt.replace(b'"tree_size":', b'"tree_size":1'))],
    ):
        with pytest.raises(VerificationError):
            check_receipts(Result("lie", samples=lie), server.verifier)
    with pytest.raises(RuntimeError, match="2 events were acknowledged as 1"):
        check_receipts(Result("lie", samples=[(first, receipt)] * 2), server.verifier)
    (mine, answer), (others, _) = batches.samples[:2]
    with pytest.raises(VerificationError):
        check_batches(Result("lie", weight=5, samples=[(others, answer)]), server.verifier)
    with pytest.raises(RuntimeError, match="5 receipts for 6"):
        check_batches(Result("lie", weight=6, samples=[(mine, answer)]), server.verifier)
