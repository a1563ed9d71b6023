"""Anchors over HTTP: what verifies is kept and found again, by day and by event; what does not leaves no trace."""

from __future__ import annotations

import asyncio
import base64
import threading
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.api.anchoring import Deliverer, b64, current
from tlog.api.anchor import anchors_for
from tlog.core.cosignature import CosignatureSigner
from tlog.core.hashes import EMPTY_ROOT
from tlog.core.note import Signer, parse_skey, sign_note
from tlog.core.policy import parse_policy

DAY_MS = 86_400_000


async def day(lab: Deliverer, date: str) -> Any:
    lab.site.tokens.clear()  # the clock may have moved
    return (await lab.site.get(f"/anchor/{date}", await lab.site.token())).json()


def today(lab: Deliverer) -> str:
    return datetime.fromtimestamp(lab.clock.ms / 1000, timezone.utc).strftime("%Y-%m-%d")


async def test_delivered_and_found(lab: Deliverer) -> None:
    receipt = await lab.site.record()
    body = lab.body()
    answer = await lab.deliver(body)
    assert answer.status == 201, answer
    size = lab.site.log.sequencer.head.root.size
    said = answer.json()
    assert (said["status"], said["tree_size"], said["tsa"]) == ("recorded", size, "CN=Lab TSA")
    again = await lab.deliver(body)
    assert (again.status, again.json()["status"]) == (200, "known")

    found = await day(lab, today(lab))
    assert (found["date"], found["anchor_status"]) == (said["date"], "complete")
    assert found["checkpoint"] == body["checkpoint"]
    (one,) = found["timestamps"]
    assert {name: one[name] for name in body} == body
    assert found["anchor_created_at"] == one["gen_time"].replace("Z", ".000Z")
    located = lab.site.log.reader.event(receipt["event_id"])
    _, leaf = lab.site.log.reader.first_head(located)
    (member,) = anchors_for(lab.site.log, leaf)
    assert (member["leaf_index"], member["tree_size"]) == (leaf, size)
    assert anchors_for(lab.site.log, size) == []  # not yet covered
    proof = await lab.site.get(f"/proof/{receipt['event_id']}", await lab.site.token())
    assert proof.json()["anchors"] == [member]
    lab.site.check()


async def test_a_day_without(lab: Deliverer) -> None:
    now = datetime.fromtimestamp(lab.clock.ms / 1000, timezone.utc)
    for days, status in ((-2, "missing"), (0, "pending"), (1, "pending")):
        date = (now + timedelta(days=days)).strftime("%Y-%m-%d")
        assert await day(lab, date) == {
            "date": date,
            "anchor_status": status,
            "anchor_created_at": None,
            "checkpoint": None,
            "timestamps": [],
        }
    asked = today(lab)
    midnight = (lab.clock.ms // DAY_MS + 1) * DAY_MS
    lab.clock.ms = midnight + 6 * 3_600_000 - 1
    assert (await day(lab, asked))["anchor_status"] == "pending"
    lab.clock.ms += 1
    assert (await day(lab, asked))["anchor_status"] == "missing"
    assert (await day(lab, "1969-12-31"))["anchor_status"] == "missing"
    for wrong in ("2026-02-30", "2026-2-3", "today", "20260320", "2026-03-20T00", "２026-03-20"):
        answer = await lab.site.get(f"/anchor/{wrong}", await lab.site.token())
        assert (answer.kind, answer.json()["pointer"]) == ("invalid-value", "/date")


async def test_what_is_refused(lab: Deliverer) -> None:
    """Whatever is wrong: a problem that names the member, and nothing is kept."""
    await lab.site.record()
    good = lab.body()
    signer = parse_skey((lab.site.log.directory / "log.key").read_text().strip())
    other = Signer("log.example.com", bytes(32))
    text = good["checkpoint"].encode().partition(b"\n\n")[0] + b"\n"
    size = lab.site.log.sequencer.head.root.size
    lines = text.splitlines(keepends=True)
    stream = lab.site.log.reader.origin(1).encode()
    bodies = [
        (lab.body(sign_note(text, [other]).decode()), "invalid-checkpoint", "/checkpoint"),
        (lab.body("no note"), "invalid-checkpoint", "/checkpoint"),
        (
            lab.body(_note(signer, lines[0], size + 1, lines[2])),
            "invalid-checkpoint",
            "/checkpoint",
        ),
        (
            lab.body(_note(signer, lines[0], size - 1, lines[2])),
            "invalid-checkpoint",
            "/checkpoint",
        ),
        (lab.body(_note(signer, stream + b"\n", 1, lines[2])), "invalid-checkpoint", "/checkpoint"),
        (
            lab.body(_note(signer, lines[0], 0, b64(EMPTY_ROOT).encode() + b"\n")),
            "invalid-checkpoint",
            "/checkpoint",
        ),
        (
            {**good, "checkpoint": lab.body()["checkpoint"] + "x"},
            "invalid-checkpoint",
            "/checkpoint",
        ),
        ({**good, "request": lab.body()["request"]}, "invalid-anchor", "/reply"),
        ({**good, "reply": b64(b"x")}, "invalid-anchor", "/reply"),
        ({**good, "reply": "*"}, "invalid-value", "/reply"),
        ({**good, "chain": ["*"]}, "invalid-value", "/chain/0"),
        ({**good, "chain": [b64(b"x")]}, "invalid-anchor", "/reply"),
        ({**good, "crls": [b64(b"x")]}, "invalid-anchor", "/reply"),
        (lab.body(policy="1.2.3", nonce=5), "invalid-anchor", "/reply"),
        (lab.body(gen_time="20260101000000Z"), "invalid-anchor", "/reply"),  # before the root
        (lab.body(gen_time=_ahead(lab, 400)), "invalid-anchor", "/reply"),
        ({**good, "more": 1}, "unknown-member", "/more"),
    ]
    for body, kind, pointer in bodies:
        answer = await lab.deliver(body)
        assert (answer.kind, answer.json().get("pointer")) == (kind, pointer), body
    assert (await day(lab, today(lab)))["timestamps"] == []
    assert (await lab.deliver(good)).status == 201


async def test_what_nobody_signed_is_not_kept_beside_what_somebody_did(lab: Deliverer) -> None:
    """A timestamp covers the note with all its lines, and we show it: not with a forged one of a witness we know."""
    log = lab.site.log
    witness = CosignatureSigner("w1.example.org", bytes(32))
    log.policy = parse_policy(f"witness w1 {witness.vkey} http://w1\nquorum w1\n".encode())
    note = lab.checkpoint()
    text = note[: note.rindex("\n\n") + 1].encode()
    good = witness.sign_line(text, lab.clock.ms // 1000).decode()
    forged = witness.sign_line(b"other\n1\n" + text, lab.clock.ms // 1000).decode()
    refused = await lab.deliver(lab.body(note + forged))
    assert (refused.kind, refused.json()["pointer"]) == ("invalid-checkpoint", "/checkpoint")
    assert (await lab.deliver(lab.body(note + good))).status == 201
    # Of keys that we do not know nothing can be said; they are few lines, as of a note with many witnesses.
    junk = "".join(f"\u2014 {name:0>200} {b64(bytes(300))}\n" for name in range(16_384 // 600 + 1))
    refused = await lab.deliver(lab.body(note + junk))
    assert refused.json()["pointer"] == "/checkpoint"


async def test_what_another_authority_saw_covers_nothing(lab: Deliverer) -> None:
    await lab.site.record()
    old = lab.checkpoint()
    await lab.site.record(_event())
    first, other = lab.signer, current("Another TSA", lab.root)
    for signer, note in ((first, None), (other, old), (other, None)):
        lab.signer = signer
        answer = await lab.deliver(lab.body(note))
        assert (answer.status, answer.json()["status"]) == (201, "recorded")


async def test_the_earliest_counts_not_the_one_over_the_smallest_root(lab: Deliverer) -> None:
    receipt = await lab.site.record()
    old = lab.checkpoint()
    await lab.site.record(_event())
    assert (await lab.deliver()).status == 201
    size = lab.site.log.sequencer.head.root.size
    lab.clock.ms += DAY_MS
    assert (await lab.deliver(lab.body(old))).status == 201  # a day later, over less
    _, leaf = lab.site.log.reader.first_head(lab.site.log.reader.event(receipt["event_id"]))
    (shown,) = anchors_for(lab.site.log, leaf)
    assert shown["tree_size"] == size


async def test_a_list_is_kept_once(lab: Deliverer) -> None:
    """A long list, sixteen times in one anchor, would fill the disk sixteen times as fast."""
    await lab.site.record()
    begin = datetime.now(timezone.utc)
    lists = x509.CertificateRevocationListBuilder(
        lab.root.certificate.subject, begin, begin + timedelta(days=9)
    )
    crl = b64(lists.sign(lab.root.key, hashes.SHA256()).public_bytes(Encoding.DER))
    body = {**lab.body(), "crls": [crl] * 16, "chain": [b64(lab.root.der)] * 16}
    assert (await lab.deliver(body)).status == 201
    (one,) = (await day(lab, today(lab)))["timestamps"]
    assert one["crls"] == [crl]


async def test_checking_an_anchor_holds_up_nobody(
    lab: Deliverer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lab.site.record()
    begun, end = threading.Event(), threading.Event()
    verify = lab.site.log.anchors.verify

    def slow(*arguments: Any) -> Any:
        begun.set()
        assert end.wait(10)
        return verify(*arguments)

    monkeypatch.setattr(lab.site.log.anchors, "verify", slow)
    delivered = asyncio.create_task(lab.deliver())
    assert await asyncio.get_running_loop().run_in_executor(None, begun.wait, 10)
    await lab.site.record(_event())
    assert not delivered.done()
    end.set()
    assert (await delivered).status == 201


def _note(signer: Signer, origin: bytes, size: int, root: bytes) -> str:
    name = origin.decode().strip()
    signed = Signer(name, parse_seed(signer))
    return sign_note(origin + f"{size}\n".encode() + root, [signed]).decode()


def parse_seed(signer: Signer) -> bytes:
    return base64.b64decode(signer.skey.split("+", 4)[4])[1:]


def _ahead(lab: Deliverer, seconds: int) -> str:
    then = datetime.fromtimestamp(lab.clock.ms / 1000 + seconds, timezone.utc)
    return then.strftime("%Y%m%d%H%M%SZ")


async def test_strangers_cannot_fill_the_disk(lab: Deliverer) -> None:
    """What says less than what is here is not kept, nor more than so many a day; another authority has its own."""
    await lab.site.record()
    old = lab.checkpoint()
    assert (await lab.deliver()).status == 201
    for note in (None, old):
        answer = await lab.deliver(lab.body(note))
        assert (answer.status, answer.json()["status"]) == (200, "covered")
    for _ in range(2):
        await lab.site.record(_event())
        assert (await lab.deliver()).status == 201
    await lab.site.record(_event())
    refused = await lab.deliver()
    assert (refused.status, refused.kind) == (429, "too-many-anchors")
    lab.signer = current("Another TSA", lab.root)
    assert (await lab.deliver()).status == 201
    lab.clock.ms += DAY_MS
    lab.signer = current("Lab TSA", lab.root)
    assert (await lab.deliver()).status == 201
    leaf = lab.site.log.source.view(0).size - 1
    assert len(anchors_for(lab.site.log, leaf)) == 2
    assert anchors_for(lab.site.log, 0)[0]["tree_size"] < leaf


def _event() -> dict[str, Any]:
    return {"event_class": "EXECUTION", "event_type": "t", "payload": {}}
