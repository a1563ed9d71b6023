"""One event in every form that is served, each verified with the log's key alone; and receipts of whole trees."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from tests.api.deployment import EVENT, ORIGIN, STREAM, Answer, Keys, Site, serve
from tlog.core.checkpoint import Checkpoint
from tlog.core.cose import (
    MEDIA_TYPE,
    parse_receipt,
    verify_consistency_receipt,
    verify_inclusion_receipt,
)
from tlog.core.cosignature import CosignatureSigner
from tlog.core.hashes import leaf_hash
from tlog.core.note import Verifier
from tlog.core.package import verify_package
from tlog.core.policy import parse_policy
from tlog.core.tlog_proof import parse_proof, verify_head_proof, verify_proof

COSE = {"Accept": "application/cose"}


async def proof(site: Site, event_id: str, accept: str, query: str = "") -> Answer:
    path = f"/api/v1/proof/{event_id}{query}"
    return await site.call("GET", path, await site.token(), headers={"Accept": accept})


def saved_as(answer: Answer) -> str:
    """The name in Content-Disposition; what every form has is checked."""
    assert answer.status == 200, answer
    assert answer.headers["Vary"] == "Accept"
    disposition, _, name = answer.headers["Content-Disposition"].partition("; filename=")
    assert disposition == "inline"
    return str(name.strip('"'))


async def test_every_form_shows_the_same_place(site: Site) -> None:
    receipt = await site.record()
    event_id = receipt["event_id"]
    await site.record()  # the stream goes on
    leaf = leaf_hash(base64.b64decode(receipt["entry"]))

    answer = await proof(site, event_id, "application/json", "?wait=published")
    assert saved_as(answer) == f"{event_id}.proof.json"
    package = verify_package(answer.json(), site.verifier)
    head = package.head

    answer = await proof(site, event_id, "application/cose")
    assert saved_as(answer) == f"{event_id}.cose"
    assert answer.headers["Content-Type"] == MEDIA_TYPE
    cose = parse_receipt(answer.body)
    assert verify_inclusion_receipt(cose, leaf, site.verifier) == head
    assert (cose.header.issuer, cose.header.subject) == (ORIGIN, head.origin)

    answer = await proof(site, event_id, "text/plain")
    assert saved_as(answer) == f"{event_id}.tlog-proof"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    stream = Verifier(head.origin, site.verifier.public_key)
    assert verify_proof(parse_proof(answer.body), leaf, stream)[0] == head
    again = await proof(site, event_id, "*/*", "?part=event")
    assert again.body == answer.body

    answer = await proof(site, event_id, "*/*", "?part=head")
    assert saved_as(answer) == f"{event_id}.head.tlog-proof"
    shown, root, _ = verify_head_proof(parse_proof(answer.body), site.verifier)
    assert (shown, root) == (head, package.root)


async def test_forms_are_the_same_for_ever(site: Site) -> None:
    """A later request shows the same proof: what was saved can be compared."""
    event_id = (await site.record())["event_id"]
    forms = [
        ("application/json", "?wait=published"),
        ("application/cose", ""),
        ("text/plain", "?part=event"),
        ("text/plain", "?part=head"),
    ]
    before = [(await proof(site, event_id, *form)).body for form in forms]
    await site.batch([EVENT] * 5)
    assert [(await proof(site, event_id, *form)).body for form in forms] == before


async def test_the_first_witnessed_root(template: tuple[Path, Keys], directory: Path) -> None:
    """With a policy a proof stands under the first published root that its quorum has cosigned."""
    witness = CosignatureSigner("witness.example.org/w1", bytes(32))
    (directory / "policy").write_text(f"witness w1 {witness.vkey} http://127.0.0.1:9/\nquorum w1\n")
    async with serve(directory, template[1], witness_policy="policy") as site:
        event_id = (await site.record())["event_id"]
        answer = await proof(site, event_id, "application/json", "?wait=published")
        early = verify_package(answer.json(), site.verifier).root
        assert early is not None
        later = (await site.record())["event_id"]
        answer = await proof(site, later, "application/json", "?wait=published")
        root = answer.json()["root"]
        note = root["checkpoint"].encode()
        assert root["tree_size"] > early.size
        line = witness.at(1_800_000_000).sign_line(note.partition(b"\n\n")[0] + b"\n")
        site.log.sequencer.keep(root["tree_size"], note + line)
        policy = parse_policy(f"witness w1 {witness.vkey}\nquorum w1\n".encode())
        for _ in range(500):
            package = (await proof(site, event_id, "*/*")).json()
            if package["root"]["tree_size"] != early.size:
                break
            await asyncio.sleep(0.02)
        assert verify_package(package, site.verifier, policy).proven_at == 1_800_000_000
        head = await proof(site, event_id, "*/*", "?part=head")
        _, shown, _ = verify_head_proof(parse_proof(head.body), site.verifier, policy)
        assert shown.size == root["tree_size"]


async def test_a_part_is_text(site: Site) -> None:
    event_id = (await site.record())["event_id"]
    answer = await proof(site, event_id, "application/json", "?part=head")
    assert (answer.status, answer.kind) == (406, "not-acceptable")
    answer = await proof(site, event_id, "*/*", "?part=tail")
    assert (answer.status, answer.kind) == (422, "invalid-value")


async def test_the_head_waits_for_publication(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a published root there is nothing that part could show; the event's part needs none."""
    event_id = (await site.record())["event_id"]
    monkeypatch.setattr(type(site.log.reader), "published", lambda *_: None)
    answer = await proof(site, event_id, "*/*", "?part=head")
    assert (answer.status, answer.kind) == (503, "not-published")
    assert (await proof(site, event_id, "*/*", "?part=event")).status == 200


async def tree(site: Site, path: str, token: str | None = None, **params: Any) -> Answer:
    return await site.call("GET", "/api/v1/proof" + path, token, headers=COSE, params=params)


async def test_receipts_of_a_stream(site: Site) -> None:
    sizes = [(await site.record())["inclusion"]["tree_size"] for _ in range(4)]
    assert sizes == [2, 3, 4, 5]
    await site.batch([EVENT] * 4)  # heads of 2, 3, 4, 5 and 9
    token, of_stream = await site.token(), {"stream_id": STREAM}
    entry = await site.get("/proof/inclusion", token, **of_stream, leaf_index=3, tree_size=5)
    leaf = base64.b64decode(entry.json()["leaf_hash"])
    for size in (5, 9):
        answer = await tree(site, "/inclusion", token, **of_stream, leaf_index=3, tree_size=size)
        assert saved_as(answer) == f"inclusion-3-{size}.cose"
        head = verify_inclusion_receipt(parse_receipt(answer.body), leaf, site.verifier)
        assert head.size == size
    newest = await tree(site, "/inclusion", token, **of_stream, leaf_index=3)
    assert newest.body == answer.body

    answer = await tree(site, "/consistency", token, **of_stream, first=4, second=9)
    assert saved_as(answer) == "consistency-4-9.cose"
    known = (await site.get("/proof/consistency", token, **of_stream, first=4, second=9)).json()
    old = Checkpoint(head.origin, 4, base64.b64decode(known["first_hash"]))
    receipt = parse_receipt(answer.body)
    assert verify_consistency_receipt(receipt, old, site.verifier) == head
    default = await tree(site, "/consistency", token, **of_stream, first=4)
    assert default.body == answer.body


async def test_no_receipt_for_a_head_that_the_log_never_signed(site: Site) -> None:
    """JSON shows any tree size; a signature stands only under heads of the root log."""
    await site.record()
    await site.batch([EVENT] * 4)  # heads of 2 and 6
    token, of_stream = await site.token(), {"stream_id": STREAM}
    assert (
        await site.get("/proof/inclusion", token, **of_stream, leaf_index=1, tree_size=4)
    ).status == 200
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("/inclusion", {"leaf_index": 1, "tree_size": 4}, "/tree_size"),
        ("/consistency", {"first": 2, "second": 4}, "/second"),
        ("/consistency", {"first": 6, "second": 6}, "/first"),
    ]
    for path, params, pointer in cases:
        answer = await tree(site, path, token, **of_stream, **params)
        assert (answer.status, answer.kind, answer.json()["pointer"]) == (422, "tree-size", pointer)
    refused = await tree(site, *("/inclusion", token), **of_stream, leaf_index=1, tree_size=4)
    assert "the next that it has is 6" in refused.json()["detail"]


async def test_receipts_of_the_root_log(site: Site) -> None:
    """Anyone's, for the sizes that this process signed."""
    await site.record()
    old = site.log.sequencer.head.root
    await site.record()
    new = site.log.sequencer.head.root
    answer = await tree(site, "/consistency", first=old.size)
    receipt = parse_receipt(answer.body)
    assert receipt.header.subject == receipt.header.issuer == ORIGIN
    assert verify_consistency_receipt(receipt, old, site.verifier) == new
    empty = Checkpoint(ORIGIN, 0, base64.b64decode("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="))
    answer = await tree(site, "/inclusion", leaf_index=0, tree_size=old.size)
    receipt = parse_receipt(answer.body)
    assert verify_inclusion_receipt(receipt, leaf_hash(empty.body()), site.verifier) == old
    refused = await tree(site, "/inclusion", leaf_index=0, tree_size=1)
    assert (refused.status, refused.kind, refused.json()["pointer"]) == (
        422,
        "tree-size",
        "/tree_size",
    )
    assert f"the newest is {new.size}" in refused.json()["detail"]
