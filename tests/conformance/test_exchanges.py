"""Exchanges of logs with a witness, decided by the pure function: statuses and, under the vectors' key and clock, every byte."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from conformance.golden.exchanges import BEGAN
from conformance.golden.honest import W1
from tests.paths import REPOSITORY
from tlog.core.add_checkpoint import SIZE_TYPE, encode_size, parse_request
from tlog.core.note import parse_vkey
from tlog.errors import InvalidInput
from witness.api.cosigning import STATUS
from witness.logbook import parse_list
from witness.state import Conflict, Cosign, Head, Known, decide, origin_of

ROOT = REPOSITORY / "conformance" / "vectors" / "exchanges"
FILES = sorted(ROOT.glob("*.json"))
INDEX = json.loads((ROOT.parent / "index.json").read_bytes())["files"]
LOGS = {
    one.origin: Known(one.origin, (parse_vkey(one.vkey),))
    for one in parse_list((ROOT / "logs.txt").read_bytes())
}


class Witness:
    """The pure parts of a witness, and a memory."""

    def __init__(self) -> None:
        self.latest: Head | None = None

    def ask(self, body: bytes, now: int) -> tuple[int, str | None]:
        """Status, and the body where the specification prescribes one."""
        try:
            request = parse_request(body)
            log = LOGS.get(origin_of(request.note))
            decision = decide(request, log, self.latest, now, 1)
        except InvalidInput as error:
            return STATUS[error.kind], None
        if isinstance(decision, Conflict):
            return 409, encode_size(decision.size).decode()
        if not isinstance(decision, Cosign):
            return STATUS[decision.kind], None
        head = decision.checkpoint
        self.latest = Head(head.size, head.root, decision.time)
        return 200, W1.sign_line(head.body(), decision.time).decode()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_exchange(path: Any) -> None:
    document, witness = json.loads(path.read_bytes()), Witness()
    assert document["witness"] == W1.vkey
    statuses = []
    for number, step in enumerate(document["steps"]):
        assert step["time"] == BEGAN + number
        status, body = witness.ask(base64.b64decode(step["request"]), step["time"])
        assert status in step["status"], step["what"]
        if "body" in step:
            assert body == step["body"], step["what"]
        assert (step.get("content_type") == SIZE_TYPE) == (status == 409)
        statuses.append(step["status"])
    assert INDEX[f"exchanges/{path.name}"] == {"statuses": statuses}


def test_every_status_of_the_specification_occurs() -> None:
    found = {
        status
        for path in FILES
        for step in json.loads(path.read_bytes())["steps"]
        for status in step["status"]
    }
    assert found == {200, 400, 403, 404, 409, 422}


def test_each_step_is_another_request() -> None:
    """But for the one that comes again when it is out of date."""
    for path in FILES:
        requests = [step["request"] for step in json.loads(path.read_bytes())["steps"]]
        assert len(requests) - len(set(requests)) == (path.stem == "growth"), path
