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


def test_a_key_is_known_at_once_and_revoked_for_all_within_a_second(served: Served) -> None:
    """And so is its token."""
    run = served.run
    accounts = Accounts.open(served.directory / "accounts")
    try:
        key, kept = accounts.create_key("acme")
        with connections(run) as opened:
            token = run.attest(key)
            assert {status(one, token) for one in opened} == {200}
            accounts.revoke_key(kept.key_id)
            time.sleep(1.0)
            assert {status(one, token) for one in opened} == {401}
            asked = {"tenant_id": "acme", "agent_id": "scorer", "agent_code_hash": "5" * 64}
            assert run.call("POST", "/api/v1/attest", key, asked).status == 401
    finally:
        accounts.close()


def test_allowances_are_one_for_all(directory: Path, keys: Keys) -> None:
    """40 requests and 40 events at once, hardly any later: so many are let through, wherever they are answered."""
    limits = {"rate_requests": 0.001, "rate_events": 0.001, "rate_burst": 40_000}
    with serve(directory, 2, **limits) as run:
        token = run.attest(keys.key)  # the first request
        paths = ["/api/v1/streams", "/api/v1/sth?stream_id=acme:prod:scorer"]  # here, passed on
        codes = [run.call("GET", paths[number % 2], token).status for number in range(50)]
        assert codes == [200] * 39 + [429] * 11
        rival = run.attest(keys.rival, tenant="rival")
        assert run.batch(rival, [EVENT] * 25).status == 201
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda _: run.post(rival), range(30)))
        assert sum(one.status == 201 for one in answers) == 15
        assert {one.status for one in answers} == {201, 429}
        assert all("Retry-After" in one.headers for one in answers if one.status == 429)


def test_one_person_has_one_pseudonym(served: Served) -> None:
    """However many front ends meet a new person at the same moment."""
    run, token = served.run, served.token
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


def test_an_erasure_is_seen_by_all_within_a_second(served: Served) -> None:
    """Payloads of the person cannot be opened any more, and the next event has another pseudonym."""
    run, token = served.run, served.token
    event = {**EVENT, "subject_id": "forget me"}
    # As a command opens it beside the processes that serve.
    vault = Vault.open(served.directory / "keys", FileKey(served.directory / "vault.key"))
    try:
        with connections(run) as opened:
            receipts = [run.post(token, event).json() for _ in range(8)]
            subject = str(_entry(receipts[0]["entry"])["payload"]["subject"])
            event_id = receipts[0]["event_id"]
            assert {_payload(one, token, event_id) for one in opened} == {"present"}
            vault.destroy_subject("acme", subject)
            time.sleep(1.0)
            assert {_payload(one, token, event_id) for one in opened} == {"withheld"}
            entries = [_entry(run.post(token, event).json()["entry"]) for _ in range(8)]
            again = {str(entry["payload"]["subject"]) for entry in entries}
            assert len(again) == 1 and subject not in again
    finally:
        vault.close()


def _payload(connection: http.client.HTTPConnection, token: str, event_id: str) -> str:
    parse_event_id(event_id)
    headers = {"Authorization": f"Bearer {token}"}
    connection.request("GET", f"/api/v1/events/{event_id}", headers=headers)
    answer = connection.getresponse()
    return str(json.loads(answer.read())["payloadStatus"])


def test_front_ends_leave_the_keys_alone(served: Served) -> None:
    """`users.lock` has one user, so that its file can be replaced while the log is served."""
    run = served.run
    run.post(served.token, {**EVENT, "subject_id": "p"})
    lock = str(served.directory / "keys" / "users.lock")
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
