"""Who may do what. Another tenant's ids answer exactly as ids of nothing; every scope opens its endpoints and no other;
public is public for everybody, whatever credentials come along; a revoked token ends within a second.
"""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.api.deployment import EVENT, NO_EVENT, STREAM, Site
from tlog.api.routes import ROUTES

RIVAL_STREAM = "rival:prod:scorer"
PUBLIC_STREAM = "acme:open:decisions"


async def rival_receipt(site: Site) -> dict[str, Any]:
    return await site.record(EVENT, await site.rival())


async def test_foreign_and_absent_events_answer_alike(site: Site) -> None:
    foreign = (await rival_receipt(site))["event_id"]
    token = await site.token()
    absent_in_rival = foreign[:-1] + ("0" if foreign[-1] != "0" else "1")
    for path in ("/events", "/proof"):
        answers = [
            await site.get(f"{path}/{one}", token)
            for one in (foreign, absent_in_rival, NO_EVENT, "evt_", "nonsense")
        ]
        assert {answer.status for answer in answers} == {404}
        assert len({answer.body for answer in answers}) == 1
        names = [sorted(answer.headers) for answer in answers]
        assert all(name == names[0] for name in names)


async def test_no_byte_of_a_foreign_event_is_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the time of a 404 cannot tell a foreign event from an absent one."""
    foreign, mine = (await rival_receipt(site))["event_id"], (await site.record())["event_id"]
    token = await site.token()

    def read(*_: object) -> None:
        raise RuntimeError("the store was read")

    monkeypatch.setattr(site.log.reader, "event", read)
    for path in ("/events", "/proof"):
        assert (await site.get(f"{path}/{foreign}", token)).status == 404
        assert (await site.get(f"{path}/{mine}", token)).status == 500


BY_STREAM = {
    "/events": {},
    "/verify": {},
    "/sth": {},
    "/proof/inclusion": {"leaf_index": 0},
    "/proof/consistency": {"first": 1},
}


@pytest.mark.parametrize("path", BY_STREAM)
async def test_foreign_and_absent_streams_answer_alike(site: Site, path: str) -> None:
    await rival_receipt(site)
    token = await site.token()
    streams = (RIVAL_STREAM, "rival:prod:none", "nobody:prod:none", "acme:prod:none")
    answers = [await site.get(path, token, stream_id=one, **BY_STREAM[path]) for one in streams]
    assert {answer.status for answer in answers} == {404}
    assert len({answer.body for answer in answers}) == 1
    assert answers[0].json()["pointer"] == "/stream_id"
    # The owner sees it.
    mine = await site.get(path, await site.rival(), stream_id=RIVAL_STREAM, **BY_STREAM[path])
    assert mine.status == 200


async def test_writing_to_a_foreign_stream(site: Site) -> None:
    await rival_receipt(site)
    token = await site.token(site.keys.create)
    before = site.root
    for name in (RIVAL_STREAM, "rival:prod:none"):
        event = {**EVENT, "stream_id": name}
        single, batch = await site.post(event, token), await site.batch([EVENT, event], token)
        assert (single.status, single.json()["pointer"]) == (404, "/stream_id")
        assert (batch.status, batch.json()["pointer"]) == (404, "/1/stream_id")
    assert site.root == before


async def test_no_answer_tells_of_another_tenant(site: Site) -> None:
    receipt = await rival_receipt(site)
    token = await site.token()
    await site.record()
    listed = await site.get("/events", token)
    assert [event["streamId"] for event in listed.json()["events"]] == [STREAM, STREAM]
    streams = (await site.get("/streams", token)).body
    label = site.log.source.rows[site.log.source.numbers[RIVAL_STREAM]].label
    for secret in (b"rival", label.encode(), receipt["event_id"].encode()):
        assert secret not in listed.body
        assert secret not in streams
    by_actor = await site.get("/events", token, actor_id="nobody")
    assert by_actor.json() == {"events": [], "next_cursor": None}


async def test_an_idempotency_key_is_the_agents_own(site: Site) -> None:
    mine = await site.post(EVENT, Idempotency_Key="k")
    other_agent = await site.token(agent_id="other")
    for token in (await site.rival(), other_agent):
        other = await site.post(EVENT, token, Idempotency_Key="k")
        assert other.status == 201
        assert other.json()["stream_id"] != mine.json()["stream_id"]


# --- credentials ---------------------------------------------------------------------------------


def request_for(route: Any) -> tuple[str, str, dict[str, object], object]:
    """A request that is good but for its credentials."""
    path = route.path.removeprefix("/api/v1").replace("{event_id}", NO_EVENT)
    path = path.replace("{date}", "2026-03-20")
    params: dict[str, object] = {"stream_id": STREAM} if route.who == "public" else {}
    params |= {"/proof/inclusion": {"leaf_index": 0}, "/proof/consistency": {"first": 1}}.get(
        path, {}
    )
    if path == "/streams":
        params = {}
    value: object = None
    if route.method == "POST":
        value = [EVENT] if route.batch else EVENT
    return route.method, "/api/v1" + path, params, value


def guarded(*who: str) -> Any:
    # The public surface has an answer of its own for strangers: see test_tiles.
    routes = [route for route in ROUTES if route.who in who and route.path.startswith("/api/")]
    return pytest.mark.parametrize("route", routes, ids=lambda route: route.handler.__name__)


BAD = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": "Basic YTpi"},
    {"Authorization": "Bearer at_AAAA." + "A" * 43},
    {"Authorization": "Bearer ak_live_" + "a" * 62},
    {"Authorization": "Bearer é"},
]


@guarded("API key", "ingest", "read", "public")
async def test_without_good_credentials(site: Site, route: Any) -> None:
    await site.token()
    method, path, params, value = request_for(route)
    before = site.root
    for headers in BAD:
        if path == "/api/v1/streams" and not headers:
            continue
        answer = await site.call(method, path, None, value, params=params, headers=headers)
        assert (headers, answer.status) == (headers, 401)
        assert answer.kind == "invalid-credentials" if route.who == "API key" else "invalid-token"
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert site.root == before


async def test_two_authorization_headers(site: Site) -> None:
    token = await site.token()
    headers = [("Authorization", f"Bearer {token}"), ("Authorization", "Bearer x")]
    async with site.http.get("/api/v1/events", headers=headers) as response:
        assert response.status == 401


async def test_a_key_is_no_token_and_a_token_is_no_key(site: Site) -> None:
    answer = await site.post(EVENT, site.keys.both)
    assert (answer.status, answer.kind) == (401, "invalid-token")
    assert "/api/v1/attest" in answer.json()["detail"]
    answer = await site.attest(await site.token())
    assert (answer.status, answer.kind) == (401, "invalid-credentials")


@guarded("ingest", "read", "public")
async def test_scopes(site: Site, route: Any) -> None:
    await site.token()
    needed = "ingest" if route.who == "ingest" else "read"
    method, path, params, value = request_for(route)
    for scope, key in (("ingest", site.keys.ingest), ("read", site.keys.read)):
        token = await site.token(key)
        answer = await site.call(method, path, token, value, params=params)
        if scope == needed:
            assert answer.status in (200, 201, 404)
        else:
            assert (answer.status, answer.kind) == (403, "missing-scope")


async def test_stream_create(site: Site) -> None:
    new = {**EVENT, "stream_id": "acme:prod:new"}
    assert (await site.post(new)).kind == "missing-scope"
    token = await site.token(site.keys.create)
    receipt = await site.record(new, token)
    assert (receipt["stream_id"], receipt["sequence_counter"]) == ("acme:prod:new", 1)
    # Once there, every token of the tenant that may write may write to it.
    assert (await site.record(new))["sequence_counter"] == 2
    # A key that may create may also attest for a stream that is not there yet.
    session = await site.attest(site.keys.create, stream_id="acme:prod:other")
    assert session.status == 200
    site.check()


async def test_a_batch_opens_streams_once_each(site: Site) -> None:
    token = await site.token(site.keys.create)
    streams = ["acme:prod:a", "acme:prod:b", "acme:prod:a"]
    answer = await site.batch([{**EVENT, "stream_id": name} for name in streams], token)
    counters = [receipt["sequence_counter"] for receipt in answer.json()["receipts"]]
    assert counters == [1, 1, 2]
    site.check()


async def test_two_requests_open_one_stream(site: Site) -> None:
    token = await site.token(site.keys.create)
    new = {**EVENT, "stream_id": "acme:prod:new"}
    answers = await asyncio.gather(*[site.post(new, token) for _ in range(20)])
    assert sorted(answer.json()["sequence_counter"] for answer in answers) == list(range(1, 21))
    site.check()


# --- public and private --------------------------------------------------------------------------


async def test_root_and_public_streams_are_anyones(site: Site) -> None:
    await site.record()
    await asyncio.get_running_loop().run_in_executor(
        None, lambda: site.log.open_stream(PUBLIC_STREAM, public=True)
    )
    credentials = [None, "rubbish", await site.token(site.keys.ingest), await site.rival()]
    for token in credentials:
        for stream in ({}, {"stream_id": PUBLIC_STREAM}):
            for path in ("/sth", "/proof/inclusion", "/proof/consistency"):
                answer = await site.get(path, token, **stream, **BY_STREAM[path])
                assert (path, stream, answer.status) == (path, stream, 200)
    names = {one["stream_id"] for one in (await site.get("/streams")).json()["streams"]}
    assert names == {"tlog:log:operations", PUBLIC_STREAM}
    operations = await site.get("/sth", stream_id="tlog:log:operations")
    assert operations.status == 200


async def test_a_private_stream_without_a_token_is_as_one_that_is_not_there(site: Site) -> None:
    await site.record()
    for path in ("/sth", "/proof/inclusion", "/proof/consistency"):
        answers = [
            await site.get(path, None, stream_id=one, **BY_STREAM[path])
            for one in (STREAM, "acme:prod:none")
        ]
        assert {answer.status for answer in answers} == {401}
        assert answers[0].body == answers[1].body


async def test_finding_a_leaf_of_a_private_stream_by_its_hash(site: Site) -> None:
    receipt = await site.record()
    path = "/proof/inclusion"
    wanted = {"stream_id": STREAM, "hash": receipt["leaf_hash"]}
    assert (await site.get(path, None, **wanted)).status == 401
    assert (await site.get(path, await site.rival(), **wanted)).status == 404
    assert (await site.get(path, await site.token(), **wanted)).status == 200
    assert base64.b64decode(receipt["leaf_hash"])


# --- revocation ----------------------------------------------------------------------------------


async def gone_within(site: Site, token: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = await site.get("/events", token)
        if answer.status == 401:
            assert answer.kind == "invalid-token"
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_revoked_session_ends_within_a_second(site: Site) -> None:
    session = (await site.attest()).json()
    assert (await site.get("/events", session["token"])).status == 200
    site.log.accounts.revoke_session(session["session_id"])
    assert await gone_within(site, session["token"], 1.0)
    # Another session of the same key goes on.
    assert (await site.get("/events", await site.token())).status == 200


REVOKE = """
import sys
from pathlib import Path
from tlog.accounts import Accounts
accounts = Accounts.open(Path(sys.argv[1]))
accounts.revoke_key(next(key.key_id for key in accounts.list_keys() if key.tenant == "rival"))
accounts.close()
"""


async def test_a_key_revoked_by_another_process_ends_within_a_second(
    site: Site, directory: Path
) -> None:
    token = await site.rival()
    assert (await site.get("/events", token)).status == 200
    command = [sys.executable, "-c", REVOKE, str(directory / "accounts")]
    await asyncio.to_thread(subprocess.run, command, check=True)
    assert await gone_within(site, token, 1.0)
    again = await site.attest(site.keys.rival, tenant_id="rival")
    assert (again.status, again.kind) == (401, "invalid-credentials")


async def test_a_token_expires(site: Site) -> None:
    token = await site.token()
    key = site.log.accounts.authenticate(site.keys.both)
    now = site.log.clock_ms()
    expired, _ = site.log.accounts.issue_token(
        key,
        agent_id="scorer",
        code_hash="sha256:" + "a" * 64,
        stream_id=STREAM,
        now_ms=now - 1001,
        lifetime_ms=1000,
    )
    assert (await site.get("/events", token)).status == 200
    answer = await site.get("/events", expired)
    assert (answer.status, answer.kind) == (401, "invalid-token")
