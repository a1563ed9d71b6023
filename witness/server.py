"""`witness serve`: the process. Opens the witness, serves HTTP, stops cleanly, and ends at once when the writer fails."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from aiohttp import web

from witness.api import make_runner
from witness.witness import Witness


def serve(directory: Path, host: str, port: int) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    import uvloop

    return uvloop.run(_serve(directory, host, port))


async def _serve(directory: Path, host: str, port: int) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    witness = Witness(directory)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = make_runner(witness)
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=1024, reuse_address=True).start()
    addresses = ", ".join(f"http://{a[0]}:{a[1]}" for a in runner.addresses)
    print(
        f"serving {witness.config.name} on {addresses}\nvkey {witness.keys.cosigner.vkey}",
        flush=True,
    )
    witness.store.clear_stale_readers()
    await stop.wait()
    await runner.cleanup()
    witness.close()
    return 0
