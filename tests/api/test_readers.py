"""Reads at scale: no proof, tile or verification waits for the writer, and no read transaction lives across an `await`."""

from __future__ import annotations

import ast
import asyncio
import threading
from collections.abc import Iterator

import pytest

from tests import architecture
from tests.api.deployment import EVENT, STREAM, Site
from tests.architecture import Module
from tests.paths import REPOSITORY

# Opens a transaction, in the names of `tlog.store`.
OPENERS = {"read", "begin", "held", "write"}
# The transactions themselves, and what start-up alone iterates over.
ALLOWED = {"tlog.store.environment.read", "tlog.store.environment.streams"} | {
    *(
        "tlog.store.rows.write",
        "tlog.store.rows._read",
        "tlog.inspection.read",
        "tlog.inspection.held",
        "witness.store.read",
    )
}


async def test_no_read_waits_for_the_writer(site: Site) -> None:
    """Somebody holds the store's write lock: proofs, tiles, heads, events and verification are answered all the same."""
    receipts = (await site.batch([EVENT] * 300)).json()["receipts"]
    token = await site.token()
    begun, end = threading.Event(), threading.Event()

    def hold() -> None:
        with site.log.store.env.begin(write=True):
            begun.set()
            end.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait()
    prefix = site.log.prefix(STREAM)
    try:
        for path, params in (
            (f"/proof/{receipts[7]['event_id']}", {}),
            ("/proof/inclusion", {"stream_id": STREAM, "leaf_index": 3}),
            ("/proof/consistency", {"stream_id": STREAM, "first": 4, "second": 200}),
            ("/sth", {"stream_id": STREAM}),
            (f"/events/{receipts[7]['event_id']}", {}),
            ("/events", {"limit": 5}),
            ("/verify", {"stream_id": STREAM}),
            ("/streams", {}),
        ):
            answer = await asyncio.wait_for(site.get(path, token, **params), 20)
            assert answer.status == 200, (path, answer)
        for path in ("tile/0/000", "tile/entries/000", "checkpoint"):
            answer = await asyncio.wait_for(site.call("GET", prefix + path, token), 20)
            assert answer.status == 200, (path, answer)
    finally:
        end.set()
        holder.join()


def held_too_long(module: Module) -> Iterator[str]:
    """Transactions that are opened in a coroutine, or stay open while a generator has yielded."""
    for function in ast.walk(module.tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for block in ast.walk(function):
            if not isinstance(block, ast.With) or not any(map(opens, block.items)):
                continue
            waits = isinstance(function, ast.AsyncFunctionDef)
            yields = any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(block))
            if (waits or yields) and f"{module.name}.{function.name}" not in ALLOWED:
                yield f"{module.name}:{block.lineno} {function.name}"


def opens(item: ast.withitem) -> bool:
    call = item.context_expr
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in OPENERS
    )


def test_no_transaction_lives_across_an_await() -> None:
    """Read from the source: transactions are opened in plain functions alone, which end before anything else runs."""
    found = [
        line
        for package in ("tlog", "witness")
        for module in architecture.load(REPOSITORY, package)
        for line in held_too_long(module)
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "async def f(store):\n    with store.read() as txn:\n        await g(txn)\n",
        "def f(self):\n    with self._env.begin() as txn:\n        yield txn.get(b'')\n",
    ],
)
def test_a_planted_one_is_found(source: str) -> None:
    """A coroutine, and a generator that somebody could leave half done."""
    assert list(held_too_long(Module("tlog.planted", source))) == ["tlog.planted:2 f"]
