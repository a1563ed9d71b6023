"""The matrix over real sockets, and what only HTTP can get wrong."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.witness.conftest import Serve, Served
from tests.witness.harness import NOW, ORIGIN, Times
from tests.witness.matrix import LATEST, LOG, NEVER, ROWS, STRANGER, Row
from tlog.core.add_checkpoint import MAX_REQUEST
from tlog.core.note import open_note, parse_vkey
from witness.api.cosigning import STATUS
from witness.api.routes import ROUTES
from witness.cosigner import Cosigner
from witness.rows import LatestRow
from witness.state import KINDS

REFUSED = [row for row in ROWS if row.status != 200]
COSIGNED = [row for row in ROWS if row.status == 200]


@pytest.fixture
async def served(serve: Serve) -> Served:
    """A witness that cosigned size LATEST a hundred seconds ago."""
    return await serve(Times())


def stored(served: Served) -> list[LatestRow]:
    """All that the store says was cosigned."""
    return served.witness.store.all("latest", LatestRow)


async def test_matrix_of_refusals(served: Served) -> None:
    """Every refusal has its status and its body, and changes nothing."""
    before = stored(served)
    for row in REFUSED:
        reply = await served.add(row.body)

        assert reply.status == row.status, (row.name, reply)
        if row.status == 409:
            assert (reply.body, reply.type) == (row.answer, "text/x.tlog.size"), row.name
        else:
            assert reply.type == "text/plain; charset=utf-8"
            assert reply.body.endswith(b"\n")
    assert stored(served) == before


@pytest.mark.parametrize("row", COSIGNED, ids=lambda row: row.name)
async def test_matrix_of_cosignatures(served: Served, row: Row) -> None:
    """What is cosigned verifies under the witness's key, at its clock, and is what it publishes from then on."""
    text = row.body.partition(b"\n\n")[2].partition(b"\n\n")[0] + b"\n"
    origin = text.decode().split("\n")[0]
    log = next(log for log in (LOG, NEVER) if log.origin == origin)
    ours = parse_vkey(served.witness.keys.cosigner.vkey)

    reply = await served.add(row.body)

    assert (reply.status, reply.type) == (200, "text/plain; charset=utf-8")
    note = open_note(text + b"\n" + reply.body, [ours])
    assert [one.timestamp for one in note.signatures] == [NOW]
    published = await served.published(origin)
    assert published.status == 200
    assert published.body == log.sign(text) + reply.body


async def test_two_requests_from_one_size(served: Served) -> None:
    """Exactly one is cosigned; the other is told the new size, or has the very same head cosigned at the same second."""
    bodies = [LOG.body(5, size) for size in (6, 7, 8, 9, 10, 11)]
    replies = await asyncio.gather(*[served.add(body) for body in bodies])

    good = [reply for reply in replies if reply.status == 200]
    bad = [reply for reply in replies if reply.status == 409]
    (size,) = [row.size for row in stored(served) if row.origin == ORIGIN]
    assert (len(good), len(bad)) == (1, 5)
    assert {reply.body for reply in bad} == {b"%d\n" % size}


async def test_many_logs_share_a_transaction(served: Served) -> None:
    """Requests of two logs and several sizes at once: each log has one history, and the guard has followed."""
    chain = [LOG.body(old, old + 1) for old in range(LATEST, 15)]
    other = [NEVER.body(old, old + 1) for old in range(10)]
    for one, two in zip(chain, other, strict=True):
        replies = await asyncio.gather(served.add(one), served.add(two))
        assert [reply.status for reply in replies] == [200, 200]

    assert sorted(row.size for row in stored(served)) == [10, 15]
    with served.witness.store.read() as txn:
        commit = served.witness.store.commit(txn)
    assert served.witness.guard.state == (commit.number, commit.chain)


async def test_forged_witness_line_is_not_kept(served: Served) -> None:
    """A line in the witness's own name, on the log's own note, neither gets in nor stops anything afterwards."""
    ours = served.witness.keys.cosigner
    forged = ours.sign_line(b"something else\n", NOW)
    body = LOG.body(5, 7) + forged

    reply = await served.add(body)

    assert reply.status == 200
    published = (await served.published(ORIGIN)).body
    assert forged not in published
    note = open_note(published, [parse_vkey(LOG.vkey), parse_vkey(ours.vkey)])
    assert len(note.signatures) == 2
    assert (await served.add(LOG.body(7, 9) + forged)).status == 200


async def test_the_same_second_gives_the_same_line(serve: Serve) -> None:
    """A repeat writes nothing; a second later it is a new cosignature."""
    times = Times()
    served = await serve(times)
    first = await served.add(LOG.body(5, 7))
    with served.witness.store.read() as txn:
        number = served.witness.store.commit(txn).number
    again = await served.add(LOG.body(7, 7))
    with served.witness.store.read() as txn:
        assert served.witness.store.commit(txn).number == number
    times.pass_(1)
    later = await served.add(LOG.body(7, 7))
    assert first.body == again.body != later.body


async def test_bodies(served: Served) -> None:
    """Too large, chunked and too large, compressed, without a length, never finished."""
    filler = b"x" * (MAX_REQUEST + 1)

    async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    assert (await served.add(filler)).status == 413
    assert (await served.add(pieces(filler, 4096))).status == 413
    assert (await served.add(filler[:MAX_REQUEST])).status == 400
    assert (await served.add(pieces(LOG.body(5, 7), 7))).status == 200
    chunked = (
        b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    )
    assert (await raw(served, chunked)).split()[1] == b"400"
    zipped = gzip.compress(LOG.body(7, 8))
    assert (await served.add(zipped, **{"Content-Encoding": "gzip"})).status == 415
    assert (await raw(served, b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(
        b"HTTP/1.1 411"
    )
    assert (await served.add(LOG.body(7, 8), **{"Content-Type": "x/y"})).status == 200


async def raw(served: Served, data: bytes) -> bytes:
    """What comes back on a connection that is sent `data`."""
    port = int(served.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(4096), 20)
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_body_that_never_ends(
    directory: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has so long, and no longer."""
    monkeypatch.setenv("WITNESS_REQUEST_TIMEOUT", "0.05")
    served = await serve()
    head = b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nold"
    assert (await raw(served, head)).startswith(b"HTTP/1.1 408")


async def test_paths_and_methods(served: Served) -> None:
    """No redirect for anything; a wrong method names the right ones; a hash has one spelling."""
    key = "/" + __import__("hashlib").sha256(ORIGIN.encode()).hexdigest()
    for path in (
        "/add-checkpoint/",
        "/checkpoint",
        key,
        key + "/checkpoint/",
        "//",
        key.upper() + "/checkpoint",
    ):
        assert (await served.call("GET", path)).status == 404, path
    assert (await served.call("GET", "/x/checkpoint")).status == 404
    wrong = await served.call("GET", "/add-checkpoint")
    assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")
    assert (await served.call("PUT", key + "/checkpoint")).headers["Allow"] == "GET,HEAD"
    head = await served.call("HEAD", key + "/checkpoint")
    assert (head.status, head.body) == (200, b"")
    for log in (NEVER, STRANGER):
        assert (await served.published(log.origin)).status == 404


async def test_keep_alive(served: Served) -> None:
    """Two requests on one connection."""
    one = LOG.body(5, 6)
    two = LOG.body(6, 7)
    request = b"".join(
        b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
        % (len(body), body)
        for body in (one, two)
    )
    port = int(served.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = b""
    while answer.count(b"HTTP/1.1 200") < 2 or not answer.endswith(b"\n"):
        answer += await asyncio.wait_for(reader.read(4096), 20)
    writer.close()
    await writer.wait_closed()


async def test_index_health_metrics(served: Served) -> None:
    """For people, for a health check, for Prometheus."""
    await served.add(LOG.body(5, 7))
    await served.add(LOG.body(5, 7))
    await served.add(b"")

    index = (await served.call("GET", "/")).body.decode()
    assert served.witness.keys.cosigner.vkey in index
    assert served.witness.keys.audited.vkey in index
    assert "7  ok      log.example.com\n" in index
    health = json.loads((await served.call("GET", "/health")).body)
    assert health["status"] == "ok"
    page = (await served.call("GET", "/metrics")).body.decode()
    for line in (
        'witness_add_checkpoint_total{status="200"} 1.0',
        'witness_add_checkpoint_total{status="409"} 1.0',
        'witness_add_checkpoint_total{status="400"} 1.0',
        'witness_log_size{origin="log.example.com"} 7.0',
        "witness_cosigning 1.0",
        "witness_logs 2.0",
        "witness_committed_requests_total 1.0",
    ):
        assert f"\n{line}\n" in page, line


async def test_a_fault_is_a_line_of_text(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 without a word of what is inside."""

    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(Cosigner, "judge", broken)
    monkeypatch.setattr(served.service, "published", broken)
    for reply in (await served.add(LOG.body(5, 7)), await served.published(ORIGIN)):
        assert reply.status == 500
        assert b"secret" not in reply.body


def test_every_decision_has_a_status() -> None:
    """What `decide` can say, HTTP can say."""
    assert set(KINDS) <= set(STATUS)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
