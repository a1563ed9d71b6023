"""The public log surface, https://c2sp.org/tlog-tiles: at `/` the root log, at `/streams/<label>/` each stream.

One resource has one path, byte for byte as the request sends it: nothing is decoded, folded, completed or redirected, and a
query is refused. A second name of an immutable object would be kept by every shared cache for a year, next to the first.
What does not exist is 404 and never kept: the next tile of a growing log is asked for before it is there.
"""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Awaitable, Callable
from functools import lru_cache, wraps
from typing import Any

from aiohttp import web

from tlog.api.context import GATE, LOG, WRITER
from tlog.api.negotiation import matches, prefers_gzip
from tlog.api.problems import failure
from tlog.api.query import refuse_query
from tlog.core.checkpoint import Checkpoint
from tlog.core.tiles import TileRef, parse_tile_path
from tlog.errors import InvalidInput, Refused, TlogError
from tlog.log import Log
from tlog.reader import Inclusion
from tlog.served import Served
from tlog.store.layout import ROOT_LOG
from tlog.surface import LABEL_PATTERN, Surface

OCTETS = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"
IMMUTABLE = "max-age=31536000, immutable"
STREAM = f"/streams/{{label:{LABEL_PATTERN}}}"
TILE = "/tile/{level:[0-9]+}/{index:[x0-9/.p]+}"
ENTRIES = "/tile/entries/{index:[x0-9/.p]+}"
"""For the router, which decodes a path before it looks at it: so what it lets through is read again, as it was sent."""

SURFACE: web.AppKey[Surface] = web.AppKey("surface", Surface)
_PACKING: web.AppKey[dict[Any, asyncio.Future[bytes]]] = web.AppKey("packing", dict)

_INLINE_BYTES = 1 << 14  # what is compressed at once: 0.3 ms
_ANYONE = {"Access-Control-Allow-Origin": "*"}
_TILE = {"Content-Type": OCTETS, "Cache-Control": f"public, {IMMUTABLE}", **_ANYONE}
_PUBLIC_BUNDLE = {**_TILE, "Vary": "Accept-Encoding"}
# For a browser's sake, not a cache's: no header lets foreign pages read it, and no shared cache may keep it.
_PRIVATE_BUNDLE = {
    "Content-Type": OCTETS,
    "Cache-Control": f"private, {IMMUTABLE}",
    "Vary": "Accept-Encoding, Authorization",
}

Handler = Callable[[web.Request], Awaitable[web.Response]]


def setup(app: web.Application, log: Served) -> None:
    """What the handlers below need."""
    app[SURFACE] = Surface(log.reader)
    app[_PACKING] = {}


def _anyone(handler: Handler) -> Handler:
    """Web pages may read refusals too: a verifier in a browser must see that a tile is not there."""

    @wraps(handler)
    async def answer(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except TlogError as error:
            response = failure(request, error)
            response.headers.update(_ANYONE)
            return response

    return answer


@_anyone
async def get_checkpoint(request: web.Request) -> web.Response:
    """The root log's published checkpoint, a signed note, with the cosignatures gathered."""
    note = root_checkpoint(request.app[WRITER])
    if _raw_path(request) != "/checkpoint" or note is None:
        raise _absent()
    return _checkpoint(request, note)


@_anyone
async def get_tile(request: web.Request) -> web.Response:
    """A tile of the root log: the first W hashes, or all 256, of 32 bytes each."""
    tile = _reference(_raw_path(request)[1:])
    return _tile(request, ROOT_LOG, tile)


@_anyone
async def get_entries(request: web.Request) -> web.Response:
    """An entry bundle of the root log: each entry, a tree head's body, after its length in two bytes."""
    tile = _reference(_raw_path(request)[1:])
    return await _bundle(request, ROOT_LOG, tile, _PUBLIC_BUNDLE)


@_anyone
async def get_stream_checkpoint(request: web.Request) -> web.Response:
    """A stream's newest head in the root log, signed under the stream's own origin."""
    label, rest = _stream(request)
    number = request.app[SURFACE].labels.number(label)
    if number is None or rest != "checkpoint":
        raise _absent()
    return _checkpoint(request, _stream_note(request.app, number))


@_anyone
async def get_stream_tile(request: web.Request) -> web.Response:
    """A tile of a stream: the first W hashes, or all 256, of 32 bytes each."""
    label, rest = _stream(request)
    tile = _reference(rest)
    number = request.app[SURFACE].labels.number(label)
    if number is None:
        raise _absent()
    return _tile(request, number, tile)


@_anyone
async def get_stream_entries(request: web.Request) -> web.Response:
    """An entry bundle of a stream: each entry after its length in two bytes.

    A private stream's entries are its tenant's: without a token, and with another tenant's, they are not found.
    """
    label, rest = _stream(request)
    tile = _reference(rest)
    log, labels = request.app[LOG], request.app[SURFACE].labels
    number = labels.number(label)
    if number is not None and log.source.rows[number].public:
        return await _bundle(request, number, tile, _PUBLIC_BUNDLE)
    # The credential first: what it is worth is said alike whether or not there is such a stream.
    session = request.app[GATE].maybe_session(request, "read")
    if number is None or session is None:
        raise _absent()
    if not log.source.rows[number].stream_id.startswith(session.tenant + ":"):
        raise _absent()
    return await _bundle(request, number, tile, _PRIVATE_BUNDLE)


def root_checkpoint(log: Log) -> bytes | None:
    """The note that is the root log's public head, None before the first publication."""
    return log.publication.checkpoint


def _stream_note(app: web.Application, number: int) -> bytes:
    log = app[WRITER]
    view = log.source.view(number)
    if not view.size:  # it is being opened
        raise _absent()
    note = app[SURFACE].shelf.get(_note_key(number, view.size))
    return note or signed_note(app, number, *log.reader.stream_head(number, view)[:2])


def signed_note(app: web.Application, number: int, head: Checkpoint, proof: Inclusion) -> bytes:
    """The note of a stream's head, which `proof` puts in the root log. Signed once: the signature is deterministic."""
    shelf, key = app[SURFACE].shelf, _note_key(number, head.size)
    note = shelf.get(key)
    if note is None:
        note = app[WRITER].signer.sign_stream(head, proof.leaf_index, proof.hashes, proof.tree_size)
        shelf.put(key, note)
    return note


def _note_key(number: int, size: int) -> tuple[int, str, int]:
    return number, "checkpoint", size


def _checkpoint(request: web.Request, note: bytes) -> web.Response:
    tag = f'"{hashlib.sha256(note).hexdigest()[:32]}"'
    # SPEC (tlog-tiles): caching beyond a few seconds should be prevented. Kept copies are asked about every time.
    headers = {"Cache-Control": "no-cache", "ETag": tag, **_ANYONE}
    if matches(request.headers.getall("If-None-Match", ()), tag):
        return web.Response(status=304, headers=headers)
    return web.Response(body=note, headers={"Content-Type": TEXT, **headers})


def _tile(request: web.Request, number: int, tile: TileRef) -> web.Response:
    if tile.level is None:
        raise AssertionError("tlog: the router took a bundle for a tile")
    body = request.app[SURFACE].tile(number, tile.level, tile.index, tile.width)
    return web.Response(body=body, headers=_TILE)


async def _bundle(
    request: web.Request, number: int, tile: TileRef, headers: dict[str, str]
) -> web.Response:
    if tile.level is not None:
        raise AssertionError("tlog: the router took a tile for a bundle")
    body = request.app[SURFACE].bundle(number, tile.index, tile.width)
    accepted = request.headers.getall("Accept-Encoding", ())
    if prefers_gzip(accepted):
        packed = await _packed(request.app, (number, tile.index, tile.width), body)
        if prefers_gzip(accepted, gains=len(packed) < len(body)):
            body, headers = packed, {**headers, "Content-Encoding": "gzip"}
    return web.Response(body=body, headers=headers)


async def _packed(app: web.Application, key: tuple[int, int, int], body: bytes) -> bytes:
    """The bundle compressed; however many ask at once, it is done once, and off the loop if it is long."""
    shelf, packing = app[SURFACE].shelf, app[_PACKING]
    packed = shelf.get((*key, "gzip"))
    if packed is not None:
        return packed
    if len(body) <= _INLINE_BYTES:
        packed = gzip(body)
    else:
        if key not in packing:
            packing[key] = asyncio.get_running_loop().run_in_executor(None, gzip, body)
            packing[key].add_done_callback(lambda _: packing.pop(key))
        packed = await packing[key]
    shelf.put((*key, "gzip"), packed)
    return packed


def gzip(data: bytes) -> bytes:
    """RFC 1952; no time and no name in it: the same bytes for the same bytes."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def _raw_path(request: web.Request) -> str:
    """The path as it was sent. Raises: InvalidInput (unknown-parameter), Refused for an empty query or a fragment."""
    refuse_query(request)
    path = request.rel_url.raw_path
    if not request.raw_path.endswith(path):
        raise _absent()
    return path


def _stream(request: web.Request) -> tuple[str, str]:
    """Label and rest of a path under `/streams/`."""
    path, label = _raw_path(request), request.match_info["label"]
    prefix = f"/streams/{label}/"
    if not path.startswith(prefix):
        raise _absent()
    return label, path[len(prefix) :]


@lru_cache(maxsize=4096)
def _reference(path: str) -> TileRef:
    """HOT: auditors ask for the same tiles."""
    try:
        return parse_tile_path(path)
    except InvalidInput as error:
        raise _absent() from error


def _absent() -> Refused:
    """The one answer for what is not there, for what is nobody's path, and for what is another's."""
    return Refused("not-found", "there is no such resource")
