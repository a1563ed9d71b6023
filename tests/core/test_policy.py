"""Trust policies: the grammar with one fault per case, the quorum, and the time it was reached.

The lists follow sigsum-go pkg/policy/config_test.go (192b5532), in the vkey form of C2SP.
"""

from __future__ import annotations

import base64
import itertools

import pytest

from tests.core.test_cosignature import raw_blob
from tlog.core.checkpoint import Checkpoint
from tlog.core.cosignature import CosignatureSigner
from tlog.core.hashes import EMPTY_ROOT
from tlog.core.note import Note, Signer, sign_note, vkey_for
from tlog.core.policy import MAX_POLICY_SIZE, Policy, parse_policy
from tlog.errors import InvalidInput, VerificationError

LOG = Signer("log.example.com", bytes([1]) * 32)
LOG2 = Signer("log2.example.com", bytes([2]) * 32)
WITNESSES = [CosignatureSigner(f"w{n}.example.org", bytes([10 + n]) * 32) for n in range(7)]
TEXT = Checkpoint("log.example.com", 0, EMPTY_ROOT).body()


def lines(*parts: str) -> bytes:
    return "".join(part + "\n" for part in parts).encode()


def witness(n: int, suffix: str = "") -> str:
    return f"witness W{n} {WITNESSES[n].vkey}{suffix}"


W = [witness(n) for n in range(7)]


def note(policy: Policy, times: dict[int, int]) -> Note:
    data = sign_note(TEXT, [LOG, *[WITNESSES[n].at(time) for n, time in times.items()]])
    return policy.open_checkpoint(data)[1]


# The grammar

VALID = lines(
    "",
    "# example",
    f"log {LOG.vkey} http://log.example.com/",
    "  # comment",
    f"  log \t {LOG2.vkey}\t",
    " \t ",
    witness(1, " http://w1.example.org/"),
    # A key of a log and of a witness at once is undesirable, but no error.
    "witness W2 " + vkey_for("w2.example.org", LOG.public_key, 0x04),
    W[3],
    W[4],
    witness(5, "\thttps://w5.example.org"),
    "group G1 any W1 W2",
    "group G2 2 W3 W4 W5",
    "group G3 all G1 G2",
    "\tquorum\tG3 ",
    W[6],
    "group G4 1 W6",
)


def test_a_policy_is_read() -> None:
    policy = parse_policy(VALID)
    assert [v.vkey for v in policy.log_verifiers] == [LOG.vkey, LOG2.vkey]
    assert [log.url for log in policy.logs] == [b"http://log.example.com/", None]
    assert [w.name for w in policy.witnesses] == [b"W1", b"W2", b"W3", b"W4", b"W5", b"W6"]
    assert policy.witness_verifiers[0].vkey == WITNESSES[1].vkey
    assert [policy.witnesses[i].url for i in (0, 1, 4)] == [
        b"http://w1.example.org/",
        None,
        b"https://w5.example.org",
    ]
    assert [(g.name, g.threshold, g.members) for g in policy.groups] == [
        (b"G1", 1, (b"W1", b"W2")),
        (b"G2", 2, (b"W3", b"W4", b"W5")),
        (b"G3", 2, (b"G1", b"G2")),
        (b"G4", 1, (b"W6",)),
    ]
    assert policy.quorum == b"G3"


def test_a_policy_may_have_no_log_and_no_witness() -> None:
    policy = parse_policy(b"quorum none\n")
    assert policy == Policy((), (), (), None)


def test_names_are_opaque_octets() -> None:
    # The Kelvin sign is no K, bytes that are not UTF-8 are a name, and case counts.
    policy = parse_policy(
        lines(f"witness K {WITNESSES[0].vkey}", f"witness \u212a {WITNESSES[1].vkey}")
        + b"witness \xff "
        + WITNESSES[2].vkey.encode()
        + b"\n"
        + lines(f"witness k {WITNESSES[3].vkey}")
        + b"# \x80\xff\ngroup any all K \xff\nquorum any\n"
    )
    assert [w.name for w in policy.witnesses] == [b"K", "\u212a".encode(), b"\xff", b"k"]
    assert policy.satisfied_by([b"K", b"\xff"])
    assert not policy.satisfied_by([b"k", b"\xff"])


def test_thirty_two_logs_witnesses_and_groups_and_many_more() -> None:
    count = 100
    text = b""
    for n in range(count):
        seed = n.to_bytes(32, "big")
        text += lines(f"log {Signer(f'log{n}', seed).vkey}")
        text += lines(f"witness W{n} {CosignatureSigner(f'w{n}', seed).vkey}")
    text += lines("group G0 any W0")
    text += lines(*[f"group G{n} all G{n - 1} W{n}" for n in range(1, count)])
    policy = parse_policy(text + lines(f"quorum G{count - 1}"))
    names = [w.name for w in policy.witnesses]
    assert policy.satisfied_by(names)
    for missing in (0, 50, count - 1):
        assert not policy.satisfied_by(names[:missing] + names[missing + 1 :])


def test_a_chain_of_groups_as_long_as_a_file_may_be() -> None:
    depth = 20_000
    chain = [f"group G{n} any G{n - 1}" for n in range(1, depth)]
    policy = parse_policy(lines(W[0], "group G0 any W0", *chain, f"quorum G{depth - 1}"))
    assert policy.satisfied_by([b"W0"])
    assert not policy.satisfied_by([])


INVALID = {
    "empty": b"",
    "no-quorum": lines(W[0], W[1], "group G all W0 W1"),
    "form-feed": b"# \f\nquorum none\n",
    "del": b"# \x7f\nquorum none\n",
    "carriage-return": b"quorum none\r\n",
    "nul": b"quorum none\n\0\n",
    "vertical-tab-as-space": b"quorum\x0bnone\n",
    "no-last-newline": b"quorum none",
    "cut-short": lines(W[0], "quorum W0") + b"group G any",
    "comment-without-newline": b"quorum none\n# cut",
    "space-without-newline": b"quorum none\n ",
    "two-quorums": lines("quorum none", "quorum none"),
    "quorum-of-two-names": lines(W[0], W[1], "quorum W0 W1"),
    "quorum-of-nothing": b"quorum\n",
    "quorum-undefined": lines("quorum W0"),
    "quorum-before-its-definition": lines("quorum W0", W[0]),
    "quorum-in-another-case": lines(W[0], "quorum w0"),
    "quorum-is-a-key-name": lines(W[0], "quorum w0.example.org"),
    "quorum-none-in-capitals": b"quorum NONE\n",
    "unknown-keyword": b"threshold 1\nquorum none\n",
    "keyword-in-capitals": b"Quorum none\n",
    "no-break-space": "quorum\u00a0none\n".encode(),
    "comment-behind": lines("quorum none #comment"),
    "comment-behind-a-log-with-url": lines(f"log {LOG.vkey} http://a/ #comment", "quorum none"),
    "log-without-key": lines("log", "quorum none"),
    "log-with-bad-key": lines(f"log {LOG.vkey}=", "quorum none"),
    "log-key-not-utf8": b"log \xff" + LOG.vkey.encode() + b"\nquorum none\n",
    "log-with-a-witness-key": lines(f"log {WITNESSES[0].vkey}", "quorum none"),
    "log-key-of-small-order": lines(
        "log example.com/foo+61a0818a+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "quorum none"
    ),
    "log-key-in-hex": lines(f"log {LOG.public_key.hex()}", "quorum none"),
    "duplicate-log": lines(f"log {LOG.vkey}", f"log {LOG.vkey}", "quorum none"),
    "duplicate-log-key-under-another-name": lines(
        f"log {LOG.vkey}", f"log {vkey_for('other', LOG.public_key)}", "quorum none"
    ),
    "witness-without-key": lines("witness W0", "quorum none"),
    "witness-without-name": lines(f"witness {WITNESSES[0].vkey}", "quorum none"),
    "witness-with-two-urls": lines(witness(0, " http://a/ http://b/"), "quorum none"),
    "witness-with-a-log-key": lines(f"witness W0 {LOG.vkey}", "quorum none"),
    "duplicate-witness": lines(W[0], f"witness W1 {WITNESSES[0].vkey}", "quorum none"),
    "duplicate-witness-key-under-another-name": lines(
        W[0], "witness W1 " + vkey_for("other", WITNESSES[0].public_key, 0x04), "quorum none"
    ),
    "duplicate-name": lines(W[0], f"witness W0 {WITNESSES[1].vkey}", "quorum none"),
    "duplicate-name-of-groups": lines(
        W[0], W[1], "group G any W0", "group G any W1", "quorum none"
    ),
    "group-with-the-name-of-a-witness": lines(W[0], "group W0 any W0", "quorum none"),
    "witness-with-the-name-of-a-group": lines(W[0], "group W1 any W0", W[1], "quorum none"),
    "witness-none": lines(f"witness none {WITNESSES[0].vkey}", "quorum none"),
    "group-none": lines(W[0], "group none any W0", "quorum none"),
    "none-as-member": lines(W[0], "group G any W0 none", "quorum G"),
    "member-undefined": lines(W[0], W[1], "group G all W0 W3 W1", "quorum G"),
    "member-defined-below": lines(W[0], "group G all W0 W1", W[1], "quorum G"),
    "group-in-itself": lines(W[0], "group G any W0 G", "quorum G"),
    "member-twice": lines(W[0], W[1], "group G all W0 W1 W0", "quorum G"),
    "member-of-two-groups": lines(
        W[0], W[1], W[2], "group G all W0 W1", "group H all W2 W1", "quorum G"
    ),
    "group-of-nothing": lines("group G any", "quorum none"),
    "group-without-rule": lines(W[0], "group G W0", "quorum none"),
    "group-with-another-rule": lines(W[0], "group G some W0", "quorum G"),
    "rule-in-capitals": lines(W[0], "group G ALL W0", "quorum G"),
    "threshold-zero": lines(W[0], "group G 0 W0", "quorum G"),
    "threshold-above-the-members": lines(W[0], W[1], "group G 3 W0 W1", "quorum G"),
    "threshold-negative": lines(W[0], "group G -1 W0", "quorum G"),
    "threshold-leading-zero": lines(W[0], "group G 01 W0", "quorum G"),
    "threshold-plus": lines(W[0], "group G +1 W0", "quorum G"),
    "threshold-not-a-number": lines(W[0], "group G 1.0 W0", "quorum G"),
    "larger-than-the-limit": b"#" * MAX_POLICY_SIZE + b"\nquorum none\n",
}


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID.keys())
def test_a_bad_policy_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse_policy(text)


def test_the_fault_names_its_line() -> None:
    with pytest.raises(InvalidInput, match=r"^policy line 4: the quorum is not defined above it$"):
        parse_policy(lines("# a", "", W[0], "quorum W1"))


def test_keys_that_a_note_could_not_tell_apart_are_refused() -> None:
    # Two seeds whose keys have the same 32-bit id under this name.
    twins = [Signer("collision.example/log", n.to_bytes(32, "big")) for n in (142333, 189867)]
    with pytest.raises(InvalidInput) as caught:
        parse_policy(lines(*[f"log {twin.vkey}" for twin in twins], "quorum none"))
    assert caught.value.kind == "ambiguous-key"


# The quorum


def test_every_subset_against_the_rule_in_words() -> None:
    policy = parse_policy(VALID)
    for count in range(7):
        for subset in itertools.combinations(range(1, 7), count):
            chosen = set(subset)
            expected = bool(chosen & {1, 2}) and len(chosen & {3, 4, 5}) >= 2
            assert policy.satisfied_by([f"W{n}".encode() for n in subset]) == expected


@pytest.mark.parametrize(("rule", "needed"), [("any", 1), ("all", 3), ("1", 1), ("2", 2), ("3", 3)])
def test_thresholds(rule: str, needed: int) -> None:
    policy = parse_policy(lines(W[0], W[1], W[2], f"group G {rule} W0 W1 W2", "quorum G"))
    for count in range(4):
        for subset in itertools.combinations([b"W0", b"W1", b"W2"], count):
            assert policy.satisfied_by(subset) == (count >= needed)
            assert policy.satisfied_by(subset * 2) == (count >= needed)


def test_a_group_is_not_witnessed_by_its_name() -> None:
    policy = parse_policy(lines(W[0], W[1], "group G all W0 W1", "quorum G"))
    assert not policy.satisfied_by([b"G", b"none", b"W0", b"w1.example.org"])


def test_quorum_none_needs_nothing_and_proves_no_time() -> None:
    policy = parse_policy(lines(f"log {LOG.vkey}", W[0], "quorum none"))
    assert policy.satisfied_by([])
    for times in ({}, {0: 5}):
        opened = note(policy, times)
        policy.verify_quorum(opened)
        assert policy.quorum_time(opened) is None


QUORUM_2_OF_3 = parse_policy(
    lines(f"log {LOG.vkey}", W[0], W[1], W[2], "group G 2 W0 W1 W2", "quorum G")
)
QUORUM_NESTED = parse_policy(
    lines(
        f"log {LOG.vkey}", W[0], W[1], W[2], W[3],
        "group X any W0 W1", "group Y all W2 W3", "group Z all X Y", "quorum Z",
    )
)  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "times", "expected"),
    [
        (QUORUM_2_OF_3, {}, None),
        (QUORUM_2_OF_3, {0: 100}, None),
        (QUORUM_2_OF_3, {0: 100, 1: 200}, 200),
        (QUORUM_2_OF_3, {0: 200, 1: 100}, 200),
        (QUORUM_2_OF_3, {2: 300, 0: 100, 1: 200}, 200),
        (QUORUM_2_OF_3, {0: 300, 1: 200, 2: 250}, 250),
        (QUORUM_2_OF_3, {0: 100, 1: 100}, 100),
        (QUORUM_2_OF_3, {0: 9, 1: 10, 2: 11}, 10),
        (QUORUM_2_OF_3, {0: 100, 3: 50}, None),
        (QUORUM_NESTED, {0: 1, 1: 2, 2: 3, 3: 4}, 4),
        (QUORUM_NESTED, {0: 9, 1: 2, 2: 3, 3: 4}, 4),
        (QUORUM_NESTED, {0: 9, 1: 8, 2: 3, 3: 4}, 8),
        (QUORUM_NESTED, {0: 1, 1: 2, 2: 3}, None),
    ],
)
def test_quorum_time(policy: Policy, times: dict[int, int], expected: int | None) -> None:
    opened = note(policy, times)
    assert policy.quorum_time(opened) == expected
    if expected is None:
        with pytest.raises(VerificationError):
            policy.verify_quorum(opened)
    else:
        policy.verify_quorum(opened)


def test_a_cosignature_without_a_time_counts_but_proves_no_time() -> None:
    cosigner = CosignatureSigner("witness.example.org/w1", bytes(range(32)))
    policy = parse_policy(lines(f"log {LOG.vkey}", f"witness W {cosigner.vkey}", "quorum W"))
    blob = base64.b64encode(raw_blob(bytes(8), b"cosignature/v1\ntime 0\n" + TEXT)).decode()
    data = sign_note(TEXT, [LOG]) + f"— {cosigner.name} {blob}\n".encode()
    opened = policy.open_checkpoint(data)[1]
    policy.verify_quorum(opened)
    assert policy.quorum_time(opened) is None


def test_only_what_the_note_verified_counts() -> None:
    # Opened without the key of W1, its cosignature is an unknown line, whatever it says.
    data = sign_note(TEXT, [LOG, WITNESSES[0].at(100), WITNESSES[1].at(200)])
    without = parse_policy(lines(f"log {LOG.vkey}", W[0], "quorum W0"))
    opened = without.open_checkpoint(data)[1]
    assert without.quorum_time(opened) == 100
    assert QUORUM_2_OF_3.quorum_time(opened) is None


def test_a_repeated_cosignature_counts_once_and_with_its_earliest_time() -> None:
    again = b"".join(WITNESSES[0].sign_line(TEXT, time) for time in (300, 100, 200))
    _, opened = QUORUM_2_OF_3.open_checkpoint(sign_note(TEXT, [LOG]) + again)
    assert QUORUM_2_OF_3.quorum_time(opened) is None
    more = again + WITNESSES[1].sign_line(TEXT, 150)
    _, opened = QUORUM_2_OF_3.open_checkpoint(sign_note(TEXT, [LOG]) + more)
    assert QUORUM_2_OF_3.quorum_time(opened) == 150


# Opening a checkpoint under a policy


def test_any_listed_log_is_accepted() -> None:
    policy = parse_policy(lines(f"log {LOG.vkey}", f"log {LOG2.vkey}", "quorum none"))
    for log in (LOG, LOG2):
        checkpoint, opened = policy.open_checkpoint(
            sign_note(Checkpoint(log.name, 0, EMPTY_ROOT).body(), [log])
        )
        assert (checkpoint.origin, opened.signatures[0].name) == (log.name, log.name)


def test_the_log_must_sign_its_own_origin() -> None:
    policy = parse_policy(lines(f"log {LOG.vkey}", f"log {LOG2.vkey}", W[0], "quorum none"))
    other_origin = Checkpoint("log.example.com/streams/x", 0, EMPTY_ROOT).body()
    for data in (
        sign_note(TEXT, [LOG2]),
        sign_note(TEXT, [WITNESSES[0].at(100)]),
        sign_note(TEXT, [LOG2, WITNESSES[0].at(100)]),
        sign_note(other_origin, [LOG]),
        sign_note(other_origin, [LOG.under("log.example.com/streams/x")]),
    ):
        with pytest.raises(VerificationError):
            policy.open_checkpoint(data)
    policy.open_checkpoint(sign_note(TEXT, [LOG, LOG2]))


def test_a_cosignature_that_fails_refuses_the_checkpoint() -> None:
    data = sign_note(TEXT, [LOG]) + WITNESSES[0].sign_line(b"x" + TEXT, 100)
    with pytest.raises(VerificationError):
        QUORUM_2_OF_3.open_checkpoint(data)


def test_a_text_that_is_no_checkpoint_is_refused() -> None:
    with pytest.raises(InvalidInput):
        QUORUM_2_OF_3.open_checkpoint(sign_note(TEXT + b"extension\n", [LOG]))
