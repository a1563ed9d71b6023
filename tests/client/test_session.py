"""Proves that wrong parameters are explained before anything is sent, keys are believed by the rule, attest speaks to humans."""

from __future__ import annotations

import hashlib
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.client.trees import RootLog
from tlog.client import AuditClient, code_hash
from tlog.client.errors import BadAnswer, LogKeyChanged, NetworkFailure, UnpinnedKeyWarning
from tlog.client.pins import Pins
from tlog.client.session import Identity, LogKey, _sentence, _session, check_code_hash
from tlog.core.times import format_ms
from tlog.errors import InvalidInput, Refused, TlogError, Unavailable

IDENTITY = Identity("acme", "Scorer", "sha256:" + "0" * 64, None, None)
DIGEST = hashlib.sha256(b"code").hexdigest()


def test_the_hash_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "agent.py"
    for content in (b"", b"code", b"x" * 3_000_000):
        path.write_bytes(content)
        assert code_hash(path) == "sha256:" + hashlib.sha256(content).hexdigest()


def test_code_hashes_in_both_spellings() -> None:
    assert check_code_hash(DIGEST) == check_code_hash(f"sha256:{DIGEST}") == f"sha256:{DIGEST}"


@pytest.mark.parametrize(
    "text",
    [
        "sha256-hash-of-your-agent-code",
        "",
        DIGEST[:-1],
        DIGEST.upper(),
        f"sha512:{DIGEST}",
        f" {DIGEST}",
        f"{DIGEST}\n",
    ],
)
def test_other_code_hashes_are_explained(text: str) -> None:
    with pytest.raises(ValueError, match=r"tlog\.client\.code_hash\(__file__\)"):
        AuditClient("http://h", "acme", "scorer", text)


@pytest.mark.parametrize("options", [{"max_batch": 0}, {"max_batch": 10_001}])
def test_other_bounds_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="max_batch"):
        AuditClient("http://h", "acme", "scorer", DIGEST, **options)


def test_a_configured_key_is_the_only_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, other = RootLog(seed=1), RootLog(seed=2)
    key = LogKey(log.vkey, Pins(tmp_path))
    assert key.pinned
    with warnings.catch_warnings(record=True) as heard:
        assert key.accept(log.vkey).vkey == log.vkey
    assert not heard
    with pytest.raises(LogKeyChanged, match="vkey="):
        key.accept(other.vkey)
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("TLOG_VKEY", "log.example.com+nonsense")
    with pytest.raises(InvalidInput):
        AuditClient("http://h", "acme", "scorer", DIGEST)


def test_a_key_is_believed_once_with_a_warning(tmp_path: Path) -> None:
    log, other = RootLog(seed=1), RootLog(seed=2)
    key = LogKey(None, Pins(tmp_path))
    assert not key.pinned
    with pytest.warns(UnpinnedKeyWarning, match="TLOG_VKEY"):
        assert key.accept(log.vkey).vkey == log.vkey
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for later in (key, LogKey(None, Pins(tmp_path))):
            assert later.accept(log.vkey).vkey == log.vkey
            with pytest.raises(LogKeyChanged, match="not the same log"):
                later.accept(other.vkey)


def answer(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "token": "tok",
        "token_type": "Bearer",
        "expires_at": format_ms(int(time.time() * 1000) + 900_000),
        "session_id": "ses",
        "stream_id": "acme:prod:scorer",
        "log_prefix": "/streams/x/",
        "vkey": RootLog().vkey,
        "producer": {"id": "scorer", "next_sequence": 5},
    }
    return {**document, **changes}


def test_a_session() -> None:
    session = _session(answer())
    assert (session.producer_id, session.next_sequence) == ("scorer", 5)
    assert "tok" not in repr(session)
    assert 700 < session.renew_at - time.monotonic() < 725
    # The clock of the log seems to be far behind: the token is used until the log says otherwise.
    assert _session(answer(expires_at="2020-01-01T00:00:00.000Z")).renew_at == float("inf")


@pytest.mark.parametrize(
    "changes",
    [
        {"token": 5},
        {"session_id": ""},
        {"session_id": "a\nb"},
        {"session_id": 5},
        {"token": "a\r\nX: y"},
        {"vkey": "no"},
        {"stream_id": 'acme:prod:"'},
        {"stream_id": None},
        {"expires_at": "soon"},
        {"expires_at": None},
        {"producer": None},
        {"producer": {"id": 'x"', "next_sequence": 1}},
        {"producer": {"id": "x", "next_sequence": 0}},
        {"producer": {"id": "x", "next_sequence": True}},
        {"producer": {"id": "x", "next_sequence": "1"}},
        {"producer": {"id": "x"}},
        {"producer": []},
    ],
)
def test_a_session_of_another_form_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer):
        _session(answer(**changes))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NetworkFailure("no answer from http://h: refused"), "Is the log running"),
        (BadAnswer("the answer is not JSON"), "not the API of a log"),
        (Refused("invalid-credentials", "?"), "does not accept this API key"),
        (Refused("foreign-tenant", "?", "/tenant_id"), "does not belong to the tenant 'acme'"),
        (
            InvalidInput("invalid-value", "lower case only", "/agent_id"),
            "agent_id 'Scorer' is refused: lower",
        ),
        (
            InvalidInput("invalid-value", "lower case only", "/tenant_id"),
            "tenant_id 'acme' is refused",
        ),
        (Refused("not-found", "there is no stream x", "/stream_id"), "there is no stream x"),
        (Unavailable("overloaded", "too many"), "refuses to attest: too many"),
    ],
)
def test_sentences(error: TlogError, words: str) -> None:
    assert words in _sentence(error, IDENTITY, "http://h")
