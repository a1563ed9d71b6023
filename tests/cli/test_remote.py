"""verify URL: a real server is verified by its tiles; a proxy that lies in one place is caught, with code 1."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.cli.conftest import EVENTS, ORIGIN, PUBLIC, STREAM, Call, Served
from tests.cli.lying_proxy import Lie, lying_proxy
from tlog.cli.demo.processes import tlog
from tlog.client.fetch.audit import Trail
from tlog.core.note import Signer, parse_skey, parse_vkey, sign_note
from tlog.core.wire import b64encode
from tlog.inspection import Inspection
from tlog.monitor.state import FileState
from tlog.monitor.verification import Verification


@pytest.fixture
def reader(served: Served) -> str:
    """An API key of scope read."""
    return tlog("key", "create", served.directory, "acme", "--scope", "read").strip()


def label_of(served: Served, stream_id: str) -> str:
    with Inspection.open(served.directory, {}) as look:
        return look.reader.source.rows[look.reader.number(stream_id)].label


def leaves(served: Served, *, public: bool) -> int:
    """Entries of all streams, or of the public ones."""
    with Inspection.open(served.directory, {}) as look:
        rows = look.reader.source.rows
        names = [look.reader.number(name) for name in look.streams()]
        views = [(rows[number].public, look.reader.source.view(number).size) for number in names]
    return sum(size for shown, size in views if shown or not public)


def private_streams(served: Served) -> int:
    with Inspection.open(served.directory, {}) as look:
        return sum(not row.public for number, row in look.reader.source.rows.items() if number)


def test_the_whole_log(call: Call, served: Served) -> None:
    """Without a key: root log, every stream's heads, entries of the public ones; the second time only what is new."""
    first = call("verify", served.url, "--vkey", served.vkey)
    second = call("verify", served.url, "--vkey", served.vkey)
    full = call("verify", served.url, "--vkey", served.vkey, "--full")

    assert (first.code, second.code, full.code) == (0, 0, 0), first.out + first.err
    assert f"root log of {ORIGIN}: verified" in first.out
    assert "no earlier head is remembered" in first.out
    everything, public = leaves(served, public=False), leaves(served, public=True)
    assert f"{everything} leaf hashes" in first.out
    assert f"{public} entries checked" in first.out
    assert re.search(r"([0-9]+) streams\n(.*\n)+ +\1 checkpoints of streams", first.out)
    assert f"the entries of {private_streams(served)} private stream" in first.out
    assert "extends the" in second.out and "0 leaf hashes" in second.out
    assert "extends the" in full.out and f"{everything} leaf hashes" in full.out
    assert first.err == ""


def test_a_key_that_nobody_configured(call: Call, served: Served) -> None:
    """It is believed at first use, which is said once; it is remembered."""
    first, second = call("verify", served.url), call("verify", served.url)

    assert (first.code, second.code) == (0, 0)
    assert first.err.count("\n") == 1
    assert served.vkey in first.err
    assert second.err == ""


def test_private_entries(call: Call, served: Served, reader: str) -> None:
    """With a key of the tenant all entries are read; with one of its streams by name, that one's."""
    before = call("verify", served.directory).out
    options = ("--vkey", served.vkey, "--api-key", reader)

    stream = call("verify", served.url, "--stream", STREAM, *options)
    whole = call("verify", served.url, "--tenant", "acme", *options)
    nameless = call("verify", served.url, *options)

    assert (stream.code, whole.code, nameless.code) == (0, 0, 0), stream.out + stream.err
    assert f"{STREAM}: verified, 1 stream" in stream.out
    assert f"{EVENTS + 1} entries checked" in stream.out
    assert f"{leaves(served, public=False)} entries checked" in whole.out
    assert "private stream" not in stream.out + whole.out
    assert "0 entries checked" in nameless.out
    assert "name its --tenant" in nameless.err
    assert call("verify", served.directory).out == before


def test_entries_are_caught_up_when_a_key_comes(call: Call, served: Served, reader: str) -> None:
    """What was checked by hashes alone is read later; another tenant's key changes nothing."""
    rival = tlog("tenant", "create", served.directory, "rival").strip()
    options = ("--vkey", served.vkey)

    assert (
        f"{leaves(served, public=True)} entries checked" in call("verify", served.url, *options).out
    )
    answer = call("verify", served.url, *options, "--tenant", "rival", "--api-key", rival)
    assert (answer.code, "0 entries checked" in answer.out) == (0, True)
    answer = call("verify", served.url, *options, "--tenant", "acme", "--api-key", reader)
    private = leaves(served, public=False) - leaves(served, public=True)
    assert f" {private} entries checked" in answer.out
    assert "private stream" not in answer.out


def test_a_token_alone(call: Call, served: Served, reader: str) -> None:
    """It finds a private stream by its id, by looking into those that it opens."""
    agent = {"tenant_id": "acme", "agent_id": "auditor", "agent_code_hash": "a" * 64}
    body = {**agent, "stream_id": STREAM}
    headers = {"Authorization": f"Bearer {reader}", "Content-Type": "application/json"}
    request = Request(f"{served.url}/api/v1/attest", json.dumps(body).encode(), headers)
    with urlopen(request) as session:
        token = json.load(session)["token"]
    options = ("--vkey", served.vkey, "--token", token)

    answer = call("verify", served.url, "--stream", STREAM, *options)
    assert (answer.code, f"{EVENTS + 1} entries checked" in answer.out) == (0, True)
    absent = call("verify", served.url, "--stream", "acme:prod:absent", *options)
    assert (absent.code, "may be read" in absent.err) == (3, True)


def test_what_an_earlier_run_left(call: Call, served: Served, tmp_path: Path) -> None:
    """A state of other leaves is not believed; a damaged one is refused, and --full does without it."""
    command = ("verify", served.url, "--vkey", served.vkey)
    assert call(*command).code == 0
    [path] = (tmp_path / "state").rglob("verify-*.state")
    state = FileState.load(path, parse_vkey(served.vkey))
    state.root = Trail(state.root.size, bytes(len(state.root.subtrees)))
    state.save()

    answer = call(*command)
    assert (answer.code, "all was checked anew" in answer.err) == (0, True)
    path.write_bytes(b"x" + path.read_bytes())
    assert (call(*command).code, call(*command, "--full").code, call(*command).code) == (2, 0, 0)


def test_a_head_that_is_not_published_yet(
    call: Call, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream's checkpoint beyond the published root is neither verified nor a lie: code 4."""
    label = label_of(served, PUBLIC)
    with urlopen(f"{served.url}/checkpoint") as published:
        note = published.read()
    hasty = functools.partial(Verification, patience=0.05)
    monkeypatch.setattr("tlog.cli.remote.Verification", hasty)
    signer = parse_skey((served.directory / "log.key").read_text().strip())
    body = f"{ORIGIN}/streams/{label}\n9\n{b64encode(bytes(32))}\n".encode()
    newer = sign_note(body, [signer.under(f"{ORIGIN}/streams/{label}")])
    lies: dict[str, Lie] = {
        "/checkpoint": lambda _: note,
        f"/streams/{label}/checkpoint": lambda _: newer,
    }
    with lying_proxy(served.url, lies) as url:
        answer = call("verify", url, "--vkey", served.vkey)
    assert answer.code == 4
    assert f"not confirmed: the newest checkpoint of {label}" in answer.out


def test_streams_by_label(call: Call, served: Served) -> None:
    private, public = label_of(served, STREAM), label_of(served, PUBLIC)
    options = ("--vkey", served.vkey)

    answer = call("verify", served.url, "--stream", private, *options)
    assert (answer.code, f"{EVENTS + 1} leaf hashes" in answer.out) == (0, True)
    assert "0 entries checked" in answer.out
    for name in (public, PUBLIC):
        answer = call("verify", served.url, "--stream", name, *options)
        assert (answer.code, "1 entry checked" in answer.out) == (0, name == public)


def test_no_stream_is_made(call: Call, served: Served, tmp_path: Path) -> None:
    """Not for a mistyped name, not for this agent, whatever the key may do."""
    key = tlog("key", "create", served.directory, "acme", "--scope", "admin").strip()
    before = call("verify", served.directory).out

    for stream in (PUBLIC, "acme:prod:scorrer", "acme:prod:tlog-verify"):
        for one in (key, served.key):
            answer = call("verify", served.url, "--stream", stream, "--api-key", one)
            assert answer.code == (0 if stream == PUBLIC else 3)
            asked = ("--url", served.url, "--stream", stream, "--api-key", one)
            call("proof", "get", json.loads(served.proof.read_bytes())["event_id"], *asked)

    assert call("verify", served.directory).out == before


def test_streams_that_cannot_be_seen(call: Call, served: Served) -> None:
    """A private one without a key, one that does not exist, one of another tenant, names that are none."""
    vkey, key = ("--vkey", served.vkey), ("--api-key", served.key)

    assert call("verify", served.url, "--stream", STREAM, *vkey).code == 3
    assert call("verify", served.url, "--stream", "acme:prod:absent", *vkey, *key).code == 3
    assert call("verify", served.url, "--stream", "a" * 51 + "q", *vkey).code == 3
    assert call("verify", served.url, "--stream", "other:prod:x", *vkey, *key).code == 3
    assert call("verify", served.url, "--stream", "non:sense", *vkey, *key).code == 2
    assert call("verify", served.url, "--stream", "nonsense", *vkey, *key).code == 2
    assert call("verify", served.url, "--stream", STREAM, "--api-key", "ak_live_x").code == 3
    assert call("verify", served.url, *vkey, "--token", "x").code == 3


def test_addresses_that_are_no_log(call: Call, served: Served) -> None:
    """Nothing there, nothing that could be there, and a page of the log that is no API."""
    assert call("verify", "http://127.0.0.1:1").code == 4
    assert call("verify", "http://").code == 2
    assert call("verify", "http://[x").code == 2
    for name in ("a..b", "a" * 64):
        assert call("verify", f"http://{name}.invalid", "--vkey", served.vkey).code == 4
        assert call("verify", f"http://{name}.invalid").code == 4
    assert call("verify", served.url + "/nowhere").code in (2, 3)
    assert call("verify", served.url + "/nowhere", "--vkey", served.vkey).code == 3


@pytest.mark.parametrize("secret", ["at_x\n", "at x\r\ny"])
def test_tokens_that_are_none(call: Call, served: Served, secret: str) -> None:
    """As they come from a file with a newline at its end."""
    by_key = ("--api-key", secret, "--stream", STREAM)
    event = json.loads(served.proof.read_bytes())["event_id"]
    for command in (
        ("verify", served.url, "--vkey", served.vkey, "--token", secret),
        ("verify", served.url, "--vkey", served.vkey, *by_key),
        ("proof", "get", event, "--url", served.url, "--token", secret),
        ("proof", "get", event, "--url", served.url, *by_key),
    ):
        answer = call(*command)
        assert (answer.code, "printable characters" in answer.err) == (2, True), answer


def test_another_log_than_the_known_one(call: Call, served: Served) -> None:
    """A server of the same name with another key, with and without an API key."""
    known = ("--vkey", Signer(ORIGIN, bytes(32)).vkey)

    answer = call("verify", served.url, *known)
    assert answer.code == 1
    assert f"LIES: {ORIGIN} checkpoint: checkpoint: it is not" in answer.out
    stream = ("--stream", STREAM, "--api-key", served.key)
    assert call("verify", served.url, *known, *stream).code == 1


def test_a_history_that_changed(call: Call, served: Served, tmp_path: Path) -> None:
    """The head that the SDK keeps is not in the history that is shown now: both heads are kept as evidence."""
    call("verify", served.url, "--vkey", served.vkey)
    [kept] = (tmp_path / "state").rglob("root-*.note")
    signer = parse_skey((served.directory / "log.key").read_text().strip())
    size = int(kept.read_bytes().split(b"\n")[1])
    for shown, what in ((size + 1000, "rollback"), (size - 1, "fork")):
        forged = f"{ORIGIN}\n{shown}\n{b64encode(bytes(32))}\n".encode()
        kept.write_bytes(sign_note(forged, [signer]))

        answer = call("verify", served.url, "--vkey", served.vkey)

        assert answer.code == 1, answer.out
        assert answer.out.startswith("LIES: ")
        [evidence] = (tmp_path / "state").rglob(f"evidence/*-{what}-*")
        assert forged.decode().split("\n")[2] in evidence.read_text()
    remembered = call("verify", served.url, "--vkey", served.vkey)
    assert remembered.code == 1
    assert remembered.out.startswith("LIES: log.example.com was caught with two histories before")


def flip(at: int) -> Lie:
    return lambda body: body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def test_a_server_that_lies_in_one_place(call: Call, served: Served) -> None:
    """Each lie is named with its log, resource and rule, and ends with code 1; silence is no lie."""
    private, public = f"/streams/{label_of(served, STREAM)}", f"/streams/{label_of(served, PUBLIC)}"
    with urlopen(f"{served.url}/checkpoint") as note:
        size = int(note.read().split(b"\n")[1])
    tile, bundle = f"/tile/0/000.p/{EVENTS + 1}", f"/tile/entries/000.p/{size}"
    lies: dict[str, tuple[str, Lie, int, str]] = {
        "tile": (private + tile, flip(40), 1, "000.p/6: tile: "),
        "root tile": (
            f"/tile/0/000.p/{size}",
            flip(40),
            1,
            f"000.p/{size} at leaf 1: tile: hash 1 ",
        ),
        "root entries": (bundle, flip(2), 1, f"entries/000.p/{size} at leaf 0: entry: "),
        "entry": (public + "/tile/entries/000.p/1", flip(9), 1, "at leaf 0: entry: "),
        "short tile": (private + tile, lambda body: body[:-1], 1, "malformed: "),
        "no tile": (private + tile, lambda body: 404, 1, "withheld: "),
        "forged": ("/checkpoint", flip(-2), 1, "checkpoint: "),
        "stream": (public + "/checkpoint", flip(-2), 1, "checkpoint: "),
        "silence": (private + tile, lambda body: 503, 4, ""),
    }
    told: dict[str, Lie] = {}
    with lying_proxy(served.url, told) as url:
        for name, (path, lie, code, named) in lies.items():
            told.clear()
            told[path] = lie
            answer = call("verify", url, "--vkey", served.vkey, "--full")
            assert answer.code == code, name
            assert named in answer.out and ("LIES: " in answer.out) == (code == 1), name
        told.clear()
        assert call("verify", url, "--vkey", served.vkey).code == 0
