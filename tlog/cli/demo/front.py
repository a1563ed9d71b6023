"""The addresses of the demo's log: what stands before a service and leads each address to a server.

    python -m tlog.cli.demo.front PORT=SERVER_PORT [PORT=SERVER_PORT …]

Bytes are passed on as they are. So far this is any load balancer; who runs it decides who sees what.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from functools import partial

HOST = "127.0.0.1"
_CHUNK = 65536


async def main(leads: dict[int, int]) -> None:
    """Answer on each port by the server at the other, until SIGTERM or SIGINT; says where, as one line."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    servers = [
        await asyncio.start_server(partial(_join, target), HOST, port, reuse_address=True)
        for port, target in leads.items()
    ]
    print(f"answering on {' and '.join(f'http://{HOST}:{port}' for port in leads)}", flush=True)
    await stop.wait()
    for server in servers:
        server.close()


async def _join(target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Join a connection with one of its own to the server; when either side ends, both end."""
    with suppress(OSError):
        behind_reader, behind_writer = await asyncio.open_connection(HOST, target)
        ways = [(reader, behind_writer), (behind_reader, writer)]
        tasks = [asyncio.create_task(_pass_on(*way)) for way in ways]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        behind_writer.close()
    writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()


def parse(words: list[str]) -> dict[int, int]:
    """PORT=SERVER_PORT … as a table. Raises: ValueError."""
    return {int(port): int(target) for port, _, target in (word.partition("=") for word in words)}


if __name__ == "__main__":
    asyncio.run(main(parse(sys.argv[1:])))
