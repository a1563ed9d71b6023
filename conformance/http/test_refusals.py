"""Bad input, bad credentials, other people's data: the status, the problem type, the pointer; and no trace.

The tables are the definition: kind of problem and JSON Pointer of the member at fault.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance.http.wire import EVENT, Site

NO_EVENT = "evt_00000000000000000000000000"
DEEP: Any = 1
for _ in range(33):
    DEEP = [DEEP]


def with_(**members: object) -> dict[str, object]:
    """The event with other members; None takes one away."""
    return {name: value for name, value in {**EVENT, **members}.items() if value is not None}


EVENTS: dict[str, tuple[object, int, str, str]] = {
    "an array": ([], 422, "wrong-type", ""),
    "no type": (with_(event_type=None), 422, "missing-member", "/event_type"),
    "no payload": (with_(payload=None), 422, "missing-member", "/payload"),
    "no class": (with_(event_class=None), 422, "missing-member", "/event_class"),
    "unknown class": (with_(event_class="X"), 422, "unknown-event-class", "/event_class"),
    "unknown member": (with_(colour="red"), 422, "unknown-member", "/colour"),
    "unknown member, escaped": (with_(**{"a/b~": 1}), 422, "unknown-member", "/a~1b~0"),
    "payload no object": (with_(payload=[]), 422, "wrong-type", "/payload"),
    "null": ({**EVENT, "severity": None}, 422, "wrong-type", "/severity"),
    "severity": (with_(severity="LOUD"), 422, "invalid-value", "/severity"),
    "type of the log's own": (
        with_(event_type="tlog.x"),
        422,
        "reserved-event-type",
        "/event_type",
    ),
    "type not printable": (with_(event_type="a\n"), 422, "invalid-value", "/event_type"),
    "type too long": (with_(event_type="a" * 129), 422, "invalid-value", "/event_type"),
    "model id": (with_(model_id="a b"), 422, "invalid-value", "/model_id"),
    "tag": (with_(tags=["a", "b c"]), 422, "invalid-value", "/tags/1"),
    "33 tags": (with_(tags=[str(n) for n in range(33)]), 422, "invalid-value", "/tags"),
    "time": (with_(occurred_at="yesterday"), 422, "invalid-time", "/occurred_at"),
    "stream id": (with_(stream_id="ACME:x:y"), 422, "invalid-value", "/stream_id"),
    "the log's stream": (with_(stream_id="tlog:log:operations"), 404, "not-found", "/stream_id"),
    "another's stream": (with_(stream_id="nobody:prod:x"), 404, "not-found", "/stream_id"),
    "actor": (with_(actor={"type": "CAT", "id": "x"}), 422, "invalid-value", "/actor/type"),
    "tier": (
        with_(decision_surface={"decision_complexity_tier": 4}),
        422,
        "invalid-value",
        "/decision_surface/decision_complexity_tier",
    ),
    "context": (with_(context={"pii_detected": "no"}), 422, "wrong-type", "/context/pii_detected"),
    "another's producer": (
        with_(producer={"id": "another-agent", "sequence": 1}),
        403,
        "foreign-producer",
        "/producer/id",
    ),
    "payload above 1 MiB": (
        with_(payload={"x": "a" * 1_048_577}),
        413,
        "payload-too-large",
        "/payload",
    ),
}
BYTES: dict[str, tuple[bytes, int, str, str | None]] = {
    "empty": (b"", 400, "invalid-json", None),
    "not JSON": (b"{", 400, "invalid-json", None),
    "two values": (b"{} {}", 400, "invalid-json", None),
    "byte order mark": (b"\xef\xbb\xbf{}", 400, "byte-order-mark", ""),
    "UTF-16": ('{"a":1}'.encode("utf-16"), 400, "not-utf8", ""),
    "Latin-1": (b'{"a":"\xe9"}', 400, "not-utf8", ""),
    "NaN": (b'{"payload":{"x":NaN}}', 400, "invalid-json", None),
    "Infinity": (b'{"payload":{"x":-Infinity}}', 400, "invalid-json", None),
    "duplicate": (b'{"payload":{"x":1,"x":2}}', 422, "duplicate-member", "/payload/x"),
    "duplicate, escaped": (b'{"payload":1,"p\\u0061yload":2}', 422, "duplicate-member", "/payload"),
    "1e400": (b'{"payload":{"x":1e400}}', 422, "number-out-of-range", "/payload/x"),
    "1e20": (b'{"payload":{"x":1e20}}', 422, "number-out-of-range", "/payload/x"),
    "2^53": (b'{"payload":{"x":9007199254740992}}', 422, "number-out-of-range", "/payload/x"),
    "lone surrogate": (b'{"payload":{"x":"\\ud800"}}', 422, "lone-surrogate", "/payload/x"),
    "33 deep": (json.dumps({**EVENT, "payload": {"x": DEEP}}).encode(), 400, "too-deep", None),
    "a million brackets": (b"[" * 1_000_000, 400, "too-deep", None),
}


@pytest.mark.parametrize("name", EVENTS)
def test_bad_events(site: Site, name: str) -> None:
    event, status, kind, pointer = EVENTS[name]
    before = site.size()
    answer = site.record(event)
    assert (answer.status, answer.kind, answer.pointer) == (status, kind, pointer)
    if kind != "payload-too-large":
        answer = site.batch([EVENT, event])
        assert (answer.status, answer.kind, answer.pointer) == (status, kind, "/1" + pointer)
    assert site.size() == before


@pytest.mark.parametrize("name", BYTES)
def test_bad_bytes(site: Site, name: str) -> None:
    body, status, kind, pointer = BYTES[name]
    before = site.size()
    answer = site.record(body)
    assert (answer.status, answer.kind) == (status, kind)
    if pointer is not None:
        assert answer.pointer == pointer
    assert site.size() == before


@pytest.mark.parametrize(
    "media", ["text/plain", "application/json; charset=utf-16", "application/x-ndjson"]
)
def test_media_types(site: Site, media: str) -> None:
    answer = site.record(EVENT, Content_Type=media)
    assert (answer.status, answer.kind) == (415, "unsupported-media-type")


def test_too_many_events(site: Site) -> None:
    before = site.size()
    answer = site.batch([EVENT] * 10_001)
    assert (answer.status, answer.kind) == (413, "too-many-events")
    assert site.batch([]).status == 422
    assert site.size() == before


GUARDED = {
    "POST /attest": {"tenant_id": "acme", "agent_id": "x", "agent_code_hash": "0" * 64},
    "POST /events": EVENT,
    "POST /events/batch": [EVENT],
    "GET /events": None,
    f"GET /events/{NO_EVENT}": None,
    f"GET /proof/{NO_EVENT}": None,
    "GET /verify?stream_id=acme:prod:x": None,
}


@pytest.mark.parametrize("call", GUARDED)
def test_without_a_token(site: Site, call: str) -> None:
    method, _, path = call.partition(" ")
    for token in (None, "nonsense", site.token[:-1] + ("A" if site.token[-1] != "A" else "B")):
        if method == "POST":
            answer = site.post("/api/v1" + path, token, GUARDED[call])
        else:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            answer = site.send("GET", "/api/v1" + path, None, headers)
        assert answer.status == 401, call
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.kind in ("invalid-token", "invalid-credentials")


def test_another_tenant_may_not_be_named(site: Site) -> None:
    answer = site.attest(tenant_id="nobody")
    assert (answer.status, answer.pointer) == (403, "/tenant_id")
    answer = site.attest(agent_id="No Such Form")
    assert (answer.status, answer.pointer) == (422, "/agent_id")


BY_STREAM: dict[str, dict[str, object]] = {
    "events": {},
    "verify": {},
    "sth": {},
    "proof/inclusion": {"leaf_index": 0},
    "proof/consistency": {"first": 1},
}


@pytest.mark.parametrize("name", BY_STREAM)
def test_foreign_and_absent_streams_answer_alike(site: Site, rival: Site, name: str) -> None:
    rival.record()
    streams = (rival.stream, f"{rival.tenant}:prod:none", "nobody:prod:none")
    answers = [
        site.get("/api/v1/" + name, site.token, stream_id=one, **BY_STREAM[name]) for one in streams
    ]
    assert {(one.status, one.body) for one in answers} == {(404, answers[0].body)}
    mine = rival.get("/api/v1/" + name, rival.token, stream_id=rival.stream, **BY_STREAM[name])
    assert mine.status == 200


def test_foreign_and_absent_events_answer_alike(site: Site, rival: Site) -> None:
    foreign = rival.record().json()["event_id"]
    for name in ("events", "proof"):
        answers = [
            site.get(f"/api/v1/{name}/{one}", site.token) for one in (foreign, NO_EVENT, "x")
        ]
        assert {(one.status, one.body) for one in answers} == {(404, answers[0].body)}


def test_without_a_token_private_and_absent_streams_answer_alike(site: Site) -> None:
    for name in ("sth", "proof/inclusion", "proof/consistency"):
        streams = (site.stream, f"{site.tenant}:prod:none", "nobody:prod:none")
        answers = [
            site.get("/api/v1/" + name, None, stream_id=one, **BY_STREAM[name]) for one in streams
        ]
        assert {(one.status, one.body) for one in answers} == {(answers[0].status, answers[0].body)}
        assert answers[0].status in (401, 404)
    shown = [one["stream_id"] for one in site.get("/api/v1/streams").json()["streams"]]
    assert site.stream not in shown
