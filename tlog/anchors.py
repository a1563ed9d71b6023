"""Anchors: RFC 3161 timestamps over root checkpoints of this log, kept when they verify, found by day and by what they cover.

An anchor proves that a root, and everything in the log up to it, existed at its time, whatever the operator does later. It is
delivered by a witness, or by anybody: what counts is that it verifies. So that strangers with much time cannot fill the disk,
of one authority and UTC day at most so many are kept, and none that says less than one already here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from tlog.config import Config
from tlog.core.timestamp import (
    HEAD_SKEW_MS,
    MAX_CLOCK_MS,
    Roots,
    Timestamp,
    parse_roots,
    verify_timestamp,
)
from tlog.errors import CorruptStore, InvalidInput, Refused, Unavailable, VerificationError
from tlog.store import layout
from tlog.store.environment import LogStore
from tlog.store.layout import ANCHOR_KEY, AnchorRow

DAY_MS = 86_400_000
MAX_SHOWN = 100
# How far anchors are looked through for the first one of each authority that covers a leaf.
_MAX_LOOKED_AT = 2000
_DIGEST = 32

Stored = Literal["recorded", "known", "covered"]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(AnchorRow).decode


class Delivery(NamedTuple):
    """What somebody says is an anchor: the note, request and reply as they went over the wire, certificates and CRLs in DER."""

    checkpoint: bytes
    request: bytes
    reply: bytes
    chain: Sequence[bytes]
    crls: Sequence[bytes]


class Anchors:
    """The anchors of one log. `errand` has a function run in a write transaction on the writer thread."""

    def __init__(
        self,
        store: LogStore,
        errand: Callable[[Callable[[Any], Stored]], Future[Stored]],
        *,
        roots: Roots = (),
        policies: Sequence[str] = (),
        per_day: int = 300,
    ) -> None:
        self._store = store
        self._errand = errand
        self._roots = roots
        self._policies = policies
        self._per_day = per_day

    @property
    def accepted(self) -> bool:
        """Whether any authority is configured."""
        return bool(self._roots)

    def verify(self, delivery: Delivery, head_ms: int, now_ms: int) -> Timestamp:
        """The timestamp, if it holds and its time fits the head's, `head_ms`, and now. Both in Unix milliseconds.

        It may have been on its way for days, so that it need not be young. Raises: InvalidInput (invalid-anchor).
        """
        try:
            stamp = verify_timestamp(
                delivery.reply,
                delivery.request,
                delivery.checkpoint,
                roots=self._roots,
                policies=self._policies,
                chain=delivery.chain,
                crls=delivery.crls,
            )
        except VerificationError:
            raise InvalidInput(
                "invalid-anchor",
                "this timestamp does not verify over this checkpoint, under the authorities that this log believes",
                "/reply",
            ) from None
        if not head_ms - HEAD_SKEW_MS <= stamp.gen_ms <= now_ms + MAX_CLOCK_MS:
            raise InvalidInput(
                "invalid-anchor", "its time is before that of the root, or to come", "/reply"
            )
        return stamp

    def keep(self, stamp: Timestamp, delivery: Delivery, size: int, now_ms: int) -> Future[Stored]:
        """Store a verified anchor of the root of `size`: `recorded`, or `known`, or `covered` by one that says more.

        Raises: Unavailable (overloaded, disk-full, stopping); the future too: too-many-anchors.
        """
        row = AnchorRow(
            stamp.signer,
            stamp.gen_time,
            stamp.gen_ms,
            stamp.accuracy_us,
            stamp.policy,
            str(stamp.serial),
            size,
            delivery.checkpoint,
            delivery.request,
            delivery.reply,
            list(stamp.chain),
            list(dict.fromkeys(delivery.crls)),
            now_ms,
        )
        key = ANCHOR_KEY.pack(
            stamp.gen_ms // DAY_MS, _authority(stamp), stamp.gen_ms, stamp.identity[:16]
        )
        return self._errand(lambda txn: self._write(txn, key, row))

    def _write(self, txn: Any, key: bytes, row: AnchorRow) -> Stored:
        anchors = self._store.db["anchors"]
        if txn.get(key, db=anchors) is not None:
            return "known"
        today = sum(1 for _ in _prefixed(txn, anchors, key[:12]))
        if today and self._says_less(txn, key, row):
            return "covered"
        if today >= self._per_day:
            raise Unavailable(
                "too-many-anchors",
                f"{self._per_day} anchors of this authority are kept for this day already",
                3600.0,
            )
        data = _encode(row)
        txn.put(key, hashlib.sha256(data).digest() + data, db=anchors)
        txn.put(layout.u64(row.size) + key, b"", db=self._store.db["anchored"])
        return "recorded"

    def _says_less(self, txn: Any, key: bytes, row: AnchorRow) -> bool:
        """Whether the same authority saw the same root or a later one no later."""
        for _, other in self._covering(txn, row.size):
            _, authority, gen_ms, _ = ANCHOR_KEY.unpack(other)
            if authority == key[4:12] and gen_ms <= row.gen_ms:
                return True
        return False

    def of_day(self, day: int) -> list[AnchorRow]:
        """At most `MAX_SHOWN` anchors whose genTime is in a UTC day (days since 1970), the first ones, by time."""
        if "anchors" not in self._store.db:
            return []
        with self._store.read() as txn:
            keys = [key for key in _prefixed(txn, self._store.db["anchors"], layout.u32(day))]
            keys.sort(key=lambda key: key[12:])
            return [self._row(txn, key) for key in keys[:MAX_SHOWN]]

    def covering(self, root_leaf: int) -> list[AnchorRow]:
        """Of each authority the earliest anchor over a root that covers a leaf of the root log, by time."""
        if "anchored" not in self._store.db:
            return []
        first: dict[bytes, bytes] = {}
        with self._store.read() as txn:
            for _, key in self._covering(txn, root_leaf + 1):
                authority = key[4:12]
                if authority not in first or key[12:] < first[authority][12:]:
                    first[authority] = key
            return [self._row(txn, key) for key in sorted(first.values(), key=lambda k: k[12:])]

    def _covering(self, txn: Any, size: int) -> Iterator[tuple[int, bytes]]:
        """Size and key of anchors over roots of `size` and more, by size."""
        cursor = txn.cursor(db=self._store.db["anchored"])
        found = cursor.set_range(layout.u64(size))
        for _ in range(_MAX_LOOKED_AT):
            if not found:
                return
            key = bytes(cursor.key())
            yield layout.read_u64(key[:8]), key[8:]
            found = cursor.next()

    def _row(self, txn: Any, key: bytes) -> AnchorRow:
        data = bytes(txn.get(key, db=self._store.db["anchors"]) or b"")
        if hashlib.sha256(data[_DIGEST:]).digest() != data[:_DIGEST]:
            raise CorruptStore("a stored anchor is not what was stored")
        return _decode(data[_DIGEST:])


def load_roots(directory: Path, config: Config) -> Roots:
    """The roots that the log in `directory` believes. Raises: InvalidInput (config) when `tsa_roots` is no PEM file of such."""
    if not config.tsa_roots:
        return ()
    path = directory / config.tsa_roots
    try:
        return parse_roots(path.read_bytes())
    except OSError as error:
        raise InvalidInput("config", f"tsa_roots: {path}: {error.strerror}") from error
    except InvalidInput as error:
        raise InvalidInput("config", f"tsa_roots: {path}: {error.detail}") from error


def open_anchors(
    store: LogStore,
    errand: Callable[[Callable[[Any], Stored]], Future[Stored]],
    roots: Roots,
    config: Config,
) -> Anchors:
    """The anchors of a log as it is configured."""
    policies, per_day = config.tsa_policies.split(), config.max_anchors_per_day
    return Anchors(store, errand, roots=roots, policies=policies, per_day=per_day)


def not_accepted() -> Refused:
    """The refusal of a log that believes no authority."""
    return Refused(
        "anchors-not-accepted", "this log keeps no anchors: its setting tsa_roots names nobody"
    )


def _authority(stamp: Timestamp) -> bytes:
    """Names an authority for as long as it keeps its name and its root, whatever certificates it uses."""
    return hashlib.sha256(stamp.chain[-1] + stamp.signer.encode()).digest()[:8]


def _prefixed(txn: Any, db: Any, prefix: bytes) -> Iterator[bytes]:
    cursor = txn.cursor(db=db)
    found = cursor.set_range(prefix)
    while found and bytes(cursor.key()).startswith(prefix):
        yield bytes(cursor.key())
        found = cursor.next()
