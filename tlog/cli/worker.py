"""One process of `tlog serve --workers N`, as its supervisor starts it: `python -m tlog.cli.worker ROLE DIR …`.

No command for humans.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from tlog.cli import guarded


def run(arguments: Sequence[str]) -> int:
    """ROLE (`sequencer` or `front`), the log's directory, that of the run, the number of the control socket; then what
    the role needs: how many front ends there are to be, or host and port of each address.
    """
    from tlog.workers.control import Control
    from tlog.workers.places import Places

    role, directory, meeting, control, *rest = arguments
    # Ctrl-C, and the end of a terminal, reach all of its processes; the supervisor alone decides who ends when.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    places = Places(Path(meeting))
    supervisor = Control(socket.socket(fileno=int(control)))
    if role == "sequencer":
        from tlog.workers.sequencer import serve_fronts

        supervisor.watch(remove=places.directory)
        return serve_fronts(Path(directory), places, int(rest[0]), supervisor)
    from tlog.workers.frontend import serve_clients

    supervisor.wait()  # the modules above take longer than all else
    supervisor.watch()
    addresses = [(host, int(port)) for host, port in zip(rest[::2], rest[1::2], strict=True)]
    return serve_clients(Path(directory), places, addresses, supervisor)


if __name__ == "__main__":
    sys.exit(guarded(lambda: run(sys.argv[1:])))
