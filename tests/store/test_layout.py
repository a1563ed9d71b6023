"""Encodings of the log environment: every value reads back as it was written, positions find their records."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlog.store import layout
from tlog.store.layout import (
    CHUNK_BYTES,
    CHUNK_HEADER,
    ChunkWriter,
    decode_positions,
    encode_positions,
    encode_record,
    read_record,
)

records = st.tuples(
    st.sampled_from([layout.EVENT, layout.GENESIS, layout.HEAD]),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**48),
    st.binary(max_size=300),
    st.binary(max_size=300),
    st.none() | st.tuples(st.binary(min_size=16, max_size=16), st.integers(1, 10_000)),
)


@given(st.lists(records, min_size=1, max_size=400), st.integers(0, 2**40))
def test_records_are_found_at_their_positions(
    wanted: list[tuple[int, int, int, bytes, bytes, tuple[bytes, int] | None]],
    first: int,
) -> None:
    """Whatever goes into a commit is found again, alone by its position and in order from the chunks."""
    writer = ChunkWriter(7, first, 123)
    positions = [
        writer.add(encode_record(kind, stream, index, entry, sealed, request))
        for kind, stream, index, entry, sealed, request in wanted
    ]
    chunks = dict(writer.finish())

    assert positions == sorted(set(positions))
    assert list(chunks) == list(range(first, first + len(chunks)))
    for position, (kind, stream, index, entry, sealed, request) in zip(
        positions, wanted, strict=True
    ):
        chunk = chunks[position >> 16]
        record, _ = read_record(chunk, position & 0xFFFF)
        assert (record.kind, record.stream, record.index) == (kind, stream, index)
        assert (record.entry, record.sealed, record.request) == (
            entry,
            sealed,
            request,
        )
        assert CHUNK_HEADER.unpack_from(chunk) == (layout.FORMAT, 7, first, 123)
        assert len(chunk) <= CHUNK_BYTES


def test_a_record_larger_than_a_chunk_has_one_of_its_own() -> None:
    """A megabyte of payload makes one large chunk; what follows begins the next."""
    writer = ChunkWriter(1, 0, 1)
    small = encode_record(layout.EVENT, 2, 0, b"{}", b"s")
    large = encode_record(layout.EVENT, 2, 1, b"{}", b"x" * (1 << 20))
    positions = [writer.add(record) for record in (small, large, small)]
    chunks = writer.finish()

    assert [position >> 16 for position in positions] == [0, 1, 2]
    assert len(chunks) == 3
    assert read_record(chunks[1][1], positions[1] & 0xFFFF)[0].sealed == b"x" * (1 << 20)


def test_full_chunks_waste_no_page() -> None:
    """A chunk with LMDB's overflow header fits in 16 pages, and an offset fits in 16 bits."""
    assert CHUNK_BYTES + 16 == 16 * 4096
    assert CHUNK_BYTES <= 0xFFFF


@given(st.lists(st.integers(0, 2**63), max_size=256, unique=True).map(sorted))
def test_positions_read_back(positions: list[int]) -> None:
    """Differences lose nothing."""
    assert decode_positions(encode_positions(positions)) == positions


def test_nearby_positions_are_small() -> None:
    """What the index of a bundle costs on disk: under 4 bytes an entry where entries stand close."""
    assert len(encode_positions([1000 * n for n in range(256)])) < 4 * 256


@pytest.mark.parametrize("value", [0, 1, 2**32, 2**64 - 1])
def test_integer_keys_sort_as_numbers(value: int) -> None:
    """Big endian: the order of keys is the order of numbers."""
    assert layout.read_u64(layout.u64(value)) == value
    if value:
        assert layout.u64(value - 1) < layout.u64(value)
    assert layout.tile_key(1, 0, 5) < layout.tile_key(1, 1, 0) < layout.tile_key(2, 0, 0)
    assert layout.index_key(1, 2**40) < layout.index_key(2, 0)
