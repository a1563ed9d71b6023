"""What is kept when a log shows two heads that cannot both be true."""

from __future__ import annotations

import orjson

from tlog.client.fetch.http import Fetcher
from tlog.client.fetch.tree import RemoteTree
from tlog.client.pins import Head
from tlog.core import fork
from tlog.core.note import Verifier
from tlog.errors import TlogError


async def contradiction(fetcher: Fetcher, log: Verifier, old: Head, new: Head, found: str) -> bytes:
    """A document with both notes: a fork proof (design §2.6) where the tiles give one, else what was found.

    A head that is only smaller than one before proves nothing by itself: then it is the second form.
    """
    first, second = sorted((old, new), key=lambda one: one.size)
    try:
        tree = RemoteTree(fetcher, second.size, second.checkpoint.root)
        hashes = () if first.size == second.size else tuple(await tree.prefix(first.size))
        proof = fork.ForkProof(
            fork.HISTORY, fork.Statement(first.note), fork.Statement(second.note), hashes
        )
        document = fork.build(proof)
        fork.verify_fork(document, log)
        return document
    except TlogError:
        notes = {
            "found": found,
            "vkey": log.vkey,
            "first": old.note.decode(),
            "second": new.note.decode(),
            "proof": None,
        }
        return orjson.dumps(notes, option=orjson.OPT_INDENT_2)
