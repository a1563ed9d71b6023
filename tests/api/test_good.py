"""Every route's good path, against the Struct that documents its answer; what is handed out verifies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.api.deployment import EVENT, STREAM, Answer, Site, judge
from tlog.api import answers
from tlog.core.package import verify_package
from tlog.core.receipt import verify_receipt


def fits(answer: Answer, kind: Any) -> Any:
    """The answer's document, once it is exactly what OpenAPI promises."""
    assert answer.headers["Content-Type"] == "application/json"
    msgspec.json.decode(answer.body, type=kind)
    return answer.json()


async def test_attest(site: Site) -> None:
    answer = await site.attest()
    assert answer.status == 200
    session = fits(answer, answers.AttestAnswer)
    assert answer.headers["Cache-Control"] == "no-store"
    assert session["stream_id"] == STREAM
    assert session["vkey"] == site.log.vkey
    assert session["producer"] == {"id": "scorer", "next_sequence": 1}


async def test_single(site: Site, tmp_path: Path) -> None:
    answer = await site.post()
    assert answer.status == 201
    receipt = fits(answer, answers.Receipt)
    assert receipt["sequence_counter"] == 1
    verify_receipt(receipt, site.verifier)
    verdict = judge(tmp_path / "receipt.json", answer.body, site.log.vkey)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    site.check()
