"""A log directory opened to be judged: read-only, beside a running server or without one, signing nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from tlog import config as settings
from tlog.core.checkpoint import Checkpoint
from tlog.errors import CorruptStore, TlogError
from tlog.examiners.messages import Setup
from tlog.examiners.pool import Pool
from tlog.fsck import Failure, Progress, Report, verify_stream
from tlog.fsck_ranges import Range, put_together, ranges_of
from tlog.fsck_root import verify_root_log
from tlog.keys import FileKey
from tlog.reader import Reader, Source
from tlog.sequencer.guard import Guard, GuardState
from tlog.sequencer.publish import Head
from tlog.sequencer.recover import replay
from tlog.sequencer.state import States
from tlog.store import layout
from tlog.store.environment import LogStore
from tlog.store.layout import CommitRow
from tlog.vault import Vault

# Leaves. Starting processes takes a third of a second, in which one proves as many.
_WORTH_PROCESSES = 30_000


class _Snapshot(LogStore):
    """The store, and the possibility to see it as it was at one moment while a server goes on writing."""

    _held: Any = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Every read inside is of one moment. Short: meanwhile the server cannot use freed pages again."""
        with super().read() as txn:
            self._held = txn
            try:
                yield
            finally:
                self._held = None

    @contextmanager
    def read(self) -> Iterator[Any]:
        """A read transaction, or the one that is held."""
        if self._held is not None:
            yield self._held
            return
        with super().read() as txn:
            yield txn


class Inspection:
    """One look at a log: `vkey` and `root` are what the store says of itself."""

    def __init__(
        self,
        store: LogStore,
        states: States,
        row: CommitRow,
        vault: Vault | None,
        guard: GuardState | None,
        setup: Setup,
    ) -> None:
        self._store = store
        self._vault = vault
        self._setup = setup
        self._guard = guard
        identity = store.log_row()
        self.vkey = identity.vkey
        self.root = root = Checkpoint(identity.origin, row.root_size, row.root_hash)
        head = Head(row.number, row.ms, root, b"")
        # The recorded root is the claim; what the leaves give is compared with it.
        states.views[layout.ROOT_LOG] = states.view(layout.ROOT_LOG)._replace(root=row.root_hash)
        self._states = states
        self.reader = Reader(
            Source(store, identity.origin, states.rows, states.numbers, states.view, lambda: head)
        )

    @classmethod
    def open(cls, directory: Path, environ: Mapping[str, str]) -> Inspection:
        """Open DIR; without a guard or the vault's key, what these show is not compared.

        Raises: InvalidInput (not-initialised), CorruptStore.
        """
        config = settings.load(directory, environ)
        store = _Snapshot(directory / "log", readonly=True)
        try:
            identity = store.log_row()
            if identity.origin != config.origin:
                raise CorruptStore(
                    f"the store is of {identity.origin}, the settings name {config.origin}"
                )
            # Before the store: a running server may advance both in between, and the guard is never ahead.
            guard = _read_guard(directory / config.guard, identity.store_id)
            states, row = _load(store)
            vault_key = directory / config.vault_key
            vault, sealed = None, None
            if vault_key.exists():
                vault = Vault.open(directory / "keys", FileKey(vault_key))
                sealed = (os.fspath(directory / "keys"), os.fspath(vault_key))
            setup = Setup(os.fspath(directory / "log"), sealed)
            return cls(store, states, row, vault, guard, setup)
        except BaseException:
            store.close()
            raise

    def __enter__(self) -> Inspection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._vault is not None:
            self._vault.close()
        self._store.close()

    def streams(self) -> list[str]:
        """All stream ids, in order of opening."""
        return [row.stream_id for number, row in sorted(self._states.rows.items()) if number]

    def verify(self, stream_id: str, progress: Progress | None = None) -> Report:
        """Judge one stream. Raises: Refused (not-found)."""
        return verify_stream(self.reader, stream_id, vault=self._vault, progress=progress)

    def verify_all(
        self, stream_ids: Sequence[str], jobs: int, progress: Progress | None = None
    ) -> Iterator[tuple[str, Report]]:
        """Judge these streams with up to `jobs` processes, in their order; `progress` is over all of their leaves.

        Raises: Refused (not-found), Unavailable (examiner-ended).
        """
        views = [self.reader.source.view(self.reader.number(name)) for name in stream_ids]
        total = sum(view.size for view in views)
        ranges: list[Range] = []
        if jobs > 1 and total >= _WORTH_PROCESSES:
            for name, view in zip(stream_ids, views, strict=True):
                ranges += ranges_of(self.reader.number(name), name, view)
        if len(ranges) > 1:
            with Pool(self._setup, min(jobs, len(ranges))) as pool:
                yield from self._together(stream_ids, ranges, pool, progress)
            return
        done = 0
        for name, view in zip(stream_ids, views, strict=True):
            yield name, self.verify(name, _onward(progress, done, total))
            done += view.size

    def _together(
        self,
        stream_ids: Sequence[str],
        ranges: list[Range],
        pool: Pool,
        progress: Progress | None,
    ) -> Iterator[tuple[str, Report]]:
        """What several processes prove, put together; a stream about which there is a doubt is judged here."""
        total, leaves, found = sum(span.end - span.start for span in ranges), 0, {}
        waiting = [*stream_ids]
        parts: dict[str, list[int]] = {name: [] for name in stream_ids}
        for number, span in enumerate(ranges):
            parts[span.stream_id].append(number)
        done = pool.prove(ranges)
        while waiting:
            name = waiting[0]
            if not all(number in found for number in parts[name]):
                number, part = next(done)
                found[number] = part
                leaves += ranges[number].end - ranges[number].start
                if progress is not None:
                    progress(leaves, total)
                continue
            view = self.reader.source.view(self.reader.number(name))
            proven = [found.pop(number) for number in parts[name]]
            yield name, put_together(self.reader, name, view, proven) or self.verify(name)
            waiting.pop(0)

    def verify_root(self, progress: Progress | None = None) -> list[Failure]:
        """Judge the root log, every published note, and the guard."""
        found = verify_root_log(self.reader, self.vkey, progress=progress)
        return found + self._verify_guard()

    @property
    def has_guard(self) -> bool:
        """Whether there is a guard to compare the store with."""
        return self._guard is not None

    @property
    def has_vault(self) -> bool:
        """Whether payloads can be opened and compared with their commitments."""
        return self._vault is not None

    def entry(self, stream_id: str, index: int) -> bytes:
        """The stored bytes of an entry, as they are. Raises: Refused (not-found), CorruptStore."""
        return self.reader.leaf(self.reader.number(stream_id), index).record.entry

    def _verify_guard(self) -> list[Failure]:
        guard = self._guard
        if guard is None or self._continues(guard):
            return []
        rolled_back = guard.root_size > self.root.size
        what = "the store was rolled back" if rolled_back else "the store is another history"
        detail = f"the guard remembers a root log of {guard.root_size} heads: {what}"
        return [Failure(min(guard.root_size, self.root.size) - 1, "guard", detail)]

    def _continues(self, guard: GuardState) -> bool:
        size = guard.root_size
        try:
            return self.reader.root_of(layout.ROOT_LOG, size) == guard.root_hash
        except TlogError:
            return False


def _onward(progress: Progress | None, before: int, total: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)


def _read_guard(path: Path, store_id: bytes) -> GuardState | None:
    if not path.exists():
        return None
    guard = Guard.open(path, store_id)
    guard.close()
    return guard.state


def _load(store: _Snapshot) -> tuple[States, CommitRow]:
    """The newest commit and a picture of every stream as of that commit."""
    with store.held():
        row = store.commit_row()
        if row is None:
            raise CorruptStore("the store has no commit: its creation was cut off")
        states = States(store)
        replay(store, states, store.log_row().origin, row, judge=False)
        # Loaded later, they would be those of a later commit.
        for number in states.rows:
            states.views[number] = states.view(number)
    return states, row
