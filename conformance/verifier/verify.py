#!/usr/bin/env python3
"""Verify a receipt, a batch answer, a proof of an event in any form, or a fork proof, without trusting or importing tlog.

    python verify.py FILE --vkey VKEY [--payload payload.json] [--genesis entry.json] [--witness VKEY]...
    python verify.py FILE --vkey VKEY --entry entry.json --head head.tlog-proof [--genesis …] [--witness …]

FILE is what POST /events, POST /events/batch or GET /proof/{event_id} answered; in the second form part
`event` of a C2SP tlog-proof, or a COSE receipt (RFC 9942), which hold no entry: entry.json has its exact
bytes, or is a receipt or package that holds them. VKEY is the log's key,
"<origin>+<8 hex>+<base64>", from another source than the log. payload.json is the event as submitted,
or its payload alone when nothing else of it was committed. Exit status 0: all holds; 1: something is
wrong, missing or not yet published, and the last line says what; 5: FILE is a fork proof and it holds,
the log lied. Python 3.10 and `cryptography`.

  [1] entry      one strict JSON object in RFC 8785 form; three members; its record fits schema 1
  [2] hashes     block_hash = SHA-256(entry), leaf_hash = SHA-256(00 || entry) (RFC 6962); what FILE
                 repeats of the entry is equal to it
  [3] identity   position and time inside the event id are those of the entry; leaf 0 opens the stream
  [4] stream     leaf and path (of a batch: range proof) give the root of the stream's tree, lengths
                 exact; in a package the log's signed note of the stream says just that
  [5] label      the stream's origin is <log origin>/streams/<label>; the label may be this stream's,
                 and with its genesis entry: is
  [6] root log   the note of the root log carries the log's signature (C2SP signed-note, Ed25519)
  [7] position   a leaf under that note is exactly the head of the stream
  [8] payload    the submitter's own values and salt give the commitment in the entry   (if given)
  [9] witnesses  each given witness cosigned the root (C2SP tlog-cosignature)           (if given)

A .tlog-proof and a COSE receipt show steps 1, 3, 4 and 5, the part `head` 6 and 7. A receipt of consistency
is verified from an older signed checkpoint (--old): [4] its tree is the beginning of the newer one.

A fork proof has steps of its own: [1] both statements are signed by the log; then, in the last line, what
the log said that cannot both be true.

Not checked: RFC 3161 timestamps in `anchors` (`openssl ts -verify`), quorums, and that the log shows
everybody the same tree, which is what witnesses are for.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import re
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class NotVerifiedError(Exception):
    """The file does not prove what it says. The text tells an auditor why."""


class LiedError(Exception):
    """The file proves that the log lied. The text says what it signed."""


def demand(condition: object, why: str) -> None:
    if not condition:
        raise NotVerifiedError(why)


def get(container: object, name: str, kind: type) -> object:
    """A member of a JSON object, of exactly this type: to Python True is an int, here it is not."""
    demand(type(container) is dict, f"an object with {name!r} is missing")
    demand(name in container, f"{name!r} is missing")
    demand(type(container[name]) is kind, f"{name!r} is not of type {kind.__name__}")
    return container[name]


def natural(container: object, name: str) -> int:
    value = get(container, name, int)
    demand(0 <= value < 2**63, f"{name!r} is out of range")
    return value


# --- JSON: strict parser, RFC 8785 writer -------------------------------------------------------------


def parse_json(data: bytes) -> object:
    """Parse UTF-8 JSON; refuse what two parsers could read in two ways."""

    def members(pairs: list) -> dict:
        demand(len(dict(pairs)) == len(pairs), "a JSON object has a member twice")
        return dict(pairs)

    def integer(digits: str) -> int:
        demand(len(digits) <= 17 and abs(int(digits)) < 2**53, "an integer is beyond 2^53 - 1")
        return int(digits)

    def fraction(text: str) -> float:
        demand(abs(float(text)) < 2**53, "a number is beyond 2^53 - 1")  # NaN and Infinity as well
        return float(text)

    hooks = {"object_pairs_hook": members, "parse_int": integer}
    try:
        value = json.loads(data.decode(), parse_float=fraction, parse_constant=fraction, **hooks)
        json.dumps(value, ensure_ascii=False).encode()  # fails for half a surrogate pair
    except (ValueError, RecursionError) as error:
        raise NotVerifiedError(f"not JSON in UTF-8: {error}") from None
    level = [value]
    for _ in range(32):
        level = [inner for outer in level for inner in inside(outer)]
    deeper = any(type(inner) in (dict, list) for inner in level)
    demand(not deeper, "JSON nested deeper than 32 levels")
    return value


def inside(value: object) -> Iterable:
    """What an array or an object holds."""
    return value.values() if type(value) is dict else value if type(value) is list else ()


def canonical(value: object) -> bytes:
    """RFC 8785. Integers, strings, booleans, arrays, objects as in entries; null and fractions as in payloads."""
    return _jcs(value).encode()


def _jcs(value: object) -> str:
    if value is None or type(value) is bool:
        return json.dumps(value)
    if type(value) is int:
        demand(abs(value) < 2**53, "an integer is beyond 2^53 - 1")
        return str(value)
    if type(value) is float:
        return _number(value)
    if type(value) is str:
        # Python escapes exactly what RFC 8785, 3.2.2.2 escapes, in the same spelling.
        return json.dumps(value, ensure_ascii=False)
    if type(value) is list:
        return "[" + ",".join([_jcs(item) for item in value]) + "]"
    demand(type(value) is dict, "a value that JSON does not have")
    names = sorted(value, key=lambda name: name.encode("utf-16-be"))  # 3.2.3: UTF-16 code units
    return "{" + ",".join([_jcs(name) + ":" + _jcs(value[name]) for name in names]) + "}"


def _number(value: float) -> str:
    """ECMAScript Number::toString (RFC 8785, 3.2.2.3); Python's repr has the same digits."""
    sign, figures, exponent = Decimal(repr(value)).normalize().as_tuple()
    digits, minus = "".join(map(str, figures)), "-" if sign and value else ""
    point = len(digits) + exponent  # the value is 0.digits * 10^point
    if not value:
        return "0"
    if 0 < point <= 21:
        digits = digits.ljust(point, "0")
        return minus + digits[:point] + ("." + digits[point:] if digits[point:] else "")
    if -6 < point <= 0:
        return minus + "0." + "0" * -point + digits
    return f"{minus}{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{point - 1:+d}"


def unbase64(text: object, length: int | None = None) -> bytes:
    """Standard base64 in its one canonical spelling."""
    demand(type(text) is str, "base64 is missing")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotVerifiedError("not base64") from None
    demand(base64.b64encode(data).decode() == text, "base64 in another than its canonical spelling")
    demand(length is None or len(data) == length, f"base64 of other than {length} bytes")
    return data


# --- RFC 6962 trees -----------------------------------------------------------------------------------


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def hashes(container: object, name: str, most: int = 64) -> list[bytes]:
    values = get(container, name, list)
    demand(len(values) <= most, f"{name!r} has more than {most} hashes")
    return [unbase64(value, 32) for value in values]


def root_from_path(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that a leaf and its path give: RFC 9162, 2.1.3.2."""
    demand(0 <= index < size, "the leaf is not inside the tree")
    node, last, result = index, size - 1, leaf
    for sibling in path:
        demand(last > 0, "the path is too long")
        if node % 2 == 1 or node == last:
            result = node_hash(sibling, result)
            while node % 2 == 0 and node != 0:
                node, last = node >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        node, last = node >> 1, last >> 1
    demand(last == 0, "the path is too short")
    return result


def root_from_range(leaves: list[bytes], first: int, size: int, left: list, right: list) -> bytes:
    """The root from leaves [first, first + n) and the maximal complete subtrees left and right of them."""
    end, outside = first + len(leaves), left + right
    demand(0 <= first <= end <= size and size, "the range is not inside the tree")
    taken = 0

    def root(low: int, high: int) -> bytes:
        nonlocal taken
        width = high - low
        if (high <= first or low >= end) and width & (width - 1) == 0:
            demand(taken < len(outside), "the range proof is too short")
            taken += 1
            return outside[taken - 1]
        if width == 1:
            return leaves[low - first]
        middle = low + (1 << (width - 1).bit_length() - 1)  # largest power of two below width
        return node_hash(root(low, middle), root(middle, high))

    result = root(0, size)
    demand(taken == len(outside) and len(left) == first.bit_count(), "the range proof is too long")
    return result


# --- C2SP signed notes, checkpoints, cosignatures -----------------------------------------------------

# Points of order 1, 2, 4, 8 by their y: under such a key a signature proves nothing.
P = 2**255 - 19
SMALL_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
SMALL_ORDER = {0, 1, P - 1, SMALL_8, P - SMALL_8}


class Key:
    """A vkey, `<name>+<8 hex>+<base64>`; the hex is SHA-256(name || 0x0A || type || key)[:4]."""

    def __init__(self, vkey: str, kind: int) -> None:
        parts = vkey.split("+", 2)
        demand(len(parts) == 3, "the vkey is not name+id+base64")
        material = unbase64(parts[2], 33)
        demand(material[0] == kind, f"the vkey is not of type {kind}")
        self.name, self.raw, self.id = parts[0], material[1:], key_id(parts[0], material)
        demand(parts[1] == self.id.hex(), "the id in the vkey does not belong to the key")
        y = int.from_bytes(self.raw, "little") % 2**255
        demand(y < P and y not in SMALL_ORDER, "the vkey holds a key that must not be used")

    def under(self, name: str) -> Key:
        """The log's one key signs every stream's note too, there named like the stream's origin."""
        material = b"\x01" + self.raw
        encoded = base64.b64encode(material).decode()
        return Key(f"{name}+{key_id(name, material).hex()}+{encoded}", 1)

    def verify(self, signature: bytes, message: bytes) -> None:
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            raise NotVerifiedError(f"a signature of {self.name!r} does not verify") from None


def key_id(name: str, material: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]


def note_signatures(note: str, key: Key) -> tuple[bytes, list[bytes]]:
    """The text of a note and this key's signatures in it, not yet verified. Every line must be well formed."""
    demand(not re.search("[\x00-\x09\x0b-\x1f]", note), "a control character in a note")
    text, separator, block = note.rpartition("\n\n")
    demand(separator and block.endswith("\n"), "a note has no signatures")
    small = len(note.encode()) <= 1 << 20 and block.count("\n") <= 100
    demand(small, "a note of more than 1 MiB or 100 signatures")
    found = []
    for line in block[:-1].split("\n"):
        parts = re.fullmatch("\u2014 ([^\\s+]+) ([A-Za-z0-9+/=]+)", line)
        demand(parts, "a signature line of a note is malformed")
        blob = unbase64(parts[2])
        demand(len(blob) > 4, "a signature line of a note is too short")
        if (parts[1], blob[:4]) == (key.name, key.id):
            found.append(blob[4:])
    demand(found, f"{key.name!r} has not signed the note")
    return (text + "\n").encode(), found


def open_checkpoint(note: object, key: Key) -> tuple[int, bytes]:
    """Size and root of a checkpoint signed by `key`, of the origin that is the key's name."""
    demand(type(note) is str, "the checkpoint is missing")
    text, signatures = note_signatures(note, key)
    for signature in signatures:
        key.verify(signature, text)
    lines = text.decode().split("\n")
    demand(len(lines) == 4 and lines[3] == "", "a checkpoint has not exactly three lines")
    demand(lines[0] == key.name, "a checkpoint is of another origin")
    demand(re.fullmatch("0|[1-9][0-9]{0,18}", lines[1]), "the size in a checkpoint is malformed")
    demand(int(lines[1]) < 2**63, "the size in a checkpoint is out of range")
    return int(lines[1]), unbase64(lines[2], 32)


def cosignature_times(note: str, witness: Key) -> list[int]:
    """The times, in Unix seconds, at which a witness says it saw the checkpoint (`cosignature/v1`)."""
    text, signatures = note_signatures(note, witness)
    times = []
    for blob in signatures:
        time = int.from_bytes(blob[:8], "big")
        demand(time < 2**63, "the time of a cosignature is out of range")
        witness.verify(blob[8:], b"cosignature/v1\ntime %d\n" % time + text)
        times.append(time)
    return times


# --- The record of an entry, schema 1 ------------------------------------------------------------------

NAME = "[a-z0-9][a-z0-9._-]{0,62}"
PLAIN = "[A-Za-z0-9._:/+-]"
PRINTABLE = r'"([ !#-\[\]-~]|\\["\\]){1,128}"'  # U+0020 to U+007E, as JSON spells it
TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"
HASH = "sha256:[0-9a-f]{64}"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ULID = f"[0-7][{CROCKFORD}]{{25}}"

# Member, "?" if it may be absent, and the form of its JSON. Inside an object: where the object is there.
SCHEMA = f"""
v 1
id "evt_{ULID}"
streamId "{NAME}:{NAME}:{NAME}"
chainPosition [0-9]+
organisationId "{NAME}"
eventClass "(EXECUTION|OUTCOME|ACCESS|DATA|INTENT|ANALYSIS|DETECTION|RESPONSE|CONTAINMENT|ERADICATION|RECOVERY)"
eventType {PRINTABLE}
severity "(DEBUG|INFO|WARNING|ERROR|CRITICAL)"
commitment.fields [1-9][0-9]*
commitment.root "{HASH}"
modelId? "{PLAIN}{{1,128}}"
tags? \\["{PLAIN}{{1,64}}"(,"{PLAIN}{{1,64}}"){{0,31}}\\]
occurredAt? "{TIME}"
clockSkew? true
actor.type "(USER|SERVICE|AGENT|SYSTEM)"
actor.id {PRINTABLE}
subject? "sub_{ULID}"
agent.id {PRINTABLE}
agent.codeHash {PRINTABLE}
agent.session {PRINTABLE}
agent.assurance "self"
context.model_version? {PRINTABLE}
context.compliance_gate_result? {PRINTABLE}
context.pii_detected? (true|false)
context.cloud_provider? {PRINTABLE}
context.cloud_region? {PRINTABLE}
decisionSurface.human_decision? {PRINTABLE}
decisionSurface.presentation_timestamp? "{TIME}"
decisionSurface.signoff_timestamp? "{TIME}"
decisionSurface.decision_complexity_tier? [123]
decisionSurface.dwell_ms? -?[0-9]+
decisionSurface.velocity_flag? (true|false)
producer.id "{PLAIN}{{1,128}}"
producer.sequence [1-9][0-9]*
"""


def fits_schema(record: dict) -> None:
    """Every member is known and of its form; none is missing. `system` is the log's own business."""
    found = {}
    for name, value in record.items():
        if type(value) is dict and value and name != "system":
            found |= {f"{name}.{inner}": _jcs(value[inner]) for inner in value}
        elif name != "system" or type(value) is not dict:
            found[name] = _jcs(value)
    demand("commitment" in record, "the record lacks commitment")
    if found.get("actor.type") == '"USER"':
        person = re.fullmatch(f'"usr_{ULID}"', found.get("actor.id", ""))
        demand(person, "a USER stands in the record otherwise than by pseudonym")
    for line in SCHEMA.strip().splitlines():
        name, _, form = line.partition(" ")
        text = found.pop(name.rstrip("?"), None)
        absent = name.endswith("?") or ("." in name and name.split(".")[0] not in record)
        demand(absent if text is None else re.fullmatch(form, text), f"record: {name} is malformed")
    demand(not found, f"the record has members that schema 1 does not know: {sorted(found)}")


def no_values_of(kinds: tuple, value: object) -> None:
    demand(type(value) not in kinds, "an entry with a fraction or a null")
    for inner in inside(value):
        no_values_of(kinds, inner)


def check_genesis(record: dict) -> None:
    """The form of the entry that opens a stream; [5] compares what it says."""
    system = get(record, "system", dict)
    names = "origin streamId streamNumber label nonce visibility schema keys root"
    demand(record["eventClass"] == "INTENT", "a genesis of another class than INTENT")
    demand(set(system) == set(names.split()), f"a genesis names just {names}")
    demand(get(system, "schema", int) == 1, "a genesis of another schema")
    root = get(system, "root", dict)
    demand(set(root) == {"size", "hash"}, "the root in a genesis has other members than its own")
    demand(natural(root, "size") >= 0 and unbase64(root["hash"], 32), "no head of the root log")
    keys, form = get(system, "keys", list), r"[!-*,-~]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+={0,2}"
    vkeys = all(type(key) is str and re.fullmatch(form, key) for key in keys)
    demand(vkeys and 0 < len(keys) <= 64, "the keys in a genesis are no vkeys")


def milliseconds(time: str) -> int:
    try:
        moment = datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    except ValueError:
        raise NotVerifiedError("a time is not in the calendar") from None
    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)


def check_computed(record: dict, timestamp: str) -> None:
    """What follows from other members: how long a human looked, and whether clocks disagree."""
    surface, expected = record.get("decisionSurface", {}), {}
    if {"presentation_timestamp", "signoff_timestamp"} <= set(surface):
        dwell = milliseconds(surface["signoff_timestamp"])
        dwell -= milliseconds(surface["presentation_timestamp"])
        least = {1: 500, 2: 2_000, 3: 10_000}[surface.get("decision_complexity_tier", 2)]
        expected = {"dwell_ms": dwell, "velocity_flag": dwell < least}
    shown = {name: surface[name] for name in ("dwell_ms", "velocity_flag") if name in surface}
    demand(shown == expected, "dwell_ms and velocity_flag do not follow from the two times")
    apart = milliseconds(record.get("occurredAt", timestamp)) - milliseconds(timestamp)
    demand((abs(apart) > 300_000) == ("clockSkew" in record), "clockSkew does not follow")
    system = record.get("eventType", "").startswith("tlog.") or "system" not in record
    demand(system, "an event of a client with a system member")


# --- The steps -----------------------------------------------------------------------------------------


class Event:
    """One receipt or package: its JSON object, the bytes of its entry, and what they say."""

    def __init__(self, document: dict) -> None:
        self.document = document
        self.entry = unbase64(document.get("entry"))
        self.members = parse_json(self.entry)
        self.leaf = leaf_hash(self.entry)


def check_entry(event: Event) -> str:
    """[1] The stored bytes are an entry: strict JSON, RFC 8785, three members, a record of schema 1."""
    demand(len(event.entry) < 65_536, "the entry has 65,536 bytes or more")
    members = event.members
    demand(type(members) is dict, "the entry is not a JSON object")
    demand(set(members) == {"payload", "previousHash", "timestamp"}, "not exactly three members")
    demand(canonical(members) == event.entry, "the entry is not in RFC 8785 form")
    no_values_of((float,), members)
    demand(re.fullmatch(HASH, get(members, "previousHash", str)), "previousHash is malformed")
    demand(re.fullmatch(TIME, get(members, "timestamp", str)), "timestamp is malformed")
    event.record = get(members, "payload", dict)
    schema = natural(event.record, "v")
    if schema != 1:
        return f"{len(event.entry)} bytes, canonical; schema {schema}: content NOT UNDERSTOOD"
    no_values_of((type(None),), members)
    fits_schema(event.record)
    if event.record["eventType"] == "tlog.stream.opened":
        check_genesis(event.record)
    check_computed(event.record, members["timestamp"])
    return f"{len(event.entry)} bytes, canonical, {event.record['eventClass']} {event.record['eventType']}"


def check_hashes(event: Event) -> str:
    """[2] Hashes of the stored bytes, and the members of FILE that repeat what the entry says."""
    record, document = event.record, event.document
    surface = get(record, "decisionSurface", dict) if "decisionSurface" in record else {}
    block = "sha256:" + hashlib.sha256(event.entry).hexdigest()
    true = {
        "block_hash": block,
        "previous_hash": event.members["previousHash"],
        "leaf_hash": base64.b64encode(event.leaf).decode(),
        "event_id": record.get("id"),
        "stream_id": record.get("streamId"),
        "sequence_counter": record.get("chainPosition"),
        "timestamp": event.members["timestamp"],
        "velocity_flag_triggered": surface.get("velocity_flag", False),
    }
    required = list(true)
    if (
        "version" in document
    ):  # a package must repeat the hashes, and the surface just if there is one
        required = required[:3] + ["decision_surface"] * ("decisionSurface" in record)
        true["decision_surface"] = surface
        extra = "decision_surface" in document and "decisionSurface" not in record
        demand(not extra, "decision_surface is not in the entry")
    for name, value in true.items():
        demand(name in document or name not in required, f"{name!r} is missing")
        # Compared as canonical JSON: to Python, 1 == True == 1.0.
        equal = name not in document or canonical(document[name]) == canonical(value)
        demand(equal, f"{name!r} differs from the entry")
    return f"block {block}"


def check_identity(event: Event) -> str:
    """[3] The id locates the entry: 2 zero bits, 48 bits milliseconds, 32 bits stream, 48 bits leaf."""
    identity = get(event.record, "id", str)
    demand(re.fullmatch(f"evt_{ULID}", identity), "the event id is malformed")
    number = 0
    for character in identity[4:]:
        number = number << 5 | CROCKFORD.index(character)
    event.stream_number, event.index = number >> 48 & 0xFFFF_FFFF, number & (1 << 48) - 1
    demand(number >> 80 == milliseconds(event.members["timestamp"]), "id and timestamp differ")
    demand(natural(event.record, "chainPosition") == event.index, "id and chainPosition differ")
    stream = re.fullmatch(f"({NAME}):{NAME}:{NAME}", get(event.record, "streamId", str))
    demand(stream, "the stream id is malformed")
    demand(event.record.get("organisationId") == stream[1], "organisationId is not the tenant")
    opens = get(event.record, "eventType", str) == "tlog.stream.opened"
    zeros = event.members["previousHash"] == "sha256:" + "0" * 64
    demand(opens == zeros == (event.index == 0), "leaf 0, and only leaf 0, opens the stream")
    return (
        f"leaf {event.index} of stream number {event.stream_number}, {event.members['timestamp']}"
    )


def check_path(event: Event) -> str:
    """[4] for one event: its path gives the root of the stream's tree."""
    proof = get(event.document, "inclusion", dict)
    demand(natural(proof, "leaf_index") == event.index, "leaf_index is not the entry's position")
    size = natural(proof, "tree_size")
    root = root_from_path(event.leaf, event.index, size, hashes(proof, "hashes"))
    event.head = (get(proof, "origin", str), size, root)
    return f"under {size} leaves, root {base64.b64encode(root).decode()}"


def check_range(events: list[Event], head: dict, proof: dict) -> tuple[str, int, bytes]:
    """[4] for the new events of one stream in a batch: they are consecutive, and give the head's root."""
    first, last, size = natural(proof, "first"), natural(proof, "last"), natural(proof, "tree_size")
    demand(last - first + 1 == len(events), "not the leaves of the range")  # before a list is made
    demand([e.index for e in events] == list(range(first, last + 1)), "not the leaves of the range")
    for before, after in pairwise(events):
        link = "sha256:" + hashlib.sha256(before.entry).hexdigest()
        demand(after.members["previousHash"] == link, "the chain of the batch is broken")
    leaves = [event.leaf for event in events]
    root = root_from_range(leaves, first, size, hashes(proof, "left"), hashes(proof, "right"))
    demand(natural(head, "tree_size") == size, "head and range are of different sizes")
    demand(unbase64(head.get("root_hash"), 32) == root, "the range does not give root_hash")
    return get(head, "origin", str), size, root


def check_stream_note(event: Event, log: Key) -> str:
    """[4] A package holds the stream's own signed head: it says exactly what the path gives."""
    origin, size, root = event.head
    note = open_checkpoint(event.document.get("checkpoint"), log.under(origin))
    demand(note == (size, root), "the stream's checkpoint is not the head that the path gives")
    return "the log signed this head of the stream"


def check_label(origin: str, event: Event, log: Key, genesis: bytes | None) -> str:
    """[5] Which stream an origin stands for: by its public label, or by the nonce in its first entry."""
    stream, prefix = event.record["streamId"], f"{log.name}/streams/"
    demand(origin.startswith(prefix), "the origin of the stream is not under this log's")
    label = origin[len(prefix) :]
    public = label == stream.replace(":", "/")
    demand(public or re.fullmatch("[a-z2-7]{52}", label), "the label is not one of this stream")
    if genesis is None and event.index:
        return f"{label} is the stream's name" if public else f"{label}; private, no genesis given"
    first = event
    if genesis is not None:
        first = Event({"entry": base64.b64encode(genesis).decode()})
        check_entry(first)
        check_identity(first)
    record = first.record
    demand(first.index == 0, "the genesis is not leaf 0 of a stream")
    demand(record["streamId"] == stream, "the genesis is of another stream")
    system = get(record, "system", dict)
    demand(system.get("streamId") == stream, "the genesis names another stream")
    demand(system.get("origin") == log.name, "the genesis is of another log")
    demand(system.get("label") == label, "the label is not that of the genesis")
    demand(system.get("streamNumber") == event.stream_number, "the id has another stream number")
    text = b"tlog/stream-label/v1\0" + stream.encode() + b"\0" + unbase64(system.get("nonce"), 32)
    derived = base64.b32encode(hashlib.sha256(text).digest()).decode().lower().rstrip("=")
    demand(public or derived == label, "the label does not come from stream id and nonce")
    visibility = "public" if public else "private"
    known = record["v"] == 1  # what a later schema says there is not understood
    demand(not known or system["visibility"] == visibility, "the genesis says another visibility")
    return f"{label}, as the genesis says"


def check_root_log(head: tuple[str, int, bytes], proof: dict, log: Key) -> tuple[str, str]:
    """[6] [7] The root log's note is signed, and the head of the stream is a leaf under it."""
    size, root = open_checkpoint(proof.get("checkpoint"), log)
    origin, stream_size, stream_root = head
    body = f"{origin}\n{stream_size}\n{base64.b64encode(stream_root).decode()}\n".encode()
    index = natural(proof, "leaf_index")
    demand(natural(proof, "tree_size") == size, "the path is for another size than the note's")
    computed = root_from_path(leaf_hash(body), index, size, hashes(proof, "hashes"))
    demand(computed == root, "the head of the stream is not under the root log's note")
    return (
        f"{size} leaves, signed by {log.name}",
        f"the stream's head is leaf {index} of the root log",
    )


def committed(event: dict) -> dict[str, object]:
    """JSON Pointer and value of all that is committed of an event, as it was submitted."""
    if not ("payload" in event and {"event_type", "eventType"} & set(event)):
        event = {"payload": event}
    fields, actor = {}, event.get("actor", {})
    surface = event.get("decision_surface", event.get("decisionSurface", {}))
    objects = {"payload": event["payload"], "context": event.get("context", {})}
    for inner in (actor, surface, *objects.values()):
        demand(type(inner) is dict, "the event as submitted is not one")
    for where, values in objects.items():
        for name, value in values.items():
            if where == "payload" or f"\ncontext.{name}? " not in SCHEMA:
                fields[f"/{where}/" + name.replace("~", "~0").replace("/", "~1")] = value
    people = {
        "/actor/id": actor.get("id") if actor.get("type") == "USER" else None,
        "/actor/ipAddress": actor.get("ip_address", actor.get("ipAddress")),
        "/subject/id": event.get("subject_id", event.get("subjectId")),
        "/decisionSurface/explainability_artifact_hash": surface.get(
            "explainability_artifact_hash"
        ),
    }
    return fields | {pointer: value for pointer, value in people.items() if value is not None}


def check_payload(event: Event, fields: dict[str, object]) -> str:
    """[8] leaf_i = JCS([salt_i, pointer_i, value_i]); salts are SHAKE-256 output of the master salt."""
    demand("salt" in event.document, "give the payload with a receipt, which has the salt")
    ordered = sorted({"": None, **fields}.items(), key=lambda field: field[0].encode())
    count = len(ordered)
    master = unbase64(event.document.get("salt"), 32)
    stream = hashlib.shake_256(b"tlog/field-salt/v1\0" + master).digest(18 * count)
    leaves = []
    for number, (pointer, value) in enumerate(ordered):
        salt = base64.urlsafe_b64encode(stream[18 * number : 18 * number + 18]).decode()
        leaves.append(leaf_hash(canonical([salt, pointer, value])))
    root = "sha256:" + root_from_range(leaves, 0, count, [], []).hex()
    demand(event.record["commitment"]["fields"] == count, "another number of fields was committed")
    demand(event.record["commitment"]["root"] == root, "other values than these were committed")
    return f"{count - 1} values and the salt give commitment {root}"


# --- Fork proofs -------------------------------------------------------------------------------------


def open_statement(statement: dict, log: Key) -> tuple[str, int, bytes, bytes | None, int]:
    """Origin, size, root of a note; a leaf under it, if it comes with one, and the leaf's index."""
    names = {"checkpoint"} if len(statement) == 1 else {"checkpoint", "leaf", "leaf_index", "path"}
    demand(set(statement) == names, "a statement has other members than its own")
    origin = get(statement, "checkpoint", str).partition("\n")[0]
    of_stream = origin.startswith(f"{log.name}/streams/") and not origin.endswith("/streams/")
    demand(origin == log.name or of_stream, f"{origin!r} is neither this log nor a stream of it")
    size, root = open_checkpoint(statement["checkpoint"], log.under(origin))
    if len(names) == 1:
        return origin, size, root, None, 0
    demand(origin == log.name, "a leaf is shown under another log than the root log")
    leaf, index = unbase64(get(statement, "leaf", str)), natural(statement, "leaf_index")
    computed = root_from_path(leaf_hash(leaf), index, size, hashes(statement, "path"))
    demand(computed == root, "the leaf is not under the note")
    return origin, size, root, leaf, index


def said_head(opened: tuple, log: Key) -> tuple[str, int, bytes]:
    """The head that a statement is: the note's own, or the one that the leaf of the root log holds."""
    origin, size, root, leaf, _ = opened
    if leaf is None:
        return origin, size, root
    form = rb"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n"
    parts = re.fullmatch(form, leaf)
    demand(parts, "the leaf is no head of a stream")
    origin = parts[1].decode(errors="replace")
    of_stream = origin.startswith(f"{log.name}/streams/") and origin != f"{log.name}/streams/"
    demand(of_stream and int(parts[2]) < 2**63, "the leaf is no head of a stream of this log")
    return origin, int(parts[2]), unbase64(parts[3].decode(), 32)


def check_history(old: tuple, new: tuple, subtrees: list[bytes]) -> str:
    """Two heads of one origin, of which the second does not begin with the first."""
    demand(old[0] == new[0], "the two heads are of two logs")
    if old[1] == new[1]:
        demand(not subtrees, "two heads of one size need no hashes")
        demand(old[2] != new[2], "the two heads are the same")
        return f"two heads of {old[0]} at size {old[1]}, with two roots"
    demand(old[1] < new[1], "the larger head comes first")
    left = subtrees[: old[1].bit_count()]
    root = root_from_range([], old[1], new[1], left, subtrees[len(left) :])
    demand(root == new[2], "the hashes do not give the root of the second head")
    begins = root_from_range([], old[1], old[1], left, []) if old[1] else hashlib.sha256().digest()
    demand(begins != old[2], "the second head begins with the first: no lie")
    return f"two histories of {old[0]}: {old[1]} entries, and {new[1]} that do not begin with these"


def check_fork(proof: dict, log: Key) -> str:
    """Two things that the log signed and that cannot both be true; the text says which."""
    members = {"type", "version", "rule", "first", "second", "hashes"}
    demand(set(proof) == members, "a fork proof has other members than its own")
    demand(proof["type"] == "fork", "not a fork proof")
    demand(get(proof, "version", int) == 1, "a fork proof of another version")
    one, other = (open_statement(get(proof, name, dict), log) for name in ("first", "second"))
    say(1, f"both statements are signed by {log.name}")
    subtrees = hashes(proof, "hashes", 126)
    if proof["rule"] == "history":
        return check_history(said_head(one, log), said_head(other, log), subtrees)
    demand(proof["rule"] in ("growth", "place"), "a fork proof of an unknown rule")
    demand(not subtrees, "hashes that this rule does not need")
    demand(one[3] is not None and other[3] is not None, "this rule is about two leaves")
    if proof["rule"] == "place":
        demand(one[4] == other[4] and one[3] != other[3], "the two leaves can both be true")
        return f"two leaves at place {one[4]} of the root log"
    old, new = said_head(one, log), said_head(other, log)
    demand(old[0] == new[0] and one[4] < other[4], "the second is no later head of the stream")
    demand(new[1] <= old[1], "the stream grew: no lie")
    return f"{old[0]} had {old[1]} entries, and later {new[1]}"


# --- C2SP tlog-proof, and COSE receipts -----------------------------------------------------------------


def parse_tlog_proof(data: bytes) -> tuple[int, list[bytes], str, bytes]:
    """Index, path, checkpoint and extra data of a `.tlog-proof`."""
    try:
        lines, empty, note = data.decode().partition("\n\n")
    except UnicodeDecodeError:
        raise NotVerifiedError("the tlog-proof is not UTF-8") from None
    demand(empty, "the tlog-proof has no empty line")
    header, *lines = lines.split("\n")
    demand(header == "c2sp.org/tlog-proof@v1", "not a tlog-proof of version 1")
    extra = b""
    if lines and lines[0].startswith("extra "):
        extra = unbase64(lines.pop(0)[6:])
        demand(0 < len(extra) <= 32_768, "the extra data is empty or too large")
    index = re.fullmatch("index (0|[1-9][0-9]{0,18})", lines[0] if lines else "")
    demand(index and int(index[1]) < 2**63 - 1, "the index of the tlog-proof is malformed")
    demand(len(lines) <= 64, "the tlog-proof has more than 63 hashes")
    return int(index[1]), [unbase64(line, 32) for line in lines[1:]], note, extra


def body_of(note: str) -> tuple[str, int, bytes]:
    """Origin, size and root that a checkpoint, or its body alone, states; believed by nobody yet."""
    lines = note.split("\n")
    demand(len(lines) > 3 and lines[3] == "", "a checkpoint has not exactly three lines")
    demand(re.fullmatch("0|[1-9][0-9]{0,18}", lines[1]), "the size in a checkpoint is malformed")
    demand(lines[0] and int(lines[1]) < 2**63, "the size in a checkpoint is out of range")
    return lines[0], int(lines[1]), unbase64(lines[2], 32)


def cbor(data: bytes, at: int = 0, depth: int = 0) -> tuple[object, int]:
    """One item of deterministic CBOR (RFC 8949, 4.2.1), of the types that a receipt has, and where it ends."""
    demand(at < len(data) and depth < 8, "the CBOR is cut short or too deep")
    major, info = data[at] >> 5, data[at] & 31
    if data[at] == 0xF6:
        return None, at + 1
    demand(info < 28 and major < 7, "CBOR of a kind that no receipt has")
    width = 0 if info < 24 else 1 << info - 24
    at += 1 + width
    demand(at <= len(data), "the CBOR is cut short")
    number = int.from_bytes(data[at - width : at], "big") if width else info
    least = {0: 0, 1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}[width]
    demand(number >= least, "a CBOR number is not in its shortest form")
    if major < 2:
        return (number if major == 0 else -1 - number), at
    if major < 4:
        demand(at + number <= len(data), "the CBOR is cut short")
        raw = data[at : at + number]
        try:
            return (raw if major == 2 else raw.decode()), at + number
        except UnicodeDecodeError:
            raise NotVerifiedError("a CBOR text is not UTF-8") from None
    if major == 6:
        demand(number == 18, "a CBOR tag that no receipt has")
        value, at = cbor(data, at, depth + 1)
        return ("COSE_Sign1", value), at
    items, before = [], b""
    for _ in range(number):
        start = at
        item, at = cbor(data, at, depth + 1)
        if major == 5:
            demand(type(item) in (int, str), "a CBOR label is neither a number nor text")
            demand(before < data[start:at], "the labels of a CBOR map are not in order")
            before = data[start:at]
            value, at = cbor(data, at, depth + 1)
            item = (item, value)
        items.append(item)
    return (items if major == 4 else dict(items)), at


def only_cbor(data: object) -> object:
    """The one item in these bytes."""
    demand(type(data) is bytes, "a byte string of the COSE receipt is missing")
    value, end = cbor(data)
    demand(end == len(data), "bytes after the end of the CBOR")
    return value


def parse_cose(data: bytes) -> tuple[str, str, bytes, int, list, bytes, bytes]:
    """Issuer, subject, key id, kind, [size, index or older size first, path], protected header, signature."""
    tagged = only_cbor(data)
    demand(type(tagged) is tuple and type(tagged[1]) is list, "not a COSE_Sign1")
    demand(len(tagged[1]) == 4, "a COSE_Sign1 has four items")
    protected, unprotected, payload, signature = tagged[1]
    header = only_cbor(protected)
    demand(type(header) is dict and list(header) == [1, 4, 15, 395], "not the header of a receipt")
    claims = header[15]
    demand((header[1], header[395]) == (-8, 1), "not Ed25519 over RFC9162_SHA256")
    demand(type(claims) is dict and list(claims) == [1, 2], "not the claims of a receipt")
    demand(all(type(claim) is str for claim in claims.values()), "a claim is no text")
    demand(type(header[4]) is bytes and len(header[4]) == 4, "the key id has not four bytes")
    demand(payload is None, "the payload of a receipt is detached")
    demand(type(signature) is bytes and len(signature) == 64, "the signature has not 64 bytes")
    demand(type(unprotected) is dict and list(unprotected) == [396], "not the proofs of a receipt")
    proofs = unprotected[396]
    known = type(proofs) is dict and list(proofs) in ([-1], [-2])
    demand(known, "not one proof of inclusion or of consistency")
    kind = next(iter(proofs))
    demand(type(proofs[kind]) is list and len(proofs[kind]) == 1, "not just one proof")
    proof = only_cbor(proofs[kind][0])
    demand(type(proof) is list and len(proof) == 3, "a proof has three items")
    natural = all(type(number) is int and 0 <= number < 2**63 for number in proof[:2])
    demand(natural and type(proof[2]) is list and len(proof[2]) <= 63, "the proof is malformed")
    sized = all(type(one) is bytes and len(one) == 32 for one in proof[2])
    demand(sized, "a hash in the path has not 32 bytes")
    return claims[1], claims[2], header[4], kind, proof, protected, signature


def check_cose_signature(receipt: tuple, root: bytes, log: Key) -> str:
    """The log signed this root for the tree that the receipt names: Sig_structure of RFC 9052, 4.4."""
    issuer, subject, identifier, _, _, protected, signature = receipt
    demand((issuer, identifier) == (log.name, log.id), "the receipt is of another log or key")
    below = subject.startswith(f"{log.name}/streams/")
    demand(subject == log.name or below, "the receipt is for a tree that is not this log's")
    demand("\n" not in subject, "the receipt names no tree")
    size = len(protected)
    demand(size < 1 << 16, "the header is too large")
    head = bytes([0x58, size]) if size < 256 else b"\x59" + size.to_bytes(2, "big")
    if size < 24:
        head = bytes([0x40 + size])
    message = b"\x84\x6aSignature1" + head + protected + b"\x40\x58\x20" + root
    log.verify(signature, message)
    return f"the log signed root {base64.b64encode(root).decode()} of {subject}"


def roots_of_growth(old: int, new: int, path: list[bytes], old_root: bytes) -> tuple[bytes, bytes]:
    """Both roots that a consistency proof gives: RFC 9162, 2.1.4.2."""
    demand(0 < old < new, "a proof of consistency is for 0 < older size < newer size")
    path = [old_root, *path] if old & (old - 1) == 0 else path
    demand(path, "the path is too short")
    first, second = old - 1, new - 1
    while first & 1:
        first, second = first >> 1, second >> 1
    older = newer = path[0]
    for sibling in path[1:]:
        demand(second > 0, "the path is too long")
        if first & 1 or first == second:
            older, newer = node_hash(sibling, older), node_hash(sibling, newer)
            while first and not first & 1:
                first, second = first >> 1, second >> 1
        else:
            newer = node_hash(newer, sibling)
        first, second = first >> 1, second >> 1
    demand(second == 0, "the path is too short")
    return older, newer


def verify_growth(receipt: tuple, options: argparse.Namespace, log: Key) -> None:
    """A COSE receipt of consistency, from an older head that the log signed."""
    demand(options.old, "a receipt of consistency: give the older signed checkpoint with --old")
    note = read_text(options.old)
    origin, size, root = body_of(note)
    demand(origin == receipt[1], "the older checkpoint is of another tree")
    demand(open_checkpoint(note, log.under(origin)) == (size, root), "not the older checkpoint")
    old, new, path = receipt[4]
    demand(old == size, "the receipt begins at another size")
    older, newer = roots_of_growth(old, new, path, root)
    demand(older == root, "the older tree is not the beginning of the newer one")
    say(4, f"the tree of {new} leaves of {origin} begins with the {old} of the older head")
    say(4, check_cose_signature(receipt, newer, log))
    demand(origin == log.name, "the head of the stream in the root log is NOT SHOWN by this form")


def verify_portable(data: bytes, options: argparse.Namespace, log: Key) -> list[str]:
    """Steps 1 and 3 to 7 for a `.tlog-proof` or a COSE receipt; the notes that witnesses may have cosigned."""
    receipt = parse_cose(data) if data.startswith(b"\xd2") else None
    if receipt and receipt[3] == -2:
        verify_growth(receipt, options, log)
        return []
    if receipt:
        (size, index, path), origin = receipt[4], receipt[1]
    else:
        index, path, note, extra = parse_tlog_proof(data)
        demand(not extra, "part head names no entry: give part event, and this one with --head")
        origin, size, _ = body_of(note)
    demand(options.entry, "the entry is NOT SHOWN: give it with --entry")
    event = Event({"entry": base64.b64encode(entry_bytes(Path(options.entry))).decode()})
    say(1, check_entry(event))
    say(3, check_identity(event))
    demand(index == event.index, "the index is not the entry's position")
    root = root_from_path(event.leaf, index, size, path)
    say(4, f"under {size} leaves, root {base64.b64encode(root).decode()}")
    if receipt:
        say(4, check_cose_signature(receipt, root, log))
    else:
        demand(open_checkpoint(note, log.under(origin)) == (size, root), "not the signed head")
        say(4, "the log signed this head of the stream")
    genesis = entry_bytes(Path(options.genesis)) if options.genesis else None
    say(5, check_label(origin, event, log, genesis))
    demand(options.head, "the head of the stream in the root log is NOT SHOWN: give --head")
    index, path, note, body = parse_tlog_proof(Path(options.head).read_bytes())
    mine = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()
    demand(body == mine, "part head is about another head")
    size, root = open_checkpoint(note, log)
    say(6, f"{size} leaves, signed by {log.name}")
    demand(root_from_path(leaf_hash(body), index, size, path) == root, "the head is not under it")
    say(7, f"the stream's head is leaf {index} of the root log")
    return [note]


def entry_bytes(path: Path) -> bytes:
    """The exact bytes of an entry: the file's, or those that a receipt or package holds."""
    data = path.read_bytes()
    try:
        document = parse_json(data)
    except NotVerifiedError:
        return data
    held = type(document) is dict and type(document.get("entry")) is str
    return unbase64(document["entry"]) if held else data


def read_text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise NotVerifiedError(f"{path} is not UTF-8") from None


# --- Reading the file -----------------------------------------------------------------------------------


def say(step: int, text: str) -> None:
    print(f"[{step}] ok  {text}")


def verify_one(document: dict, log: Key, genesis: bytes | None) -> tuple[Event, list[str]]:
    """Steps 1 to 7 for a receipt or a package."""
    if "version" in document:
        demand(get(document, "version", int) == 1, "a proof package of another version")
    event = Event(document)
    say(1, check_entry(event))
    say(2, check_hashes(event))
    say(3, check_identity(event))
    say(4, check_path(event))
    if "version" in document:
        say(4, check_stream_note(event, log))
    say(5, check_label(event.head[0], event, log, genesis))
    demand("root" in document, "no root: not published yet, so its position is NOT SHOWN")
    root = get(document, "root", dict)
    for step, text in zip((6, 7), check_root_log(event.head, root, log), strict=True):
        say(step, text)
    if document.get("anchors"):
        print("[-] not checked: RFC 3161 anchors")
    return event, [root["checkpoint"]]


def verify_batch(answer: dict, log: Key, genesis: bytes | None) -> list[str]:
    """Steps 1 to 7 for a batch: new events by range, replayed ones each by its own path."""
    notes, new = [], {}
    heads, ranges = get(answer, "heads", dict), get(answer, "ranges", dict)
    demand(get(answer, "receipts", list), "the batch holds no entry: nothing is shown")
    for number, receipt in enumerate(get(answer, "receipts", list)):
        print(f"receipts[{number}]")
        if get(receipt, "replayed", bool):
            notes += verify_one(receipt, log, genesis)[1]
            continue
        event = Event(receipt)
        for step, check in enumerate((check_entry, check_hashes, check_identity), 1):
            say(step, check(event))
        new.setdefault(event.record["streamId"], []).append(event)
    demand(
        set(heads) == set(ranges) == set(new), "heads, ranges and new receipts name other streams"
    )
    for stream, events in new.items():
        print(f"stream {stream}")
        head = check_range(events, get(heads, stream, dict), get(ranges, stream, dict))
        say(4, f"leaves {events[0].index} to {events[-1].index} of {head[1]} give the root")
        for event in events:
            label = check_label(head[0], event, log, genesis)
        say(5, label)
        root = get(heads[stream], "root", dict)
        for step, text in zip((6, 7), check_root_log(head, root, log), strict=True):
            say(step, text)
        notes.append(root["checkpoint"])
    return notes


def verify(options: argparse.Namespace) -> None:
    log = Key(options.vkey, 1)
    data = Path(options.file).read_bytes()
    portable = data.startswith((b"c2sp.org/tlog-proof", b"\xd2"))
    document = {} if portable else parse_json(data)
    demand(type(document) is dict, "FILE is not a JSON object")
    genesis = entry_bytes(Path(options.genesis)) if options.genesis else None
    if document.get("type") == "fork":
        demand(len(data) <= 1 << 20, "a fork proof of more than 1 MiB")
        raise LiedError(check_fork(document, log))
    if portable:
        demand(not options.payload, "give the payload with a receipt, which has the salt")
        notes = verify_portable(data, options, log)
    elif "receipts" in document:
        demand(not options.payload, "give the payload with a single receipt")
        notes = verify_batch(document, log, genesis)
    else:
        event, notes = verify_one(document, log, genesis)
        if options.payload:
            say(8, check_payload(event, committed(parse_json(Path(options.payload).read_bytes()))))
        else:
            print("[8] not checked: no payload given")
    for vkey in options.witness:
        for note in set(notes):
            time = min(cosignature_times(note, Key(vkey, 4)))
            try:
                moment = datetime.fromtimestamp(time, timezone.utc).isoformat()
            except (ValueError, OverflowError, OSError):
                moment = f"POSIX second {time}, which is in no calendar"
            say(9, f"{vkey.split('+')[0]} cosigned the root at {moment}")
    if not options.witness:
        print("[9] not checked: no witness given")


def main() -> int:
    parser = argparse.ArgumentParser(description="Verify a receipt, batch answer or proof.")
    parser.add_argument("file")
    parser.add_argument("--vkey", required=True, help="the log's key, from a source you trust")
    parser.add_argument("--payload", help="the event as submitted, or its payload alone")
    parser.add_argument("--genesis", help="the entry at leaf 0 of the stream, exact bytes")
    parser.add_argument("--entry", help="the entry, for a tlog-proof or COSE receipt")
    parser.add_argument("--head", help="part head of a tlog-proof, beside part event or a receipt")
    parser.add_argument("--old", help="the older signed checkpoint, for a receipt of consistency")
    parser.add_argument("--witness", action="append", default=[], help="vkey of a witness (type 4)")
    try:
        verify(parser.parse_args())
    except LiedError as shown:
        print(f"THE LOG LIED: {shown}")
        return 5
    except (NotVerifiedError, OSError) as fault:
        print(f"NOT VERIFIED: {fault}")
        return 1
    print("VERIFIED")
    return 0


if __name__ == "__main__":
    sys.exit(main())
