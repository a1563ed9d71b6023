"""The commitment is the formula of design §2.4, and nothing but the same fields and salt gives its root."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tests.core.json_values import EDGES, Nasty
from tlog.core.commitment import (
    Commitment,
    commit,
    leaf,
    pointer_escape,
    salts,
    verify_commitment,
)
from tlog.core.hashes import leaf_hash
from tlog.core.merkle import root_of
from tlog.errors import InvalidInput, VerificationError

SALT = bytes(range(32))
FIELDS: list[tuple[str, Any]] = [
    ("/payload/score", 740),
    ("/payload/ratio", 1.0),
    ("/payload/a~1b", {"z": [None, 0.97], "é": "x"}),
    ("/actor/id", "jane.doe@example.com"),
    ("/context/trace_id", "abc-123"),
    ("/payload/😀", "\ufeff"),
    ("/payload/\uffff", True),
]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-1e9, 1e9)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
fields_lists = st.lists(
    st.tuples(st.text(min_size=1), json_values), max_size=20, unique_by=lambda field: field[0]
)


def by_the_book(fields: list[tuple[str, Any]], master_salt: bytes) -> tuple[int, bytes]:
    """Design §2.4, word for word."""
    ordered = [("", None), *sorted(fields, key=lambda field: field[0].encode("utf-8"))]
    n = len(ordered)
    stream = hashlib.shake_256(b"tlog/field-salt/v1" + b"\x00" + master_salt).digest(18 * n)
    leaves = []
    for i, (pointer, value) in enumerate(ordered):
        salt = base64.urlsafe_b64encode(stream[18 * i : 18 * i + 18]).decode().rstrip("=")
        assert len(salt) == 24
        leaves.append(rfc8785.dumps([salt, pointer, value]))
    return n, root_of([leaf_hash(entry) for entry in leaves])


def test_the_formula() -> None:
    assert commit(FIELDS, SALT) == by_the_book(FIELDS, SALT)
    assert commit([], SALT) == by_the_book([], SALT)
    assert commit([], SALT).fields == 1


def test_a_known_root() -> None:
    # Computed once with the standard library alone, so that no change of ours can move both sides.
    made = commit([("/payload/a", 1), ("/payload/b", "x")], SALT)
    texts = [
        base64.urlsafe_b64encode(part).decode()
        for part in [
            hashlib.shake_256(b"tlog/field-salt/v1\x00" + SALT).digest(54)[i : i + 18]
            for i in (0, 18, 36)
        ]
    ]
    rows = [
        f'["{texts[0]}","",null]',
        f'["{texts[1]}","/payload/a",1]',
        f'["{texts[2]}","/payload/b","x"]',
    ]
    first, second, third = (hashlib.sha256(b"\x00" + row.encode()).digest() for row in rows)
    inner = hashlib.sha256(b"\x01" + first + second).digest()
    assert made == Commitment(3, hashlib.sha256(b"\x01" + inner + third).digest())


@given(fields_lists, st.binary(min_size=32, max_size=32))
def test_any_fields(fields: list[tuple[str, Any]], salt: bytes) -> None:
    made = commit(fields, salt)
    assert made == by_the_book(fields, salt) == commit(fields[::-1], salt)
    verify_commitment(fields, salt, *made)


@pytest.mark.parametrize("count", range(40))
def test_every_small_number_of_fields(count: int) -> None:
    fields = [(f"/payload/{i}", i) for i in range(count)]
    assert commit(fields, SALT) == by_the_book(fields, SALT)


def test_leaves_and_salts_rebuild_the_root() -> None:
    ordered = [("", None), *sorted(FIELDS, key=lambda field: field[0].encode())]
    made = salts(SALT, len(ordered))
    assert {len(salt) for salt in made} == {18}
    assert len(set(made)) == len(ordered)
    leaves = [leaf(salt, *field) for salt, field in zip(made, ordered, strict=True)]
    assert commit(FIELDS, SALT).root == root_of([leaf_hash(entry) for entry in leaves])
    # Fewer fields have the same first salts: a salt may be shown without the number of fields.
    assert salts(SALT, 2) == made[:2]


def test_every_nasty_value_is_committed_as_its_canonical_form() -> None:
    nasty = Nasty(5)
    for value in [*EDGES, *(nasty.value() for _ in range(3000))]:
        fields = [("/payload/a", value), ("/payload/b", [0.5]), ("/payload/\uffff", "😀")]
        try:
            expected = by_the_book(fields, SALT)
        except (rfc8785.CanonicalizationError, UnicodeEncodeError):
            with pytest.raises(InvalidInput):
                commit(fields, SALT)
        else:
            assert commit(fields, SALT) == expected


def test_every_change_is_another_commitment() -> None:
    made = commit(FIELDS, SALT)
    verify_commitment(FIELDS, SALT, *made)
    wrong: list[tuple[list[tuple[str, Any]], bytes, int, bytes]] = []
    for at, (pointer, value) in enumerate(FIELDS):
        without = FIELDS[:at] + FIELDS[at + 1 :]
        wrong += [
            (without, SALT, *made),
            ([*without, (pointer + "x", value)], SALT, *made),
            ([*without, (pointer, json.dumps(value))], SALT, *made),
            ([*FIELDS, (pointer, value)], SALT, *made),
        ]
    wrong += [
        ([*FIELDS, ("", None)], SALT, *made),
        ([*FIELDS, ("/payload/more", 1)], SALT, *made),
        ([*FIELDS[1:], ("/payload/score", float("nan"))], SALT, *made),
        (FIELDS, SALT[:31], *made),
        (FIELDS, SALT + b"\x00", *made),
        (FIELDS, SALT[:31] + b"\x20", *made),
        (FIELDS, SALT, made.fields + 1, made.root),
        (FIELDS, SALT, made.fields - 1, made.root),
        (FIELDS, SALT, made.fields, made.root[:31] + bytes([made.root[31] ^ 1])),
    ]
    for arguments in wrong:
        with pytest.raises(VerificationError):
            verify_commitment(*arguments)


@pytest.mark.parametrize(
    "fields", [[("", 1)], [("/a", 1), ("/a", 1)], [("/a", 1), ("/b", 1), ("/a", 2)]]
)
def test_pointers_that_are_our_own_fault(fields: list[tuple[str, Any]]) -> None:
    with pytest.raises(AssertionError, match="twice in a commitment"):
        commit(fields, SALT)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_master_salt_has_32_bytes(size: int) -> None:
    with pytest.raises(AssertionError, match="32 bytes"):
        commit([], bytes(size))
    with pytest.raises(AssertionError, match="32 bytes"):
        salts(bytes(size), 1)


def test_values_without_canonical_form_are_refused_with_their_kind() -> None:
    for value, kind in (
        (2**53, "number-out-of-range"),
        (float("nan"), "number-out-of-range"),
        ("\ud800", "lone-surrogate"),
        ({1: 2}, "invalid-json"),
    ):
        with pytest.raises(InvalidInput) as caught:
            commit([("/payload/a", value)], SALT)
        assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("a", "a"),
        ("", ""),
        ("a/b", "a~1b"),
        ("m~n", "m~0n"),
        ("~1", "~01"),
        ("/~", "~1~0"),
        ("é", "é"),
    ],
)
def test_pointer_escape(name: str, token: str) -> None:
    assert pointer_escape(name) == token
    assert token.replace("~1", "/").replace("~0", "~") == name
