"""The guard file: two slots, a torn write spoils only the older one, the chain binds every head."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlog.errors import CorruptStore, Refused
from tlog.sequencer.guard import FIRST_CHAIN, Guard, GuardState, chain_heads

STORE = b"s" * 16


def state(commit: int) -> GuardState:
    return GuardState(commit, commit * 3, bytes([commit]) * 32, bytes([255 - commit]) * 32)


def reopened(path: Path) -> GuardState:
    guard = Guard.open(path, STORE)
    try:
        return guard.state
    finally:
        guard.close()


def test_it_remembers_the_newest(tmp_path: Path) -> None:
    """Each advance is what the next open finds."""
    guard = Guard.create(tmp_path / "guard", STORE, state(0))
    assert reopened(tmp_path / "guard") == state(0)
    for commit in range(1, 6):
        guard.advance(state(commit))
        assert reopened(tmp_path / "guard") == state(commit)
    guard.close()


@pytest.mark.parametrize("length", [1, 8, 24, 40, 72, 103, 104, 135])
def test_a_torn_write_leaves_the_older_slot(tmp_path: Path, length: int) -> None:
    """Cut the newest slot's write anywhere: the one before is found."""
    path = tmp_path / "guard"
    guard = Guard.create(path, STORE, state(10))
    guard.advance(state(11))
    older = path.read_bytes()
    guard.advance(state(212))
    guard.close()
    newest = path.read_bytes()
    assert newest[512:] == older[512:]
    path.write_bytes(newest[:length] + older[length:])
    assert reopened(path) in (state(11), state(10))
    path.write_bytes(newest)
    assert reopened(path) == state(212)


@pytest.mark.parametrize("content", [b"", b"x" * 100, bytes(1024)])
def test_nothing_readable_is_refused(tmp_path: Path, content: bytes) -> None:
    """A guard without a readable slot guards nothing."""
    (tmp_path / "guard").write_bytes(content)
    with pytest.raises(CorruptStore, match="no readable slot"):
        Guard.open(tmp_path / "guard", STORE)


def test_missing_foreign_and_existing(tmp_path: Path) -> None:
    """No guard, another store's guard, and a second guard are all refused."""
    with pytest.raises(CorruptStore, match="missing"):
        Guard.open(tmp_path / "guard", STORE)
    Guard.create(tmp_path / "guard", STORE, state(0)).close()
    with pytest.raises(CorruptStore, match="another store"):
        Guard.open(tmp_path / "guard", b"t" * 16)
    with pytest.raises(Refused, match="exists"):
        Guard.create(tmp_path / "guard", STORE, state(0))


def test_the_chain_binds_order_and_content() -> None:
    """Every head, its order, the commit's number and the root change the chain."""
    heads = [b"a\n1\nx\n", b"b\n2\ny\n"]
    chain = chain_heads(FIRST_CHAIN, 1, heads, b"r\n3\nz\n")
    others = {
        chain_heads(FIRST_CHAIN, 2, heads, b"r\n3\nz\n"),
        chain_heads(FIRST_CHAIN, 1, heads[::-1], b"r\n3\nz\n"),
        chain_heads(FIRST_CHAIN, 1, heads[:1], b"r\n3\nz\n"),
        chain_heads(FIRST_CHAIN, 1, heads, b"r\n3\nw\n"),
        chain_heads(chain, 1, heads, b"r\n3\nz\n"),
    }
    assert len(others) == 5
    assert chain not in others
