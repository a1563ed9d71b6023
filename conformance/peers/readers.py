"""Peers that read a log: at every size, and through the proxy that lies."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from conformance.peers import golang, python
from conformance.peers.deployment import Deployment
from conformance.peers.faults import notices
from conformance.peers.peer import Log, Peer
from conformance.peers.table import Row

# (root log, public stream) after each step. A log has two root leaves before anybody can read its first head.
STEPS = (
    (2, 0),
    (3, 1),
    (4, 2),
    (255, 255),
    (256, 256),
    (257, 257),
    (65_536, 65_536),
    (70_000, 70_000),
)
SIZES = frozenset({1, 2, 255, 256, 257, 65_536, 70_000})
# Log and size at which a fault is planted: one with a partial tile of many leaves, one with a full tile and a partial one.
STALE = ("stream", 255)
OTHERS = ("stream", 257)

PEERS: Sequence[Peer] = (*golang.PEERS, *python.PEERS)


def check(directory: Path) -> list[Row]:
    """Grow a log in `directory` and show it to every peer that can run here."""
    rows = {peer.name: Row(peer.name, peer.command) for peer in PEERS}
    running: list[Peer] = []
    for peer in PEERS:
        rows[peer.name].skipped = peer.available()
        if not rows[peer.name].skipped:
            running.append(peer)
    if not running:
        return list(rows.values())
    with Deployment(directory) as deployment:
        for root, stream in STEPS:
            _step(deployment, root, stream)
            for log in deployment.logs():
                if log.size in SIZES:
                    _show(log, running, rows, deployment.skey())
    return list(rows.values())


def _step(deployment: Deployment, root: int, stream: int) -> None:
    if stream and not deployment.stream:
        deployment.open_stream()
    if (deployment.root, deployment.stream) != (root, stream):
        deployment.grow(root, stream)


def _show(log: Log, peers: list[Peer], rows: dict[str, Row], skey: str) -> None:
    for peer in peers:
        row, began = rows[peer.name], time.monotonic()
        result = peer.run(log)
        if result.fault:
            row.disagreements.append(f"{log.name} of {log.size}: {result.fault}")
        row.checked = result.checked or row.checked
        row.sizes.setdefault(log.name, []).append(log.size)
        _tell(
            f"{log.name} of {log.size}: {peer.name} {'DISAGREES' if result.fault else 'agrees'}",
            began,
        )
        faults = [fault for fault in peer.faults if (log.name, log.size) == _moment(fault)]
        if faults:
            began = time.monotonic()
            missed = notices(peer, log, faults, skey)
            row.disagreements += missed
            row.faults += [] if missed else faults
            _tell(f"{log.name} of {log.size}: {peer.name}, {len(faults)} planted faults", began)


def _moment(fault: str) -> tuple[str, int]:
    return STALE if fault == "stale-partial" else OTHERS


def _tell(text: str, began: float) -> None:
    print(f"  {text} ({time.monotonic() - began:.1f} s)", file=sys.stderr, flush=True)
