"""The add-checkpoint matrix of C2SP tlog-witness: the exchanges of `vectors/exchanges`, replayed at a fresh witness.

The witness must know the logs of `vectors/exchanges/logs.txt` (logs/v0), and must not have cosigned anything of them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from conformance.http.trees import head, key_id
from conformance.http.wire import Answer, Web

FILES = sorted((Path(__file__).resolve().parents[1] / "vectors" / "exchanges").glob("*.json"))
CLOCK_SECONDS = 60  # how far the witness's clock and ours may differ


def cosigned(answer: Answer, note: bytes) -> None:
    """The answer is lines of cosignature/v1 (type 0x04), dated now; under WITNESS_VKEY if that is given."""
    lines = answer.body.decode().split("\n")
    assert lines.pop() == ""
    assert lines
    text = note.rpartition(b"\n\n")[0] + b"\n"
    found = [_time(line, text) for line in lines]
    assert all(abs(one - time.time()) <= CLOCK_SECONDS for one in found)


def _time(line: str, text: bytes) -> int:
    dash, name, encoded = line.split(" ")
    blob = base64.b64decode(encoded, validate=True)
    assert (dash, len(blob)) == ("\u2014", 4 + 8 + 64)
    moment = int.from_bytes(blob[4:12], "big")
    for vkey in os.environ.get("WITNESS_VKEY", "").split():
        trusted, _, rest = vkey.partition("+")
        material = base64.b64decode(rest.partition("+")[2])
        if (trusted, key_id(trusted, material)) == (name, blob[:4]):
            message = b"cosignature/v1\ntime %d\n" % moment + text
            Ed25519PublicKey.from_public_bytes(material[1:]).verify(blob[12:], message)
            break
    else:
        assert "WITNESS_VKEY" not in os.environ, f"a line that is not the witness's own: {line}"
    return moment


def published(witness: Web, document: dict[str, Any]) -> Answer:
    """What the witness shows of the log: GET <SHA-256 of the origin>/checkpoint."""
    origin = document["log"].partition("+")[0]
    return witness.get(f"/{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_exchange(witness: Web, path: Path) -> None:
    document = json.loads(path.read_bytes())
    assert published(witness, document).status == 404, "the witness is not fresh"
    latest = None
    for step in document["steps"]:
        request = base64.b64decode(step["request"])
        answer = witness.send("POST", "/add-checkpoint", request)
        assert answer.status in step["status"], step["what"]
        if answer.status == 200:
            latest = request.partition(b"\n\n")[2]
            cosigned(answer, latest)
        if answer.status == 409:
            assert answer.body.decode() == step["body"]
            assert answer.headers["content-type"] == step["content_type"]
    shown = published(witness, document)
    if latest is None:
        assert shown.status == 404
        return
    # Whatever was refused after it, the newest cosigned head is what is shown, with the log's line and the witness's.
    assert shown.status == 200
    assert head(shown.body) == head(latest)
    text, _, lines = shown.body.rpartition(b"\n\n")
    name = document["log"].partition("+")[0].encode()
    assert sum(line.split(b" ")[1] == name for line in lines.splitlines()) == 1
    assert len(lines.splitlines()) >= 2
    others = b"".join(line + b"\n" for line in lines.splitlines() if line.split(b" ")[1] != name)
    cosigned(Answer(200, {}, others), text + b"\n\n")


def test_a_body_without_end(witness: Web) -> None:
    try:
        answer = witness.send("POST", "/add-checkpoint", b"old 0\n\n" + b"x" * 1_000_000)
    except ConnectionError:
        return  # who hangs up in the middle of it has refused it, too
    assert answer.status in (400, 413)


@pytest.mark.parametrize("path", ["/add-checkpoint", "/0123/checkpoint", f"/{'0' * 64}/checkpoint"])
def test_what_is_not_there(witness: Web, path: str) -> None:
    answer = witness.get(path)
    assert answer.status in (404, 405)
    assert "location" not in answer.headers
