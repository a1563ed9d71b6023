"""`.tlog-proof` files: one spelling, and verified only under the right leaf, key, quorum and path."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.golden.documents import AT
from conformance.golden.honest import HONEST, LOG, POLICY, STREAM_ORIGIN, TARGET, W1, W2, prove
from conformance.golden.portable import first_path
from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import EMPTY_ROOT, leaf_hash
from tlog.core.note import Verifier, parse_vkey, sign_note
from tlog.core.policy import parse_policy
from tlog.core.tlog_proof import (
    MAX_EXTRA,
    TlogProof,
    encode_proof,
    head_proof,
    open_proof,
    parse_proof,
    shown_head,
    verify_head_proof,
    verify_proof,
)
from tlog.errors import InvalidInput, VerificationError

KEY = parse_vkey(LOG.vkey)
STREAM_KEY = Verifier(STREAM_ORIGIN, LOG.public_key)
BOTH = parse_policy(POLICY.encode())
PROOF = prove(cosigned=(W1.at(AT), W2.at(AT)))
EVENT = TlogProof(TARGET, tuple(PROOF.path), PROOF.note)
INDEX, SIZE, PATH, ROOT_NOTE = PROOF.place
HEAD = head_proof(PROOF.head, INDEX, PATH, ROOT_NOTE)
LEAF = leaf_hash(HONEST[TARGET])
LINES = encode_proof(EVENT).split(b"\n")

# The example of the specification, with hashes and note left whole: header, extra, index, two hashes.
EXAMPLE = b"""c2sp.org/tlog-proof@v1
extra YWdlLXYxLjIuMQ==
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=

example.com/fancylog
109482
sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=

\xe2\x80\x94 example.com/fancylog hI2DJw==
"""


def test_the_example_of_the_specification() -> None:
    proof = parse_proof(EXAMPLE)
    assert (proof.index, len(proof.hashes), proof.extra) == (73894, 2, b"age-v1.2.1")
    assert proof.hashes[0].hex().startswith("8122b25e")
    assert proof.checkpoint.startswith(b"example.com/fancylog\n109482\n")
    assert encode_proof(proof) == EXAMPLE


def test_an_event_and_its_head_verify() -> None:
    head, note = verify_proof(EVENT, LEAF, STREAM_KEY)
    assert head == PROOF.head
    assert note.data == PROOF.note
    shown, root, root_note = verify_head_proof(HEAD, KEY, BOTH)
    assert (shown, root.size, len(root_note.signatures)) == (PROOF.head, SIZE, 3)
    assert parse_proof(encode_proof(HEAD)) == HEAD


def test_a_tree_of_one_leaf_has_no_hash_lines() -> None:
    one = prove(HONEST[:1], 0)
    data = encode_proof(TlogProof(0, (), one.note))
    assert data.startswith(b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + STREAM_ORIGIN.encode())
    assert verify_proof(parse_proof(data), leaf_hash(HONEST[0]), STREAM_KEY)[0].size == 1


@given(
    st.integers(0, 2**63 - 2),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.binary(min_size=1, max_size=99),
    st.none() | st.binary(min_size=1, max_size=99),
)
def test_what_is_written_is_read(
    index: int, hashes: list[bytes], checkpoint: bytes, extra: bytes | None
) -> None:
    proof = TlogProof(index, tuple(hashes), checkpoint, extra)
    assert parse_proof(encode_proof(proof)) == proof


@given(st.integers(0, len(EXAMPLE) - 1), st.integers(0, 255))
def test_no_two_spellings(at: int, byte: int) -> None:
    """One byte changed: refused, or another proof."""
    data = EXAMPLE[:at] + bytes([byte]) + EXAMPLE[at + 1 :]
    try:
        proof = parse_proof(data)
    except InvalidInput:
        return
    assert encode_proof(proof) == data


HASH = LINES[2]
BAD: dict[str, bytes] = {
    "empty": b"",
    "no-header": b"\n".join(LINES[1:]),
    "another-version": b"\n".join([b"c2sp.org/tlog-proof@v2", *LINES[1:]]),
    "carriage-returns": b"\r\n".join(LINES),
    "white-space-before": b" " + b"\n".join(LINES),
    "no-index": b"\n".join([LINES[0], *LINES[2:]]),
    "nothing-but-extra": LINES[0] + b"\nextra QQ==\n\nx",
    "index-with-leading-zero": b"\n".join([LINES[0], b"index 05", *LINES[2:]]),
    "index-with-sign": b"\n".join([LINES[0], b"index +5", *LINES[2:]]),
    "index-with-space": b"\n".join([LINES[0], b"index  5", *LINES[2:]]),
    "index-2-63": b"\n".join([LINES[0], b"index 9223372036854775808", *LINES[2:]]),
    "index-2-63-minus-1": b"\n".join([LINES[0], b"index 9223372036854775807", *LINES[2:]]),
    "extra-empty": b"\n".join([LINES[0], b"extra ", *LINES[1:]]),
    "extra-after-index": b"\n".join([*LINES[:2], b"extra QQ==", *LINES[2:]]),
    "extra-twice": b"\n".join([LINES[0], b"extra QQ==", b"extra QQ==", *LINES[1:]]),
    "extra-no-base64": b"\n".join([LINES[0], b"extra Q", *LINES[1:]]),
    "hash-of-31-bytes": b"\n".join([*LINES[:2], b64encode(bytes(31)), *LINES[3:]]),
    "hash-not-canonical": b"\n".join([*LINES[:2], b"A" * 42 + b"B=", *LINES[3:]]),
    "hash-with-space": b"\n".join([*LINES[:2], HASH + b" ", *LINES[3:]]),
    "64-hashes": b"\n".join([*LINES[:2], *[HASH] * 64, *LINES[5:]]),
    "a-million-hashes": b"\n".join([*LINES[:2], *[HASH] * 20_000, *LINES[5:]]),
    "no-checkpoint": b"\n".join(LINES[:5]) + b"\n\n",
    "no-empty-line": b"\n".join(LINES[:5]),
}


@pytest.mark.parametrize("name", BAD)
def test_other_spellings_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        parse_proof(BAD[name])


@pytest.mark.parametrize(
    "make",
    [
        lambda: TlogProof(-1, (), b"x"),
        lambda: TlogProof(2**63 - 1, (), b"x"),
        lambda: TlogProof(0, (bytes(31),), b"x"),
        lambda: TlogProof(0, (bytes(32),) * 64, b"x"),
        lambda: TlogProof(0, (), b""),
        lambda: TlogProof(0, (), bytes(1 << 21)),
        lambda: TlogProof(0, (), b"x", b""),
        lambda: TlogProof(0, (), b"x", bytes(MAX_EXTRA + 1)),
    ],
)
def test_what_the_file_cannot_express(make: Callable[[], TlogProof]) -> None:
    with pytest.raises(InvalidInput):
        make()


ONE_WITNESS = prove(cosigned=(W1.at(AT),)).place[3]
OTHER_HEAD = sign_note(PROOF.head.body(), [LOG])
FAULTS: list[Callable[[], object]] = [
    lambda: verify_proof(EVENT, leaf_hash(HONEST[TARGET - 1]), STREAM_KEY),
    lambda: verify_proof(EVENT, LEAF, KEY),
    lambda: verify_proof(EVENT, LEAF, Verifier(STREAM_ORIGIN, W1.public_key)),
    lambda: verify_proof(TlogProof(TARGET - 1, EVENT.hashes, PROOF.note), LEAF, STREAM_KEY),
    lambda: verify_proof(TlogProof(TARGET, EVENT.hashes[:-1], PROOF.note), LEAF, STREAM_KEY),
    lambda: verify_proof(TlogProof(TARGET, EVENT.hashes * 2, PROOF.note), LEAF, STREAM_KEY),
    lambda: verify_proof(TlogProof(TARGET, EVENT.hashes, OTHER_HEAD), LEAF, STREAM_KEY),
    lambda: verify_proof(EVENT, LEAF, STREAM_KEY, BOTH),
    lambda: open_proof(TlogProof(0, (), b"\xff"), KEY),
    lambda: open_proof(TlogProof(0, (), b"x"), KEY),
    lambda: shown_head(EVENT),
    lambda: verify_head_proof(TlogProof(INDEX, HEAD.hashes, ONE_WITNESS, HEAD.extra), KEY, BOTH),
    lambda: verify_head_proof(head_proof(PROOF.head, INDEX + 1, PATH, ROOT_NOTE), KEY),
    lambda: verify_head_proof(TlogProof(0, HEAD.hashes, ROOT_NOTE, b"log.example.com\n0\n"), KEY),
]


@pytest.mark.parametrize("fault", range(len(FAULTS)))
def test_every_fault_is_refused(fault: int) -> None:
    with pytest.raises(VerificationError):
        FAULTS[fault]()


def test_only_heads_of_streams_of_this_log_are_shown() -> None:
    """The root log's own empty head is a leaf of the root log too, and is no stream's."""
    body = Checkpoint(LOG.name, 0, EMPTY_ROOT).body()
    proof = TlogProof(0, tuple(first_path()), ROOT_NOTE, body)
    assert verify_proof(proof, leaf_hash(body), KEY)[0].size == SIZE
    with pytest.raises(VerificationError):
        verify_head_proof(proof, KEY)
