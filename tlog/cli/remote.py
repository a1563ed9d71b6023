"""verify URL: everything that a stranger can check of a log, by its tiles (`tlog.monitor.verification`).

The known key is that of --vkey; without one it is believed at first use, and pinned where the SDK pins it.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import click

from tlog.cli.verify import count, progress_bar
from tlog.client.errors import Caught
from tlog.client.fetch import Fetcher
from tlog.client.fetch.audit import Progress
from tlog.client.pins import Pins, state_directory
from tlog.client.session import Identity, LogKey, attest, code_hash
from tlog.client.transport import Transport
from tlog.core.ids import parse_stream_id, public_label
from tlog.core.note import Verifier
from tlog.core.root_log import RuleBroken, is_label
from tlog.core.wire import b64encode
from tlog.errors import InvalidInput, Refused
from tlog.monitor.state import FileState
from tlog.monitor.verification import Verification, published
from tlog.monitor.visit import Report, Scope, find_label

AGENT = "tlog-verify"
_TIMEOUT = 30.0
_PARALLEL = 16


@dataclass(frozen=True)
class Options:
    """What was asked for: see `tlog verify --help`."""

    stream: str | None = None
    vkey: str | None = None
    token: str | None = None
    api_key: str | None = None
    tenant: str | None = None
    full: bool = False


class _Access(NamedTuple):
    """A bearer token, if any, and what came with it: the log's vkey and the stream's prefix, the server's word."""

    token: str | None
    vkey: str | None = None
    prefix: str | None = None


def verify_url(url: str, options: Options) -> int:
    """Verify the log at `url`, print what was found, and return the exit code.

    Raises: InvalidInput, Refused, Unavailable, LogKeyChanged, BadAnswer, StateUnusable.
    """
    stream = options.stream
    if stream is not None and ":" in stream:
        parse_stream_id(stream)
    elif stream is not None and not is_label(stream):
        raise InvalidInput("usage", f"{stream} is neither the id nor the label of a stream")
    try:
        transport = Transport(url, _TIMEOUT)
        pins = Pins(state_directory(url))
    except ValueError as error:
        raise InvalidInput("usage", str(error)) from error
    begin = time.monotonic()
    try:
        report = asyncio.run(_verify(transport, pins, options))
    except (RuleBroken, Caught) as error:
        click.echo(f"LIES: {error.detail}")
        return 1
    _print(report, options, time.monotonic() - begin)
    if not report.unpublished:
        return 0
    for label in report.unpublished:
        click.echo(f"not confirmed: the newest checkpoint of {label} is not in the root log yet")
    return 4


async def _verify(transport: Transport, pins: Pins, options: Options) -> Report:
    try:
        access = await _access(transport, options)
        log = await _log_key(transport, pins, options, access)
    finally:
        await transport.close()
    async with Fetcher(
        transport.base_url, token=access.token, parallel=_PARALLEL, timeout=_TIMEOUT
    ) as fetcher:
        scope = await _scope(fetcher, log, options, access)
        state = _state(pins, log, scope.label, options.full)
        with _bars() as progress:
            return await Verification(fetcher, log, pins, state, scope, progress=progress).run()


async def _access(transport: Transport, options: Options) -> _Access:
    """The token that was given, or one for the API key: of a session that opens no stream."""
    if options.token is not None or options.api_key is None:
        return _Access(options.token)
    by_id = options.stream if options.stream is not None and ":" in options.stream else None
    tenant = options.tenant or (by_id and parse_stream_id(by_id).tenant)
    if tenant is None:
        click.echo("The API key is not used: name its --tenant, or a --stream by its id.", err=True)
        return _Access(None)
    identity = Identity(tenant, AGENT, code_hash(__file__), by_id, None, open_stream=False)
    session = await attest(transport, identity, options.api_key)
    return _Access(session.token, session.vkey, session.log_prefix)


async def _log_key(transport: Transport, pins: Pins, options: Options, access: _Access) -> Verifier:
    shown = options.vkey or access.vkey or pins.vkey()
    if shown is None:
        vkey = (await transport.get("/api/v1/health")).get("vkey")
        if not isinstance(vkey, str):
            raise InvalidInput("usage", "what answers does not show a vkey: give it with --vkey")
        shown = vkey
    with _told_once():
        return LogKey(options.vkey, pins).accept(shown)


async def _scope(fetcher: Fetcher, log: Verifier, options: Options, access: _Access) -> Scope:
    token = access.token is not None
    stream = options.stream
    if stream is None or ":" not in stream:
        return Scope(stream, None, token)
    label: str | None = public_label(stream)
    if access.prefix is not None:
        label = access.prefix.strip("/").removeprefix("streams/") or None
    elif token:
        _, head = await published(fetcher, log)
        label = await find_label(fetcher, log, head, stream)
    if label is None or not is_label(label):
        raise Refused("not-found", f"there is no stream {stream} that may be read")
    return Scope(label, stream, token)


def _state(pins: Pins, log: Verifier, label: str | None, full: bool) -> FileState:
    """What is remembered: of the whole log, or of the one stream that is looked at by itself."""
    name = hashlib.sha256(f"{log.vkey}\n{label or ''}".encode()).hexdigest()[:16]
    path = pins.directory / f"verify-{name}.state"
    if not full:
        return FileState.load(path, log)
    state = FileState(path, log)
    state.note = FileState.note_in(path, log)
    return state


@contextmanager
def _bars() -> Iterator[Progress]:
    """One progress bar at a time, a new one for each thing that is done."""
    with ExitStack() as stack:
        shown: list[tuple[str, Callable[[int, int], None]]] = []

        def progress(what: str, done: int, total: int) -> None:
            if not shown or shown[-1][0] != what:
                stack.close()
                shown[:] = [(what, stack.enter_context(progress_bar(what)))]
            shown[-1][1](done, total)

        yield progress


def _print(report: Report, options: Options, seconds: float) -> None:
    head, counts = report.head, report.counts
    if report.again:
        click.echo("What an earlier run left could not be used: all was checked anew.", err=True)
    leaves, heads = count(counts.root_leaves, "leaf"), count(counts.heads, "head")
    click.echo(f"root log of {head.origin}: verified, {count(head.size, 'leaf')}")
    click.echo(f"  root {b64encode(head.root)}, signed")
    if report.earlier is None:
        click.echo("  no earlier head is remembered; this one is, from now on")
    else:
        click.echo(f"  extends the {count(report.earlier, 'leaf')} of the last time")
    click.echo(f"  {leaves} checked by the rules, {heads} as heads of one growing stream each")
    which = "streams" if options.stream is None else options.stream
    click.echo(f"{which}: verified, {count(report.streams, 'stream')}")
    click.echo(
        f"  {count(counts.leaves, 'leaf hash')} and {count(counts.tiles, 'tile')} recomputed"
    )
    click.echo(f"  {count(counts.entries, 'entry')} checked: hash, chain, form, place")
    click.echo(f"  {count(report.checkpoints, 'checkpoint')} of streams signed and in the root log")
    rate = (counts.root_leaves + counts.leaves) / max(seconds, 0.001)
    click.echo(f"in {seconds:.1f} s, {rate:,.0f} leaves a second")
    if report.unread:
        private = count(report.unread, "private stream")
        click.echo(f"not checked: the entries of {private}, of which only hashes are public")
    if report.unknown:
        click.echo(f"not understood: {count(report.unknown, 'entry')} of a later schema")
    click.echo("not checked: payloads, which no log shows; and who else saw this head")


@contextmanager
def _told_once() -> Iterator[None]:
    """The SDK's warning about a key that nobody configured, as one line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        click.echo(f"warning: {warning.message}", err=True)
