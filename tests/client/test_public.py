"""Pins what others write against: the public names, their signatures, and that the client needs nothing of the server."""

from __future__ import annotations

import enum
import inspect
import subprocess
import sys

import pytest

from tests.paths import REPOSITORY
from tlog import client
from tlog.client import AuditClient, EventClass, Receipt
from tlog.events import input as schema

NAMES = """
    Anchor AuditClient BadAnswer Caught Event EventClass Failure ForkDetected InvalidInput LogKeyChanged NetworkFailure Proof
    Receipt ReceiptRejected Refused SYENAuditClient Session StateUnusable TlogError Unavailable UnknownOutcome
    UnpinnedKeyWarning VerificationError VerifyResult code_hash
"""


def test_names() -> None:
    assert client.__all__ == sorted(NAMES.split(), key=lambda name: (name.islower(), name))
    for name in client.__all__:
        assert hasattr(client, name)
    assert client.SYENAuditClient is AuditClient


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        (
            "__init__",
            "base_url tenant_id agent_id agent_code_hash api_key vkey stream_id instance timeout retry_for max_batch "
            "linger state_dir",
        ),
        ("attest", ""),
        (
            "ingest",
            "event_type payload event_class decision_surface context stream_id model_id severity actor subject_id tags "
            "occurred_at",
        ),
        ("ingest_many", "events return_exceptions"),
        ("verify", "stream_id from_sequence to_sequence"),
        ("get_proof", "event_id wait"),
        ("get_anchor", "date"),
        ("get_event", "event_id"),
        (
            "events",
            "stream_id from_ to event_class event_type model_id actor_id severity tag page",
        ),
        ("aclose", ""),
    ],
)
def test_signatures(method: str, parameters: str) -> None:
    signature = inspect.signature(getattr(AuditClient, method))
    assert list(signature.parameters)[1:] == parameters.split()


def test_methods_and_receipts() -> None:
    methods = "aclose attest events get_anchor get_event get_proof ingest ingest_many verify"
    assert sorted(name for name in vars(AuditClient) if name[0] != "_") == methods.split()
    attributes = (
        "block_hash event_id inclusion leaf_hash log_key_pinned previous_hash raw replayed root save sequence_counter "
        "stream_id timestamp velocity_flag_triggered"
    )
    assert sorted(name for name in vars(Receipt) if name[0] != "_") == attributes.split()


def test_event_classes_are_those_of_the_log() -> None:
    assert issubclass(EventClass, str)
    assert issubclass(EventClass, enum.Enum)
    assert tuple(item.value for item in EventClass) == schema.EventClass.__args__  # type: ignore[attr-defined]
    assert all(item.name == item.value for item in EventClass)


def test_the_client_needs_nothing_of_the_server() -> None:
    program = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        absent = "lmdb msgpack uvloop prometheus_client pymerkle rfc3161ng rfc3161_client".split()
        if name.partition(".")[0] in absent:
            raise ImportError(f"{name} is not installed")

sys.meta_path.insert(0, Blocked())
from tlog.client import *
import tlog.client.sync
print(*sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    modules = done.stdout.split()
    ours = {name.split(".")[1] for name in modules if name.startswith("tlog.")}
    assert ours == {"client", "core", "errors", "events", "verdicts"}
    assert "aiohttp.web" not in modules
