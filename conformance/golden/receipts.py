"""COSE receipts, good and with one fault each.

The key id in every one is that of the log's vkey, whose name is the issuer.
"""

from __future__ import annotations

from typing import Any

import cbor2

from conformance.golden.entries import unbound_entries
from conformance.golden.honest import (
    HONEST,
    LOG,
    ORIGIN,
    OTHER,
    PUBLIC_ORIGIN,
    STREAM_ORIGIN,
    TARGET,
    prove,
    tree,
    with_target,
)
from conformance.golden.portable import ALONE, GOOD, HELD, add
from conformance.golden.shared import unbound_origins
from conformance.golden.vectors import BROKEN, MISPLACED, NONE, PASS, WITNESSED, Vectors
from tlog.core.checkpoint import Checkpoint
from tlog.core.note import Signer, sign_note
from tlog.core.proofs import consistency_proof

KEY_ID = LOG.key_id.to_bytes(4, "big")
CLAIMS = {1: ORIGIN, 2: STREAM_ORIGIN}
PARTS: dict[int, Any] = {1: -8, 4: KEY_ID, 15: CLAIMS, 395: 1}
SIZE = len(HONEST)
INNER: list[Any] = [SIZE, TARGET, list(GOOD.path)]
ROOT = GOOD.head.root
OLD_ROOT, OLD_STREAM = "checkpoints/good/older-head-of-the-root.note", "cose/held/older-head.note"

FORKED = "cose/held/forked-head.note"


def spelled(
    protected: Any = PARTS,
    inner: Any = INNER,
    *,
    root: bytes = ROOT,
    kind: int = -1,
    by: Signer = LOG,
    payload: Any = None,
    vdp: Any = None,
    unprotected: Any = None,
    signature: Any = None,
) -> bytes:
    """A receipt that the log signed, over whatever header it gets."""
    raw = protected if isinstance(protected, bytes) else cbor2.dumps(protected, canonical=True)
    structure = cbor2.dumps(["Signature1", raw, b"", root], canonical=True)
    signed = by.sign_blob(structure)[4:] if signature is None else signature
    proof = inner if isinstance(inner, bytes) else cbor2.dumps(inner)
    where = {396: vdp or {kind: [proof]}} if unprotected is None else unprotected
    return cbor2.dumps(cbor2.CBORTag(18, [raw, where, payload, signed]), canonical=True)


def claims(issuer: Any = ORIGIN, subject: Any = STREAM_ORIGIN) -> dict[int, Any]:
    """The header with other claims."""
    return {**PARTS, 15: {1: issuer, 2: subject}}


def without(label: int) -> dict[int, Any]:
    """The header without one parameter."""
    return {name: value for name, value in PARTS.items() if name != label}


def add_cose(vectors: Vectors) -> None:
    """Receipts of inclusion and of consistency."""
    good = spelled()
    add(vectors, "cose/good/event.cose", good, WITNESSED, HELD)
    one = prove(HONEST[:1], 0)
    held = {"entry": "receipts/good/tree-of-one.json"}
    alone = spelled(inner=[1, 0, []], root=one.head.root)
    add(vectors, "cose/good/tree-of-one.cose", alone, ALONE, held)
    # The size is not signed, and with one leaf more the path is the same: the root log tells.
    eight = spelled(inner=[SIZE + 1, *INNER[1:]])
    add(vectors, "cose/bad/size-of-another-tree.cose", eight, MISPLACED, HELD)
    for name, data in {**encodings(good), **headers(), **faults()}.items():
        add(vectors, f"cose/bad/{name}.cose", data, BROKEN, HELD)
    for name, (entry, index) in unbound_entries(1).items():
        proof = prove(with_target(entry, index), index)
        data = spelled(inner=[SIZE, index, list(proof.path)], root=proof.head.root)
        held = {"entry": f"receipts/bad/{name}.json"}
        add(vectors, f"cose/bad/{name}.cose", data, BROKEN, held)
    add_consistency(vectors)


def encodings(good: bytes) -> dict[str, bytes]:
    """What is no receipt, or another encoding of a good one."""
    raw, proof = cbor2.dumps(PARTS, canonical=True), cbor2.dumps(INNER)
    return {
        "untagged": b"\xd2" + good[2:],
        "another-tag": b"\xd2\xd3" + good[1:],
        "byte-behind-the-end": good + b"\x00",
        "cut-short": good[:-1],
        "payload-attached": spelled(payload=ROOT),
        "header-byte-behind-the-end": spelled(raw + b"\x00"),
        "header-not-sorted": spelled(cbor2.dumps({395: 1, **without(395)})),
        "header-integer-too-long": spelled(raw.replace(b"\xa4\x01\x27", b"\xa4\x18\x01\x27")),
        "header-value-too-long": spelled(raw[:-1] + b"\x18\x01"),
        "header-label-twice": spelled(b"\xa5\x01\x27" + raw[1:]),
        "header-no-map": spelled(b"\x80"),
        "unprotected-one-more": spelled(unprotected={396: {-1: [proof]}, 4: b"x"}),
        "unprotected-empty": spelled(unprotected={}),
        "proofs-none": spelled(vdp={-1: []}),
        "proofs-two": spelled(vdp={-1: [proof, proof]}),
        "proofs-of-both-kinds": spelled(vdp={-1: [proof], -2: [proof]}),
        "proof-of-an-unknown-kind": spelled(kind=-3),
        "proof-not-wrapped": spelled(vdp={-1: [INNER]}),
        "proof-of-two-items": spelled(inner=INNER[:2]),
        "proof-byte-behind-the-end": spelled(inner=proof + b"\x00"),
        "proof-of-indefinite-length": spelled(inner=b"\x83\x07\x05\x9f" + proof[4:] + b"\xff"),
        "size-negative": spelled(inner=[-1, *INNER[1:]]),
        "size-2-63": spelled(inner=[2**63, *INNER[1:]]),
        "size-true": spelled(inner=[True, 0, []]),
        "hash-of-31-bytes": spelled(inner=[SIZE, TARGET, [bytes(31), *INNER[2][1:]]]),
        "path-of-64": spelled(inner=[SIZE, TARGET, [bytes(32)] * 64]),
        "signature-of-63-bytes": spelled(signature=bytes(63)),
    }


def headers() -> dict[str, bytes]:
    """Protected headers that say something else; the log signed each."""
    found = {
        "alg-es256": spelled({**PARTS, 1: -7}),
        "alg-missing": spelled(without(1)),
        "key-id-missing": spelled(without(4)),
        "key-id-of-another-key": spelled({**PARTS, 4: OTHER.key_id.to_bytes(4, "big")}),
        "key-id-of-the-stream": spelled(
            {**PARTS, 4: LOG.under(STREAM_ORIGIN).key_id.to_bytes(4, "big")}
        ),
        "key-id-of-5-bytes": spelled({**PARTS, 4: KEY_ID + b"\x00"}),
        "vds-2": spelled({**PARTS, 395: 2}),
        "vds-missing": spelled(without(395)),
        "claims-missing": spelled(without(15)),
        "claims-one-more": spelled({**PARTS, 15: {**CLAIMS, 6: 1_774_015_203}}),
        "issuer-is-the-stream": spelled(claims(issuer=STREAM_ORIGIN)),
        "issuer-is-another-log": spelled(claims(issuer="log.example.org")),
        "subject-as-bytes": spelled(claims(subject=STREAM_ORIGIN.encode())),
        "subject-of-two-lines": spelled(claims(subject=STREAM_ORIGIN + "\nx")),
        "critical-and-unknown": spelled({**PARTS, 2: [99], 99: 1}),
        "critical-and-known": spelled({**PARTS, 2: [395]}),
        "content-type": spelled({**PARTS, 3: "application/json"}),
    }
    for name, origin in unbound_origins().items():
        found[name] = spelled(claims(subject=origin))
    return found


def faults() -> dict[str, bytes]:
    """Receipts of the right form that do not hold."""
    path = INNER[2]
    flipped = bytes([path[0][0] ^ 1]) + path[0][1:]
    changed = bytearray(spelled())
    changed[-1] ^= 1
    return {
        "signed-by-another-key": spelled(by=OTHER),
        "signature-altered": bytes(changed),
        "signature-of-a-note": spelled(signature=LOG.sign_blob(GOOD.head.body())[4:]),
        "index-of-another-leaf": spelled(inner=[SIZE, TARGET - 1, path]),
        "index-beyond-the-tree": spelled(inner=[TARGET, TARGET, path]),
        "path-flipped": spelled(inner=[SIZE, TARGET, [flipped, *path[1:]]]),
        "path-too-short": spelled(inner=[SIZE, TARGET, path[:-1]]),
        "path-too-long": spelled(inner=[SIZE, TARGET, [*path, path[-1]]]),
        "path-swapped": spelled(inner=[SIZE, TARGET, path[::-1]]),
        "of-another-root": spelled(root=bytes(32)),
    }


def add_consistency(vectors: Vectors) -> None:
    """From a tree of three leaves; the older head is held as a note."""
    edge, old = tree(HONEST), tree(HONEST[:3]).root()
    path = consistency_proof(3, SIZE, edge)
    note = sign_note(Checkpoint(ORIGIN, 3, old).body(), [LOG])
    vectors.raw(OLD_ROOT, note, {"opens": True})
    stream = sign_note(Checkpoint(STREAM_ORIGIN, 3, old).body(), [LOG.under(STREAM_ORIGIN)])
    vectors.files[OLD_STREAM] = stream
    root, held = claims(subject=ORIGIN), {"old": OLD_ROOT}
    inner: list[Any] = [3, SIZE, path]
    good = spelled(root, inner, kind=-2)
    add(vectors, "cose/good/consistency-of-the-root.cose", good, (PASS, PASS, NONE, NONE), held)
    of_stream = spelled(inner=inner, kind=-2)
    add(vectors, "cose/good/consistency.cose", of_stream, ALONE, {"old": OLD_STREAM})
    # The log signed another tree of five: the receipt is good, and is not of that history.
    fork = sign_note(Checkpoint(ORIGIN, 5, bytes(32)).body(), [LOG])
    vectors.files[FORKED] = fork
    receipt = spelled(root, [5, SIZE, consistency_proof(5, SIZE, edge)], kind=-2)
    add(vectors, "cose/bad/consistency-of-another-history.cose", receipt, BROKEN, {"old": FORKED})
    flipped = [bytes([path[0][0] ^ 1]) + path[0][1:], *path[1:]]
    bad = {
        "of-another-size": spelled(root, [4, SIZE, path], kind=-2),
        "to-another-size": spelled(root, [3, SIZE + 2, path], kind=-2),
        "flipped": spelled(root, [3, SIZE, flipped], kind=-2),
        "too-short": spelled(root, [3, SIZE, path[:-1]], kind=-2),
        "too-long": spelled(root, [3, SIZE, [*path, path[0]]], kind=-2),
        "from-nothing": spelled(root, [0, SIZE, []], kind=-2),
        "from-itself": spelled(root, [3, 3, []], kind=-2, root=old),
        "to-another-root": spelled(root, inner, kind=-2, root=old),
        "by-another-key": spelled(root, inner, kind=-2, by=OTHER),
        "of-another-tree": spelled(claims(subject=PUBLIC_ORIGIN), inner, kind=-2),
    }
    for name, data in bad.items():
        add(vectors, f"cose/bad/consistency-{name}.cose", data, BROKEN, held)
