"""What is shown as the checkpoint: when it switches, what stands in it, what is stored, and who waits for it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.harness import ORIGIN, TestLog, new_log
from tlog import published
from tlog.config import Config
from tlog.core.checkpoint import open_checkpoint
from tlog.core.cosignature import CosignatureSigner
from tlog.core.note import Note, VerifiedSignature, open_note, parse_vkey
from tlog.errors import CorruptStore, InvalidInput
from tlog.log import Log
from tlog.publication import Publication
from tlog.store import layout

SIGNERS = [CosignatureSigner(f"w{n}.example.org", bytes([n]) * 32) for n in (1, 2, 3)]
URL = "http://127.0.0.1:9"


def write_policy(directory: Path, quorum: str = "group q 2 w1 w2 w3\nquorum q\n") -> None:
    lines = [f"witness w{n} {s.vkey} {URL}\n" for n, s in enumerate(SIGNERS, 1)]
    (directory / "policy").write_text("".join(lines) + quorum)


class Logs:
    """Opens the log of one directory, again and again."""

    def __init__(self, directory: Path) -> None:
        self.directory = new_log(directory)
        write_policy(directory)

    def open(self, *, wait: float = 60.0, interval: float = 0.05, policy: str = "policy") -> Log:
        config = Config(
            ORIGIN,
            publish_interval=interval,
            publish_idle_interval=0.2,
            witness_policy=policy,
            witness_wait=wait,
        )
        return Log(self.directory, config=config)


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path / "log")


def until(condition: object, seconds: float = 10.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def now() -> int:
    return int(time.time())


def cosign(log: Log, witness: int, seconds: int | None = None) -> VerifiedSignature:
    """Let a witness cosign the newest published root."""
    publication = log.publication
    assert publication.newest is not None
    size, note = publication.newest
    text = note[: note.rindex(b"\n\n") + 1]
    signer = SIGNERS[witness]
    line = signer.sign_line(text, now() if seconds is None else seconds)
    opened = open_note(text + b"\n" + line, [parse_vkey(signer.vkey)])
    publication.cosigned(size, publication.keepers[witness], opened.signatures[0])
    return opened.signatures[0]


def opened(log: Log, note: bytes | None) -> Note:
    assert note is not None
    return open_checkpoint(
        note, [parse_vkey(log.vkey)], ORIGIN, [parse_vkey(s.vkey) for s in SIGNERS]
    )[1]


def names(log: Log, note: bytes | None) -> list[str]:
    """Who signed, in the order of the note; every line verifies."""
    result = opened(log, note)
    assert result.only_verified() == note
    return [signature.name for signature in result.signatures]


def test_without_a_policy_a_root_is_shown_at_once(logs: Logs) -> None:
    log = logs.open(policy="")
    assert log.publication.checkpoint is None or log.publication.checkpoint
    log.start()
    until(lambda: log.sequencer.published is not None)
    until(lambda: log.publication.checkpoint == log.sequencer.head.note)
    assert log.policy is None and log.reader.witnessed(0) is None
    log.close()


def test_a_root_is_shown_when_its_quorum_is_there_and_later_lines_are_merged(logs: Logs) -> None:
    log = logs.open()
    before = log.publication.checkpoint
    log.start()
    log.open_stream("acme:prod:a")
    size = log.sequencer.head.root.size
    until(lambda: log.publication.newest[0] == size)  # type: ignore[index]
    assert log.publication.checkpoint == before  # nobody has cosigned it
    cosign(log, 2)
    assert log.publication.checkpoint == before
    assert log.reader.witnessed(size - 1) is None
    cosign(log, 0)
    shown = log.publication.checkpoint
    assert names(log, shown) == [ORIGIN, "w1.example.org", "w3.example.org"]
    cosign(log, 1)
    everybody = [ORIGIN, *(signer.name for signer in SIGNERS)]
    assert names(log, log.publication.checkpoint) == everybody
    until(lambda: log.reader.published(size - 1) == (size, log.publication.checkpoint))
    assert log.reader.witnessed(size - 1) == log.reader.published(size - 1)
    log.close()
    again = logs.open()  # and after a restart it is served at once
    assert names(again, again.publication.checkpoint) == everybody
    again.close()


def test_without_a_quorum_a_root_is_shown_after_the_wait(logs: Logs) -> None:
    log = logs.open(wait=0.2)
    log.start()
    log.open_stream("acme:prod:a")
    size = log.sequencer.head.root.size
    until(lambda: log.publication.newest[0] == size)  # type: ignore[index]
    cosign(log, 1)
    until(lambda: log.publication.checkpoint != log.sequencer.head.note)
    until(lambda: names(log, log.publication.checkpoint) == [ORIGIN, "w2.example.org"])
    assert f"\n{size}\n".encode() in (log.publication.checkpoint or b"")
    log.close()


def test_the_store_keeps_the_first_cosignature_and_the_newest_is_shown(logs: Logs) -> None:
    log = logs.open()
    log.start()
    until(lambda: log.sequencer.published is not None)
    size = log.sequencer.head.root.size
    first = now()
    cosign(log, 0, first)
    cosign(log, 1, first)
    cosign(log, 0, first + 60)
    cosign(log, 0, first + 30)  # an older answer that comes in late changes nothing
    shown = opened(log, log.publication.checkpoint)
    assert shown.signatures[1].timestamp == first + 60
    until(lambda: len(names(log, log.reader.published(size - 1)[1])) == 3)  # type: ignore[index]
    stored = log.reader.published(size - 1)
    assert stored is not None
    assert opened(log, stored[1]).signatures[1].timestamp == first
    assert log.policy is not None
    assert log.policy.quorum_time(opened(log, stored[1])) == first
    # Published again while idle: the cosignatures stay.
    time.sleep(0.5)
    assert log.reader.published(size - 1) == stored
    log.close()


async def test_waiting_for_a_publication_and_for_a_quorum(logs: Logs) -> None:
    log = logs.open(interval=0.3)
    log.start()
    opening = log.preparer.opening("acme:prod:a", public=False)
    await log.append([], {"acme:prod:a": opening})
    leaf = log.sequencer.head.root.size - 1
    published = asyncio.create_task(log.publication.wait(leaf, False, 10))
    witnessed = asyncio.create_task(log.publication.wait(leaf, True, 10))
    assert await published
    assert log.reader.published(leaf) is not None
    assert not witnessed.done()
    assert not await log.publication.wait(leaf, True, 0.01)
    cosign(log, 0)
    assert not await log.publication.wait(leaf, True, 0.2)
    cosign(log, 1)
    assert await witnessed
    found = log.reader.witnessed(leaf)
    assert found is not None and names(log, found[1])[1:] == ["w1.example.org", "w2.example.org"]
    assert await log.publication.wait(leaf, True, 0)
    assert not log.publication._waiters
    log.close()


def test_a_late_line_of_an_older_root_takes_nothing_back(logs: Logs) -> None:
    log = logs.open()
    keeper = log.publication.keepers[0]
    log.publication.published(log.sequencer.head)
    signature = cosign(log, 0)
    size = keeper.size
    assert size == log.sequencer.head.root.size and keeper.waiting_since is None
    keeper.cosigned(size - 1, signature, size, time.monotonic())
    assert (keeper.size, keeper.waiting_since) == (size, None)
    log.close()


async def test_after_a_restart_nobody_waits_for_a_quorum_that_is_there(logs: Logs) -> None:
    log = logs.open()
    log.start()
    until(lambda: log.sequencer.published is not None)
    leaf = log.sequencer.head.root.size - 1
    cosign(log, 0)
    assert not await log.publication.wait(leaf, True, 0.3)
    log.close()
    log = logs.open()
    assert await log.publication.wait(leaf, False, 0)
    assert not await log.publication.wait(leaf, True, 0)
    log.start()
    until(lambda: log.sequencer.published is not None)
    cosign(log, 1)
    assert await log.publication.wait(leaf, True, 10)
    log.close()
    log = logs.open()
    assert await log.publication.wait(leaf, True, 0)
    log.close()


async def test_a_quorum_counts_as_it_is_stored(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second line came in while the writer stored the note with the first: a proof would still lack it."""
    log = logs.open()
    stored: list[bytes] = []
    monkeypatch.setattr(log.publication, "_store", lambda size, note: stored.append(note))
    size = log.sequencer.head.root.size
    log.publication.published(log.sequencer.head)
    cosign(log, 0)
    cosign(log, 1)
    assert [len(names(log, note)) for note in stored] == [2, 3]
    log.publication.kept({size: stored[0]})
    assert not await log.publication.wait(size - 1, True, 0.01)
    log.publication.kept({size: stored[1]})
    assert await log.publication.wait(size - 1, True, 0)
    log.close()


def test_behind_an_outage_the_newest_quorum_is_found_under_a_root_without_one(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps lead past the end, and the newest root is so young that nobody has cosigned it."""
    monkeypatch.setattr(published, "_ONE_BY_ONE", 2)
    log = logs.open(interval=0.001)
    log.start()
    sizes = []
    for n in range(12):
        log.open_stream(f"acme:prod:s{n}")
        size = log.sequencer.head.root.size
        until(lambda size=size: log.publication.newest[0] == size)
        sizes.append(size)
        if n == 10:
            cosign(log, 0)
            cosign(log, 2)
            until(lambda size=size: log.reader.witnessed(size - 1) is not None)
    for leaf in range(sizes[10]):
        found = log.reader.witnessed(leaf)
        assert found is not None and found[0] == sizes[10], leaf
    assert log.reader.witnessed(sizes[11] - 1) is None
    log.close()


@pytest.mark.parametrize("young", [0, 3])
def test_the_end_of_a_long_outage_is_found_in_few_steps(
    logs: Logs, monkeypatch: pytest.MonkeyPatch, young: int
) -> None:
    """A proof is made on the event loop: thousands of notes without a quorum were looked at for each."""
    log = logs.open()
    plain = log.sequencer.head.note
    text = plain[: plain.rindex(b"\n\n") + 1]
    cosigned = plain + b"".join(SIGNERS[n].sign_line(text, now()) for n in (0, 2))
    first, last = 9000, 9100
    with log.store.env.begin(write=True) as txn:
        for size in range(10, last + young):
            note = cosigned if first <= size < last else plain
            txn.put(layout.u64(size), note, db=log.store.db["published"])
    looked = []
    asked = published.has_quorum
    monkeypatch.setattr(
        published, "has_quorum", lambda *given: looked.append(given) or asked(*given)
    )
    for leaf in (10, 11, 5000, first - 200, first - 2, first - 1):
        assert log.reader.witnessed(leaf) == (first, cosigned), leaf
        assert len(looked) <= 400
        looked.clear()
    assert log.reader.witnessed(first) == (first + 1, cosigned)
    assert log.reader.witnessed(last - 1) is None
    log.close()


@pytest.mark.parametrize("one_by_one", [4096, 3])
def test_the_first_root_with_a_quorum_is_found_behind_an_outage(
    logs: Logs, one_by_one: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "_ONE_BY_ONE", one_by_one)
    log = logs.open(interval=0.001)
    log.start()
    sizes = []
    for n in range(9):
        log.open_stream(f"acme:prod:s{n}")
        size = log.sequencer.head.root.size
        until(lambda size=size: log.publication.newest[0] == size)
        sizes.append(size)
        if n in (5, 7):
            cosign(log, 0)
            cosign(log, 2)
        if n == 2:
            cosign(log, 1)
    until(lambda: log.reader.witnessed(sizes[6]) is not None)
    for leaf in range(sizes[8]):
        found = log.reader.witnessed(leaf)
        expected = next((size for size in (sizes[5], sizes[7]) if size > leaf), None)
        if one_by_one > 9:
            assert (None if found is None else found[0]) == expected, leaf
        elif found is not None:  # in steps: one of them
            assert leaf < found[0] and found[0] in (sizes[5], sizes[7])
    log.close()


def test_a_witness_that_left_the_policy_is_shown_no_more_but_not_forgotten(logs: Logs) -> None:
    log = logs.open()
    log.start()
    until(lambda: log.sequencer.published is not None)
    size = log.sequencer.head.root.size
    cosign(log, 0)
    until(lambda: len(names(log, log.reader.published(size - 1)[1])) == 2)  # type: ignore[index]
    log.close()
    policy = f"witness other {SIGNERS[1].vkey} {URL}\nquorum other\n"
    (logs.directory / "policy").write_text(policy)
    log = logs.open()
    assert names(log, log.publication.checkpoint) == [ORIGIN]
    log.start()
    text = (log.publication.newest or (0, b""))[1]
    body = text[: text.rindex(b"\n\n") + 1]
    line = SIGNERS[1].sign_line(body, now())
    signature = open_note(body + b"\n" + line, [parse_vkey(SIGNERS[1].vkey)]).signatures[0]
    log.publication.cosigned(size, log.publication.keepers[0], signature)
    assert names(log, log.publication.checkpoint) == [ORIGIN, "w2.example.org"]
    until(lambda: log.reader.witnessed(size - 1) is not None)
    stored = log.reader.published(size - 1)
    assert stored is not None
    assert names(log, stored[1]) == [ORIGIN, "w2.example.org", "w1.example.org"]
    log.close()


def test_a_stored_note_that_does_not_verify_is_refused_at_start(logs: Logs) -> None:
    with TestLog(logs.directory) as opened_log:
        until(lambda: opened_log.log.sequencer.published is not None)
    log = logs.open()
    head = log.sequencer.head
    for note in (head.note[:-3], head.note.replace(b"+", b"/"), b"", SIGNERS[0].vkey.encode()):
        publication = Publication(
            log.policy,
            parse_vkey(log.vkey),
            witness_wait=1,
            witness_memory=1,
            store=lambda size, note: None,
        )
        if note != head.note:
            with pytest.raises(CorruptStore, match="published note"):
                publication.restore(head.root.size, note)
    log.close()


KEY = SIGNERS[0].vkey
BAD_POLICIES = [
    ("", "no quorum"),
    ("quorum none", "newline"),
    (f"witness w1 {KEY}\nquorum w1\n", "no URL"),
    (f"witness w1 {KEY} ftp://x.example\nquorum w1\n", "http"),
    (f"witness w1 {KEY} http://user@x.example/\nquorum w1\n", "http"),
    (f"witness w1 {KEY} http://x.example/?a=b\nquorum w1\n", "http"),
    (f"witness w1 {KEY} {URL}\nquorum w2\n", "line 2"),
    (f"log other.example+{KEY.split('+', 1)[1]}\nquorum none\n", "line 1"),
    (
        "log example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx\n"
        "quorum none\n",
        "other logs",
    ),
]


@pytest.mark.parametrize(("text", "fault"), BAD_POLICIES)
def test_a_policy_that_cannot_work_stops_the_start(logs: Logs, text: str, fault: str) -> None:
    (logs.directory / "policy").write_text(text)
    with pytest.raises(InvalidInput, match=fault) as caught:
        logs.open()
    assert caught.value.kind == "config" and "witness_policy" in caught.value.detail


def test_a_policy_that_is_not_there_stops_the_start(logs: Logs) -> None:
    with pytest.raises(InvalidInput, match=r"witness_policy .*nowhere"):
        logs.open(policy="nowhere")


def test_a_policy_with_too_many_witnesses_is_refused(logs: Logs) -> None:
    signers = [CosignatureSigner(f"w{n}", bytes([n, 1]) * 16) for n in range(1, 66)]
    lines = [f"witness w{n} {s.vkey} {URL}\n" for n, s in enumerate(signers)]
    (logs.directory / "policy").write_text("".join(lines) + "quorum none\n")
    with pytest.raises(InvalidInput, match="at most 64"):
        logs.open()


def test_the_policy_of_a_log_names_this_log_alone(logs: Logs) -> None:
    log = logs.open()
    assert log.policy is not None
    assert [one.verifier.vkey for one in log.policy.logs] == [log.vkey]
    vkey = log.vkey
    log.close()
    (logs.directory / "policy").write_text(f"log {vkey} https://log.example.com\nquorum none\n")
    log = logs.open()
    assert log.policy is not None and [one.url for one in log.policy.logs] == [
        b"https://log.example.com"
    ]
    log.close()


def test_a_stored_note_is_believed_line_by_line(logs: Logs) -> None:
    """Another key under the name of a witness is no quorum; a line of its key that fails is rot."""
    log = logs.open()
    assert log.policy is not None
    head = log.sequencer.head
    lines = [signer.sign_line(head.root.body(), now()) for signer in SIGNERS]
    assert published.has_quorum(head.note + lines[0] + lines[2], log.policy)
    assert not published.has_quorum(head.note + lines[0], log.policy)
    impostor = CosignatureSigner("w2.example.org", bytes(32)).sign_line(head.root.body(), now())
    assert not published.has_quorum(head.note + lines[0] + impostor, log.policy)
    other = SIGNERS[1].sign_line(b"log.example.com\n9\n", now())
    with pytest.raises(CorruptStore, match="does not verify"):
        published.has_quorum(head.note + lines[0] + other, log.policy)
    log.close()
