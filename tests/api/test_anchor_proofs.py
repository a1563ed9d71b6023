"""A proof package with an anchor: the authority's time counts, for this head, and only if the verifier believes the authority."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.api.anchoring import Deliverer, b64, current
from tests.tsa import forge
from tests.tsa.conftest import NONCE
from tlog.cli import main
from tlog.core.note import Signer, sign_note
from tlog.core.timestamp import build_request
from tlog.verdicts import Verdicts, verify_document

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def package(lab: Deliverer) -> dict[str, Any]:
    """A package whose root is published, with one anchor of a second later."""
    receipt = await lab.site.record()
    assert (await lab.deliver()).status == 201
    path = f"/proof/{receipt['event_id']}"
    found: dict[str, Any] = (
        await lab.site.get(path, await lab.site.token(), wait="published")
    ).json()
    assert len(found["anchors"]) == 1
    return found


def judged(lab: Deliverer, package: dict[str, Any], roots: Any = "own") -> Verdicts:
    own = (lab.root.certificate,)
    return verify_document(package, lab.site.verifier, None, own if roots == "own" else roots)


def stamped(lab: Deliverer, package: dict[str, Any], then: datetime, **wish: Any) -> Any:
    """The package's anchor, made at another time."""
    (anchor,) = package["anchors"]
    request = build_request(anchor["checkpoint"].encode(), NONCE)
    about = forge.Wish(lab.signer, gen_time=then.strftime("%Y%m%d%H%M%SZ"))
    reply = b64(forge.reply(request, about, **wish))
    return {**anchor, "request": b64(request), "reply": reply, "chain": []}


def claimed(lab: Deliverer) -> datetime:
    return datetime.fromtimestamp(lab.clock.ms // 1000, timezone.utc)


async def test_the_time_is_proven(lab: Deliverer, package: dict[str, Any]) -> None:
    verdicts = judged(lab, package)
    assert verdicts.time.verdict == "pass"
    assert not verdicts.time.flagged
    assert "a timestamp of CN=Lab TSA proves it existed at" in verdicts.time.reason
    assert verdicts.proven_by == claimed(lab).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert verdicts.verified


async def test_without_roots_it_is_not_checked(lab: Deliverer, package: dict[str, Any]) -> None:
    verdicts = judged(lab, package, None)
    assert verdicts.time.verdict == "not shown"
    assert "1 RFC 3161 timestamp(s) in the file were not checked" in verdicts.time.reason


async def test_other_times(lab: Deliverer, package: dict[str, Any]) -> None:
    """A minute later is flagged, a minute before the claim is a lie; of two the earlier counts."""
    now = claimed(lab)
    late = judged(lab, {**package, "anchors": [stamped(lab, package, now + 2 * MINUTE)]})
    assert (late.time.verdict, late.time.flagged) == ("pass", True)
    assert "the claim rests on the log's word" in late.time.reason
    early = judged(lab, {**package, "anchors": [stamped(lab, package, now - 2 * MINUTE)]})
    assert (early.time.verdict, early.verified) == ("fail", False)
    both = [stamped(lab, package, now + 2 * MINUTE), *package["anchors"]]
    verdicts = judged(lab, {**package, "anchors": both})
    assert (verdicts.time.verdict, verdicts.time.flagged) == ("pass", False)


async def test_strangers(lab: Deliverer, package: dict[str, Any]) -> None:
    """Nobody's word counts but that of the authorities that are believed; a stranger beside one is mentioned."""
    stranger = current("Lab Root", ca=True)
    signer = current("Lab TSA", stranger)
    verdicts = judged(lab, package, (stranger.certificate,))
    assert (verdicts.time.verdict, verdicts.verified) == ("fail", False)
    other = stamped(lab, package, claimed(lab) - 9 * MINUTE, signer=signer)
    both = judged(lab, {**package, "anchors": [other, *package["anchors"]]})
    assert both.time.verdict == "pass"
    assert "1 RFC 3161 timestamp(s) of others were not believed" in both.time.reason


async def test_what_is_not_over_this_head(lab: Deliverer, package: dict[str, Any]) -> None:
    (good,) = package["anchors"]
    note = good["checkpoint"].encode()
    text = note.partition(b"\n\n")[0] + b"\n"
    signed = sign_note(text, [Signer("log.example.com", bytes(32))]).decode()
    other = {**good, "hashes": [b64(bytes(32)), *good["hashes"][1:]]}
    for anchor in (
        None,
        {},
        {**good, "checkpoint": signed},
        {**good, "leaf_index": good["leaf_index"] + 1},
        {**good, "tree_size": good["tree_size"] + 1},
        {**good, "hashes": []},
        other,
    ):
        verdicts = judged(lab, {**package, "anchors": [good, anchor]})
        assert verdicts.time.verdict == "fail", anchor
        assert "not over a root that holds this head" in verdicts.time.reason
    elsewhere = {**package["root"], "leaf_index": 0}
    assert judged(lab, {**package, "root": elsewhere}).time.verdict == "fail"
    assert judged(lab, {**package, "anchors": [good] * 65}).time.verdict == "fail"
    for member, value in (
        ("reply", "x"),
        ("reply", b64(b"x")),
        ("request", "*"),
        ("chain", 5),
        ("chain", [5]),
    ):
        verdicts = judged(lab, {**package, "anchors": [{**good, member: value}]})
        assert "No RFC 3161 timestamp in the file verifies" in verdicts.time.reason
    bare = {name: package[name] for name in package if name != "root"}
    assert judged(lab, bare).time.verdict == "pass"  # anchored before it was published


async def test_the_command(
    lab: Deliverer, package: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, roots = tmp_path / "proof.json", tmp_path / "tsa.pem"
    file.write_text(json.dumps(package))
    roots.write_bytes(lab.root.pem)
    command = ["proof", "verify", str(file), "--vkey", lab.site.log.vkey]
    assert main([*command, "--tsa-roots", str(roots)]) == 0
    assert "a timestamp of CN=Lab TSA proves" in capsys.readouterr().out
    roots.write_bytes(current("Other", ca=True).pem)
    assert main([*command, "--tsa-roots", str(roots)]) == 1
    roots.write_text("no certificate")
    assert main([*command, "--tsa-roots", str(roots)]) == 2
    assert "PEM" in capsys.readouterr().err
    assert main(command) == 0
