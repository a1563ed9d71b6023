"""canonical() is RFC 8785: the RFC's vectors, and another implementation over every kind of nasty value."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tests.core.json_values import EDGES, Nasty
from tests.paths import VECTORS
from tlog.core.canonical import canonical
from tlog.errors import InvalidInput

JCS = sorted((VECTORS / "jcs" / "input").glob("*.json"))


def reference(value: Any) -> bytes | None:
    """What rfc8785 writes, or None where it refuses."""
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):
        return None


def ours(value: Any) -> bytes | None:
    try:
        return canonical(value)
    except InvalidInput:
        return None


def same(value: Any) -> None:
    assert ours(value) == reference(value), value


@pytest.mark.skipif(not JCS, reason="no vectors: set TLOG_VECTORS")
@pytest.mark.parametrize("path", JCS, ids=lambda path: path.stem)
def test_vectors_of_the_rfc(path: Path) -> None:
    value = json.loads(path.read_text("utf-8"))
    root = path.parents[1]
    expected = (root / "output" / path.name).read_bytes()
    in_hex = (root / "outhex" / path.name.replace(".json", ".txt")).read_text()
    assert canonical(value) == expected == bytes.fromhex(in_hex)


@pytest.mark.parametrize(
    "wrap", [lambda v: v, lambda v: [v, 1], lambda v: {"k": {"l": v}, "": 1.5}]
)
def test_every_edge_alone_and_inside(wrap: Any) -> None:
    for value in EDGES:
        same(wrap(value))


def test_every_pair_of_edges_as_keys() -> None:
    texts = [edge for edge in EDGES if isinstance(edge, str)]
    for one in texts:
        for other in texts:
            same({one + "z": 1, other: [2], "": 3})


@pytest.mark.parametrize(
    ("number", "text"),
    [  # RFC 8785 appendix B, as bits
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555554", "333333333.33333325"),
        ("41b3de4355555555", "333333333.3333333"),
        ("41b3de4355555556", "333333333.3333334"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_numbers_of_appendix_b(number: str, text: str) -> None:
    value = struct.unpack(">d", bytes.fromhex(number))[0]
    assert canonical(value) == text.encode()
    assert canonical([value, {"a": value}]) == f'[{text},{{"a":{text}}}]'.encode()


def test_integral_floats_are_integers_where_the_fast_encoder_writes_them_otherwise() -> None:
    assert canonical({"b": 740.0, "a": [1.0, -0.0, 1e15, 0.5]}) == (
        b'{"a":[1,0,1000000000000000,0.5],"b":740}'
    )
    assert canonical(("tuple", 2.0)) == b'["tuple",2]'


def test_keys_are_sorted_by_utf16() -> None:
    # U+FFFD is above the surrogates, U+10000 is written with them; by code point it is the reverse.
    assert list(json.loads(canonical({"\ufffd": 1, "\U00010000": 2}))) == ["\U00010000", "\ufffd"]
    assert list(json.loads(canonical({"\ufffd": 1.0, "\U00010000": 2}))) == ["\U00010000", "\ufffd"]


class Float(float):
    """A subclass, which the fast encoders do not know."""


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (2**53, "number-out-of-range"),
        (-(2**53), "number-out-of-range"),
        ([10**30], "number-out-of-range"),
        (math.nan, "number-out-of-range"),
        ([math.nan, None], "number-out-of-range"),
        ({"a": math.inf}, "number-out-of-range"),
        (-math.inf, "number-out-of-range"),
        (Float("nan"), "number-out-of-range"),
        ("\ud800", "lone-surrogate"),
        (["\ud83d\ude00"], "lone-surrogate"),
        ({"\udfff": 1}, "lone-surrogate"),
        ({1: 1}, "invalid-json"),
        ({b"a": 1}, "invalid-json"),
        ({None: 1}, "invalid-json"),
        (b"bytes", "invalid-json"),
        ([{1, 2}], "invalid-json"),
        (object(), "invalid-json"),
    ],
)
def test_what_has_no_canonical_form(value: Any, kind: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        canonical(value)
    assert caught.value.kind == kind


def test_subclasses_are_what_they_inherit() -> None:
    assert canonical({"a": Float(2.0), "b": Float(0.5)}) == b'{"a":2,"b":0.5}'


def test_depth_is_refused_not_overrun() -> None:
    def nested(depth: int) -> Any:
        value: Any = 1.0
        for _ in range(depth):
            value = [value]
        return value

    assert canonical(nested(253)) == b"[" * 253 + b"1" + b"]" * 253
    assert canonical(nested(260)) == b"[" * 260 + b"1" + b"]" * 260
    with pytest.raises(InvalidInput) as caught:
        canonical(nested(100_000))
    assert caught.value.kind == "too-deep"


def test_twenty_thousand_nasty_values() -> None:
    compare_many(seed=1, count=20_000)


@pytest.mark.exhaustive
def test_a_million_nasty_values() -> None:
    compare_many(seed=2, count=1_000_000)


def compare_many(seed: int, count: int) -> None:
    nasty, refused = Nasty(seed), 0
    for _ in range(count):
        value = nasty.value()
        same(value)
        refused += reference(value) is None
    # Neither side of the comparison may be empty.
    assert count // 50 < refused < count // 2


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_any_value(value: Any) -> None:
    same(value)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_any_floats(value: list[float]) -> None:
    assert canonical(value) == reference(value)
    assert json.loads(canonical(value), parse_int=float) == value
