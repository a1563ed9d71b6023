"""The public log surface over real sockets: bytes, headers, one spelling per path, private entries, rot."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import threading
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.api.deployment import EVENT, STREAM, Answer, Site, raw
from tlog.api.surface import _PACKING
from tlog.api.surface import gzip as pack
from tlog.core.checkpoint import open_checkpoint
from tlog.core.hashes import leaf_hash
from tlog.core.merkle import root_of
from tlog.core.note import parse_vkey
from tlog.core.tiles import bundle_decode, bundle_encode
from tlog.log import Log
from tlog.store import layout

NUMBER = 2
OPERATIONS = "tlog/log/operations"
IMMUTABLE = "public, max-age=31536000, immutable"


class Plain(NamedTuple):
    """One answer as bytes, nothing undone."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        return Answer(*self).kind


async def fetch(site: Site, path: str, method: str = "GET", **headers: str) -> Plain:
    """One request with this path, byte for byte, on a connection of its own."""
    fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n"
    answer = await raw(site.port, head.encode("latin-1"))
    start, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = start.decode().split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    return Plain(int(status.split()[1]), {name.title(): value for name, value in pairs}, body)


async def label(site: Site, events: int = 1) -> str:
    """Path of the private stream, which then has `events` events after its genesis."""
    token = await site.token()
    for start in range(0, events, 1000):
        size = min(1000, events - start)
        assert (await site.batch([EVENT] * size, token)).status == 201
    return "/streams/" + site.log.source.rows[NUMBER].label


def entries_of(log: Log, number: int) -> list[bytes]:
    size = log.source.view(number).size
    return [one.record.entry for one in log.reader.entries(number, 0, size)]


async def test_the_root_log(site: Site) -> None:
    """Checkpoint, tile and bundle fit together, under the log's key."""
    await label(site, 3)
    await site.published()
    answer = await fetch(site, "/checkpoint")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    head, _ = open_checkpoint(answer.body, [site.verifier], "log.example.com")
    tile = await fetch(site, f"/tile/0/000.p/{head.size}")
    bundle = await fetch(site, f"/tile/entries/000.p/{head.size}")
    for served in (tile, bundle):
        assert served.status == 200
        assert served.headers["Content-Type"] == "application/octet-stream"
        assert served.headers["Cache-Control"] == IMMUTABLE
        assert served.headers["Access-Control-Allow-Origin"] == "*"
        assert "Content-Encoding" not in served.headers
    hashes = [leaf_hash(entry) for entry in bundle_decode(bundle.body, head.size)]
    assert b"".join(hashes) == tile.body
    assert root_of(hashes) == head.root


@pytest.mark.parametrize("public", [False, True])
async def test_a_stream(site: Site, public: bool) -> None:
    """Its checkpoint is signed under its own origin and name, and is its head in the root log."""
    prefix = await label(site, 700)
    number = 1 if public else NUMBER
    prefix = f"/streams/{OPERATIONS}" if public else prefix
    token = f"Bearer {await site.token()}"
    origin = "log.example.com" + prefix
    note = (await fetch(site, prefix + "/checkpoint")).body
    vkey = site.log.signer.stream_vkey(origin)
    head, _ = open_checkpoint(note, [parse_vkey(vkey)], origin)
    assert head.size == (1 if public else 701)
    entries = entries_of(site.log, number)
    assert head.body() in entries_of(site.log, layout.ROOT_LOG)
    tiles, served = b"", []
    for index in range(-(-head.size // 256)):
        width = min(256, head.size - 256 * index)
        name = f"00{index}" + ("" if width == 256 else f".p/{width}")
        tiles += (await fetch(site, f"{prefix}/tile/0/{name}")).body
        bundle = await fetch(site, f"{prefix}/tile/entries/{name}", Authorization=token)
        served += bundle_decode(bundle.body, width)
    assert served == entries
    hashes = [tiles[at : at + 32] for at in range(0, len(tiles), 32)]
    assert hashes == [leaf_hash(entry) for entry in entries]
    assert root_of(hashes) == head.root
    if not public:
        above = (await fetch(site, f"{prefix}/tile/1/000.p/2")).body
        assert above == root_of(hashes[:256]) + root_of(hashes[256:512])
        part = await fetch(site, f"{prefix}/tile/0/001.p/17")
        assert (part.status, part.body) == (200, b"".join(hashes[256:273]))


async def test_what_is_not_there_is_404_and_never_kept(site: Site) -> None:
    prefix = await label(site, 255)
    size = site.root[0]
    paths = ["/tile/0/000", f"/tile/0/000.p/{size + 5}", "/tile/1/000.p/1", "/tile/63/000.p/1"]
    paths += ["/tile/0/001.p/1", "/tile/0/x999/x999/x999/x999/x999/x999/999", "/tile/entries/000"]
    paths += [f"/tile/entries/000.p/{size + 5}", f"/streams/{'a' * 52}/checkpoint"]
    paths += ["/streams/acme/prod/scorer/checkpoint", "/streams/acme/prod/none/tile/0/000.p/1"]
    paths += [f"{prefix}/tile/0/001.p/1", f"{prefix}/tile/1/000", f"{prefix}/tile/1/000.p/2"]
    paths += [f"/streams/{OPERATIONS}/tile/entries/000.p/2"]
    for path in paths:
        for method in ("GET", "HEAD"):
            answer = await fetch(site, path, method, Accept_Encoding="gzip")
            assert answer.status == 404, path
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert not {"Content-Encoding", "Etag", "Location"} & set(answer.headers)
            if method == "GET":
                assert answer.kind == "not-found"
    assert (await fetch(site, f"{prefix}/tile/0/000")).status == 200
    assert (await fetch(site, f"{prefix}/tile/1/000.p/1")).status == 200


async def test_a_stream_that_is_being_opened_is_not_there(site: Site) -> None:
    """It has a number and a label, and no head."""
    token = f"Bearer {await site.token()}"
    for name, public in (("a" * 52, False), ("acme/prod/new", True)):
        row = layout.StreamRow(f"acme:prod:{name[:3]}", name, public, b"")
        site.log.states.add_row(len(site.log.source.rows), row)
        for path in ("checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1"):
            answer = await fetch(site, f"/streams/{name}/{path}", Authorization=token)
            assert (answer.status, answer.kind) == (404, "not-found")


ALIASES = """
/checkpoint/ //checkpoint /./checkpoint /x/../checkpoint /Checkpoint /CHECKPOINT /%63heckpoint /checkpoint%20 /checkpoint;a=1
/checkpoint? /checkpoint#x /checkpoint/. /checkpoint%2F /checkpoint%00 /checkpoint%3F /check%70oint /\\checkpoint
/checkpoint.txt /tile/0/000.p/1/ /tile/0/000.p/1? /tile/0/000.p/1# //tile/0/000.p/1 /tile//0/000.p/1 /tile/0//000.p/1
/tile/0/000.p//1 /tile/./0/000.p/1 /tile/0/../0/000.p/1 /tile/00/000.p/1 /tile/0/0.p/1 /tile/0/00.p/1 /tile/0/0000.p/1
/tile/0/x000/000.p/1 /tile/0/x000/x000/000.p/1 /tile/0/000.p/0 /tile/0/000.p/01 /tile/0/000.p/001 /tile/0/000.p/256
/tile/0/000.p/257 /tile/0/000.p/ /tile/0/000.p /tile/0/000.P/1 /tile/0/000%2Ep/1 /tile/0/000%2ep/1 /tile/0/000.p%2F1
/tile/0/%3000.p/1 /tile/%30/000.p/1 /tile%2F0/000.p/1 /%74ile/0/000.p/1 /TILE/0/000.p/1 /tile/0/000.p/+1 /tile/0/000.p/1.0
/tile/+0/000.p/1 /tile/-0/000.p/1 /tile/0x0/000.p/1 /tile/0/000.p/%31 /tile/0/000.p/1%20 /tile/0/000.p/1; /tile/0/000.p/\xb2
/tile/0/000.p/\xd9\xa1 /tile/\xd9\xa0/000.p/1 /tile/0/000.p/1%0A /tile/64/000.p/1 /tile/0/000/.p/1 /tile/0/X000/000.p/1
/tile/entries/0/000.p/1 /tile/Entries/000.p/1 /tile/%65ntries/000.p/1 /tile/entries//000.p/1 /tile/entries/000.p/1/
/tile/entries/x000/000.p/1 /tile/entries/000.p/01 /tile/entries/00.p/1 /tile/entries/000.p/0 /tile/entries/000.p/256
/tile/entries/ /tile/entries /tile/ /tile /tile/0 /tile/0/ /tile/data/000.p/1 /tile/8/0/000.p/1 /tile/entries/000%2Ep/1
/tile/names/000.p/1 / /streams /streams/
""".split()

STREAM_ALIASES = """
{0}/checkpoint/ {0}//checkpoint {0}/%63heckpoint {0}/checkpoint? {0} {0}/ {0}/Checkpoint {0}/./checkpoint
/streams//{1}/checkpoint {0}/tile/checkpoint /streams/./{1}/checkpoint /Streams/{1}/checkpoint /streams%2F{1}/checkpoint
/%73treams/{1}/checkpoint /streams/../streams/{1}/checkpoint {0}/tile/0/000.p/1/ {0}//tile/0/000.p/1 {0}/tile/00/000.p/1
{0}/tile/0/x000/000.p/1 {0}/tile/0/000.p/01 {0}/tile/0/000%2Ep/1 {0}/tile/0/%3000.p/1 {0}/tile/entries/0/000.p/1
{0}/tile/entries/000.p/01 {0}/tile/entries/000%2ep/1 {0}/tile/entries/x000/000.p/1 {0}/tile/%65ntries/000.p/1
""".split()


async def test_every_path_has_one_spelling(site: Site) -> None:
    """Aliases are not found, whoever asks; a redirect would be one more name."""
    private = await label(site, 2)
    token = f"Bearer {await site.token()}"
    await site.published()
    found = ["/checkpoint", "/tile/0/000.p/1", "/tile/entries/000.p/1"]
    paths = list(ALIASES)
    for prefix in (private, f"/streams/{OPERATIONS}"):
        name = prefix.removeprefix("/streams/")
        found += [prefix + path for path in found[:3]]
        paths += [path.format(prefix, name) for path in STREAM_ALIASES]
        upper = name.upper()
        for other in (upper, f"%{ord(name[0]):02x}{name[1:]}", f"{name[:5]}%2E{name[6:]}"):
            paths += [f"/streams/{other}/checkpoint", f"/streams/{other}/tile/0/000.p/1"]
    paths += [
        "/streams/tlog%2Flog%2Foperations/checkpoint",
        "/streams/tlog:log:operations/checkpoint",
    ]
    paths += [private + "=/checkpoint", private[:-1] + "/checkpoint", private + "a/checkpoint"]
    for path in found:
        assert (await fetch(site, path, Authorization=token)).status == 200, path
        # RFC 9112 section 3.2.2: a server accepts the absolute form.
        assert (await fetch(site, f"http://x{path}", Authorization=token)).status == 200, path
    for path in paths:
        for method in ("GET", "HEAD"):
            answer = await fetch(site, path, method, Authorization=token)
            assert answer.status in (400, 404), path
            assert answer.headers.get("Cache-Control", "no-store") == "no-store"
        assert (await fetch(site, "http://x" + path)).status in (400, 404), path


async def test_a_name_that_looks_like_a_label_and_a_path(site: Site) -> None:
    """A public stream whose tenant is 52 letters, of an environment `tile`: its paths are its own."""
    label = "a" * 52 + "/tile/0"
    site.log.open_stream(label.replace("/", ":"), public=True)
    prefix = f"/streams/{label}"
    entries = bundle_encode(entries_of(site.log, NUMBER))
    assert (await fetch(site, f"{prefix}/tile/entries/000.p/1")).body == entries
    assert (await fetch(site, f"{prefix}/tile/0/000.p/1")).body == leaf_hash(entries[2:])
    assert (await fetch(site, f"{prefix}/checkpoint")).status == 200
    assert (await fetch(site, f"{prefix}/000.p/1")).status == 404


async def test_a_query_is_refused(site: Site) -> None:
    """It would be another name of the same bytes."""
    await site.published()
    for path in ("/checkpoint", "/tile/0/000.p/1", f"/streams/{OPERATIONS}/checkpoint"):
        answer = await fetch(site, path + "?cache=buster")
        assert (answer.status, answer.kind) == (422, "unknown-parameter")
        assert answer.headers["Cache-Control"] == "no-store"


async def test_other_methods_are_not_allowed(site: Site) -> None:
    for path in ("/checkpoint", "/tile/0/000.p/1", f"/streams/{OPERATIONS}/tile/entries/000.p/1"):
        for method in ("POST", "PUT", "DELETE"):
            answer = await fetch(site, path, method, Content_Length="0")
            assert (answer.status, answer.kind) == (405, "method-not-allowed")
            assert answer.headers["Allow"] == "GET,HEAD"


async def test_head_says_what_get_would(site: Site) -> None:
    prefix = await label(site, 300)
    await site.published()
    paths = ["/checkpoint", "/tile/0/000.p/2", "/tile/entries/000.p/2", f"{prefix}/checkpoint"]
    paths += [f"{prefix}/tile/0/000", f"/streams/{OPERATIONS}/tile/entries/000.p/1", "/tile/9/000"]
    for path in paths:
        for coding in ("identity", "gzip"):
            head = await fetch(site, path, "HEAD", Accept_Encoding=coding)
            body = await fetch(site, path, Accept_Encoding=coding)
            assert head.body == b""
            assert head.status == body.status
            if path != "/checkpoint":  # it may be another one by now
                different = {"Date"}
                assert {n: v for n, v in head.headers.items() if n not in different} == {
                    n: v for n, v in body.headers.items() if n not in different
                }
            assert int(body.headers["Content-Length"]) == len(body.body)


async def test_a_connection_serves_many(site: Site) -> None:
    """Keep-alive, through 404 and 304, with a client that undoes nothing."""
    await site.published()

    def use() -> list[tuple[int, int]]:
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
        found = []
        sockets = set()
        for path in ("/checkpoint", "/tile/0/000.p/1", "/tile/0/x000/000", "/tile/entries/000.p/1"):
            for method in ("GET", "HEAD"):
                connection.request(method, path)
                sockets.add(connection.sock)
                answer = connection.getresponse()
                found.append((answer.status, len(answer.read())))
        assert len(sockets) == 1
        connection.close()
        return found

    found = await asyncio.to_thread(use)
    assert [status for status, _ in found] == [200, 200, 200, 200, 404, 404, 200, 200]
    assert [length for _, length in found][2:4] == [32, 0]


async def test_a_checkpoint_is_sent_once(site: Site) -> None:
    """Whoever holds the newest one is told so; a new head is another representation."""
    prefix = await label(site)
    first = await fetch(site, prefix + "/checkpoint")
    tag = first.headers["Etag"]
    assert (await fetch(site, prefix + "/checkpoint")).headers["Etag"] == tag
    for held in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = await fetch(site, prefix + "/checkpoint", If_None_Match=held)
        assert (again.status, again.body) == (304, b"")
        assert again.headers["Etag"] == tag
        assert again.headers["Cache-Control"] == "no-cache"
        assert "Content-Length" not in again.headers or again.headers["Content-Length"] == "0"
    assert (await fetch(site, prefix + "/checkpoint", If_None_Match='"x"')).body == first.body
    await site.record()
    newer = await fetch(site, prefix + "/checkpoint", If_None_Match=tag)
    assert newer.status == 200
    assert newer.headers["Etag"] != tag
    assert newer.body.split(b"\n")[1] == b"3"


async def test_gzip_where_it_is_asked_for(site: Site) -> None:
    """The same bytes each time, with no time in them; the plain ones for who does not ask, or when they are shorter."""
    prefix = await label(site, 300)
    token = f"Bearer {await site.token()}"
    path = f"{prefix}/tile/entries/000"
    plain = await fetch(site, path, Authorization=token)
    assert "Content-Encoding" not in plain.headers
    several = await asyncio.gather(
        *(fetch(site, path, Authorization=token, Accept_Encoding="br, gzip") for _ in range(8))
    )
    assert len({one.body for one in several}) == 1
    packed = several[0]
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding, Authorization"
    assert len(packed.body) < len(plain.body) / 2
    assert gzip.decompress(packed.body) == plain.body
    assert packed.body[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"  # no name, no time
    assert packed.body == pack(plain.body)
    refused = await fetch(site, path, Authorization=token, Accept_Encoding="gzip;q=0, *")
    assert refused.body == plain.body
    tile = await fetch(site, f"{prefix}/tile/0/000", Accept_Encoding="gzip")
    assert "Content-Encoding" not in tile.headers
    short = await fetch(site, "/tile/entries/000.p/1", Accept_Encoding="gzip")
    assert short.headers["Vary"] == "Accept-Encoding"
    assert ("Content-Encoding" in short.headers) == (len(pack(short.body)) < len(short.body))


async def test_a_long_bundle_is_packed_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ask at the same moment, and off the loop: the checkpoint is answered meanwhile."""
    prefix = await label(site, 300)
    token = f"Bearer {await site.token()}"
    packed, begun, free = [], threading.Event(), threading.Event()

    def slow(data: bytes) -> bytes:
        packed.append(len(data))
        begun.set()
        assert free.wait(20)
        return pack(data)

    monkeypatch.setattr("tlog.api.surface.gzip", slow)
    path = f"{prefix}/tile/entries/000"
    asked = [
        asyncio.create_task(fetch(site, path, Authorization=token, Accept_Encoding="gzip"))
        for _ in range(8)
    ]
    await asyncio.to_thread(begun.wait)
    for _ in range(8):
        assert (await fetch(site, prefix + "/checkpoint")).status == 200
    free.set()
    answers = await asyncio.gather(*asked)
    assert len({answer.body for answer in answers}) == 1
    assert (await fetch(site, path, Authorization=token, Accept_Encoding="gzip")).status == 200
    assert len(packed) == 1
    assert not site.runner.app[_PACKING]  # type: ignore[union-attr]


async def test_short_bundles_stay_as_they_are(site: Site) -> None:
    """A packed body that is longer is sent only to who refuses the plain one."""
    plain = await fetch(site, "/tile/entries/000.p/1")
    assert len(pack(plain.body)) > len(plain.body)
    asked = await fetch(site, "/tile/entries/000.p/1", Accept_Encoding="gzip")
    assert (asked.headers.get("Content-Encoding"), asked.body) == (None, plain.body)
    only = await fetch(site, "/tile/entries/000.p/1", Accept_Encoding="gzip, identity;q=0")
    assert zlib.decompress(only.body, 31) == plain.body


async def test_private_entries_are_their_tenants(site: Site) -> None:
    """Heads and tiles are anyone's; entries are not found without a token of the tenant, as if they were not there."""
    prefix = await label(site, 3)
    path, absent = f"{prefix}/tile/entries/000.p/4", f"/streams/{'a' * 52}/tile/entries/000.p/4"
    own, rival = await site.token(), await site.rival()
    ingest = await site.token(site.keys.ingest)
    served = await fetch(site, path, Authorization=f"Bearer {own}")
    assert served.status == 200
    assert served.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert "Access-Control-Allow-Origin" not in served.headers
    assert b"acme:prod:scorer" in served.body
    answers: dict[str, tuple[int, str]] = {
        "": (404, "not-found"),
        f"Bearer {rival}": (404, "not-found"),
        f"Bearer {ingest}": (403, "missing-scope"),
        "Bearer nonsense": (401, "invalid-token"),
        f"Basic {own}": (401, "invalid-token"),
        f"Bearer {site.keys.both}": (401, "invalid-token"),
    }
    for credential, expected in answers.items():
        headers = {"Authorization": credential} if credential else {}
        foreign, none = [await fetch(site, one, **headers) for one in (path, absent)]
        assert (foreign.status, foreign.kind) == expected, credential
        assert (foreign.status, foreign.body) == (none.status, none.body)
        assert ("Www-Authenticate" in foreign.headers) == (expected[0] == 401)
        assert foreign.headers["Cache-Control"] == "no-store"
        for public in (f"{prefix}/checkpoint", f"{prefix}/tile/0/000.p/4", "/tile/0/000.p/1"):
            assert (await fetch(site, public, **headers)).status == 200
        for public in ("/tile/entries/000.p/1", f"/streams/{OPERATIONS}/tile/entries/000.p/1"):
            answer = await fetch(site, public, **headers)
            assert answer.status == 200
            assert answer.headers["Cache-Control"] == IMMUTABLE


async def test_a_tenant_whose_name_begins_another_ones_is_not_that_one(site: Site) -> None:
    path = f"{await label(site, 3)}/tile/entries/000.p/4"
    event_id = (await site.record())["event_id"]
    site.log.accounts.create_tenant("acm")
    key, _ = site.log.accounts.create_key("acm")
    token = await site.token(key, tenant_id="acm")
    assert (await fetch(site, path, Authorization=f"Bearer {token}")).status == 404
    for one in (f"/events/{event_id}", f"/proof/{event_id}"):
        assert (await site.get(one, token)).status == 404
    for one in ("/events", "/streams"):
        answer = await site.get(one, token)
        assert answer.status == 200 and b"acm:" in answer.body and b"acme" not in answer.body


async def test_no_public_byte_names_a_customer(site: Site) -> None:
    """What anyone may fetch says nothing of tenant or stream."""
    prefix = await label(site, 3)
    await site.published()
    size = site.root[0]
    for path in ("/checkpoint", f"/tile/entries/000.p/{size}", f"{prefix}/checkpoint"):
        body = (await fetch(site, path)).body
        assert not any(name in body for name in (b"acme", b"scorer", STREAM.encode())), path


def rewrite(log: Log, database: str, key: bytes, change: Callable[[bytearray], Any]) -> None:
    with log.store.env.begin(write=True) as txn:
        value = bytearray(txn.get(key, db=log.store.db[database]))
        change(value)
        txn.put(key, bytes(value), db=log.store.db[database])


def flip(at: int) -> Callable[[bytearray], None]:
    def change(value: bytearray) -> None:
        value[at] ^= 1

    return change


async def test_rot_is_a_500_and_never_wrong_bytes(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a tile and of an entry; what is beside it is served as ever, and the fault stands in the server's log."""
    prefix = await label(site, 600)
    token = f"Bearer {await site.token()}"
    entries = entries_of(site.log, NUMBER)
    position = site.log.reader.leaf(NUMBER, 300).position
    at = (position & 0xFFFF) + layout.RECORD_HEADER.size + 30
    rewrite(site.log, "journal", layout.u64(position >> 16), flip(at))
    rewrite(site.log, "tiles", layout.tile_key(NUMBER, 0, 0), flip(32 * 9))
    bad = ["tile/0/000", "tile/0/000.p/1", "tile/entries/000", "tile/entries/001"]
    for path in bad:
        for method in ("GET", "HEAD"):
            answer = await fetch(site, f"{prefix}/{path}", method, Authorization=token)
            assert answer.status == 500
            assert answer.headers["Cache-Control"] == "no-store"
            if method == "GET":
                assert answer.kind == "corrupt-store"
                assert b"tile 0/0" not in answer.body  # for the operator, not for the world
    good = await fetch(site, f"{prefix}/tile/entries/001.p/44", Authorization=token)
    assert good.body == bundle_encode(entries[256:300])
    tile = await fetch(site, f"{prefix}/tile/0/001")
    assert tile.body == b"".join(map(leaf_hash, entries[256:512]))
    said = "\n".join(str(record.exc_info) for record in caplog.records)
    assert "tile 0/0 of stream 2 does not hash to its own root" in said
    assert "entries 256 … of stream 2 are not its leaves" in said
