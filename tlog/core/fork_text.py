"""What a fork proof shows, in plain words: for alarms, for `tlog proof verify`, for whoever must act.

In scope: sentences about a `fork.Fork`, which is verified. Out of scope: everything else.
"""

from __future__ import annotations

from tlog.core.fork import GROWTH, Fork, Opened
from tlog.core.hashes import leaf_hash
from tlog.core.wire import b64encode


def describe(fork: Fork) -> list[str]:
    """Say what a fork proof shows: one sentence, then one line for each of the two statements."""
    name = fork.log_origin
    if fork.heads is None:
        told = (
            f"{name} signed two root logs: at place {fork.first.index} they have different leaves."
        )
        return [told, _leaf_line(fork.first), _leaf_line(fork.second)]
    old, new = fork.heads
    whose = "its root log" if fork.origin == name else f"the stream {fork.origin}"
    if fork.rule == GROWTH:
        told = (
            f"{name} signed that {whose} had {old.size} entries, and later that it had {new.size}."
        )
    elif fork.other_root is None:
        told = f"{name} signed two histories of {whose}, both of {old.size} entries."
    else:
        told = (
            f"{name} signed two histories of {whose}: one of {old.size} entries, and one of "
            f"{new.size} entries that does not begin with them."
        )
    first = f"size {old.size}, root {b64encode(old.root)}: {_where(fork.first)}"
    second = f"size {new.size}, root {b64encode(new.root)}: {_where(fork.second)}"
    if fork.other_root is not None:
        second += f"; the root of its first {old.size} is {b64encode(fork.other_root)}"
    return [told, first, second]


def _leaf_line(statement: Opened) -> str:
    return f"leaf hash {b64encode(leaf_hash(statement.leaf or b''))}: {_where(statement)}"


def _where(statement: Opened) -> str:
    """Say how the log's key came to stand for it."""
    if statement.leaf is None:
        return "signed by itself"
    return f"leaf {statement.index} of its root log, signed at size {statement.signed.size}"
