"""The faults that are planted in front of a log, and the one that only its operator could plant: a signed lie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from conformance.faulty_proxy import FAULTS, FaultyProxy
from conformance.peers.keys import sign
from conformance.peers.peer import Log, Peer, checkpoint_lines

SIGNED_LIE = "signed-lie"
TILES = ("tile-byte-flipped", "stale-partial", SIGNED_LIE)
ENTRIES = ("wrong-entry", "entry-missing")
HEAD = ("forged-head",)


def notices(peer: Peer, log: Log, faults: Iterable[str], skey: str) -> list[str]:
    """Show `log` to `peer` through a proxy, first without a fault, then with each: what it did not do as it must."""
    with FaultyProxy(log.url, FAULTS["none"]) as proxy:
        honest = peer.run(log.at(proxy.url))
    if honest.fault:
        return [f"not content with the log behind a proxy: {honest.fault}"]
    return [missed for fault in faults if (missed := _missed(peer, log, fault, skey))]


def _missed(peer: Peer, log: Log, fault: str, skey: str) -> str:
    def lie(path: str, body: bytes) -> bytes:
        if path != "checkpoint":
            return body
        origin, size, root = checkpoint_lines(body)
        return sign(skey, origin, size, hashlib.sha256(root).digest())

    with FaultyProxy(log.url, lie if fault == SIGNED_LIE else FAULTS[fault]) as proxy:
        result = peer.run(log.at(proxy.url))
    if not proxy.altered:
        return f"never read what {fault} alters"
    return "" if result.fault else f"does not notice {fault}"
