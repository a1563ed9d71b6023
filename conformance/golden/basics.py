"""Vectors of the parts: notes, checkpoints, entries, commitments."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from conformance.golden.entries import entry_of_size, invalid_entries
from conformance.golden.honest import (
    EVENT,
    FIELDS,
    HONEST,
    LOG,
    ORIGIN,
    OTHER,
    SALT,
    STREAM_ORIGIN,
    TARGET,
    W1,
    Json,
    seed,
)
from conformance.golden.vectors import Vectors, dump
from tlog.core.checkpoint import Checkpoint
from tlog.core.commitment import commit
from tlog.core.hashes import EMPTY_ROOT
from tlog.core.note import Signer, sign_note
from tlog.core.wire import hash_text


def add_notes(vectors: Vectors) -> None:
    """Notes to be opened with the log's vkey: true, false."""
    text = Checkpoint(ORIGIN, 5, seed("root of a note")).body()
    good = sign_note(text, [LOG])
    body, line = good.split(b"\n\n")
    stranger = sign_note(text, [Signer("log.example.org", seed("stranger"))]).split(b"\n\n")[1]
    other = sign_note(text, [OTHER]).split(b"\n\n")[1]
    renamed = sign_note(text, [LOG.under(STREAM_ORIGIN)]).split(b"\n\n")[1]
    opens = {
        "one-signature": good,
        "unknown-keys-beside": body + b"\n\n" + stranger + other + line,
        "with-cosignature": sign_note(text, [LOG, W1.at(1_774_015_204)]),
        "empty-line-in-text": sign_note(b"a\n\nb\n", [LOG]),
    }
    fails = {
        "no-signature": body + b"\n\n",
        "only-unknown-keys": body + b"\n\n" + stranger,
        "same-name-another-key": body + b"\n\n" + other,
        "same-key-another-name": body + b"\n\n" + renamed,
        "signature-altered": good[:-8] + bytes([good[-8] ^ 1]) + good[-7:],
        "text-altered": good.replace(b"\n5\n", b"\n6\n"),
        "second-line-of-the-key-altered": good + line[:-8] + bytes([line[-8] ^ 1]) + line[-7:],
        "no-last-newline": good[:-1],
        "carriage-returns": good.replace(b"\n", b"\r\n"),
        "hyphen-for-dash": good.replace("\u2014".encode(), b"-"),
        "no-empty-line": body + b"\n" + line,
        "unknown-line-malformed": body + b"\n\n" + b"\xe2\x80\x94 x y\n" + line,
        "unknown-line-too-short": body + b"\n\n" + b"\xe2\x80\x94 x AAAAAA==\n" + line,
        "tab-in-text": b"a\tb\n\n" + LOG.sign_line(b"a\tb\n"),
        "not-utf8": body[:-1] + b"\xff\n\n" + line,
        "base64-without-padding": body + b"\n\n" + line.replace(b"=", b""),
    }
    for name, data in opens.items():
        vectors.raw(f"notes/good/{name}.note", data, {"opens": True})
    for name, data in fails.items():
        vectors.raw(f"notes/bad/{name}.note", data, {"opens": False})


def add_checkpoints(vectors: Vectors) -> None:
    """Texts of checkpoints, each signed so that only the text can be wrong."""
    good = Checkpoint(ORIGIN, 5, seed("root")).body()
    origin, size, root, _ = good.split(b"\n")
    valid = {"size-5": good, "empty-tree": Checkpoint(ORIGIN, 0, EMPTY_ROOT).body()}
    largest = b"%d" % (2**63 - 1)
    valid["size-2-63-minus-1"] = b"\n".join([origin, largest, root, b""])
    invalid = {
        "extension-line": good + b"extension\n",
        "two-lines": origin + b"\n5\n",
        "leading-zero": good.replace(b"\n5\n", b"\n05\n"),
        "plus-sign": good.replace(b"\n5\n", b"\n+5\n"),
        "underscore": good.replace(b"\n5\n", b"\n1_0\n"),
        "arabic-digit": good.replace(b"\n5\n", "\n\u0665\n".encode()),
        "size-2-63": good.replace(b"\n5\n", b"\n%d\n" % 2**63),
        "root-of-31-bytes": b"\n".join([origin, size, b64encode(bytes(31)), b""]),
        "root-not-canonical": b"\n".join([origin, size, b"A" * 42 + b"B=", b""]),
        "another-origin": b"\n".join([STREAM_ORIGIN.encode(), size, root, b""]),
        "origin-empty": b"\n".join([b"", size, root, b""]),
    }
    for name, text in valid.items():
        vectors.raw(f"checkpoints/good/{name}.note", sign_note(text, [LOG]), {"opens": True})
    for name, text in invalid.items():
        vectors.raw(f"checkpoints/bad/{name}.note", sign_note(text, [LOG]), {"opens": False})


def add_entries(vectors: Vectors) -> None:
    """Entries as exact bytes."""
    for name, index in {"genesis": 0, "plain": 1, "every-member": TARGET}.items():
        vectors.raw(f"entries/good/{name}.json", HONEST[index], {"valid": True})
    vectors.raw("entries/good/65535-bytes.json", entry_of_size(65_535), {"valid": True})
    for name, entry in invalid_entries().items():
        vectors.raw(f"entries/bad/{name}.json", entry, {"valid": False})


def add_commitments(vectors: Vectors) -> None:
    """Fields, master salt and the commitment to them; and an event with what is committed of it."""
    floats = {
        "a": 1e21,
        "b": 1e-7,
        "c": 0.1,
        "d": 100.0,
        "e": -0.0,
        "f": 5e-324,
        "g": 123456789012345.6,
    }
    cases: dict[str, list[tuple[str, Any]]] = {
        "no-fields": [],
        "one-field": [("/payload/n", 1)],
        "event": FIELDS,
        "numbers": [("/payload/" + name, value) for name, value in floats.items()],
        "order-of-keys": [
            ("/payload/x", {"\ufb33": 1, "\U0001f600": 2, "\u20ac": 3, "\r": 4, "1": 5})
        ],
        "order-of-pointers": [
            (f"/payload/{name}", name) for name in ("\uffee", "\U0001f600", "z", "Z")
        ],
        "control-characters": [("/payload/x", "".join(map(chr, range(0x20))) + '"\\/\x7f\u2028')],
    }
    for name, fields in cases.items():
        made = commit(fields, SALT)
        case: Json = {
            "master_salt": b64encode(SALT).decode(),
            "fields": [list(field) for field in fields],
            "commitment": {"fields": made.fields, "root": hash_text(made.root)},
        }
        vectors.raw(f"commitments/{name}.json", dump(case), {"holds": True})
    vectors.raw("submissions/event.json", dump(EVENT), {"commits": True})
    payload = {**EVENT["payload"], "score": 741}
    vectors.raw(
        "submissions/another-score.json", dump({**EVENT, "payload": payload}), {"commits": False}
    )
    vectors.raw("submissions/payload-alone.json", dump(EVENT["payload"]), {"commits": False})
