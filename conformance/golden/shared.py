"""What can be wrong with a receipt and with a package alike."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

from conformance.golden.entries import invalid_entries, unbound_entries, unbound_genesis
from conformance.golden.honest import (
    LOG,
    MS,
    NUMBER,
    ORIGIN,
    OTHER,
    PUBLIC,
    PUBLIC_ORIGIN,
    SIZE,
    STREAM_ORIGIN,
    TARGET,
    Json,
    Proof,
    block,
    prove,
    root_of_note,
    seed,
    with_target,
)
from conformance.golden.vectors import (
    BROKEN,
    MISPLACED,
    Change,
    Vectors,
    changed,
    drop,
    dump,
    hashes,
    put,
)
from tlog.core.checkpoint import Checkpoint
from tlog.core.ids import event_id, stream_origin


def unbound_origins() -> dict[str, str]:
    """Origins that the stream cannot have."""
    label = STREAM_ORIGIN.rpartition("/")[2]
    return {
        "origin-of-another-log": stream_origin("log.example.org", label),
        "origin-of-another-public-stream": PUBLIC_ORIGIN,
        "origin-with-short-label": stream_origin(ORIGIN, label[:-1]),
        "origin-with-upper-case-label": stream_origin(ORIGIN, label.upper()),
        "origin-outside-of-streams": f"{ORIGIN}/other/{label}",
        "origin-is-the-root-log": ORIGIN,
        "origin-is-a-bare-label": label,
        "origin-is-a-bare-public-label": "acme/prod/credit-decisions",
    }


def misplaced() -> dict[str, Any]:
    """What the operator can sign so that only the position is wrong: arguments of `prove`."""
    head, size = prove().head, SIZE
    root = prove().place
    body = Checkpoint(ORIGIN, root[1], root_of_note(root[3])).body()
    return {
        "root-leaf-of-another-size": {
            "body": Checkpoint(STREAM_ORIGIN, size + 1, head.root).body()
        },
        "root-leaf-of-another-root": {"body": Checkpoint(STREAM_ORIGIN, size, seed("r")).body()},
        "root-leaf-of-another-origin": {"body": Checkpoint(PUBLIC_ORIGIN, size, head.root).body()},
        "root-leaf-without-newline": {"body": head.body()[:-1]},
        "root-note-by-another-key": {"signer": OTHER},
        "root-note-by-the-stream-key-name": {"signer": LOG.under(STREAM_ORIGIN)},
        "root-note-of-another-origin": {"text": head.body()},
        "root-note-of-another-root": {"text": Checkpoint(ORIGIN, 5, seed("r")).body()},
        "root-note-of-another-size": {"text": body.replace(b"\n5\n", b"\n6\n")},
        "root-note-with-extension-line": {"text": body + b"extension\n"},
        "root-note-with-leading-zero": {"text": body.replace(b"\n5\n", b"\n05\n")},
    }


def common_changes(final: bool) -> dict[str, tuple[Change, tuple[str, str, str, str]]]:
    """Changes of the file itself. `final`: a package, whose stream note settles its path too."""
    alters = {
        "event_id": event_id(MS, NUMBER, TARGET + 1),
        "stream_id": PUBLIC,
        "block_hash": block(b""),
        "previous_hash": block(b""),
        "leaf_hash": b64encode(bytes(32)).decode(),
    }
    changes = {
        f"{name}-altered": (put(name, value=value), BROKEN) for name, value in alters.items()
    }
    for name in ("entry", "block_hash", "previous_hash", "leaf_hash", "inclusion"):
        changes[f"{name}-missing"] = (drop(name), BROKEN)
    changes["block_hash-bare-hex"] = (
        lambda document: document.update(block_hash=document["block_hash"][7:]),
        BROKEN,
    )
    for name, change in hashes("inclusion", "hashes").items():
        settled = final or name not in ("flipped", "swapped")
        changes[f"inclusion-hashes-{name}"] = (change, BROKEN if settled else MISPLACED)
    for name, change in hashes("root", "hashes").items():
        changes[f"root-hashes-{name}"] = (change, MISPLACED)
    for name in ("leaf_index", "tree_size"):
        for label, value in {"null": None, "negative": -1, "true": True, "text": "5"}.items():
            changes[f"inclusion-{name}-{label}"] = (put("inclusion", name, value=value), BROKEN)
            changes[f"root-{name}-{label}"] = (put("root", name, value=value), MISPLACED)
    index = put("inclusion", "leaf_index", value=TARGET - 1)
    changes["inclusion-leaf_index-of-another-leaf"] = (index, BROKEN)
    size = put("inclusion", "tree_size", value=SIZE + 1)  # the path has the same length
    changes["inclusion-tree_size-of-another-tree"] = (
        size,
        BROKEN if final else MISPLACED,
    )
    for label, origin in {"empty": "", "of-two-lines": STREAM_ORIGIN + "\nx", "null": None}.items():
        changes[f"inclusion-origin-{label}"] = (put("inclusion", "origin", value=origin), BROKEN)
    changes["inclusion-leaf-beyond-the-tree"] = (
        put("inclusion", "tree_size", value=TARGET),
        BROKEN,
    )
    changes["root-leaf_index-of-another-leaf"] = (put("root", "leaf_index", value=3), MISPLACED)
    changes["root-tree_size-of-another-tree"] = (put("root", "tree_size", value=6), MISPLACED)
    changes["root-null"] = (put("root", value=None), MISPLACED)
    changes["root-checkpoint-missing"] = (drop("root", "checkpoint"), MISPLACED)
    changes["root-checkpoint-unsigned"] = (
        lambda d: d["root"].update(checkpoint=d["root"]["checkpoint"].split("\u2014")[0]),
        MISPLACED,
    )
    return changes


def add_shared(vectors: Vectors, folder: str, make: Callable[[Proof], Json]) -> None:
    """Everything that a receipt and a package have in common."""
    good, final = make(prove()), folder == "packages"
    for name, entry in invalid_entries().items():
        document = make(prove(with_target(entry)))
        vectors.proof(f"{folder}/bad/entry-{name}.json", document, BROKEN)
    for schema, suffix in ((1, ""), (2, "-in-schema-2")):
        for name, (entry, index) in unbound_entries(schema).items():
            document = make(prove(with_target(entry, index), index))
            vectors.proof(f"{folder}/bad/{name}{suffix}.json", document, BROKEN)
        for name, entry in unbound_genesis(schema).items():
            document = make(prove(with_target(entry, 0), 0))
            vectors.proof(f"{folder}/bad/{name}{suffix}.json", document, BROKEN)
    for name, origin in unbound_origins().items():
        vectors.proof(f"{folder}/bad/{name}.json", make(prove(origin=origin)), BROKEN)
    for name, arguments in misplaced().items():
        vectors.proof(f"{folder}/bad/{name}.json", make(prove(**arguments)), MISPLACED)
    for name, (change, verdicts) in common_changes(final).items():
        vectors.proof(f"{folder}/bad/{name}.json", changed(good, change), verdicts)
    text = dump(good)
    twice = text.replace(b'"leaf_hash"', b'"leaf_hash": "", "leaf_hash"', 1)
    vectors.proof(f"{folder}/bad/file-with-a-member-twice.json", twice, BROKEN)
    vectors.proof(f"{folder}/bad/file-with-byte-order-mark.json", b"\xef\xbb\xbf" + text, BROKEN)
    vectors.proof(f"{folder}/bad/file-cut-short.json", text[:-3], BROKEN)
