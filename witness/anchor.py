"""Anchors in the store: which there are, what each is, which is due, which the log still has to get. No network here.

An anchor is kept as it came: the exact note, request, raw reply, path of certificates, revocation lists. It is found by log
and time; its key has the identity of the timestamp and not the hash of the token, whose unsigned bytes anybody may change.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from struct import Struct as Packer
from typing import Any, NamedTuple

import msgspec

from tlog.core.checkpoint import Checkpoint, open_checkpoint
from tlog.core.note import parse_vkey
from tlog.core.timestamp import Roots, Timestamp, parse_roots, verify_timestamp
from tlog.errors import CorruptStore, InvalidInput, TlogError, VerificationError
from witness.rows import LatestRow, LogRow, decode, origin_key, whole_log
from witness.store import Store
from witness.tsa import TsaConfig

DAY = 86_400
#: Seconds after midnight UTC at which the daily anchor is due.
DAILY = 60
#: Days that are looked at for a missing anchor.
LOOK_BACK = 31

_KEY = Packer(">32sQ16s")


class AnchorRow(msgspec.Struct, frozen=True):
    """One timestamp over a root checkpoint of `origin`. Times in Unix milliseconds; `delivered` 0 until the log has it."""

    origin: str
    tsa: str
    size: int
    note: bytes
    request: bytes
    reply: bytes
    chain: tuple[bytes, ...]
    crls: tuple[bytes, ...]
    signer: str
    gen_ms: int
    gen_time: str
    expires_ms: int
    identity: bytes
    delivered: int = 0


class Due(NamedTuple):
    """A root checkpoint that an authority shall stamp. `note` is what was cosigned; `previous` the genTime before."""

    log: LogRow
    tsa: TsaConfig
    head: LatestRow
    previous: int


class Newest(NamedTuple):
    """The newest anchor of a log by an authority: genTime in Unix milliseconds, size of the root."""

    gen_ms: int
    size: int


class AnchorStore:
    """The anchors of one witness. Commands may write beside it: what it remembers is then older, which only costs a timestamp."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._newest: dict[tuple[str, str], Newest | None] = {}

    def put(self, row: AnchorRow) -> None:
        """Keep an anchor, durably, in the queue until it is delivered or `drop`ped from there."""
        key = key_of(row)
        with self._store.write() as txn:
            self._store.put(txn, "anchors", key, row)
            queue = self._store.db["anchor_queue"]
            if row.delivered:
                txn.delete(key, db=queue)
            else:
                txn.put(key, b"", db=queue)
        known = self._newest.get((row.origin, row.tsa))
        if known is not None and known.gen_ms > row.gen_ms:
            return
        self._newest[row.origin, row.tsa] = Newest(row.gen_ms, row.size)

    def drop(self, row: AnchorRow) -> None:
        """Offer it no more."""
        with self._store.write() as txn:
            txn.delete(key_of(row), db=self._store.db["anchor_queue"])

    def all(self) -> list[AnchorRow]:
        """Every anchor, by log and time."""
        return self._store.all("anchors", AnchorRow)

    def queued(
        self, origin: str, most: int = 100, *, refused: Container[bytes] = ()
    ) -> list[AnchorRow]:
        """The oldest of a log that it has not taken yet; after all others those whose `key_of` is in `refused`."""
        prefix = origin_key(origin)
        keys: list[bytes] = []
        found: list[AnchorRow] = []
        with self._store.read() as txn:
            cursor = txn.cursor(db=self._store.db["anchor_queue"])
            more = cursor.set_range(prefix)
            while more and bytes(cursor.key()).startswith(prefix):
                keys.append(bytes(cursor.key()))
                more = cursor.next()
            keys.sort(key=lambda key: key in refused)
            for key in keys[:most]:
                row = self._store.get(txn, "anchors", key, AnchorRow)
                if row is None:
                    raise CorruptStore("an anchor that waits for delivery is missing")
                found.append(row)
        return found

    def newest(self, origin: str, tsa: str) -> Newest | None:
        """The newest anchor of a log by an authority."""
        if (origin, tsa) not in self._newest:
            with self._store.read() as txn:
                rows = self._backwards(txn, origin_key(origin))
                self._newest[origin, tsa] = next(
                    (Newest(row.gen_ms, row.size) for row in rows if row.tsa == tsa), None
                )
        return self._newest[origin, tsa]

    def due(self, authorities: Sequence[TsaConfig], now_ms: int, interval: float) -> list[Due]:
        """What is to be stamped now: each day from 00:01 UTC, and each `interval` seconds if the log has grown.

        A log that is frozen is not stamped: its head is in doubt.
        """
        found = []
        for log in self._store.all("logs", LogRow):
            head = self._store.latest(log.origin)
            if head is None or log.origin != whole_log(log.origin) or self._frozen(log.origin):
                continue
            for tsa in authorities:
                last = self.newest(log.origin, tsa.name)
                if last is None or _is_due(last, head.size, now_ms, interval):
                    found.append(Due(log, tsa, head, 0 if last is None else last.gen_ms))
        return found

    def counts(self) -> tuple[int, int]:
        """How many there are, and how many of them the logs have not taken yet."""
        with self._store.read() as txn:
            stats = [txn.stat(self._store.db[name]) for name in ("anchors", "anchor_queue")]
        return stats[0]["entries"], stats[1]["entries"]

    def heads(self, authorities: Sequence[TsaConfig]) -> list[Due]:
        """Every root checkpoint with every authority, due or not."""
        return self.due(authorities, 1 << 62, 0.0)

    def _frozen(self, origin: str) -> bool:
        with self._store.read() as txn:
            return self._store.frozen(txn, origin) is not None

    def _backwards(self, txn: Any, prefix: bytes) -> Iterator[AnchorRow]:
        cursor = txn.cursor(db=self._store.db["anchors"])
        beyond = cursor.set_range(prefix + b"\xff" * 24)
        found = cursor.prev() if beyond else cursor.last()
        while found and bytes(cursor.key()).startswith(prefix):
            yield decode(cursor.value(), AnchorRow)
            found = cursor.prev()


def key_of(row: AnchorRow) -> bytes:
    """Where it lies: all of a log together, by time."""
    return _KEY.pack(origin_key(row.origin), row.gen_ms, row.identity[:16])


def _is_due(last: Newest, size: int, now_ms: int, interval: float) -> bool:
    daily = (last.gen_ms // 1000 - DAILY) // DAY < (now_ms // 1000 - DAILY) // DAY
    return daily or (size > last.size and now_ms - last.gen_ms >= interval * 1000)


def load_roots(directory: Path, tsa: TsaConfig) -> Roots:
    """The roots of an authority. Raises: InvalidInput (config) naming the file."""
    path = directory / tsa.roots
    try:
        return parse_roots(path.read_bytes())
    except OSError as error:
        raise InvalidInput("config", f"tsa {tsa.name}: {path}: {error.strerror}") from error
    except InvalidInput as error:
        raise InvalidInput("config", f"tsa {tsa.name}: {path}: {error.detail}") from error


def verify_row(row: AnchorRow, log: LogRow, roots: Roots, policies: Sequence[str]) -> Timestamp:
    """Verify a stored anchor again, however long ago it was made: note, timestamp at genTime, and what the row says.

    Raises: VerificationError.
    """
    stamp = verify_timestamp(
        row.reply, row.request, row.note,
        roots=roots, policies=policies, chain=row.chain, crls=row.crls,
    )  # fmt: skip
    told = (stamp.gen_ms, stamp.identity, stamp.signer)
    if told != (row.gen_ms, row.identity, row.signer) or root_of(row, log).size != row.size:
        raise VerificationError
    return stamp


def root_of(row: AnchorRow, log: LogRow) -> Checkpoint:
    """The checkpoint that was stamped, signed by a key of the log. Raises: VerificationError."""
    try:
        keys = [parse_vkey(vkey) for vkey in log.vkeys]
        return open_checkpoint(row.note, keys, row.origin)[0]
    except TlogError:
        raise VerificationError from None


def day_of(ms: int) -> str:
    """The UTC day, `2026-03-20`."""
    return datetime.fromtimestamp(ms / 1000, timezone.utc).strftime("%Y-%m-%d")


def days_without(
    store: Store, rows: Sequence[AnchorRow], authorities: Sequence[TsaConfig], now_ms: int
) -> list[tuple[str, str, str, str]]:
    """Day, log, authority, and `pending` or `missing`, for today and the days since the first anchor, at most `LOOK_BACK`.

    Of each log whose root was cosigned.
    """
    have = {(day_of(row.gen_ms), row.origin, row.tsa) for row in rows}
    found = []
    for head in store.all("latest", LatestRow):
        if head.origin != whole_log(head.origin):
            continue
        for tsa in authorities:
            mine = [row.gen_ms for row in rows if (row.origin, row.tsa) == (head.origin, tsa.name)]
            first = min(mine, default=now_ms)
            for back in range(min((now_ms - first) // (DAY * 1000) + 1, LOOK_BACK)):
                day = day_of(now_ms - back * DAY * 1000)
                if (day, head.origin, tsa.name) not in have:
                    found.append((day, head.origin, tsa.name, "missing" if back else "pending"))
    return found
