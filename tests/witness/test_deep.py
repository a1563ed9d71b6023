"""The deep mode: entries that the witness may read are checked one by one, and where it may not read it says so by a count."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from tests.client.fetch.tiled import ORIGIN
from tests.monitor.made import PRIVATE, PUBLIC, MadeLog, made
from tests.witness.scene import Open, scene
from tlog.errors import InvalidInput
from witness.audit import signs
from witness.audit.deep import read_token

__all__ = ["scene"]


def size(log: MadeLog) -> int:
    """Leaves of the root log."""
    return log.head().size


def guarded(log: MadeLog, stream_id: str) -> None:
    """Let only a bearer of the token "good" read a stream's entries."""
    prefix = log.under(stream_id, "tile/entries/")

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != "Bearer good":
            return web.Response(status=404)
        body = log.logs[log.under(stream_id)].resource(
            request.path[1:].removeprefix(log.under(stream_id))
        )
        return web.Response(status=404) if body is None else web.Response(body=body)

    for width in range(256):
        log.lies[f"{prefix}000" + (f".p/{width}" if width else "")] = answer


async def test_public_entries(scene: Open) -> None:
    """Of a public stream all entries are read; of a private one, without a token, only the hashes."""
    log = made()
    log.hide(PRIVATE)
    async with scene(log=log, audit_entries="true") as one:
        report = await one.audited(size(log))
        checked = report["checked_since_start"]
        assert checked["entries"] == 275
        assert checked["stream_leaves"] == 275 + 9
        assert "every entry" in report["how"][-1]
        log.add(PUBLIC, 2)
        report = await one.audited(size(log))
        assert report["checked_since_start"]["entries"] == 277


async def test_without_it(scene: Open) -> None:
    """By default no entry is read."""
    log = made()
    async with scene(log=log) as one:
        report = await one.audited(size(log))
        assert report["checked_since_start"]["entries"] == 0
        assert not any("entry" in one for one in report["how"])


async def test_a_token_that_comes_later(scene: Open, tmp_path: Path) -> None:
    """The file is read again for every round: what was not to be read before is read then."""
    log = made()
    guarded(log, PRIVATE)
    tokens = tmp_path / "tokens"
    tokens.write_text("log.example.org other\n")
    async with scene(log=log, audit_entries="true", audit_tokens=tokens) as one:
        report = await one.audited(size(log))
        assert report["checked_since_start"]["entries"] == 275
        tokens.write_text(f"{ORIGIN} good\n")
        report = await one.until(lambda report: report["checked_since_start"]["entries"] > 275)
        assert report["checked_since_start"]["entries"] == 275 + 9
        assert report["trouble"] == []


@pytest.mark.parametrize(
    ("rule", "edits"),
    [
        ("link", {"previousHash": "sha256:" + "0" * 64}),
        ("producer", {"/producer/sequence": 9}),
        ("time", {"ms": 1}),
    ],
)
async def test_a_lie_in_an_entry(scene: Open, rule: str, edits: dict[str, object]) -> None:
    """Its hash is in the tree and its tree is signed, and still it is not what an entry must be."""
    log = made()
    async with scene(log=log, audit_entries="true") as one:
        before = size(log)
        await one.audited(before)
        log.add(PUBLIC, 2, edits)
        told = await one.trouble(signs.LIE)
        assert "acme/prod/public at leaf 276" in told["detail"]
        assert (await one.report())["audited"]["size"] == before


def test_the_file_of_tokens(tmp_path: Path) -> None:
    """One line per log; a file that cannot be read is said to be so."""
    path = tmp_path / "tokens"
    path.write_text("log.example.org  two \nlog.example.com one\nempty\n")
    assert read_token(path, "log.example.org") == "two"
    assert read_token(path, "log.example.com") == "one"
    assert read_token(path, "empty") is None
    assert read_token(None, "log.example.com") is None
    with pytest.raises(InvalidInput, match="cannot read"):
        read_token(tmp_path / "absent", "log.example.com")
