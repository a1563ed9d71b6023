"""Nothing that an honest log ever signed makes a fork proof, however it is put together; a lie always does."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from tests.core.histories import LABELS, ORIGIN, History, anything, grow, seed_of
from tlog.core.checkpoint import parse_checkpoint
from tlog.core.cosignature import CosignatureSigner
from tlog.core.fork import RULES as TABLE
from tlog.core.fork import ForkProof, Statement, build, find_fork, verify_fork
from tlog.core.hashes import Hash
from tlog.errors import VerificationError

RULES = list(TABLE.values())
WITNESS = CosignatureSigner("w.example.org", seed_of("witness"))


def true_hashes(history: History, dice: random.Random) -> tuple[Hash, ...]:
    """Subtrees of a random pair of sizes of some tree of this history."""
    tree = history.tree(dice.choice(["", *sorted(history.streams)]))
    new = dice.randint(0, len(tree.leaves))
    return tree.prefix(dice.randint(0, new), new)


def fitting_hashes(history: History, first: Statement, second: Statement) -> tuple[Hash, ...]:
    """Subtrees of just the sizes that the two heads have, where they are of one log."""
    heads = [
        parse_checkpoint(one.leaf or one.note.rpartition(b"\n\n")[0] + b"\n")
        for one in (first, second)
    ]
    old, new = sorted(heads, key=lambda head: head.size)
    tree = history.tree(new.origin[len(f"{ORIGIN}/streams/") :])
    if old.origin != new.origin or new.size > len(tree.leaves):
        return ()
    return tree.prefix(old.size, new.size)


def spoil(hashes: tuple[Hash, ...], dice: random.Random) -> tuple[Hash, ...]:
    """One change of a list of hashes."""
    changed = list(hashes)
    place = dice.randrange(len(changed) + 1)
    kind = dice.randrange(5)
    if kind == 0 or not changed:
        changed.insert(place, dice.randbytes(32))
    elif kind == 1:
        changed.pop(place - 1)
    elif kind == 2:
        changed[place - 1] = bytes([changed[place - 1][0] ^ 1]) + changed[place - 1][1:]
    elif kind == 3:
        dice.shuffle(changed)
    else:
        changed.insert(place, changed[place - 1])
    return tuple(changed)


def cosigned(statement: Statement, dice: random.Random) -> Statement:
    """The same with a witness's line, or a stranger's, or the log's own once more."""
    text, _, lines = statement.note.partition(b"\n\n")
    line = dice.choice([WITNESS.at(dice.randint(1, 2**31)).sign_line(text + b"\n"), lines])
    return replace(statement, note=statement.note + line)


def tampered(one: Statement, other: Statement, dice: random.Random) -> Statement:
    """One change of what the log said, with the parts of something else that it said."""
    kind = dice.randrange(7)
    if kind == 0:
        return replace(one, note=other.note)
    if kind == 1:
        return replace(one, leaf=other.leaf)
    if kind == 2:
        return replace(one, index=max(0, one.index + dice.choice([-1, 1])))
    if kind == 3:
        return replace(one, path=spoil(one.path, dice))
    if kind == 4:
        text, _, lines = one.note.partition(b"\n\n")
        origin, size, root = text.split(b"\n")
        grown = b"\n".join([origin, b"%d" % (int(size) + 1), root])
        return replace(one, note=grown + b"\n\n" + lines)
    if kind == 5:
        text, lines = other.note.partition(b"\n\n")[0], one.note.partition(b"\n\n")[2]
        return replace(one, note=text + b"\n\n" + lines)
    return Statement(one.note) if one.leaf is not None else replace(one, leaf=b"")


def respelled(document: bytes, dice: random.Random) -> bytes:
    """One change of the JSON, where it still is JSON."""
    value: Any = json.loads(document)
    kind = dice.randrange(4)
    if kind == 0:
        value["first"], value["second"] = value["second"], value["first"]
    elif kind == 1:
        value["rule"] = dice.choice(RULES)
    elif kind == 2:
        value["hashes"] = value["hashes"][::-1]
    else:
        value["second"] = value["first"]
    return json.dumps(value).encode()


def attack(number: int) -> None:
    """A random honest history, random things that it signed, and every way here to twist them."""
    dice = random.Random(f"honest {number}")
    history = History()
    grow(history, dice, dice.randint(0, 12))
    key = history.verifier
    first, second = anything(history, dice), anything(history, dice)
    if dice.random() < 0.2:
        second = cosigned(first, dice)
    lists = [fitting_hashes(history, first, second)]
    lists.append(dice.choice([(), true_hashes(history, dice), spoil(lists[0], dice)]))
    for hashes in lists:
        assert find_fork(first, second, key, hashes) is None
        pair = [dice.choice([first, tampered(first, second, dice)]), second]
        dice.shuffle(pair)
        document = build(ForkProof(dice.choice(RULES), pair[0], pair[1], hashes))
        with pytest.raises(VerificationError):
            verify_fork(document, key)
        with pytest.raises(VerificationError):
            verify_fork(respelled(document, dice), key)


def unmask(number: int) -> None:
    """A random log that forks: whichever two of its statements cannot both be true are found out."""
    dice = random.Random(f"forked {number}")
    one = History()
    grow(one, dice, dice.randint(1, 8))
    other = one.copy()
    label = dice.choice(LABELS)
    one.commit(label, b"one")
    other.commit(label, b"other")
    parted, length = len(one.leaves), len(one.tree(label).leaves)
    grow(one, dice, dice.randint(0, 5), b"one")
    grow(other, dice, dice.randint(0, 5), b"other")
    key = one.verifier
    old, new = dice.randint(parted, len(one.leaves)), dice.randint(parted, len(other.leaves))
    _shown(one, other, "", old, new)
    assert find_fork(one.leaf(parted - 1, old), other.leaf(parted - 1, new), key) is not None
    heads = [
        dice.choice([size for size in each.sizes[label] if size >= length]) for each in (one, other)
    ]
    _shown(one, other, label, heads[0], heads[1])
    # What they have in common is no lie.
    common = dice.randint(1, parted - 1)
    hashes = other.root.prefix(common, new)
    assert find_fork(one.note("", common), other.note("", new), key, hashes) is None
    assert find_fork(one.leaf(common - 1, old), other.leaf(common - 1, new), key) is None


def _shown(one: History, other: History, label: str, old: int, new: int) -> None:
    """The two heads of two histories make a proof, with hashes from the tree of the larger."""
    if old > new:
        one, other, old, new = other, one, new, old
    hashes = other.tree(label).prefix(old, new) if old < new else ()
    document = find_fork(one.note(label, old), other.note(label, new), one.verifier, hashes)
    assert document is not None
    fork = verify_fork(document, one.verifier)
    assert fork.heads == (one.head(label, old), other.head(label, new))


def test_an_honest_log_cannot_be_accused() -> None:
    for number in range(300):
        attack(number)


def test_a_forked_log_cannot_hide_it() -> None:
    for number in range(50):
        unmask(number)


@pytest.mark.exhaustive
def test_ten_thousand_honest_histories() -> None:
    for number in range(10_000):
        attack(number)


@pytest.mark.exhaustive
def test_ten_thousand_forks() -> None:
    for number in range(10_000):
        unmask(number)
