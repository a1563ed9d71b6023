"""The rows of C2SP tlog-witness's status matrix as requests to a witness that cosigned size 5 of the log."""

from __future__ import annotations

import base64
from typing import NamedTuple

from tests.witness.harness import ORIGIN, WitnessedLog
from tlog.core.add_checkpoint import encode_request
from tlog.core.checkpoint import Checkpoint
from tlog.core.note import Signer, sign_note
from witness import state

LOG = WitnessedLog(16)
FORK = WitnessedLog(16, forked_at=4)
STRANGER = WitnessedLog(16, origin="other.example.com", seed=2)
NEVER = WitnessedLog(16, origin="never.example.com", seed=3)  # configured, not cosigned so far
LATEST = 5
HASH = bytes(range(32))


class Row(NamedTuple):
    """A request, and what becomes of it: `kind` of the refusal, or "cosign" or "conflict"; the status over HTTP."""

    name: str
    body: bytes
    kind: str
    status: int
    answer: bytes = b""


def _signed(text: bytes) -> bytes:
    return LOG.sign(text)


def _with_bad_signature() -> bytes:
    note = LOG.note(7)
    signature = note.rpartition(b" ")[2].strip()
    raw = bytearray(base64.b64decode(signature))
    raw[20] ^= 1
    return note.replace(signature, base64.b64encode(bytes(raw)))


def _body(old: int, new: int, note: bytes | None = None, log: WitnessedLog = LOG) -> bytes:
    return encode_request(old, log.proof(old, new), log.note(new) if note is None else note)


def _rows() -> list[Row]:
    good = LOG.body(5, 7)
    body7 = Checkpoint(ORIGIN, 7, LOG.root(7)).body()
    impostor = Signer(ORIGIN, b"\x09" * 32)
    other_root = sign_note(Checkpoint(ORIGIN, 0, HASH).body(), [LOG.signer])
    never_wrong = NEVER.sign(Checkpoint(NEVER.origin, 0, HASH).body())
    malformed = {
        "empty": b"",
        "no blank line": good.replace(b"\n\n", b"\n"),
        "CRLF": good.replace(b"\n", b"\r\n"),
        "old with a leading zero": good.replace(b"old 5", b"old 05"),
        "old with a sign": good.replace(b"old 5", b"old +5"),
        "old missing": good[len(b"old 5\n") :],
        "old in capitals": good.replace(b"old 5", b"Old 5"),
        "proof line of 31 bytes": b"old 5\n" + base64.b64encode(HASH[:31]) + b"\n\n" + LOG.note(7),
        "proof line in base64url": b"old 5\n" + b"_" * 43 + b"=\n\n" + LOG.note(7),
        "64 proof lines": b"old 5\n" + (base64.b64encode(HASH) + b"\n") * 64 + b"\n" + LOG.note(7),
        "checkpoint missing": b"old 5\n\n",
        "checkpoint without signature lines": b"old 5\n\n" + body7,
        "checkpoint not UTF-8": b"old 5\n\n\xff" + LOG.note(7),
        "extension line": _body(5, 7, _signed(body7 + b"extension\n")),
        "leading zero in the size": _body(5, 7, _signed(body7.replace(b"\n7\n", b"\n07\n"))),
        "root of 31 bytes": _body(
            5, 7, _signed(b"%s\n7\n%s\n" % (ORIGIN.encode(), base64.b64encode(HASH[:31])))
        ),
        "two lines only": _body(5, 7, _signed(f"{ORIGIN}\n7\n".encode())),
    }
    untrusted = {
        "no signature of the log": _body(5, 7, sign_note(body7, [impostor])),
        "signature that fails": _body(5, 7, _with_bad_signature()),
        "signature of another text": _body(5, 7, body7 + b"\n" + LOG.note(6).split(b"\n\n")[1]),
    }
    inconsistent = {
        "proof missing": encode_request(5, (), LOG.note(7)),
        "proof of another size": encode_request(5, LOG.proof(5, 8), LOG.note(7)),
        "proof too long": encode_request(5, (*LOG.proof(5, 7), HASH), LOG.note(7)),
        "proof for the size that was cosigned": encode_request(5, (HASH,), LOG.note(5)),
        "another history": FORK.body(5, 7),
        "proof from nothing": encode_request(0, (HASH,), NEVER.note(3)),
    }
    wrong_root = {
        "same size, another root": FORK.body(5, 5),
        "size zero, another root": encode_request(0, (), other_root),
        "size zero, another root, first contact": encode_request(0, (), never_wrong),
    }
    conflict = {
        "older than cosigned": LOG.body(3, 7),
        "nothing known": LOG.body(0, 7),
        "nothing known, smaller than cosigned": LOG.body(0, 3),
        "newer than cosigned": LOG.body(6, 7),
        "size zero again": LOG.body(0, 0),
    }
    return [
        *(Row(name, body, state.MALFORMED, 400) for name, body in malformed.items()),
        Row("unknown log", STRANGER.body(0, 7), state.UNKNOWN_LOG, 404),
        *(Row(name, body, state.UNTRUSTED, 403) for name, body in untrusted.items()),
        Row("old larger than the checkpoint", _body(8, 7), state.OLD_TOO_LARGE, 400),
        *(Row(name, body, state.WRONG_ROOT, 422) for name, body in wrong_root.items()),
        *(Row(name, body, "conflict", 409, b"5\n") for name, body in conflict.items()),
        Row("first contact, not from nothing", NEVER.body(2, 7), "conflict", 409, b"0\n"),
        *(Row(name, body, state.INCONSISTENT, 422) for name, body in inconsistent.items()),
        Row("the same size again", LOG.body(5, 5), "cosign", 200),
        Row("growth", good, "cosign", 200),
        Row("growth from nothing", NEVER.body(0, 7), "cosign", 200),
        Row("an empty log", NEVER.body(0, 0), "cosign", 200),
        Row("a second, unknown signature", _body(5, 7, LOG.note(7, impostor)), "cosign", 200),
    ]


ROWS = _rows()
