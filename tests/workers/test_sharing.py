"""What several processes must agree on: keys of the API, allowances, pseudonyms, erasure."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.workers.conftest import Served
from tests.workers.site import EVENT, Keys, Run, serve
from tlog.accounts import Accounts
from tlog.core.ids import parse_event_id
from tlog.keys import FileKey
from tlog.vault import Vault

pytestmark = pytest.mark.e2e

FRONTS = 2


@contextmanager
def connections(run: Run) -> Iterator[list[http.client.HTTPConnection]]:
    """So many open connections that each front end most likely has some."""
    opened = [http.client.HTTPConnection(run.netloc, timeout=60) for _ in range(16)]
    for one in opened:
        one.connect()
    yield opened
    for one in opened:
        one.close()


def status(connection: http.client.HTTPConnection, token: str) -> int:
    """The status of a read with this token."""
    connection.request("GET", "/api/v1/streams", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_a_revoked_key_is_refused_by_all_within_a_second(directory: Path, keys: Keys) -> None:
    """And so is its token."""
    with serve(directory) as run, connections(run) as opened:
        token = run.attest(keys.key)
        assert {status(one, token) for one in opened} == {200}
        accounts = Accounts.open(directory / "accounts")
        accounts.revoke_key(keys.key_id)
        accounts.close()
        time.sleep(1.0)
        assert {status(one, token) for one in opened} == {401}
        refused = run.call(
            "POST",
            "/api/v1/attest",
            keys.key,
            {"tenant_id": "acme", "agent_id": "scorer", "agent_code_hash": "5" * 64},
        )
        assert refused.status == 401


def test_an_allowance_is_one_for_all(directory: Path, keys: Keys) -> None:
    """100 events at once and 0.001 a second: of 150 requests through all front ends, 100 are let through."""
    with serve(directory, FRONTS, rate_events=0.001, rate_burst=100_000) as run:
        token = run.attest(keys.key)
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda _: run.post(token), range(150)))
        assert sorted({one.status for one in answers}) == [201, 429]
        assert sum(one.status == 201 for one in answers) == 100
        assert all("Retry-After" in one.headers for one in answers if one.status == 429)


def test_requests_count_wherever_they_are_answered(directory: Path, keys: Keys) -> None:
    """What front ends pass on is taken from the same allowance, once."""
    with serve(directory, FRONTS, rate_requests=0.001, rate_burst=40_000) as run:
        token = run.attest(keys.key)  # 1
        codes = []
        for number in range(60):
            path = "/api/v1/streams" if number % 2 else "/api/v1/sth?stream_id=acme:prod:scorer"
            codes.append(run.call("GET", path, token).status)
        assert codes == [200] * 39 + [429] * 21


def test_one_person_has_one_pseudonym(served: Served) -> None:
    """However many front ends meet a new person at the same moment."""
    run, _, token = served
    barrier = threading.Barrier(8)

    def record(number: int) -> str:
        event = {
            **EVENT,
            "subject_id": f"new person {number // 8}",
            "actor": {"type": "USER", "id": f"new actor {number // 8}"},
        }
        barrier.wait()
        answer = run.post(token, event)
        assert answer.status == 201, answer
        record = _entry(answer.json()["entry"])["payload"]
        return f"{number // 8} {record['subject']} {record['actor']['id']}"

    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(record, range(160)))
    assert len(names) == 20


def _entry(text: str) -> dict[str, dict[str, object]]:
    import base64

    entry: dict[str, dict[str, object]] = json.loads(base64.b64decode(text))
    return entry


@pytest.fixture
def erased(directory: Path) -> Iterator[Vault]:
    """The vault as a command opens it beside the processes that serve."""
    vault = Vault.open(directory / "keys", FileKey(directory / "vault.key"))
    yield vault
    vault.close()


def test_an_erasure_is_seen_by_all_within_a_second(
    directory: Path, keys: Keys, erased: Vault
) -> None:
    """Payloads of the person cannot be opened any more, and the next event has another pseudonym."""
    with serve(directory) as run, connections(run) as opened:
        token = run.attest(keys.key)
        event = {**EVENT, "subject_id": "forget me"}
        receipts = [run.post(token, event).json() for _ in range(8)]
        subject = _entry(receipts[0]["entry"])["payload"]["subject"]
        assert {_payload(one, token, receipts[0]["event_id"]) for one in opened} == {"present"}
        erased.destroy_subject("acme", str(subject))
        time.sleep(1.0)
        shown = {_payload(one, token, receipts[0]["event_id"]) for one in opened}
        assert "present" not in shown
        again = {
            str(_entry(run.post(token, event).json()["entry"])["payload"]["subject"])
            for _ in range(8)
        }
        assert len(again) == 1 and subject not in again


def _payload(connection: http.client.HTTPConnection, token: str, event_id: str) -> str:
    parse_event_id(event_id)
    headers = {"Authorization": f"Bearer {token}"}
    connection.request("GET", f"/api/v1/events/{event_id}", headers=headers)
    answer = connection.getresponse()
    return str(json.loads(answer.read())["payloadStatus"])


def test_the_vault_can_be_rewritten_while_front_ends_serve(directory: Path, keys: Keys) -> None:
    """No front end opens the environment of the keys: `users.lock` has one user, the process that commits."""
    with serve(directory) as run:
        run.post(run.attest(keys.key), {**EVENT, "subject_id": "p"})
        lock = str(directory / "keys" / "users.lock")
        holders = [
            pid
            for pid in [*run.processes("front"), *run.processes("sequencer")]
            if any(_target(path) == lock for path in Path(f"/proc/{pid}/fd").iterdir())
        ]
        assert holders == run.processes("sequencer")


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
