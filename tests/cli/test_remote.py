"""`tlog verify URL`: what is checked here is really checked, so a server that lies about it is caught, with code 1."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import EVENTS, ORIGIN, PUBLIC, STREAM, Call, Served
from tests.cli.test_verify import Terminal
from tlog.cli.demo.processes import tlog
from tlog.client.transport import Answer, Transport
from tlog.core.note import Signer, parse_skey, sign_note
from tlog.core.wire import b64encode
from tlog.inspection import Inspection

Edit = Callable[[dict[str, Any]], Any]
ZEROS = b64encode(bytes(32))


@pytest.fixture
def lie(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Edit], None]:
    """Make the server's answers to a path be edited on their way."""
    edits: dict[str, Edit] = {}
    honest = Transport.request

    async def request(self: Transport, method: str, path: str, **options: Any) -> Answer:
        answer = await honest(self, method, path, **options)
        key = path + ("?" if options.get("params") else "")
        for wanted, edit in edits.items():
            if key.startswith(wanted):
                document = answer.object()
                changed = edit(document)
                body = json.dumps(document if changed is None else changed)
                return Answer(answer.status, None, body.encode())
        return answer

    monkeypatch.setattr(Transport, "request", request)
    return edits.__setitem__


def test_the_root_log(call: Call, served: Served) -> None:
    """Without a key: the newest head is signed, and from the second visit on it extends the one before."""
    first = call("verify", served.url, "--vkey", served.vkey)
    second = call("verify", served.url, "--vkey", served.vkey)

    assert (first.code, second.code) == (0, 0)
    assert f"the root log of {ORIGIN} has" in first.out
    assert "no earlier head is remembered" in first.out
    assert "it extends the" in second.out
    assert first.err == ""


def test_a_key_that_nobody_configured(call: Call, served: Served) -> None:
    """It is believed at first use, which is said once; it is remembered."""
    first, second = call("verify", served.url), call("verify", served.url)

    assert (first.code, second.code) == (0, 0)
    assert first.err.count("\n") == 1
    assert served.vkey in first.err
    assert second.err == ""


def test_a_stream(call: Call, served: Served) -> None:
    """With a key of scope read: the server's word, and its head traced to the signed root. No stream is made for it."""
    key = tlog("key", "create", served.directory, "acme", "--scope", "read").strip()
    options = ("--vkey", served.vkey, "--api-key", key)

    answer = call("verify", served.url, "--stream", STREAM, *options)

    assert answer.code == 0
    assert f"the server's word: {STREAM}: verified, {EVENTS + 1} entries\n" in answer.out
    assert f"checked here: the head of {STREAM}, {EVENTS + 1} entries, root" in answer.out
    assert "tlog-verify" not in call("verify", served.directory).out


def test_a_stream_with_a_key_that_may_write(call: Call, served: Served) -> None:
    """A key with more scopes makes no stream either."""
    before = call("verify", served.directory).out

    answer = call("verify", served.url, "--stream", PUBLIC, "--api-key", served.key)

    assert answer.code == 0
    assert "checked here: the head of acme:prod:public, 1 entry" in answer.out
    assert call("verify", served.directory).out == before


def test_a_public_stream_needs_no_key(call: Call, served: Served) -> None:
    """Its head is traced; that its entries were not re-derived is said."""
    answer = call("verify", served.url, "--stream", PUBLIC, "--vkey", served.vkey)

    assert answer.code == 0
    assert "not checked: its entries" in answer.out


def test_streams_that_cannot_be_seen(call: Call, served: Served) -> None:
    """A private one without a key, one that does not exist, one of another tenant, an id that is none."""
    vkey, key = ("--vkey", served.vkey), ("--api-key", served.key)

    answer = call("verify", served.url, "--stream", STREAM, *vkey)
    assert answer.code == 3
    assert "give an API key" in answer.err
    assert call("verify", served.url, "--stream", "acme:prod:absent", *vkey, *key).code == 3
    assert call("verify", served.url, "--stream", "other:prod:x", *vkey, *key).code == 3
    assert call("verify", served.url, "--stream", "nonsense", *vkey, *key).code == 2
    assert call("verify", served.url, "--stream", STREAM, "--api-key", "ak_live_x").code == 3


def test_addresses_that_are_no_log(call: Call, served: Served) -> None:
    """Nothing there, nothing that could be there, and a page of the log that is no API."""
    assert call("verify", "http://127.0.0.1:1").code == 4
    assert call("verify", "http://").code == 2
    assert call("verify", "http://[x").code == 2
    assert call("verify", served.url + "/nowhere").code in (2, 3)


def test_another_log_than_the_known_one(call: Call, served: Served) -> None:
    """A server of the same name with another key, with and without an API key."""
    known = ("--vkey", Signer(ORIGIN, bytes(32)).vkey)

    answer = call("verify", served.url, *known)
    assert answer.code == 1
    assert "is not signed by" in answer.err
    stream = ("--stream", STREAM, "--api-key", served.key)
    assert call("verify", served.url, *known, *stream).code == 1


def test_a_history_that_changed(call: Call, served: Served, tmp_path: Path) -> None:
    """The head of the last visit is not in the history that is shown now: both heads are kept as evidence."""
    call("verify", served.url, "--vkey", served.vkey)
    [kept] = (tmp_path / "state").rglob("root-*.note")
    signer = _signer(served)
    text = kept.read_bytes().split(b"\n")
    size = int(text[1])
    forged = f"{ORIGIN}\n{size - 1}\n{ZEROS}\n".encode()
    kept.write_bytes(_signed(forged, signer))

    answer = call("verify", served.url, "--vkey", served.vkey)

    assert answer.code == 1
    assert "not one history" in answer.err
    assert list((tmp_path / "state").rglob("evidence/*fork*"))


def test_a_lie_that_the_server_admits(
    call: Call, served: Served, lie: Callable[[str, Edit], None]
) -> None:
    """What the server found in its own store is passed on, with the first sequence, and code 1."""
    failures = [{"sequence": 3, "check": "chain", "detail": "broken"}]
    lie(
        "/api/v1/verify",
        lambda one: one.update(verified=False, first_failure_sequence=3, failures=failures),
    )

    answer = call("verify", served.url, "--stream", STREAM, "--api-key", served.key)

    assert answer.code == 1
    assert f"{STREAM}: LIES, first at sequence 3\n  at sequence 3: chain: broken\n" in answer.out


LIES: dict[str, tuple[str, Edit]] = {
    "another tree was re-derived": ("/api/v1/verify", lambda one: one.update(root_hash=ZEROS)),
    "a larger tree was re-derived": ("/api/v1/verify", lambda one: one.update(tree_size=1000)),
    "a smaller tree was re-derived": ("/api/v1/verify", lambda one: one.update(tree_size=2)),
    "no tree was re-derived": ("/api/v1/verify", lambda one: one.update(root_hash=None)),
    "another head": ("/api/v1/sth?", lambda one: one.update(root_hash=ZEROS)),
    "another size": ("/api/v1/sth?", lambda one: one.update(tree_size=2)),
    "another stream's tree": ("/api/v1/sth?", lambda one: one.update(origin=f"{ORIGIN}/streams/x")),
    "a head outside the root log": ("/api/v1/sth?", lambda one: one["root"].update(leaf_index=1)),
    "an unsigned root": ("/api/v1/sth?", lambda one: one["root"].update(checkpoint="x\n")),
    "no root": ("/api/v1/sth?", lambda one: one.pop("root") and None),
    "a signature by nobody": (
        "/api/v1/sth?",
        lambda one: one.update(checkpoint=one["checkpoint"].partition("\n\n")[0] + "\n\n"),
    ),
    "no events": ("/api/v1/events?", lambda one: one.update(events=[])),
    "no genesis": ("/api/v1/proof/evt", lambda one: one.update(entry="")),
    "an unsigned root log": ("/api/v1/sth", lambda one: one.update(checkpoint="x\n")),
}


@pytest.mark.parametrize("name", LIES)
def test_lies_are_caught(
    call: Call, served: Served, lie: Callable[[str, Edit], None], name: str
) -> None:
    """Each claim that is said to be checked here, false: code 1, one line, and no claim that it held."""
    lie(*LIES[name])

    answer = call(
        "verify", served.url, "--stream", STREAM, "--vkey", served.vkey, "--api-key", served.key
    )

    assert answer.code == 1
    assert answer.err.count("\n") == 1
    assert "is this stream's" not in answer.out


def test_the_tree_of_another_stream_under_this_name(
    call: Call, served: Served, lie: Callable[[str, Edit], None]
) -> None:
    """A head that is signed, and in the root log, and of another private stream: only the genesis tells."""
    other = "acme:prod:decoy"
    tlog("stream", "create", served.directory, other)
    key = ("--vkey", served.vkey, "--api-key", served.key)
    shown: dict[str, Any] = {}
    lie("/api/v1/verify", shown.update)
    lie("/api/v1/sth?", lambda one: shown.update(sth=one))
    assert call("verify", served.url, "--stream", other, *key).code == 0
    sth = shown.pop("sth")
    lie("/api/v1/verify", lambda one: shown)
    lie("/api/v1/sth?", lambda one: sth)

    answer = call("verify", served.url, "--stream", STREAM, *key)

    assert answer.code == 1
    assert f"the tree that is shown for {STREAM} is not that stream's" in answer.err


def test_a_stream_that_grows_meanwhile(
    call: Call, served: Served, lie: Callable[[str, Edit], None]
) -> None:
    """The head that was re-derived may be smaller than the newest one if the log proves that it grew from it."""
    with Inspection.open(served.directory, {}) as look:
        number = look.reader.number(STREAM)
        smaller = b64encode(look.reader.root_of(number, 3))
    lie("/api/v1/verify", lambda one: one.update(tree_size=3, root_hash=smaller))

    answer = call("verify", served.url, "--stream", STREAM, "--api-key", served.key)

    assert answer.code == 0
    assert f"{EVENTS + 1} entries" in answer.out


def test_somebody_watches(call: Call, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal it is said what is waited for."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")

    assert call("verify", served.url, "--stream", STREAM, "--api-key", served.key).code == 0

    assert "re-derives" in terminal.getvalue()


def _signer(served: Served) -> Signer:
    return parse_skey((served.directory / "log.key").read_text().strip())


def _signed(text: bytes, signer: Signer) -> bytes:
    return sign_note(text, [signer])
