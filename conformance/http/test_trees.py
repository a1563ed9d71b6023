"""Heads, proofs and the public log surface (C2SP tlog-tiles), checked by RFC 6962 from the bytes alone."""

from __future__ import annotations

import base64
import gzip

import pytest

from conformance.http import trees
from conformance.http.wire import EVENT, Site

IMMUTABLE = ("max-age=", "immutable")


@pytest.fixture(scope="module")
def entries(site: Site) -> list[bytes]:
    """All entries of the agent's stream, which has a full bundle and a partial one."""
    size = site.size()
    if size < 300:
        assert site.batch([EVENT] * (300 - size)).status == 201
    size, found = site.size(), []
    for first in range(0, size, 256):
        width = min(256, size - first)
        path = site.prefix + trees.tile_path(None, first // 256, width)
        answer = site.get(path, site.token)
        assert answer.status == 200, path
        found += trees.cut(answer.body)
    assert len(found) == size
    return found


def hashes(answer: dict[str, list[str]]) -> list[bytes]:
    """The path of a proof."""
    return [base64.b64decode(text, validate=True) for text in answer["hashes"]]


def test_the_head_is_the_root_of_the_entries(site: Site, entries: list[bytes]) -> None:
    leaves = [trees.leaf_hash(entry) for entry in entries]
    note = site.get(site.prefix + "/checkpoint").body
    origin, size, root = trees.head(note)
    assert origin.endswith(site.prefix)
    assert (size, root) == (len(leaves), trees.root(leaves))
    sth = site.get("/api/v1/sth", site.token, stream_id=site.stream).json()
    assert (sth["origin"], sth["tree_size"]) == (origin, size)
    assert base64.b64decode(sth["root_hash"]) == root
    assert trees.head(sth["checkpoint"].encode())[1:] == (size, root)


def test_inclusion_proofs(site: Site, entries: list[bytes]) -> None:
    leaves = [trees.leaf_hash(entry) for entry in entries]
    for size in (1, 2, 255, 256, 257, len(leaves)):
        for index in {0, size // 2, size - 1}:
            asked = {"stream_id": site.stream, "leaf_index": index, "tree_size": size}
            answer = site.get("/api/v1/proof/inclusion", site.token, **asked).json()
            assert hashes(answer) == trees.path(index, leaves[:size])
            assert base64.b64decode(answer["root_hash"]) == trees.root(leaves[:size])
    by_hash = base64.b64encode(leaves[200]).decode()
    asked = {"stream_id": site.stream, "hash": by_hash}
    assert site.get("/api/v1/proof/inclusion", site.token, **asked).json()["leaf_index"] == 200


def test_consistency_proofs(site: Site, entries: list[bytes]) -> None:
    leaves = [trees.leaf_hash(entry) for entry in entries]
    for first, second in (
        (1, 1),
        (1, 2),
        (3, 7),
        (128, 256),
        (255, 256),
        (256, 257),
        (1, len(leaves)),
    ):
        asked = {"stream_id": site.stream, "first": first, "second": second}
        answer = site.get("/api/v1/proof/consistency", site.token, **asked).json()
        assert hashes(answer) == trees.consistency(first, leaves[:second])


@pytest.mark.parametrize(
    "query", ["first=0", "first=2&second=1", "first=1&second=999999999", "first=x", ""]
)
def test_sizes_out_of_range(site: Site, query: str) -> None:
    path = f"/api/v1/proof/consistency?stream_id={site.stream}&{query}".rstrip("&")
    answer = site.send("GET", path, None, {"Authorization": f"Bearer {site.token}"})
    assert 400 <= answer.status < 500
    assert answer.kind


def test_tiles_of_a_stream(site: Site, entries: list[bytes]) -> None:
    """Level 0 holds leaf hashes, level 1 the roots of full tiles; the hashes are public, the entries are not."""
    leaves = [trees.leaf_hash(entry) for entry in entries]
    for first in range(0, len(leaves), 256):
        part = leaves[first : first + 256]
        tile = site.get(site.prefix + trees.tile_path(0, first // 256, len(part)))
        assert (tile.status, tile.body) == (200, b"".join(part))
    full = len(leaves) // 256
    above = site.get(site.prefix + trees.tile_path(1, 0, full))
    assert above.body == b"".join(
        trees.root(leaves[at : at + 256]) for at in range(0, 256 * full, 256)
    )
    # A partial tile stays when the full one is there.
    assert site.get(site.prefix + "/tile/0/000.p/17").body == b"".join(leaves[:17])
    bundle = site.prefix + "/tile/entries/000"
    assert site.get(bundle).status == 404


def test_tiles_of_the_root_log(site: Site) -> None:
    origin, size, root = trees.head(site.get("/checkpoint").body)
    leaves = []
    for first in range(0, size, 256):
        width = min(256, size - first)
        tile = site.get(trees.tile_path(0, first // 256, width)).body
        bundle = trees.cut(site.get(trees.tile_path(None, first // 256, width)).body)
        assert b"".join(map(trees.leaf_hash, bundle)) == tile
        leaves += [tile[at : at + 32] for at in range(0, len(tile), 32)]
        assert all(entry.decode().startswith(origin) for entry in bundle)
    assert (len(leaves), trees.root(leaves)) == (size, root)


def test_headers(site: Site) -> None:
    note = site.get("/checkpoint")
    assert note.headers["content-type"] == "text/plain; charset=utf-8"
    assert "immutable" not in note.headers["cache-control"]
    for path in ("/tile/0/000.p/1", "/tile/entries/000.p/1"):
        answer = site.get(path)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert all(word in answer.headers["cache-control"] for word in IMMUTABLE)
        assert answer.headers["access-control-allow-origin"] == "*"


def test_head_requests(site: Site) -> None:
    for path in ("/checkpoint", "/tile/0/000.p/1", "/tile/entries/000.p/1"):
        got, asked = site.get(path), site.send("HEAD", path)
        assert (asked.status, asked.body) == (200, b"")
        assert asked.headers["content-length"] == str(len(got.body))
        assert asked.headers["content-type"] == got.headers["content-type"]


def test_compressed_bundles_are_the_same_bytes(site: Site, entries: list[bytes]) -> None:
    path = site.prefix + "/tile/entries/000"
    token = {"Authorization": f"Bearer {site.token}"}
    plain = site.send("GET", path, None, token)
    packed = site.send("GET", path, None, {**token, "Accept-Encoding": "gzip, identity"})
    assert "content-encoding" not in plain.headers
    if packed.headers.get("content-encoding") == "gzip":
        assert gzip.decompress(packed.body) == plain.body
    else:
        assert packed.body == plain.body


ABSENT = """
/tile/0/999 /tile/0/000.p/0 /tile/0/000.p/256 /tile/0/000.p/01 /tile/0/000.p/ /tile/0/0 /tile/0/0000
/tile/0/x000/000 /tile/00/000.p/1 /tile/64/000.p/1 /tile/-1/000.p/1 /tile/0/000.p/1/ /tile/0/000%2Ep/1
/tile/entries/x000/000 /tile/entries/000.p/0 /tile/data/000.p/1 /tile/8/0/000.p/1 /tile//0/000.p/1 /checkpoint/
/streams/acme/prod/none/checkpoint /streams/acme/prod/none/tile/0/000.p/1
""".split()


@pytest.mark.parametrize("path", ABSENT)
def test_what_is_not_there(site: Site, path: str) -> None:
    """404 and nothing else: a client falls back to the full tile only then. No redirect, nothing for a cache to keep."""
    for method in ("GET", "HEAD"):
        answer = site.send(method, path)
        assert answer.status == 404, answer
        assert "immutable" not in answer.headers.get("cache-control", "")
        assert "location" not in answer.headers
