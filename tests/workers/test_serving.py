"""Through two front ends, a new connection for each request: events in, receipts out, and everything readable at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.paths import REPOSITORY
from tests.workers.conftest import Served
from tests.workers.site import EVENT, STREAM
from tlog.core.receipt import verify_batch, verify_receipt

pytestmark = pytest.mark.e2e


def test_receipts_hold(served: Served) -> None:
    """Of one event, of a batch, of a repeated request, of a producer's sequence."""
    run, token = served.run, served.token
    single = run.post(token)
    assert single.status == 201
    verify_receipt(single.json(), run.verifier)
    batch = run.batch(token, [{**EVENT, "subject_id": f"p{n}"} for n in range(300)])
    assert batch.status == 201
    verify_batch(batch.json(), run.verifier)
    first = run.post(token, Idempotency_Key="k1")
    again = [run.post(token, Idempotency_Key="k1") for _ in range(8)]
    assert (first.status, {one.status for one in again}) == (201, {200})
    assert {one.json()["event_id"] for one in again} == {first.json()["event_id"]}
    for one in again:
        assert one.json()["replayed"]
        verify_receipt(one.json(), run.verifier)
    other = run.post(token, {**EVENT, "event_type": "other"}, Idempotency_Key="k1")
    assert (other.status, other.kind) == (409, "conflict")
    produced = {**EVENT, "producer": {"id": "scorer", "sequence": 1}}
    assert [run.post(token, produced).status for _ in range(4)] == [201, 200, 200, 200]
    gap = run.post(token, {**EVENT, "producer": {"id": "scorer", "sequence": 3}})
    assert (gap.status, gap.kind, gap.json()["expected"]) == (409, "producer-gap", 2)


def test_what_is_answered_is_readable_everywhere(served: Served) -> None:
    """200 times: record an event on one connection, read it on the next, which another process may have."""
    run, token = served.run, served.token
    for number in range(100):
        receipt = run.post(token, {**EVENT, "payload": {"n": number}}).json()
        found = run.call("GET", f"/api/v1/events/{receipt['event_id']}", token)
        assert found.status == 200, (number, found)
        event = found.json()
        assert event["verified"] and event["payload"] == {"n": number}
        size = receipt["sequence_counter"] + 1
        query = f"?stream_id={STREAM}&leaf_index=0&tree_size={size}"
        assert run.call("GET", "/api/v1/proof/inclusion" + query, token).status == 200


def test_a_new_stream_is_known_everywhere(served: Served) -> None:
    """A stream that one front end, or the process that commits, has opened is open for all."""
    run, keys, token = served.run, served.keys, served.token
    for number in range(20):
        name = f"acme:prod:new{number}"
        event = {**EVENT, "stream_id": name}
        assert run.post(token, event).status == 201
        sth = run.call("GET", f"/api/v1/sth?stream_id={name}", token)
        assert (sth.status, sth.json()["tree_size"]) == (200, 2)
        page = run.call("GET", f"/api/v1/events?stream_id={name}", token).json()
        assert len(page["events"]) == 2  # the genesis too
        fresh = run.attest(keys.key, agent=f"agent{number}")
        assert run.post(fresh).json()["sequence_counter"] == 1


@pytest.mark.slow
def test_the_black_box_suite_passes(served: Served) -> None:
    """What `conformance/http` demands of one process it finds in several."""
    run, keys = served.run, served.keys
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "conformance/http"],
        cwd=REPOSITORY,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
            "BASE_URL": run.url,
            "API_KEY": keys.key,
            "RIVAL_KEY": keys.rival,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
