"""A small honest log in memory, and its proofs: what `make_vectors` breaks, one binding at a time.

Keys come from fixed seeds, times are fixed, nothing is random.
"""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from typing import Any, NamedTuple

from tlog.core.canonical import canonical
from tlog.core.checkpoint import Checkpoint, parse_checkpoint
from tlog.core.commitment import commit
from tlog.core.cosignature import CosignatureSigner
from tlog.core.hashes import EMPTY_ROOT, Hash, leaf_hash
from tlog.core.ids import event_id, pseudonym, stream_label, stream_origin
from tlog.core.merkle import Edge
from tlog.core.note import Signer, sign_note
from tlog.core.proofs import inclusion_proof
from tlog.core.receipt import receipt_json
from tlog.core.times import format_ms, parse_time
from tlog.core.wire import hash_text

Json = dict[str, Any]


def seed(name: str) -> bytes:
    """The private key of a role in these vectors. Never one for use."""
    return sha256(b"tlog/vectors/" + name.encode()).digest()


ORIGIN = "log.example.com"
LOG = Signer(ORIGIN, seed("log"))
OTHER = Signer(ORIGIN, seed("another key under the same name"))
W1 = CosignatureSigner("witness.example.org/w1", seed("w1"))
W2 = CosignatureSigner("witness.example.net/w2", seed("w2"))
POLICY = f"log {LOG.vkey}\nwitness w1 {W1.vkey}\nwitness w2 {W2.vkey}\ngroup both all w1 w2\nquorum both\n"
MS = parse_time("2026-03-20T14:00:03.250Z")
STREAM, PUBLIC = "acme:prod:credit-decisions", "acme:prod:public-register"
NUMBER, SIZE, TARGET = 7, 7, 5
NONCE = seed("nonce")
STREAM_ORIGIN = stream_origin(ORIGIN, stream_label(STREAM, NONCE))
PUBLIC_ORIGIN = stream_origin(ORIGIN, "acme/prod/public-register")
SALT = seed("salt")
COPIED = ("id", "streamId", "chainPosition")

EVENT: Json = {
    "event_class": "EXECUTION",
    "event_type": "credit.decision.made",
    "payload": {
        "applicant": "Zo\u00eb \U0001f600",
        "score": 740,
        "rate": 0.035,
        "a/b~c": [None, True],
    },
    "context": {"model_version": "risk-engine-v2.1.0", "trace_id": "abc-123"},
    "actor": {"type": "USER", "id": "jane.doe@example.com", "ip_address": "10.0.1.45"},
    "subject_id": "person 7",
}
FIELDS: list[tuple[str, Any]] = [
    ("/payload/applicant", EVENT["payload"]["applicant"]),
    ("/payload/score", 740),
    ("/payload/rate", 0.035),
    ("/payload/a~1b~0c", [None, True]),
    ("/context/trace_id", "abc-123"),
    ("/actor/id", "jane.doe@example.com"),
    ("/actor/ipAddress", "10.0.1.45"),
    ("/subject/id", "person 7"),
]


# --- An honest stream -------------------------------------------------------------------------------


def commitment(fields: list[tuple[str, Any]], salt: bytes = SALT) -> Json:
    """The commitment member of a record."""
    made = commit(fields, salt)
    return {"fields": made.fields, "root": hash_text(made.root)}


def base_record(index: int, stream: str = STREAM) -> Json:
    """A plain event; leaf 0 is the genesis."""
    record: Json = {
        "v": 1,
        "id": event_id(MS, NUMBER, index),
        "streamId": stream,
        "chainPosition": index,
        "organisationId": "acme",
        "eventClass": "EXECUTION",
        "eventType": "INFERENCE",
        "severity": "INFO",
        "commitment": commitment([("/payload/n", index)]),
    }
    if index == 0:
        origin = PUBLIC_ORIGIN if stream == PUBLIC else STREAM_ORIGIN
        record |= {"eventClass": "INTENT", "eventType": "tlog.stream.opened"}
        record["commitment"] = commitment([])
        record["system"] = {
            "origin": ORIGIN,
            "streamId": stream,
            "streamNumber": NUMBER,
            "label": origin.removeprefix(f"{ORIGIN}/streams/"),
            "nonce": b64encode(NONCE).decode(),
            "visibility": "public" if stream == PUBLIC else "private",
            "schema": 1,
            "keys": [LOG.vkey],
            "root": {"size": 1, "hash": b64encode(EMPTY_ROOT).decode()},
        }
    return record


def full_record() -> Json:
    """The event of the vectors, with every member that a client can cause."""
    return base_record(TARGET) | {
        "eventType": EVENT["event_type"],
        "commitment": commitment(FIELDS),
        "modelId": "mdl_abc123",
        "tags": ["credit-risk", "high-value"],
        "occurredAt": "2026-03-20T13:55:03.249Z",
        "clockSkew": True,
        "actor": {"type": "USER", "id": pseudonym("usr", seed("usr")[:16])},
        "subject": pseudonym("sub", seed("sub")[:16]),
        "agent": {
            "id": "credit-agent",
            "codeHash": "sha256:" + "ab" * 32,
            "session": "ses_1",
            "assurance": "self",
        },
        "context": {"model_version": "risk-engine-v2.1.0", "pii_detected": False},
        "decisionSurface": {
            "human_decision": "APPROVE",
            "presentation_timestamp": "2026-03-20T14:00:00.000Z",
            "signoff_timestamp": "2026-03-20T14:00:01.500Z",
            "decision_complexity_tier": 2,
            "dwell_ms": 1500,
            "velocity_flag": True,
        },
        "producer": {"id": "credit-agent", "sequence": 77},
    }


def entry_of(record: Json, previous: str, timestamp: str = "") -> bytes:
    """The bytes of an entry, whether or not they make a valid one."""
    time = timestamp or format_ms(MS)
    return canonical({"payload": record, "previousHash": previous, "timestamp": time})


def block(entry: bytes) -> str:
    """The block hash."""
    return hash_text(sha256(entry).digest())


def stream_entries(count: int = SIZE, stream: str = STREAM) -> list[bytes]:
    """Leaves 0 to count - 1 of a stream; TARGET is the full event."""
    entries: list[bytes] = []
    for index in range(count):
        full = index == TARGET and stream == STREAM
        record = full_record() if full else base_record(index, stream)
        entries.append(entry_of(record, block(entries[-1]) if entries else "sha256:" + "0" * 64))
    return entries


HONEST = stream_entries()
PREVIOUS = block(HONEST[TARGET - 1])


def with_target(entry: bytes, index: int = TARGET) -> list[bytes]:
    """The honest stream with another entry at one leaf; what comes after is not looked at."""
    return [*HONEST[:index], entry, *HONEST[index + 1 :]]


# --- Proofs of it, signed by the log --------------------------------------------------------------


class Proof(NamedTuple):
    """An entry and all that shows its place."""

    entry: bytes
    leaf_index: int
    head: Checkpoint
    path: list[Hash]
    place: tuple[int, int, list[Hash], bytes]
    note: bytes


def tree(leaves: list[bytes]) -> Edge:
    """The tree over these leaves."""
    edge = Edge()
    edge.append([leaf_hash(leaf) for leaf in leaves])
    return edge


def prove(
    entries: list[bytes] = HONEST,
    index: int = TARGET,
    *,
    origin: str = STREAM_ORIGIN,
    body: bytes | None = None,
    text: bytes | None = None,
    signer: Signer = LOG,
    cosigned: tuple[Any, ...] = (),
) -> Proof:
    """Prove a leaf as the log would; `body` is put in the root log instead of the stream's head,
    `text` is signed instead of the root's body."""
    edge = tree(entries)
    head = Checkpoint(origin, len(entries), edge.root())
    others = [Checkpoint(PUBLIC_ORIGIN, size, seed(f"head {size}")).body() for size in (3, 4)]
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT).body()
    leaves = [empty, others[0], body or head.body(), others[1], empty]
    root = tree(leaves)
    signed = text or Checkpoint(ORIGIN, 5, root.root()).body()
    note = sign_note(signed, [signer, *cosigned])
    path = inclusion_proof(index, len(entries), edge)
    place = (2, 5, inclusion_proof(2, 5, root), note)
    return Proof(
        entries[index], index, head, path, place, sign_note(head.body(), [LOG.under(origin)])
    )


def receipt(proof: Proof, *, proofs: bool = True, replayed: bool = False) -> Json:
    """The receipt of POST /events; entries that are no JSON get the honest copies."""
    members, record = read(proof.entry)
    raw = receipt_json(
        event_id=record["id"],
        stream_id=record["streamId"],
        index=record["chainPosition"],
        timestamp=members["timestamp"],
        block_hash=block(proof.entry),
        previous_hash=members["previousHash"],
        leaf=leaf_hash(proof.entry),
        velocity_flag=record.get("decisionSurface", {}).get("velocity_flag", False),
        replayed=replayed,
        entry=proof.entry,
        salt=SALT,
        origin=proof.head.origin,
        inclusion=(proof.head.size, proof.path) if proofs else None,
        root=proof.place if proofs else None,
    )
    document: Json = json.loads(raw)
    if proofs:
        document["inclusion"]["leaf_index"] = proof.leaf_index
    return document


def package(proof: Proof) -> Json:
    """The package of GET /proof/{event_id}, by hand: `build_package` refuses what is not valid."""
    document = receipt(proof)
    surface = read(proof.entry)[1].get("decisionSurface")
    names = "event_id stream_id entry block_hash previous_hash leaf_hash inclusion root".split()
    return {
        "version": 1,
        **{name: document[name] for name in names},
        "checkpoint": proof.note.decode(),
        **({} if surface is None else {"decision_surface": surface}),
        "anchors": [],
    }


def read(entry: bytes) -> tuple[Json, Json]:
    """Members and record of an entry, leniently; where it has none, those of the honest one."""
    try:
        members = json.loads(entry)
        record = {**{name: full_record()[name] for name in COPIED}, **members["payload"]}
        return {"previousHash": "", "timestamp": "", **members}, record
    except (ValueError, TypeError):
        return read(HONEST[TARGET])


def prove_heads(
    streams: dict[str, list[bytes]],
) -> dict[str, tuple[Checkpoint, tuple[int, int, list[Hash], bytes]]]:
    """The heads of several streams, by origin, and their places under one root."""
    heads = {
        origin: Checkpoint(origin, len(leaves), tree(leaves).root())
        for origin, leaves in streams.items()
    }
    root = tree(
        [Checkpoint(ORIGIN, 0, EMPTY_ROOT).body(), *[head.body() for head in heads.values()]]
    )
    note = sign_note(Checkpoint(ORIGIN, root.size, root.root()).body(), [LOG])
    return {
        origin: (head, (index, root.size, inclusion_proof(index, root.size, root), note))
        for index, (origin, head) in enumerate(heads.items(), 1)
    }


def root_of_note(note: bytes) -> Hash:
    """The root hash in a checkpoint."""
    return parse_checkpoint(note.rpartition(b"\n\n")[0] + b"\n").root
