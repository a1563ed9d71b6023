"""Addresses for several processes: reserved without taking connections, refused where somebody listens already."""

from __future__ import annotations

import socket

import pytest

from tlog.addresses import reserve, serving


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_reserved_address_takes_connections_once_somebody_listens(host: str) -> None:
    """Several may, as they share the port; the reservation itself answers nobody."""
    try:
        (reserved,) = reserve(host, 0)
    except OSError:
        pytest.skip(f"there is no {host} on this machine")
    address = reserved.getsockname()[:2]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)
    with socket.socket(reserved.family) as one, socket.socket(reserved.family) as other:
        for listener in (one, other):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(address)
            listener.listen()
        for _ in range(20):
            socket.create_connection(address, timeout=5).close()
        with pytest.raises(OSError, match=f"in use: {host}:{address[1]}"):
            reserve(host, address[1])
    reserved.close()


def test_what_is_printed() -> None:
    """As one process prints it."""
    text = serving("log.example.com", "vkey", [("127.0.0.1", 1), ("::1", 2, 0, 0)])
    assert text == "serving log.example.com on http://127.0.0.1:1, http://[::1]:2\nvkey vkey"
