"""Recording and reading events: statuses, receipts that prove themselves, exactly once, nothing half done."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.http.trees import leaf_hash
from conformance.http.wire import EVENT, Answer, Site

VERIFIER = Path(__file__).resolve().parents[1] / "verifier" / "verify.py"
OTHER = {**EVENT, "payload": {"decision": "REJECTED"}}


def verified(site: Site, answer: Answer, directory: Path) -> None:
    """The independent verifier is content with the answer under the log's key."""
    file = directory / "answer.json"
    file.write_bytes(answer.body)
    vkey = os.environ.get("VKEY", site.vkey)
    done = subprocess.run(
        [sys.executable, str(VERIFIER), str(file), "--vkey", vkey],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["VERIFIED"]), done


def test_attest_answers_with_a_session(site: Site) -> None:
    session = site.attest().json()
    assert session["token_type"] == "Bearer"
    assert session["stream_id"].split(":")[::2] == [site.tenant, site.agent]
    assert session["log_prefix"].startswith("/streams/")
    assert session["producer"]["next_sequence"] >= 1
    assert {"token", "expires_at", "session_id", "vkey"} <= set(session)


def test_a_receipt_proves_itself(site: Site, tmp_path: Path) -> None:
    before = site.size()
    answer = site.record()
    assert answer.status == 201
    receipt = answer.json()
    entry = base64.b64decode(receipt["entry"], validate=True)
    assert receipt["sequence_counter"] == before == site.size() - 1
    assert receipt["block_hash"] == "sha256:" + hashlib.sha256(entry).hexdigest()
    assert base64.b64decode(receipt["leaf_hash"]) == leaf_hash(entry)
    assert receipt["replayed"] is False
    record = json.loads(entry)["payload"]
    assert (record["id"], record["streamId"]) == (receipt["event_id"], site.stream)
    assert record["eventType"] == EVENT["event_type"]
    assert "app-991" not in entry.decode()
    verified(site, answer, tmp_path)


def test_a_chain(site: Site) -> None:
    first, second = site.record().json(), site.record().json()
    assert second["previous_hash"] == first["block_hash"]
    assert second["sequence_counter"] == first["sequence_counter"] + 1


def test_a_minimal_answer(site: Site) -> None:
    answer = site.record(Prefer="return=minimal")
    assert answer.status == 201
    assert not {"entry", "salt", "inclusion", "root"} & set(answer.json())


def test_a_batch(site: Site, tmp_path: Path) -> None:
    lines = b"\n".join(json.dumps(EVENT).encode() for _ in range(5))
    for answer in (
        site.batch([EVENT] * 5),
        site.batch(lines, Content_Type="application/x-ndjson"),
    ):
        assert answer.status == 201
        positions = [receipt["sequence_counter"] for receipt in answer.json()["receipts"]]
        assert positions == list(range(positions[0], positions[0] + 5))
        verified(site, answer, tmp_path)


def test_a_batch_is_all_or_nothing(site: Site) -> None:
    before = site.size()
    answer = site.batch([EVENT, EVENT, {**EVENT, "payload": []}, EVENT])
    assert (answer.status, answer.pointer) == (422, "/2/payload")
    assert site.size() == before


def test_audital_types_imply_a_class(site: Site) -> None:
    event = {"event_type": "HUMAN_REVIEW", "payload": {"n": 1}}
    answer = site.record(event)
    assert answer.status == 201
    entry = json.loads(base64.b64decode(answer.json()["entry"]))
    assert entry["payload"]["eventClass"] == "EXECUTION"


def test_a_fast_decision_is_flagged(site: Site) -> None:
    surface = {
        "human_decision": "APPROVE",
        "presentation_timestamp": "2026-03-20T14:00:00.000Z",
        "signoff_timestamp": "2026-03-20T14:00:00.300Z",
        "decision_complexity_tier": 1,
    }
    assert site.record().json()["velocity_flag_triggered"] is False
    flagged = site.record({**EVENT, "decision_surface": surface})
    assert (flagged.status, flagged.json()["velocity_flag_triggered"]) == (201, True)


@pytest.mark.parametrize("by", ["idempotency-key", "producer"])
def test_exactly_once(site: Site, by: str) -> None:
    def send(event: dict[str, object]) -> Answer:
        if by == "producer":
            return site.record({**event, "producer": {"id": producer["id"], "sequence": sequence}})
        return site.record(event, Idempotency_Key=f"key-{sequence}")

    producer = site.attest().json()["producer"]
    sequence = producer["next_sequence"]
    first = send(EVENT)
    assert first.status == 201
    size = site.size()
    again = send({name: EVENT[name] for name in reversed(EVENT)})
    assert (again.status, again.json()["replayed"]) == (200, True)
    for name in ("event_id", "sequence_counter", "timestamp", "block_hash", "entry"):
        assert again.json()[name] == first.json()[name]
    other = send(OTHER)
    assert (other.status, other.kind) == (409, "conflict")
    assert site.size() == size


def test_a_producer_gap_names_what_is_expected(site: Site) -> None:
    producer = site.attest().json()["producer"]
    size = site.size()
    gap = {"id": producer["id"], "sequence": producer["next_sequence"] + 1}
    answer = site.record({**EVENT, "producer": gap})
    assert (answer.status, answer.kind, answer.pointer) == (
        409,
        "producer-gap",
        "/producer/sequence",
    )
    assert answer.json()["expected"] == producer["next_sequence"]
    assert site.size() == size


def test_an_event_is_read_back_with_its_payload(site: Site) -> None:
    receipt = site.record().json()
    event = site.get("/api/v1/events/" + receipt["event_id"], site.token).json()
    assert (event["verified"], event["payloadStatus"]) == (True, "present")
    assert event["payload"] == EVENT["payload"]
    assert event["blockHash"] == receipt["block_hash"]
    page = site.get("/api/v1/events", site.token, stream_id=site.stream, from_=receipt["timestamp"])
    assert receipt["event_id"] in [one["id"] for one in page.json()["events"]]


def test_an_id_has_one_spelling(site: Site) -> None:
    name = site.record().json()["event_id"]
    for other in (name.lower(), name[:-1], name + "0", "evt_" + "U" * 26, name.replace("evt_", "")):
        answer = site.get("/api/v1/events/" + other, site.token)
        assert (answer.status, answer.kind) == (404, "not-found")


def test_a_published_proof(site: Site, tmp_path: Path) -> None:
    name = site.record().json()["event_id"]
    answer = site.get("/api/v1/proof/" + name, site.token, wait="published")
    assert answer.status == 200
    assert answer.json()["version"] == 1
    assert not {"payload", "salt"} & set(answer.json())
    verified(site, answer, tmp_path)


def test_verify_rederives_the_stream(site: Site) -> None:
    site.record()
    report = site.get("/api/v1/verify", site.token, stream_id=site.stream).json()
    assert report["verified"] is True
    assert report["failures"] == []
    assert report["first_failure_sequence"] is None
    assert report["checked_count"] == report["tree_size"] == site.size()


def test_health(site: Site) -> None:
    answer = site.get("/api/v1/health")
    assert answer.status == 200
    assert {"status", "version", "root"} <= set(answer.json())
