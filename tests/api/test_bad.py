"""Every bad input has its status, its problem type and its pointer, and leaves no trace: the root stays as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from yarl import URL

from tests.api.deployment import CODE_HASH, EVENT, NO_EVENT, STREAM, Site

Fault = tuple[int, str, "str | None"]


def expect(answer: Any, fault: Fault) -> None:
    status, kind, pointer = fault
    document = answer.json()
    assert (answer.status, answer.kind, document.get("pointer")) == (status, kind, pointer)
    assert document.keys() >= {"type", "title", "status", "detail"}


def with_(**members: object) -> dict[str, object]:
    return {**EVENT, **members}


def without(*names: str) -> dict[str, object]:
    return {name: value for name, value in EVENT.items() if name not in names}


DEEP: Any = 1
for _ in range(31):
    DEEP = [DEEP]

EVENTS: dict[str, tuple[object, Fault]] = {
    "no object": ([], (422, "wrong-type", "")),
    "null": (None, (422, "wrong-type", "")),
    "no type": (without("event_type"), (422, "missing-member", "/event_type")),
    "no payload": (without("payload"), (422, "missing-member", "/payload")),
    "no class": (without("event_class"), (422, "missing-member", "/event_class")),
    "unknown class": (with_(event_class="X"), (422, "unknown-event-class", "/event_class")),
    "unknown member": (with_(colour="red"), (422, "unknown-member", "/colour")),
    "member with slash": (with_(**{"a/b~": 1}), (422, "unknown-member", "/a~1b~0")),
    "payload no object": (with_(payload=[]), (422, "wrong-type", "/payload")),
    "null member": (with_(severity=None), (422, "wrong-type", "/severity")),
    "severity": (with_(severity="LOUD"), (422, "invalid-value", "/severity")),
    "reserved type": (with_(event_type="tlog.x"), (422, "reserved-event-type", "/event_type")),
    "type not printable": (with_(event_type="a\n"), (422, "invalid-value", "/event_type")),
    "model id": (with_(model_id="a b"), (422, "invalid-value", "/model_id")),
    "tag": (with_(tags=["a", "ä"]), (422, "invalid-value", "/tags/1")),
    "tag twice": (with_(tags=["a", "a"]), (422, "invalid-value", "/tags/1")),
    "33 tags": (with_(tags=[str(i) for i in range(33)]), (422, "invalid-value", "/tags")),
    "time": (with_(occurred_at="yesterday"), (422, "invalid-time", "/occurred_at")),
    "salt": (with_(salt="AAAA"), (422, "invalid-salt", "/salt")),
    "stream id": (with_(stream_id="ACME:x:y"), (422, "invalid-value", "/stream_id")),
    "stream id newline": (with_(stream_id=STREAM + "\n"), (422, "invalid-value", "/stream_id")),
    "foreign stream": (with_(stream_id="rival:prod:scorer"), (404, "not-found", "/stream_id")),
    "the log's stream": (with_(stream_id="tlog:log:operations"), (404, "not-found", "/stream_id")),
    "new stream": (with_(stream_id="acme:prod:new"), (403, "missing-scope", "/stream_id")),
    "actor type": (with_(actor={"type": "CAT", "id": "x"}), (422, "invalid-value", "/actor/type")),
    "actor unknown": (
        with_(actor={"type": "USER", "id": "x", "y": 1}),
        (422, "unknown-member", "/actor/y"),
    ),
    "surface tier": (
        with_(decision_surface={"decision_complexity_tier": 4}),
        (422, "invalid-value", "/decision_surface/decision_complexity_tier"),
    ),
    "context type": (
        with_(context={"pii_detected": "no"}),
        (422, "wrong-type", "/context/pii_detected"),
    ),
    "producer zero": (
        with_(producer={"id": "scorer", "sequence": 0}),
        (422, "invalid-value", "/producer/sequence"),
    ),
    "producer of another": (
        with_(producer={"id": "scorer2", "sequence": 1}),
        (403, "foreign-producer", "/producer/id"),
    ),
    "producer gap": (
        with_(producer={"id": "scorer", "sequence": 2}),
        (409, "producer-gap", "/producer/sequence"),
    ),
    "payload too large": (
        with_(payload={"x": "a" * 1_048_577}),
        (413, "payload-too-large", "/payload"),
    ),
    "too deep": (with_(payload={"x": DEEP}), (400, "too-deep", None)),
}
RAW: dict[str, tuple[bytes, Fault]] = {
    "empty": (b"", (400, "invalid-json", None)),
    "not JSON": (b"{", (400, "invalid-json", None)),
    "two values": (b"{} {}", (400, "invalid-json", None)),
    "BOM": (b"\xef\xbb\xbf{}", (400, "byte-order-mark", "")),
    "UTF-16": ('{"a":1}'.encode("utf-16"), (400, "not-utf8", "")),
    "Latin-1": ('{"a":"é"}'.encode("latin-1"), (400, "not-utf8", "")),
    "NaN": (b'{"payload":{"x":NaN}}', (400, "invalid-json", None)),
    "duplicate": (b'{"payload":{"x":1,"x":2}}', (422, "duplicate-member", "/payload/x")),
    "duplicate escaped": (
        b'{"payload":1,"p\\u0061yload":2}',
        (422, "duplicate-member", "/payload"),
    ),
    "1e400": (b'{"payload":{"x":1e400}}', (422, "number-out-of-range", "/payload/x")),
    "1e20": (b'{"payload":{"x":1e20}}', (422, "number-out-of-range", "/payload/x")),
    "2^53": (b'{"payload":{"x":9007199254740992}}', (422, "number-out-of-range", "/payload/x")),
    "surrogate": (b'{"payload":{"x":"\\ud800"}}', (422, "lone-surrogate", "/payload/x")),
    "a million brackets": (b"[" * 1_000_000, (400, "too-deep", None)),
}


@pytest.fixture
async def quiet(site: Site) -> Any:
    """A site whose root must not move."""
    await site.token()
    before = site.root
    yield site
    assert site.root == before
    site.check()


async def test_bad_events(quiet: Site) -> None:
    for name, (event, (status, kind, pointer)) in EVENTS.items():
        answer = await quiet.call(
            "POST", "/api/v1/events", await quiet.token(), data=json.dumps(event).encode()
        )
        shown = answer.json().get("pointer")
        if kind == "too-deep":
            shown = None
        assert (name, answer.status, answer.kind, shown) == (name, status, kind, pointer)


async def test_bad_events_in_a_batch_are_pointed_at(quiet: Site) -> None:
    for name, (event, (status, kind, pointer)) in EVENTS.items():
        if kind in ("too-deep", "payload-too-large", "producer-gap"):
            continue
        answer = await quiet.call(
            "POST",
            "/api/v1/events/batch",
            await quiet.token(),
            data=json.dumps([EVENT, EVENT, event, EVENT]).encode(),
        )
        shown = answer.json()["pointer"]
        assert (name, answer.status, answer.kind, shown) == (name, status, kind, f"/2{pointer}")


async def test_bad_bytes(quiet: Site) -> None:
    token = await quiet.token()
    for name, (data, (status, kind, pointer)) in RAW.items():
        answer = await quiet.call("POST", "/api/v1/events", token, data=data)
        shown = answer.json().get("pointer") if kind not in ("too-deep", "invalid-json") else None
        assert (name, answer.status, answer.kind, shown) == (name, status, kind, pointer)


async def test_a_batch_of_one_is_pointed_into_as_an_array(quiet: Site) -> None:
    gap = with_(producer={"id": "scorer", "sequence": 7})
    answer = await quiet.batch([gap])
    expect(answer, (409, "producer-gap", "/0/producer/sequence"))
    assert answer.json()["expected"] == 1


async def test_an_entry_that_is_too_large(quiet: Site) -> None:
    # Within every limit of its own, 32 tags and long names together still fit; a stored entry is below 64 KiB.
    huge = with_(context={"model_version": "v" * 128}, tags=[f"{i:064}" for i in range(32)])
    assert len(json.dumps(huge)) < 65_536
    answer = await quiet.post({**huge, "colour": 1})
    expect(answer, (422, "unknown-member", "/colour"))


ATTEST: dict[str, tuple[dict[str, object], Fault]] = {
    "tenant": ({"tenant_id": "rival"}, (403, "foreign-tenant", "/tenant_id")),
    "no such tenant": ({"tenant_id": "nobody"}, (403, "foreign-tenant", "/tenant_id")),
    "tenant form": ({"tenant_id": "acme\n"}, (403, "foreign-tenant", "/tenant_id")),
    "agent upper case": ({"agent_id": "Scorer"}, (422, "invalid-value", "/agent_id")),
    "agent newline": ({"agent_id": "scorer\n"}, (422, "invalid-value", "/agent_id")),
    "agent colon": ({"agent_id": "a:b"}, (422, "invalid-value", "/agent_id")),
    "agent empty": ({"agent_id": ""}, (422, "invalid-value", "/agent_id")),
    "agent 64": ({"agent_id": "a" * 64}, (422, "invalid-value", "/agent_id")),
    "agent number": ({"agent_id": 7}, (422, "wrong-type", "/agent_id")),
    "instance": ({"instance": "a/b"}, (422, "invalid-value", "/instance")),
    "hash": ({"agent_code_hash": "sha256:"}, (422, "invalid-value", "/agent_code_hash")),
    "hash upper case": (
        {"agent_code_hash": CODE_HASH.upper()},
        (422, "invalid-value", "/agent_code_hash"),
    ),
    "stream form": ({"stream_id": "x"}, (422, "invalid-value", "/stream_id")),
    "foreign stream": ({"stream_id": "rival:prod:scorer"}, (404, "not-found", "/stream_id")),
    "no foreign stream": ({"stream_id": "rival:prod:nothing"}, (404, "not-found", "/stream_id")),
    "new stream": ({"stream_id": "acme:prod:new"}, (403, "missing-scope", "/stream_id")),
    "unknown": ({"colour": "red"}, (422, "unknown-member", "/colour")),
}


@pytest.mark.parametrize("name", ATTEST)
async def test_bad_attest(quiet: Site, name: str) -> None:
    members, fault = ATTEST[name]
    expect(await quiet.attest(**members), fault)


async def test_attest_without_a_member(quiet: Site) -> None:
    answer = await quiet.call("POST", "/api/v1/attest", quiet.keys.both, {"tenant_id": "acme"})
    expect(answer, (422, "missing-member", "/agent_id"))
    answer = await quiet.call("POST", "/api/v1/attest", quiet.keys.both, data=b"[]")
    expect(answer, (422, "wrong-type", ""))
    answer = await quiet.call("POST", "/api/v1/attest", quiet.keys.both, data=b" " * 70_000)
    expect(answer, (413, "body-too-large", None))


QUERIES: list[tuple[str, Fault]] = [
    ("/events?limit=0", (422, "invalid-value", "/limit")),
    ("/events?limit=1001", (422, "invalid-value", "/limit")),
    ("/events?limit=+1", (422, "invalid-value", "/limit")),
    ("/events?limit=01", (422, "invalid-value", "/limit")),
    ("/events?limit=1e2", (422, "invalid-value", "/limit")),
    ("/events?limit=", (422, "invalid-value", "/limit")),
    ("/events?limit=%D9%A1", (422, "invalid-value", "/limit")),
    ("/events?limit=1&limit=2", (422, "repeated-parameter", "/limit")),
    ("/events?colour=red", (422, "unknown-parameter", "/colour")),
    ("/events?a%2Fb=1", (422, "unknown-parameter", "/a~1b")),
    ("/events?%FF=1", (422, "unknown-parameter", "/\N{REPLACEMENT CHARACTER}")),
    ("/events?cursor=x", (422, "invalid-value", "/cursor")),
    ("/events?cursor=-1", (422, "invalid-value", "/cursor")),
    ("/events?cursor=1%0A", (422, "invalid-value", "/cursor")),
    ("/events?from=yesterday", (422, "invalid-time", "/from")),
    ("/events?from=2026-02-30T00:00:00Z", (422, "invalid-time", "/from")),
    ("/events?to=2026-01-01", (422, "invalid-time", "/to")),
    ("/events?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", (422, "invalid-value", "/to")),
    ("/events?event_class=execution", (422, "invalid-value", "/event_class")),
    ("/events?event_type=%00", (422, "invalid-value", "/event_type")),
    ("/events?severity=info", (422, "invalid-value", "/severity")),
    ("/events?model_id=a%20b", (422, "invalid-value", "/model_id")),
    ("/events?tag=", (422, "invalid-value", "/tag")),
    ("/events?actor_id=", (422, "invalid-value", "/actor_id")),
    ("/events?stream_id=x", (422, "invalid-value", "/stream_id")),
    (f"/events?stream_id={STREAM}%0A", (422, "invalid-value", "/stream_id")),
    (f"/events/{NO_EVENT}?x=1", (422, "unknown-parameter", "/x")),
    ("/events/..%2f..%2fetc", (404, "not-found", None)),
    ("/events/%00", (404, "not-found", None)),
    ("/events/evt_%FF", (404, "not-found", None)),
    (f"/events/{NO_EVENT.lower()}", (404, "not-found", None)),
    (f"/events/{NO_EVENT}%0A", (404, "not-found", None)),
    (f"/proof/{NO_EVENT}?wait=now", (422, "invalid-value", "/wait")),
    (f"/proof/{NO_EVENT}?wait=witnessed", (404, "not-found", None)),
    (f"/proof/{NO_EVENT}?token=x", (422, "unknown-parameter", "/token")),
    ("/proof/inclusion", (422, "missing-parameter", "/leaf_index")),
    (
        "/proof/inclusion?leaf_index=0&hash=" + "A" * 43 + "=",
        (422, "missing-parameter", "/leaf_index"),
    ),
    ("/proof/inclusion?leaf_index=-1", (422, "invalid-value", "/leaf_index")),
    ("/proof/inclusion?leaf_index=9223372036854775808", (422, "invalid-value", "/leaf_index")),
    ("/proof/inclusion?leaf_index=9223372036854775807", (422, "leaf-index", "/leaf_index")),
    ("/proof/inclusion?leaf_index=0&tree_size=0", (422, "invalid-value", "/tree_size")),
    ("/proof/inclusion?leaf_index=0&tree_size=99", (422, "tree-size", "/tree_size")),
    ("/proof/inclusion?leaf_index=1&tree_size=1", (422, "leaf-index", "/leaf_index")),
    ("/proof/inclusion?hash=abc", (422, "invalid-value", "/hash")),
    ("/proof/inclusion?hash=" + "A" * 42 + "B=", (422, "invalid-value", "/hash")),
    ("/proof/inclusion?hash=" + "A" * 43 + "=", (404, "not-found", None)),
    ("/proof/consistency", (422, "missing-parameter", "/first")),
    ("/proof/consistency?first=0", (422, "invalid-value", "/first")),
    ("/proof/consistency?first=3&second=2", (422, "tree-size", "/first")),
    ("/proof/consistency?first=1&second=99", (422, "tree-size", "/second")),
    ("/verify?from_sequence=1", (422, "range", "/from_sequence")),
    ("/verify?to_sequence=1", (422, "range", "/to_sequence")),
    ("/verify?from_sequence=-1", (422, "invalid-value", "/from_sequence")),
    ("/verify?x=1", (422, "unknown-parameter", "/x")),
    ("/verify?stream_id=acme:prod:none", (404, "not-found", "/stream_id")),
    ("/streams?limit=0", (422, "invalid-value", "/limit")),
    ("/streams?cursor=x", (422, "invalid-value", "/cursor")),
    ("/streams?x=1", (422, "unknown-parameter", "/x")),
    ("/sth?x=1", (422, "unknown-parameter", "/x")),
    ("/sth?stream_id=x", (422, "invalid-value", "/stream_id")),
    ("/health?x=1", (422, "unknown-parameter", "/x")),
    ("/nowhere", (404, "not-found", None)),
]


async def test_bad_queries(quiet: Site) -> None:
    token = await quiet.token()
    for path, fault in QUERIES:
        url = URL("/api/v1" + path, encoded=True)
        answer = await quiet.call("GET", url, token)  # type: ignore[arg-type]
        found = (answer.status, answer.kind, answer.json().get("pointer"))
        assert (path, found) == (path, fault)


@pytest.mark.parametrize("path", ["/attest", "/events", "/events/batch"])
async def test_no_parameters_where_there_are_none(quiet: Site, path: str) -> None:
    token = quiet.keys.both if path == "/attest" else await quiet.token()
    answer = await quiet.call("POST", f"/api/v1{path}", token, EVENT, params={"token": "x"})
    expect(answer, (422, "unknown-parameter", "/token"))


KEYS = ["", "é", "a\tb", "x" * 256]


@pytest.mark.parametrize("key", KEYS)
async def test_bad_idempotency_keys(quiet: Site, key: str) -> None:
    expect(await quiet.post(EVENT, Idempotency_Key=key), (422, "invalid-value", None))


async def test_two_kinds_of_key(quiet: Site) -> None:
    event = with_(producer={"id": "scorer", "sequence": 1})
    expect(await quiet.post(event, Idempotency_Key="k"), (422, "two-keys", "/producer"))
    expect(await quiet.batch([EVENT, event], Idempotency_Key="k"), (422, "two-keys", "/1/producer"))


ACCEPT = {
    "application/cose": 200,
    "application/cose; cose-type=cose-sign": 406,
    "application/json;q=0": 406,
    "text/html, application/json;q=0.0": 406,
    "text/html, application/*;q=0.5": 200,
    "*/*": 200,
    "": 406,
}


@pytest.mark.parametrize("accept", ACCEPT)
async def test_accept_of_a_proof(site: Site, accept: str) -> None:
    receipt = await site.record()
    path = f"/api/v1/proof/{receipt['event_id']}"
    answer = await site.call("GET", path, await site.token(), headers={"Accept": accept})
    assert answer.status == ACCEPT[accept]
    if answer.status == 406:
        assert answer.kind == "not-acceptable"
    assert answer.headers["Vary"] == "Accept"
