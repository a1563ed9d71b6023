"""One log, opened: the composition root below HTTP. It names the concrete store, vault, signer and sequencer.

Directory: tlog.toml (settings), log.key (signing key), guard, log/ (the log), keys/ (the vault's keys and pseudonyms),
vault.key (key-encryption key), accounts/ (tenants, API keys, tokens).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tlog import config as settings
from tlog import declarations, published
from tlog.accounts import Accounts
from tlog.anchors import load_roots, open_anchors
from tlog.config import Config
from tlog.core.ids import parse_stream_id
from tlog.core.note import Verifier, parse_vkey
from tlog.errors import Refused, TlogError, Unavailable
from tlog.keys import FileKey
from tlog.prepare import Preparer
from tlog.publication import Publication
from tlog.reader import Reader, Source
from tlog.sequencer.answers import Answers
from tlog.sequencer.batch import Batch, Opening, Outcome, Prepared
from tlog.sequencer.guard import Guard
from tlog.sequencer.loop import Sequencer
from tlog.sequencer.pool import Limits
from tlog.sequencer.recover import create_log, open_log
from tlog.served import Person
from tlog.signers import LogSigner, create_key, load_key
from tlog.store import layout
from tlog.store.environment import DISK_FULL, LogStore
from tlog.store.layout import LogRow
from tlog.vault import Vault
from tlog.witnesses.policy import load_policy

OPERATIONS_STREAM = "tlog:log:operations"


def now_ms() -> int:
    """The log's clock: Unix milliseconds."""
    return time.time_ns() // 1_000_000


def init_log(directory: Path, origin: str) -> str:
    """Create a log in `directory`: key, settings, store, vault, accounts, genesis of the operations stream.

    Returns its vkey. Raises: Refused when anything of a log is there already; InvalidInput for a bad origin.
    """
    config = settings.initial(origin, os.environ)
    if directory.exists() and any(directory.iterdir()):
        raise Refused("exists", f"{directory} is not empty; a log is never overwritten")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Of two at once one gets past here, and what is in the directory from then on is its own.
    signer = create_key(directory / "log.key", origin)
    with ExitStack() as undo:
        undo.callback(_clear, directory)
        try:
            _fill(directory, config, signer.vkey, undo)
        except DISK_FULL as error:
            raise Unavailable("disk-full", f"{directory}: no room for a log") from error
        undo.pop_all()
    return signer.vkey


def _fill(directory: Path, config: Config, vkey: str, undo: ExitStack) -> None:
    """All of a log but its key; what is made elsewhere is to be undone."""
    ms = now_ms()
    key = FileKey.create(directory / config.vault_key)
    undo.callback(key.path.unlink, missing_ok=True)
    Vault.create(directory / "keys", key).close()
    Accounts.create(directory / "accounts").close()
    row = LogRow(layout.FORMAT, config.origin, vkey, os.urandom(16), ms)
    store = LogStore.create(directory / "log", row)
    try:
        create_log(store, directory / config.guard, config.origin, ms)
        undo.callback((directory / config.guard).unlink, missing_ok=True)
    finally:
        store.close()
    log = Log(directory, config=config)
    try:
        log.start()
        opening = log.preparer.opening(OPERATIONS_STREAM, public=True)
        log.append_now([], {OPERATIONS_STREAM: opening})
    finally:
        log.close()
    # Last: without this file the directory is not a log, so a creation cut off before is never served.
    settings.write(directory, config.origin)


def _clear(directory: Path) -> None:
    """Remove a log that came to nothing and would be in the way of the next try; last its key, which keeps others out."""
    for path in sorted(directory.iterdir(), key=lambda path: path.name == "log.key"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def check_stream_name(stream_id: str) -> None:
    """Raises: InvalidInput when outside the grammar, Refused (reserved-tenant) for the log's own tenant."""
    if parse_stream_id(stream_id).tenant == "tlog":
        raise Refused("reserved-tenant", "the tenant tlog is the log's own")


class Log:
    """An open log. `start` begins to commit; `close` commits what is waiting and releases everything."""

    #: How many front ends there should be and how many there are, where they are processes of their own; see `workers`.
    workers: Callable[[], tuple[int, int]] | None = None

    def __init__(
        self,
        directory: Path,
        *,
        config: Config | None = None,
        clock_ms: Callable[[], int] = now_ms,
        fatal: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.directory = directory
        self.config = config or settings.load(directory, os.environ)
        self.clock_ms = clock_ms
        self.failure: BaseException | None = None
        self._answers: Answers | None = None
        self._on_fatal = fatal
        key = load_key(directory / "log.key")
        path, log = self.config.witness_policy, parse_vkey(key.vkey)
        self.policy = load_policy(directory / path, log) if path else None
        roots = load_roots(directory, self.config)
        self.store = LogStore.open(directory / "log")
        self.guard = Guard.open(directory / self.config.guard, self.store.log_row().store_id)
        self.vault = Vault.open(directory / "keys", FileKey(directory / self.config.vault_key))
        self.accounts = Accounts.open(directory / "accounts")
        self.signer = LogSigner(key, lambda: self.guard.state)
        self.states, row = open_log(self.store, self.guard, self.config.origin, key.vkey)
        self.preparer = Preparer(self.vault, clock_ms)
        self.sequencer = Sequencer(
            self.store,
            self.states,
            self.guard,
            self.signer,
            row,
            flush_keys=self.vault.flush,
            same=self.preparer.same,
            clock_ms=clock_ms,
            limits=Limits(self.config.max_waiting_events, free_bytes=self.config.min_free_disk),
            publish_every=(self.config.publish_interval, self.config.publish_idle_interval),
            fatal=self._fail,
        )
        self.publication = self._open_publication(log)
        self.anchors = open_anchors(self.store, self.sequencer.errand, roots, self.config)
        self.source = Source(
            self.store,
            self.config.origin,
            self.states.rows,
            self.states.numbers,
            self.states.view,
            lambda: self.sequencer.head,
            self.policy,
        )
        self.reader = Reader(self.source)

    @property
    def vkey(self) -> str:
        """The root log's verifier key, `<origin>+<hex>+<base64>`."""
        return self.signer.vkey

    def start(self) -> None:
        """Begin to commit."""
        self.sequencer.start()

    def close(self) -> None:
        """Commit what is waiting and release everything."""
        self.sequencer.stop()
        self.accounts.close()
        self.vault.close()
        self.guard.close()
        self.store.close()

    @property
    def behind(self) -> bool:
        """Never: what this process answers, it can read."""
        return False

    @property
    def introduces(self) -> bool:
        """No: the vault of this process makes what it needs."""
        return False

    async def catch_up(self) -> None:
        """There is nothing to wait for."""

    async def introduce(self, tenant: str, persons: Sequence[Person]) -> None:
        """There is nothing to fetch."""

    def stream_vkey(self, origin: str) -> str:
        """The verifier key of a stream, by its origin."""
        return self.signer.stream_vkey(origin)

    def stream_exists(self, stream_id: str) -> bool:
        """Whether a stream is open."""
        return stream_id in self.states.numbers

    def prefix(self, stream_id: str) -> str:
        """The path of a stream's public log surface; the root log's for a stream that does not exist."""
        number = self.states.numbers.get(stream_id)
        return "/" if number is None else f"/streams/{self.states.rows[number].label}/"

    def stream_count(self, tenant: str) -> int:
        """How many streams a tenant has."""
        return self.states.tenant_streams[tenant]

    def last_sequence(self, stream_id: str, producer_id: str) -> int:
        """The newest sequence of a producer in a stream, 0 if it never wrote there."""
        number = self.states.numbers.get(stream_id)
        state = None if number is None else self.states.producer(number, producer_id, keep=False)
        return 0 if state is None else state.last

    async def append(
        self,
        events: Sequence[Prepared],
        openings: dict[str, Opening] | None = None,
        *,
        request: bytes | None = None,
        prove: bool = False,
        array: bool = False,
    ) -> Outcome:
        """Record a batch, all or nothing; returns when it is durable and signed. `array`: of one event too.

        Raises: Refused (not-found, producer-gap, conflict), Unavailable (overloaded, disk-full, clock, stopping,
        unknown-outcome).
        """
        loop = asyncio.get_running_loop()
        if self._answers is None or self._answers.loop is not loop:
            self._answers = Answers(loop)
        future: asyncio.Future[Outcome] = loop.create_future()
        done = partial(self._answers.put, future)
        self.sequencer.submit(
            Batch(events, done, openings=openings, request=request, prove=prove, array=array)
        )
        return await future

    def append_now(
        self, events: Sequence[Prepared], openings: dict[str, Opening] | None = None
    ) -> Outcome:
        """The same for callers without an event loop; blocks."""
        ready = threading.Event()
        answers: list[Outcome | TlogError] = []

        def done(answer: Outcome | TlogError) -> None:
            answers.append(answer)
            ready.set()

        self.sequencer.submit(Batch(events, done, openings=openings))
        ready.wait()
        if isinstance(answers[0], TlogError):
            raise answers[0]
        return answers[0]

    def open_stream(self, stream_id: str, *, public: bool = False) -> None:
        """Open a stream explicitly. Raises: Refused (exists, reserved-tenant), InvalidInput."""
        check_stream_name(stream_id)
        if self.stream_exists(stream_id):
            raise Refused("exists", f"the stream {stream_id} exists already")
        self.append_now([], {stream_id: self.preparer.opening(stream_id, public=public)})

    async def open_declared_streams(self) -> None:
        """Open the streams that `tlog stream create` declared beside this process."""
        for stream_id, public in declarations.declared(self.directory):
            if not self.stream_exists(stream_id):
                await self.append([], {stream_id: self.preparer.opening(stream_id, public=public)})
            declarations.forget(self.directory, stream_id)

    def _open_publication(self, log: Verifier) -> Publication:
        config = self.config
        publication = Publication(
            self.policy,
            log,
            witness_wait=config.witness_wait,
            # Asked at least every idle interval, a witness that answers is heard twice in this time.
            witness_memory=2 * config.publish_idle_interval + config.witness_timeout,
            patience=2 * (config.publish_interval + config.witness_timeout),
            store=self.sequencer.keep,
        )
        last = published.newest(self.store)
        if last is not None:
            publication.restore(*last)
        self.sequencer.publisher.audience = publication
        self.sequencer.clock_ahead = publication.clock.ahead
        return publication

    def _fail(self, error: BaseException) -> None:
        self.failure = error
        if self._on_fatal is not None:
            self._on_fatal(error)
