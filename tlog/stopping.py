"""When a server stops in order: at SIGTERM, at Ctrl-C, and when its terminal is closed."""

from __future__ import annotations

import asyncio
import signal


def on_stop(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Set `stop` at SIGTERM, SIGINT and SIGHUP; not at SIGHUP if whoever started us said to outlive it (nohup)."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop.set)
