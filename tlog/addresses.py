"""Public addresses: how they are reserved for several processes, and how they are shown."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any


def serving(origin: str, vkey: str, addresses: Sequence[tuple[Any, ...]]) -> str:
    """What is printed once all accept connections."""
    shown = ", ".join(f"http://{_host(address[0])}:{address[1]}" for address in addresses)
    return f"serving {origin} on {shown}\nvkey {vkey}"


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def reserve(host: str, port: int) -> list[socket.socket]:
    """Sockets that keep the addresses for this run, without taking connections; with port 0 they find a free one."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    reserved: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            # Alone first: whoever listens there already would share its connections with us.
            with _bound(family, kind, protocol, address):
                pass
            reserved.append(_bound(family, kind, protocol, address, shared=True))
    except OSError:
        for one in reserved:
            one.close()
        raise
    return reserved


def _bound(
    family: int, kind: int, protocol: int, address: tuple[object, ...], *, shared: bool = False
) -> socket.socket:
    one = socket.socket(family, kind, protocol)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
    except OSError as error:
        one.close()
        raise OSError(error.errno, f"{error.strerror}: {address[0]}:{address[1]}") from None
    return one
