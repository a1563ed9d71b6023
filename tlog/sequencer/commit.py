"""The one write transaction of a commit, and why its order is safe.

    build    every byte is known before the transaction begins; a fault here has written nothing
    commit   all of it (entries, stream rows, tiles, heads, root-log leaves, swept rows, the commit row) or none,
             synced before it returns. A crash before: nobody was answered, nothing is there. A crash after: it is
             there, one commit ahead of the guard, and start-up advances the guard by checking the chain.
    guard    the newest head is remembered outside the store. A crash after: the head is unsigned; start-up signs it.
    sign     the signature covers only what is committed and guarded.
    answer   what the submitter gets is durable and signed.

If the transaction or the guard raises, the outcome is unknown: a failed meta page write may or may not be there after a
restart, and LMDB would report the next commit as good. The process must end; `recover.py` finds the truth.
"""

from __future__ import annotations

from tlog.core.checkpoint import Checkpoint
from tlog.sequencer.guard import Guard, GuardState, chain_heads
from tlog.sequencer.integrate import Draft
from tlog.sequencer.state import States
from tlog.signers import LogSigner
from tlog.store import layout
from tlog.store.environment import LogStore, put_commit_row, put_stream_row
from tlog.store.layout import CommitRow

# Rows are swept when one of these is reached: commits, rows, and leaves that a start after a crash would append again.
SWEEP_EVERY = 256
SWEEP_DIRTY = 8192
SWEEP_LEAVES = 16_384


def write_commit(
    store: LogStore, states: States, guard: Guard, draft: Draft, previous: CommitRow
) -> CommitRow:
    """Make `draft` durable and guarded; the new commit row. Any exception means: unknown, stop."""
    chunks = draft.chunks()
    next_chunk = draft.first_chunk + len(chunks)
    sweep = (
        draft.number - previous.swept >= SWEEP_EVERY
        or states.dirty >= SWEEP_DIRTY
        or states.unswept >= SWEEP_LEAVES
    )
    chain = chain_heads(previous.chain, draft.number, draft.bodies, draft.root.body())
    row = CommitRow(
        number=draft.number,
        ms=draft.ms,
        first_chunk=draft.first_chunk,
        next_chunk=next_chunk,
        swept=draft.number if sweep else previous.swept,
        swept_chunk=next_chunk if sweep else previous.swept_chunk,
        root_size=draft.root.size,
        root_hash=draft.root.root,
        chain=chain,
    )
    db = store.db
    with store.env.begin(write=True) as txn:
        for number, data in chunks:
            txn.put(layout.u64(number), data, db=db["journal"], append=True, overwrite=False)
        for number, stream in draft.new_streams:
            put_stream_row(txn, db["streams"], number, stream)
        for number, bundle, positions in draft.bundles:
            key = layout.index_key(number, bundle)
            txn.put(key, layout.encode_positions(positions), db=db["index"])
        for number, level, index, tile in draft.tiles:
            txn.put(layout.tile_key(number, level, index), tile, db=db["tiles"])
        if sweep:
            states.sweep(txn, draft.ms)
        put_commit_row(txn, db["meta"], row)
    guard.advance(GuardState(row.number, row.root_size, row.root_hash, row.chain))
    if sweep:
        states.swept()
    return row


def sign_commit(signer: LogSigner, row: CommitRow) -> bytes:
    """The signed note of the commit's root."""
    return signer.sign_root(Checkpoint(signer.origin, row.root_size, row.root_hash))
