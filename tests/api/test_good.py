"""Every route's good path: the answer is what its Struct documents, and what is handed out verifies, twice over: by the
core, and by the verifier of `conformance/`, which shares no line with it.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest
from yarl import URL

from tests.api.deployment import EVENT, ORIGIN, STREAM, Answer, Site, judge
from tlog.api import answers, health_answers
from tlog.api.attest import AttestAnswer
from tlog.core.checkpoint import open_checkpoint
from tlog.core.entry import parse_entry
from tlog.core.hashes import leaf_hash
from tlog.core.note import parse_vkey
from tlog.core.package import verify_package
from tlog.core.proofs import verify_consistency, verify_inclusion
from tlog.core.receipt import verify_batch, verify_receipt


def fits(answer: Answer, kind: Any, status: int = 200) -> Any:
    """The answer's document, once it is exactly what OpenAPI promises."""
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/json"
    msgspec.json.decode(answer.body, type=kind)
    return answer.json()


async def test_attest(site: Site) -> None:
    answer = await site.attest()
    session = fits(answer, AttestAnswer)
    assert answer.headers["Cache-Control"] == "no-store"
    assert session["stream_id"] == STREAM
    assert session["vkey"] == site.log.vkey
    assert session["producer"] == {"id": "scorer", "next_sequence": 1}
    assert session["log_prefix"] == site.log.prefix(STREAM) != "/"


async def test_attest_opens_nothing_for_who_says_so(site: Site) -> None:
    """An auditor's session names a stream; whatever the key may do, a mistyped one is not made."""
    streams = len(site.log.source.rows)
    for name in ("auditor", "scorer-mistyped"):
        answer = await site.attest(agent_id=name, open_stream=False)
        assert answer.status == 200
        assert answer.json()["log_prefix"] == "/"
    assert len(site.log.source.rows) == streams
    assert (await site.attest(agent_id="auditor", open_stream=True)).json()["log_prefix"] != "/"
    assert len(site.log.source.rows) == streams + 1


async def test_attest_instance_has_a_sequence_of_its_own(site: Site) -> None:
    token = await site.token(instance="b")
    await site.record({**EVENT, "producer": {"id": "scorer/b", "sequence": 1}}, token)
    session = (await site.attest(instance="b")).json()
    assert session["producer"] == {"id": "scorer/b", "next_sequence": 2}
    assert (await site.attest()).json()["producer"] == {"id": "scorer", "next_sequence": 1}


async def test_a_key_that_may_not_write_opens_no_stream(site: Site) -> None:
    before = site.root
    session = (await site.attest(site.keys.read, agent_id="auditor")).json()
    assert session["log_prefix"] == "/"
    assert site.root == before


async def test_event(site: Site, tmp_path: Path) -> None:
    answer = await site.post()
    receipt = fits(answer, answers.Receipt, 201)
    assert receipt["sequence_counter"] == 1
    assert receipt["replayed"] is False
    verify_receipt(receipt, site.verifier)
    verdict = judge(tmp_path / "receipt.json", answer.body, site.log.vkey)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    site.check()


async def test_event_minimal(site: Site) -> None:
    answer = await site.post(Prefer="handling=strict, return=minimal; foo=bar")
    receipt = fits(answer, answers.Receipt, 201)
    assert answer.headers["Preference-Applied"] == "return=minimal"
    assert not {"entry", "salt", "inclusion", "root"} & receipt.keys()


@pytest.mark.parametrize("prefer", ["return=minimalist", "respond-async", ""])
async def test_other_preferences_are_ignored(site: Site, prefer: str) -> None:
    answer = await site.post(Prefer=prefer)
    assert "entry" in fits(answer, answers.Receipt, 201)
    assert "Preference-Applied" not in answer.headers


async def test_batch(site: Site, tmp_path: Path) -> None:
    answer = await site.batch([EVENT] * 5)
    fits(answer, answers.BatchAnswer, 201)
    assert [one.leaf_index for one in verify_batch(answer.json(), site.verifier)] == [1, 2, 3, 4, 5]
    verdict = judge(tmp_path / "batch.json", answer.body, site.log.vkey)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


async def test_get_event_shows_what_was_sent(site: Site) -> None:
    sent = {
        **EVENT,
        "payload": {"a/b": 1, "m~n": [True], "": None},
        "actor": {"type": "USER", "id": "jane@example.com", "ipAddress": "10.0.1.45"},
        "subject_id": "applicant-991",
        "context": {"trace_id": "abc-123", "model_version": "v2"},
        "decision_surface": {
            "human_decision": "APPROVE",
            "presentation_timestamp": "2026-03-20T14:00:00Z",
            "signoff_timestamp": "2026-03-20T14:00:01Z",
            "explainability_artifact_hash": "sha256-of-artifact-shown",
        },
        "tags": ["credit-risk"],
        "model_id": "mdl_abc123",
        "severity": "WARNING",
        "occurred_at": "2026-03-20T14:00:01Z",
    }
    receipt = await site.record(sent)
    assert receipt["velocity_flag_triggered"] is True
    token = await site.token()
    event = fits(await site.get(f"/events/{receipt['event_id']}", token), answers.RecordedEvent)
    assert event["verified"] is True
    assert event["payloadStatus"] == "present"
    assert event["payload"] == sent["payload"]
    assert event["actor"] == {"type": "USER", "id": "jane@example.com", "ipAddress": "10.0.1.45"}
    assert event["subjectId"] == "applicant-991"
    assert event["subject"].startswith("sub_")
    assert event["context"] == sent["context"]
    assert event["decisionSurface"]["explainability_artifact_hash"] == "sha256-of-artifact-shown"
    assert event["decisionSurface"]["velocity_flag"] is True
    assert (event["tags"], event["modelId"]) == (["credit-risk"], "mdl_abc123")
    assert (event["severity"], event["clockSkew"]) == ("WARNING", True)
    assert event["blockHash"] == receipt["block_hash"]
    assert event["agent"]["assurance"] == "self"
    assert "commitment" not in event


async def test_get_genesis(site: Site) -> None:
    token = await site.token()
    page = fits(await site.get("/events", token), answers.EventPage)
    genesis = fits(
        await site.get(f"/events/{page['events'][0]['id']}", token), answers.RecordedEvent
    )
    assert genesis == page["events"][0]
    assert (genesis["chainPosition"], genesis["verified"]) == (0, True)
    assert genesis["eventType"] == "tlog.stream.opened"


async def test_package(site: Site, tmp_path: Path) -> None:
    surface = {"human_decision": "APPROVE", "decision_complexity_tier": 3}
    receipt = await site.record({**EVENT, "decision_surface": surface})
    await (
        site.record()
    )  # the stream goes on: the proof is under the first head that covers the event
    answer = await site.get(f"/proof/{receipt['event_id']}", await site.token(), wait="published")
    package = fits(answer, answers.Package)
    verified = verify_package(package, site.verifier)
    assert verified.root is not None
    assert package["inclusion"]["tree_size"] == 2
    assert package["decision_surface"]["decision_complexity_tier"] == 3
    assert b"app-991" not in answer.body
    assert "salt" not in package
    verdict = judge(tmp_path / "package.json", answer.body, site.log.vkey)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


async def test_verify(site: Site) -> None:
    await site.batch([EVENT] * 300)
    token = await site.token()
    report = fits(await site.get("/verify", token, stream_id=STREAM), answers.Verification)
    assert (report["verified"], report["checked_count"], report["tree_size"]) == (True, 301, 301)
    part = fits(
        await site.get("/verify", token, from_sequence=255, to_sequence=257), answers.Verification
    )
    assert (part["verified"], part["checked_count"]) == (True, 3)


async def test_sth_of_the_root_and_of_a_stream(site: Site) -> None:
    await site.record()
    root = fits(await site.get("/sth"), answers.TreeHead)
    head, _ = open_checkpoint(root["checkpoint"].encode(), [site.verifier], ORIGIN)
    assert (head.size, base64.b64encode(head.root).decode()) == (
        root["tree_size"],
        root["root_hash"],
    )
    token = await site.token()
    stream = fits(await site.get("/sth", token, stream_id=STREAM), answers.TreeHead)
    listed = fits(await site.get("/streams", token), answers.StreamPage)["streams"]
    mine = next(one for one in listed if one["stream_id"] == STREAM)
    key = parse_vkey(mine["vkey"])
    assert key.public_key == site.verifier.public_key
    head, _ = open_checkpoint(stream["checkpoint"].encode(), [key], mine["origin"])
    assert (
        (head.size, head.origin) == (stream["tree_size"], stream["origin"]) == (2, mine["origin"])
    )
    place = stream["root"]
    above, _ = open_checkpoint(place["checkpoint"].encode(), [site.verifier], ORIGIN)
    path = [base64.b64decode(text) for text in place["hashes"]]
    verify_inclusion(leaf_hash(head.body()), place["leaf_index"], above.size, path, above.root)


async def test_streams_in_pages(site: Site) -> None:
    token = await site.token(site.keys.create)
    for name in "abcdef":
        await site.record({**EVENT, "stream_id": f"acme:prod:{name}"}, token)
    found: list[str] = []
    cursor: dict[str, object] = {}
    while True:
        page = fits(await site.get("/streams", token, limit=2, **cursor), answers.StreamPage)
        assert len(page["streams"]) <= 2
        found += [one["stream_id"] for one in page["streams"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    names = [STREAM, *(f"acme:prod:{name}" for name in "abcdef")]
    assert found == ["tlog:log:operations", *names]


async def test_a_page_of_streams_ends_when_it_has_looked_at_enough(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.rival()
    token = await site.token()
    monkeypatch.setattr("tlog.api.sth._BUDGET", 1)
    pages = [(await site.get("/streams", token)).json()]
    while pages[-1]["next_cursor"] is not None:
        pages.append((await site.get("/streams", token, cursor=pages[-1]["next_cursor"])).json())
    found = [one["stream_id"] for page in pages for one in page["streams"]]
    assert found == ["tlog:log:operations", STREAM]
    assert [len(page["streams"]) for page in pages] == [1, 0, 1]


async def test_a_stream_that_is_being_opened_is_not_there_yet(site: Site) -> None:
    """Between its row and its first commit a stream has a number and no head."""
    token = await site.token()
    row = site.log.source.rows[site.log.source.numbers[STREAM]]
    name = "acme:prod:half"
    site.log.source.rows[9] = row.__class__(name, "label", True, b"")  # type: ignore[index]
    for number in range(3, 9):
        site.log.source.rows[number] = site.log.source.rows[9]  # type: ignore[index]
    site.log.source.numbers[name] = 9  # type: ignore[index]
    assert len((await site.get("/streams", token)).json()["streams"]) == 2
    assert (await site.get("/sth", token, stream_id=name)).status == 404
    assert (await site.get("/verify", token, stream_id=name)).status == 404


async def test_inclusion_by_index_and_by_hash(site: Site) -> None:
    entries = [
        base64.b64decode((await site.record())["entry"]),
        base64.b64decode((await site.record())["entry"]),
    ]
    token = await site.token()
    for index, entry in enumerate(entries, 1):
        by_index = await site.get("/proof/inclusion", token, stream_id=STREAM, leaf_index=index)
        proof = fits(by_index, answers.InclusionProof)
        by_hash = await site.get(
            "/proof/inclusion", token, stream_id=STREAM, hash=proof["leaf_hash"]
        )
        assert by_hash.json() == proof
        path = [base64.b64decode(text) for text in proof["hashes"]]
        root = base64.b64decode(proof["root_hash"])
        verify_inclusion(base64.b64decode(proof["leaf_hash"]), index, 3, path, root)
        assert parse_entry(entry).record["chainPosition"] == index
    older = await site.get("/proof/inclusion", token, stream_id=STREAM, leaf_index=1, tree_size=2)
    assert fits(older, answers.InclusionProof)["tree_size"] == 2


async def test_a_plus_of_base64_may_arrive_as_a_blank(site: Site) -> None:
    token = await site.token()
    for _ in range(100):
        receipt = await site.record()
        if "+" in receipt["leaf_hash"]:
            break
    path = f"/api/v1/proof/inclusion?stream_id={STREAM}&hash={receipt['leaf_hash']}"
    answer = await site.call("GET", URL(path, encoded=True), token)  # type: ignore[arg-type]
    assert fits(answer, answers.InclusionProof)["leaf_index"] == receipt["sequence_counter"]


async def test_consistency(site: Site) -> None:
    for _ in range(6):
        await site.record()
    token = await site.token()
    for stream in ({}, {"stream_id": STREAM}):
        answer = await site.get("/proof/consistency", token, first=2, second=5, **stream)
        proof = fits(answer, answers.ConsistencyProof)
        path, old, new = (
            [base64.b64decode(text) for text in proof["hashes"]],
            base64.b64decode(proof["first_hash"]),
            base64.b64decode(proof["second_hash"]),
        )
        verify_consistency(2, 5, path, old, new)
    newest = await site.get("/proof/consistency", first=1)
    assert fits(newest, answers.ConsistencyProof)["second"] == site.root[0]


async def test_health(site: Site) -> None:
    health = fits(await site.get("/health"), health_answers.Health)
    assert health["status"] == "ok"
    assert health["root"]["tree_size"] == site.root[0]


async def test_openapi(site: Site) -> None:
    answer = await site.call("GET", "/openapi.json")
    assert answer.status == 200
    assert answer.json()["openapi"] == "3.1.0"


@pytest.mark.parametrize("path", ["/api/v1/health", "/api/v1/sth", "/openapi.json"])
async def test_head_is_get_without_the_body(site: Site, path: str) -> None:
    head, get = await site.call("HEAD", path), await site.call("GET", path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
