"""Which logs are cosigned, under which keys: only ever added to. Where they are read is no matter of trust, and may change.

Sources: https://c2sp.org/tlog-witness, "configured with a list of supported log public keys"; the list format is `logs/v0` of
https://witness-network.org/log-list-format. In scope: one log, a list of them, beside a running server. Out of scope:
fetching a list, and removing anything: a key that was trusted has been answered for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from tlog.core import keys
from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import EMPTY_ROOT
from tlog.core.note import known_keys, parse_vkey
from tlog.core.wire import decimal
from tlog.errors import InvalidInput
from witness.rows import HoldRow, LatestRow, LogRow, origin_key
from witness.store import Store

HEADER = "logs/v0"
MAX_LIST = 64 << 20
_MAX_QPD = 2**31 - 1
_MEMBERS = ("vkey", "origin", "qpd", "contact")
RESTORED = "added to a store that was restored once: this log may have been cosigned before"


class Entry(NamedTuple):
    """One log to be added: `origin` is that of its checkpoints; `qpd` requests a day, 0 for any number."""

    vkey: str
    origin: str
    url: str = ""
    qpd: int = 0
    contact: str = ""


def entry(
    vkey: str, *, origin: str | None = None, url: str = "", qpd: int = 0, contact: str = ""
) -> Entry:
    """Check and complete an entry: the origin defaults to the key's name. Raises: InvalidInput."""
    verifier = parse_vkey(vkey)
    if verifier.key_type != keys.ED25519:
        raise InvalidInput("malformed", "the key of a log is an Ed25519 key of type 0x01")
    named = verifier.name if origin is None else origin
    Checkpoint(named, 0, EMPTY_ROOT)  # raises for what no checkpoint can have as its origin
    return Entry(vkey, named, url, qpd, contact)


def parse_list(data: bytes) -> list[Entry]:
    """The logs of a `logs/v0` list. Raises: InvalidInput (malformed) with the line at fault; then nothing counts."""
    if len(data) > MAX_LIST:
        raise InvalidInput("malformed", f"the list is larger than {MAX_LIST} bytes")
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError:
        raise InvalidInput("malformed", "the list is not UTF-8") from None
    told = [
        (number, text.strip())
        for number, text in enumerate(lines, 1)
        if text.strip() and not text.startswith("#")
    ]
    if not told or told[0][1] != HEADER:
        raise InvalidInput("malformed", f"the list does not begin with {HEADER}")
    found: list[Entry] = []
    group: dict[str, str] = {}
    for number, text in told[1:]:
        name, _, value = text.partition(" ")
        _check_order(number, name, group)
        group[name] = value.strip()
        if name == "contact":
            found.append(_listed(number, group))
            group = {}
    if group:
        raise InvalidInput("malformed", "the last log of the list has no contact line")
    return found


def _check_order(number: int, name: str, group: dict[str, str]) -> None:
    """vkey, then perhaps origin, then qpd, then contact."""
    due = _MEMBERS[_MEMBERS.index(next(reversed(group))) + 1 :] if group else _MEMBERS
    allowed = due[:2] if due[0] == "origin" else due[:1]
    if name not in allowed:
        raise InvalidInput("malformed", f"line {number} of the list: {' or '.join(allowed)} is due")


def _listed(number: int, group: dict[str, str]) -> Entry:
    try:
        qpd = decimal(group["qpd"])
        if not 1 <= qpd <= _MAX_QPD:
            raise InvalidInput("malformed", "qpd is 1 to 2^31 - 1")
        return entry(group["vkey"], origin=group.get("origin"), qpd=qpd, contact=group["contact"])
    except InvalidInput as error:
        raise InvalidInput("malformed", f"the log before line {number}: {error.detail}") from error


class Added(NamedTuple):
    """New logs; new keys of logs that were known; logs that are read elsewhere from now on."""

    logs: int
    keys: int
    moved: tuple[str, ...] = ()


def add_logs(store: Store, entries: Iterable[Entry], now: int) -> Added:
    """Add logs, and keys to logs that are known; all of them or, on an error, none.

    Of a log that is known nothing else changes but its URL, where one is given.
    Raises: InvalidInput (ambiguous-key) when two keys of one origin cannot be told apart.
    """
    logs = more = 0
    moved: list[str] = []
    with store.write() as txn:
        for one in entries:
            key = origin_key(one.origin)
            row = store.get(txn, "logs", key, LogRow)
            if row is None:
                logs += 1
                store.put(txn, "logs", key, _new(store, txn, one, now))
                continue
            grown = _grown(row, one)
            more += len(grown.vkeys) - len(row.vkeys)
            if row.url and grown.url != row.url:
                moved.append(row.origin)
            if grown != row:
                store.put(txn, "logs", key, grown)
    return Added(logs, more, tuple(moved))


def _new(store: Store, txn: Any, one: Entry, now: int) -> LogRow:
    if store.commit(txn).restored and store.latest_in(txn, one.origin) is None:
        store.put(txn, "holds", origin_key(one.origin), HoldRow(one.origin, RESTORED, now))
    return LogRow(one.origin, (one.vkey,), one.url, one.qpd, one.contact, now)


def _grown(row: LogRow, one: Entry) -> LogRow:
    vkeys = row.vkeys if one.vkey in row.vkeys else (*row.vkeys, one.vkey)
    known_keys(parse_vkey(vkey) for vkey in vkeys)
    return LogRow(row.origin, vkeys, one.url or row.url, row.qpd, row.contact, row.added)


class Listed(NamedTuple):
    """A log with its newest cosigned checkpoint, None before the first, and `state`: ok, frozen or held."""

    log: LogRow
    latest: LatestRow | None
    state: str


def listing(store: Store) -> list[Listed]:
    """Every log, by origin."""
    found = []
    for log in sorted(store.all("logs", LogRow), key=lambda row: row.origin):
        with store.read() as txn:
            state = "frozen" if store.frozen(txn, log.origin) else "ok"
            state = "held" if store.hold(txn, log.origin) else state
            found.append(Listed(log, store.latest_in(txn, log.origin), state))
    return found
