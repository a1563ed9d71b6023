"""Where the findings of auditors go in a serving witness: the cosigner, gossip, the alarms."""

from __future__ import annotations

import hashlib
import time

from witness.audit.crew import Crew
from witness.audit.settings import Settings
from witness.cosigner import Answer
from witness.service import Service

_SOURCE = "our own audit"


class Desk:
    """`office.Listener` of a service, on its event loop."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def cosign(self, body: bytes) -> Answer:
        """An `add-checkpoint` request for the cosigner."""
        return await self._service.add_checkpoint(body, pulled=True)

    async def notes(self, notes: list[bytes]) -> None:
        """Notes that a log showed."""
        await self._service.gossip.watch.take(notes, _SOURCE)

    async def fork(self, document: bytes) -> None:
        """A fork proof."""
        await self._service.gossip.watch.take_forks([document], _SOURCE)

    async def alarm(self, name: str, origin: str, detail: str) -> None:
        """Something is wrong with a log."""
        # Of this time that it happens: a receiver drops what has the id of an earlier message.
        told = f"{name}\n{origin}\n{detail}\n{time.time_ns()}"
        identifier = hashlib.sha256(told.encode()).hexdigest()
        self._service.gossip.watch.alarms.raise_(name, origin, identifier, [detail])

    def may_sign(self) -> bool:
        """Whether anything may be signed now."""
        return self._service.may_sign()

    def silent_for(self, origin: str) -> float:
        """Seconds since a log that sends checkpoints sent one."""
        return self._service.silent_for(origin)


def make_crew(service: Service) -> Crew | None:
    """The auditors of a service, not yet started; None where the settings want none."""
    witness, config = service.witness, service.witness.config
    if not config.audit_interval:
        return None
    settings = Settings(
        config.audit_interval,
        config.audit_timeout,
        config.audit_patience,
        config.audit_heartbeat,
        config.audit_parallel,
        config.audit_entries,
        witness.directory / config.audit_tokens if config.audit_tokens else None,
    )
    return Crew(witness.store, witness.keys.audited, witness.clock, settings, Desk(service))
