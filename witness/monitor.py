"""`witness monitor`: follows logs, gossips and keeps evidence like a witness, without a key: for anybody.

Its directory is that of a witness without keys and guard: settings, and a store beside which `add-log` writes.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import orjson
from aiohttp import web

from tlog.core.add_checkpoint import AddCheckpoint
from witness import config, output
from witness.alarms import Alarms
from witness.api import gossip as pages
from witness.config import Config
from witness.gossip import Gossip
from witness.peers import Peers
from witness.rows import FORMAT, FrozenRow, Identity, LogRow
from witness.service import Observer
from witness.setup import STORE, whole
from witness.state import Refuse
from witness.stopping import on_stop
from witness.store import Store
from witness.version import VERSION
from witness.watch import Watch

WRITER_FAILED = 70
#: Refused checkpoints that are looked at at once.
_MOST_OVERHEARD = 64


def init_monitor(directory: Path, name: str) -> None:
    """Make settings and store in DIR, which must be absent or empty; all of it or nothing. No key.

    Raises: InvalidInput for the name; Refused (exists) where DIR holds anything.
    """
    config.check_witness_name(name)
    with whole(directory) as fresh:
        identity = Identity(FORMAT, os.urandom(16), name, int(time.time()))
        Store.create(fresh / STORE, identity).close()
        (fresh / config.FILE).write_text(config.render(name), encoding="utf-8")


def make_gossip(store: Store, settings: Config) -> Gossip:
    """Gossip by the settings of a witness or monitor, not yet started; on a running event loop."""
    watch = Watch(
        store,
        Alarms(settings.webhook, settings.webhook_secret),
        timeout=settings.check_timeout,
        patience=settings.gossip_patience,
    )
    peers = Peers(settings.peers, settings.check_timeout)
    return Gossip(watch, peers, interval=settings.gossip_interval)


def start(gossip: Gossip) -> list[asyncio.Task[None]]:
    """Gossip and send alarms in the background; cancel these to stop."""
    steps = (gossip.run(), gossip.watch.alarms.run())
    return [asyncio.create_task(step) for step in steps]


def overhear(gossip: Gossip) -> Observer:
    """What looks at the checkpoints that a log signed and that were not cosigned: they may be evidence."""
    tasks: set[asyncio.Task[int]] = set()

    def refused(request: AddCheckpoint, refusal: Refuse) -> None:
        if refusal.note is not None and len(tasks) < _MOST_OVERHEARD:
            note = refusal.note.only_verified()
            task = asyncio.get_running_loop().create_task(
                gossip.watch.take([note], "a refused add-checkpoint")
            )
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    return refused


async def get_health(request: web.Request) -> web.StreamResponse:
    """What is watched, and which logs are frozen."""
    gossip = request.app[pages.GOSSIP]
    store = gossip.watch.store
    frozen = store.all("frozen", FrozenRow)
    body = {
        "status": "ok",
        "version": VERSION,
        "logs": len(store.all("logs", LogRow)),
        "rounds": gossip.rounds,
        "unread": gossip.unread,
        "frozen": [{"origin": row.origin, "reason": row.reason} for row in frozen],
    }
    return web.Response(
        body=orjson.dumps(body),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def make_app(gossip: Gossip, rate: float) -> web.Application:
    """The application of a monitor."""
    app = web.Application()
    pages.add_to(app, gossip, rate)
    for route in pages.ROUTES:
        app.router.add_route(route.method, route.path, route.handler)
    app.router.add_get("/health", get_health)
    return app


def monitor(directory: Path, host: str, port: int) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. 70: a write failed, after which nothing more would be kept."""
    return asyncio.run(_monitor(directory, host, port))


async def _monitor(directory: Path, host: str, port: int) -> int:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    on_stop(loop, stop)
    settings = config.load(directory, os.environ)
    output.configure(settings.log_format)
    store = Store.open(directory / STORE, exclusive=True)

    def failed(error: BaseException) -> None:
        loop.call_soon_threadsafe(stop.set)

    store.fatal = failed
    gossip = make_gossip(store, settings)
    runner = web.AppRunner(
        make_app(gossip, settings.gossip_rate),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=5.0,
        auto_decompress=False,
    )
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    addresses = ", ".join(f"http://{a[0]}:{a[1]}" for a in runner.addresses)
    print(f"monitoring as {settings.name} on {addresses}", flush=True)
    tasks = start(gossip)
    await stop.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await runner.cleanup()
    await gossip.close()
    store.close()
    return 0 if store.failed is None else WRITER_FAILED
