"""The chain shows every change of a stream's entries: one planted, exactly that one found, in its place."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.core.records import MS, PREVIOUS, entry_of, genesis, minimal
from tlog.core.canonical import canonical
from tlog.core.chain import GENESIS_PREVIOUS, block_hash, verify_chain
from tlog.core.ids import event_id
from tlog.core.times import format_ms


def link(records: list[dict[str, Any]], times: list[int] | None = None) -> list[bytes]:
    """Entries of `records`, each linked to the one before."""
    entries: list[bytes] = []
    for number, record in enumerate(records):
        previous = block_hash(entries[-1]) if entries else PREVIOUS
        entries.append(entry_of(record, previous, times[number] if times else MS))
    return entries


RECORDS = [genesis(), *(minimal(position) for position in range(1, 8))]
STREAM = link(RECORDS)


def found(entries: list[bytes], *arguments: Any) -> list[tuple[int, str]]:
    return [fault[:2] for fault in verify_chain(entries, *arguments)]


def test_block_hash_is_sha256sum() -> None:
    assert block_hash(b"abc") == "sha256:" + hashlib.sha256(b"abc").hexdigest()
    assert GENESIS_PREVIOUS == "sha256:" + "0" * 64


def test_a_good_stream_and_every_segment_of_it() -> None:
    assert found([]) == []
    for first in range(len(STREAM)):
        previous = block_hash(STREAM[first - 1]) if first else GENESIS_PREVIOUS
        for end in range(first, len(STREAM) + 1):
            assert found(STREAM[first:end], previous, first) == []


@pytest.mark.parametrize("at", range(1, len(STREAM)))
def test_a_segment_needs_its_own_previous_hash(at: int) -> None:
    assert found(STREAM[at:], block_hash(STREAM[at]), at) == [(at, "link")]
    # Taken for a whole stream, it is broken from its first entry on.
    assert found(STREAM[at:])[0] == (0, "link")


@pytest.mark.parametrize("at", range(1, len(STREAM)))
def test_a_changed_entry_breaks_the_link_after_it(at: int) -> None:
    changed = entry_of(RECORDS[at] | {"severity": "ERROR"}, block_hash(STREAM[at - 1]))
    after = [(at + 1, "link")] if at + 1 < len(STREAM) else []
    assert found([*STREAM[:at], changed, *STREAM[at + 1 :]]) == after


@pytest.mark.parametrize("at", range(1, len(STREAM) - 1))
def test_dropped_repeated_and_swapped_entries(at: int) -> None:
    dropped = STREAM[:at] + STREAM[at + 1 :]
    late = [(position, "position") for position in range(at, len(dropped))]
    assert found(dropped) == sorted([(at, "link"), *late])
    repeated = [*STREAM[:at], STREAM[at], *STREAM[at:]]
    assert found(repeated)[0] == (at + 1, "link")
    swapped = [*STREAM[:at], STREAM[at + 1], STREAM[at], *STREAM[at + 2 :]]
    assert {(at, "link"), (at, "position"), (at + 1, "link")} <= set(found(swapped))


def test_bytes_that_are_no_entry_are_found_and_linked_over() -> None:
    for bad in (b"", b"{}", STREAM[3][:-1], STREAM[3] + b"\n"):
        after = entry_of(RECORDS[4], block_hash(bad))
        rest = [after, *link_on(RECORDS[5:], after)]
        assert found([*STREAM[:3], bad, *rest]) == [(3, "entry")]
        assert found([*STREAM[:3], bad, *STREAM[4:]]) == [(3, "entry"), (4, "link")]


def link_on(records: list[dict[str, Any]], last: bytes) -> list[bytes]:
    entries = [last]
    for record in records:
        entries.append(entry_of(record, block_hash(entries[-1])))
    return entries[1:]


def test_an_invalid_record_is_found_and_still_linked() -> None:
    bad = entry_of(RECORDS[3] | {"severity": "FATAL"}, PREVIOUS)
    tail = link_on(RECORDS[4:], bad)
    assert found([*STREAM[:3], bad, *tail]) == [(3, "link"), (3, "entry")]
    details = [fault.detail for fault in verify_chain([*STREAM[:3], bad, *tail])]
    assert all(details)


def test_an_unknown_schema_is_linked_and_timed_but_no_fault() -> None:
    def unknown(previous: str, ms: int = MS) -> bytes:
        return canonical(
            {"payload": {"v": 2}, "previousHash": previous, "timestamp": format_ms(ms)}
        )

    good = unknown(block_hash(STREAM[2]))
    assert found([*STREAM[:3], good, *link_on(RECORDS[4:], good)]) == []
    assert found([*STREAM[:3], unknown(PREVIOUS)]) == [(3, "link")]
    assert found([*STREAM[:3], unknown(block_hash(STREAM[2]), MS - 1)]) == [(3, "time")]


def test_time_does_not_go_back() -> None:
    records = [
        genesis(),
        minimal(1, MS),
        minimal(2, MS + 5),
        minimal(3, MS + 4),
        minimal(4, MS + 5),
    ]
    times = [MS, MS, MS + 5, MS + 4, MS + 5]
    assert found(link(records, times)) == [(3, "time")]


def test_another_stream_is_found_by_id_and_by_number() -> None:
    other = minimal(2) | {"streamId": "acme:prod:other"}
    number = minimal(2) | {"id": event_id(MS, 8, 2)}
    for record in (other, number):
        assert found(link([genesis(), minimal(1), record, minimal(3)])) == [(2, "stream")]


def test_faults_are_yielded_while_entries_are_read() -> None:
    read = 0

    def entries() -> Any:
        nonlocal read
        for raw in [*STREAM[:2], *STREAM[3:]]:
            read += 1
            yield raw

    assert next(verify_chain(entries())).sequence == 2
    assert read == 3
