"""Every database, key and value of the log environment, in one place; nobody else builds a key.

| database  | key                                        | value                                      | written      |
| --------- | ------------------------------------------ | ------------------------------------------ | ------------ |
| meta      | "log"                                      | msgpack `LogRow`: identity, never changes  | at creation  |
| meta      | "commit"                                   | msgpack `CommitRow`: the newest commit     | every commit |
| journal   | chunk u64                                  | chunk header, records                      | every commit, appended |
| streams   | stream u32                                 | msgpack `StreamRow`: never changes         | with the genesis |
| tiles     | stream u32, tile level u8, tile index u64  | 511 hashes of 32 bytes: all levels of a full tile | when full |
| index     | stream u32, bundle u64                     | msgpack deltas of the 256 positions        | when full |
| states    | stream u32                                 | msgpack `StateRow`                         | swept        |
| producers | stream u32, SHA-256(producer id)[:16]      | msgpack `ProducerRow`                      | swept        |
| runs      | the same, first sequence u64               | msgpack of `RUNS_PER_PAGE` runs            | swept        |
| requests  | UTC day u32, digest of an Idempotency-Key [:16] | position u64, count u32               | swept        |
| published | root size u64                              | signed note                                | on publication |
| anchors   | `ANCHOR_KEY`: UTC day u32, authority, genTime u64, identity | SHA-256, msgpack `AnchorRow`  | on delivery |
| anchored  | root size u64, `ANCHOR_KEY`                | nothing                                    | with it |

All integers are big endian. Stream 0 is the root log, stream 1 is `tlog:log:operations`.

The journal is the log: all else can be derived from it. A *chunk* holds up to 64 KiB of one commit's records, so that a
commit that touches a thousand streams writes a handful of values instead of a thousand. A *position* is
`chunk << 16 | offset` of a record; a record that would not start below 65,536 begins a new chunk. *Swept* rows are kept
dirty in memory and written every so often in key order; after a crash the commits since the last sweep are replayed.
"""

from __future__ import annotations

from itertools import accumulate
from struct import Struct as Packer
from typing import Any, NamedTuple

import msgpack
import msgspec

DATABASES = (
    "meta",
    "journal",
    "streams",
    "tiles",
    "index",
    "states",
    "producers",
    "runs",
    "requests",
    "published",
    "anchors",
    "anchored",
)
# Of later versions: a store that was made before them gets them, empty, when it is next opened for writing.
ADDED = frozenset({"anchors", "anchored"})

FORMAT = 2
ROOT_LOG = 0
OPERATIONS = 1
TILE_WIDTH = 256
TILE_BYTES = 511 * 32
RUNS_PER_PAGE = 256

# 16 pages of 4 KiB less the 16 bytes of LMDB's overflow header: a full chunk wastes no page.
CHUNK_BYTES = 16 * 4096 - 16

CHUNK_HEADER = Packer(">BQQQ")  # format, commit, first chunk of that commit, Unix milliseconds
# Kind, stream, leaf index, entry length, length of all that follows the entry.
RECORD_HEADER = Packer(">BIQHI")

EVENT = 1
GENESIS = 2
HEAD = 3  # a leaf of the root log
KIND_MASK = 0x0F
# After the entry: 16 bytes digest of the Idempotency-Key and u32 count of the request's events.
HAS_REQUEST = 0x10
REQUEST = Packer(">16sI")

_U32 = Packer(">I")
_U64 = Packer(">Q")
_TILE_KEY = Packer(">IBQ")
_INDEX_KEY = Packer(">IQ")
_REQUEST_KEY = Packer(">I16s")
_REQUEST_VALUE = Packer(">QI")

u32 = _U32.pack
u64 = _U64.pack
tile_key = _TILE_KEY.pack
index_key = _INDEX_KEY.pack
request_key = _REQUEST_KEY.pack
request_value = _REQUEST_VALUE.pack
read_request_value = _REQUEST_VALUE.unpack


def read_u64(data: bytes) -> int:
    """Eight bytes to an integer."""
    value: int = _U64.unpack(data)[0]
    return value


def producer_key(stream: int, digest: bytes) -> bytes:
    """`digest` is SHA-256(producer id)[:16]."""
    return u32(stream) + digest


# UTC day u32 (since 1970), authority and identity [:8] and [:16] of SHA-256, genTime in Unix milliseconds between them.
ANCHOR_KEY = Packer(">I8sQ16s")


class AnchorRow(msgspec.Struct, frozen=True, array_like=True):
    """A timestamp that was verified when it came, over the root checkpoint of `size`. All that came with it, as it came."""

    tsa: str  # subject of the signer's certificate, RFC 4514
    gen_time: str  # RFC 3339
    gen_ms: int
    accuracy_us: int | None
    policy: str
    serial: str  # decimal: up to 160 bits
    size: int
    checkpoint: bytes
    request: bytes
    reply: bytes
    chain: list[bytes]  # DER, from the signer to the root
    crls: list[bytes]
    received_ms: int


class LogRow(msgspec.Struct, frozen=True, array_like=True):
    """Who this log is. `store_id` is random: it ties the guard file to this store."""

    format: int
    origin: str
    vkey: str
    store_id: bytes
    created_ms: int


class CommitRow(msgspec.Struct, frozen=True, array_like=True):
    """The newest commit, in the same transaction as its entries."""

    number: int
    ms: int
    first_chunk: int
    next_chunk: int
    swept: int  # replay begins after this commit
    swept_chunk: int  # the first chunk after it
    root_size: int
    root_hash: bytes
    chain: bytes  # the guard's hash over all heads of all commits


class StreamRow(msgspec.Struct, frozen=True, array_like=True):
    """What never changes about a stream. `nonce` is empty for a public stream and for the root log."""

    stream_id: str
    label: str
    public: bool
    nonce: bytes


class StateRow(msgspec.Struct, array_like=True):
    """A stream at the last sweep."""

    size: int
    previous: bytes  # SHA-256 of the last entry
    ms: int
    root_leaf: int  # leaf index of the stream's newest head in the root log
    tail: bytes  # encode_positions of the leaves after the last full bundle
    root: bytes = b""  # of the tree of `size`; rows of earlier versions lack it


class Run(NamedTuple):
    """Sequences `first … first + length - 1` of a producer stand at consecutive leaves from `leaf`."""

    first: int
    leaf: int
    length: int


class ProducerRow(msgspec.Struct, array_like=True):
    """A producer's newest sequence and the newest runs; older runs are in pages."""

    producer_id: str
    last: int
    runs: list[Run]


def encode_positions(positions: list[int]) -> bytes:
    """Ascending positions as differences: 2 to 5 bytes each instead of 8."""
    previous = 0
    deltas = []
    for position in positions:
        deltas.append(position - previous)
        previous = position
    packed: bytes = msgpack.packb(deltas)
    return packed


def decode_positions(data: bytes) -> list[int]:
    """The inverse of `encode_positions`."""
    return list(accumulate(msgpack.unpackb(data)))


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record of a chunk. `sealed` is the vault's blob; `request` is None where absent."""

    kind: int
    stream: int
    index: int
    entry: bytes
    request: tuple[bytes, int] | None
    sealed: bytes


def encode_record(
    kind: int,
    stream: int,
    index: int,
    entry: bytes,
    sealed: bytes = b"",
    request: tuple[bytes, int] | None = None,
) -> bytes:
    """Bytes of a record; `read_record` is the inverse."""
    extra = sealed
    if request is not None:
        extra = REQUEST.pack(*request) + extra
        kind |= HAS_REQUEST
    return RECORD_HEADER.pack(kind, stream, index, len(entry), len(extra)) + entry + extra


def read_record(chunk: bytes, offset: int) -> tuple[Record, int]:
    """The record at `offset` and the offset of the next one. `chunk` may be any buffer."""
    flags, stream, index, entry_length, extra_length = RECORD_HEADER.unpack_from(chunk, offset)
    start = offset + RECORD_HEADER.size
    rest = start + entry_length
    end = rest + extra_length
    entry = bytes(chunk[start:rest])
    request = None
    if flags & HAS_REQUEST:
        digest, count = REQUEST.unpack_from(chunk, rest)
        request = (digest, count)
        rest += REQUEST.size
    sealed = bytes(chunk[rest:end])
    return Record(flags & KIND_MASK, stream, index, entry, request, sealed), end


def read_records(chunk: Any) -> list[Record]:
    """All records of a chunk."""
    records = []
    offset = CHUNK_HEADER.size
    while offset < len(chunk):
        record, offset = read_record(chunk, offset)
        records.append(record)
    return records


def read_entry(chunk: Any, offset: int) -> Any:
    """The entry of the record at `offset` and nothing else of it, as a slice of `chunk`. HOT: all leaves of a tail."""
    start = offset + RECORD_HEADER.size
    return chunk[start : start + RECORD_HEADER.unpack_from(chunk, offset)[3]]


class ChunkWriter:
    """Packs one commit's records into chunks and tells each record's position."""

    def __init__(self, commit: int, first_chunk: int, ms: int) -> None:
        self._header = CHUNK_HEADER.pack(FORMAT, commit, first_chunk, ms)
        self._chunk = first_chunk
        self._parts = [self._header]
        self._offset = len(self._header)
        self.chunks: list[tuple[int, bytes]] = []

    def add(self, record: bytes) -> int:
        """Append `record` and return its position."""
        offset = self._offset
        if offset + len(record) > CHUNK_BYTES and len(self._parts) > 1:
            self._flush()
            offset = self._offset
        self._parts.append(record)
        self._offset = offset + len(record)
        return self._chunk << 16 | offset

    def _flush(self) -> None:
        self.chunks.append((self._chunk, b"".join(self._parts)))
        self._chunk += 1
        self._parts = [self._header]
        self._offset = len(self._header)

    def finish(self) -> list[tuple[int, bytes]]:
        """All chunks as (number, bytes)."""
        if len(self._parts) > 1:
            self._flush()
        return self.chunks
