"""Receipts, proof packages and batch answers, good and bad."""

from __future__ import annotations

import json
from base64 import b64encode

from conformance.golden import honest
from conformance.golden.honest import (
    HONEST,
    LOG,
    MS,
    ORIGIN,
    OTHER,
    PREVIOUS,
    PUBLIC,
    PUBLIC_ORIGIN,
    SIZE,
    STREAM,
    STREAM_ORIGIN,
    TARGET,
    W1,
    W2,
    Json,
    base_record,
    block,
    entry_of,
    full_record,
    package,
    prove,
    receipt,
    seed,
    stream_entries,
    with_target,
)
from conformance.golden.shared import add_shared
from conformance.golden.vectors import (
    BROKEN,
    FAIL,
    NONE,
    PASS,
    SIGNED,
    WITNESSED,
    Change,
    Vectors,
    changed,
    drop,
    hashes,
    put,
)
from tlog.core.checkpoint import Checkpoint
from tlog.core.cosignature import CosignatureSigner
from tlog.core.ids import stream_origin
from tlog.core.note import sign_note
from tlog.core.proofs import range_proof
from tlog.core.receipt import batch_json
from tlog.core.times import format_ms

AT = MS // 1000 + 1  # when the witnesses cosigned


def add_receipts(vectors: Vectors) -> None:
    """Receipts of single events."""
    good = receipt(prove())
    vectors.proof("receipts/good/event.json", good, SIGNED)
    vectors.proof("receipts/good/genesis.json", receipt(prove(index=0)), SIGNED)
    vectors.proof("receipts/good/newest-leaf.json", receipt(prove(index=SIZE - 1)), SIGNED)
    vectors.proof("receipts/good/tree-of-one.json", receipt(prove(HONEST[:1], 0)), SIGNED)
    vectors.proof("receipts/good/replayed.json", receipt(prove(), replayed=True), SIGNED)
    unknown = entry_of(full_record() | {"v": 2, "colour": "red"}, PREVIOUS)
    other = receipt(prove(with_target(unknown)))
    vectors.proof("receipts/good/schema-2-not-understood.json", other, SIGNED)
    vectors.proof("receipts/good/without-salt.json", changed(good, drop("salt")), SIGNED)
    public = prove(stream_entries(stream=PUBLIC), origin=PUBLIC_ORIGIN)
    vectors.proof("receipts/good/public-stream.json", receipt(public), SIGNED)
    add_shared(vectors, "receipts", receipt)
    alters = {
        "sequence_counter": TARGET + 1,
        "timestamp": format_ms(MS + 1),
        "velocity_flag_triggered": False,
    }
    for name, value in alters.items():
        vectors.proof(
            f"receipts/bad/{name}-altered.json", changed(good, put(name, value=value)), BROKEN
        )
    for name in ("event_id", "stream_id", *alters):
        vectors.proof(f"receipts/bad/{name}-missing.json", changed(good, drop(name)), BROKEN)
    is_text = put("sequence_counter", value=str(TARGET))
    vectors.proof("receipts/bad/sequence_counter-as-text.json", changed(good, is_text), BROKEN)
    number = put("velocity_flag_triggered", value=1)
    vectors.proof(
        "receipts/bad/velocity_flag_triggered-as-number.json", changed(good, number), BROKEN
    )


def add_packages(vectors: Vectors) -> None:
    """Proof packages: cosigned roots, the stream's note, the decision surface."""
    both = (W1.at(AT), W2.at(AT + 2))
    good = package(prove(cosigned=both))
    vectors.proof("packages/good/event.json", good, WITNESSED)
    genesis = package(prove(index=0, cosigned=both))
    vectors.proof("packages/good/genesis.json", genesis, WITNESSED)
    plain = package(prove(index=3, cosigned=both))
    vectors.proof("packages/good/no-decision-surface.json", plain, WITNESSED)
    vectors.proof("packages/good/not-witnessed.json", package(prove()), SIGNED)
    anchored = changed(good, put("anchors", value=[{"reply": "not checked"}]))
    vectors.proof("packages/good/with-anchor.json", anchored, WITNESSED)
    stranger = CosignatureSigner("witness.example.com/w9", seed("w9"))
    unknown = package(prove(cosigned=(stranger.at(AT),)))
    vectors.proof("packages/good/cosigned-by-a-stranger.json", unknown, SIGNED)
    late = package(prove(cosigned=(W1.at(AT), W2.at(AT + 120))))
    vectors.proof("packages/good/witnessed-two-minutes-later.json", late, WITNESSED)
    add_shared(vectors, "packages", package)

    one = package(prove(cosigned=both[:1]))
    vectors.proof("packages/bad/one-witness-of-two.json", one, (PASS, PASS, FAIL, NONE))
    early = package(prove(cosigned=(W1.at(AT - 120), W2.at(AT - 120))))
    vectors.proof(
        "packages/bad/witnessed-before-the-claimed-time.json", early, (PASS, PASS, PASS, FAIL)
    )
    forged = changed(good, lambda d: d["root"].update(checkpoint=forge(d["root"]["checkpoint"])))
    vectors.proof("packages/bad/cosignature-forged.json", forged, (PASS, PASS, FAIL, NONE))
    unpublished = changed(good, drop("root"))
    vectors.proof("packages/bad/not-published-yet.json", unpublished, (PASS, NONE, NONE, NONE))
    add_stream_notes(vectors, good)
    add_surfaces(vectors, good, plain)


def add_stream_notes(vectors: Vectors, good: Json) -> None:
    """Packages whose stream note is not for the head to which the entry leads."""
    head = prove().head
    notes = {
        "of-another-size": Checkpoint(STREAM_ORIGIN, SIZE - 1, head.root),
        "of-another-root": Checkpoint(STREAM_ORIGIN, SIZE, seed("r")),
        "of-another-origin": Checkpoint(PUBLIC_ORIGIN, SIZE, head.root),
    }
    signer = LOG.under(STREAM_ORIGIN)
    bodies = {name: sign_note(note.body(), [signer]) for name, note in notes.items()}
    bodies["by-another-key"] = sign_note(head.body(), [OTHER.under(STREAM_ORIGIN)])
    bodies["under-the-root-log-name"] = sign_note(head.body(), [LOG])
    for name, note in bodies.items():
        spoiled = changed(good, put("checkpoint", value=note.decode()))
        vectors.proof(f"packages/bad/checkpoint-{name}.json", spoiled, BROKEN)


def add_surfaces(vectors: Vectors, good: Json, plain: Json) -> None:
    """Packages of another version, or with another decision surface than the entry's."""
    surface = good["decision_surface"]
    changes = {
        "checkpoint-missing": drop("checkpoint"),
        "version-2": put("version", value=2),
        "version-true": put("version", value=True),
        "decision_surface-missing": drop("decision_surface"),
        "decision_surface-altered": put("decision_surface", "human_decision", value="REJECT"),
        "decision_surface-flag-as-number": put("decision_surface", "velocity_flag", value=1),
    }
    for name, change in changes.items():
        vectors.proof(f"packages/bad/{name}.json", changed(good, change), BROKEN)
    added = changed(plain, put("decision_surface", value=surface))
    vectors.proof("packages/bad/decision_surface-added.json", added, BROKEN)
    emptied = changed(plain, put("decision_surface", value={}))
    vectors.proof("packages/bad/decision_surface-empty.json", emptied, BROKEN)
    nulled = changed(plain, put("decision_surface", value=None))
    vectors.proof("packages/bad/decision_surface-null.json", nulled, BROKEN)


def forge(note: str) -> str:
    """The same note with one bit of its last signature changed."""
    return note[:-8] + ("B" if note[-8] == "A" else "A") + note[-7:]


def add_batches(vectors: Vectors) -> None:
    """Answers to a batch of two new events in one stream, two in another and a replayed one."""
    good = batch()
    vectors.proof("batches/good/two-streams-and-a-replay.json", good, SIGNED)
    replay = {"receipts": good["receipts"][:1], "heads": {}, "ranges": {}}
    vectors.proof("batches/good/only-replayed.json", replay, SIGNED)
    nothing = {"receipts": [], "heads": {}, "ranges": {}}
    vectors.proof("batches/bad/empty.json", nothing, (NONE, NONE, NONE, NONE))
    other = entry_of(base_record(4), PREVIOUS)
    vectors.proof("batches/bad/chain-broken.json", batch(with_target(other, 4)), BROKEN)
    third = entry_of(base_record(1), block(HONEST[2]))
    shifted = [*HONEST[:3], third, entry_of(base_record(2), block(third)), *HONEST[5:]]
    vectors.proof("batches/bad/entries-at-other-leaves.json", batch(shifted), BROKEN)
    other_label = batch(origin=stream_origin(ORIGIN, "acme/prod/other"))
    vectors.proof("batches/bad/stream-under-another-label.json", other_label, BROKEN)
    moved = put("heads", STREAM, "origin", value=PUBLIC_ORIGIN)
    lone = put("receipts", value=good["receipts"][:3])
    changes: dict[str, Change] = {
        "entry-missing": lambda d: d["receipts"][2].pop("entry"),
        "event_id-altered": lambda d: d["receipts"][2].update(
            event_id=d["receipts"][3]["event_id"]
        ),
        "receipt-missing": lambda d: d["receipts"].pop(2),
        "receipt-twice": lambda d: d["receipts"].insert(2, d["receipts"][2]),
        "receipts-out-of-order": lambda d: d["receipts"].insert(1, d["receipts"].pop(2)),
        "new-receipt-called-replayed": lambda d: d["receipts"][2].update(replayed=True),
        "replayed-receipt-called-new": lambda d: d["receipts"][0].update(replayed=False),
        "replayed-receipt-without-root": lambda d: d["receipts"][0].pop("root"),
        "stream-without-receipts": lone,
        "head-missing": drop("heads", STREAM),
        "range-missing": drop("ranges", STREAM),
        "head-of-another-size": put("heads", STREAM, "tree_size", value=SIZE + 1),
        "head-of-another-root": put(
            "heads", STREAM, "root_hash", value=b64encode(bytes(32)).decode()
        ),
        "head-of-another-origin": moved,
        "head-without-root": drop("heads", STREAM, "root"),
        "head-at-another-leaf": put("heads", STREAM, "root", "leaf_index", value=2),
        "range-first-of-another-leaf": put("ranges", STREAM, "first", value=2),
        "range-last-of-another-leaf": put("ranges", STREAM, "last", value=5),
        "range-of-another-size": put("ranges", STREAM, "tree_size", value=SIZE + 1),
    }
    for side in ("left", "right"):
        for name, change in hashes("ranges", STREAM, side).items():
            changes[f"range-{side}-{name}"] = change
    for name, change in changes.items():
        vectors.proof(f"batches/bad/{name}.json", changed(good, change), BROKEN)


def batch(entries: list[bytes] = HONEST, origin: str = STREAM_ORIGIN) -> Json:
    """Events 3 and 4 of one stream, 1 and 2 of another, and event 1 of the first once more."""
    public = stream_entries(3, PUBLIC)
    places = honest.prove_heads({origin: entries, PUBLIC_ORIGIN: public})
    receipts = [receipt(prove(entries, 1), replayed=True)]
    receipts += [receipt(prove(entries, index), proofs=False) for index in (3, 4)]
    receipts += [
        receipt(prove(public, index, origin=PUBLIC_ORIGIN), proofs=False) for index in (1, 2)
    ]
    left, right = range_proof(3, 5, len(entries), honest.tree(entries))
    sides = range_proof(1, 3, 3, honest.tree(public))
    answer: Json = json.loads(
        batch_json(
            [json.dumps(document).encode() for document in receipts],
            {STREAM: places[origin], PUBLIC: places[PUBLIC_ORIGIN]},
            {STREAM: (3, 4, len(entries), left, right), PUBLIC: (1, 2, 3, *sides)},
        )
    )
    return answer
