"""`witness serve`: the process. Opens the witness, serves HTTP, stops cleanly, and ends at once when the writer fails."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from aiohttp import web

from witness import output
from witness.anchorer import Anchorer
from witness.api.app import make_runner
from witness.audit.reports import make_crew
from witness.lookout import Lookout
from witness.metrics import Metrics
from witness.monitor import WRITER_FAILED, make_gossip, overhear, start
from witness.service import Service
from witness.stopping import on_stop
from witness.witness import Witness
from witness.writer import Writer

END_SECONDS = 5.0


def serve(directory: Path, host: str, port: int) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. 70 means the writer failed and start-up must judge."""
    import uvloop

    return uvloop.run(_serve(directory, host, port))


async def _serve(directory: Path, host: str, port: int) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    witness = Witness(directory)
    output.configure(witness.config.log_format)
    anchorer = Anchorer(directory, witness.config, witness.store)
    metrics = Metrics()
    service = make_service(witness, metrics, stop)
    service.anchorer = anchorer if witness.config.tsa else None
    metrics.observe(service)
    on_stop(loop, stop)
    runner = make_runner(service, metrics)
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=1024, reuse_address=True).start()
    addresses = ", ".join(f"http://{a[0]}:{a[1]}" for a in runner.addresses)
    print(
        f"serving {witness.config.name} on {addresses}\nvkey {witness.keys.cosigner.vkey}",
        flush=True,
    )
    witness.store.clear_stale_readers()
    service.writer.start()
    tasks = [asyncio.create_task(service.lookout.run()), *start(service.gossip)]
    if witness.config.tsa:
        tasks.append(asyncio.create_task(anchorer.run()))
    if service.crew is not None:
        service.crew.start()
    await stop.wait()
    if service.crew is not None:
        await service.crew.stop()
    await end(tasks)
    await runner.cleanup()
    await service.gossip.close()
    await anchorer.close()
    await loop.run_in_executor(None, service.writer.stop)
    failed = service.failed
    witness.close()
    return WRITER_FAILED if failed else 0


def make_service(witness: Witness, metrics: Metrics, stop: asyncio.Event) -> Service:
    """What serves, not yet started; `stop` is set when the writer fails."""
    loop = asyncio.get_running_loop()

    def failed(error: BaseException) -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)

    config = witness.config
    witness.store.fatal = failed
    writer = Writer(
        witness.cosigner,
        witness.store,
        max_waiting=config.max_waiting,
        min_free_disk=config.min_free_disk,
        fatal=failed,
        committed=metrics.committed,
    )
    lookout = Lookout(
        witness.store,
        witness.keys.verifiers(),
        config.peers,
        interval=config.check_interval,
        timeout=config.check_timeout,
        looked=metrics.looked,
    )
    service = Service(witness, writer, lookout, make_gossip(witness.store, config))
    service.observers.append(overhear(service.gossip))
    service.crew = make_crew(service)
    return service


async def end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel what runs in the background and wait until it has ended, but not for ever."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=END_SECONDS)
