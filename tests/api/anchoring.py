"""Delivering anchors to a served log, as a witness does, with an authority that says what it is told."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.api.deployment import Keys, Site, copy, serve
from tests.harness import Clock
from tests.tsa import forge
from tests.tsa.conftest import NONCE
from tlog.core.timestamp import build_request


def current(name: str, issuer: forge.Party | None = None, **more: Any) -> forge.Party:
    """A certificate that is good now, whenever the tests run."""
    now = datetime.now(timezone.utc)
    return forge.certify(name, issuer, start=now - forge.DAY, end=now + 9 * forge.DAY, **more)


class Deliverer:
    """Anchors the newest published root of a site, as a witness does, with an authority that says what it is told."""

    def __init__(self, site: Site, root: forge.Party, clock: Clock) -> None:
        self.site = site
        self.clock = clock
        self.root = root
        self.signer = current("Lab TSA", root)
        self.serial = 0

    def checkpoint(self) -> str:
        return self.site.log.sequencer.head.note.decode()

    def body(self, note: str | None = None, **changes: Any) -> dict[str, Any]:
        note = note or self.checkpoint()
        self.serial += 1
        self.clock.ms += 1000
        request = build_request(note.encode(), NONCE + self.serial)
        now = datetime.fromtimestamp(self.clock.ms // 1000, timezone.utc)
        wish = forge.Wish(self.signer, serial=self.serial, gen_time=now.strftime("%Y%m%d%H%M%SZ"))
        reply = forge.reply(request, wish, **changes)
        return {"checkpoint": note, "request": b64(request), "reply": b64(reply)}

    async def deliver(self, body: dict[str, Any] | None = None, **changes: Any) -> Any:
        return await self.site.call("POST", "/api/v1/anchors", value=body or self.body(**changes))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="session")
def tsa_root() -> forge.Party:
    return current("Lab Root", ca=True)


@pytest.fixture
async def lab(
    template: tuple[Path, Keys], tmp_path: Path, tsa_root: forge.Party
) -> AsyncIterator[Deliverer]:
    directory = copy(template[0], tmp_path / "log")
    (directory / "tsa.pem").write_bytes(tsa_root.pem)
    # It moves when told to, and begins after the entries of the template.
    clock = Clock(int(datetime.now(timezone.utc).timestamp() * 1000) + 1000)
    async with serve(
        directory, template[1], clock_ms=clock, tsa_roots="tsa.pem", max_anchors_per_day=3
    ) as site:
        yield Deliverer(site, tsa_root, clock)
