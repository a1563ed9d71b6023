"""The pages of gossip and evidence, the webhook, what peers say to one another, and a monitor without a key."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import io
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import lmdb
import pytest
from aiohttp import web

from tests.core.histories import History
from tests.evil import EvilLog, add, grown
from tests.witness.ring import Member, ring, until
from tlog.core.fork import verify_fork
from tlog.errors import InvalidInput, Unavailable
from witness import monitor, peers
from witness.alarms import Alarms
from witness.api.gossip import RATE, Bucket
from witness.cli import main
from witness.peers import Message, Peers
from witness.store import Store


def split() -> tuple[History, History]:
    """Two histories of one log."""
    one = grown(5)
    other = one.copy()
    add(one, 2, b"one")
    add(other, 2, b"other")
    return one, other


@asynccontextmanager
async def convinced(tmp_path: Path) -> AsyncIterator[tuple[Member, History, History]]:
    """One witness that was pushed both heads of a forked log."""
    one, other = split()
    log = EvilLog(one=one, other=other)
    async with log.served(), ring(tmp_path, log, ["one"], one) as [member]:
        notes = [one.note().note.decode(), other.note().note.decode()]
        answer = await member.call("POST", "/gossip", json.dumps({"version": 1, "notes": notes}))
        assert (answer.status, json.loads(answer.body)) == (200, {"notes": 2, "forks": 0})
        yield member, one, other


async def test_a_push_convicts_and_everybody_can_read_it(tmp_path: Path) -> None:
    async with convinced(tmp_path) as (member, one, _):
        (shown,) = await member.evidence()
        assert (shown["kind"], shown["log"], shown["resolved"]) == ("fork", "log.example.com", None)
        assert {head["tree_size"] for head in shown["heads"]} == {8}
        document = await member.call("GET", f"/evidence/{shown['id']}")
        assert hashlib.sha256(document.body).hexdigest() == shown["id"]
        assert "attachment" in document.headers["Content-Disposition"]
        assert verify_fork(document.body, one.verifier).origin == "log.example.com"
        assert (await member.call("GET", f"/evidence/{'0' * 64}")).status == 404
        assert (await member.call("GET", "/evidence/x")).status == 404
        told = json.loads((await member.call("GET", "/gossip")).body)
        assert told["evidence"] == [shown["id"]]
        health = json.loads((await member.call("GET", "/health")).body)
        assert health["frozen"][0]["reason"] == f"it lied: evidence {shown['id'][:16]}"
        page = (await member.call("GET", "/metrics")).body.decode()
        assert 'witness_alarms_total{kind="fork"} 1.0' in page
        assert "witness_open_evidence 1.0" in page


async def test_fork_of_a_refused_checkpoint(tmp_path: Path) -> None:
    """A log that sends a witness the other face itself convicts itself."""
    one, other = split()
    log = EvilLog(one=one, other=other)
    async with log.served(), ring(tmp_path, log, ["one"], one) as [member]:
        assert (await member.call("POST", "/add-checkpoint", log.request("one"))).status == 200
        body = log.request("other", 8)
        assert (await member.call("POST", "/add-checkpoint", body)).status == 422
        await until(lambda: member.frozen() == {"log.example.com"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"version":2}',
        b'{"version":1,"notes":{}}',
        b'{"version":1,"notes":[1]}',
        b'{"version":1,"forks":["x"]}',
        b'{"version":1,"evidence":["../x"]}',
        b'{"version":1,"evidence":[7]}',
        b'{"version":1,"notes":' + json.dumps(["x"] * 257).encode() + b"}",
        b'{"version":1,"version":1}',
    ],
)
async def test_a_bad_message_is_refused(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(InvalidInput):
        peers.parse(body)


async def test_what_is_too_much_is_refused(tmp_path: Path) -> None:
    one, _ = split()
    log = EvilLog(one=one)
    async with log.served(), ring(tmp_path, log, ["one"], one) as [member]:
        assert (await member.call("POST", "/gossip", b"{}")).status == 400
        assert (await member.call("POST", "/gossip", io.BytesIO(bytes(3 << 20)))).status == 413
        answer = await member.call("POST", "/gossip", b"{}", **{"Content-Encoding": "gzip"})
        assert answer.status == 415
        assert (await member.call("DELETE", "/gossip")).status == 405
        member.runner.app[RATE]._level = -40.0
        answer = await member.call("POST", "/gossip", b'{"version":1}')
        assert (answer.status, answer.headers["Retry-After"]) == (429, "3")
        junk = json.dumps({"version": 1, "notes": ["x\n\n"] * 200, "forks": [{"a": 1}]})
        member.runner.app[RATE]._level = 5.0
        answer = await member.call("POST", "/gossip", junk)
        assert json.loads(answer.body) == {"notes": 0, "forks": 0}


def test_a_message_survives_its_journey() -> None:
    message = Message((b"note\n",), (b'{"a":1}',), ("ab" * 32,))
    assert peers.parse(peers.encode(message)) == message
    with pytest.raises(InvalidInput):
        peers.parse(b" " * (peers.MAX_MESSAGE + 1))


def test_a_bucket_fills_again() -> None:
    bucket = Bucket(1000.0)
    for _ in range(2000):
        bucket.take()
    bucket._level = -5.0
    with pytest.raises(Unavailable, match="too much gossip") as raised:
        bucket.take()
    assert 0 < raised.value.retry_after < 0.01


class Webhook:
    """An operator's server; its first answers are failures."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        """A message."""
        self.got.append((dict(request.headers), await request.read()))
        status = self.statuses.pop(0) if self.statuses else 204
        return web.Response(status=status, headers={"Location": self.url})

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Webhook]:
        """On a free port."""
        app = web.Application()
        app.router.add_post("/hook", self.take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        try:
            yield self
        finally:
            await runner.cleanup()


async def test_an_alarm_is_sent_until_it_is_taken() -> None:
    async with Webhook(500, 302, 404).served() as hook:
        alarms = Alarms(hook.url, "secret", first_wait=0.01)
        told: list[Any] = []
        alarms.observers.append(told.append)
        task = asyncio.create_task(alarms.run())
        alarms.raise_("fork", "log.example.com", "ab" * 32, ["it lied", "twice"])
        alarms.raise_("withheld", "log.example.com", "cd" * 32, ["it hides"])
        await until(lambda: alarms.delivered == 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [headers["Webhook-Id"][:2] for headers, _ in hook.got] == ["ab"] * 4 + ["cd"]
    headers, body = hook.got[3]
    assert json.loads(body) == {
        "kind": "fork",
        "log": "log.example.com",
        "id": "ab" * 32,
        "summary": ["it lied", "twice"],
    }
    signed = f"{headers['Webhook-Id']}.{headers['Webhook-Timestamp']}.".encode() + body
    digest = hmac.new(b"secret", signed, hashlib.sha256).digest()
    assert headers["Webhook-Signature"] == "v1," + base64.b64encode(digest).decode()
    assert (alarms.counts, len(told)) == ({"fork": 1, "withheld": 1}, 2)


async def test_a_webhook_that_is_away_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("witness.alarms.MOST_WAITING", 2)
    alarms = Alarms("http://127.0.0.1:9/hook", first_wait=0.01)
    task = asyncio.create_task(alarms.run())
    for number in range(5):
        alarms.raise_("fork", "log.example.com", f"{number}" * 64, ["it lied"])
    await asyncio.sleep(0.05)
    assert alarms.counts["fork"] == 5
    assert "Webhook-Signature" not in alarms.headers("x", b"", 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_peers_that_are_no_witnesses() -> None:
    """Wrong status, endless body, nobody there: an error that names the address, and nothing else."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/long/gossip":
            return web.Response(body=bytes(peers.MAX_MESSAGE + 1))
        raise web.HTTPFound("/long/gossip")

    app = web.Application()
    app.router.add_get("/{name}/gossip", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    some = Peers([f"{base}/long/"], 2.0)
    for url in (*some.urls, f"{base}/moved", "http://127.0.0.1:9"):
        with pytest.raises(Unavailable, match=re.escape(url)):
            await some.pull(url)
    await some.close()
    await runner.cleanup()


async def test_the_operator_s_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with convinced(tmp_path) as (member, one, _):
        assert member.frozen()
    directory = str(tmp_path / "w0")
    assert main(["evidence", "list", directory]) == 1
    line = capsys.readouterr().out.split()
    assert line[1:3] == ["fork", "open"] and line[4] == "log.example.com"
    assert main(["evidence", "show", directory, line[0]]) == 0
    assert "signed two histories of its root log, both of 8" in capsys.readouterr().out
    file = tmp_path / "fork.json"
    assert main(["evidence", "export", directory, line[0][:8], "-o", str(file)]) == 0
    verify_fork(file.read_bytes(), one.verifier)
    assert main(["evidence", "export", directory, line[0], "-o", str(file)]) == 2
    assert main(["evidence", "show", directory, "00000000"]) == 3
    assert main(["evidence", "show", directory, line[0][:7]]) == 3
    resolve = ["evidence", "resolve", directory, "log.example.com", "--reason", "ticket 7"]
    assert main(resolve) == 0
    assert main(resolve) == 3
    capsys.readouterr()
    assert main(["evidence", "list", directory]) == 0
    assert "resolved" in capsys.readouterr().out
    assert main(["evidence", "show", directory, line[0]]) == 0
    assert "ticket 7" in capsys.readouterr().out
    assert main(["evidence", "export", directory, line[0]]) == 0
    assert capsys.readouterr().out.encode() == file.read_bytes()


async def test_a_decision_is_shown_to_everybody(tmp_path: Path) -> None:
    """And what was found before is told again when the process starts, until it is decided."""
    async with convinced(tmp_path) as (member, _, _):
        alarms = member.gossip.watch.alarms
        member.run()
        await until(lambda: alarms.counts["fork"] == 2)
        member.gossip.watch.evidence.resolve("log.example.com", "ticket 7")
        (shown,) = await member.evidence()
        assert shown["decision"] == "ticket 7" and shown["resolved"]
        assert json.loads((await member.call("GET", "/gossip")).body)["evidence"] == []


async def test_a_monitor_that_cannot_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends: one that says that it is well, and keeps nothing more, is worse than none."""
    directory = tmp_path / "monitor"
    monitor.init_monitor(directory, "monitor.example.org/m1")
    opened: list[Store] = []
    whole = Store.open

    def opening(path: Path, *, exclusive: bool = False) -> Store:
        opened.append(whole(path, exclusive=exclusive))
        return opened[0]

    monkeypatch.setattr(monitor.Store, "open", opening)
    task = asyncio.create_task(monitor._monitor(directory, "127.0.0.1", 0))
    await until(lambda: bool(opened))
    await asyncio.sleep(0.1)
    store = opened[0]
    with pytest.raises(lmdb.Error), store.write() as txn:
        txn.commit()  # so that the one at the end fails
    assert await asyncio.wait_for(task, 20) == monitor.WRITER_FAILED


@pytest.mark.e2e
async def test_a_monitor_without_a_key(tmp_path: Path) -> None:
    """A process that follows a log, is told of the other face, and tells everybody."""
    one, other = split()
    log = EvilLog(one=one, other=other)
    directory = tmp_path / "monitor"
    assert main(["monitor", str(directory), "--init", "monitor.example.org/m1"]) == 0
    assert main(["monitor", str(directory), "--init", "monitor.example.org/m1"]) == 3
    assert not list(directory.glob("*.key"))
    async with log.served(), ring(tmp_path, log, ["other"], one) as [member]:
        url = log.url("one")
        assert main(["add-log", str(directory), "--url", url, "--vkey", one.signer.vkey]) == 0
        with (directory / "witness.toml").open("a") as file:
            file.write(f'peers = ["{member.url}"]\ngossip_interval = 3600\n')
        await member.gossip.round()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "witness", "monitor", str(directory), "--listen", "127.0.0.1:0"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        address = line.split(" on ")[1].strip()
        await until(lambda: bool(member.frozen()), 60.0)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{address}/evidence") as answer:
                (shown,) = (await answer.json())["evidence"]
            async with session.get(f"{address}/health") as answer:
                assert (await answer.json())["frozen"][0]["origin"] == "log.example.com"
        assert shown["id"] == (await member.evidence())[0]["id"]
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0
