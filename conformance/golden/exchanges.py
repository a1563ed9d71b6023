"""Exchanges of a log with a fresh witness (C2SP tlog-witness): each file one log and its requests in order.

The statuses are those of the specification after v1.0.0. A step that the specification leaves open lists more than one.
"""

from __future__ import annotations

from base64 import b64encode

from conformance.golden.honest import W1, Json, seed, tree
from conformance.golden.vectors import Vectors, dump
from tlog.core.add_checkpoint import SIZE_TYPE, encode_request
from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import EMPTY_ROOT, Hash
from tlog.core.merkle import root_of
from tlog.core.note import Signer, sign_note
from tlog.core.proofs import consistency_proof

BEGAN = (
    1_774_015_204  # POSIX second of the first step of every exchange; each step is one second later
)
LEAVES = [b"leaf %d" % number for number in range(9)]
FORKED = [*LEAVES[:2], b"another leaf 2", *LEAVES[3:]]
LOGS = "exchanges/logs.txt"


class Exchange:
    """One log of its own, known to the witness under `vkey`, and what it asks."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.signer = Signer(f"log.example.com/exchanges/{name}", seed(f"exchanges/{name}"))
        self.steps: list[Json] = []
        self.latest = 0

    def note(self, size: int, leaves: list[bytes] = LEAVES) -> bytes:
        """The log's signed head at a size."""
        return sign_note(self.head(size, leaves).body(), [self.signer])

    def head(self, size: int, leaves: list[bytes] = LEAVES) -> Checkpoint:
        """The log's head at a size."""
        return Checkpoint(
            self.signer.name, size, tree(leaves[:size]).root() if size else EMPTY_ROOT
        )

    def ask(self, what: str, body: bytes, *statuses: int) -> None:
        """A request of which nothing but the status is prescribed."""
        time = BEGAN + len(self.steps)
        request = b64encode(body).decode()
        self.steps.append(
            {"what": what, "time": time, "request": request, "status": list(statuses)}
        )

    def cosigned(self, what: str, old: int, size: int, note: bytes | None = None) -> None:
        """An honest request from `old` to `size` that must be cosigned."""
        self.ask(what, self.request(old, size, note), 200)
        text = self.head(size).body()
        self.steps[-1]["body"] = W1.sign_line(text, self.steps[-1]["time"]).decode()
        self.latest = size

    def conflict(self, what: str, old: int, size: int) -> None:
        """An honest request whose old size is not what was cosigned last."""
        self.ask(what, self.request(old, size), 409)
        self.steps[-1] |= {"body": f"{self.latest}\n", "content_type": SIZE_TYPE}

    def request(self, old: int, size: int, note: bytes | None = None) -> bytes:
        """An honest request."""
        return encode_request(old, proof(old, size), note or self.note(size))

    def add(self, vectors: Vectors) -> None:
        """The file."""
        document = {"log": self.signer.vkey, "witness": W1.vkey, "steps": self.steps}
        statuses = [step["status"] for step in self.steps]
        vectors.raw(f"exchanges/{self.name}.json", dump(document), {"statuses": statuses})


def proof(old: int, size: int, leaves: list[bytes] = LEAVES) -> list[Hash]:
    """The consistency proof; none from the empty tree."""
    return consistency_proof(old, size, tree(leaves[:size])) if 0 < old < size else []


def add_exchanges(vectors: Vectors) -> None:
    """All files, and the list of the logs that a witness must know before the first of them."""
    exchanges = [growth(), first_contact(), malformed(), untrusted(), sizes(), wrong_proofs()]
    exchanges += [empty_tree(), another_root(), forked(), extension_line()]
    listed = "".join(f"\nvkey {one.signer.vkey}\nqpd 86400\ncontact none\n" for one in exchanges)
    unknown = Exchange("unknown-log")
    unknown.ask("an origin that is not configured", unknown.request(0, 3), 404)
    for exchange in (*exchanges, unknown):
        exchange.add(vectors)
    vectors.files[LOGS] = ("logs/v0\n" + listed).encode()


def growth() -> Exchange:
    """What an honest log does."""
    one = Exchange("growth")
    one.cosigned("the empty tree", 0, 0)
    one.cosigned("growth from the empty tree", 0, 3)
    one.conflict("discovery: a client without state says 0", 0, 5)
    one.cosigned("the same head again, to be dated anew", 3, 3)
    one.conflict("stale", 2, 5)
    one.cosigned("growth", 3, 5)
    text, _, line = one.note(8).partition(b"\n\n")
    strangers = [
        Signer(f"log.example.org/{number}", seed(f"stranger {number}")) for number in range(15)
    ]
    others = b"".join(stranger.sign_line(text + b"\n") for stranger in strangers)
    many = text + b"\n\n" + others + line
    one.cosigned("growth, and fifteen signatures that the witness does not know", 5, 8, many)
    one.conflict("the past: an honest head, smaller than the newest", 3, 5)
    return one


def first_contact() -> Exchange:
    """Of a log that was never cosigned the newest size is 0."""
    one = Exchange("first-contact")
    one.conflict("an old size at first contact", 5, 8)
    one.conflict("an old size that is the new one, at first contact", 3, 3)
    one.cosigned("from 0", 0, 3)
    return one


def malformed() -> Exchange:
    """Requests that are none. Nothing of them is remembered."""
    one = Exchange("malformed")
    one.cosigned("so far, so good", 0, 3)
    good = one.request(3, 5)
    lines = good.split(b"\n")
    hash_line = lines[1]
    faults = {
        "nothing": b"",
        "no empty line": good.replace(b"\n\n", b"\n"),
        "no old line": good.partition(b"\n")[2],
        "old twice": b"old 3\n" + good,
        "old without a size": good.replace(b"old 3", b"old", 1),
        "old with a leading zero": good.replace(b"old 3", b"old 03", 1),
        "old with a plus": good.replace(b"old 3", b"old +3", 1),
        "old negative": good.replace(b"old 3", b"old -3", 1),
        "old with two blanks": good.replace(b"old 3", b"old  3", 1),
        "old in capitals": good.replace(b"old 3", b"OLD 3", 1),
        "old in other digits": good.replace(b"old 3", "old \u0663".encode(), 1),
        "blank after old": good.replace(b"old 3", b"old 3 ", 1),
        "carriage returns": good.replace(b"\n", b"\r\n"),
        "hash of 31 bytes": good.replace(hash_line, b64encode(bytes(31)), 1),
        "hash of 33 bytes": good.replace(hash_line, b64encode(bytes(33)), 1),
        "hash in hex": good.replace(hash_line, b"00" * 32, 1),
        "hash without padding": good.replace(hash_line, hash_line.rstrip(b"="), 1),
        "hash in URL alphabet": good.replace(hash_line, b"_" * 42 + b"8=", 1),
        "hash not canonical": good.replace(hash_line, b"A" * 42 + b"B=", 1),
        "64 hashes": b"old 3\n" + (hash_line + b"\n") * 64 + b"\n" + one.note(5),
        "no checkpoint": good.partition(b"\n\n")[0] + b"\n\n",
    }
    for what, body in faults.items():
        one.ask(what, body, 400)
    texts = {
        "no checkpoint, signed: two lines": b"\n".join(one.head(5).body().split(b"\n")[:2]) + b"\n",
        "no checkpoint, signed: size with a leading zero": one.head(5)
        .body()
        .replace(b"\n5\n", b"\n05\n"),
        "no checkpoint, signed: root of 31 bytes": f"{one.signer.name}\n5\n".encode()
        + b64encode(bytes(31))
        + b"\n",
    }
    for what, text in texts.items():
        one.ask(what, encode_request(3, proof(3, 5), sign_note(text, [one.signer])), 400)
    one.ask("63 hashes are allowed, and these prove nothing", _many(one, hash_line), 422)
    one.cosigned("and on it goes", 3, 5)
    return one


def _many(one: Exchange, line: bytes) -> bytes:
    return b"old 3\n" + (line + b"\n") * 63 + b"\n" + one.note(5)


def untrusted() -> Exchange:
    """Checkpoints that the log did not sign."""
    one = Exchange("untrusted")
    text, _, line = one.note(3).partition(b"\n\n")
    other = Signer(one.signer.name, seed("another key of exchanges/untrusted"))
    renamed = Signer("log.example.org", seed("exchanges/untrusted"))
    signatures = {
        "only another key under the same name": other.sign_line(text + b"\n"),
        "only the same key under another name": renamed.sign_line(text + b"\n"),
        "the signature of another head": one.note(5).partition(b"\n\n")[2],
        "a good signature and a bad one of the same key": line + one.note(5).partition(b"\n\n")[2],
    }
    for what, lines in signatures.items():
        one.ask(what, b"old 0\n\n" + text + b"\n\n" + lines, 403)
    one.cosigned("signed", 0, 3)
    return one


def sizes() -> Exchange:
    """An old size above the new one is malformed, whatever was cosigned."""
    one = Exchange("old-above-size")
    one.ask("old 4, size 3, at first contact", encode_request(4, [], one.note(3)), 400)
    one.cosigned("from 0", 0, 5)
    one.ask("old 5, size 3", encode_request(5, [], one.note(3)), 400)
    one.cosigned("on", 5, 8)
    return one


def wrong_proofs() -> Exchange:
    """Proofs that prove nothing, for honest heads; none of them moves the witness."""
    one = Exchange("wrong-proof")
    hashes = proof(3, 8)
    one.ask("from 0 with a proof", encode_request(0, hashes[:1], one.note(3)), 422)
    one.cosigned("from 0", 0, 3)
    wrong = [Hash(bytes([hashes[0][0] ^ 1]) + hashes[0][1:]), *hashes[1:]]
    faults = {
        "a hash altered": wrong,
        "a hash missing": hashes[:-1],
        "a hash too many": [*hashes, hashes[0]],
        "in another order": hashes[::-1],
        "of other sizes": proof(3, 5),
        "none": [],
    }
    for what, other in faults.items():
        one.ask(what, encode_request(3, other, one.note(8)), 422)
    one.ask("the same size with a proof", encode_request(3, hashes[:1], one.note(3)), 422)
    one.cosigned("growth", 3, 8)
    return one


def empty_tree() -> Exchange:
    """The empty tree has one root."""
    one = Exchange("empty-tree-with-a-root")
    head = Checkpoint(one.signer.name, 0, root_of([Hash(bytes(32))]))
    one.ask(
        "size 0, another root", encode_request(0, [], sign_note(head.body(), [one.signer])), 422
    )
    return one


def another_root() -> Exchange:
    """Two heads of one size: signed, and never both true."""
    one = Exchange("another-root")
    one.cosigned("from 0", 0, 3)
    one.ask("the same size, another root", encode_request(3, [], one.note(3, FORKED)), 422)
    return one


def forked() -> Exchange:
    """A head of another history, with a proof that is good there."""
    one = Exchange("forked")
    one.cosigned("from 0", 0, 3)
    other = encode_request(3, proof(3, 8, FORKED), one.note(8, FORKED))
    one.ask("growth of another history", other, 422)
    return one


def extension_line() -> Exchange:
    """The specification allows such lines and asks nothing of them; strict witnesses refuse what nobody can audit."""
    one = Exchange("extension-line")
    note = sign_note(one.head(3).body() + b"extension\n", [one.signer])
    one.ask("a fourth line", encode_request(0, [], note), 400, 200)
    return one
