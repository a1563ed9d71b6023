"""What was cosigned is stamped by real authorities, kept, and delivered to a real log; what an authority or a log does wrong
delays that and nothing else, and is never taken for an anchor.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from tests.api.anchoring import current
from tests.api.deployment import Keys, Site, copy, make_template
from tests.api.deployment import serve as serve_log
from tests.tsa import forge
from tests.tsa.test_good import revocations
from tests.witness.harness import NAME, Server
from tests.witness.listening import listening
from tlog.cli.demo.tsa import Authority
from tlog.cli.demo.tsa import serve as serve_authority
from tlog.core.add_checkpoint import AddCheckpoint, encode_request
from tlog.core.note import Signer
from tlog.core.timestamp import Roots, parse_roots
from tlog.core.wire import b64decode
from tlog.errors import InvalidInput, VerificationError
from witness import config
from witness.anchor import AnchorRow, AnchorStore, Newest, _is_due, day_of, key_of, verify_row
from witness.anchorer import Anchorer
from witness.cli import main
from witness.cosigner import Cosigned
from witness.logbook import add_logs, entry
from witness.rows import LogRow
from witness.setup import STORE, beside, init_witness
from witness.store import Store
from witness.tsa import REPLY
from witness.witness import Witness


@pytest.fixture(scope="session")
def log_template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Keys]:
    """A log directory that nothing opens."""
    directory = tmp_path_factory.mktemp("anchored") / "log"
    return directory, make_template(directory)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """OpenSSL's."""
    if shutil.which("openssl") is None:
        pytest.skip("timestamps by OpenSSL need the program openssl")
    return Authority.create(tmp_path_factory.mktemp("tsa") / "authority")


class Lab(NamedTuple):
    """A served log, and a witness that cosigned its newest root."""

    site: Site
    directory: Path

    def table(self) -> dict[str, Any]:
        """The first of the tables that there are."""
        tsa = config.load(self.directory, {}).tsa[0]
        return {"name": tsa.name, "url": tsa.url, "roots": tsa.roots}

    def tables(self, *tables: dict[str, Any], **settings: Any) -> config.Config:
        """Write [[tsa]] tables into the witness's settings."""
        lines = [f'name = "{NAME}"', *[f"{name} = {value}" for name, value in settings.items()]]
        for table in tables:
            lines.append("[[tsa]]")
            lines += [f"{name} = {_toml(value)}" for name, value in table.items()]
        (self.directory / config.FILE).write_text("\n".join(lines) + "\n")
        return config.load(self.directory, {})

    def cosign(self) -> None:
        """Cosign the log's newest root, as if it had come from the log."""
        witness = Witness(self.directory)
        try:
            known = witness.store.latest(self.site.log.config.origin)
            old = 0 if known is None else known.size
            head = self.site.log.sequencer.head
            proof = self.site.log.reader.consistency(0, old)[1] if old else []
            request = AddCheckpoint(old, tuple(proof), head.note)
            (answer,) = witness.cosigner.cosign([request])
            assert isinstance(answer, Cosigned)
        finally:
            witness.close()


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{k}" = "{v}"' for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"'


@asynccontextmanager
async def laboratory(
    template: tuple[Path, Keys], path: Path, **settings: Any
) -> AsyncIterator[Lab]:
    async with serve_log(copy(template[0], path / "log"), template[1], **settings) as site:
        directory = path / "witness"
        init_witness(directory, NAME, int(time.time()))
        with beside(directory) as store:
            known = entry(site.log.vkey, url=f"http://127.0.0.1:{site.port}")
            add_logs(store, [known], int(time.time()))
        lab = Lab(site, directory)
        await site.record()
        await asyncio.to_thread(lab.cosign)
        yield lab


@asynccontextmanager
async def anchoring(lab: Lab, **options: Any) -> AsyncIterator[Anchorer]:
    store = Store.open(lab.directory / STORE)
    anchorer = Anchorer(lab.directory, config.load(lab.directory, {}), store, **options)
    try:
        yield anchorer
    finally:
        await anchorer.close()
        store.close()


async def test_from_the_authority_to_the_log(
    log_template: tuple[Path, Keys], authority: Authority, tmp_path: Path
) -> None:
    """Stamped, kept, delivered, found in the log; not again while nothing changes; verified offline by the command."""
    async with (
        serve_authority(authority) as url,
        laboratory(log_template, tmp_path, tsa_roots=str(authority.root)) as lab,
    ):
        table = {"name": "own", "url": f"{url}/chain", "roots": str(authority.root)}
        lab.tables(table, anchor_interval=0.001)
        async with anchoring(lab) as anchorer:
            assert await anchorer.round() == []
            (row,) = anchorer.anchors.all()
            assert row.delivered
            assert anchorer.anchors.queued(row.origin) == []
            assert await anchorer.round() == []
            assert anchorer.anchors.all() == [row]  # the log has not grown
            day = await lab.site.get(f"/anchor/{day_of(row.gen_ms)}", await lab.site.token())
            (found,) = day.json()["timestamps"]
            assert found["checkpoint"].encode() == row.note
            assert NAME in found["checkpoint"]  # what was cosigned, with the cosignature
            log = anchorer._store.log(row.origin)
        await lab.site.record({"event_class": "DATA", "event_type": "t", "payload": {}})
        await asyncio.to_thread(lab.cosign)
        async with anchoring(lab) as anchorer:
            assert await anchorer.round() == []
            assert [one.size > row.size for one in anchorer.anchors.all()] == [False, True]
        assert log is not None
        await asyncio.to_thread(
            check_commands, lab, row, log, parse_roots(authority.root.read_bytes())
        )


def check_commands(lab: Lab, row: AnchorRow, log: LogRow, roots: Roots) -> None:
    """`list` and `verify` know them; a byte that changes is found; other roots show nothing."""
    directory = str(lab.directory)
    assert main(["anchor", "list", directory]) == 0
    assert main(["anchor", "verify", directory]) == 0
    stranger = lab.directory / "stranger.pem"
    stranger.write_bytes(current("Stranger", ca=True).pem)
    assert main(["anchor", "verify", directory, "--roots", str(stranger)]) == 1
    with beside(lab.directory) as store:
        rows = AnchorStore(store)
        changed = {**_members(row), "reply": row.reply[:-1] + bytes([row.reply[-1] ^ 1])}
        rows.put(AnchorRow(**changed))
    assert main(["anchor", "verify", directory]) == 1
    assert verify_row(row, log, roots, ()).gen_ms == row.gen_ms
    other = LogRow(log.origin, (Signer(log.origin, bytes(32)).vkey,))
    for stranger_log, believed in (
        (other, roots),
        (log, ()),
        (log, parse_roots(stranger.read_bytes())),
    ):
        with pytest.raises(VerificationError):
            verify_row(row, stranger_log, believed, ())
    for name, value in (("size", row.size + 1), ("signer", "CN=X"), ("gen_ms", row.gen_ms + 1)):
        with pytest.raises(VerificationError):
            verify_row(AnchorRow(**{**_members(row), name: value}), log, roots, ())
    lab.tables()
    assert main(["anchor", "verify", directory]) == 2  # whose roots?
    assert main(["anchor", "now", directory]) == 3


def _members(row: AnchorRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in AnchorRow.__struct_fields__}


# --- authorities that do something else ----------------------------------------------------------


class Liar:
    """An authority over HTTP that answers as a test wants."""

    def __init__(self) -> None:
        self.root = current("Lab Root", ca=True)
        self.signer = current("Lab TSA", self.root)
        self.old: bytes | None = None
        self.how = "good"
        self.hold: Callable[[], Awaitable[None]] | None = None

    def good(self, request: bytes) -> bytes:
        now = time.strftime("%Y%m%d%H%M%SZ", time.gmtime())
        return forge.reply(request, forge.Wish(self.signer, gen_time=now))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if self.hold is not None:
            await self.hold()
        reply = self.good(body)
        old, self.old = self.old, reply
        headers: dict[str, str] = {}
        if self.how == "redirect":
            raise web.HTTPTemporaryRedirect("/elsewhere")
        if self.how == "elsewhere" or request.path == "/elsewhere":
            return web.Response(body=reply, content_type=REPLY)
        if self.how == "slow":
            await asyncio.sleep(5)
        if self.how == "hang-up" and request.transport is not None:
            request.transport.abort()
        if self.how == "packed":
            headers["Content-Encoding"] = "gzip"
        bodies = {
            "older": old or b"",
            "cut": reply[:-20],
            "empty": b"",
            "huge": reply + bytes(100_000),
            "page": b"<html>",
            "more": reply + b"\0",
        }
        status = {"error": 500, "missing": 404, "busy": 429, "created": 201}.get(self.how, 200)
        kind = "text/html" if self.how == "wrong-type" else REPLY
        return web.Response(
            body=bodies.get(self.how, reply), status=status, content_type=kind, headers=headers
        )


@pytest.fixture
async def lied(log_template: tuple[Path, Keys], tmp_path: Path) -> AsyncIterator[tuple[Lab, Liar]]:
    liar = Liar()
    (tmp_path / "tsa.pem").write_bytes(liar.root.pem)
    async with (
        listening(liar.answer) as url,
        laboratory(log_template, tmp_path, tsa_roots=str(tmp_path / "tsa.pem")) as lab,
    ):
        table = {"name": "lab", "url": url + "/", "roots": str(tmp_path / "tsa.pem")}
        lab.tables(table, tsa_timeout=0.5)
        yield lab, liar


async def test_answers_that_are_none(lied: tuple[Lab, Liar]) -> None:
    """Nothing of it is kept; the good one afterwards is."""
    lab, liar = lied
    async with anchoring(lab, first_wait=0.0) as anchorer:
        for how in (
            "redirect wrong-type error missing busy slow hang-up packed cut empty huge page more older"
        ).split():
            liar.how = how
            (said,) = await anchorer.round()
            assert "no timestamp of log.example.com by lab" in said, how
            assert anchorer.anchors.all() == [], how
        liar.how = "good"
        assert await anchorer.round() == []
        assert len(anchorer.anchors.all()) == 1


async def test_revocation_lists_are_kept(lied: tuple[Lab, Liar]) -> None:
    """What can be had goes to the log too; what cannot costs nothing; a signer that is on one is not believed."""
    lab, liar = lied
    serial = liar.signer.certificate.serial_number
    lists = {
        "/empty": revocations(liar.root, reason=None),
        "/full": revocations(liar.root, serial, reason=None),
    }

    async def publish(request: web.Request) -> web.Response:
        if request.path not in lists:
            raise web.HTTPNotFound
        return web.Response(body=lists[request.path])

    async with listening(publish) as url:
        table = {**lab.table(), "crls": [f"{url}/full"]}
        lab.tables(table)
        async with anchoring(lab) as anchorer:
            assert len(await anchorer.round()) == 1
            assert anchorer.anchors.all() == []
        big = revocations(liar.root, *range(1, 7000), reason=None)
        assert 100_000 < len(big) < 196_608
        lists |= {f"/big{number}": big for number in range(6)}
        urls = [f"{url}/{name}" for name in ("gone", "empty", *(f"big{n}" for n in range(6)))]
        lab.tables({**table, "crls": urls})
        async with anchoring(lab) as anchorer:
            assert await anchorer.round() == []
            (row,) = anchorer.anchors.all()
    assert row.delivered  # what would be too much for the log was left out
    assert row.crls[0] == lists["/empty"]
    assert len(row.crls) in (3, 4)
    day = await lab.site.get(f"/anchor/{day_of(row.gen_ms)}", await lab.site.token())
    (found,) = day.json()["timestamps"]
    # What stands there twice, the log keeps once.
    assert [b64decode(one) for one in found["crls"]] == list(dict.fromkeys(row.crls))


async def test_it_is_tried_again_later_and_later(lied: tuple[Lab, Liar]) -> None:
    """Not before its time; `anchor now` does not wait."""
    lab, liar = lied
    liar.how = "error"
    async with anchoring(lab, first_wait=3600.0) as anchorer:
        assert len(await anchorer.round()) == 1
        assert await anchorer.round() == []  # not asked
        (log,) = [one for one in anchorer._store.all("logs", LogRow)]
        assert anchorer._later["lab", log.origin].wait == 3600.0
        assert len(await anchorer.round(all_now=True)) == 1
        assert anchorer._later["lab", log.origin].wait == 3600.0  # the longest
        liar.how = "good"
        assert await anchorer.round(all_now=True) == []
        assert anchorer._later == {}


async def test_a_log_that_does_not_take_it(lied: tuple[Lab, Liar]) -> None:
    """It is kept and offered again; after a month no more."""
    lab, _ = lied
    lab.site.log.anchors._roots = ()  # as without the setting
    now = [time.time()]
    async with anchoring(lab, first_wait=0.0, clock=lambda: now[0]) as anchorer:
        (said,) = await anchorer.round()
        assert "did not take an anchor" in said
        assert "anchors-not-accepted" in said
        (row,) = anchorer.anchors.all()
        assert not row.delivered
        assert anchorer.anchors.queued(row.origin) == [row]
        now[0] += 31 * 86400
        anchorer._later["lab", row.origin] = anchorer._later["", row.origin]._replace(at=1e18)
        assert await anchorer.round() == []
        assert anchorer.anchors.queued(row.origin) == []
        assert anchorer.anchors.all() == [row]


async def test_a_log_that_believes_another_authority_only(lied: tuple[Lab, Liar]) -> None:
    """What it refuses keeps nothing else from it, however much that is; and it is offered again."""
    lab, _ = lied
    mine, others = lab.table(), [Liar(), Liar()]
    async with contextlib.AsyncExitStack() as stack:
        tables = []
        for number, other in enumerate(others):
            roots = lab.directory / f"other{number}.pem"
            roots.write_bytes(other.root.pem)
            url = await stack.enter_async_context(listening(other.answer))
            tables.append({"name": f"other{number}", "url": url + "/", "roots": str(roots)})
        lab.tables(*tables, tsa_timeout=5.0)
        async with anchoring(lab, first_wait=0.0) as anchorer:
            (said,) = await anchorer.round()
            assert "422" in said
        lab.tables(mine, tsa_timeout=5.0)
        async with anchoring(lab, first_wait=0.0) as anchorer:
            assert len(await anchorer.round()) == 1
            rows = anchorer.anchors.all()
            assert {row.tsa for row in rows if row.delivered} == {"lab"}
            left = [row for row in rows if not row.delivered]
            assert len(left) == 2
            assert anchorer.anchors.queued(left[0].origin) == left
            again = anchorer.anchors.queued(left[0].origin, 1, refused={key_of(left[0])})
            assert again == left[1:]
            for other in others:
                lab.site.log.anchors._roots += parse_roots(other.root.pem)
            assert await anchorer.round() == []
            assert anchorer.anchors.queued(left[0].origin) == []


async def test_the_task_runs_until_it_is_cancelled(lied: tuple[Lab, Liar]) -> None:
    """And a fault in one round does not end it."""
    lab, _ = lied
    async with anchoring(lab) as anchorer:
        anchorer._settings = config.Config(
            NAME, tsa=anchorer._settings.tsa, anchor_interval=0.01, tsa_timeout=5.0
        )
        whole, calls = anchorer.round, 0

        async def first_fails(*, all_now: bool = False) -> list[str]:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise OSError("of the disk")
            return await whole(all_now=all_now)

        anchorer.round = first_fails  # type: ignore[method-assign]
        kept = asyncio.Event()
        put = anchorer.anchors.put
        loop = asyncio.get_running_loop()

        def told(row: AnchorRow) -> None:
            put(row)
            loop.call_soon_threadsafe(kept.set)

        anchorer.anchors.put = told  # type: ignore[method-assign]
        task = asyncio.create_task(anchorer.run())
        await asyncio.wait_for(kept.wait(), 20)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_frozen_log_is_not_stamped(lied: tuple[Lab, Liar]) -> None:
    lab, _ = lied
    async with anchoring(lab) as anchorer:
        anchorer._store.freeze("log.example.com", "two histories", 1)
        assert await anchorer.round(all_now=True) == []
        assert anchorer.anchors.all() == []


async def test_the_command_now(lied: tuple[Lab, Liar], capsys: pytest.CaptureFixture[str]) -> None:
    lab, liar = lied
    directory = str(lab.directory)
    assert await asyncio.to_thread(main, ["anchor", "list", directory]) == 0
    assert "lab  pending" in capsys.readouterr().out
    liar.how = "error"
    assert await asyncio.to_thread(main, ["anchor", "now", directory]) == 4
    liar.how = "good"
    assert await asyncio.to_thread(main, ["anchor", "now", directory]) == 0
    assert await asyncio.to_thread(main, ["anchor", "list", directory]) == 0
    out = capsys.readouterr().out
    assert "lab  delivered" in out
    assert "pending" not in out
    assert await asyncio.to_thread(main, ["anchor", "verify", directory]) == 0


async def test_the_process(lied: tuple[Lab, Liar]) -> None:
    """`witness serve` anchors by itself; while the authority does not answer, it cosigns all the same."""
    lab, liar = lied
    asked, release = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        asked.set()
        await release.wait()

    liar.hold = hold
    old = lab.site.log.sequencer.head.root.size
    await lab.site.record({"event_class": "DATA", "event_type": "t", "payload": {}})
    server = Server(lab.directory, tsa_timeout=30, audit_interval=0)
    await asyncio.to_thread(server.start)
    try:
        await asyncio.wait_for(asked.wait(), 20)
        proof = tuple(lab.site.log.reader.consistency(0, old)[1])
        body = encode_request(old, proof, lab.site.log.sequencer.head.note)
        answer = await asyncio.to_thread(server.add, body)
        assert answer.status == 200
        health = json.loads((await asyncio.to_thread(server.get, "/health")).body)
        assert health["anchors"] == {"stored": 0, "undelivered": 0, "failing": []}
        liar.how = "error"
        release.set()
        for _ in range(200):
            health = json.loads((await asyncio.to_thread(server.get, "/health")).body)
            if health["anchors"]["failing"]:
                break
            await asyncio.sleep(0.05)
        assert health["anchors"]["failing"] == [f"lab {lab.site.log.config.origin}"]
        figures = (await asyncio.to_thread(server.get, "/metrics")).body.decode()
        assert "witness_anchors_failing 1.0" in figures
    finally:
        await asyncio.to_thread(server.stop)
    liar.how = "good"
    await asyncio.to_thread(server.start)
    try:
        for _ in range(200):
            day = await lab.site.get(f"/anchor/{today()}", await lab.site.token())
            if day.json()["anchor_status"] == "complete":
                break
            await asyncio.sleep(0.05)
        assert day.json()["anchor_status"] == "complete"
        figures = (await asyncio.to_thread(server.get, "/metrics")).body.decode()
        assert "witness_anchors 1.0" in figures
    finally:
        await asyncio.to_thread(server.stop)


def today() -> str:
    return day_of(int(time.time() * 1000))


# --- when ----------------------------------------------------------------------------------------

NOON = 1_774_008_000_000
MIDNIGHT = NOON + 12 * 3_600_000


@pytest.mark.parametrize(
    ("last", "grown", "now", "interval", "due"),
    [
        (NOON, False, NOON + 1, 1.0, False),
        (NOON, True, NOON + 999, 1.0, False),
        (NOON, True, NOON + 1000, 1.0, True),
        (NOON, False, NOON + 1000, 1.0, False),
        (NOON, False, MIDNIGHT + 59_999, 1.0, False),
        (NOON, False, MIDNIGHT + 60_000, 86_400.0, True),
        (MIDNIGHT + 59_999, False, MIDNIGHT + 60_000, 86_400.0, True),
        (MIDNIGHT + 60_000, False, MIDNIGHT + 86_400_000, 86_400.0, False),
    ],
)
def test_when(last: int, grown: bool, now: int, interval: float, due: bool) -> None:
    """Each day from 00:01 UTC; between, when there is something new and the interval is over."""
    assert _is_due(Newest(last, 5), 6 if grown else 5, now, interval) is due


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([{"name": "a", "url": "ftp://x", "roots": "r"}], "http"),
        ([{"name": "a", "url": "http://x", "roots": "r", "crls": ["x"]}], "http"),
        ([{"name": "a", "url": "http://x", "roots": "r"}] * 2, "one name"),
        ([{"name": "a", "url": "http://x"}], "roots"),
    ],
)
def test_settings(tmp_path: Path, tables: list[dict[str, Any]], message: str) -> None:
    lab = Lab.__new__(Lab, None, tmp_path)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=message):
        lab.tables(*tables)


def test_roots_that_are_none(tmp_path: Path) -> None:
    init_witness(tmp_path / "w", NAME, 1)
    lab = Lab.__new__(Lab, None, tmp_path / "w")  # type: ignore[arg-type]
    (tmp_path / "w" / "bad.pem").write_text("x")
    for name in ("absent.pem", "bad.pem"):
        settings = lab.tables({"name": "a", "url": "http://x", "roots": name})
        with beside(tmp_path / "w") as store, pytest.raises(InvalidInput, match=name):
            Anchorer(tmp_path / "w", settings, store)
