"""C2SP tlog-proofs, good and with one fault each.

They hold no entry. `held` in the index says what a verifier is given beside the file: the entry, from a
receipt, and the part `head`.
"""

from __future__ import annotations

from base64 import b64encode

from conformance.golden import honest
from conformance.golden.documents import AT, forge
from conformance.golden.entries import unbound_entries
from conformance.golden.honest import (
    HONEST,
    LOG,
    ORIGIN,
    OTHER,
    PUBLIC_ORIGIN,
    SIZE,
    STREAM,
    STREAM_ORIGIN,
    TARGET,
    W1,
    W2,
    Proof,
    package,
    prove,
    seed,
    with_target,
)
from conformance.golden.shared import unbound_origins
from conformance.golden.vectors import (
    BROKEN,
    FAIL,
    MISPLACED,
    NONE,
    PASS,
    WITNESSED,
    Vectors,
    dump,
)
from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import EMPTY_ROOT
from tlog.core.ids import stream_label, stream_origin
from tlog.core.note import sign_note
from tlog.core.proofs import inclusion_proof
from tlog.core.tlog_proof import TlogProof, encode_proof, head_proof

BOTH = (W1.at(AT), W2.at(AT + 2))
GOOD = prove(cosigned=BOTH)
ENTRY, HEAD = "receipts/good/event.json", "tlog-proofs/good/head.tlog-proof"
HELD = {"entry": ENTRY, "head": HEAD}
ALONE = (PASS, NONE, NONE, NONE)
ONLY_HEAD = (NONE, PASS, PASS, NONE)
NOT_A_HEAD = (NONE, FAIL, NONE, NONE)


def add_labels(vectors: Vectors) -> None:
    """A private label says nothing by itself: with the genesis entry at hand it is the stream's, or is not.

    Only this binding is broken in the bad ones: the log signed another label, of the right form, for the stream.
    """
    held = {"genesis": "receipts/good/genesis.json"}
    good = dump(package(prove(index=4, cosigned=BOTH)))
    add(vectors, "packages/good/label-with-its-genesis.json", good, WITNESSED, held)
    other = prove(
        origin=stream_origin(ORIGIN, stream_label(STREAM, seed("another nonce"))), cosigned=BOTH
    )
    add(vectors, "packages/bad/label-not-of-its-genesis.json", dump(package(other)), BROKEN, held)
    data = encode_proof(part_event(other))
    held = {"entry": ENTRY, **held}
    add(vectors, "tlog-proofs/bad/label-not-of-its-genesis.tlog-proof", data, BROKEN, held)


def part_event(proof: Proof, index: int | None = None) -> TlogProof:
    """The entry under its stream's note."""
    return TlogProof(proof.leaf_index if index is None else index, tuple(proof.path), proof.note)


def part_head(proof: Proof, body: bytes | None = None) -> TlogProof:
    """The stream's head under the root log's note."""
    index, _, path, note = proof.place
    made = head_proof(proof.head, index, path, note)
    return made if body is None else TlogProof(index, tuple(path), note, body)


def add_tlog_proofs(vectors: Vectors) -> None:
    """Both parts."""
    good = encode_proof(part_event(GOOD))
    head = encode_proof(part_head(GOOD))
    add(vectors, "tlog-proofs/good/event.tlog-proof", good, WITNESSED, HELD)
    add(vectors, HEAD, head, ONLY_HEAD, {})
    one = encode_proof(part_event(prove(HONEST[:1], 0)))
    held = {"entry": "receipts/good/tree-of-one.json"}
    add(vectors, "tlog-proofs/good/tree-of-one.tlog-proof", one, ALONE, held)
    last = encode_proof(part_event(prove(index=SIZE - 1)))
    held = {"entry": "receipts/good/newest-leaf.json", "head": HEAD}
    add(vectors, "tlog-proofs/good/newest-leaf.tlog-proof", last, WITNESSED, held)
    for name, data in {**event_spellings(good), **event_faults()}.items():
        add(vectors, f"tlog-proofs/bad/{name}.tlog-proof", data, BROKEN, HELD)
    # In a tree of one leaf more the same path gives the same root: only the root log tells.
    eight = sign_note(
        Checkpoint(STREAM_ORIGIN, SIZE + 1, GOOD.head.root).body(), [LOG.under(STREAM_ORIGIN)]
    )
    signed = encode_proof(TlogProof(TARGET, tuple(GOOD.path), eight))
    add(vectors, "tlog-proofs/bad/head-of-another-size-signed.tlog-proof", signed, MISPLACED, HELD)
    for name, data, verdicts in head_faults():
        add(vectors, f"tlog-proofs/bad/head-{name}.tlog-proof", data, verdicts, {})
    add_unbound(vectors)


def event_spellings(good: bytes) -> dict[str, bytes]:
    """What is no C2SP tlog-proof, or another spelling of a good one."""
    lines = good.split(b"\n")
    head, path, rest = lines[0], lines[2:5], lines[5:]

    def text(*before: bytes, path: list[bytes] = path, rest: list[bytes] = rest) -> bytes:
        return b"\n".join([*before, *path, *rest])

    index = b"index %d" % TARGET
    return {
        "version-2": text(b"c2sp.org/tlog-proof@v2", index),
        "header-with-space": text(head + b" ", index),
        "carriage-returns": good.replace(b"\n", b"\r\n"),
        "index-missing": text(head),
        "index-with-leading-zero": text(head, b"index 05"),
        "index-with-sign": text(head, b"index +5"),
        "index-2-63": text(head, b"index 9223372036854775808"),
        "index-twice": text(head, index, index),
        "extra-empty": text(head, b"extra ", index),
        "extra-after-index": text(head, index, b"extra QQ=="),
        "hash-not-canonical-base64": text(head, index, path=[b"A" * 42 + b"B=", *path[1:]]),
        "hash-of-31-bytes": text(head, index, path=[b64encode(bytes(31)), *path[1:]]),
        "hash-with-white-space": text(head, index, path=[path[0] + b" ", *path[1:]]),
        "64-hashes": text(head, index, path=path[:1] * 64),
        "no-empty-line": b"\n".join([head, index, *path]) + b"\n",
        "no-checkpoint": b"\n".join([head, index, *path]) + b"\n\n",
        "bytes-behind-the-note": good + b"x",
    }


def event_faults() -> dict[str, bytes]:
    """Proofs of the right form that do not hold."""
    path, note = GOOD.path, GOOD.note
    signer = LOG.under(STREAM_ORIGIN)
    root = GOOD.head.root
    notes = {
        "by-another-key": sign_note(GOOD.head.body(), [OTHER.under(STREAM_ORIGIN)]),
        "under-the-root-log-name": sign_note(GOOD.head.body(), [LOG]),
        "of-another-root": sign_note(Checkpoint(STREAM_ORIGIN, SIZE, seed("r")).body(), [signer]),
        "of-another-size": sign_note(Checkpoint(STREAM_ORIGIN, 2, root).body(), [signer]),
        "forged": forge(note.decode()).encode(),
    }
    found = {
        f"checkpoint-{name}": encode_proof(TlogProof(TARGET, tuple(path), other))
        for name, other in notes.items()
    }
    flipped = bytes([path[0][0] ^ 1]) + path[0][1:]
    paths = {
        "flipped": [flipped, *path[1:]],
        "too-short": path[:-1],
        "too-long": [*path, path[-1]],
        "swapped": path[::-1],
    }
    for name, hashes in paths.items():
        found[f"hashes-{name}"] = encode_proof(TlogProof(TARGET, tuple(hashes), note))
    found["index-of-another-leaf"] = encode_proof(part_event(GOOD, TARGET - 1))
    found["index-beyond-the-tree"] = encode_proof(part_event(GOOD, SIZE))
    other = prove(with_target(HONEST[TARGET - 1]))
    found["of-another-entry"] = encode_proof(part_event(other))
    for name, origin in unbound_origins().items():
        found[name] = encode_proof(part_event(prove(origin=origin)))
    return found


def add_unbound(vectors: Vectors) -> None:
    """Entries that the log signed into its tree and that do not say where they are."""
    for name, (entry, index) in unbound_entries(1).items():
        proof = prove(with_target(entry, index), index)
        held = {"entry": f"receipts/bad/{name}.json"}
        data = encode_proof(part_event(proof))
        add(vectors, f"tlog-proofs/bad/{name}.tlog-proof", data, BROKEN, held)


def head_faults() -> list[tuple[str, bytes, tuple[str, ...]]]:
    """Parts `head`: as a file of its own, each fails; beside an event, too."""
    index, _, path, note = GOOD.place
    body = GOOD.head.body()
    one = prove(cosigned=BOTH[:1])
    other_size = Checkpoint(STREAM_ORIGIN, SIZE + 1, GOOD.head.root).body()
    foreign = Checkpoint("log.example.org/streams/acme/prod/x", 3, seed("head 3")).body()
    faults: dict[str, TlogProof] = {
        "at-another-leaf": TlogProof(index + 1, tuple(path), note, body),
        "path-too-short": TlogProof(index, tuple(path[:-1]), note, body),
        "of-another-size": part_head(GOOD, other_size),
        "of-another-origin": part_head(
            GOOD, Checkpoint(PUBLIC_ORIGIN, SIZE, GOOD.head.root).body()
        ),
        "without-newline": part_head(GOOD, body[:-1]),
        "with-extension-line": part_head(GOOD, body + b"x\n"),
        "of-another-log": part_head(prove(body=foreign, cosigned=BOTH), foreign),
        "that-is-the-root-log": TlogProof(
            0, tuple(first_path()), note, Checkpoint(ORIGIN, 0, EMPTY_ROOT).body()
        ),
        "note-by-another-key": part_head(prove(signer=OTHER, cosigned=BOTH)),
        "note-of-another-origin": part_head(prove(signer=LOG.under(STREAM_ORIGIN), cosigned=BOTH)),
    }
    found = [(name, encode_proof(proof), NOT_A_HEAD) for name, proof in faults.items()]
    witnessed = (NONE, PASS, FAIL, NONE)
    found.append(("one-witness-of-two", encode_proof(part_head(one)), witnessed))
    forged = TlogProof(index, tuple(path), forge(note.decode()).encode(), body)
    found.append(("cosignature-forged", encode_proof(forged), witnessed))
    return found


def first_path() -> list[bytes]:
    """The path of the root log's first leaf, its own empty head, in the tree that `prove` makes."""
    others = [Checkpoint(PUBLIC_ORIGIN, size, seed(f"head {size}")).body() for size in (3, 4)]
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT).body()
    leaves = [empty, others[0], GOOD.head.body(), others[1], empty]
    return inclusion_proof(0, 5, honest.tree(leaves))


def add(
    vectors: Vectors,
    path: str,
    data: bytes,
    verdicts: tuple[str, ...],
    held: dict[str, str],
) -> None:
    """A file, its verdicts, and what is held beside it."""
    vectors.proof(path, data, verdicts)
    if held:
        vectors.index[path]["held"] = held
