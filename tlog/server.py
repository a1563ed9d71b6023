"""`tlog serve`: the process. Opens the log, serves HTTP, stops cleanly, and ends at once when the writer fails."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

from aiohttp import web

from tlog.addresses import serving
from tlog.api.app import make_runner
from tlog.core.note import parse_vkey
from tlog.errors import TlogError
from tlog.log import Log
from tlog.scrub import Scrub
from tlog.stopping import on_stop
from tlog.witnesses.gateway import Gateway

logger = logging.getLogger(__name__)

_DECLARED_SECONDS = 0.5


def serve(directory: Path, host: str, port: int) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. 70 means the writer failed and start-up must judge."""
    import uvloop

    return uvloop.run(_serve(directory, host, port))


async def _serve(directory: Path, host: str, port: int) -> int:
    @asynccontextmanager
    async def door(log: Log, stop: asyncio.Event) -> AsyncIterator[None]:
        runner = make_runner(log)
        await runner.setup()
        await listen(runner, host, port)
        print(serving(log.config.origin, log.vkey, runner.addresses), flush=True)
        yield
        await runner.cleanup()

    return await run_log(directory, door)


async def listen(
    runner: web.AppRunner, host: str, port: int, *, reuse_port: bool | None = None
) -> None:
    """Take connections for an application. Raises: OSError. `reuse_port`: several processes do, and the kernel deals them out."""
    site = web.TCPSite(runner, host, port, backlog=1024, reuse_address=True, reuse_port=reuse_port)
    await site.start()


def settle() -> None:
    """What lives for ever need not be walked by every collection of garbage (p99 27 → 15 ms)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def run_log(
    directory: Path, door: Callable[[Log, asyncio.Event], AbstractAsyncContextManager[None]]
) -> int:
    """Open the log and run everything that belongs to it until a signal or a failure of the writer; the exit code.

    Requests come in through `door`, which is open from when events are taken to when the last ones are answered. The event
    is set when it is time to close. Raises: TlogError for what forbids a start.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def failed(error: BaseException) -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)

    log = Log(directory, fatal=failed)
    gateway = open_gateway(log)
    try:
        await gateway.check()
    except TlogError:
        await gateway.close()
        log.close()
        raise
    log.start()
    gateway.start()
    on_stop(loop, stop)
    async with door(log, stop):
        settle()
        log.store.clear_stale_readers()
        scrub = Scrub(log)
        scrub.start()
        declared = asyncio.create_task(_open_declared(log))
        await stop.wait()
        declared.cancel()
        await loop.run_in_executor(None, scrub.stop)
    await gateway.close()
    await loop.run_in_executor(None, log.close)
    return 70 if log.failure is not None else 0


def open_gateway(log: Log, backoff: tuple[float, float] = (1.0, 60.0)) -> Gateway:
    """The way to the witnesses of a log; without a policy it has nobody to ask."""
    return Gateway(
        log.source,
        log.publication,
        log.sequencer,
        parse_vkey(log.vkey),
        clock_ms=log.clock_ms,
        timeout=log.config.witness_timeout,
        backoff=backoff,
    )


def ask_witnesses(log: Log) -> None:
    """Before a command signs: what do the witnesses show of this log? Raises: CorruptStore, as `Gateway.check`."""

    async def ask() -> None:
        gateway = open_gateway(log)
        try:
            await gateway.check()
        finally:
            await gateway.close()

    asyncio.run(ask())


async def _open_declared(log: Log) -> None:
    """Open streams that a command declares, within a second."""
    while True:
        try:
            await log.open_declared_streams()
        except TlogError as error:
            logger.warning("cannot open a declared stream: %s", error.detail)
        await asyncio.sleep(_DECLARED_SECONDS)
