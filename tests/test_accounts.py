"""Proves that API keys and tokens let in exactly whom they should, that nothing stored gives a key back, and that a revocation by
another process reaches a running one within a second. Real LMDB files and real second processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lmdb
import orjson
import pytest

from tlog import accounts as module
from tlog.accounts import SCOPES, Accounts
from tlog.core.canonical import canonical
from tlog.errors import CorruptStore, InvalidInput, Refused
from tlog.tokens import MAX_TOKEN_LENGTH, TOKEN_LIFETIME_MS, ApiKey, Session

NOW = 1_790_000_000_000
CODE = "sha256:" + "ab" * 32


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.ms = NOW

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(tmp_path: Path, clock: Clock) -> Iterator[Accounts]:
    """New accounts with the tenant acme."""
    made = Accounts.create(tmp_path / "accounts", clock)
    made.create_tenant("acme")
    yield made
    made.close()


def issue(accounts: Accounts, key: ApiKey, **changes: Any) -> tuple[str, Session]:
    arguments: dict[str, Any] = {
        "agent_id": "agent-1", "code_hash": CODE, "stream_id": "acme:prod:agent-1", "now_ms": NOW,
    }  # fmt: skip
    return accounts.issue_token(key, **{**arguments, **changes})


def refused(kind: str, call: Callable[..., object], *arguments: Any) -> None:
    with pytest.raises(Refused) as caught:
        call(*arguments)
    assert caught.value.kind == kind


def file_bytes(path: Path) -> bytes:
    return b"\0".join(file.read_bytes() for file in (path / "accounts").iterdir())


def second_process(path: Path, code: str) -> str:
    """Run `code` in another process with the accounts open as `accounts`; returns what it printed."""
    script = (
        "import sys, pathlib\nfrom tlog.accounts import Accounts\n"
        f"accounts = Accounts.open(pathlib.Path(sys.argv[1]) / 'accounts')\n{code}\naccounts.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, os.fspath(path)], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def within_a_second(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 1.0
    while not condition():
        assert time.monotonic() < deadline, "not seen within a second"
        time.sleep(0.02)


def is_refused(call: Callable[..., object], *arguments: Any) -> bool:
    try:
        call(*arguments)
    except Refused:
        return True
    return False


# ---- tenants and keys --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", "Acme", "a:b", "-a", ".a", "_a", "a" * 64, "a b", "a\n", "ä", "a\0"]
)
def test_tenant_grammar(accounts: Accounts, name: str) -> None:
    """Design §2.1: [a-z0-9][a-z0-9._-]{0,62}; environments alike."""
    with pytest.raises(InvalidInput):
        accounts.create_tenant(name)
    with pytest.raises(InvalidInput):
        accounts.create_key("acme", name)


def test_tenants(accounts: Accounts) -> None:
    """Never twice, never the log's own."""
    accounts.create_tenant("a" * 63)
    accounts.create_tenant("0._-")
    refused("exists", accounts.create_tenant, "acme")
    refused("reserved", accounts.create_tenant, "tlog")

    assert accounts.list_tenants() == ["0._-", "a" * 63, "acme"]


def test_key(accounts: Accounts, tmp_path: Path, clock: Clock) -> None:
    """Its text lets in, now and after a restart, with environment and scopes as given."""
    text, key = accounts.create_key("acme", "staging", ["admin", "read"], "for the auditor")
    plain_text, plain = accounts.create_key("acme")

    assert text.startswith("ak_live_" + key.key_id)
    assert len(text) == 8 + 10 + 52
    assert key == ApiKey(
        key.key_id, "acme", "staging", frozenset({"admin", "read"}), NOW, None, "for the auditor"
    )
    assert (plain.environment, plain.scopes) == ("prod", frozenset({"ingest", "read"}))
    accounts.close()
    again = Accounts.open(tmp_path / "accounts", clock)
    assert (again.authenticate(text), again.authenticate(plain_text)) == (key, plain)
    assert {k.key_id for k in again.list_keys()} == {key.key_id, plain.key_id}
    assert again.list_keys("bank") == []
    again.close()


def test_key_refused(accounts: Accounts) -> None:
    """Every other character anywhere, other ids with the right secret, other shapes: one and the same answer."""
    text, _ = accounts.create_key("acme")
    other, _ = accounts.create_key("acme")
    assert accounts.authenticate(text)

    wrong = [text[:i] + ("a" if text[i] != "a" else "b") + text[i + 1 :] for i in range(len(text))]
    wrong += [
        text[:18] + other[18:],
        other[:18] + text[18:],
        text[:-1],
        text + "a",
        text.upper(),
        "",
    ]
    wrong += [text + "\n", " " + text, text[:-1] + "é", text[:-1] + "\ud800", "ak_live_"]
    for candidate in wrong:
        with pytest.raises(Refused) as caught:
            accounts.authenticate(candidate)
        assert (caught.value.kind, caught.value.detail) == (
            "invalid-credentials",
            "the API key is not valid",
        )


def test_unknown_id_is_compared_too(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """An id that does not exist costs the same comparison as one that does."""
    text, _ = accounts.create_key("acme")
    compared: list[tuple[bytes, bytes]] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return a == b

    monkeypatch.setattr(module.hmac, "compare_digest", compare)
    refused("invalid-credentials", accounts.authenticate, text[:-1] + "?")
    assert compared == []
    refused("invalid-credentials", accounts.authenticate, text[:8] + "a" * 62)
    refused("invalid-credentials", accounts.authenticate, text[:18] + "a" * 52)

    assert [(len(a), len(b)) for a, b in compared] == [(32, 32), (32, 32)]


def test_key_text_is_kept_nowhere(accounts: Accounts, tmp_path: Path) -> None:
    """Neither the files nor any repr hold the secret, its hash's hex, or a token's key."""
    text, key = accounts.create_key("acme")
    token, session = issue(accounts, key)
    secret = text[18:]
    content = file_bytes(tmp_path)

    assert key.key_id.encode() in content
    assert secret.encode() not in content
    assert not any(secret[i : i + 12].encode() in content for i in range(len(secret) - 11))
    assert token.encode() not in content
    shown = repr(vars(accounts)) + repr((key, session, list(accounts._keys.values())))
    assert secret not in shown
    assert repr(module._digest(secret)) not in shown


def test_scopes(accounts: Accounts) -> None:
    """The four, any set of them but the empty one; nothing else. A session has its key's."""
    assert {"ingest", "read", "admin", "stream:create"} == SCOPES
    for scope in SCOPES:
        _, key = accounts.create_key("acme", scopes=[scope])
        token, _ = issue(accounts, key)
        assert accounts.session(token, NOW).scopes == {scope}
    for wrong in ([], ["write"], ["read", "READ"], "read"):
        with pytest.raises(InvalidInput):
            accounts.create_key("acme", scopes=wrong)
    with pytest.raises(InvalidInput):
        accounts.create_key("acme", name="a\nb")
    refused("not-found", accounts.create_key, "nobody")


def test_revoked_key(accounts: Accounts, tmp_path: Path, clock: Clock) -> None:
    """Key and tokens end at once, for good, others go on; the time of the first revocation stays."""
    text, key = accounts.create_key("acme")
    other_text, other = accounts.create_key("acme")
    token, _ = issue(accounts, key)
    other_token, _ = issue(accounts, other)
    assert accounts.session(token, NOW)
    clock.ms = 0  # a clock at zero revokes as well as any
    accounts.revoke_key(key.key_id)
    clock.ms = NOW
    accounts.revoke_key(key.key_id)

    for _ in range(2):
        refused("invalid-credentials", accounts.authenticate, text)
        refused("invalid-token", accounts.session, token, NOW)
        assert accounts.authenticate(other_text) == other
        assert accounts.session(other_token, NOW)
        assert [k.revoked_ms for k in accounts.list_keys() if k.key_id == key.key_id] == [0]
        accounts.close()
        accounts = Accounts.open(tmp_path / "accounts", clock)
    for unknown in ("aaaaaaaaaa", "", key.key_id + "x", "a" * 600):
        refused("not-found", accounts.revoke_key, unknown)
    accounts.close()


# ---- tokens ------------------------------------------------------------------------------------


def test_token(accounts: Accounts, tmp_path: Path, clock: Clock) -> None:
    """It says what it was issued for, from the cache and without, and after a restart."""
    _, key = accounts.create_key("acme", "staging")
    token, session = issue(accounts, key, agent_id='a"\u20ac', stream_id="acme:staging:s")

    assert (session.tenant, session.environment, session.key_id) == ("acme", "staging", key.key_id)
    assert (session.agent_id, session.code_hash, session.stream_id) == (
        'a"\u20ac',
        CODE,
        "acme:staging:s",
    )
    assert session.expires_ms == NOW + TOKEN_LIFETIME_MS == NOW + 900_000
    agent = {"id": 'a"\u20ac', "codeHash": CODE, "session": session.session_id, "assurance": "self"}
    assert orjson.loads(session.agent_json) == agent
    assert session.agent_json == canonical(agent)
    assert accounts.session(token, NOW) == accounts.session(token, NOW) == session
    accounts.close()
    again = Accounts.open(tmp_path / "accounts", clock)
    assert again.session(token, NOW) == session
    assert issue(again, key)[1].session_id != session.session_id
    again.close()


def test_token_expires(accounts: Accounts) -> None:
    """Valid to the last millisecond before, and not at it, cached or not."""
    _, key = accounts.create_key("acme")
    token, session = issue(accounts, key, lifetime_ms=1000)
    refused("invalid-token", accounts.session, token, NOW + 1000)
    assert accounts.session(token, NOW + 999) == session
    refused("invalid-token", accounts.session, token, NOW + 1000)
    for lifetime in (0, -1, 24 * 3_600_000 + 1):
        with pytest.raises(AssertionError, match="tlog: a token"):
            issue(accounts, key, lifetime_ms=lifetime)


def test_tampered_token(accounts: Accounts) -> None:
    """Every single bit, every other spelling and length is refused, before and after the true one was cached."""
    _, key = accounts.create_key("acme")
    token, session = issue(accounts, key)
    other, _ = issue(accounts, key)

    wrong = [
        token[:i] + chr(ord(token[i]) ^ 1 << b) + token[i + 1 :]
        for i in range(len(token))
        for b in range(7)
    ]
    # The last character of base64url carries unused bits: a decoder would let these pass.
    wrong += [
        token[:-1] + c
        for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        if c != token[-1]
    ]
    body, _, mac = token.partition(".")
    wrong += [
        body,
        body + ".",
        "." + mac,
        mac,
        body[3:] + "." + mac,
        f"{body}=.{mac}",
        f"{body}.{mac}=",
        token + "\n",
    ]
    wrong += [
        f"{body}.{other.partition('.')[2]}",
        f"{other.partition('.')[0]}.{mac}",
        "",
        "é",
        "\ud800",
        token * 20,
    ]
    wrong += [token[:i] for i in range(len(token))]
    for _ in range(2):
        for candidate in wrong:
            with pytest.raises(Refused) as caught:
                accounts.session(candidate, NOW)
            assert caught.value.kind == "invalid-token"
        assert accounts.session(token, NOW) == session


def test_token_of_another_log(accounts: Accounts, tmp_path: Path, clock: Clock) -> None:
    """Each log has a token key of its own."""
    _, key = accounts.create_key("acme")
    foreign = Accounts.create(tmp_path / "other", clock)
    token, _ = issue(foreign, key)
    refused("invalid-token", accounts.session, token, NOW)
    foreign.close()


def test_too_long_a_token(accounts: Accounts) -> None:
    """What session would refuse for its length is not issued."""
    _, key = accounts.create_key("acme")
    with pytest.raises(InvalidInput):
        issue(accounts, key, agent_id="a" * MAX_TOKEN_LENGTH)


def test_revoked_session(accounts: Accounts, tmp_path: Path, clock: Clock) -> None:
    """That session ends, its key's others do not; the row goes when the token must have expired."""
    _, key = accounts.create_key("acme")
    token, session = issue(accounts, key, lifetime_ms=24 * 3_600_000)
    other_token, other = issue(accounts, key)
    assert accounts.session(token, NOW)
    accounts.revoke_session(session.session_id)

    refused("invalid-token", accounts.session, token, NOW)
    assert accounts.session(other_token, NOW)
    clock.ms = session.expires_ms - 1
    accounts.revoke_session(other.session_id)
    assert session.session_id.encode() in b"".join(key for key, _ in accounts._rows.scan(b"S"))
    accounts.close()
    again = Accounts.open(tmp_path / "accounts", clock)
    refused("invalid-token", again.session, token, clock.ms)
    clock.ms = session.expires_ms
    again.revoke_session(other.session_id)
    assert [key for key, _ in again._rows.scan(b"S")] == [b"S" + other.session_id.encode()]
    for wrong in ("", "ses_", session.session_id + "x", "x" * 600):
        refused("not-found", again.revoke_session, wrong)
    again.close()


# ---- other processes ---------------------------------------------------------------------------


def test_second_process_revokes(accounts: Accounts, tmp_path: Path) -> None:
    """Key and cached token end in the running process within a second of the command's end."""
    text, key = accounts.create_key("acme")
    token, _ = issue(accounts, key)
    assert accounts.authenticate(text)
    assert accounts.session(token, NOW)
    second_process(tmp_path, f"accounts.revoke_key({key.key_id!r})")

    within_a_second(lambda: is_refused(accounts.session, token, NOW))
    assert is_refused(accounts.authenticate, text)


def test_second_process_revokes_session(accounts: Accounts, tmp_path: Path) -> None:
    """The same for one session."""
    _, key = accounts.create_key("acme")
    token, session = issue(accounts, key)
    assert accounts.session(token, NOW)
    second_process(tmp_path, f"accounts.revoke_session({session.session_id!r})")

    within_a_second(lambda: is_refused(accounts.session, token, NOW))


def test_second_process_creates(
    accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant and a key made by a command work at once in the running process; its own writes keep the other's."""
    monkeypatch.setattr("tlog.accounts.LOOK_INTERVAL", 3600.0)
    accounts.list_tenants()
    text = second_process(
        tmp_path, "accounts.create_tenant('bank')\nprint(accounts.create_key('bank')[0])"
    )

    assert accounts.authenticate(text).tenant == "bank"
    accounts.create_key("bank")
    assert accounts.list_tenants() == ["acme", "bank"]
    assert len(accounts.list_keys("bank")) == 2


def test_token_of_a_key_that_another_process_has_just_made(
    accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlog.accounts.LOOK_INTERVAL", 3600.0)
    accounts.list_tenants()
    token = second_process(
        tmp_path,
        "key = accounts.create_key('acme')[1]\n"
        "print(accounts.issue_token(key, agent_id='bot', code_hash='a' * 64, "
        f"stream_id='acme:prod:bot', now_ms={NOW})[0])",
    )
    assert accounts.session(token, NOW).agent_id == "bot"


def test_own_commit_does_not_hide_anothers(accounts: Accounts, tmp_path: Path) -> None:
    """A write of ours between another's commit and our next look loses nothing of theirs."""
    text, key = accounts.create_key("acme")
    second_process(tmp_path, f"accounts.revoke_key({key.key_id!r})")
    accounts.create_tenant("bank")

    refused("invalid-credentials", accounts.authenticate, text)


def test_revoking_beside_requests(accounts: Accounts) -> None:
    """While threads ask, a key is revoked: from the call's return on, nobody gets in."""
    _, key = accounts.create_key("acme")
    token, _ = issue(accounts, key)
    revoked = threading.Event()
    late: list[Session] = []

    def ask() -> None:
        while True:
            was_revoked = revoked.is_set()
            try:
                session = accounts.session(token, NOW)
            except Refused:
                return
            if was_revoked:
                late.append(session)
                return

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    accounts.revoke_key(key.key_id)
    revoked.set()
    for thread in threads:
        thread.join()

    assert late == []


# ---- the file ----------------------------------------------------------------------------------


def test_create_and_open(accounts: Accounts, tmp_path: Path) -> None:
    """Creating is separate from opening; files are private."""
    assert {p.stat().st_mode & 0o777 for p in (tmp_path / "accounts").iterdir()} == {0o600}
    accounts.close()
    refused("exists", Accounts.create, tmp_path / "accounts")
    with pytest.raises(InvalidInput):
        Accounts.open(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_damaged_row(accounts: Accounts, tmp_path: Path) -> None:
    """A changed byte, or a row in another's place, is refused at open: no scope or tenant by bit rot."""
    _, key = accounts.create_key("acme")
    _, other = accounts.create_key("acme", scopes=["admin"])
    accounts.close()

    def put(row: bytes, value: bytes) -> None:
        with lmdb.open(os.fspath(tmp_path / "accounts")) as env, env.begin(write=True) as txn:
            txn.put(row, value)

    with lmdb.open(os.fspath(tmp_path / "accounts")) as env, env.begin() as txn:
        rows = dict(txn.cursor())
    first, second = (b"K" + k.key_id.encode() for k in (key, other))
    right = rows[first]
    wrong = [right[:i] + bytes([right[i] ^ 1]) + right[i + 1 :] for i in range(len(right))]
    for value in [*wrong, rows[second], rows[b"Tacme"], b""]:
        put(first, value)
        with pytest.raises(CorruptStore):
            Accounts.open(tmp_path / "accounts")
    put(first, right)
    put(b"M", rows[b"M"][:-1])
    with pytest.raises(CorruptStore):
        Accounts.open(tmp_path / "accounts")
    put(b"M", rows[b"M"])
    Accounts.open(tmp_path / "accounts").close()


def test_damage_seen_while_running(accounts: Accounts, tmp_path: Path) -> None:
    """A row that is found damaged shuts everybody out, again and again, rather than leaving old rows in force."""
    text, key = accounts.create_key("acme")
    second_process(
        tmp_path,
        f"with accounts._rows.write() as txn: txn.put(b'K' + {key.key_id!r}.encode(), b'damaged')",
    )

    def shut() -> bool:
        try:
            accounts.authenticate(text)
        except CorruptStore:
            return True
        return False

    within_a_second(shut)
    assert shut()
    assert shut()
