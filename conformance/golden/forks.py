"""Fork proofs, good and bad: two histories of one log, signed with its key."""

from __future__ import annotations

from base64 import b64encode

from conformance.golden.honest import (
    LOG,
    ORIGIN,
    OTHER,
    PUBLIC_ORIGIN,
    STREAM_ORIGIN,
    W1,
    Json,
    seed,
    tree,
)
from conformance.golden.vectors import Change, Vectors, changed, drop, dump, hashes, put
from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import EMPTY_ROOT, Hash
from tlog.core.note import sign_note
from tlog.core.proofs import inclusion_proof, prefix_proof


def stream(mark: str, size: int) -> list[bytes]:
    """The entries of a stream; two marks part at entry 3. What they say does not matter here."""
    return [b"entry %d%s" % (index, mark.encode() if index > 2 else b"") for index in range(size)]


def head(mark: str, size: int, origin: str = STREAM_ORIGIN) -> Checkpoint:
    """The head of that stream."""
    return Checkpoint(origin, size, tree(stream(mark, size)).root())


def root_log(mark: str, size: int = 8) -> list[bytes]:
    """Leaves of the root log: from leaf 4 on the two histories have other heads of the stream."""
    bodies = [Checkpoint(ORIGIN, 0, EMPTY_ROOT).body()]
    bodies += [head(mark, count).body() for count in range(1, size)]
    return bodies[:size]


def note(checkpoint: Checkpoint) -> Json:
    """A statement: a head signed by itself."""
    return {"checkpoint": sign_note(checkpoint.body(), [LOG.under(checkpoint.origin)]).decode()}


def root_note(leaves: list[bytes]) -> Json:
    """A statement: the head of the root log."""
    return note(Checkpoint(ORIGIN, len(leaves), tree(leaves).root()))


def leaf(leaves: list[bytes], index: int) -> Json:
    """A statement: a leaf of the root log under its signed head."""
    path = inclusion_proof(index, len(leaves), tree(leaves))
    where = {"leaf": b64encode(leaves[index]).decode(), "leaf_index": index}
    return {**root_note(leaves), **where, "path": texts(path)}


def texts(digests: list[Hash]) -> list[str]:
    """Hashes as JSON has them."""
    return [b64encode(digest).decode() for digest in digests]


def prefix(leaves: list[bytes], old: int) -> list[str]:
    """The subtrees of the first `old` of these leaves, then of the others."""
    return texts(prefix_proof(old, len(leaves), tree(leaves)))


def fork(rule: str, first: Json, second: Json, subtrees: list[str] | None = None) -> Json:
    """The document."""
    return {
        "type": "fork",
        "version": 1,
        "rule": rule,
        "first": first,
        "second": second,
        "hashes": subtrees or [],
    }


def honest_leaves() -> list[bytes]:
    """A root log in which no rule is broken."""
    return root_log("a")


def good() -> dict[str, Json]:
    """One for each way to lie."""
    one, other = root_log("a", 6), root_log("b", 8)
    cut = [*root_log("a"), head("a", 5).body()]
    mixed = [*root_log("a", 6), head("b", 7).body()]
    reserved = [[*root_log("a", 4), mark] for mark in (b"reserved", b"\xff")]
    wrong_empty = note(Checkpoint(ORIGIN, 0, seed("no tree")))
    return {
        "root-log": fork("history", root_note(one), root_note(other), prefix(other, 6)),
        "root-log-of-one-size": fork("history", root_note(one), root_note(other[:6])),
        "root-log-empty-with-a-root": fork(
            "history", wrong_empty, root_note(other), prefix(other, 0)
        ),
        "stream": fork(
            "history", note(head("a", 5)), note(head("b", 7)), prefix(stream("b", 7), 5)
        ),
        "stream-note-and-root-leaf": fork("history", note(head("a", 5)), leaf(other, 5)),
        "stream-in-one-root-log": fork(
            "history", leaf(mixed, 5), leaf(mixed, 6), prefix(stream("b", 7), 5)
        ),
        "stream-cut": fork("growth", leaf(cut, 7), leaf(cut, 8)),
        "stream-cut-under-two-roots": fork("growth", leaf(root_log("a"), 7), leaf(cut, 8)),
        "stream-twice": fork(
            "growth", leaf([*one, head("a", 5).body()], 5), leaf([*one, head("a", 5).body()], 6)
        ),
        "one-place": fork("place", leaf(one, 5), leaf(other, 5)),
        "one-place-no-heads": fork("place", leaf(reserved[0], 4), leaf(reserved[1], 4)),
    }


def add_forks(vectors: Vectors) -> None:
    """Good and bad; `shows` is what a verifier must find, null for a file that shows nothing."""
    proofs = good()
    for name, document in proofs.items():
        vectors.raw(f"forks/good/{name}.json", dump(document), {"shows": document["rule"]})
    cosigned = changed(proofs["root-log"], cosign)
    vectors.raw("forks/good/root-log-cosigned.json", dump(cosigned), {"shows": "history"})
    bad = {**no_lies(proofs), **not_said(proofs), **spoiled(proofs)}
    for name, document in bad.items():
        vectors.raw(f"forks/bad/{name}.json", dump(document), {"shows": None})
    raw = dump(proofs["root-log"])
    twice = raw.replace(b'"rule"', b'"rule": "place", "rule"', 1)
    for name, data in {"file-with-a-member-twice": twice, "file-cut-short": raw[:-3]}.items():
        vectors.raw(f"forks/bad/{name}.json", data, {"shows": None})


def cosign(document: Json) -> None:
    """A witness has seen the first history."""
    text = document["first"]["checkpoint"].partition("\n\n")[0] + "\n"
    line = W1.at(1_774_015_204).sign_line(text.encode()).decode()
    document["first"]["checkpoint"] += line


def no_lies(proofs: dict[str, Json]) -> dict[str, Json]:
    """All of it signed and true: an honest log, accused."""
    one, longer = root_log("a", 6), honest_leaves()
    twin = changed({"note": root_note(one)}, lambda d: cosign({"first": d["note"]}))["note"]
    head_leaf, later = leaf(longer, 5), leaf(longer, 7)
    return {
        "honest-root-log": fork("history", root_note(one), root_note(longer), prefix(longer, 6)),
        "honest-stream": fork(
            "history", note(head("a", 5)), note(head("a", 7)), prefix(stream("a", 7), 5)
        ),
        "honest-leaves": fork("history", head_leaf, later, prefix(stream("a", 7), 5)),
        "honest-note-and-leaf": fork("history", note(head("a", 5)), head_leaf),
        "honest-growth": fork("growth", head_leaf, later),
        "honest-growth-backwards": fork("growth", later, head_leaf),
        "honest-place": fork("place", leaf(one, 5), head_leaf),
        "honest-places": fork("place", head_leaf, later),
        "one-head-twice": fork("history", root_note(one), root_note(one)),
        "one-head-cosigned": fork("history", root_note(one), twin),
        "one-leaf-twice": fork("growth", head_leaf, head_leaf),
        "hashes-of-the-honest-history": changed(
            proofs["root-log"], put("hashes", value=prefix(longer, 6))
        ),
        "hashes-missing": changed(proofs["root-log"], put("hashes", value=[])),
        "hashes-for-one-size": changed(
            proofs["root-log-of-one-size"], put("hashes", value=prefix(root_log("b", 6), 6))
        ),
        "larger-first": changed(proofs["root-log"], swap),
        "growth-with-hashes": changed(
            proofs["stream-cut"], put("hashes", value=prefix(stream("a", 7), 5))
        ),
        "growth-of-notes": fork("growth", note(head("a", 7)), note(head("a", 5))),
        "place-of-notes": fork("place", root_note(one), root_note(root_log("b", 6))),
        "two-streams": fork("history", note(head("a", 5)), note(head("b", 5, PUBLIC_ORIGIN))),
    }


def swap(document: Json) -> None:
    """The other order."""
    document["first"], document["second"] = document["second"], document["first"]


def not_said(proofs: dict[str, Json]) -> dict[str, Json]:
    """Something that the log did not sign, or not as this log, or not in its root log."""
    body = Checkpoint(ORIGIN, 6, seed("r")).body()
    outside = Checkpoint(f"{ORIGIN}/other", 6, seed("r"))
    foreign = Checkpoint("log.example.org", 6, seed("r"))
    notes = {
        "note-by-another-key": sign_note(body, [OTHER]),
        "note-by-a-witness": sign_note(body, [W1.at(1_774_015_204)]),
        "note-under-the-name-of-a-stream": sign_note(body, [LOG.under(STREAM_ORIGIN)]),
        "note-of-another-log": sign_note(foreign.body(), [LOG.under(foreign.origin)]),
        "note-outside-of-streams": sign_note(outside.body(), [LOG.under(outside.origin)]),
        "note-with-extension-line": sign_note(body + b"extension\n", [LOG]),
        "note-altered": sign_note(body, [LOG]).replace(b"\n6\n", b"\n5\n"),
    }
    bad = {
        name: changed(proofs["root-log"], put("first", value={"checkpoint": data.decode()}))
        for name, data in notes.items()
    }
    place = proofs["one-place"]
    for name, change in hashes("first", "path").items():
        bad[f"path-{name}"] = changed(place, change)
    bad["leaf-altered"] = changed(
        place, put("first", "leaf", value=b64encode(head("a", 4).body()).decode())
    )
    bad["leaf_index-of-another-leaf"] = changed(place, put("first", "leaf_index", value=4))
    bad["leaf_index-beyond-the-tree"] = changed(place, put("first", "leaf_index", value=6))
    leaves = [b"x", head("a", 5).body(), head("b", 5).body()]
    checkpoint = note(Checkpoint(STREAM_ORIGIN, 3, tree(leaves).root()))["checkpoint"]
    in_stream = fork("history", leaf(leaves, 1), leaf(leaves, 2))
    for which in ("first", "second"):
        in_stream[which]["checkpoint"] = checkpoint
    bad["leaves-of-a-stream"] = in_stream
    for name, origin in {
        "of-the-root-log": ORIGIN,
        "of-another-log": f"log.example.org/streams/{'a' * 52}",
        "outside-of-streams": f"{ORIGIN}/other",
        "without-a-label": f"{ORIGIN}/streams/",
    }.items():
        leaves = [*root_log("a", 3), *[head(mark, 5, origin).body() for mark in "ab"]]
        bad[f"leaves-{name}"] = fork("history", leaf(leaves, 3), leaf(leaves, 4))
    leaves = [*root_log("a", 3), b"no head", b"nor this"]
    bad["leaves-that-are-no-heads"] = fork("growth", leaf(leaves, 3), leaf(leaves, 4))
    return bad


def spoiled(proofs: dict[str, Json]) -> dict[str, Json]:
    """Another form than that of a fork proof."""
    changes: dict[str, Change] = {
        f"hashes-{name}": change for name, change in hashes("hashes").items()
    }
    changes["hashes-null"] = put("hashes", value=None)
    for name in ("type", "version", "rule", "first", "second", "hashes"):
        changes[f"without-{name}"] = drop(name)
    changes["version-2"] = put("version", value=2)
    changes["version-true"] = put("version", value=True)
    changes["type-another"] = put("type", value="package")
    changes["rule-another"] = put("rule", value="forked")
    changes["rule-growth-for-history"] = put("rule", value="growth")
    changes["unknown-member"] = put("comment", value="")
    changes["unknown-member-of-a-statement"] = put("first", "comment", value="")
    changes["checkpoint-null"] = put("first", "checkpoint", value=None)
    changes["first-as-text"] = lambda d: d.update(first=d["first"]["checkpoint"])
    bad = {name: changed(proofs["root-log"], change) for name, change in changes.items()}
    place = proofs["one-place"]
    for name in ("leaf", "leaf_index", "path"):
        bad[f"without-{name}"] = changed(place, drop("first", name))
        bad[f"{name}-null"] = changed(place, put("first", name, value=None))
    bad["leaf_index-true"] = changed(place, put("first", "leaf_index", value=True))
    bad["leaf_index-negative"] = changed(place, put("first", "leaf_index", value=-1))
    bad["rule-history-for-place"] = changed(
        proofs["one-place-no-heads"], put("rule", value="history")
    )
    return bad
