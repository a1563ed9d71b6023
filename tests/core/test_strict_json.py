"""loads() takes one reading of a text or none, names each fault and its place, and its two paths agree."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.json_values import EDGES, Nasty
from tests.paths import VECTORS
from tlog.core.canonical import MAX_INTEGER, canonical
from tlog.core.strict_json import (
    DOUBT,
    _nesting_exceeds,
    _Scanner,
    attempt,
    is_canonical,
    loads,
)
from tlog.errors import InvalidInput

SUITE = sorted((VECTORS / "jsontestsuite").glob("*.json"))

# y_ files that we refuse, and why: RFC 8259 lets a parser set limits, RFC 7493 asks for these.
OURS = {
    "y_object_duplicated_key.json": "duplicate-member",
    "y_object_duplicated_key_and_value.json": "duplicate-member",
    # 123e65, 1E22, 123e45, 123.456e78: doubles beyond 2^53 are integers that readers round.
    "y_number.json": "number-out-of-range",
    "y_number_real_capital_e.json": "number-out-of-range",
    "y_number_real_exponent.json": "number-out-of-range",
    "y_number_real_fraction_exponent.json": "number-out-of-range",
    "y_object_extreme_numbers.json": "number-out-of-range",
}
# i_ files: RFC 8259 leaves them open; these are the only ones that are accepted.
ACCEPTED = {
    "i_number_double_huge_neg_exp.json",  # underflow is a rounding to zero, not another number
    "i_number_real_underflow.json",
}


def outcome(raw: bytes, **options: Any) -> str:
    """`ok` with the types of the value, or kind and pointer of the refusal."""
    try:
        return f"ok {loads(raw, **options)!r}"
    except InvalidInput as error:
        return f"{error.kind} {error.pointer}"


def exact(raw: bytes, max_depth: int = 32) -> str:
    """The same from the slow path alone."""
    try:
        return f"ok {_Scanner(raw, max_depth, '').document()!r}"
    except InvalidInput as error:
        return f"{error.kind} {error.pointer}"


def refuse(raw: bytes, kind: str, pointer: str = "", **options: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        loads(raw, **options)
    assert (caught.value.kind, caught.value.pointer) == (kind, pointer), caught.value.detail


def in_payload(raw: bytes) -> bytes:
    return b'{"event_type":"x","payload":{"before":1,"m":' + raw + b'},"after":[]}'


@pytest.mark.skipif(not SUITE, reason="no vectors: set TLOG_VECTORS")
def test_the_suite_is_whole() -> None:
    assert len(SUITE) == 318
    assert OURS.keys() | ACCEPTED <= {path.name for path in SUITE}


@pytest.mark.parametrize("path", SUITE, ids=lambda path: path.stem)
def test_json_test_suite(path: Any) -> None:
    raw = path.read_bytes()
    for text in (in_payload(raw), raw):
        found = outcome(text)
        assert found == exact(text)
        if path.name in OURS:
            assert found.split()[0] == OURS[path.name]
        elif path.name.startswith("y_") or path.name in ACCEPTED:
            assert found == f"ok {json.loads(text)!r}"
        else:
            assert not found.startswith("ok")


def test_faults_of_the_suite_point_to_the_member() -> None:
    for raw in (b"[1,]", b'{"a":1,"a":2}', b"1e400", b'"\\ud800"', b"[" * 40, b"nul"):
        with pytest.raises(InvalidInput) as caught:
            loads(in_payload(raw))
        assert caught.value.pointer is not None
        assert caught.value.pointer.startswith("/payload/m")


@pytest.mark.parametrize(
    "raw",
    [
        *[b"", b" ", b"\n\t", b"{", b"[", b'"', b"-", b"+1", b"01", b"1.", b".5", b"1e", b"0x1"],
        *[b"NaN", b"Infinity", b"-Infinity", b"nan", b"True", b"nulll", b"tru", b"'a'", b"{a:1}"],
        *[b"[1 2]", b"[,1]", b"[1,]", b'{"a":1,}', b'{"a" 1}', b'{"a":}', b'{"a"}', b"{1:2}"],
        *[b"{}{}", b"{} x", b"1 1", b"[]]", b"[}", b"{]", b"\x00", b"{}\x00", b"[1]\xc2\xa0"],
        *[b'"\n"', b'"\x1f"', b'"\\x"', b'"\\u12"', b'"\\u00G0"', b'"\\U0041"', b"/**/1", b"#"],
        *["１".encode(), b'"\\', b'"\\u', b"[\xef\xbb\xbf1]", b"\xc2\xa01", b"\x0c1", b"--1"],
    ],
)
def test_not_json(raw: bytes) -> None:
    assert outcome(raw).split()[0] == "invalid-json"
    assert outcome(raw) == exact(raw)
    assert outcome(in_payload(raw)).split()[0] == "invalid-json"


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_named(name: str) -> None:
    """What a program in Python or JavaScript writes for it is told as such, with its place."""
    with pytest.raises(InvalidInput, match=f"^JSON has no {name}, at character 9 ") as caught:
        loads(f'{{"a":[1, {name}]}}'.encode())
    assert (caught.value.kind, caught.value.pointer) == ("invalid-json", "/a/1")


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"\xef\xbb\xbf{}", "byte-order-mark"),
        ("{}".encode("utf-16"), "not-utf8"),
        ("{}".encode("utf-16-le"), "invalid-json"),
        ("{}".encode("utf-32-be"), "invalid-json"),
        (b'"\xff"', "not-utf8"),
        (b'"\xc0\x80"', "not-utf8"),
        (b'"\xed\xa0\x80"', "not-utf8"),
        (b'"\xf4\x90\x80\x80"', "not-utf8"),
        ('"é"'.encode("latin-1"), "not-utf8"),
        (b"{}\xff", "not-utf8"),
    ],
)
def test_another_charset(raw: bytes, kind: str) -> None:
    refuse(raw, kind)


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        (rb'{"a":1,"a":1}', "/a"),
        (rb'{"a":1,"\u0061":2}', "/a"),
        (rb'{"":1,"":2}', "/"),
        (rb'{"a:":1,"a:":2}', "/a:"),
        (rb'{"a:":1,"a\u003a":2}', "/a:"),
        (rb'{"\u003A":":","\u003a":"\u003a"}', "/:"),
        (rb'{"a":{"x":":"},"a":"\u003a"}', "/a"),
        (rb'{"a":[1,{"b":1,"c":2,"b":3}]}', "/a/1/b"),
        (rb'{"a/b~c":{"~":1,"~":1}}', "/a~1b~0c/~0"),
        (rb'{"x":1,"y":{"x":1},"x":{}}', "/x"),
        ('{"é":1,"e\u0301":2,"é":3}'.encode(), "/é"),
        (rb'{"\ud83d\ude00":1,"\uD83D\uDE00":1}', "/😀"),
    ],
)
def test_duplicate_members(raw: bytes, pointer: str) -> None:
    refuse(raw, "duplicate-member", pointer)


@pytest.mark.parametrize(
    "raw",
    [
        *[rb'{"a":"b:c","d:e":1.50}', rb'{"a":"\u003a"}', rb'{"\u003a":1}', rb'{"a":"\\u003a"}'],
        *[
            rb'{"a":"\\\u003a"}',
            rb'{"a":"\\\\u003A:"}',
            rb'{"a":"\/\u0022:","b":1E2}',
            rb'{"a":"\n:"}',
        ],
        *[
            rb'{"a":{"a":{"a":"a"}},"b":[{"a":1},{"a":1}]}',
            rb'{"a":1,"A":2,"\u00e9":3,"e\u0301":4}',
        ],
    ],
)
def test_no_duplicate_is_seen_where_none_is(raw: bytes) -> None:
    assert loads(raw) == json.loads(raw)
    assert outcome(raw) == exact(raw)


@pytest.mark.parametrize("good", ["1", "-1", "1.0", "1e5", "-0", "-0.0", "1e-400", "0.1e1", "1E+2"])
def test_numbers(good: str) -> None:
    value = loads(f'{{"n":{good}}}'.encode())["n"]
    assert value == float(good)
    assert canonical(value) == canonical(float(good))


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize(
    "number",
    [
        *["9007199254740992", "9007199254740993", "18446744073709551615", "18446744073709551616"],
        *["12345678901234567890123", "1" + "0" * 400, "9" * 5000, "1e20", "1E16", "1e22", "1e300"],
        *["9007199254740992.0", "9007199254740991.9", "900719925474099.2e1", "1e400", "1.0E999999"],
        *["9999999999999998.0", "1e15993", "0.9007199254740992e16", "123456789012345678.5"],
    ],
)
def test_numbers_out_of_range(sign: str, number: str) -> None:
    raw = f'{{"a":["x",{{"n":{sign}{number}}}]}}'.encode()
    refuse(raw, "number-out-of-range", "/a/1/n")
    refuse(f"{sign}{number}".encode(), "number-out-of-range")


def test_the_largest_numbers() -> None:
    for number in (
        "9007199254740991",
        "-9007199254740991",
        "9007199254740991.0",
        "90071992547409.91e2",
    ):
        assert abs(loads(f"[{number}]".encode())[0]) == MAX_INTEGER
        assert outcome(number.encode()) == exact(number.encode())


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        (rb'"\ud800"', ""),
        (rb'{"a":"\udc00"}', "/a"),
        (rb'{"a":["x","\ud83d"]}', "/a/1"),
        (rb'["\ude00\ud83d"]', "/0"),
        (rb'["\ud83d\\ude00"]', "/0"),
        (rb'{"b":{"\ud800":1}}', "/b"),
    ],
)
def test_lone_surrogates(raw: bytes, pointer: str) -> None:
    refuse(raw, "lone-surrogate", pointer)


def test_pairs_of_surrogates_are_one_character() -> None:
    assert loads(rb'"\ud83d\ude00"') == "😀"


def nest(depth: int, inner: bytes = b"") -> bytes:
    return (
        b"".join(b'{"a":' if i % 2 else b"[" for i in range(depth))
        + inner
        + b"".join(b"}" if i % 2 else b"]" for i in reversed(range(depth)))
    )


@pytest.mark.parametrize("depth", [1, 2, 31, 32])
def test_nesting_within_the_cap(depth: int) -> None:
    assert loads(nest(depth, b"1")) == json.loads(nest(depth, b"1"))
    many = b"[" + b",".join([nest(depth - 1, b'"]["')] * 40) + b"]"
    assert loads(many) == json.loads(many)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_nesting_beyond_the_cap(opening: bytes) -> None:
    for count in (33, 40, 100_000):
        assert outcome(opening * count).startswith("too-deep /")
    assert outcome(nest(33, b"1")) == "too-deep " + "/0/a" * 16
    assert outcome(nest(5, b"1"), max_depth=4) == "too-deep /0/a/0/a"
    assert outcome(nest(5, b"1"), max_depth=5).startswith("ok")
    assert outcome(b"[]", max_depth=0) == outcome(b"{}", max_depth=0) == "too-deep "
    # The innermost object needs no colon, and without colons there is no nesting of objects.
    assert outcome(nest(32, b"{}")) == exact(nest(32, b"{}")) == "too-deep " + "/0/a" * 16
    assert outcome(nest(31, b"{}")).startswith("ok")
    assert outcome(nest(3, b"{}"), max_depth=3) == "too-deep /0/a/0"
    assert outcome(b"{" * 100_000) == "invalid-json "


def test_brackets_in_strings_are_no_nesting() -> None:
    for text in (
        "[" * 99,
        '["{' * 50,
        "\\" * 7 + '"[' * 60,
        '\\"[',
        "]}" * 99,
        '""[""' * 40,
        "[" * 40 + "\\",
    ):
        raw = json.dumps({text: [text, {"k": text}]}).encode()
        assert loads(raw) == {text: [text, {"k": text}]}


@given(st.text(alphabet='[]{}"\\:,a1 ', max_size=60), st.integers(0, 4))
def test_the_cap_is_never_seen_too_high(text: str, limit: int) -> None:
    # Against a count by hand, up to where a decoder would stop at the latest.
    depth = deepest = 0
    inside = escaped = False
    for character in text:
        if inside:
            inside, escaped = (
                not (character == '"' and not escaped),
                character == "\\" and not escaped,
            )
        elif character == '"':
            inside = True
        elif character == "\\":
            break
        else:
            depth += (character in "[{") - (character in "]}")
            deepest = max(deepest, depth)
            if depth < 0:
                break
    if deepest > limit:
        assert _nesting_exceeds(text.encode(), limit)


@given(
    st.recursive(
        st.text(alphabet='[{"\\]}a', max_size=5),
        lambda x: st.lists(x) | st.dictionaries(st.text('[]{}"\\', max_size=3), x),
    )
)
def test_in_json_the_nesting_is_exact(value: Any) -> None:
    def depth(inner: Any) -> int:
        if isinstance(inner, dict):
            inner = list(inner.values())
        return 1 + max(map(depth, inner), default=0) if isinstance(inner, list) else 0

    raw = json.dumps(value).encode()
    assert not _nesting_exceeds(raw, depth(value))
    if depth(value):
        assert _nesting_exceeds(raw, depth(value) - 1)


def test_pointers_have_the_prefix_and_an_end() -> None:
    refuse(b'{"a":{"b":1e99}}', "number-out-of-range", "/17/a/b", pointer_prefix="/17")
    refuse(b"{", "invalid-json", "/17", pointer_prefix="/17")
    # What a client sent as a member's name is not sent back by the megabyte.
    refuse(b'{"%b":1e99}' % (b"n" * 1022), "number-out-of-range", "/17", pointer_prefix="/17")
    refuse(b'{"%b":1e99}' % (b"n" * 1023), "number-out-of-range", "/" + "n" * 1023)


def test_is_canonical() -> None:
    for raw in (b'{"a":1,"b":[]}', b'"\xc3\xa9"', b"0.5"):
        assert is_canonical(raw, loads(raw))
    for raw in (
        b'{"b":1,"a":2}',
        b"[1, 2]",
        b'"\\u00e9"',
        b"1.0",
        b"-0",
        b"[1]\n",
        b'"\\/"',
        b"1e-7 ",
    ):
        assert not is_canonical(raw, loads(raw))


# --- The fast path against the exact one ------------------------------------------------------------


def spelled(value: Any, rng: random.Random) -> str:
    """JSON of `value` with every freedom that the grammar gives, and sometimes a duplicate."""
    space = rng.choice(["", "", " ", "\n", "\t\r "])
    if isinstance(value, dict):
        members = [f"{spelled(k, rng)}{space}:{spelled(v, rng)}" for k, v in value.items()]
        if members and rng.random() < 0.05:
            members.append(rng.choice(members))
        return "{" + f",{space}".join(members) + space + "}"
    if isinstance(value, list):
        return "[" + f"{space},".join(spelled(item, rng) for item in value) + space + "]"
    if isinstance(value, str):
        return '"' + "".join(escaped(c, rng) for c in value) + '"'
    if isinstance(value, float) and rng.random() < 0.5:
        return f"{value:.{rng.randrange(25)}{rng.choice('eEf')}}"
    return json.dumps(value)


def escaped(character: str, rng: random.Random) -> str:
    code = ord(character)
    if code < 0x20 or 0xD800 <= code < 0xE000 or character in '"\\' or rng.random() < 0.2:
        units = character.encode("utf-16-be", "surrogatepass")
        texts = [units[i : i + 2].hex() for i in range(0, len(units), 2)]
        return "".join("\\u" + rng.choice([text, text.upper()]) for text in texts)
    return character


def test_both_paths_agree_on_twenty_thousand_texts() -> None:
    agree(seed=3, count=20_000)


@pytest.mark.exhaustive
def test_both_paths_agree_on_a_million_texts() -> None:
    agree(seed=4, count=1_000_000)


def agree(seed: int, count: int) -> None:
    rng, nasty = random.Random(seed), Nasty(seed)
    accepted = 0
    for _ in range(count):
        raw = spelled(nasty.value(), rng).encode()
        if rng.random() < 0.1:
            at = rng.randrange(len(raw) + 1)
            raw = (
                raw[:at] + rng.choice([b"", b":", b'"', b",", b"\xff", b"]", b"0"]) + raw[at + 1 :]
            )
        found = outcome(raw)
        assert found == exact(raw), raw
        if found.startswith("ok"):
            accepted += 1
            assert found == f"ok {json.loads(raw)!r}" or b"-0" in raw
    assert count // 4 < accepted < count * 3 // 4


def test_both_paths_agree_on_every_edge() -> None:
    for edge in EDGES:
        for raw in (json.dumps(edge).encode(), json.dumps([edge, {"k": edge}]).encode()):
            assert outcome(raw) == exact(raw)


@given(st.binary(max_size=40) | st.text('{}[]:,"\\u003aA-0.e1', max_size=30).map(str.encode))
def test_any_bytes(raw: bytes) -> None:
    assert outcome(raw) == exact(raw)


def test_what_the_fast_way_doubts_is_for_the_judge() -> None:
    for text in (b'{"a":1}', b"[]", b'"x"'):
        assert attempt(text) == loads(text)
    for text in (b"[NaN]", b'{"a":1,"a":1}', b"[" * 40, b"1e400", b"\xff"):
        assert attempt(text) is DOUBT
