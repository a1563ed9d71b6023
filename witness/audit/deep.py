"""The deep mode: reading entries too, where the log lets this witness read them, and checking what they say.

Source: design §2.2, §2.3; the check itself is `tlog.client.fetch.entries`. In scope: which streams can be read, where the
check of each one stands. Entries of public streams are anybody's; those of a private stream take a token of its tenant,
from a file that is read again for every round, so that whoever renews the token only writes a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tlog.client.fetch import Fetcher
from tlog.client.fetch.audit import Reader, RootFollower
from tlog.client.fetch.entries import Checked, EntryCheck, parse_checked
from tlog.core.note import Verifier
from tlog.core.root_log import StreamHead, public_stream
from tlog.errors import CorruptStore, InvalidInput, Refused
from witness.audit.rows import LogState
from witness.rows import origin_key
from witness.store import Store


def read_token(path: Path | None, origin: str) -> str | None:
    """The token for a log from a file of lines `<origin> <token>`; None without one.

    Raises: InvalidInput (config) for a file that cannot be read.
    """
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("config", f"cannot read {path}: {error}") from error
    for line in lines:
        name, _, token = line.strip().partition(" ")
        if name == origin and token:
            return token.strip()
    return None


class Deep:
    """Reads the entries of one log. Belongs to the auditor's event loop."""

    def __init__(self, store: Store, origin: str, keys: Sequence[Verifier]) -> None:
        self.keys = keys
        self._store = store
        self._origin = origin
        self._checks: dict[str, EntryCheck] = {}

    async def reader(
        self, follower: RootFollower, fetcher: Fetcher, label: str, newest: StreamHead
    ) -> Reader | None:
        """Who reads a stream's entries up to its newest head; None for one that this witness may not read."""
        if public_stream(label) is None and not await self._may_read(fetcher, label):
            return None
        tree = follower.tree
        if tree is None:
            raise AssertionError("tlog: streams are read after the root log")
        check = EntryCheck(
            label,
            self.keys[0],
            newest,
            tree.root_at,
            self._checked(label),
            further=[key.vkey for key in self.keys[1:]],
        )
        self._checks[label] = check
        return check

    def begin(self) -> None:
        """Forget what was read in a step that did not come to its end."""
        self._checks.clear()

    def behind(self, state: LogState) -> list[str]:
        """The streams of which not every entry was read that is known: for lack of a token, or of this mode."""
        return [
            label
            for label, trail in state.trails.items()
            if trail.size > (self._checked(label) or Checked()).size
        ]

    async def _may_read(self, fetcher: Fetcher, label: str) -> bool:
        try:
            await fetcher.under(f"streams/{label}").entries(0, 1)
        except Refused:
            return False
        return True

    def keep(self) -> None:
        """Store how far every stream is checked, after the step that checked them."""
        with self._store.write() as txn:
            for label, check in self._checks.items():
                data = msgspec.json.encode(tuple(check.checked()))
                txn.put(self._row(label), data, db=self._store.db["audit_entries"])
        self._checks.clear()

    def _checked(self, label: str) -> Checked | None:
        with self._store.read() as txn:
            data = txn.get(self._row(label), db=self._store.db["audit_entries"])
        if data is None:
            return None
        try:
            return parse_checked(msgspec.json.decode(data))
        except (msgspec.MsgspecError, InvalidInput) as error:
            raise CorruptStore(f"what was checked of {label} is damaged") from error

    def _row(self, label: str) -> bytes:
        return origin_key(self._origin) + origin_key(label)
