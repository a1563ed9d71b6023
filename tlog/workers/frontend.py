"""A front end's process: HTTP on the public address, which all share, until it is told to stop or nobody commits any more."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

from tlog.api.app import make_runner
from tlog.server import listen, settle
from tlog.workers.control import DESERTED, Control
from tlog.workers.front import Front
from tlog.workers.gate import shared_gate
from tlog.workers.places import Places
from tlog.workers.relay import Relay


def serve_clients(
    directory: Path, places: Places, addresses: Sequence[tuple[str, int]], supervisor: Control
) -> int:
    """Serve until SIGTERM, code 0, or until the process that commits ends, code 75. Raises: as `Front.open`."""
    import uvloop

    return uvloop.run(_serve(directory, places, addresses, supervisor))


async def _serve(
    directory: Path, places: Places, addresses: Sequence[tuple[str, int]], supervisor: Control
) -> int:
    loop = asyncio.get_running_loop()
    stop, lost = asyncio.Event(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)

    def deserted() -> None:
        lost.set()
        stop.set()

    front = await Front.open(directory, places, deserted)
    relay = Relay(places.http)
    runner = make_runner(front, gate=shared_gate(front, places), relay=relay)
    await runner.setup()
    for host, port in addresses:
        await listen(runner, host, port, reuse_port=True)
    settle()
    supervisor.ready(front.config.origin, front.vkey)
    await stop.wait()
    await runner.cleanup()
    relay.close()
    front.close()
    return DESERTED if lost.is_set() else 0
